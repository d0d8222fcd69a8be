"""Methods without a language model that a classifier is compared with: logistic regression on
TF-IDF of words and of letters (with several labels one for each), and the commonest label.

They are plain functions of (train, validation, test); like the classifier they may choose settings
on the validation examples, and never see the test's labels.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from groundup.data.documents import Example, MultiLabelExample
from groundup.errors import MissingExtra
from groundup.evaluate.tasks.label_figures import (
    Labels,
    choose_thresholds,
    indicators,
    labels_of_texts,
    said_sets,
)

# Inverse regularisation strengths that are tried.
TFIDF_C = (1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Baseline:
    """A method without a language model."""

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
    """Return three methods without a language model. Raises MissingExtra (scikit-learn)."""
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
    """Return logistic regression on TF-IDF of words and word pairs, or of 2 to 5 characters
    (scikit-learn). Raises MissingExtra.

    As the classifier's, its settings are those with the lowest cross-entropy on the validation
    examples: the strength of regularisation, and whether rare classes weigh more; with several
    labels their thresholds are chosen there, too.
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
    """A regression for each label, or its constant probability where all training texts have it."""

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
        """Return the probability of each label, [n, N]."""
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
