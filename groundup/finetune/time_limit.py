"""`budget` of fine-tuning: a time, from the start of the command, in which a run ends with a whole
model.

    limit = TimeLimit.of(config.budget)             at the start; None: no limit
    with limit.repeated(): ...                      what is measured before, and once more after
    plan = limit.plan(run, Workload(...), ...)      "1,240 of 5,000 examples fit"
    fit(..., hooks=Hooks(control=limit.control(most_steps)))

A plan is made once, by the measured time of first steps, and kept in RUN/plan.json: a resumed run
reads the same examples. On the way the number of steps follows the time that is left
(`train.monitor.time_budget`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from groundup.config import build_config, duration_s
from groundup.errors import ConfigError
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.train.monitor.time_budget import StepControl, TimeBudget

# Of the whole time, what is kept for writing the model.
END_SHARE = 0.03
# Beside the steps: logs, checkpoints, and evaluations that grow with the examples.
BESIDE_SHARE = 0.4
# Of the whole time, what may be measured before and after only to be compared.
COMPARING_SHARE = 0.3
# Of the time for the training, what evaluations of a fixed size may take.
EVALUATIONS_SHARE = 0.2


Figure = TypeVar("Figure")


@dataclass(frozen=True)
class Workload:
    """What would be done without a limit."""

    what: str
    """Examples, pairs, rounds."""
    examples: int
    epochs: float
    fewest: int
    """Examples without which there is no run."""
    evaluations: int = 0
    """Of a fixed size, beside the one before the first step; 0: they grow with the examples."""
    evaluate: Callable[[], object] | None = None
    """One of them."""


@dataclass(frozen=True)
class TimePlan:
    """What a time has room for."""

    examples: int
    of: int
    epochs: float
    """How often they are read."""
    evaluations: int

    @property
    def all_epochs(self) -> float:
        """What is read, in epochs of all examples."""
        return self.epochs * self.examples / self.of


@dataclass
class TimeLimit:
    """The time of a command, which began when this was made."""

    budget: str
    clock: Callable[[], float] = time.monotonic
    begun: float = field(init=False)
    after_s: float = field(init=False)
    """Kept for what follows the training."""

    def __post_init__(self) -> None:
        self.begun = self.clock()
        self.after_s = END_SHARE * self.seconds

    @classmethod
    def of(cls, budget: str | None) -> "TimeLimit | None":
        return None if budget is None else cls(budget)

    @property
    def seconds(self) -> float:
        return duration_s(self.budget)

    @property
    def left_s(self) -> float:
        """For the training."""
        return self.seconds - (self.clock() - self.begun) - self.after_s

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """What is done here is done once more after the training."""
        begun = self.clock()
        yield
        self.after_s += self.clock() - begun

    def compared(
        self, measure: Callable[[], dict[str, Figure]], progress: Progress
    ) -> dict[str, Figure]:
        """Return what is measured now and once more after the training, by name; nothing, and say
        so, where that would take too much of the time.
        """
        begun = self.clock()
        found = measure()
        taken_s = self.clock() - begun
        if 2 * taken_s > COMPARING_SHARE * self.seconds:
            progress.say(
                f"Left out: what is forgotten ({taken_s:.0f} s before the training, and as long "
                "after it)."
            )
            return {}
        self.after_s += taken_s
        return found

    def plan(
        self,
        run: RunFolder,
        work: Workload,
        example_s: Callable[[], float],
        progress: Progress,
    ) -> TimePlan:
        """Return the plan of the run folder, or make it and say it. `example_s` measures the
        seconds of an example's step. Raises ConfigError where there is no time for the fewest
        examples; the folder is then as if no run had begun.
        """
        kept = run.read_plan()
        if kept is not None:
            return build_config(TimePlan, kept["planned"])
        each_s, evaluation_s, begun = example_s() * (1 + BESIDE_SHARE), 0.0, self.clock()
        if work.evaluate is not None:
            work.evaluate()
            evaluation_s = self.clock() - begun
        affordable = int(EVALUATIONS_SHARE * self.left_s / max(evaluation_s, 1e-9))
        evaluations = max(1, min(work.evaluations, affordable - 1))
        evaluations_s = (evaluations + 1) * evaluation_s
        visits = (self.left_s - evaluations_s) / each_s
        fewest = min(work.fewest, work.examples)
        if visits < fewest:
            run.clear()
            with suppress(OSError):  # it has other files
                run.path.rmdir()
            needed_s = 1.2 * (self.seconds + (fewest - visits) * each_s)
            raise ConfigError(
                f"`budget` {self.budget} has no room for {fewest:,} {work.what}, {each_s:.2g} s "
                "each here, beside what is measured before and after.",
                fix=f"Give at least {max(1, round(needed_s / 60))}m.",
            )
        examples = min(work.examples, int(visits))
        epochs = min(work.epochs, 1.0)
        if examples == work.examples:
            epochs = min(work.epochs, visits / examples)
        plan = TimePlan(examples, work.examples, epochs, evaluations)
        fits = f"{examples:,} of {work.examples:,} {work.what} fit"
        if examples == work.examples:
            fits = f"all {examples:,} {work.what} fit"
            if work.epochs != 1:
                fits += f", {epochs:.3g} of {work.epochs:g} epochs"
        train_s, rest_s = examples * epochs * each_s, evaluations_s + self.after_s
        progress.say(
            f"Budget {self.budget}: {fits}; about {train_s:.0f} s to train, {rest_s:.0f} s to "
            "measure and write."
        )
        run.write_plan({"budget": self.budget}, model={}, fit={}, planned=asdict(plan))
        return plan

    def control(self, most_steps: int) -> StepControl:
        """What holds the steps of `fit()` to the time that is left; at most so many."""
        return StepControl(TimeBudget(max(1.0, self.left_s), max_steps=most_steps))
