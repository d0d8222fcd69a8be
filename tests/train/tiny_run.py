"""A tiny training run as a process of its own, to be killed. Reads requests from stdin (JSON lines) and answers each with a pid and an exit status.

Importing torch takes seconds, so the process imports once and forks for each request; what is forked is a process like any other.
"""

import importlib
import json
import os
import resource
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from stopping import hold_in_save
from torch import Tensor, nn

from groundup.device import Compute
from groundup.errors import GroundupError
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.progress import Silent
from groundup.runs import RunFolder
from groundup.train.checkpoint.state import MODEL_FILE
from groundup.train.checkpoint.tensors import weight_tensors
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.steps import compiled
from groundup.train.steps.config import Checkpoints, FitConfig
from groundup.train.steps.losses import next_token_loss
from groundup.train.steps.step import Loss, LossSum
from groundup.weights.hf import save_tensors

STEPS, VOCABULARY, WIDTH, CONTEXT = 24, 256, 64, 8
CONFIG = FitConfig(
    steps=STEPS,
    batch_size=4,
    accumulation=2,
    evaluate_every=6,
    precision="float32",
    seed=7,
    checkpoints=Checkpoints(every=4, snapshots=6),
)


@dataclass(frozen=True)
class TinyBatch:
    ids: Tensor
    labels: Tensor
    mask: Tensor | None = None
    all_count: bool = False
    documents: Tensor | None = None


class TinyModel(nn.Module):
    """An embedding, dropout (so that random states matter) and a head."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=True)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0.0, 0.1, generator=generator)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.dropout(self.embedding(ids)))


class TinyBlocks(TinyModel):
    """The same with a matrix in a block, which Muon takes."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(WIDTH, WIDTH, bias=False)])
        nn.init.eye_(self.blocks[0].weight)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.dropout(self.blocks[0](self.embedding(ids))))


def model_and_loss(config: FitConfig) -> tuple[nn.Module, Loss]:
    """What a run trains; compiled with Muon a real language model, every pass of ours in it."""
    if config.optimizer.name == "adamw":
        return TinyModel(), tiny_loss
    if config.compile != "on":
        return TinyBlocks(), tiny_loss
    shape = ModelConfig(
        vocab_size=VOCABULARY,
        context_tokens=CONTEXT,
        width=32,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        feedforward_width=64,
    )
    model = LanguageModel(shape)
    initialise(model, torch.Generator().manual_seed(0))
    return model, next_token_loss


# What a run of each kind is: every other part of a config that results depend on differs from the default once.
CONFIGS = {
    "adamw": CONFIG,
    "muon": CONFIG.with_fields(
        {"optimizer": {"name": "muon", "precision": "float32"}, "schedule": "wsd"}
    ),
    "sgd": CONFIG.with_fields({"optimizer": {"name": "sgd", "learning_rate": 0.1}}),
    "bf16": replace(CONFIG, precision="bf16"),
    "muon bf16": CONFIG.with_fields(
        {
            "precision": "bf16",
            "optimizer": {
                "name": "muon",
                "precision": "bf16",
                "polynomial": "polar-express",
                "row_beta": 0.9,
                "cautious_decay": True,
                "equal_rows": True,
            },
        }
    ),
    "compiled": replace(CONFIG, compile="on"),
    "muon compiled bf16": CONFIG.with_fields(
        {
            "compile": "on",
            "precision": "bf16",
            "optimizer": {"name": "muon", "precision": "bf16"},
        }
    ),
}


@dataclass(frozen=True)
class TinyBatches:
    """Random texts in which each token tells the next; a little sleep makes a step long enough to be killed in."""

    sleep_s: float = 0.0
    rows: int = 4
    fingerprint: str = "tiny"

    def batch(self, position: int) -> TinyBatch:
        time.sleep(self.sleep_s)
        generator = torch.Generator().manual_seed(position)
        ids = torch.randint(0, VOCABULARY, (self.rows, CONTEXT), generator=generator)
        return TinyBatch(ids, (ids * 3 + 1) % VOCABULARY)


def tiny_loss(model: nn.Module, batch: TinyBatch) -> LossSum:
    logits = model(batch.ids)
    total = F.cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), ignore_index=-100, reduction="sum"
    )
    return LossSum(total, int((batch.labels != -100).sum()))


class Said(Silent):
    """Keeps what was said in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, text: str) -> None:
        with self.path.open("a") as handle:
            handle.write(text + "\n")


def tiny_fit(folder: Path, *, config: FitConfig = CONFIG, sleep_s: float = 0.0) -> FitResult:
    """The run that all tests of interruption make."""
    model, loss = model_and_loss(config)
    held_out = TinyBatches(rows=8).batch(10**6)

    def evaluate() -> dict[str, float]:
        time.sleep(sleep_s * 5)
        part = loss(model, held_out)
        return {"validation_loss": part.total.item() / part.count}

    def sample(step: int) -> list[dict[str, object]]:
        return [
            {"prompt": "", "text": str(torch.randint(0, 1000, (3,)).tolist())}
        ]  # draws from the run's own generator

    return fit(
        model,
        TinyBatches(sleep_s),
        loss,
        config,
        RunFolder(folder),
        compute=Compute(torch.device("cpu")),
        hooks=Hooks(
            evaluate=evaluate,
            sample=sample,
            snapshot=lambda folder: save_tensors(weight_tensors(model), folder / MODEL_FILE),
            progress=Said(folder.with_suffix(".said")),
        ),
    )


def child(request: dict[str, object]) -> int:
    """One run, with the exit codes of the command line."""
    if "file_limit_bytes" in request:
        limit = int(str(request["file_limit_bytes"]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    folder = Path(str(request["folder"]))
    if at_file := int(str(request.get("hold_in_save", 0))):
        hold_in_save(folder, at_file)
    try:
        config = CONFIGS[str(request.get("kind", "adamw"))]
        tiny_fit(folder, config=config, sleep_s=float(str(request.get("sleep_s", 0))))
    except KeyboardInterrupt:
        return 130
    except GroundupError as error:
        Said(folder.with_suffix(".said")).say(f"error: {error}")
        return 2
    return 0


def main() -> None:
    torch.set_num_threads(1)
    compiled.MEASURED_S = 0.05
    # An optimizer imports it, for a second and more: once, before forking.
    importlib.import_module("torch._dynamo")
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "compiled" in str(request.get("kind")):
            importlib.import_module(
                "torch._inductor.compile_fx"
            )  # seconds, too: once, and only where it is needed
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = child(request)
            except SystemExit as stop:
                code = int(str(stop.code))
            finally:
                os._exit(code)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
