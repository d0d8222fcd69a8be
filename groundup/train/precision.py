"""How long a step takes, and from that: float32 or bf16. Both are measured on the model and batches that will be trained.

bf16 halves the work of large matrix products where the processor has it; at small widths the casts cost more than they
save, and without hardware it is slower by far. So it is measured, not guessed.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import nn

from groundup.device import Compute, keep_freed_memory
from groundup.progress import Progress
from groundup.train.config import FitConfig
from groundup.train.optimizers import build_optimizer, trainable
from groundup.train.step import Batch, Loss, average_and_clip, require_supervised, sum_gradients

Chosen = Literal["float32", "bf16"]
Kind = TypeVar("Kind")

MEASURED_S = 2.0
# float32 is exact and needs no casts: bf16 has to be clearly faster, not by the noise of a measurement.
WORTH_IT = 0.95


class StepClock:
    """Takes and times real training steps that leave weights and random state as they are (their learning rate is 0)."""

    def __init__(
        self, model: nn.Module, batches: Sequence[Batch], loss: Loss, config: FitConfig, *, compute: Compute
    ) -> None:
        self._model, self._batches, self._loss = model, batches, loss
        self._clip_norm, self._device = config.clip_norm, compute.device
        if compute.is_cpu:
            keep_freed_memory()  # as fit() does
        self._parameters = list(trainable(model).values())
        self._optimizer = build_optimizer(model, config)
        self._optimizer.set_rate(0.0)

    def step_s(self, *, bf16: bool, loss: Loss | None = None) -> float:
        """Seconds of one step, with the clock's loss or the same one made in another way."""
        started = time.perf_counter()
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            summed = sum_gradients(self._model, self._batches, loss or self._loss, device=self._device, bf16=bf16)
        require_supervised(summed.count)
        norm = average_and_clip(self._parameters, summed.count, self._clip_norm)
        if math.isfinite(norm):  # 0 times infinity would spoil the weights
            self._optimizer.step()
        self._optimizer.zero_grad()
        if self._device.type == "cuda":  # which works on by itself
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - started


def measure_steps(clock: StepClock, kinds: Sequence[bool], *, seconds: float) -> dict[bool, float]:
    """The shortest seconds of a step in each kind (bf16 or not), measured for about `seconds` each."""
    return shortest({bf16: partial(clock.step_s, bf16=bf16) for bf16 in kinds}, seconds=seconds)


def shortest(takes: Mapping[Kind, Callable[[], float]], *, seconds: float) -> dict[Kind, float]:
    """The shortest of the times that each of `takes` gives, called for about `seconds` each.

    The shortest, since a busy machine only ever adds: a median taken in a busy moment once planned 8 steps instead of 2,000. The kinds
    alternate, so that such a moment meets them alike; the first of each warms up and is not counted.
    """
    ends = time.perf_counter() + seconds * len(takes)
    times = {kind: [take()] for kind, take in takes.items()}
    while time.perf_counter() < ends:
        for kind, take in takes.items():
            times[kind].append(take())
    return {kind: min(taken[1:] or taken) for kind, taken in times.items()}


@dataclass(frozen=True)
class Decision:
    """The arithmetic of a run and the measured seconds a step that decided it (none where it was prescribed)."""

    precision: Chosen
    step_s: dict[str, float] = field(default_factory=dict)
    compiled: bool = False
    """Whether torch.compile makes its steps (`compiled.py`)."""


def decide_precision(
    config: FitConfig, model: nn.Module, batches: Sequence[Batch], loss: Loss, *, compute: Compute, progress: Progress
) -> Decision:
    """What the config prescribes; for "auto" the faster of the two, both figures said once."""
    if config.precision != "auto":
        return Decision(config.precision)
    if compute.device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return Decision("float32")
    clock = StepClock(model, batches, loss, config, compute=compute)
    taken = measure_steps(clock, (False, True), seconds=MEASURED_S)
    chosen: Chosen = "bf16" if taken[True] < WORTH_IT * taken[False] else "float32"
    progress.say(
        f"A step takes {1000 * taken[False]:.1f} ms in float32 and {1000 * taken[True]:.1f} ms in bf16: training in {chosen}."
    )
    return Decision(chosen, {"float32": taken[False], "bf16": taken[True]})
