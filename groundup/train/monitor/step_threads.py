"""The number of threads that compute the steps of a run: as recorded, else tuned by the seconds
that its steps take.

A sum divided among another number of threads has other last bits. So each change is kept
(`step_schedule.Threads`) in checkpoints and results:
a resumed run keeps the number it had, and a reproduced one (`reproduce.py`) makes every change at
the same step. The trials are ordinary steps of the run, so they cost only what the slower number
takes longer.

Nothing is tuned where the user's environment fixes the number, with several processes, on a GPU,
and in compiled steps (compiled for one number).
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from groundup.device import Compute, set_threads
from groundup.runs import read_lines
from groundup.threads import ThreadTuner
from groundup.train.checkpoint.state import TrainState
from groundup.train.monitor.logs import RunLog
from groundup.train.monitor.step_callback import StepCallback
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import Batch, tensors_of
from groundup.train.steps.step_schedule import Threads, threads_after


class StepThreads(StepCallback):
    """The thread counts in one session of a run."""

    def __init__(self, compute: Compute, *, replayed: bool, tuned: bool) -> None:
        """`replayed`: the state has the changes of another run, to be made as they are.

        `tuned`: whether this run's may be tuned.
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
        """Set the number of threads of the last step, before anything is computed: an evaluation
        may be due.

        A killed run's log has steps beyond its last checkpoint; they are done again with the same
        numbers.
        """
        if not self._is_cpu:
            return
        if not state.threads:
            state.threads = [Threads(0, ThreadTuner(self._counts, torch.get_num_threads()).count)]
        if self._counts:
            if state.step and not math.isinf(self._known_steps):
                self._recall(state, metrics_file)
            set_threads(threads_after(state.threads, max(0, state.step - 1)))
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
        """Tell the tuner the seconds of the step."""
        if state.step > self._known_steps:
            # rows times tokens, padding counted, to which the time of a step is proportional
            shapes = (next(iter(tensors_of(batch).values())).shape[:2] for batch in batches)
            self._tuner.told(step_s, float(sum(shape.numel() for shape in shapes)))

    def at_boundary(self, state: TrainState, log: RunLog, group: ProcessGroup) -> None:
        """Set the number for the next step; a new one that is not in the log yet is logged."""
        if not self._is_cpu:
            return
        before = count = threads_after(state.threads, state.step)
        if state.step > self._known_steps:
            count = self._tuner.count
        if count != before:
            state.threads = [*state.threads, Threads(state.step, count)]
        set_threads(count)
        if count != before or state.step in self._recalled:
            log.event("threads", threads=count)
