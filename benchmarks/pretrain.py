"""Pretraining against its peers: steps, the time to a loss, cost by size, context and batch, a GPU. Part of `make bench`, or

python benchmarks/pretrain.py [--quick] [--only steps|loss|growth|gpu] [--precisions float32] [--compiled] [--rounds N] [--text FILE]
                             [--json OUT]

*steps*: forward, backward, clipping, AdamW on the same weights and ids, against a plain PyTorch loop, transformers' Trainer and litgpt, each in a
process of its own (model_worker.py); "groundup, Muon" is our default optimizer, which does more work a step. "products alone" is the bound: the
step's products at the rate that this machine multiplies large matrices. --compiled adds our steps and plain PyTorch's by torch.compile, as our
runs of five minutes and more have them where that was measured to be faster. *loss*: the wall time until our
defaults reach the validation loss at which nanoGPT's own CPU recipe ends (pretrain_loss.py), on Shakespeare or on FILE. *growth*: a step's
time and memory against width, context and batch, with the loader's share and a checkpoint's time. *gpu*: tokens per second in bf16 against a
plain compiled loop; skipped where there is no GPU.
--quick takes tiny sizes and one round: it shows that everything runs.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="true")

import torch
from measure import Contender, Row, Skipped, command, compare, costs, machine, table
from model import LITGPT, LITGPT_PYTHON, OURS, SAME_LOSS, workers
from pretrain_gpu import gpu_rows
from pretrain_growth import growth_rows
from spine import describe
from spine_training import SHAPES as SPINE_SHAPES
from spine_training import new_model

from groundup.model.config import ModelConfig
from groundup.model.matmul_precision import peak_flops
from groundup.model.sizes import flops_per_token
from groundup.weights.model_io import save_model

HERE = Path(__file__).parent
PEERS = ("groundup, Muon", "plain PyTorch", "transformers Trainer")
COMPILED = ("groundup, compiled", "plain PyTorch, compiled")


@dataclass(frozen=True)
class Size:
    """A model and the batch that it is trained on."""

    config: ModelConfig
    rows: int
    context: int


SIZES = {
    "1M": Size(SPINE_SHAPES["quickstart"], 8, 128),
    "10M": Size(replace(SPINE_SHAPES["10M"], context_tokens=256), 8, 256),
    "124M": Size(ModelConfig(50_257, 512, 768, 12, 12, 2_048), 1, 512),
}
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}
PRECISIONS = tuple(DTYPES)
TABLES = ("steps", "loss", "growth", "gpu")
# Ours end below the target within so many steps; the schedule is laid out over them. Found by trial (docs/log.md).
RECIPE_STEPS, OUR_STEPS = 2_000, {"bytes": 280, "tokens": 160}
QUICK_STEPS = 10


def step_rows(rounds: int, quick: bool, precisions: Sequence[str], compiled: bool) -> Iterator[Row]:
    """Each size in each precision."""
    names = [
        OURS,
        *PEERS,
        *(COMPILED if compiled else ()),
        *([LITGPT] if LITGPT_PYTHON.exists() else []),
    ]
    for name, size in SIZES.items():
        if quick:
            tiny = replace(
                size.config,
                width=64,
                num_layers=1,
                num_heads=2,
                num_kv_heads=2,
                head_width=32,
                vocab_size=128,
            )
            size = Size(tiny, 2, 32)
        with tempfile.TemporaryDirectory() as folder:
            save_model(new_model(size.config), Path(folder))
            for precision in precisions:
                yield from steps_of(
                    f"{name}, {precision}", names, size, Path(folder), precision, rounds
                )
        if quick:
            return


def steps_of(
    what: str, names: Sequence[str], size: Size, folder: Path, precision: str, rounds: int
) -> list[Row]:
    """Steps and memory of one size; the first losses are compared."""
    with workers(names, folder, size.rows, size.context, precision) as started:
        losses = {name: worker.tell("forward")["loss"] for name, worker in started.items()}
        assert max(losses.values()) - min(losses.values()) < SAME_LOSS[precision], losses
        tokens = size.rows * size.context
        contenders = [
            Contender(name, partial(worker.tell, "step"), tokens)
            for name, worker in started.items()
        ]
        found = compare(f"step, {what}", "tokens/s", contenders, rounds=rounds)
        memory = {name: worker.tell("memory")["mb"] for name, worker in started.items()}
    return [*found, bound(found[0], size, precision), *costs(f"memory, {what}", "MB", memory)]


def bound(ours: Row, size: Size, precision: str) -> Row:
    """The products of a step, forward and twice that backward, at the machine's rate."""
    flops = flops_per_token(size.config, context_tokens=size.context).training
    per_second = peak_flops(torch.device("cpu"), DTYPES[precision]) / flops
    ratio = ours.median / per_second
    return replace(
        ours,
        contender="products alone",
        median=per_second,
        ratio=ratio,
        lowest=ratio,
        highest=ratio,
    )


def loss_rows(rounds: int, quick: bool, text: Path | None) -> Iterator[Row]:
    """The recipe, then ours to its end's loss, alternately. Raises Skipped when ours does not get there."""
    on_text = [] if text is None else ["--text", text]
    worker = partial(command, sys.executable, HERE / "pretrain_loss.py")
    taken: dict[str, list[float]] = {"bytes": [], "tokens": [], "nanogpt": []}
    for _ in range(rounds):
        recipe = json.loads(worker("nanogpt", QUICK_STEPS if quick else RECIPE_STEPS, *on_text))
        taken["nanogpt"].append(recipe["seconds"])
        print(f"nanoGPT's recipe: {recipe['bits_per_byte']:.3f} bits per byte", flush=True)
        for kind, steps in OUR_STEPS.items():
            target = 9.0 if quick else recipe["bits_per_byte"]
            ours = json.loads(worker(kind, steps, "--target", target, *on_text))
            if not ours["reached"]:
                raise Skipped(
                    f"ours on {kind} ended at {ours['bits_per_byte']:.3f} bits per byte, above the recipe"
                )
            taken[kind].append(ours["seconds"])
    names = {
        "bytes": "groundup on bytes, same size",
        "tokens": "groundup as it comes",
        "nanogpt": "nanoGPT's recipe",
    }
    for kind, seconds in taken.items():
        ratios = [theirs / ours for theirs, ours in zip(seconds, taken["bytes"], strict=True)]
        noise = max(seconds) / min(seconds)
        yield Row(
            "time to its loss",
            names[kind],
            median(seconds),
            "s",
            median(ratios),
            min(ratios),
            max(ratios),
            noise,
        )


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
    steps = partial(step_rows, precisions=options.precisions, compiled=options.compiled)
    on_text = partial(loss_rows, text=options.text)
    made = {"steps": steps, "loss": on_text, "growth": growth_rows, "gpu": gpu_rows}
    for name in TABLES if options.only is None else (options.only,):
        print(f"\n{name}\n", flush=True)
        try:
            found: Sequence[Row] = list(made[name](options.rounds, options.quick))
        except Skipped as reason:
            results["skipped"][name] = str(reason)
            print(f"Skipped: {reason}")
            continue
        results["tables"][name] = [asdict(row) for row in found]
        print(table(found), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round")
    parser.add_argument("--only", choices=TABLES, help="one table")
    parser.add_argument(
        "--precisions", type=lambda text: text.split(","), default=PRECISIONS, metavar="P,P"
    )
    parser.add_argument("--compiled", action="store_true", help="steps by torch.compile, too")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--text", type=Path, metavar="FILE", help="the loss is that of this text")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    if options.text is not None and not options.text.is_file():
        parser.error(
            f"--text {options.text} is no file; name one with some 1.1 million characters or more"
        )
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


if __name__ == "__main__":
    main()
