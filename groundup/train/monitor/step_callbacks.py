"""Callbacks around the steps of a run that may change how they are made: compiled steps, their
threads, their number where there is a time budget. What they change is recorded, so that a resumed
run goes on with it and `reproduce.py` repeats it.

Threads are as recorded, else tuned by the seconds that ordinary steps take, since a sum divided
among another number of threads has other last bits. Nothing is tuned where the user fixes the
number, with several processes, on a GPU, and in compiled steps (compiled for one number).
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from groundup.device import Compute
from groundup.runs import read_lines
from groundup.threads import ThreadTuner, set_thread_count
from groundup.train.checkpoint.state import TrainState
from groundup.train.monitor.logs import RunLog
from groundup.train.monitor.time_budget import TimeBudget, TimeReading, check_interval
from groundup.train.steps.compiled import repeatable
from groundup.train.steps.config import FitConfig
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import Batch, tensors_of
from groundup.train.steps.step_schedule import StepSchedule, Threads, threads_after


class StepCallback:
    """Each of the methods does nothing here."""

    def begin(self, state: TrainState, metrics_file: Path) -> None:
        """Before anything is computed; a killed run's log has steps beyond its last checkpoint."""

    def around_passes(self) -> AbstractContextManager[Any]:
        """A context around the forward and backward passes of a step."""
        return nullcontext()

    def after_step(self, state: TrainState, step_s: float, batches: Sequence[Batch]) -> None:
        """After a step that changed the weights."""

    def at_boundary(self, state: TrainState, log: RunLog, group: ProcessGroup) -> None:
        """Between two steps, after an evaluation that was due. All processes call it together."""


@dataclass(frozen=True)
class CompiledSteps(StepCallback):
    """Compiled steps give the same bits every time."""

    device: torch.device

    def around_passes(self) -> AbstractContextManager[Any]:
        return repeatable(True, self.device)


class StepThreads(StepCallback):
    def __init__(self, compute: Compute, *, replayed: bool, tuned: bool) -> None:
        """`replayed`: the state has the changes of another run. `tuned`: whether this run's may
        be.
        """
        self._is_cpu = compute.is_cpu
        self._counts = compute.thread_counts
        self._tuned = tuned and not replayed
        self._known_steps = -1.0
        if replayed:
            self._known_steps = math.inf
        self._recalled: set[int] = set()
        self._tuner = ThreadTuner((), 1)

    def begin(self, state: TrainState, metrics_file: Path) -> None:
        """Set the number of threads of the last step: an evaluation may be due. Steps that a killed
        run did beyond its last checkpoint are done again with the same numbers.
        """
        if not self._is_cpu:
            return
        if not state.threads:
            state.threads = [Threads(0, ThreadTuner(self._counts, torch.get_num_threads()).count)]
        if self._counts:
            if state.step and not math.isinf(self._known_steps):
                self._recall(state, metrics_file)
            set_thread_count(threads_after(state.threads, max(0, state.step - 1)))
        counts = self._counts if self._tuned else ()
        self._tuner = ThreadTuner(counts, torch.get_num_threads())

    def _recall(self, state: TrainState, metrics_file: Path) -> None:
        """Note the changes that the log has after the last checkpoint."""
        lines = [line for line in read_lines(metrics_file) if state.step <= line.get("step", -1)]
        if not lines:
            return
        logged = [
            Threads(line["step"], line["threads"])
            for line in lines
            if line.get("event") == "threads"
        ]
        new = [each for each in logged if each.step > state.threads[-1].step]
        state.threads = [*state.threads, *new]
        self._recalled = {each.step for each in new}
        self._known_steps = max(line["step"] for line in lines) - 1

    def after_step(self, state: TrainState, step_s: float, batches: Sequence[Batch]) -> None:
        if state.step > self._known_steps:
            # rows times tokens, padding counted, to which the time of a step is proportional
            shapes = (next(iter(tensors_of(batch).values())).shape[:2] for batch in batches)
            self._tuner.told(step_s, float(sum(shape.numel() for shape in shapes)))

    def at_boundary(self, state: TrainState, log: RunLog, group: ProcessGroup) -> None:
        """A new number that is not in the log yet is logged."""
        if not self._is_cpu:
            return
        before = count = threads_after(state.threads, state.step)
        if state.step > self._known_steps:
            count = self._tuner.count
        if count != before:
            state.threads = [*state.threads, Threads(state.step, count)]
        set_thread_count(count)
        if count != before or state.step in self._recalled:
            log.event("threads", threads=count)


# The fewest steps whose time counts: one or two may be outliers.
MIN_TIMED_STEPS = 4


class BudgetController(StepCallback):
    """Forecasts the end in one session, which began after the step `begun`. Its first step warms
    up, and those that begin with fewer or shorter rows or fewer blocks take less time: none is
    counted.
    """

    def __init__(self, budget: TimeBudget, config: FitConfig, begun: int) -> None:
        self._budget, self._config = budget, config
        self._warm = max(begun, config.start_steps, config.start_block_steps) + 1
        self._mark: tuple[int, float] | None = None

    def at_boundary(self, state: TrainState, log: RunLog, group: ProcessGroup) -> None:
        """Change the number of steps to what the time has room for. Rank 0's clock counts."""
        schedule = StepSchedule(self._config.steps, state.rescales)
        self.mark(state)
        if not self.due(schedule, state.step):
            return
        log.count_elapsed()
        steps = group.first(lambda: self.steps(schedule, state))
        if steps is not None:
            state.rescales = [*state.rescales, schedule.rescaled(state.step, steps)]
            log.event("re-aimed", steps=steps)

    def mark(self, state: TrainState) -> None:
        """Begin to count at the first step like those that are left."""
        if self._mark is None and state.step >= self._warm:
            self._mark = state.step, _beside_evaluations_s(state)

    def due(self, schedule: StepSchedule, step: int) -> bool:
        """The same for all processes of a run."""
        interval, left = check_interval(schedule), schedule.planned - schedule.place(step)
        return step > self._warm and schedule.comes_to(interval, step) and left > interval

    def steps(self, schedule: StepSchedule, state: TrainState) -> int | None:
        """The number of steps the run has from now on; None: it is not changed."""
        assert self._mark is not None
        since, before_s = self._mark
        if state.step - since < MIN_TIMED_STEPS:
            return None
        now_s = _beside_evaluations_s(state)
        self._mark = state.step, now_s
        interval = self._config.evaluation_interval
        done = int(schedule.place(state.step) // interval)  # and one before the first step
        reading = TimeReading(
            step=state.step,
            spent_s=state.elapsed_s,
            step_s=(now_s - before_s) / (state.step - since),
            evaluation_s=state.evaluation_s / (done + 1),
            evaluations_left=-(-schedule.planned // interval) - done,
        )
        return self._budget.steps(schedule, reading)


def _beside_evaluations_s(state: TrainState) -> float:
    return state.elapsed_s - state.evaluation_s
