"""The step schedule: the place in the schedule of each step of a run, also where its number of
steps was changed, and the learning rate there.

As planned a step's place is its number. A rescale spreads the rest of the schedule evenly over the
steps that are left, so that warm-up, stable part and decay keep their shares of it.

    place(s) = planned - (planned - place at the rescale) (steps - s) / (steps - step of the
        rescale)

The learning rate is a pure function of the place: a linear warm-up, then (`config.SCHEDULES`)

    cosine   half a cosine from the highest to the lowest (Loshchilov & Hutter 2017, eq. 5)
    wsd      warm-up, stable, decay: the highest rate for most of the run, then linearly down (Hu et
             al. 2024, "MiniCPM", section 4; Hägele et al. 2024: as good as a cosine with a decay
             over a fifth of the steps). A checkpoint of the stable part suits a run of any length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.errors import ConfigError
from groundup.train.steps.config import FitConfig

# More threads than any machine has: a record that says so is damaged.
MAX_THREADS = 4096


@dataclass(frozen=True)
class Rescale:
    """From here on the run has another number of steps. Raises ConfigError."""

    step: int
    place: float
    """Of that step in the schedule, in planned steps."""
    steps: int
    """Of the whole run from now on."""

    def __post_init__(self) -> None:
        if not 0 < self.step < self.steps:
            raise ConfigError(f"A change to {self.steps} steps after step {self.step} leaves none.")


@dataclass(frozen=True)
class StepSchedule:
    """The steps planned, and the rescales made, the earliest first."""

    planned: int
    rescales: Sequence[Rescale] = ()

    @property
    def steps(self) -> int:
        if not self.rescales:
            return self.planned
        return self.rescales[-1].steps

    def place(self, step: int) -> float:
        """The place in the schedule after `step`, in planned steps: 0 before the first one, exactly
        `planned` after the last.

        >>> schedule = StepSchedule(100, [Rescale(step=20, place=20.0, steps=60)])
        >>> schedule.place(20), schedule.place(40), schedule.place(60)
        (20.0, 60.0, 100.0)
        """
        before = next((each for each in reversed(self.rescales) if each.step < step), None)
        if before is None:
            return float(step)
        left = (before.steps - step) / (before.steps - before.step)  # 1 .. 0
        return self.planned - (self.planned - before.place) * left

    def update_place(self, step: int) -> float:
        """Of the update that leads from `step` to `step + 1`: from 0 to exactly `planned - 1`."""
        return self.place(step + 1) - 1

    def passes(self, places: Sequence[int], step: int) -> bool:
        """Whether `step` comes to one of these places or is the first beyond it."""
        before = self.place(step - 1)
        return any(before < place <= self.place(step) for place in places)

    def comes_to(self, interval: int, step: int) -> bool:
        """Whether `step` comes to a multiple of `interval` planned steps or is the first beyond
        it.
        """
        return step == 0 or self.place(step) // interval > self.place(step - 1) // interval

    def rescaled(self, step: int, steps: int) -> Rescale:
        return Rescale(step, self.place(step), steps)


def learning_rate(step: int | float, config: FitConfig) -> float:
    """Of the update that leads from `step` to `step + 1`: the rise ends at the highest rate in the
    last step of the warm-up, the last step of all has the lowest.
    """
    low, high = config.lowest_learning_rate, config.optimizer.learning_rate
    if step + 1 <= config.warmup:
        return high * (step + 1) / config.warmup
    fall = config.schedule.fall
    falls_from = config.warmup
    if not fall.from_warmup:
        falls_from = config.steps - config.decay
    # 0 .. 1; below 0 before the decay
    way = (step - falls_from) / max(1, config.steps - 1 - falls_from)
    return low + (high - low) * fall.left(max(0.0, min(1.0, way)))


@dataclass(frozen=True)
class Threads:
    """From here on the steps are computed by `count` threads. Raises ConfigError."""

    step: int
    """0: from the first on."""
    count: int

    def __post_init__(self) -> None:
        if self.step < 0 or not 1 <= self.count <= MAX_THREADS:
            raise ConfigError(f"{self.count} threads after step {self.step}: no run can have them.")


def threads_after(changes: Sequence[Threads], step: int) -> int:
    """The number for the step that follows `step`. There is one from the first step on.

    >>> threads_after([Threads(0, 2), Threads(8, 1)], 7), threads_after([Threads(0, 2), Threads(8, 1)], 8)
    (2, 1)
    """
    return next(each.count for each in reversed(changes) if each.step <= step)
