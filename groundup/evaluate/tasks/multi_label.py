"""Texts with several labels: a fine-tuned classifier of several labels, and a language model asked
of each label whether it fits.

`LABELS` is the kind of data with labels, one a text or several: by what the rows hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundup.data.documents import Example
from groundup.data.reading.distinct import without_repeats
from groundup.data.reading.examples import read_multi_labelled
from groundup.data.reading.layouts import LABELLED, MULTI_LABELLED
from groundup.data.reading.multi_label import is_multi_label, iterative_split, label_counts
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.generate import require_room
from groundup.engine.score import score
from groundup.errors import ConfigError, DataError, ModelError
from groundup.evaluate.task import EvaluationTask, HeldOut, TaskKind, TaskResult, language_model
from groundup.evaluate.tasks.classification import (
    ZERO_SHOT_ITEMS,
    ZERO_SHOT_MAX_TOKENS,
    answer_ids,
    label_tasks,
    zero_shot_prompt,
)
from groundup.evaluate.tasks.label_sets import LabelSet, judge_sets, sets_of
from groundup.progress import Progress
from groundup.weights.hf_families import ModelKind
from groundup.weights.model_io import OpenModel

# Questions in all, one for each text and label: of many labels fewer texts are asked about.
MAX_QUESTIONS = 500
YES, NO = "yes", "no"
QUESTION = "Does the label {label} fit the text above? Answer yes or no."


@dataclass(frozen=True)
class MultiLabelClassification:
    """A fine-tuned classifier of several labels on held-out `examples`."""

    examples: Sequence[Example]
    name: str = "classification"

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Measure a classifier.

        Raises ModelError for a language model, or a classifier of one label a text or without these
        labels.
        """
        if opened.labels and not opened.decision.multi_label:
            raise ModelError(
                f"{opened.path} gives a text one label, and these texts have several.",
                fix="Train one on such texts.",
            )
        unknown = set(label_counts(self.examples)) - set(opened.labels)
        if opened.labels and unknown:
            raise ModelError(
                f"The examples have labels that {opened.path} does not have: {', '.join(sorted(unknown))}.",
                fix=f"It has {', '.join(opened.labels)}.",
            )
        found = Engine(opened, compute).classify([example.text for example in self.examples])
        predicted = [tuple(opened.decision.labels(probabilities)) for probabilities in found]
        return judge_sets(sets_of(self.examples), predicted, opened.labels)


def require_place_for_label(question: str | None) -> None:
    """Raise ConfigError for a question that does not name the label it is asked of."""
    if question is not None and "{label}" not in question:
        raise ConfigError(
            "A question on texts with several labels is asked of each label, and has {label} in it.",
            fix=f"For example: {QUESTION}",
        )


@dataclass(frozen=True)
class AskedOfEachLabel:
    """A language model asked of each label whether it fits, on the first examples; yes where it is
    the more probable answer.
    """

    examples: Sequence[Example]
    labels: tuple[str, ...]
    question: str | None = None
    """With {label} in it; it stands behind the text, so that the text is read once for all
    labels.
    """
    name: str = "zero-shot"
    items: int = ZERO_SHOT_ITEMS
    max_tokens: int = ZERO_SHOT_MAX_TOKENS
    """Longer texts are cut."""

    def __post_init__(self) -> None:
        require_place_for_label(self.question)

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Measure the predictions; `details` has the question and the number of texts asked about.
        Raises ModelError.
        """
        used = self.examples[: max(1, min(self.items, MAX_QUESTIONS // len(self.labels)))]
        question, tokenizer = self.question or QUESTION, opened.require_tokenizer()
        texts = [
            tokenizer.decode(tokenizer.encode(example.text)[: self.max_tokens]) for example in used
        ]
        predicted = self._predicted(opened, texts, question, compute=compute, progress=progress)
        outcome = judge_sets(sets_of(used), predicted, self.labels)
        asked: dict[str, Any] = {"question": question, "asked": len(used), "of": len(self.examples)}
        return TaskResult(outcome.measures, {**outcome.details, **asked}, outcome.per_item)

    def _predicted(
        self,
        opened: OpenModel,
        texts: Sequence[str],
        question: str,
        *,
        compute: Compute,
        progress: Progress,
    ) -> list[LabelSet]:
        model, tokenizer = language_model(opened)
        answers = [answer_ids(answer, tokenizer) for answer in (YES, NO)]
        asked = [(text, label) for text in texts for label in self.labels]
        prompts = [
            zero_shot_prompt(text, question.replace("{label}", label), tokenizer)
            for text, label in asked
        ]
        for prompt in prompts:
            require_room(len(prompt) + max(map(len, answers)) - 1, model.config.context_tokens)
        pairs = [(prompt, answer) for prompt in prompts for answer in answers]
        with progress.track(
            "asking the base model of each label", len(pairs), "answers"
        ) as advance:
            found = iter(score(model, pairs, compute=compute, done=advance))
        fits = iter(
            [next(found).logprob / len(YES) > next(found).logprob / len(NO) for _ in prompts]
        )
        return [tuple(label for label in self.labels if next(fits)) for _ in texts]


def _tasks(data: HeldOut, kind: ModelKind, progress: Progress) -> list[EvaluationTask]:
    """Return the task on at most `items` texts: of one label each, or of several."""
    if not is_multi_label(data.source, data.options):
        return label_tasks(data, kind, progress)
    examples = without_repeats(
        read_multi_labelled(data.source, data.options, progress=progress)
    ).examples
    labels, unseen = tuple(label_counts(examples)), list(data.unseen(examples))
    if len(labels) < 2:
        raise DataError(
            f"{data.source.spec} has fewer than two labels.", fix="Check the label column."
        )
    chosen = iterative_split(unseen, {"test": min(data.items, len(unseen))}, data.seed)["test"]
    if kind == "classifier":
        return [MultiLabelClassification(chosen)]
    return [AskedOfEachLabel(chosen, labels, data.question, items=data.items)]


LABELS = TaskKind("labels", _tasks, layouts=(*LABELLED, *MULTI_LABELLED), prefer="classifier")
