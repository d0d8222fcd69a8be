"""Text classification, of one label a text or of none, one or several: a fine-tuned classifier, and
a language model that is asked (zero-shot) which label fits, or of each whether it fits. All methods
predict for the same held-out examples and are measured by `label_figures.judge`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundup.data.documents import Example
from groundup.data.reading.example_splits import (
    iterative_split,
    label_counts,
    stratified_split,
    without_repeats,
)
from groundup.data.reading.examples import is_multi_label, read_labelled, read_multi_labelled
from groundup.data.reading.layouts import LABELLED, MULTI_LABELLED
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.generate import require_room
from groundup.engine.score import score
from groundup.errors import ConfigError, ModelError
from groundup.evaluate.task import EvaluationTask, HeldOut, TaskKind, TaskResult, language_model
from groundup.evaluate.tasks.label_figures import (
    Labels,
    judge,
    labels_of,
    labels_of_texts,
    plain_labels,
    positive_label,
)
from groundup.progress import Progress
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.hf_families import ModelKind
from groundup.weights.model_io import OpenModel

ZERO_SHOT_ITEMS = 200
# Messages are truncated.
ZERO_SHOT_MAX_TOKENS = 64
# Questions in all, one for each text and label: of many labels fewer texts are asked about.
MAX_QUESTIONS = 500
YES, NO = "yes", "no"
LABEL_QUESTION = "Does the label {label} fit the text above? Answer yes or no."


@dataclass(frozen=True)
class Classification:
    """A fine-tuned classifier on held-out `examples`."""

    examples: Sequence[Example]
    positive: str = ""
    """The label to detect; "": texts have several labels."""
    name: str = "classification"

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Raises ModelError for a language model, for a classifier without these labels, or where
        either it or the texts have several.
        """
        several = not self.positive
        if opened.labels and opened.decision.multi_label != several:
            what = "several labels, and these texts have one each"
            fix = "Give texts with lists of labels, or a label_separator."
            if several:
                what, fix = "one label, and these texts have several", "Train one on such texts."
            raise ModelError(f"{opened.path} gives a text {what}.", fix=fix)
        unknown = set(label_counts(self.examples)) - set(opened.labels)
        if opened.labels and unknown:
            raise ModelError(
                f"The examples have labels that {opened.path} does not have: "
                f"{', '.join(sorted(unknown))}.",
                fix=f"It has {', '.join(opened.labels)}.",
            )
        found = Engine(opened, compute).classify([example.text for example in self.examples])
        predicted: list[Labels] = [opened.decision.label(each) for each in found]
        if several:
            predicted = [tuple(opened.decision.labels(each)) for each in found]
        actual = labels_of_texts(self.examples)
        outcome = judge(actual, predicted, opened.labels, self.positive)
        return TaskResult(
            outcome.measures,
            {**outcome.details, "predictions": plain_labels(predicted)},
            outcome.per_item,
        )


def require_place_for_label(question: str | None) -> None:
    if question is not None and "{label}" not in question:
        raise ConfigError(
            "A question on texts with several labels is asked of each label, and has {label} in "
            "it.",
            fix=f"For example: {LABEL_QUESTION}",
        )


@dataclass(frozen=True)
class ZeroShot:
    """A language model asked about the first `items` examples: for the label with the best log-
    probability per byte; with several labels of each whether it fits.
    """

    examples: Sequence[Example]
    labels: tuple[str, ...]
    positive: str = ""
    """The label to detect; "": texts have several labels."""
    question: str | None = None
    """The instruction before the text, or with several labels behind it, with {label} in it, so
    that the text is read once for all labels; None: a question that lists the labels, or
    LABEL_QUESTION.
    """
    name: str = "zero-shot"
    items: int = ZERO_SHOT_ITEMS
    max_tokens: int = ZERO_SHOT_MAX_TOKENS
    """Longer texts are cut."""

    def __post_init__(self) -> None:
        if not self.positive:
            require_place_for_label(self.question)

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Raises ModelError."""
        items, default = self.items, default_question(self.labels)
        if not self.positive:
            items = max(1, min(self.items, MAX_QUESTIONS // len(self.labels)))
            default = LABEL_QUESTION
        used, question = self.examples[:items], self.question or default
        tokenizer = opened.require_tokenizer()
        texts = [
            tokenizer.decode(tokenizer.encode(example.text)[: self.max_tokens]) for example in used
        ]
        predicted = predict_zero_shot(
            opened,
            texts,
            self.labels,
            question,
            each_label=not self.positive,
            compute=compute,
            progress=progress,
        )
        outcome = judge(labels_of_texts(used), predicted, self.labels, self.positive)
        details: dict[str, Any] = {
            **outcome.details,
            "question": question,
            "asked": len(used),
            "of": len(self.examples),
            "predictions": plain_labels(predicted),
        }
        return TaskResult(outcome.measures, details, outcome.per_item)


def default_question(labels: Sequence[str]) -> str:
    """Return the question that lists the labels.

    >>> default_question(["ham", "spam"])
    'Which label fits this text: ham or spam? Answer with one word.'
    """
    listed = f"{', '.join(labels[:-1])} or {labels[-1]}"
    return f"Which label fits this text: {listed}? Answer with one word."


def predict_zero_shot(
    opened: OpenModel,
    texts: Sequence[str],
    labels: Sequence[str],
    question: str,
    *,
    each_label: bool = False,
    compute: Compute,
    progress: Progress,
) -> list[Labels]:
    """Return the label with the best log-probability per byte as a complete answer; with
    `each_label` the labels to whose question yes is the more probable answer. Raises ModelError.
    """
    _, tokenizer = language_model(opened)
    answers, what = labels, "asking the base model"
    prompts = [zero_shot_prompt(question, text, tokenizer) for text in texts]
    if each_label:
        answers, what = (NO, YES), "asking the base model of each label"
        prompts = [
            zero_shot_prompt(text, question.replace("{label}", label), tokenizer)
            for text in texts
            for label in labels
        ]
    found = most_probable_labels(opened, prompts, answers, what, compute=compute, progress=progress)
    if not each_label:
        return list(found)
    said = iter(found)
    return [tuple(label for label in labels if next(said) == YES) for _ in texts]


def most_probable_labels(
    opened: OpenModel,
    prompts: Sequence[list[int]],
    labels: Sequence[str],
    what: str,
    *,
    compute: Compute,
    progress: Progress,
) -> list[str]:
    """By log-probability per byte as a complete answer, of equal ones the first. `what` names the
    work. Raises ModelError.
    """
    model, tokenizer = language_model(opened)
    answers = [answer_ids(label, tokenizer) for label in labels]
    for prompt in prompts:
        require_room(len(prompt) + max(map(len, answers)) - 1, model.config.context_tokens)
    pairs = [(prompt, answer) for prompt in prompts for answer in answers]
    with progress.track(what, len(pairs), "answers") as advance:
        scored = iter(score(model, pairs, compute=compute, done=advance))
    # ln P of the complete answer with its end token, per byte of the label (lm-eval's acc_bytes):
    # without the end token a label that is a prefix of another always wins, without the division
    # the shorter one does, and a division by tokens favours labels of many tokens.
    lengths = [max(1, len(label.encode())) for label in labels]
    rows = [[next(scored).logprob / length for length in lengths] for _ in prompts]
    return [labels[row.index(max(row))] for row in rows]


def zero_shot_prompt(question: str, text: str, tokenizer: Tokenizer) -> list[int]:
    """Return the ids up to the opened assistant's turn."""
    message = Message("user", f"{question}\n\n{text}")
    return render(Conversation((message,)), tokenizer, add_generation_prompt=True).ids


def answer_ids(label: str, tokenizer: Tokenizer) -> list[int]:
    """An assistant's turn that consists of `label`, with the token that ends it."""
    turn = render(Conversation((Message("user", ""), Message("assistant", label))), tokenizer)
    ids = [id for id, is_answer in zip(turn.ids, turn.mask, strict=True) if is_answer]
    if ids[-1] not in tokenizer.special.stop_ids:
        ids.append(tokenizer.special.eos_id)
    return ids


def _tasks(data: HeldOut, kind: ModelKind, progress: Progress) -> list[EvaluationTask]:
    """`items` examples, chosen by hash: a classifier predicts, a language model is asked."""
    several = is_multi_label(data.data)
    read = read_multi_labelled if several else read_labelled
    examples = without_repeats(read(data.data, progress=progress)).examples
    labels, unseen = labels_of(examples), list(data.unseen(examples))
    size = {"test": min(data.items, len(unseen))}
    if several:
        chosen, positive = iterative_split(unseen, size, data.seed)["test"], ""
    else:
        chosen = stratified_split(unseen, size, seed=data.seed, every_class=False)["test"]
        present = {example.label for example in chosen}
        positive = positive_label([each for each in examples if each.label in present])
    if kind == "classifier":
        return [Classification(chosen, positive)]
    return [ZeroShot(chosen, labels, positive, question=data.question, items=data.items)]


LABELS = TaskKind("labels", _tasks, layouts=(*LABELLED, *MULTI_LABELLED), prefer="classifier")
