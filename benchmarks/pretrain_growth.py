"""What a training step costs as model, context and batch grow; the loader's share of it, and a checkpoint."""

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from measure import Contender, Row, compare
from spine_training import SHAPES, new_model

from groundup.data.batches.loader import Batch, Windows
from groundup.data.batches.shards import write_shards
from groundup.data.documents import Document
from groundup.data.split import SPLITS, SplitWriter
from groundup.device import keep_freed_memory
from groundup.model.config import ModelConfig
from groundup.model.footprint import training_memory
from groundup.progress import Silent
from groundup.tokenizer.fast import train_tokenizer
from groundup.train.checkpoint.state import Retention, TrainState, save_checkpoint
from groundup.train.checkpoint.tensors import optimizer_tensors, random_states, weight_tensors
from groundup.train.optimizers.built import trainable
from groundup.train.steps.config import pretraining_config
from groundup.train.steps.losses import next_token_loss
from groundup.train.steps.step import average_and_clip, sum_gradients

CPU = torch.device("cpu")
BASE = SHAPES["quickstart"]
WORDS = 40_000


def sized(width: int, layers: int) -> ModelConfig:
    """Quickstart's shape, its numbers scaled."""
    heads = width // 32
    shape = {
        "width": width,
        "num_layers": layers,
        "num_heads": heads,
        "num_kv_heads": heads // 2,
        "head_width": 32,
    }
    return replace(BASE, **shape, feedforward_width=3 * width)


POINTS = {
    "width 128 x 4": (BASE, 8, 128),
    "width 256 x 6": (sized(256, 6), 8, 128),
    "width 512 x 8": (sized(512, 8), 8, 128),
    "context 512": (replace(BASE, context_tokens=512), 2, 512),
    "context 2,048": (replace(BASE, context_tokens=2_048), 1, 2_048),
    "batch 32": (BASE, 32, 128),
    "batch 128": (BASE, 128, 128),
}


class Training:
    """Steps of one model with our default optimizer."""

    def __init__(self, config: ModelConfig) -> None:
        keep_freed_memory()
        self.model = new_model(config)
        self.config = pretraining_config(1)
        self.optimizer = self.config.optimizer.build(self.model)
        self.parameters = list(trainable(self.model).values())

    def step(self, batch: Batch) -> None:
        """One update."""
        self.optimizer.zero_grad()
        summed = sum_gradients(self.model, [batch], next_token_loss, device=CPU, bf16=False)
        average_and_clip(self.parameters, summed.count, self.config.stability.clip_norm)
        self.optimizer.step()

    def save(self, folder: Path) -> None:
        """A checkpoint: written, synced, hashed, read back."""
        tensors = {**optimizer_tensors(self.model, self.optimizer), **random_states(CPU)}
        save_checkpoint(
            folder,
            TrainState("benchmark", step=1),
            weight_tensors(self.model),
            tensors,
            Retention(1),
        )


def growth_rows(rounds: int, quick: bool) -> Iterator[Row]:
    """Microseconds a token would hide how long a step is: steps in ms, the batch as the loader gives it, a checkpoint."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, (config, rows, context) in list(POINTS.items())[: 1 if quick else None]:
            folder = Path(temporary) / name
            windows = loader(folder, context, rows)
            training, positions = Training(config), itertools.count()
            training.step(windows.batch(0))
            batch = windows.batch(1)
            contenders = [
                Contender("step", partial(training.step, batch)),
                Contender(
                    "its batch from the loader", lambda w=windows, p=positions: w.batch(next(p))
                ),
                Contender("checkpoint", partial(training.save, folder / "checkpoints")),
            ]
            planned = training_memory(config, batch_size=rows, context_tokens=context).total
            what = f"{name}: {rows} x {context} tokens, planned {planned / 1e6:.0f} MB"
            yield from compare(what, "ms", contenders, rounds=rounds)


def loader(folder: Path, context: int, rows: int) -> Windows:
    """Windows over numbered words: what they say does not matter here, but they are tokens on a disk."""
    folder.mkdir()
    text = " ".join(f"word {number}" for number in range(WORDS))
    with SplitWriter(folder, SPLITS) as writer:
        for split in SPLITS:
            writer.write(split, Document(text, "numbers", split))
    shards = write_shards(
        folder, train_tokenizer([text], 512), folder / "shards", progress=Silent()
    )
    return Windows(shards, SPLITS[0], context, rows, seed=0)
