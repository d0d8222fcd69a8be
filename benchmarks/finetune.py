"""Fine-tuning SmolLM2-135M against its peers: a chatbot against TRL and PEFT, a spam classifier against a plain loop. Run by hand:

python benchmarks/finetune.py [--quick] [--only chat|spam] [--precisions float32,bf16] [--rounds N] [--json OUT]

*chat*: LoRA of rank 8 around all linear layers on the packaged instructions: supervised tokens per second in training steps, and the most memory
of the processes. TRL's SFTTrainer (in an environment of its own: `make .venv-trl/bench.done`) gets the rows that we rendered, in its random batches
of as many rows; in *our batches*, of like lengths, so that what is left is the speed of a step (the first losses are compared); and with
*no checkpointing*: it keeps the activations, as we do without *recompute*, where its default computes them twice. Every contender is a process;
rounds of STEPS steps run alternately.
*spam*: seconds to 97 % on the validation messages, without the loop's evaluations: `groundup finetune classifier` with an empty cache and again with
the features of another run in it, at its first learning rate, against a loop as a teaching book has it (`finetune_spam_worker.py`) in float32 and
in bf16. A round is a seed; the split is the same. *whole*: our command to its end, with three learning rates, the final run, the test, and saving.
Both give processor time too, which other programs disturb less (with one thread; waiting threads spin).
--quick takes few steps and one round: it shows that everything runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false"
)

import torch
from measure import Row, Skipped, command, machine, rows_of, table
from peers import PULLED, pulled_model
from spine import describe

from groundup.data.batches.loader import IGNORED_LABEL
from groundup.data.reading.data import Data
from groundup.data.reading.example_splits import stratified_split, without_repeats
from groundup.data.reading.examples import read_chat, read_labelled
from groundup.device import Compute
from groundup.finetune.config import ChatConfig
from groundup.finetune.instruction_data import make_instruction_data
from groundup.finetune.order import epoch_batches
from groundup.progress import Silent
from groundup.recipes.build_config import instructions_source
from groundup.recipes.named_stages import ClassifierStage
from groundup.recipes.recipe import load_recipe
from groundup.train.steps.precision import open_kinds
from groundup.weights.model_io import open_model

HERE = Path(__file__).parent
TRL_PYTHON = HERE.parent / ".venv-trl" / "bin" / "python"
CPU = Compute(torch.device("cpu"))
TABLES = ("chat", "spam")
OURS, OURS_RECOMPUTING, TRL = "groundup", "groundup, recompute", "TRL + PEFT"
SAME_BATCHES = (OURS, OURS_RECOMPUTING, "TRL, our batches", "TRL, our batches, no checkpointing")
# Steps before the first round, of a round, and of each with --quick: each contender takes the same ones.
WARM_UP, STEPS, QUICK_STEPS = 2, 4, 1
# Losses of the first step, ours against theirs: equal, or other work is measured. (Later ones depend on the random adapters.)
SAME_LOSS = {"float32": 1e-3, "bf16": 3e-2}
TARGET, PLAIN_STEPS, QUICK_PLAIN_STEPS = 0.97, 1_000, 50


class Trainer:
    """A contender of "chat" in its own process, at the beginning of its next step."""

    def __init__(self, name: str, model: Path, data: Path, precision: str, folder: Path) -> None:
        python = TRL_PYTHON if name.startswith("TRL") else sys.executable
        words = [python, HERE / "finetune_chat_worker.py", name, model, data, precision, folder]
        self.process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def answer(self) -> dict[str, Any]:
        """What it says next. Raises RuntimeError when it failed."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        said: dict[str, Any] = json.loads(line) if line else {"error": "it ended"}
        if said["error"]:
            raise RuntimeError(f"{self.process.args}: {said['error']}")
        return said

    def step(self) -> dict[str, Any]:
        """Have it take a step."""
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return self.answer()

    def peak_mb(self) -> float:
        """The most memory that its process had, and those that it started."""
        return sum(map(peak_mb, tree(self.process.pid)))

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    children = " ".join(each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children"))
    return [pid, *(below for child in children.split() for below in tree(int(child)))]


def peak_mb(pid: int) -> float:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1000


def chat_rows(model: Path, precisions: Sequence[str], rounds: int, quick: bool) -> Iterator[Row]:
    """Each precision. Raises Skipped."""
    if not TRL_PYTHON.exists():
        raise Skipped(f"{TRL_PYTHON} is not there (`make .venv-trl/bench.done` makes it).")
    data = chat_data(model)
    warm_up, steps = (QUICK_STEPS, QUICK_STEPS) if quick else (WARM_UP, STEPS)
    for precision in precisions:
        with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
            file = Path(temporary) / "data.json"
            file.write_text(json.dumps(data))
            started: dict[str, Trainer] = {}
            for name in (TRL, *SAME_BATCHES):
                folder = Path(temporary) / str(len(started))
                started[name] = Trainer(name, model, file, precision, folder)
                stack.callback(started[name].close)
                started[name].answer()
            losses = {
                name: [each.step()["loss"] for _ in range(warm_up)]
                for name, each in started.items()
            }
            print(f"{precision}, losses of the first steps: {losses}", flush=True)
            first = [losses[name][0] for name in SAME_BATCHES]
            assert max(first) - min(first) < SAME_LOSS[precision], losses
            wall, cpu = rounds_of(started, rounds, steps)
            yield from rows_of(f"chat, {precision}", "tokens/s", wall)
            yield from rows_of(f"chat, {precision}, processor time", "tokens/s", cpu)
            memory = {name: [each.peak_mb()] for name, each in started.items()}
            yield from rows_of(f"chat, {precision}, memory", "MB", memory)


def chat_data(model: Path) -> dict[str, Any]:
    """What the contenders are given: the rendered rows and their batches."""
    source = instructions_source("starter")
    config, opened = ChatConfig(), open_model(model, CPU)
    limit = config.limit(opened.config.context_tokens)
    data = make_instruction_data(
        read_chat(Data(source)), opened.require_tokenizer(), max_tokens=limit, seed=config.seed
    )
    lengths = [len(each.ids) for each in data.train]
    batches = epoch_batches(lengths, config.batch_size, seed=config.seed, epoch=0)
    rows = [
        {
            "input_ids": list(each.ids),
            "labels": [
                id if counts else IGNORED_LABEL
                for id, counts in zip(each.ids, each.mask, strict=True)
            ],
        }
        for each in data.train
    ]
    print(
        f"{sum(lengths):,} tokens, {data.supervised_share:.1%} supervised, batches of {config.batch_size}",
        flush=True,
    )
    return {"source": "starter", "rows": rows, "batches": batches}


def rounds_of(
    started: dict[str, Trainer], rounds: int, steps: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds, and seconds of processor time, by the supervised token of every contender in every round, every other round backwards."""
    wall: dict[str, list[float]] = {name: [] for name in started}
    cpu: dict[str, list[float]] = {name: [] for name in started}
    for number in range(rounds):
        for name in started if number % 2 == 0 else reversed(started):
            done = [started[name].step() for _ in range(steps)]
            tokens = sum(each["tokens"] for each in done)
            wall[name].append(sum(each["seconds"] for each in done) / tokens)
            cpu[name].append(sum(each["cpu_s"] for each in done) / tokens)
            by_cpu = f"{1 / cpu[name][-1]:.1f} per second of processor time"
            print(
                f"round {number + 1}, {name}: {1 / wall[name][-1]:.1f} supervised tokens per second, {by_cpu}",
                flush=True,
            )
    return wall, cpu


def spam_rows(model: Path, precisions: Sequence[str], rounds: int, quick: bool) -> Iterator[Row]:
    """Every contender with every seed."""
    target, most = (0.5, QUICK_PLAIN_STEPS) if quick else (TARGET, PLAIN_STEPS)
    seconds: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    whole: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        splits = Path(temporary) / "splits.json"
        splits.write_text(json.dumps(spam_splits()))
        for seed in range(rounds):
            for name, kind, precision, cache in contenders(precisions, Path(temporary), seed):
                os.environ["GROUNDUP_CACHE"] = str(cache)
                words = [
                    kind,
                    model,
                    splits,
                    Path(temporary) / f"run {seed} {name}",
                    precision,
                    seed,
                    target,
                    most,
                ]
                found = json.loads(
                    command(sys.executable, HERE / "finetune_spam_worker.py", *words)
                )
                print(f"{name}, seed {seed}: {found}", flush=True)
                if "seconds" not in found:
                    raise Skipped(f"{name} did not reach {target:.0%} with seed {seed}")
                seconds.setdefault(name, []).append(found["seconds"])
                cpu.setdefault(name, []).append(found["cpu_s"])
                memory.setdefault(name, []).append(found["mb"])
                if "whole_s" in found:
                    whole.setdefault(name, []).append(found["whole_s"])
    yield from rows_of(f"to {target:.0%}", "s", seconds)
    yield from rows_of(f"to {target:.0%}, processor time", "s", cpu)
    yield from rows_of("whole", "s", whole)
    yield from rows_of("spam, memory", "MB", memory)


def contenders(
    precisions: Sequence[str], folder: Path, seed: int
) -> Iterator[tuple[str, str, str, Path]]:
    """Name, kind, precision and cache of each, the order by the seed."""
    cache = folder / f"cache {seed}"
    ours = [
        ("groundup", "groundup", "auto", cache),
        ("groundup, features cached", "groundup", "auto", cache),
    ]
    theirs = [(f"plain loop, {precision}", "plain", precision, cache) for precision in precisions]
    yield from [*ours, *theirs] if seed % 2 == 0 else [*theirs, *ours]


def spam_splits() -> dict[str, list[tuple[str, str]]]:
    """Quickstart's messages in its own split."""
    spam = load_recipe("quickstart").of_kind(ClassifierStage)["spam"]
    data = Data(
        spam.source.spec,
        sha256=spam.source.sha256,
        text=spam.text,
        label=spam.label,
    )
    examples = without_repeats(read_labelled(data, progress=Silent())).examples
    sizes = {"train": spam.train, "validation": spam.validation, "test": spam.test}
    splits = stratified_split(examples, sizes, spam.seed or 0)
    return {name: [(each.text, each.label) for each in rows] for name, rows in splits.items()}


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
    os.environ.setdefault(
        "OMP_NUM_THREADS", str(torch.get_num_threads())
    )  # of all contenders, not tuned
    for name in TABLES if options.only is None else (options.only,):
        print(f"\n{name}\n", flush=True)
        try:
            found = list(measured(name, options))
        except Skipped as reason:
            results["skipped"][name] = str(reason)
            print(f"Skipped: {reason}")
            continue
        results["tables"][name] = [asdict(row) for row in found]
        print(table(found), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def measured(name: str, options: argparse.Namespace) -> Iterator[Row]:
    """The rows of one table. Raises Skipped."""
    model = pulled_model()
    if model is None:
        raise Skipped(f"{PULLED} is not in the cache (groundup pull {PULLED}).")
    rows = {"chat": chat_rows, "spam": spam_rows}[name]
    yield from rows(model.resolve(), options.precisions, options.rounds, options.quick)


def parse() -> argparse.Namespace:
    """The command line."""
    kinds = ["bf16" if bf16 else "float32" for bf16 in open_kinds("auto", 576, compute=CPU)]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few steps, one round")
    parser.add_argument("--only", choices=TABLES, help="one table")
    parser.add_argument(
        "--precisions", type=lambda text: text.split(","), default=kinds, metavar="P,P"
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


if __name__ == "__main__":
    main()
