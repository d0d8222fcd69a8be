"""The time of a training step, and the choice between float32 and bf16 by it, both measured on the
model and batches that will be trained.

bf16 halves the work of large matrix products where the processor has it; at small widths the casts
cost more than they save, and where it is emulated a step may take minutes. So it is measured, for a
twentieth of the run at most, and never tried where one small product shows that it is slow. With
`Compute.fixed_choices` nothing is measured: float32 on a CPU, bf16 on a GPU that has it.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import nn

from groundup.device import Compute, keep_freed_memory, shortest
from groundup.model.matmul_precision import ProductTimes, product_times
from groundup.progress import Progress
from groundup.train.optimizers.built import trainable
from groundup.train.optimizers.muon import Muon, is_block_matrix
from groundup.train.steps.config import FitConfig, TrainPrecision
from groundup.train.steps.step import (
    Batch,
    Loss,
    average_and_clip,
    require_supervised,
    sum_gradients,
)

Chosen = Literal["float32", "bf16"]

MEASURED_S = 2.0
# No measurement takes more of a run than this share of it, nor is one second too much.
PROBE_SHARE, SHORT_S = 1 / 20, 1.0
# A product that takes this many times as long in bf16 is emulated, whatever the processor reports.
EMULATED = 2.0
# Where steps take too long to be tried in both, a product decides. It has to gain more, as a step
# is not products alone.
PRODUCT_WORTH_IT = 0.75
# float32 is exact and needs no casts: bf16 has to be faster by more than the noise of a
# measurement.
WORTH_IT = 0.95


class StepClock:
    """Times real training steps that leave weights and random state as they are (their learning
    rate is 0).
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Sequence[Batch],
        loss: Loss,
        config: FitConfig,
        *,
        compute: Compute,
    ) -> None:
        self.model, self.loss, self.compute = model, loss, compute
        self.muon = decide_muon(config, model, compute=compute)
        self.config = self.muon.closed(config)
        self._batches, self._device = batches, compute.device
        if compute.is_cpu:
            keep_freed_memory()  # as fit() does
        self._parameters = list(trainable(model).values())
        self._optimizer = self.config.optimizer.build(model)
        self._optimizer.set_rate(0.0)

    def step_s(self, *, bf16: bool, loss: Loss | None = None) -> float:
        """With the clock's loss or another version of it (compiled)."""
        started = time.perf_counter()
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            summed = sum_gradients(
                self.model, self._batches, loss or self.loss, device=self._device, bf16=bf16
            )
        require_supervised(summed.count)
        norm = average_and_clip(self._parameters, summed.count, self.config.stability.clip_norm)
        if math.isfinite(norm):  # 0 times infinity would spoil the weights
            self._optimizer.step()
        self._optimizer.zero_grad()
        if self._device.type == "cuda":  # which works asynchronously
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - started


def measure_steps(
    clock: StepClock, kinds: Sequence[bool], *, seconds: float, progress: Progress | None = None
) -> dict[bool, float]:
    """The shortest seconds of a step in each precision (bf16 or not)."""
    takes = {bf16: partial(clock.step_s, bf16=bf16) for bf16 in kinds}
    return shortest(takes, seconds=seconds, progress=progress)


@dataclass(frozen=True)
class MeasuredPrecision:
    """The precision of a run and the seconds a step that decided it."""

    precision: Chosen
    step_s: dict[str, float] = field(default_factory=dict)
    compiled: bool = False


@dataclass(frozen=True)
class MuonDecision:
    """The precision in which Muon orthogonalises (None without it), and the product measured."""

    precision: Chosen | None
    times: ProductTimes | None = None

    def closed(self, config: FitConfig) -> FitConfig:
        if self.precision is None:
            return config
        return config.with_fields({"optimizer.precision": self.precision})


def decide_muon(config: FitConfig, model: nn.Module, *, compute: Compute) -> MuonDecision:
    """For "auto" bf16, but float32 where the processor has none or emulates it."""
    if not isinstance(config.optimizer, Muon):
        return MuonDecision(None)
    if config.optimizer.precision != "auto":
        return MuonDecision(config.optimizer.precision)
    times = None
    if compute.is_cpu and not compute.fixed_choices:
        rows, columns = _largest_matrix(model)
        times = product_times(rows, columns, compute.device)
    if compute.has_bf16 and (times is None or times.slowdown < EMULATED):
        return MuonDecision("bf16", times)
    return MuonDecision("float32", times)


def _largest_matrix(model: nn.Module) -> tuple[int, int]:
    """Of those that train in a block: rows and columns, the fewer first as Muon transposes them."""
    shapes = [p.shape for name, p in trainable(model).items() if is_block_matrix(name, p.shape)]
    rows, columns = sorted(max(shapes, key=lambda shape: shape.numel(), default=(1, 1)))
    return rows, columns


def open_kinds(precision: TrainPrecision, width: int, *, compute: Compute) -> tuple[bool, ...]:
    """Which of float32 (False) and bf16 (True) are worth a measured step."""
    if precision != "auto":
        return (precision == "bf16",)
    if compute.fixed_choices:
        return (fixed_precision(compute) == "bf16",)
    emulated = (
        compute.is_cpu
        and compute.has_bf16
        and product_times(width, width, compute.device).slowdown >= EMULATED
    )
    if emulated or not compute.has_bf16:
        return (False,)
    return (False, True)


def fixed_precision(compute: Compute) -> Chosen:
    """Where nothing is measured."""
    if compute.has_bf16 and not compute.is_cpu:
        return "bf16"
    return "float32"


def decide_precision(
    clock: StepClock, *, progress: Progress, run_s: float | None = None
) -> MeasuredPrecision:
    """For "auto" the faster of the two, both figures reported. `run_s`: the time budget."""
    config, compute = clock.config, clock.compute
    if config.precision != "auto":
        return MeasuredPrecision(config.precision)
    if compute.fixed_choices:
        return MeasuredPrecision(fixed_precision(compute))
    width = max(_largest_matrix(clock.model))
    if open_kinds("auto", width, compute=compute) == (False,):
        what = "processor" if compute.is_cpu else "device"
        progress.say(f"There is no bf16 in this {what}: training in float32.")
        return MeasuredPrecision("float32")
    first_s = clock.step_s(bf16=False)
    most_s = max(SHORT_S, PROBE_SHARE * (run_s or config.steps * first_s))
    if 3 * first_s > most_s:  # this one, and one in each precision
        return _by_product(width, compute, progress)
    taken = measure_steps(
        clock, (False, True), seconds=min(MEASURED_S, most_s / 4), progress=progress
    )
    chosen: Chosen = "bf16" if taken[True] < WORTH_IT * taken[False] else "float32"
    step_s = {"float32": taken[False], "bf16": taken[True]}
    progress.say(
        f"A step takes {1000 * step_s['float32']:.1f} ms in float32 "
        f"and {1000 * step_s['bf16']:.1f} ms in bf16: training in {chosen}."
    )
    return MeasuredPrecision(chosen, step_s)


def _by_product(width: int, compute: Compute, progress: Progress) -> MeasuredPrecision:
    """Where steps take too long to be tried."""
    times = product_times(width, width, compute.device)
    chosen: Chosen = "bf16" if times.slowdown < PRODUCT_WORTH_IT else "float32"
    progress.say(
        f"A step takes too long to measure one in each precision; {times}: training in {chosen}."
    )
    return MeasuredPrecision(chosen)
