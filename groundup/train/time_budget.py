"""A run that was given a time keeps it: it looks at the clock on its way, and where it would end early or late it aims at another number of steps.

A machine's speed is measured before the first step, and then it drifts: heat on a laptop, neighbours on a virtual machine. So after each sixteenth
of the schedule the end is forecast from the steps since the last look and from the evaluations so far. Where it is more than 3 % off, the run
takes a turn (`step_schedule.py`) to the largest number of steps that the time has room for, and the schedule follows.

What this leaves out: it never cuts a run to less than a quarter of the planned steps, and in the last sixteenth of the schedule nothing is changed
any more, so that no schedule ends within a few steps. A machine that is slower by more than that overruns the time. Upwards there is room for a
run that was planned in a busy moment (50 steps where 2,800 fit): evaluations and looks go by the place in the schedule, so they stay as many.

A turn is made by the clock, so it is another one each time; where the turns are known, `reproduce.py` has the same run from them, bit for bit.
"""

from bisect import bisect_right
from dataclasses import dataclass

from groundup.train.checkpoint.state import TrainState
from groundup.train.config import FitConfig
from groundup.train.step_schedule import StepSchedule

CHECKS = 16
TOLERANCE = 0.03
FEWEST_SHARE, MOST_SHARE = 1 / 4, 256
# A step or two may be an accident: so many tell a pace.
MIN_TIMED_STEPS = 4


@dataclass(frozen=True)
class TimeReading:
    """What the clock said after a step."""

    step: int
    spent_s: float
    """Seconds inside fit() so far, restarts added up."""
    step_s: float
    """Of a step at the pace of now, logs and checkpoints included."""
    evaluation_s: float
    """Of an evaluation; the one after this step, where there is one, is among the seconds spent."""
    evaluations_left: int
    """Those after this step's, the last step's among them."""

    def end_s(self, steps: int) -> float:
        """Seconds that a run of so many steps would have taken at its end."""
        left = steps - self.step
        return self.spent_s + left * self.step_s + min(left, self.evaluations_left) * self.evaluation_s


@dataclass(frozen=True)
class TimeBudget:
    """A time to keep."""

    seconds: float
    """Inside fit(), evaluations and restarts included: what `TrainState.elapsed_s` counts."""
    fewest_steps: int = 1
    """A run is not cut below these."""

    def steps(self, course: StepSchedule, reading: TimeReading) -> int | None:
        """How many steps the run shall have from now on; None: as many as it has."""
        if abs(reading.end_s(course.steps) - self.seconds) <= TOLERANCE * self.seconds:
            return None
        low = max(round(FEWEST_SHARE * course.planned), self.fewest_steps, reading.step + check_interval(course))
        high = max(low, MOST_SHARE * course.planned)
        in_time = bisect_right(range(low, high + 1), self.seconds, key=reading.end_s)
        steps = low + max(0, in_time - 1)
        return None if steps == course.steps else steps


def check_interval(course: StepSchedule) -> int:
    """Planned steps between two looks at the clock."""
    return -(-course.planned // CHECKS)


class BudgetController:
    """Who looks at the clock in one session of a run, which began after the step `begun`.

    Its first step warms up or is compiled, and short rows (`start_context_tokens`) take less time than the whole ones that follow: neither
    tells of the steps that are left, so neither is counted.
    """

    def __init__(self, aim: TimeBudget, config: FitConfig, begun: int) -> None:
        self._aim, self._config = aim, config
        self._warm = max(begun, config.start_steps) + 1
        self._mark: tuple[int, float] | None = None

    def mark(self, state: TrainState) -> None:
        """Begin to count where the steps are such as will follow; to be called after each."""
        if self._mark is None and state.step >= self._warm:
            self._mark = state.step, _beside_evaluations_s(state)

    def due(self, course: StepSchedule, step: int) -> bool:
        """Whether to look at the clock after `step`: the same for all processes of a run."""
        interval = check_interval(course)
        return step > self._warm and course.comes_to(interval, step) and course.planned - course.place(step) > interval

    def steps(self, course: StepSchedule, state: TrainState) -> int | None:
        """Look: how many steps the run shall have from now on; None: as many as it has."""
        assert self._mark is not None
        since, before_s = self._mark
        if state.step - since < MIN_TIMED_STEPS:
            return None
        now_s = _beside_evaluations_s(state)
        self._mark = state.step, now_s
        interval = self._config.evaluation_interval
        done = int(course.place(state.step) // interval)  # and one before the first step
        step_s, left = (now_s - before_s) / (state.step - since), -(-course.planned // interval) - done
        reading = TimeReading(state.step, state.elapsed_s, step_s, state.evaluation_s / (done + 1), left)
        return self._aim.steps(course, reading)


def describe_rescale(before: int, steps: int) -> str:
    """What all turns together made of the steps planned, for people."""
    slower = "slower" if steps < before else "faster"
    return f"The machine was {slower} than expected: {steps:,} steps instead of {before:,} in the time."


def _beside_evaluations_s(state: TrainState) -> float:
    return state.elapsed_s - state.evaluation_s
