"""Compiled steps: torch.compile of the forward and backward pass of a loss, where that is worth its
time. "auto": on CUDA always; on a CPU where it was measured to be faster, in runs of which a tenth
pays for the trial (20 s of compiling saved a fifth of a small model's step, docs/log.md).

One graph goes from ids to gradients: the plain formulas where `model.fused` has fused them by hand,
and the hand-written passes of attention and cross-entropy as they are. A run of several processes
is never compiled. Compiled code on a CPU gives the same bits every time only under torch's
deterministic algorithms, which `repeatable` sets.
"""

import contextlib
import dataclasses
import importlib.util
import shutil
import time
from collections.abc import Iterator
from typing import Any

import torch

from groundup.device import shortest
from groundup.progress import Progress
from groundup.train.steps.precision import MEASURED_S, WORTH_IT, MeasuredPrecision, StepClock
from groundup.train.steps.step import Loss

DETERMINISTIC: Any = torch.utils.deterministic
COMPILERS = ("c++", "g++", "clang++", "cl")  # the last one on Windows
# Seconds to compile a model of a few blocks, and the share of a run that may be spent on a trial.
COMPILE_S = 30.0
TRIAL_SHARE = 1 / 10


def compile_loss(loss: Loss) -> Loss:
    """Compiled at its first call and for every new shape of batch; evaluation runs uncompiled."""
    made: Loss = torch.compile(loss, dynamic=False)
    return made


@contextlib.contextmanager
def repeatable(compiled: bool, device: torch.device) -> Iterator[None]:
    """Inside, on a CPU, compiled steps give the same bits every time."""
    if not compiled or device.type != "cpu":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    filled = DETERMINISTIC.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    DETERMINISTIC.fill_uninitialized_memory = False  # no uninitialised memory is read
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        DETERMINISTIC.fill_uninitialized_memory = filled


def compile_obstacle(device: torch.device, *, shared: bool = False) -> str:
    """What prevents compiling on this machine. `shared`: several processes train together."""
    if shared:
        return "it is not tested with several processes"
    if device.type == "cuda":
        return "" if importlib.util.find_spec("triton") else "the package triton is not installed"
    if device.type != "cpu":
        return f"it is not tested on {device.type}"
    if any(shutil.which(name) for name in COMPILERS):
        return ""
    return f"there is no C++ compiler ({', '.join(COMPILERS)})"


def decide_compile(
    decision: MeasuredPrecision, clock: StepClock, *, progress: Progress, shared: bool = False
) -> MeasuredPrecision:
    """The decision about precision with that about compiling added; the reason is reported."""
    compile, device = clock.config.compile, clock.compute.device
    if compile == "off" or clock.config.blocks.drop:  # compiled anew for each choice of blocks
        return decision
    trial = _CompileTrial(decision, clock)
    by_measuring = compile == "auto" and device.type != "cuda"
    if by_measuring and (clock.compute.fixed_choices or shared or not trial.may_pay()):
        return decision
    obstacle = compile_obstacle(device, shared=shared)
    if obstacle:
        progress.say(f"Training without torch.compile: {obstacle}.")
        return decision
    return trial.run(progress)


@dataclasses.dataclass(frozen=True)
class _CompileTrial:
    """Plain and compiled steps, on the model and batches that will be trained."""

    decision: MeasuredPrecision
    clock: StepClock

    def may_pay(self) -> bool:
        """Whether compiling costs little of the run, even in vain."""
        steps, known = self.clock.config.steps, self.decision.step_s.get(self.decision.precision)
        taken = (known or self._step_s(self.clock.loss) for _ in range(2))  # the first warms up
        return all(TRIAL_SHARE * steps * step_s >= COMPILE_S for step_s in taken)

    def run(self, progress: Progress) -> MeasuredPrecision:
        """Where compiling fails, the steps stay uncompiled."""
        loss, config, device = self.clock.loss, self.clock.config, self.clock.compute.device
        faster = compile_loss(loss)
        started = time.perf_counter()
        try:
            self._step_s(faster, repeatably=True)
        except RuntimeError as error:  # whatever a compiler raises
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            progress.say(f"Training without torch.compile, which failed: {reason}")
            return self.decision
        compile_s = time.perf_counter() - started
        taken = shortest(
            {
                False: lambda: self._step_s(loss),
                True: lambda: self._step_s(faster, repeatably=True),
            },
            seconds=MEASURED_S,
            progress=progress,
        )
        asked = config.compile == "on" or device.type == "cuda"
        chosen = asked or taken[True] < WORTH_IT * taken[False]
        words = "compiled" if chosen else "uncompiled"
        progress.say(
            f"A step takes {1000 * taken[False]:.1f} ms uncompiled and "
            f"{1000 * taken[True]:.1f} ms compiled, after {compile_s:.0f} s of compiling: "
            f"training {words}."
        )
        step_s = {**self.decision.step_s, "plain": taken[False], "compiled": taken[True]}
        return dataclasses.replace(self.decision, compiled=chosen, step_s=step_s)

    def _step_s(self, loss: Loss, *, repeatably: bool = False) -> float:
        with repeatable(repeatably, self.clock.compute.device):
            return self.clock.step_s(bf16=self.decision.precision == "bf16", loss=loss)
