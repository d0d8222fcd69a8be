"""Steps that would harm: whose loss or gradient is no number, or whose gradient is a spike. They are skipped by rule, before the weights change.

What was read is passed over, the step is counted and shown, and neither weights nor the optimizer's memory know of it. The rules look at
nothing but the step and what a checkpoint keeps (`TrainState`), so a resumed run skips the same steps.

    not finite   the loss, or the gradient of some tensor, is nan or infinity. `max_skipped` in a row end the run: it won't mend itself.
    spike        the gradient is longer than `spike_factor` times the median of the last 64. A spike's length joins these like any other:
                 if it was the first of a new kind of text, the median soon follows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median

from torch import nn

from groundup.errors import GroundupError

WINDOW_STEPS = 64
# A median of fewer is a guess, and the first steps of a run are unlike any later ones.
MIN_STEPS = 16


@dataclass(frozen=True)
class BadStep:
    """Why a step is skipped."""

    what: str
    """"loss", "gradient of NAME" or "gradient's length"."""
    value: float
    median: float | None = None
    """Of a spike: the length it is held against."""

    @property
    def lasting(self) -> bool:
        """Whether more of it means that the run is beyond help."""
        return self.median is None

    def __str__(self) -> str:
        beside = f", {self.value / self.median:.0f} times the median {self.median:.3g}" if self.median else ""
        return f"the {self.what} is {self.value:.3g}{beside}"


def find_bad_step(
    loss: float, norm: float, parameters: Mapping[str, nn.Parameter], recent: Sequence[float], factor: float | None
) -> BadStep | None:
    """What is wrong with a step of this mean loss and gradient length, if anything; `recent`: the lengths before it."""
    if not isfinite(loss):
        return BadStep("loss", loss)
    if not isfinite(norm):
        return BadStep(_not_finite(parameters), norm)
    if factor is not None and len(recent) >= MIN_STEPS and norm > factor * median(recent):
        return BadStep("gradient's length", norm, median(recent))
    return None


def _not_finite(parameters: Mapping[str, nn.Parameter]) -> str:
    """The first tensor whose gradient has a number that is none; where each is finite, their common length overflowed."""
    for name, parameter in parameters.items():
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            return f"gradient of {name}"
    return "gradient's length"


def stop_if_diverged(step: int, harm: BadStep, in_a_row: int, limit: int) -> None:
    """End a run whose last `in_a_row` steps, this one counted, were not finite, at the limit. Raises GroundupError."""
    if harm.lasting and in_a_row >= limit:
        many = f" ({in_a_row} steps in a row were not finite)" if in_a_row > 1 else ""
        raise GroundupError(
            f"Step {step}: {harm}{many}; the weights were not changed by it, and what was saved before stands.",
            fix="Set a lower learning_rate, or precision to float32, and begin anew with --fresh.",
        )
