"""A training step against transformers' Llama with the same weights: forward, backward, clipping, AdamW, in float32.

Run as `python spine_training.py CONTENDER SHAPE` it takes three steps and prints by how many MB its process grew: the peak memory.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from measure import Contender, Row, command, compare, costs
from peers import load_transformers
from torch import Tensor, nn

from groundup.data.batches.loader import Batch
from groundup.device import generator, peak_memory_bytes
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.model.presets import preset
from groundup.model.sizes import parameter_count
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import next_token_loss
from groundup.train.steps.step import average_and_clip, sum_gradients
from groundup.weights.model_io import save_model

TITLE = "one training step on a batch of 8 x 128 tokens, float32"
BATCH_SIZE = 8
CONFIG = FitConfig(steps=1, batch_size=BATCH_SIZE, optimizer=AdamW(learning_rate=1e-4))
QUICKSTART = preset("quickstart")
SHAPES: dict[str, ModelConfig] = {
    "quickstart": QUICKSTART,
    "10M": replace(
        QUICKSTART,
        width=320,
        num_layers=7,
        num_heads=5,
        num_kv_heads=5,
        head_width=64,
        feedforward_width=864,
    ),
}
OURS, PLAIN, FUSED = (
    "groundup",
    "transformers, AdamW as it comes",
    "transformers, AdamW(fused=True)",
)
CONTENDERS = (OURS, PLAIN, FUSED)
STEPS = {"quickstart": 10, "10M": 2}
# Cross-entropy of the first step, ours against theirs: equal, or other work is measured.
SAME_LOSS = 1e-4

Step = Callable[[], float]


def rows(quick: bool) -> list[Row]:
    """Tokens per second for each shape, and the memory of a process that takes three steps."""
    found = []
    for shape in ("quickstart",) if quick else SHAPES:
        found += speed(shape, 2 if quick else 7)
        found += [] if quick else memory(shape)
    return found


def speed(shape: str, rounds: int) -> list[Row]:
    """The same batch again and again: what a step costs does not hang on what is in it."""
    batch, steps = random_batch(SHAPES[shape]), STEPS[shape]
    made = {name: make_step(name, SHAPES[shape], batch) for name in CONTENDERS}
    losses = [step() for step in made.values()]
    assert max(losses) - min(losses) < SAME_LOSS, losses
    tokens = steps * batch.ids.numel()
    contenders = [
        Contender(name, partial(repeat, step, steps), tokens) for name, step in made.items()
    ]
    return compare(what(shape), "tokens/s", contenders, rounds=rounds)


def what(shape: str) -> str:
    """The shape with its parameters."""
    return f"step, {shape} ({parameter_count(SHAPES[shape]).total / 1e6:.1f}M)"


def repeat(step: Callable[[], object], times: int) -> None:
    """Several steps."""
    for _ in range(times):
        step()


def random_batch(config: ModelConfig) -> Batch:
    """Ids drawn from a seed."""
    size = (BATCH_SIZE, config.context_tokens + 1)
    ids = torch.randint(config.vocab_size, size, generator=generator(0, "benchmark"))
    return Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())


def make_step(contender: str, config: ModelConfig, batch: Batch) -> Step:
    """What the contender does for one update, on a model of its own with the same first weights; it gives the loss."""
    model = new_model(config)
    if contender == OURS:
        return our_step(model, batch)
    peer = as_transformers(model)
    del model
    optimizer = torch.optim.AdamW(
        peer.parameters(), lr=CONFIG.optimizer.learning_rate, fused=contender == FUSED or None
    )
    return plain_step(
        peer, lambda: peer(input_ids=batch.ids, use_cache=False).logits, batch.labels, optimizer
    )


def new_model(config: ModelConfig) -> LanguageModel:
    """With the same first weights at each call."""
    model = LanguageModel(config)
    initialise(model, generator(0, "weights"))
    return model


def our_step(model: LanguageModel, batch: Batch) -> Step:
    """The parts that fit() puts together for a step."""
    optimizer, parameters = CONFIG.optimizer.build(model), list(model.parameters())

    def step() -> float:
        optimizer.zero_grad()
        summed = sum_gradients(
            model, [batch], next_token_loss, device=torch.device("cpu"), bf16=False
        )
        average_and_clip(parameters, summed.count, CONFIG.stability.clip_norm)
        optimizer.step()
        return summed.mean

    return step


def plain_step(
    model: nn.Module, logits: Callable[[], Tensor], labels: Tensor, optimizer: torch.optim.Optimizer
) -> Step:
    """The loop of every tutorial."""

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits().flatten(0, 1), labels.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CONFIG.stability.clip_norm)
        optimizer.step()
        return loss.item()

    return step


def as_transformers(model: LanguageModel) -> nn.Module:
    """The same weights in transformers' own class, with its fused attention."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder))
        return load_transformers(Path(folder), torch.float32).train()


def memory(shape: str) -> list[Row]:
    """Each in a process of its own."""
    measured = {name: float(command(sys.executable, __file__, name, shape)) for name in CONTENDERS}
    return costs(f"peak memory, {shape}", "MB", measured)


def growth_mb(contender: str, shape: str) -> float:
    """By how much three steps raise the peak of this process; what importing the libraries took is left out."""
    batch = random_batch(SHAPES[shape])
    before = peak_memory_bytes()
    repeat(make_step(contender, SHAPES[shape], batch), 3)
    return (peak_memory_bytes() - before) / 1e6


if __name__ == "__main__":
    print(growth_mb(*sys.argv[1:]))
