"""Figures of texts with several labels, decisions on them, and simple methods: what
`tasks/classification.py` is for one label a text.

    judge_sets(actual, predicted, labels) -> exact match, micro F1, macro F1, and precision, recall
        and F1 of each label
    choose_thresholds(probabilities, present) -> for each label the probability from which it is
        said

exact match   the share of the texts whose labels are all said and no other
micro F1      of all pairs of a text and a label; macro F1: the mean over the labels that a text has
Their intervals are those of a bootstrap over texts, as the labels of one text are not independent.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from groundup.data.documents import Example
from groundup.data.reading.multi_label import labels_of_example
from groundup.errors import MissingExtra
from groundup.evaluate.metrics import f1, wilson_interval
from groundup.evaluate.paired import Difference, bootstrap, share_difference
from groundup.evaluate.task import PerItem, TaskResult, as_measure
from groundup.evaluate.tasks.classification import TFIDF_C
from groundup.weights.decision_rule import DEFAULT_THRESHOLD

LabelSet = tuple[str, ...]
# With fewer validation texts with the label, or without it, its threshold is not chosen.
MIN_TO_CHOOSE = 10


def sets_of(examples: Sequence[Example]) -> list[LabelSet]:
    """Return the labels of each text."""
    return [labels_of_example(example) for example in examples]


def indicators(sets: Sequence[Sequence[str]], labels: Sequence[str]) -> np.ndarray:
    """Return 0 or 1 for each text and label, [n, N].

    >>> indicators([("b",), ()], ("a", "b")).tolist()
    [[0, 1], [0, 0]]
    """
    return np.array([[int(label in each) for label in labels] for each in sets], dtype=int).reshape(
        -1, len(labels)
    )


def sigmoid(scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the probability of each label."""
    return np.asarray((1 + np.tanh(scores / temperature / 2)) / 2)


def best_threshold(probabilities: Sequence[float], present: Sequence[bool | int]) -> float:
    """Return the threshold with the highest F1, between two probabilities; of equal ones the
    nearest to 0.5. With few texts: 0.5.

    >>> best_threshold([0.1] * 10 + [0.3] * 10, [0] * 10 + [1] * 10)
    0.2
    """
    positives = sum(map(bool, present))
    if min(positives, len(present) - positives) < MIN_TO_CHOOSE:
        return DEFAULT_THRESHOLD
    pairs = sorted(zip(probabilities, present, strict=True), key=lambda pair: -pair[0])
    right, found = 0, []
    for said, (probability, is_present) in enumerate(pairs, 1):
        right += bool(is_present)
        below = pairs[said][0] if said < len(pairs) else 0.0
        if below < probability:
            found.append((2 * right / (said + positives), (probability + below) / 2))
    return max(found, key=lambda each: (each[0], -abs(each[1] - DEFAULT_THRESHOLD)))[1]


def choose_thresholds(
    probabilities: np.ndarray, present: np.ndarray, labels: Sequence[str]
) -> dict[str, float]:
    """Return label -> threshold, chosen on validation texts: [n, N] probabilities, and 0 or 1."""
    return {
        label: best_threshold(probabilities[:, i].tolist(), present[:, i].tolist())
        for i, label in enumerate(labels)
    }


def said_sets(probabilities: np.ndarray, thresholds: Mapping[str, float]) -> list[LabelSet]:
    """Return the labels of each text whose probabilities reach their thresholds."""
    return [
        tuple(label for label, p in zip(thresholds, row, strict=True) if p >= thresholds[label])
        for row in probabilities.tolist()
    ]


def by_label(
    actual: np.ndarray, predicted: np.ndarray, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Return precision (None: never said), recall (None: no text has it) and F1 with its interval
    of each label, and the counts behind them.
    """
    rows = []
    for i, label in enumerate(labels):
        right, n, said = (
            int((actual[:, i] & predicted[:, i]).sum()),
            int(actual[:, i].sum()),
            int(predicted[:, i].sum()),
        )
        found = f1([[len(actual) - n - said + right, said - right], [n - right, right]], 1)
        rows.append(
            {
                "label": label,
                "precision": right / said if said else None,
                "recall": right / n if n else None,
                "f1": found.value,
                "f1_interval": [found.low, found.high],
                "n": n,
                "said": said,
            }
        )
    return rows


def sums_of(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return for each text, and each label: found (0 or 1), and true plus said (0 to 2); F1 = 2
    sum(found) / sum(true + said). [n, 2N]
    """
    return np.concatenate([actual & predicted, actual + predicted], axis=1).astype(float)


def micro_f1(sums: np.ndarray) -> np.ndarray:
    """Return micro F1 of sums over texts [draws, 2N]; 0 where nothing is true or said."""
    half = sums.shape[1] // 2
    return np.asarray(2 * sums[:, :half].sum(axis=1) / np.maximum(sums[:, half:].sum(axis=1), 1))


def macro_f1(sums: np.ndarray) -> np.ndarray:
    """Return the mean F1 of the labels, of sums over texts [draws, 2N]."""
    half = sums.shape[1] // 2
    return np.asarray((2 * sums[:, :half] / np.maximum(sums[:, half:], 1)).mean(axis=1))


def judge_sets(
    actual: Sequence[LabelSet], predicted: Sequence[LabelSet], labels: Sequence[str]
) -> TaskResult:
    """Return exact match (chance: the commonest set), micro F1, macro F1 over the labels that
    occur, and the figures of each label.
    """
    true, said, n = indicators(actual, labels), indicators(predicted, labels), len(actual)
    right = (true == said).all(axis=1)
    commonest = Counter(map(tuple, true.tolist())).most_common(1)[0][1] / n
    occurs = true.any(axis=0)
    measures = [
        as_measure("exact_match", wilson_interval(int(right.sum()), n), n, chance=commonest),
        as_measure("micro_f1", bootstrap(sums_of(true, said), micro_f1), n),
    ]
    if occurs.any():
        measures.append(
            as_measure(
                "macro_f1", bootstrap(sums_of(true[:, occurs], said[:, occurs]), macro_f1), n
            )
        )
    details = {
        "labels": list(labels),
        "by_label": by_label(true, said, labels),
        "predictions": list(map(list, predicted)),
    }
    return TaskResult(tuple(measures), details, PerItem.of_right(right.tolist()))


def set_row(name: str, result: TaskResult) -> dict[str, Any]:
    """Return a result of `judge_sets` as one row of results.json."""
    return {
        "name": name,
        **{m.metric: m.plain() for m in result.measures},
        "by_label": result.details["by_label"],
    }


def compare_sets(
    predictions: Mapping[str, Sequence[LabelSet]], actual: Sequence[LabelSet], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row for each method on the texts that it predicted (the first ones); all but the
    first with its paired `lead`.
    """
    ours = next(iter(predictions.values()))
    rows = []
    for place, (name, predicted) in enumerate(predictions.items()):
        n = len(predicted)
        row = set_row(name, judge_sets(actual[:n], predicted, labels))
        rows.append(
            {**row, "lead": set_lead(actual[:n], predicted, ours[:n], labels)} if place else row
        )
    return rows


def set_lead(
    actual: Sequence[LabelSet],
    theirs: Sequence[LabelSet],
    ours: Sequence[LabelSet],
    labels: Sequence[str],
) -> dict[str, Any]:
    """Return our exact match and micro F1 minus theirs, paired, with intervals and verdicts."""
    true, *said = (indicators(each, labels) for each in (actual, theirs, ours))
    rights = [(true == each).all(axis=1).tolist() for each in said]
    both = np.concatenate([sums_of(true, each) for each in said], axis=1)
    half = 2 * len(labels)
    found = bootstrap(both, lambda sums: micro_f1(sums[:, half:]) - micro_f1(sums[:, :half]))
    f1_found = Difference(found.value, found.low, found.high, len(actual))
    return {"exact_match": share_difference(*rights).plain(), "micro_f1": f1_found.plain()}


@dataclass(frozen=True)
class SetBaseline:
    """A method without a language model."""

    name: str
    predicted: list[LabelSet]
    """Of the test texts."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What was chosen on the validation texts, with its loss there."""


def set_baselines(
    train: Sequence[Example],
    validation: Sequence[Example],
    test: Sequence[Example],
    labels: Sequence[str],
) -> list[SetBaseline]:
    """Return three methods without a language model. Raises MissingExtra (scikit-learn)."""
    commonest = Counter(sets_of(train)).most_common(1)[0][0]
    return [
        one_vs_rest(train, validation, test, labels, characters=False),
        one_vs_rest(train, validation, test, labels, characters=True),
        SetBaseline("always the commonest labels", [commonest] * len(test)),
    ]


def one_vs_rest(
    train: Sequence[Example],
    validation: Sequence[Example],
    test: Sequence[Example],
    labels: Sequence[str],
    *,
    characters: bool,
) -> SetBaseline:
    """Return a logistic regression for each label on TF-IDF of words and word pairs, or of 2 to 5
    characters. Raises MissingExtra (scikit-learn).

    As the classifier's, its settings are those with the lowest binary cross-entropy on the
    validation texts, and so are the labels' thresholds chosen there.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError as error:
        raise MissingExtra("scikit-learn", "demo") from error
    pieces = (
        {"analyzer": "char_wb", "ngram_range": (2, 5)} if characters else {"ngram_range": (1, 2)}
    )
    vectorizer = TfidfVectorizer(sublinear_tf=True, **pieces)
    known = vectorizer.fit_transform([example.text for example in train])
    judged, unknown = (
        vectorizer.transform([example.text for example in split]) for split in (validation, test)
    )
    truth, present = (indicators(sets_of(split), labels) for split in (train, validation))
    best, chosen = None, dict[str, Any](loss=math.inf)
    for strength, weights in itertools.product(TFIDF_C, (None, "balanced")):
        models = [_fitted(known, truth[:, i], strength, weights) for i in range(len(labels))]
        probabilities = _probabilities(models, judged)
        loss = binary_cross_entropy(probabilities, present)
        if loss < chosen["loss"]:
            best, chosen = models, {"C": strength, "class_weight": weights, "loss": loss}
            thresholds = choose_thresholds(probabilities, present, labels)
    assert best is not None
    name = f"TF-IDF of {'letters' if characters else 'words'} + logistic regression of each label"
    return SetBaseline(
        name,
        said_sets(_probabilities(best, unknown), thresholds),
        {**chosen, "thresholds": thresholds},
    )


def _fitted(known: Any, truth: np.ndarray, strength: float, weights: str | None) -> Any:
    """Return the regression of one label, or its constant probability where all training texts have
    it.
    """
    from sklearn.linear_model import LogisticRegression

    if len(set(truth.tolist())) < 2:
        return float(truth[0])
    return LogisticRegression(C=strength, max_iter=1000, class_weight=weights, random_state=0).fit(
        known, truth
    )


def _probabilities(models: Sequence[Any], texts: Any) -> np.ndarray:
    """Return the probability of each label, [n, N]."""
    columns = [
        np.full(texts.shape[0], model)
        if isinstance(model, float)
        else model.predict_proba(texts)[:, 1]
        for model in models
    ]
    return np.stack(columns, axis=1)


def binary_cross_entropy(probabilities: np.ndarray, present: np.ndarray) -> float:
    """Return nats a text, summed over labels."""
    bounded = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return float(-np.where(present, np.log(bounded), np.log1p(-bounded)).sum(axis=1).mean())
