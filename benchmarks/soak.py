"""A server under everything at once, for an hour: its memory stays where it was, no request goes wrong, nothing is left in hand.

python benchmarks/soak.py [--minutes 60] [--slack 1.1] [--json OUT]

Eight clients ask two small models for answers, streamed and whole, for answers of a form, for embeddings and for nonsense; a third of the streams
is left in the middle. Memory is that of the server's process: what it has after a quarter of the time, or five minutes, it may have `--slack` times
at the end. Exit code 1: it grew beyond, or a request went wrong. The tests run it for two minutes (`pytest -m slow`).
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import torch
from measure import machine
from serve_clients import TEXT, Served, serving

from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.model_io import save_model

MODELS = ("one", "two")
CLIENTS = 8
LOOKS = 24  # at the memory, evenly over the time
WARM_S = 300.0
PATIENCE_S = 60.0
IN_HAND = "groundup_answers_in_hand "


@dataclass
class Done:
    """What the clients have to tell."""

    requests: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


def save_small(folder: Path, seed: int) -> None:
    """A model of random weights: it writes nonsense, and now and then an end."""
    words = train_tokenizer([TEXT], 400)
    model = LanguageModel(ModelConfig(words.vocab_size, 256, 32, 2, 4, 64, num_kv_heads=2))
    initialise(model, torch.Generator().manual_seed(seed))
    save_model(model, folder, words)


class Client:
    """One that asks this and that until the time is over."""

    def __init__(self, address: str, seed: int, done: Done) -> None:
        self.http = httpx.Client(base_url=address, timeout=PATIENCE_S, trust_env=False)
        self.choose = random.Random(seed)
        self.done = done
        self.kinds: dict[str, Callable[[], str]] = {
            "whole": self.whole,
            "streamed": self.streamed,
            "of a form": self.formed,
            "embedded": self.embedded,
            "refused": self.refused,
        }

    def run(self, until: float) -> None:
        """Request after request. What goes wrong is written down, and the next one is tried."""
        with self.http:
            while time.monotonic() < until:
                kind = self.choose.choice(list(self.kinds))
                try:
                    wrong = self.kinds[kind]()
                except httpx.HTTPError as error:
                    wrong = repr(error)
                self.done.requests[kind] += 1
                if wrong:
                    self.done.errors.append(f"{kind}: {wrong}"[:300])

    def asked(self) -> dict[str, Any]:
        turns = [{"role": "user", "content": "They spoke of"}] * self.choose.randrange(1, 9, 2)
        return {"model": self.choose.choice(MODELS), "messages": turns}

    def whole(self) -> str:
        body = {
            **self.asked(),
            "stream": False,
            "options": {"num_predict": self.choose.randrange(1, 40)},
        }
        return unlike(200, self.http.post("/api/chat", json=body))

    def streamed(self) -> str:
        leaves = self.choose.random() < 1 / 3
        body = {**self.asked(), "options": {"num_predict": 40}}
        with self.http.stream("POST", "/api/chat", json=body) as stream:
            for line in stream.iter_lines():
                said = json.loads(line)
                if leaves or "error" in said:
                    return said.get("error", "")
        return "" if said["done"] else "the stream broke off"

    def formed(self) -> str:
        form = self.choose.choice(
            ({"regex": "[a-z ]{1,20}"}, {"choice": ["yes", "no"]}, {"json_object": True})
        )
        body = {**self.asked(), "max_tokens": 30, "structured_outputs": form}
        return unlike(200, self.http.post("/v1/chat/completions", json=body))

    def embedded(self) -> str:
        body = {"model": MODELS[0], "input": ["the town grew small"] * self.choose.randrange(1, 40)}
        return unlike(200, self.http.post("/v1/embeddings", json=body))

    def refused(self) -> str:
        return unlike(400, self.http.post("/v1/chat/completions", content=b'{"model": '))


def unlike(status: int, answer: httpx.Response) -> str:
    """What an answer says that has another status."""
    return "" if answer.status_code == status else f"{answer.status_code}: {answer.text}"


def soak(server: Served, seconds: float) -> tuple[list[tuple[float, float]], Done]:
    """Have it asked for so long; gives (minute, MB) now and then, and what the clients tell."""
    done, memory = Done(), []
    began = time.monotonic()
    clients = [Client(server.address, seed, done) for seed in range(CLIENTS)]
    threads = [threading.Thread(target=client.run, args=(began + seconds,)) for client in clients]
    for thread in threads:
        thread.start()
    for look in range(1, LOOKS + 1):
        time.sleep(max(0.0, began + seconds * look / LOOKS - time.monotonic()))
        minute, mb = (time.monotonic() - began) / 60, server.memory_mb()
        memory.append((minute, mb))
        print(
            f"{minute:6.1f} min {mb:8.1f} MB {done.requests.total():9,} requests {len(done.errors)} errors",
            flush=True,
        )
    for thread in threads:
        thread.join()
    return memory, done


def growth(memory: list[tuple[float, float]]) -> float:
    """The median of the last sixth over that of the looks when it was warm (as many)."""
    warm_minute = min(memory[-1][0] / 4, WARM_S / 60)
    first = next(i for i, (minute, _) in enumerate(memory) if minute >= warm_minute)
    few = LOOKS // 6
    return median(mb for _, mb in memory[-few:]) / median(
        mb for _, mb in memory[first : first + few]
    )


def in_hand(address: str) -> float:
    """Answers that the server still works at; those of clients that left are given up after the step at work, so it is asked for a while."""
    for _ in range(50):
        lines = httpx.get(
            f"{address}/metrics", timeout=PATIENCE_S, trust_env=False
        ).text.splitlines()
        left = next(float(line.removeprefix(IN_HAND)) for line in lines if line.startswith(IN_HAND))
        if left == 0:
            break
        time.sleep(0.1)
    return left


def main() -> int:
    """Soak, print, and write the JSON where it is asked for. The exit code."""
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(MODELS):
            save_small(Path(folder) / name, seed)
        command = [
            sys.executable,
            "-m",
            "groundup",
            "serve",
            "--models",
            folder,
            "--json",
            "--port",
            0,
        ]
        with serving(command, MODELS[0]) as server:
            memory, done = soak(server, 60 * options.minutes)
            left = in_hand(server.address)
    grown = growth(memory)
    print(
        f"Memory at the end: {grown:.3f} times what it was when warm; at most {options.slack} is allowed."
    )
    print(
        f"Requests: {', '.join(f'{count:,} {kind}' for kind, count in sorted(done.requests.items()))}."
    )
    print(
        f"Errors: {len(done.errors)}; answers left in hand: {left:.0f}.",
        *done.errors[:10],
        sep="\n",
    )
    if options.json is not None:
        told = {
            "machine": machine(),
            "minutes": options.minutes,
            "slack": options.slack,
            "growth": grown,
        }
        told |= {
            "memory": memory,
            "requests": done.requests,
            "errors": done.errors[:100],
            "left_in_hand": left,
        }
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return int(grown > options.slack or bool(done.errors) or left > 0)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--slack", type=float, default=1.1, help="how many times its memory it may have at the end"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    if not options.minutes > 0:
        parser.error("--minutes: expected more than 0")
    if not Path("/proc/self/status").exists():
        parser.error("memory is read from /proc, which this system does not have")
    return options


if __name__ == "__main__":
    sys.exit(main())
