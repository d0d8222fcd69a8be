"""All that is looked at while a language model trains: figures of held-out text, samples, tasks of the evaluation room; and who is told.

None of it changes the run: no weight, no random number, no choice of the best checkpoint hangs on a prompt, a task or an observer. So
they are no part of a run's identity and may be others when it is resumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError, ModelError
from groundup.evaluate.task import Task
from groundup.model.heads import LanguageModel
from groundup.progress import Silent
from groundup.train.monitor.callbacks import Callback
from groundup.train.monitor.samples import Sampler
from groundup.train.monitor.validation import Validation
from groundup.weights.model_io import OpenModel


@dataclass(frozen=True)
class MonitorConfig:
    """What a user wants to see of a run beside its losses."""

    prompts: Sequence[str] = ()
    """What samples go on from; empty: beginnings of the validation text."""
    tasks: Sequence[Task] = ()
    """Measured at each evaluation."""
    observers: Sequence[Callback] = ()
    """Told each line that is logged."""


@dataclass(frozen=True)
class Evaluation:
    """What happens at each evaluation."""

    held_out: Validation
    sampler: Sampler
    tasks: Sequence[Task] = ()

    def measure(self, model: LanguageModel) -> dict[str, float]:
        """The held-out figures, then TASK:METRIC of each task. Raises ModelError where a task does not suit the model."""
        return {**self.held_out.measure(model), **self._of_tasks(model)}

    def sample(self, model: LanguageModel) -> list[dict[str, Any]]:
        """What the model writes, a record a prompt."""
        return self.sampler.write(model)

    def _of_tasks(self, model: LanguageModel) -> dict[str, float]:
        opened = OpenModel(model, self.sampler.tokenizer, model.config, Path("the model in training"), "language")
        found: dict[str, float] = {}
        for task in self.tasks:
            try:
                outcome = task.measure(opened, compute=self.held_out.compute, progress=Silent())
            except GroundupError as error:
                raise ModelError(f"The task '{task.name}' can't be measured: {error.message}", fix=error.fix) from error
            found |= {f"{task.name}:{measure.metric}": measure.value for measure in outcome.measures}
        return found
