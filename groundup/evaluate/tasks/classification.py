"""Text classification: a fine-tuned classifier and its baselines: the most frequent label, TF-IDF
with logistic regression, a language model asked zero-shot.

All predict for the same held-out examples and are measured by one function (`judge`), so that their
results are comparable. The baselines are plain functions of (train, validation, test); like the
classifier they may choose settings on the validation examples, and never see the test's labels.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from groundup.data.documents import Example
from groundup.data.reading.distinct import without_repeats
from groundup.data.reading.examples import read_labelled, stratified_split
from groundup.device import Compute
from groundup.engine.engine import Engine
from groundup.engine.generate import require_room
from groundup.engine.score import score
from groundup.errors import DataError, MissingExtra, ModelError
from groundup.evaluate.metrics import accuracy, confusion_matrix, f1, macro_f1, majority_share
from groundup.evaluate.paired import f1_difference, share_difference
from groundup.evaluate.task import (
    EvaluationTask,
    HeldOut,
    PerItem,
    TaskResult,
    as_measure,
    language_model,
)
from groundup.progress import Progress
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.hf_families import ModelKind
from groundup.weights.model_io import OpenModel

ZERO_SHOT_ITEMS = 200
# Messages are truncated.
ZERO_SHOT_MAX_TOKENS = 64
# Inverse regularisation strengths that are tried.
TFIDF_C = (1.0, 10.0, 100.0)


def labels_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """Return the distinct labels in alphabetical order.

    Raises DataError when there are fewer than two.
    """
    labels = tuple(sorted({example.label for example in examples}))
    if len(labels) < 2:
        found = (
            f"all {len(examples)} examples are {labels[0]!r}" if labels else "there are no examples"
        )
        raise DataError(
            f"A classifier needs examples of at least two labels, but {found}.",
            fix="Add examples of another label, or check the label column.",
        )
    return labels


def positive_label(examples: Sequence[Example]) -> str:
    """Return the rarest label, the one to detect (spam), whose F1 is reported."""
    counts = Counter(example.label for example in examples)
    return min(sorted(counts), key=lambda label: counts[label])


def judge(
    actual: Sequence[str], predicted: Sequence[str], labels: Sequence[str], positive: str
) -> TaskResult:
    """Return accuracy (chance: the majority's share), F1 of `positive` (chance 0) or of more than
    two labels macro F1, and the confusion matrix.
    """
    confusion, n = confusion_matrix(actual, predicted, labels), len(actual)
    if len(labels) == 2:
        f1_found = as_measure("f1", f1(confusion, labels.index(positive)), n, chance=0.0)
    else:
        f1_found = as_measure("macro_f1", macro_f1(confusion), n)
    measures = (
        as_measure("accuracy", accuracy(confusion), n, chance=majority_share(actual)),
        f1_found,
    )
    details = {"labels": list(labels), "positive": positive, "confusion": confusion}
    return TaskResult(
        measures, details, PerItem.of_right(a == p for a, p in zip(actual, predicted, strict=True))
    )


def model_row(name: str, result: TaskResult) -> dict[str, Any]:
    """Return a result of `judge` as one row: name, accuracy (with interval), f1, its interval,
    confusion.
    """
    accuracy_found, f1_found = result.measures
    return {
        "name": name,
        "accuracy": accuracy_found.plain(),
        "f1": f1_found.value,
        "f1_interval": [f1_found.low, f1_found.high],
        "confusion": result.details["confusion"],
    }


def compare(
    predictions: Mapping[str, Sequence[str]],
    actual: Sequence[str],
    labels: Sequence[str],
    positive: str,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return rows of all methods on the examples that each predicted (the first ones of `actual`),
    and on those that all predicted.

    All but the first have `lead`: how much the first method is ahead of this one on the examples
    that both predicted, paired.
    """
    shortest = min(len(predicted) for predicted in predictions.values())
    first, ours = next(iter(predictions.items()))
    judged = [positive] if len(labels) == 2 else [label for label in labels if label in actual]

    def row(name: str, predicted: Sequence[str], longest: int) -> dict[str, Any]:
        used = min(longest, len(predicted))
        true, theirs = actual[:used], predicted[:used]
        found = model_row(name, judge(true, theirs, labels, positive))
        return (
            found if name == first else {**found, "lead": lead(true, theirs, ours[:used], judged)}
        )

    def rows(longest: int) -> list[dict[str, Any]]:
        return [row(name, predicted, longest) for name, predicted in predictions.items()]

    return rows(len(actual)), rows(shortest)


def lead(
    actual: Sequence[str], theirs: Sequence[str], ours: Sequence[str], judged: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return our accuracy and F1 minus theirs, paired, with intervals and verdicts."""
    rights = [
        [a == p for a, p in zip(actual, predicted, strict=True)] for predicted in (theirs, ours)
    ]
    f1_found = f1_difference(actual, theirs, ours, judged)
    return {"accuracy": share_difference(*rights).plain(), "f1": f1_found.plain()}


@dataclass(frozen=True)
class Baseline:
    """A method without a language model."""

    name: str
    predicted: list[str]
    """Labels of the test examples."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What was chosen on the validation examples, with its loss there."""


def baseline_predictions(
    train: Sequence[Example], validation: Sequence[Example], test: Sequence[Example]
) -> list[Baseline]:
    """Return three methods without a language model. Raises MissingExtra (scikit-learn)."""
    commonest = Counter(example.label for example in train).most_common(1)[0][0]
    return [
        predict_tfidf(train, validation, test, characters=False),
        predict_tfidf(train, validation, test, characters=True),
        Baseline("always the commonest label", [commonest] * len(test)),
    ]


def predict_tfidf(
    train: Sequence[Example],
    validation: Sequence[Example],
    test: Sequence[Example],
    *,
    characters: bool,
) -> Baseline:
    """Return logistic regression on TF-IDF of words and word pairs, or of 2 to 5 characters
    (scikit-learn). Raises MissingExtra.

    As the classifier's, its settings are those with the lowest cross-entropy on the validation
    examples: the strength of regularisation, and whether rare classes weigh more.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import log_loss
    except ImportError as error:
        raise MissingExtra("scikit-learn", "demo") from error
    pieces = (
        {"analyzer": "char_wb", "ngram_range": (2, 5)} if characters else {"ngram_range": (1, 2)}
    )
    vectorizer = TfidfVectorizer(sublinear_tf=True, **pieces)
    labels = [example.label for example in train]
    known = vectorizer.fit_transform([example.text for example in train])
    judged, unknown = (
        vectorizer.transform([example.text for example in split]) for split in (validation, test)
    )
    true = [example.label for example in validation]
    best, chosen = None, dict[str, Any](loss=math.inf)
    for strength, weights in itertools.product(TFIDF_C, (None, "balanced")):
        model = LogisticRegression(
            C=strength, max_iter=1000, class_weight=weights, random_state=0
        ).fit(known, labels)
        loss = float(log_loss(true, model.predict_proba(judged), labels=model.classes_))
        if loss < chosen["loss"]:
            best, chosen = model, {"C": strength, "class_weight": weights, "loss": loss}
    assert best is not None
    name = f"TF-IDF of {'letters' if characters else 'words'} + logistic regression"
    return Baseline(name, [str(label) for label in best.predict(unknown)], chosen)


@dataclass(frozen=True)
class Classification:
    """A fine-tuned classifier on held-out `examples`."""

    examples: Sequence[Example]
    positive: str
    name: str = "classification"

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Measure a classifier.

        Raises ModelError for a language model, or a classifier without these labels.
        """
        if opened.decision.multi_label:
            raise ModelError(
                f"{opened.path} gives a text several labels, and these texts have one each.",
                fix="Give texts with lists of labels, or --label-separator.",
            )
        unknown = {example.label for example in self.examples} - set(opened.labels)
        if opened.labels and unknown:
            raise ModelError(
                f"The examples have labels that {opened.path} does not have: {', '.join(sorted(unknown))}.",
                fix=f"It has {', '.join(opened.labels)}.",
            )
        found = Engine(opened, compute).classify([example.text for example in self.examples])
        predicted = [opened.decision.label(probabilities) for probabilities in found]
        outcome = judge(
            [example.label for example in self.examples], predicted, opened.labels, self.positive
        )
        return TaskResult(
            outcome.measures, {**outcome.details, "predictions": predicted}, outcome.per_item
        )


@dataclass(frozen=True)
class ZeroShot:
    """A language model asked for the label of each of the first `items` examples; the answer with
    the best log-probability per byte counts.
    """

    examples: Sequence[Example]
    labels: tuple[str, ...]
    positive: str
    question: str | None = None
    """The instruction before the text; None: a question that lists the labels."""
    name: str = "zero-shot"
    items: int = ZERO_SHOT_ITEMS
    max_tokens: int = ZERO_SHOT_MAX_TOKENS
    """Longer texts are cut."""

    def measure(self, opened: OpenModel, *, compute: Compute, progress: Progress) -> TaskResult:
        """Measure the predictions; `details` has the question and the number of examples used."""
        used = self.examples[: self.items]
        question = self.question or default_question(self.labels)
        tokenizer = opened.require_tokenizer()
        texts = [
            tokenizer.decode(tokenizer.encode(example.text)[: self.max_tokens]) for example in used
        ]
        predicted = predict_zero_shot(
            opened, texts, self.labels, question, compute=compute, progress=progress
        )
        outcome = judge([example.label for example in used], predicted, self.labels, self.positive)
        details: dict[str, Any] = {
            **outcome.details,
            "question": question,
            "asked": len(used),
            "of": len(self.examples),
            "predictions": predicted,
        }
        return TaskResult(outcome.measures, details, outcome.per_item)


def default_question(labels: Sequence[str]) -> str:
    """Return the question that lists the labels.

    >>> default_question(["ham", "spam"])
    'Which label fits this text: ham or spam? Answer with one word.'
    """
    return f"Which label fits this text: {', '.join(labels[:-1])} or {labels[-1]}? Answer with one word."


def predict_zero_shot(
    opened: OpenModel,
    texts: Sequence[str],
    labels: Sequence[str],
    question: str,
    *,
    compute: Compute,
    progress: Progress,
) -> list[str]:
    """Return, for each text, the label with the best log-probability per byte as a complete answer.

    Raises ModelError.
    """
    model, tokenizer = language_model(opened)
    prompts = [zero_shot_prompt(question, text, tokenizer) for text in texts]
    answers = [answer_ids(label, tokenizer) for label in labels]
    for prompt in prompts:
        require_room(len(prompt) + max(map(len, answers)) - 1, model.config.context_tokens)
    pairs = [(prompt, answer) for prompt in prompts for answer in answers]
    with progress.track("asking the base model", len(pairs), "answers") as advance:
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
    """Return the ids of an assistant's turn that consists of `label`, with the token that ends the
    turn.
    """
    turn = render(Conversation((Message("user", ""), Message("assistant", label))), tokenizer)
    ids = [id for id, is_answer in zip(turn.ids, turn.mask, strict=True) if is_answer]
    return ids if ids[-1] in tokenizer.special.stop_ids else [*ids, tokenizer.special.eos_id]


def label_tasks(data: HeldOut, kind: ModelKind, progress: Progress) -> list[EvaluationTask]:
    """Return the task on at most `items` examples, chosen by hash: a classifier predicts, a
    language model is asked.
    """
    examples = without_repeats(read_labelled(data.source, data.options, progress=progress)).examples
    labels, unseen = labels_of(examples), list(data.unseen(examples))
    size = {"test": min(data.items, len(unseen))}
    chosen = stratified_split(unseen, size, seed=data.seed, every_class=False)["test"]
    present = {example.label for example in chosen}
    positive = positive_label([example for example in examples if example.label in present])
    if kind == "classifier":
        return [Classification(chosen, positive)]
    return [ZeroShot(chosen, labels, positive, question=data.question, items=data.items)]
