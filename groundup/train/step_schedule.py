"""A run's course: which place in the schedule each of its steps has, also where the number of steps was changed on the way.

As planned a step's place is its number. A turn gives the run another number of steps from there on (`time_budget.py` says when): what is left of the
schedule is then spread evenly over the steps that are left, so that warm-up, stable part and decay keep their shares of it, whatever the schedule.

    place(s) = planned - (planned - place at the turn) (steps - s) / (steps - step of the turn)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.errors import ConfigError

# More are no machine's: a record that says so is damaged.
MAX_THREADS = 4096


@dataclass(frozen=True)
class Rescale:
    """From here on the run has another number of steps. Raises ConfigError."""

    step: int
    """After which step."""
    place: float
    """What place that step has in the schedule, in planned steps."""
    steps: int
    """How many steps the whole run has from now on."""

    def __post_init__(self) -> None:
        if not 0 < self.step < self.steps:
            raise ConfigError(f"A turn after step {self.step} to {self.steps} steps leaves none.")


@dataclass(frozen=True)
class StepSchedule:
    """The steps planned, and the turns made, the earliest first."""

    planned: int
    turns: Sequence[Rescale] = ()

    @property
    def steps(self) -> int:
        """Of the whole run, as far as is known."""
        return self.turns[-1].steps if self.turns else self.planned

    def place(self, step: int) -> float:
        """Where the schedule stands after `step`, in planned steps: 0 before the first one, exactly `planned` after the last.

        >>> schedule = StepSchedule(100, [Rescale(step=20, place=20.0, steps=60)])
        >>> schedule.place(20), schedule.place(40), schedule.place(60)
        (20.0, 60.0, 100.0)
        """
        before = next((turn for turn in reversed(self.turns) if turn.step < step), None)
        if before is None:
            return float(step)
        left = (before.steps - step) / (before.steps - before.step)  # 1 .. 0
        return self.planned - (self.planned - before.place) * left

    def update_place(self, step: int) -> float:
        """The place of the update that leads from `step` to `step + 1`, as a schedule counts: from 0 to exactly `planned - 1`."""
        return self.place(step + 1) - 1

    def passes(self, places: Sequence[int], step: int) -> bool:
        """Whether `step` comes to one of these places or is the first beyond it."""
        before = self.place(step - 1) if step else -1
        return any(before < place <= self.place(step) for place in places)

    def comes_to(self, interval: int, step: int) -> bool:
        """Whether `step` comes to a multiple of so many planned steps or is the first beyond it: what is due then is due as often as planned."""
        return step == 0 or self.place(step) // interval > self.place(step - 1) // interval

    def turned(self, step: int, steps: int) -> Rescale:
        """The turn that gives the run `steps` steps after this one."""
        return Rescale(step, self.place(step), steps)


@dataclass(frozen=True)
class Threads:
    """From here on the steps are computed by so many threads (`step_threads.py`). Raises ConfigError."""

    step: int
    """After which step; 0: from the first on."""
    count: int

    def __post_init__(self) -> None:
        if self.step < 0 or not 1 <= self.count <= MAX_THREADS:
            raise ConfigError(f"{self.count} threads after step {self.step} is nothing that a run can have.")


def threads_after(changes: Sequence[Threads], step: int) -> int:
    """The number for the step that follows `step`. There is one from the first step on.

    >>> threads_after([Threads(0, 2), Threads(8, 1)], 7), threads_after([Threads(0, 2), Threads(8, 1)], 8)
    (2, 1)
    """
    return next(each.count for each in reversed(changes) if each.step <= step)
