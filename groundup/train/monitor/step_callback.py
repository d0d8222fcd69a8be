"""Callbacks around the steps of a run that may change how they are made: their number
(`time_budget.py`), their threads (`step_threads.py`), compiled steps. What they change is recorded, so that a
resumed run goes on with it and `reproduce.py` repeats it.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from groundup.train.checkpoint.state import TrainState
from groundup.train.monitor.logs import RunLog
from groundup.train.steps.compiled import repeatable
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import Batch


class StepCallback:
    """What goes on around the steps; each of the methods does nothing here."""

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
