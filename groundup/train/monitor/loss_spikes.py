"""Bad steps, which are skipped, and a lasting rise of the loss, after which the run is rolled back.

Skipped before the weights change; the step is counted and reported:

    non-finite   the loss, or the gradient of some tensor. `max_skipped` in a row end the run
    spike        the gradient norm is above `spike_factor` times the median of the last 64, itself
                 among them: if it was the first of a new kind of text, the median soon follows

Rolled back to earlier weights, and the text read since then is not read again:

    risen        each of the last 8 steps' losses is more than `rollback_nats` above the median of
                 the (up to 64, at least 16) before them
    where to     the newest regular checkpoint (every `checkpoint_interval` steps) from before those
                 8 steps, and from after an earlier roll-back: between a checkpoint and a roll-back
                 to it weights are bad
    what         weights and optimizer state, not the step, the schedule and the position in the
                 data: no step is done twice. `max_rollbacks` times, then the run ends

The rules depend on nothing but the step and what checkpoints keep, so a resumed run does the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from torch import nn

from groundup.errors import GroundupError
from groundup.train.checkpoint.state import Checkpoint, TrainState, load_checkpoint, step_folder
from groundup.train.steps.config import FitConfig

WINDOW_STEPS = 64
# A median of fewer is a guess, and the first steps of a run are unlike any later ones.
MIN_STEPS = 16
# A single bad batch is over in a step; eight in a row mean that the model itself is worse.
RISEN_STEPS = 8


@dataclass(frozen=True)
class BadStep:
    what: str
    """"loss", "gradient of NAME" or "gradient norm"."""
    value: float
    median: float | None = None
    """Of a spike."""

    @property
    def lasting(self) -> bool:
        """Whether several in a row mean that the run has diverged."""
        return self.median is None

    def __str__(self) -> str:
        words = f"the {self.what} is {self.value:.3g}"
        if not self.median:
            return words
        times = f"{self.value / self.median:.0f} times"
        return f"{words}, {times} the median {self.median:.3g}"


def find_bad_step(
    loss: float,
    norm: float,
    parameters: Mapping[str, nn.Parameter],
    recent: Sequence[float],
    factor: float | None,
) -> BadStep | None:
    """Why a step of this mean loss and gradient norm is bad; `recent`: the norms before it."""
    if not isfinite(loss):
        return BadStep("loss", loss)
    if not isfinite(norm):
        return BadStep(_not_finite(parameters), norm)
    if factor is not None and len(recent) >= MIN_STEPS and norm > factor * median(recent):
        return BadStep("gradient norm", norm, median(recent))
    return None


def _not_finite(parameters: Mapping[str, nn.Parameter]) -> str:
    """The first tensor with a non-finite gradient; where all are finite, their norm overflowed."""
    for name, parameter in parameters.items():
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            return f"gradient of {name}"
    return "gradient norm"


def stop_if_diverged(step: int, bad_step: BadStep, in_a_row: int, limit: int) -> None:
    """Raise GroundupError when the last `in_a_row` steps, this one counted, were non-finite."""
    if bad_step.lasting and in_a_row >= limit:
        many = ""
        if in_a_row > 1:
            many = f" ({in_a_row} steps in a row were non-finite)"
        raise GroundupError(
            f"Step {step}: {bad_step}{many}; the weights are unchanged, and earlier checkpoints "
            "are kept.",
            fix="Set a lower learning_rate, or precision to float32, and start again with `fresh`.",
        )


@dataclass(frozen=True)
class LossRise:
    """A rise of the loss, in nats."""

    lowest: float
    """Of the last eight steps."""
    median: float
    """Of those before them."""

    def __str__(self) -> str:
        return (
            f"the loss was {self.lowest:.3g} or more for {RISEN_STEPS} steps, "
            f"the median before is {self.median:.3g}"
        )


def find_loss_rise(losses: list[float], nats: float | None) -> LossRise | None:
    """`losses`: oldest first."""
    before, last = losses[:-RISEN_STEPS], losses[-RISEN_STEPS:]
    if nats is None or len(before) < MIN_STEPS:
        return None
    found = LossRise(min(last), median(before))
    if found.lowest <= found.median + nats:
        return None
    return found


def target_step(state: TrainState, config: FitConfig) -> int | None:
    """Whose checkpoint a roll-back would return to now."""
    interval = config.checkpoint_interval
    newest = (state.step - RISEN_STEPS) // interval * interval
    if newest > (state.rolled_back_at or 0):
        return newest
    return state.rolled_back_to


def needed_steps(state: TrainState, config: FitConfig) -> set[int]:
    """Whose checkpoints a roll-back may need: the target and the regular ones after it."""
    if config.stability.rollback_nats is None:
        return set()
    target, interval = target_step(state, config), config.checkpoint_interval
    since = max(target or 0, state.rolled_back_at or 0)
    needed = set(range(since // interval * interval + interval, state.step + 1, interval))
    if target:
        needed.add(target)
    return needed


def roll_back(
    state: TrainState,
    loss: float,
    config: FitConfig,
    checkpoints: Path,
    restore: Callable[[Checkpoint], None],
) -> dict[str, Any] | None:
    """Keep a step's loss; where the rule says so, restore the earlier checkpoint, note it in
    `state` and return the line for the log. Raises GroundupError when it was done often enough,
    FormatError.
    """
    if config.stability.rollback_nats is None:
        return None
    state.losses = [*state.losses, loss][-(WINDOW_STEPS + RISEN_STEPS) :]
    rise, target = (
        find_loss_rise(state.losses, config.stability.rollback_nats),
        target_step(state, config),
    )
    if rise is None or target is None:
        return None
    if state.rolled_back >= config.stability.max_rollbacks:
        raise GroundupError(
            f"Step {state.step}: {rise}; the run was rolled back {state.rolled_back} times "
            "already (max_rollbacks).",
            fix="Set a lower learning_rate, or check the text, and start again with `fresh`. "
            "Earlier checkpoints are kept.",
        )
    before = load_checkpoint(step_folder(checkpoints, target), state.identity)
    restore(before)
    state.rolled_back += 1
    state.rolled_back_at, state.rolled_back_to = state.step, target
    state.losses = list(before.state.losses)
    state.gradient_norms = list(before.state.gradient_norms)
    line = {"event": "rolled back", "step": state.step, "to_step": target, "reason": str(rise)}
    return {**line, "rolled_back": state.rolled_back}


def describe_rollback(line: dict[str, Any], config: FitConfig, steps: int) -> str:
    return (
        f"step {line['step']} of {steps}: {line['reason']}. Rolled back to the weights of step "
        f"{line['to_step']}; the text since then is skipped ({line['rolled_back']} of at most "
        f"{config.stability.max_rollbacks} times)."
    )
