"""A tiny run that one or two processes make. Under torchrun it makes a list of them, one after the other, since starting costs more than all of them.

    torchrun --nproc_per_node 2 tests/train/shared_run.py JOBS.json      [{"folder": ..., "optimizer": ..., "parallel": ..., ...}, ...]

Ranks supervise different numbers of tokens, one of them none at all in some steps.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from groundup.config import apply_sets, build_config, to_plain
from groundup.data.batches.loader import IGNORED_LABEL, Batch
from groundup.device import Compute, generator
from groundup.errors import GroundupError
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.train.checkpoint.state import MODEL_FILE
from groundup.train.checkpoint.tensors import weight_tensors
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.time_budget import StepControl, TimeBudget
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import Checkpoints, FitConfig
from groundup.train.steps.losses import next_token_loss
from groundup.train.steps.process_group import SINGLE_PROCESS, ProcessGroup
from groundup.train.steps.step import LossSum
from groundup.weights.hf import save_tensors

CPU = Compute(torch.device("cpu"))
STEPS, ROWS = 20, 4
# 33 rows of 2 processes are 17 and 16.
SHAPE = ModelConfig(
    vocab_size=33,
    context_tokens=8,
    width=16,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    feedforward_width=24,
)
CONFIG = FitConfig(
    steps=STEPS,
    batch_size=ROWS,
    accumulation=2,
    evaluate_every=10,
    precision="float32",
    seed=3,
    checkpoints=Checkpoints(every=10, snapshots=2),
    optimizer=AdamW(learning_rate=0.01),
)


class Texts:
    """Texts in which each token tells the next; the labels of some places and rows are masked."""

    fingerprint = "texts"

    def __init__(
        self,
        stop_at: int = -1,
        nonsense: range = range(0),
        batch_s: float = 0.0,
        *,
        packed: bool = False,
    ) -> None:
        self.stop_at, self.nonsense, self.packed = stop_at, nonsense, packed
        self.batch_s, self.now_s = batch_s, 0.0

    def clock(self) -> float:
        """Seconds by which a batch takes `batch_s`, and all else nothing."""
        return self.now_s

    def batch(self, position: int) -> Batch:
        self.now_s += self.batch_s
        if position == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        g = torch.Generator().manual_seed(position)
        ids = torch.randint(0, SHAPE.vocab_size, (ROWS, SHAPE.context_tokens), generator=g)
        labels = ((ids + position if position in self.nonsense else ids) * 3 + 1) % SHAPE.vocab_size
        labels[torch.rand(labels.shape, generator=g) < 0.3] = IGNORED_LABEL
        if position % 7 == 3:
            labels[ROWS // 2 :] = (
                IGNORED_LABEL  # the second of two processes has nothing to learn from
            )
        documents = (
            (torch.rand(labels.shape, generator=g) < 0.3).cumsum(dim=1) if self.packed else None
        )
        return Batch(ids, labels, documents=documents)


def spoiled_loss(model: nn.Module, batch: Batch) -> LossSum:
    """The gradient of one process is no number in the step whose second half has no labels."""
    part = next_token_loss(model, batch)
    spoils = part.count == 0
    return LossSum(part.total + torch.nan if spoils else part.total, part.count)


class Said(Silent):
    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, text: str) -> None:
        with self.path.open("a") as handle:
            handle.write(text + "\n")


def shared_fit(
    job: dict[str, Any], group: ProcessGroup = SINGLE_PROCESS
) -> tuple[nn.Module, FitResult]:
    """The run; what is called once only leaves a line beside its folder."""
    folder = Path(job["folder"])
    model = LanguageModel(SHAPE)
    initialise(model, generator(0, "weights"))
    held_out = Texts().batch(10**6)
    once = Said(folder.with_suffix(".once"))

    def evaluate() -> dict[str, float]:
        once.say(f"evaluate {group.rank}")
        part = next_token_loss(model, held_out)
        return {"validation_loss": part.total.item() / part.count}

    def sample(step: int) -> list[dict[str, Any]]:
        once.say(f"sample {group.rank}")
        return [{"prompt": "", "text": str(step)}]

    changed = {**job.get("config", {}), "parallel": job.get("parallel", "ddp")}
    config = build_config(FitConfig, apply_sets(to_plain(CONFIG), changed))
    stop_at = job.get("stop_at", -1) if group.rank == group.world - 1 else -1
    nonsense = range(*job.get("nonsense", (0, 0)))
    texts = Texts(
        stop_at, nonsense, batch_s=0.5 + 0.5 * group.rank, packed=job.get("packed", False)
    )
    control = (
        StepControl(TimeBudget(job["aim_s"]), clock=texts.clock)
        if "aim_s" in job
        else StepControl()
    )
    result = fit(
        model,
        texts,
        spoiled_loss if job.get("spoiled") else next_token_loss,
        config,
        RunFolder(folder),
        compute=CPU,
        hooks=Hooks(
            evaluate=evaluate,
            sample=sample,
            snapshot=lambda into: save_tensors(weight_tensors(model), into / MODEL_FILE),
            progress=Said(folder.with_suffix(".said")),
            control=control,
        ),
        group=group,
    )
    return model, result


def main() -> None:
    """Each job of a file in turn; how it ended is a line in FOLDER.RANK.jsonl."""
    from groundup.cli.distributed_launch import join_group

    jobs: list[dict[str, Any]] = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    with join_group("cpu") as (group, _):
        for job in jobs:
            ended: dict[str, Any] = {}
            try:
                model, result = shared_fit(job, group)
                ended = {
                    "skipped": result.state.skipped,
                    "rolled_back": result.state.rolled_back,
                    "best_step": result.state.best_step,
                    "tokens": result.state.tokens,
                    "turns": [[turn.step, turn.steps] for turn in result.state.rescales],
                }
                if group.leads:
                    save_tensors(
                        weight_tensors(model), Path(job["folder"]).with_suffix(".safetensors")
                    )
            except SystemExit as stop:
                ended = {"exit": stop.code}
            except GroundupError as error:
                ended = {"error": error.message}
            with Path(job["folder"]).with_suffix(f".{group.rank}.jsonl").open("a") as told:
                told.write(json.dumps(ended) + "\n")


if __name__ == "__main__":
    main()
