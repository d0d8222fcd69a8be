"""Bad steps: a non-finite loss or gradient, or a spike of the gradient norm. They are skipped by rule, before the weights change.

Their batches are passed over, the step is counted and reported, weights and optimizer state stay as they are. The rules depend on nothing but
the step and what a checkpoint keeps (`TrainState`), so a resumed run skips the same steps.

    non-finite   the loss, or the gradient of some tensor, is nan or infinity. `max_skipped` in a row end the run: it would not recover.
    spike        the gradient norm is above `spike_factor` times the median of the last 64. A spike's norm joins these like any other:
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
    """The reason why a step is skipped."""

    what: str
    """"loss", "gradient of NAME" or "gradient norm"."""
    value: float
    median: float | None = None
    """Of a spike: the median norm it is compared with."""

    @property
    def lasting(self) -> bool:
        """Whether several in a row mean that the run has diverged."""
        return self.median is None

    def __str__(self) -> str:
        compared = f", {self.value / self.median:.0f} times the median {self.median:.3g}" if self.median else ""
        return f"the {self.what} is {self.value:.3g}{compared}"


def find_bad_step(
    loss: float, norm: float, parameters: Mapping[str, nn.Parameter], recent: Sequence[float], factor: float | None
) -> BadStep | None:
    """Return what is wrong with a step of this mean loss and gradient norm, if anything; `recent`: the norms before it."""
    if not isfinite(loss):
        return BadStep("loss", loss)
    if not isfinite(norm):
        return BadStep(_not_finite(parameters), norm)
    if factor is not None and len(recent) >= MIN_STEPS and norm > factor * median(recent):
        return BadStep("gradient norm", norm, median(recent))
    return None


def _not_finite(parameters: Mapping[str, nn.Parameter]) -> str:
    """The first tensor with a non-finite gradient; where all are finite, their common norm overflowed."""
    for name, parameter in parameters.items():
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            return f"gradient of {name}"
    return "gradient norm"


def stop_if_diverged(step: int, bad_step: BadStep, in_a_row: int, limit: int) -> None:
    """Raise GroundupError when the last `in_a_row` steps, this one counted, were non-finite and that is the limit."""
    if bad_step.lasting and in_a_row >= limit:
        many = f" ({in_a_row} steps in a row were not finite)" if in_a_row > 1 else ""
        raise GroundupError(
            f"Step {step}: {bad_step}{many}; the weights are unchanged, and earlier checkpoints are kept.",
            fix="Set a lower learning_rate, or precision to float32, and begin anew with --fresh.",
        )
