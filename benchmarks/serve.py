"""SmolLM2-135M over HTTP, against the server of a llama.cpp that was built for this machine (`make peers`). Part of `make bench`, or

OMP_NUM_THREADS=2 python benchmarks/serve.py [--quick] [--only streams|start] [--streams N ...] [--precisions int8 ...] [--rounds N] [--json OUT]

*streams*: 1, 4, 16 and 32 clients at once, who each get 128 tokens, against llama.cpp's server with exactly as many slots: tokens per second of all
together, and the 50th and 95th percentile of the time to the first text and between two. *start*: from the start of the process to the first token,
and the memory after it, one server after the other, in turns, with slots for the most clients.
llama.cpp reads files that we write, and greedy answers are asked for, no log-probabilities. Without HTTP: decode.py.
--quick takes one small load and one round: it shows that everything runs.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="true")

import torch
from build_peers import native_peers
from measure import Row, Skipped, machine, rows_of, table
from native_llama import llama_server
from peers import PULLED, pulled_model
from serve_clients import Load, Served, load, percentile, serving
from spine import describe

from groundup.device import Compute
from groundup.engine.precision import Precision
from groundup.errors import GroundupError
from groundup.weights.formats import export
from groundup.weights.model_io import open_model

CPU = Compute(torch.device("cpu"))
TABLES = ("streams", "start")
PRECISIONS: tuple[Precision, ...] = ("int8", "int4", "bf16", "float32")
ENCODINGS = ("q8_0", "q4_0", "bf16", "f32")
STREAMS, STREAM_TOKENS = (1, 4, 16, 32), 128
QUICK_STREAMS, QUICK_TOKENS = (2,), 4


class Bench:
    """What all tables measure with: the model, the sizes, and the files that llama.cpp reads."""

    def __init__(self, folder: Path, files: Path, options: argparse.Namespace) -> None:
        self.folder, self.rounds, quick = folder, options.rounds, options.quick
        self.streams = options.streams
        self.stream_tokens = QUICK_TOKENS if quick else STREAM_TOKENS
        wanted = PRECISIONS[:1] if quick else options.precisions
        pairs = [each for each in zip(PRECISIONS, ENCODINGS, strict=True) if each[0] in wanted]
        self.precisions, encodings = zip(*pairs, strict=True)
        opened = open_model(folder, CPU)
        self.files = {
            each: export(opened, "gguf", files / f"{each}.gguf", quantization=each)
            for each in encodings
        }

    def over_http(self) -> Iterator[Row]:
        """Several clients at once; all servers of a number of clients are in memory, one at a time is asked."""
        for streams in self.streams:
            with contextlib.ExitStack() as stack:
                servers = {name: self._server(stack, name, slots=streams) for name in self._names()}
                for server in servers.values():
                    load(server, streams, 2)
                loads: dict[str, list[Load]] = {name: [] for name in servers}
                for number in range(self.rounds):
                    for name in list(servers) if number % 2 == 0 else reversed(list(servers)):
                        loads[name].append(load(servers[name], streams, self.stream_tokens))
                yield from rows_of_loads(f"{streams} streams", loads)

    def start(self) -> Iterator[Row]:
        """One server after the other; a first round, which writes caches, is not counted."""
        started: dict[str, list[float]] = {name: [] for name in self._names()}
        memory: dict[str, list[float]] = {name: [] for name in started}
        for number in range(-1, self.rounds):
            for name in list(started) if number % 2 == 0 else reversed(list(started)):
                with contextlib.ExitStack() as stack:
                    server = self._server(stack, name, slots=self.streams[-1])
                    if number < 0:
                        continue
                    started[name].append(server.started_s)
                    memory[name].append(server.memory_mb())
        yield from rows_of("to the first token", "s", started)
        yield from rows_of("memory after it", "MB", memory)

    def _names(self) -> list[str]:
        return [f"groundup {each}" for each in self.precisions] + [
            f"llama.cpp {each}" for each in self.files
        ]

    def _server(self, stack: contextlib.ExitStack, name: str, *, slots: int) -> Served:
        whose, numbers = name.split()
        if whose == "groundup":
            command: list[object] = [
                sys.executable,
                "-m",
                "groundup",
                "serve",
                f"bench={self.folder}",
                "--json",
            ]
            return stack.enter_context(
                serving([*command, "--port", 0, "--precision", numbers], "bench")
            )
        threads = torch.get_num_threads()
        return stack.enter_context(llama_server(self.files[numbers], threads, slots))


def rows_of_loads(what: str, loads: dict[str, list[Load]]) -> Iterator[Row]:
    """Speed and latencies of the rounds of every server."""
    yield from rows_of(
        what,
        "tokens/s",
        {name: [each.token_s for each in rounds] for name, rounds in loads.items()},
    )
    for share in (50, 95):
        for part in ("first", "between"):
            taken = {
                name: [percentile(getattr(each, f"{part}_s"), share) for each in rounds]
                for name, rounds in loads.items()
            }
            yield from rows_of(f"{what}, {part}, {share} %", "ms", taken)


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    options = parse()
    results: dict[str, Any] = {
        "machine": machine(),
        "quick": options.quick,
        "tables": {},
        "skipped": {},
    }
    print(describe(results["machine"]))
    try:
        folder = require_peers()
    except (Skipped, GroundupError) as reason:
        results["skipped"] = dict.fromkeys(TABLES, str(reason))
        print(f"Skipped: {reason}")
    else:
        with tempfile.TemporaryDirectory() as files:
            measure(Bench(folder, Path(files), options), options.only, results)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def require_peers() -> Path:
    """The model's folder. Raises Skipped without it, ConfigError without llama.cpp."""
    native_peers()
    folder = pulled_model()
    if folder is None:
        raise Skipped(f"{PULLED} is not in the cache (groundup pull {PULLED}).")
    return folder


def measure(bench: Bench, only: str | None, results: dict[str, Any]) -> None:
    """The tables into `results` and onto the screen."""
    made = {"streams": bench.over_http, "start": bench.start}
    for name in TABLES if only is None else (only,):
        print(f"\n{name}\n", flush=True)
        rows = list(made[name]())
        results["tables"][name] = [asdict(row) for row in rows]
        print(table(rows), flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small load, one round")
    parser.add_argument("--only", choices=TABLES, help="one table")
    parser.add_argument("--streams", type=int, nargs="+", metavar="N", help="clients at once")
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="of ours"
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    options.streams = options.streams or (QUICK_STREAMS if options.quick else STREAMS)
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


if __name__ == "__main__":
    main()
