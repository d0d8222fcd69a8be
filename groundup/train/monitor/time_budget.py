"""Time budgets: a run with one forecasts its end on the way, since a machine's speed drifts, and
changes its number of steps where it would end early or late.

After each sixteenth of the schedule the end is forecast from the steps since the last forecast and
the evaluations so far. Where it is more than 3 % off, the number of steps becomes the largest that
the time has room for, and the schedule follows. A run is never cut to less than a quarter of the
planned steps, and in the last sixteenth nothing is changed.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from groundup.train.steps.step_schedule import Rescale, StepSchedule, Threads

CHECKS = 16
TOLERANCE = 0.03
MIN_SCALE, MAX_SCALE = 1 / 4, 256


@dataclass(frozen=True)
class TimeReading:
    step: int
    spent_s: float
    """Seconds inside fit() so far, restarts added up."""
    step_s: float
    """Of a step at the present speed, logs and checkpoints included."""
    evaluation_s: float
    """Of an evaluation; that after this step is among the seconds spent."""
    evaluations_left: int
    """After later steps, the last one included."""

    def end_s(self, steps: int) -> float:
        left = steps - self.step
        return (
            self.spent_s + left * self.step_s + min(left, self.evaluations_left) * self.evaluation_s
        )


@dataclass(frozen=True)
class TimeBudget:
    seconds: float
    """Inside fit(), evaluations and restarts included."""
    min_steps: int = 1
    max_steps: int | None = None
    """For these there is text (a mixture with an end); None: for any number."""

    def steps(self, schedule: StepSchedule, reading: TimeReading) -> int | None:
        """The number of steps the run has from now on; None: it is not changed."""
        if abs(reading.end_s(schedule.steps) - self.seconds) <= TOLERANCE * self.seconds:
            return None
        low = max(
            round(MIN_SCALE * schedule.planned),
            self.min_steps,
            reading.step + check_interval(schedule),
        )
        high = max(low, MAX_SCALE * schedule.planned)
        if self.max_steps is not None:
            high = min(high, self.max_steps)
            low = min(low, high)
        in_time = bisect_right(range(low, high + 1), self.seconds, key=reading.end_s)
        steps = low + max(0, in_time - 1)
        if steps == schedule.steps:
            return None
        return steps


@dataclass(frozen=True)
class StepControl:
    """What controls the number of steps, and of threads. None of it is part of the run's
    identity.
    """

    time_budget: TimeBudget | None = None
    rescales: Sequence[Rescale] = ()
    """Of another run, made again at the same steps (`reproduce.py`)."""
    threads: Sequence[Threads] = ()
    """Of another run; else they are tuned where `compute` allows it."""
    clock: Callable[[], float] = time.perf_counter


def check_interval(schedule: StepSchedule) -> int:
    """Planned steps between two forecasts."""
    return -(-schedule.planned // CHECKS)


def describe_rescale(before: int, steps: int) -> str:
    slower = "slower" if steps < before else "faster"
    return (
        f"The machine was {slower} than expected: "
        f"{steps:,} steps instead of {before:,} in the time budget."
    )
