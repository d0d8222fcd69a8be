"""How often a model chooses the right of two tools in the general format, with the right arguments: where it may answer in words, or must call.

python benchmarks/tools.py [--model smollm2-135m-instruct] [--quick] [--json OUT]

The sixty requests of `tool_requests.py`, one after another at temperature 0, to a `groundup serve MODEL --tools any` of its own: with `tool_choice`
"auto" (the model may answer in words: no call), and "required". Who draws lots is right in half of the required calls. 95 % intervals (Wilson).
"""

import argparse
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measure import machine
from spine import describe
from tool_requests import Asked, requests, same

from groundup.evaluate.metrics import wilson_interval

CHOICES = ("auto", "required")
OUTCOMES = ("right tool", "right arguments", "no call")
MAX_TOKENS = 128
EVERY = 6  # one of each pair, with --quick


@contextmanager
def served(model: str) -> Iterator[str]:
    """The address of a server for the time of the block."""
    command = [
        sys.executable,
        "-m",
        "groundup",
        "serve",
        model,
        "--tools",
        "any",
        "--port",
        "0",
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["address"]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def called(address: str, model: str, asked: Asked, choice: str) -> tuple[str, Any] | None:
    """Return name and arguments of the first call; None without one."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": asked.text}],
        "tools": asked.tools,
        "tool_choice": choice,
        "parallel_tool_calls": False,
        "temperature": 0,
        "max_tokens": MAX_TOKENS,
    }
    request = urllib.request.Request(f"{address}/v1/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request) as response:
        calls = json.load(response)["choices"][0]["message"].get("tool_calls") or []
    return (
        (calls[0]["function"]["name"], json.loads(calls[0]["function"]["arguments"]))
        if calls
        else None
    )


def outcome(asked: Asked, call: tuple[str, Any] | None) -> dict[str, bool]:
    """Return which of the outcomes a call is; right arguments are those of the right tool."""
    right = call is not None and call[0] == asked.name
    return {
        "right tool": right,
        "right arguments": right and call is not None and same(call[1], asked.arguments),
        "no call": call is None,
    }


def measured(address: str, model: str, chosen: Sequence[Asked]) -> list[dict[str, Any]]:
    """Return one row for each choice and outcome: a share with its interval; and print each request that went wrong."""
    rows = []
    for choice in CHOICES:
        found = []
        for asked in chosen:
            call = called(address, model, asked, choice)
            found.append(outcome(asked, call))
            if not found[-1]["right arguments"]:
                print(f"  {choice}: {asked.text} -> {call}", file=sys.stderr)
        for name in OUTCOMES:
            hits = sum(each[name] for each in found)
            rows.append(
                {
                    "tool_choice": choice,
                    "outcome": name,
                    "hits": hits,
                    **asdict(wilson_interval(hits, len(found))),
                }
            )
    return rows


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a name or folder")
    parser.add_argument("--quick", action="store_true", help="one request of each pair")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    given = parser.parse_args()
    chosen = list(requests())[:: EVERY if given.quick else 1]
    with served(given.model) as address:
        name = json.load(urllib.request.urlopen(f"{address}/v1/models"))["data"][0]["id"]
        rows = measured(address, name, chosen)
    about = machine()
    print(describe(about))
    print(f"{given.model}, {len(chosen)} requests")
    for row in rows:
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        print(
            f"{row['tool_choice']:<10}{row['outcome']:<17}{row['hits']:>3}  {row['value']:>6.1%}  {interval}"
        )
    if given.json:
        given.json.write_text(
            json.dumps({"machine": about, "model": given.model, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
