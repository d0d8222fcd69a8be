"""The evaluation of a language model during training: figures of held-out text, samples, evaluation
tasks; and the callbacks that receive them.

None of it changes the run: no weight, no random number and no choice of the best checkpoint depends
on a prompt, a task or a callback. So they are not part of a run's identity and may change when it
is resumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundup.errors import GroundupError, ModelError
from groundup.evaluate.task import EvaluationTask
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.train.monitor.callbacks import Callback
from groundup.train.monitor.samples import Sampler
from groundup.train.monitor.validation import Validation
from groundup.weights.model_io import OpenModel


@dataclass(frozen=True)
class MonitorConfig:
    """What the user monitors besides the losses of a run."""

    prompts: Sequence[str] = ()
    """The prompts of samples; empty: first words of sentences of the validation text."""
    tasks: Sequence[EvaluationTask] = ()
    """Measured at each evaluation."""
    callbacks: Sequence[Callback] = ()
    """Receive each line that is logged."""
    forgetting: tuple[EvaluationTask, ...] = ()
    """Of continued training: measured before and after (`evaluate.comparison.forgetting`)."""

    def with_forgetting(self, tasks: tuple[EvaluationTask, ...]) -> "MonitorConfig":
        """Return the config with these tasks measured before and after."""
        return replace(self, forgetting=tasks)


@dataclass(frozen=True)
class Evaluation:
    """The work of each evaluation."""

    validation: Validation
    sampler: Sampler
    tasks: Sequence[EvaluationTask] = ()
    test: Validation | None = None
    """The test split, measured once at the end; None where the shards have none."""

    def measure(self, model: LanguageModel) -> dict[str, float]:
        """Return the validation figures, then TASK:METRIC of each task.

        Raises ModelError where a task does not suit the model.
        """
        opened = OpenModel(
            model, self.sampler.tokenizer, model.config, Path("the model in training"), "language"
        )
        found = self.validation.measure(model)
        for task in self.tasks:
            try:
                outcome = task.measure(opened, compute=self.validation.compute, progress=Silent())
            except GroundupError as error:
                raise ModelError(
                    f"The task '{task.name}' can't be measured: {error.message}", fix=error.fix
                ) from error
            found |= {
                f"{task.name}:{measure.metric}": measure.value for measure in outcome.measures
            }
        return found

    def measure_test(self, model: LanguageModel, progress: Progress) -> dict[str, float] | None:
        """Return loss, bits_per_byte and tokens on the test split (see `Validation.figures`)."""
        if self.test is None:
            return None
        with progress.track("measuring on test", self.test.num_tokens, "tokens") as advance:
            return self.test.figures(model, advance)
