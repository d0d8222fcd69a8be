"""Figures of predicted labels against the true ones, decisions on several labels, and the paired
comparison of methods.

exact match   the share of the texts whose labels are all said and no other
micro F1      of all pairs of a text and a label; macro F1: the mean over the labels that a text has
Their intervals are those of a bootstrap over texts, as the labels of one text are not independent.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from groundup.data.documents import Example, MultiLabelExample
from groundup.data.reading.example_splits import label_counts
from groundup.errors import DataError
from groundup.evaluate.metrics import (
    accuracy,
    confusion_matrix,
    f1,
    macro_f1,
    majority_share,
    wilson_interval,
)
from groundup.evaluate.paired import Difference, bootstrap, f1_difference, share_difference
from groundup.evaluate.task import PerItem, TaskResult, as_measure
from groundup.weights.decision_rule import DEFAULT_THRESHOLD

Labels = Any
"""Of one text: its label as a text, or the tuple of its labels."""
Row = dict[str, Any]
# With fewer validation texts with the label, or without it, its threshold is not chosen.
MIN_TO_CHOOSE = 10


def labels_of_texts(examples: Sequence[Example]) -> list[Labels]:
    return [
        example.labels if isinstance(example, MultiLabelExample) else example.label
        for example in examples
    ]


def plain_labels(predicted: Sequence[Labels]) -> list[Any]:
    """As in results.json: several labels of a text as a list."""
    return [list(each) if isinstance(each, tuple) else each for each in predicted]


def labels_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """In alphabetical order. Raises DataError when there are fewer than two."""
    labels = tuple(label_counts(examples))
    if len(labels) < 2:
        found = "there are no examples"
        if examples:
            found = f"all {len(examples)} examples are {', '.join(labels)!r}"
        raise DataError(
            f"A classifier needs examples of at least two labels, but {found}.",
            fix="Add examples of another label, or check the label column.",
        )
    return labels


def positive_label(examples: Sequence[Example]) -> str:
    """The rarest label, the one to detect (spam), whose F1 is reported."""
    counts = Counter(example.label for example in examples)
    return min(sorted(counts), key=lambda label: counts[label])


def judge(
    actual: Sequence[Labels],
    predicted: Sequence[Labels],
    labels: Sequence[str],
    positive: str = "",
) -> TaskResult:
    """Accuracy (chance: the majority's share), F1 of `positive` (chance 0) or of more than two
    labels macro F1, and the confusion matrix; without `positive` exact match (chance: the
    commonest set), micro F1, macro F1 over the labels that occur, and the figures of each label.
    """
    if not positive:
        return _judge_sets(actual, predicted, labels)
    confusion, n = confusion_matrix(actual, predicted, labels), len(actual)
    if len(labels) == 2:
        f1_found = as_measure("f1", f1(confusion, labels.index(positive)), n, chance=0.0)
    else:
        f1_found = as_measure("macro_f1", macro_f1(confusion), n)
    found = as_measure("accuracy", accuracy(confusion), n, chance=majority_share(actual))
    details = {"labels": list(labels), "positive": positive, "confusion": confusion}
    right = PerItem.of_right(a == p for a, p in zip(actual, predicted, strict=True))
    return TaskResult((found, f1_found), details, right)


def _judge_sets(
    actual: Sequence[Labels], predicted: Sequence[Labels], labels: Sequence[str]
) -> TaskResult:
    true, said, n = indicators(actual, labels), indicators(predicted, labels), len(actual)
    right = (true == said).all(axis=1)
    commonest = Counter(map(tuple, true.tolist())).most_common(1)[0][1] / n
    occurs = true.any(axis=0)
    measures = [
        as_measure("exact_match", wilson_interval(int(right.sum()), n), n, chance=commonest),
        as_measure("micro_f1", bootstrap(sums_of(true, said), micro_f1), n),
    ]
    if occurs.any():
        macro = bootstrap(sums_of(true[:, occurs], said[:, occurs]), macro_f1_of_sets)
        measures.append(as_measure("macro_f1", macro, n))
    details = {
        "labels": list(labels),
        "by_label": by_label(true, said, labels),
        "predictions": list(map(list, predicted)),
    }
    return TaskResult(tuple(measures), details, PerItem.of_right(right.tolist()))


def model_row(name: str, result: TaskResult) -> Row:
    """Return a result of `judge` as one row of results.json."""
    if "by_label" in result.details:
        figures = {each.metric: each.plain() for each in result.measures}
        return {"name": name, **figures, "by_label": result.details["by_label"]}
    accuracy_found, f1_found, *_ = result.measures
    return {
        "name": name,
        "accuracy": accuracy_found.plain(),
        "f1": f1_found.value,
        "f1_interval": [f1_found.low, f1_found.high],
        "confusion": result.details["confusion"],
    }


def compare(
    predictions: Mapping[str, Sequence[Labels]],
    actual: Sequence[Labels],
    labels: Sequence[str],
    positive: str = "",
) -> tuple[list[Row], list[Row]]:
    """Rows of all methods on the examples that each predicted (the first ones of `actual`), and on
    those that all predicted.

    All but the first have `lead`: how much the first method is ahead of this one on the examples
    that both predicted, paired.
    """
    shortest = min(len(predicted) for predicted in predictions.values())
    first, ours = next(iter(predictions.items()))
    judged = [positive] if len(labels) <= 2 else [label for label in labels if label in actual]

    def row(name: str, predicted: Sequence[Labels], longest: int) -> Row:
        used = min(longest, len(predicted))
        true, theirs = actual[:used], predicted[:used]
        found = model_row(name, judge(true, theirs, labels, positive))
        if name == first:
            return found
        if not positive:
            return {**found, "lead": _set_lead(true, theirs, ours[:used], labels)}
        return {**found, "lead": _lead(true, theirs, ours[:used], judged)}

    def rows(longest: int) -> list[Row]:
        return [row(name, predicted, longest) for name, predicted in predictions.items()]

    return rows(len(actual)), rows(shortest)


def _lead(
    actual: Sequence[str], theirs: Sequence[str], ours: Sequence[str], judged: Sequence[str]
) -> Row:
    rights = [
        [a == p for a, p in zip(actual, predicted, strict=True)] for predicted in (theirs, ours)
    ]
    f1_found = f1_difference(actual, theirs, ours, judged)
    return {"accuracy": share_difference(*rights).plain(), "f1": f1_found.plain()}


def _set_lead(
    actual: Sequence[Labels],
    theirs: Sequence[Labels],
    ours: Sequence[Labels],
    labels: Sequence[str],
) -> Row:
    true, *said = (indicators(each, labels) for each in (actual, theirs, ours))
    rights = [(true == each).all(axis=1).tolist() for each in said]
    both = np.concatenate([sums_of(true, each) for each in said], axis=1)
    half = 2 * len(labels)
    found = bootstrap(both, lambda sums: micro_f1(sums[:, half:]) - micro_f1(sums[:, :half]))
    f1_found = Difference(found.value, found.low, found.high, len(actual))
    return {"exact_match": share_difference(*rights).plain(), "micro_f1": f1_found.plain()}


def indicators(sets: Sequence[Sequence[str]], labels: Sequence[str]) -> np.ndarray:
    """Return 0 or 1 for each text and label, [n, N].

    >>> indicators([("b",), ()], ("a", "b")).tolist()
    [[0, 1], [0, 0]]
    """
    rows = [[int(label in each) for label in labels] for each in sets]
    return np.array(rows, dtype=int).reshape(-1, len(labels))


def sigmoid(scores: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    return np.asarray((1 + np.tanh(scores / temperature / 2)) / 2)


def best_threshold(probabilities: Sequence[float], present: Sequence[bool | int]) -> float:
    """Return the threshold with the highest F1, between two probabilities; of equal ones the
    nearest to 0.5. With few texts: 0.5.

    >>> best_threshold([0.1] * 10 + [0.3] * 10, [0] * 10 + [1] * 10)
    0.2
    """
    positives = sum(map(bool, present))
    if not _enough(positives, len(present)):
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
    """On validation texts: [n, N] probabilities, and 0 or 1. Labels that too few texts have, or
    lack, share one threshold, the best of all their pairs of a text and a label.
    """
    few = [i for i, column in enumerate(present.T) if not _enough(int(column.sum()), len(column))]
    shared = best_threshold(
        probabilities[:, few].ravel().tolist(), present[:, few].ravel().tolist()
    )
    found = {}
    for i, label in enumerate(labels):
        found[label] = shared
        if i not in few:
            found[label] = best_threshold(probabilities[:, i].tolist(), present[:, i].tolist())
    return found


def _enough(positives: int, count: int) -> bool:
    """Whether a threshold can be chosen on them."""
    return min(positives, count - positives) >= MIN_TO_CHOOSE


def said_sets(probabilities: np.ndarray, thresholds: Mapping[str, float]) -> list[Labels]:
    return [
        tuple(label for label, p in zip(thresholds, row, strict=True) if p >= thresholds[label])
        for row in probabilities.tolist()
    ]


def by_label(
    actual: np.ndarray, predicted: np.ndarray, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """precision (None: never said), recall (None: no text has it), F1 with its interval, and the
    counts behind them.
    """
    rows = []
    for i, label in enumerate(labels):
        n, said = int(actual[:, i].sum()), int(predicted[:, i].sum())
        right = int((actual[:, i] & predicted[:, i]).sum())
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
    """Of each text and label: found (0 or 1), and true plus said (0 to 2); F1 = 2 sum(found) /
    sum(true + said). [n, 2N]
    """
    return np.concatenate([actual & predicted, actual + predicted], axis=1).astype(float)


def micro_f1(sums: np.ndarray) -> np.ndarray:
    """Of sums over texts [draws, 2N]; 0 where nothing is true or said."""
    half = sums.shape[1] // 2
    return np.asarray(2 * sums[:, :half].sum(axis=1) / np.maximum(sums[:, half:].sum(axis=1), 1))


def macro_f1_of_sets(sums: np.ndarray) -> np.ndarray:
    """The mean F1 of the labels, of sums over texts [draws, 2N]."""
    half = sums.shape[1] // 2
    return np.asarray((2 * sums[:, :half] / np.maximum(sums[:, half:], 1)).mean(axis=1))
