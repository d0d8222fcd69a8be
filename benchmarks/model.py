"""The model against transformers and litgpt: forward passes, training steps, memory; and attention alone. part of `make bench`, or

python benchmarks/model.py [--quick] [--only llama|gpt2|attention] [--contexts 128,4096] [--precisions float32] [--rounds N] [--json OUT]

Every contender runs in a process of its own (`model_worker.py`; litgpt with the python of its own environment, which make makes), on the same
weights and ids; they run alternately, and their first losses are compared before anything is timed. *forward*: the loss of a batch without
gradients. *step*: forward, backward, clipping, AdamW. *memory*: by how much a process has grown at its peak. *transformers, our settings*: with the
faster float32 products and the kept memory that we switch on (`model/matmul_precision.py`, `device.keep_freed_memory`), so that the rest is
our code.
--quick takes tiny models and one round: it shows that everything runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from measure import Contender, Row, compare, costs, machine, table
from spine import describe
from torch import Tensor

from groundup.device import generator, keep_freed_memory
from groundup.model.attention_blocks import causal_attention
from groundup.model.attention_steps import naive_attention
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.matmul_precision import fast_matmul
from groundup.model.presets import preset
from groundup.weights.model_io import save_model

HERE = Path(__file__).parent
LITGPT_PYTHON = HERE.parent / ".venv-litgpt" / "bin" / "python"
OURS, THEIRS, THEIRS_FAST, LITGPT = (
    "groundup",
    "transformers",
    "transformers, our settings",
    "litgpt",
)
SHAPES: dict[str, ModelConfig] = {
    "llama": ModelConfig(
        vocab_size=4_096,
        context_tokens=4_096,
        width=256,
        num_layers=6,
        num_heads=4,
        num_kv_heads=2,
        feedforward_width=704,
        tied_head=False,
    ),
    "gpt2": replace(
        preset("gpt2"),
        vocab_size=4_096,
        context_tokens=4_096,
        width=256,
        num_layers=6,
        num_heads=4,
        num_kv_heads=4,
        head_width=64,
        feedforward_width=1_024,
    ),
}
CONTEXTS = (128, 512, 2_048, 4_096)
PRECISIONS = ("float32", "bf16")
# Tokens of a batch, where the context is shorter.
BATCH_TOKENS = 2_048
TABLES = (*SHAPES, "attention")
# Losses of the first step, ours against theirs: equal, or other work is measured.
SAME_LOSS = {"float32": 1e-3, "bf16": 2e-2}


class Worker:
    """A contender's process."""

    def __init__(self, name: str, folder: Path, rows: int, context: int, precision: str) -> None:
        python = LITGPT_PYTHON if name == LITGPT else sys.executable
        command = [python, HERE / "model_worker.py", name, folder, rows, context, precision]
        arguments = [str(part) for part in command]
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, what: str) -> dict[str, float]:
        """Have it done; what it answers."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def model_rows(
    family: str, contexts: Sequence[int], precisions: Sequence[str], rounds: int, quick: bool
) -> Iterator[Row]:
    """Every context in every precision."""
    config = SHAPES[family]
    if quick:
        config = replace(
            config, width=64, num_layers=1, head_width=16, feedforward_width=64, vocab_size=128
        )
    with tempfile.TemporaryDirectory() as temporary:
        model = LanguageModel(config)
        initialise(model, generator(0, "weights"))
        save_model(model, Path(temporary))
        for precision in precisions:
            for context in contexts:
                yield from point(family, Path(temporary), context, precision, rounds)


def point(family: str, folder: Path, context: int, precision: str, rounds: int) -> list[Row]:
    """Forward, step and memory at one context."""
    batch = max(1, BATCH_TOKENS // context)
    names = [OURS, THEIRS, THEIRS_FAST]
    if family == "llama" and LITGPT_PYTHON.exists():
        names.append(LITGPT)
    found = []
    with workers(names, folder, batch, context, precision) as started:
        losses = {name: worker.tell("forward")["loss"] for name, worker in started.items()}
        assert max(losses.values()) - min(losses.values()) < SAME_LOSS[precision], losses
        for what in ("forward", "step"):
            contenders = [
                Contender(name, partial(worker.tell, what), batch * context)
                for name, worker in started.items()
            ]
            found += compare(
                f"{what}, {precision}, {context:,}", "tokens/s", contenders, rounds=rounds
            )
        memory = {name: worker.tell("memory")["mb"] for name, worker in started.items()}
    return [*found, *costs(f"memory, {precision}, {context:,}", "MB", memory)]


@contextmanager
def workers(
    names: Sequence[str], folder: Path, rows: int, context: int, precision: str
) -> Iterator[dict[str, Worker]]:
    """One a name, ended at the end."""
    with ExitStack() as stack:
        started = {name: Worker(name, folder, rows, context, precision) for name in names}
        for worker in started.values():
            stack.callback(worker.close)
        yield started


def attention_rows(contexts: Sequence[int], rounds: int) -> Iterator[Row]:
    """One block's attention, 4 heads of 64 that share 2: forward and backward, float32."""
    keep_freed_memory()
    for context in contexts:
        batch = max(1, BATCH_TOKENS // context)
        draw = generator(0, "attention")
        given = [
            torch.randn(batch, heads, context, 64, generator=draw).requires_grad_()
            for heads in (4, 2, 2)
        ]
        ways = {
            "groundup": lambda *qkv: causal_attention(*qkv, 64**-0.5),
            "SDPA": lambda *qkv: torch.nn.functional.scaled_dot_product_attention(
                *qkv, is_causal=True, enable_gqa=True
            ),
            "naive": naive_attention,
        }
        contenders = [
            Contender(
                name,
                partial(forward_backward, way, given, fast=name == "groundup"),
                batch * context,
            )
            for name, way in ways.items()
        ]
        yield from compare(f"attention, {context:,}", "tokens/s", contenders, rounds=rounds)


def forward_backward(way: Any, given: Sequence[Tensor], *, fast: bool) -> None:
    """Once; ours as in a step, the others as torch comes."""
    with fast_matmul(torch.device("cpu" if fast else "meta")):
        torch.autograd.grad(way(*given).sum(), given)


def main() -> None:
    """Measure, print, and write the JSON where it is asked for."""
    options = parse()
    results: dict[str, Any] = {"machine": machine(), "quick": options.quick, "tables": {}}
    print(describe(results["machine"]))
    if not LITGPT_PYTHON.exists():
        print(f"litgpt is left out: {LITGPT_PYTHON} is not there (`make bench` makes it).")
    for name in TABLES if options.only is None else (options.only,):
        print(f"\n{name}\n", flush=True)
        if name == "attention":
            found = list(attention_rows(options.contexts, options.rounds))
        else:
            found = list(
                model_rows(
                    name, options.contexts, options.precisions, options.rounds, options.quick
                )
            )
        results["tables"][name] = [asdict(row) for row in found]
        print(table(found), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny models, one round")
    parser.add_argument("--only", choices=TABLES, help="one table")
    parser.add_argument(
        "--contexts", type=lambda text: [int(part) for part in text.split(",")], metavar="N,N"
    )
    parser.add_argument(
        "--precisions", type=lambda text: text.split(","), default=PRECISIONS, metavar="P,P"
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures there")
    options = parser.parse_args()
    options.contexts = options.contexts or ((16,) if options.quick else CONTEXTS)
    options.rounds = options.rounds or (1 if options.quick else 5)
    return options


if __name__ == "__main__":
    main()
