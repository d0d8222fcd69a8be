"""What a classifier is compared with, on the same texts: logistic regression on TF-IDF of words
and of letters (with several labels one for each), the commonest label, and a language model shown
a few examples of each label before it is asked for one.

They choose settings on the validation examples, as the classifier may, and never see the test's
labels. The language model (few-shot):

    user: question, text     assistant: label     user: question, text     assistant: label     ...
                             user: question, the text     assistant:

How many examples of each label it is shown is chosen among those of SHOTS that fit the context.
The examples are drawn from the training texts, the same for all questions: what all questions
begin with is computed once for many (`engine/score.py`).
"""

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from groundup.data.documents import Example, MultiLabelExample
from groundup.device import Compute
from groundup.engine.score import ragged_batches
from groundup.errors import MissingExtra, ModelError
from groundup.evaluate.tasks.classification import (
    ZERO_SHOT_MAX_TOKENS,
    answer_ids,
    most_probable_labels,
)
from groundup.evaluate.tasks.label_figures import (
    Labels,
    choose_thresholds,
    indicators,
    labels_of_texts,
    said_sets,
)
from groundup.progress import Progress
from groundup.tokenizer.chat import Conversation, Message, render
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.model_io import OpenModel

# Inverse regularisation strengths that are tried.
TFIDF_C = (1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Baseline:
    name: str
    predicted: list[Labels]
    """The label, or the labels, of each test example."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What was chosen on the validation examples, with its loss there."""


def baseline_predictions(
    train: Sequence[Example],
    validation: Sequence[Example],
    test: Sequence[Example],
    labels: Sequence[str],
) -> list[Baseline]:
    """Raises MissingExtra (scikit-learn)."""
    commonest = Counter(labels_of_texts(train)).most_common(1)[0][0]
    labels_said = "labels" if isinstance(commonest, tuple) else "label"
    return [
        predict_tfidf(train, validation, test, labels, characters=False),
        predict_tfidf(train, validation, test, labels, characters=True),
        Baseline(f"always the commonest {labels_said}", [commonest] * len(test)),
    ]


def predict_tfidf(
    train: Sequence[Example],
    validation: Sequence[Example],
    test: Sequence[Example],
    labels: Sequence[str],
    *,
    characters: bool,
) -> Baseline:
    """TF-IDF of words and word pairs, or of 2 to 5 characters. Raises MissingExtra (scikit-learn).

    Settings have the lowest cross-entropy on the validation examples: the strength of
    regularisation, and whether rare classes weigh more; with several labels their thresholds are
    chosen there, too.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError as error:
        raise MissingExtra("scikit-learn", "demo") from error
    pieces: dict[str, Any] = {"ngram_range": (1, 2)}
    name = "TF-IDF of words + logistic regression"
    if characters:
        pieces = {"analyzer": "char_wb", "ngram_range": (2, 5)}
        name = "TF-IDF of letters + logistic regression"
    vectorizer = TfidfVectorizer(sublinear_tf=True, **pieces)
    known = vectorizer.fit_transform([example.text for example in train])
    judged, unknown = (
        vectorizer.transform([example.text for example in split]) for split in (validation, test)
    )
    return predict_regression(name, train, validation, labels, (known, judged, unknown))


def predict_regression(
    name: str,
    train: Sequence[Example],
    validation: Sequence[Example],
    labels: Sequence[str],
    rows: tuple[Any, Any, Any],
) -> Baseline:
    """Logistic regression on features of the texts; settings are chosen as for TF-IDF.

    `rows`: a matrix of features (texts, features) to train on, to choose on, and to predict.
    """
    known, judged, unknown = rows
    regression: _OneLabel | _EachLabel = _OneLabel(train, validation)
    if isinstance(train[0], MultiLabelExample):
        regression = _EachLabel(train, validation, labels)
        name = f"{name} of each label"
    tried = []
    for strength, weights in itertools.product(TFIDF_C, (None, "balanced")):
        model = regression.fit(known, strength, weights)
        loss = regression.loss(model, judged)
        tried.append((loss, model, {"C": strength, "class_weight": weights, "loss": loss}))
    _, best, settings = min(tried, key=lambda each: each[0])
    predicted, thresholds = regression.predict(best, judged, unknown)
    return Baseline(name, predicted, {**settings, **thresholds})


def _regression(strength: float, weights: str | None) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000, class_weight=weights, random_state=0)


class _OneLabel:
    """A regression on the label of each text."""

    def __init__(self, train: Sequence[Example], validation: Sequence[Example]) -> None:
        self._labels = [example.label for example in train]
        self._true = [example.label for example in validation]

    def fit(self, rows: Any, strength: float, weights: str | None) -> Any:
        return _regression(strength, weights).fit(rows, self._labels)

    def loss(self, model: Any, judged: Any) -> float:
        from sklearn.metrics import log_loss

        return float(log_loss(self._true, model.predict_proba(judged), labels=model.classes_))

    def predict(self, model: Any, judged: Any, unknown: Any) -> tuple[list[Labels], dict[str, Any]]:
        return [str(label) for label in model.predict(unknown)], {}


class _EachLabel:
    """A constant probability where all training texts have the label, or none."""

    def __init__(
        self, train: Sequence[Example], validation: Sequence[Example], labels: Sequence[str]
    ) -> None:
        self._labels = labels
        self._truth = indicators(labels_of_texts(train), labels)
        self._present = indicators(labels_of_texts(validation), labels)

    def fit(self, rows: Any, strength: float, weights: str | None) -> Any:
        models = []
        for truth in self._truth.T:
            if len(set(truth.tolist())) < 2:
                models.append(float(truth[0]))
            else:
                models.append(_regression(strength, weights).fit(rows, truth))
        return models

    def loss(self, model: Any, judged: Any) -> float:
        return binary_cross_entropy(self._probabilities(model, judged), self._present)

    def predict(self, model: Any, judged: Any, unknown: Any) -> tuple[list[Labels], dict[str, Any]]:
        chosen_on = self._probabilities(model, judged)
        thresholds = choose_thresholds(chosen_on, self._present, self._labels)
        predicted = said_sets(self._probabilities(model, unknown), thresholds)
        return predicted, {"thresholds": thresholds}

    @staticmethod
    def _probabilities(models: Sequence[Any], rows: Any) -> np.ndarray:
        columns = []
        for model in models:
            if isinstance(model, float):
                columns.append(np.full(rows.shape[0], model))
            else:
                columns.append(model.predict_proba(rows)[:, 1])
        return np.stack(columns, axis=1)


def binary_cross_entropy(probabilities: np.ndarray, present: np.ndarray) -> float:
    """Return nats a text, summed over labels."""
    bounded = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return float(-np.where(present, np.log(bounded), np.log1p(-bounded)).sum(axis=1).mean())


# Examples of each label that are tried, and validation texts that they are tried on.
SHOTS, CHOSEN_ON = (1, 2, 4), 40


def shown_examples(
    train: Sequence[Example], labels: Sequence[str], shots: int, seed: int
) -> list[Example]:
    """Of a rarer label all; the order depends on the seed, not on the labels."""
    drawn: dict[str, list[Example]] = {label: [] for label in labels}
    for example in sorted(
        train, key=lambda each: hashlib.sha256(f"{seed}/{each.text}".encode()).digest()
    ):
        if len(drawn[example.label]) < shots:
            drawn[example.label].append(example)
    found = [example for of_label in drawn.values() for example in of_label]
    random.Random(seed).shuffle(found)
    return found


@dataclass(frozen=True)
class FewShot:
    train: Sequence[Example]
    """Among them are the examples that it is shown."""
    labels: tuple[str, ...]
    question: str
    max_tokens: int = ZERO_SHOT_MAX_TOKENS
    """Longer texts are cut, and longer examples at ZERO_SHOT_MAX_TOKENS."""
    seed: int = 0

    def prompts(self, texts: Sequence[str], shots: int, tokenizer: Tokenizer) -> list[list[int]]:
        """Up to the opened assistant's turn."""
        shown = shown_examples(self.train, self.labels, shots, self.seed)
        before: list[Message] = []
        for example in shown:
            before.append(self._question(example.text, tokenizer, ZERO_SHOT_MAX_TOKENS))
            before.append(Message("assistant", example.label))
        asked = [self._question(text, tokenizer, self.max_tokens) for text in texts]
        conversations = [Conversation((*before, question)) for question in asked]
        return [render(each, tokenizer, add_generation_prompt=True).ids for each in conversations]

    def _question(self, text: str, tokenizer: Tokenizer, max_tokens: int) -> Message:
        cut = tokenizer.decode(tokenizer.encode(text)[:max_tokens])
        return Message("user", f"{self.question}\n\n{cut}")

    def answers(self, tokenizer: Tokenizer) -> list[list[int]]:
        return [answer_ids(label, tokenizer) for label in self.labels]

    def fits(self, texts: Sequence[str], shots: int, opened: OpenModel) -> bool:
        """With their examples and the longest answer."""
        tokenizer = opened.require_tokenizer()
        room = opened.config.context_tokens - max(map(len, self.answers(tokenizer))) + 1
        return all(len(prompt) <= room for prompt in self.prompts(texts, shots, tokenizer))

    def predict(
        self,
        opened: OpenModel,
        texts: Sequence[str],
        shots: int,
        *,
        compute: Compute,
        progress: Progress,
    ) -> list[str]:
        """By log-probability per byte of the complete answer, as zero-shot. Raises ModelError."""
        prompts = self.prompts(texts, shots, opened.require_tokenizer())
        what = f"asking the base model after {shots} examples of each label"
        return most_probable_labels(
            opened, prompts, self.labels, what, compute=compute, progress=progress
        )

    def tokens(self, texts: Sequence[str], shots: int, tokenizer: Tokenizer) -> int:
        """How many the model computes: what prompts share is computed once a batch."""
        answers = self.answers(tokenizer)
        rows = [
            [*prompt, *answer[:-1]]
            for prompt in self.prompts(texts, shots, tokenizer)
            for answer in answers
        ]
        return sum(len(batch.ids) for batch in ragged_batches(rows))


def choose_shots(
    few: FewShot,
    opened: OpenModel,
    validation: Sequence[Example],
    *,
    compute: Compute,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Accuracies on validation texts of each number of examples that fits, the best first. Raises
    ModelError where none fits.
    """
    used = validation[:CHOSEN_ON]
    texts = [example.text for example in used]
    tried = []
    for shots in SHOTS:
        if not few.fits(texts, shots, opened):
            break
        predicted = few.predict(opened, texts, shots, compute=compute, progress=progress)
        right = sum(p == example.label for p, example in zip(predicted, used, strict=True))
        tried.append({"shots": shots, "accuracy": right / len(used), "n": len(used)})
    if not tried:
        raise ModelError(
            f"The context of {opened.config.context_tokens} tokens is too short for an example of "
            "each label.",
            fix="Use a model with a longer context, or fewer labels.",
        )
    return sorted(tried, key=lambda each: (-each["accuracy"], each["shots"]))
