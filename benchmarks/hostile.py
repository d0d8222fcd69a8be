"""Requests made to hurt a server, while another client streams an answer: status, seconds, the server's memory, the other client's latency.

python benchmarks/hostile.py [--model smollm2-135m-instruct] [--json OUT]

Each request runs alone beside one client that streams a long story; the time between that client's pieces says what the request costs others.
At the end SIGTERM comes while eight conversations of 4,095 messages are in hand.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from measure import machine
from serve_clients import Served, serving

TIMEOUT_S = 400.0
ALONE_S = 6.0


class StreamingClient:
    """A client that streams one answer after another and notes when each piece came."""

    def __init__(self, server: Served) -> None:
        self._server, self._stop = server, False
        self.times: list[float] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        question = [{"role": "user", "content": "Write a very long story about the sea."}]
        body = {
            "model": self._server.model,
            "messages": question,
            "options": {"num_predict": 2000, "seed": 1},
        }
        while not self._stop:
            with httpx.stream(
                "POST", self._server.address + "/api/chat", json=body, timeout=TIMEOUT_S
            ) as answer:
                for _ in answer.iter_lines():
                    self.times.append(time.monotonic())
                    if self._stop:
                        break

    def gaps_ms(self, work: Callable[[], object]) -> tuple[float, float]:
        """Median and longest time between two pieces while `work` runs."""
        first = max(0, len(self.times) - 1)
        work()
        time.sleep(0.5)
        gaps = [1000 * (later - earlier) for earlier, later in pairwise(self.times[first:])]
        return (median(gaps), max(gaps)) if gaps else (0.0, 0.0)

    def close(self) -> None:
        """End it."""
        self._stop = True
        self._thread.join()


def conversation(messages: int) -> list[dict[str, str]]:
    """So many messages of one letter."""
    return [{"role": ("user", "assistant")[index % 2], "content": "a"} for index in range(messages)]


def requests(server: Served) -> dict[str, Callable[[], int]]:
    """What is sent, by name; each gives the HTTP status."""

    def post(path: str, **body: Any) -> int:
        return httpx.post(
            server.address + path, json={"model": server.model, **body}, timeout=TIMEOUT_S
        ).status_code

    def short_context(messages: int) -> int:
        options = {"num_predict": 2, "num_ctx": 256}
        return post("/api/chat", messages=conversation(messages), stream=False, options=options)

    def sixteen() -> int:
        with ThreadPoolExecutor(16) as pool:
            return max(pool.map(short_context, [4095] * 16))

    return {
        "20,000 messages": lambda: post("/v1/chat/completions", messages=conversation(20_000)),
        "110,000 messages": lambda: post("/api/chat", messages=conversation(110_000)),
        "499 messages, context 256": lambda: short_context(499),
        "4,095 messages, context 256": lambda: short_context(4095),
        "16 x 4,095 messages at once": sixteen,
        "embed, twice the context": lambda: post(
            "/api/embed", input="The sea is deep and blue. " * 2340
        ),
    }


def measure(server: Served) -> list[dict[str, Any]]:
    """A row for each request."""
    rows: list[dict[str, Any]] = []
    client = StreamingClient(server)

    def measured(name: str, work: Callable[[], int]) -> None:
        found: dict[str, Any] = {"request": name}
        began = time.monotonic()
        typical, longest = client.gaps_ms(
            lambda: found.update(status=work(), seconds=time.monotonic() - began)
        )
        rows.append(
            {
                **found,
                "other_median_ms": typical,
                "other_longest_ms": longest,
                "memory_mb": server.memory_mb(),
            }
        )
        print("{request:30} {status}  {seconds:6.2f} s  other client {other_median_ms:5.0f} / {other_longest_ms:5.0f} ms"
              "  memory {memory_mb:5.0f} MB".format(**rows[-1]), flush=True)  # fmt: skip

    try:
        measured("none", lambda: time.sleep(ALONE_S) or 0)
        for name, work in requests(server).items():
            measured(name, work)
    finally:
        client.close()
    return rows


def end(server: Served) -> tuple[int, float]:
    """Exit code and seconds from SIGTERM to the end of the process, with eight long conversations in hand."""
    body = {"model": server.model, "messages": conversation(4095), "stream": False}
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(httpx.post, server.address + "/api/chat", json=body, timeout=TIMEOUT_S)
        time.sleep(1)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        return server.process.wait(60), time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    print(machine())
    command = [sys.executable, "-m", "groundup", "serve", "--json", asked.model, "--port", "0"]
    with serving(command, asked.model) as server:
        rows = measure(server)
        code, seconds = end(server)
    print(f"SIGTERM with eight in hand: exit {code} after {seconds:.1f} s")
    if asked.json:
        asked.json.write_text(
            json.dumps({"machine": machine(), "rows": rows, "end": [code, seconds]}, indent=1)
        )


if __name__ == "__main__":
    main()
