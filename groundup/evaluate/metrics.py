"""Metrics with confidence intervals: pure functions on plain values.

A proportion (accuracy) has Wilson's interval (Wilson 1927), which stays inside 0..1 and is valid
for small n and for 0 or n hits. F1 has the same through a transformation (Lam, Gopal & Qian 2023,
arXiv:2309.14621, "Wilson indirect"). A loss is a ratio of two sums over texts, so its interval
comes from the variation between texts, not tokens: the tokens of one text are not independent.

All intervals are 95 %. They cover the choice of texts, not the randomness of training.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959964  # the normal distribution's 97.5 % point
# Below this many items, an interval of accuracy near one half is wider than 20 points: the result
# is marked as thin.
THIN_ITEMS = 100
# Metrics that are shown in percent.
SHARES = (
    "accuracy",
    "accuracy_by_sum",
    "accuracy_by_prefix",
    "f1",
    "macro_f1",
    "exact_match",
    "micro_f1",
)


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval; the bounds are None where the variance is unknown."""

    value: float
    low: float | None = None
    high: float | None = None


def wilson_interval(hits: int, n: int) -> Interval:
    """Return the proportion hits / n and its Wilson score interval.

    >>> wilson_interval(10, 10).low > 0.7
    True
    """
    assert 0 <= hits <= n and n > 0, (hits, n)
    low, high = wilson_bounds(hits, n)
    return Interval(hits / n, low, high)


def wilson_bounds(hits: int, n: int) -> tuple[float, float]:
    """Return the bounds of the Wilson score interval."""
    share = hits / n
    # (p + z^2 / 2n  +-  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    middle = share + Z95**2 / (2 * n)
    half = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    scale = 1 + Z95**2 / n
    low, high = (middle - half) / scale, (middle + half) / scale
    # exactly 0 for 0 of n and 1 for n of n, without rounding error
    if hits == 0:
        low = 0.0
    if hits == n:
        high = 1.0
    return low, high


def ratio_interval(totals: Sequence[float], counts: Sequence[float]) -> Interval:
    """sum(totals) / sum(counts), each pair from one text, with the delta method's interval over
    texts (Cochran 1977, section 6.3); none for a single text.
    """
    assert len(totals) == len(counts) > 0 and sum(counts) > 0, (len(totals), len(counts))
    n, count = len(totals), math.fsum(counts)
    ratio = math.fsum(totals) / count
    if n == 1:
        return Interval(ratio)
    # var = n / (n - 1) * sum (total_i - ratio * count_i)^2 / (sum count)^2
    squares = math.fsum(
        (total - ratio * each) ** 2 for total, each in zip(totals, counts, strict=True)
    )
    half = Z95 * math.sqrt(n / (n - 1) * squares) / count
    return Interval(ratio, ratio - half, ratio + half)


def bits_per_byte(nats: float, num_bytes: float) -> float:
    """Comparable between tokenizers, unlike a loss per token."""
    return nats / math.log(2) / num_bytes


def confusion_matrix(
    actual: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> list[list[int]]:
    """Return counts [actual][predicted], both in the order of `labels`.

    >>> confusion_matrix(["ham", "spam"], ["ham", "ham"], ["ham", "spam"])
    [[1, 0], [1, 0]]
    """
    counts = Counter(zip(actual, predicted, strict=True))
    assert all(a in labels and p in labels for a, p in counts), counts
    return [[counts[a, p] for p in labels] for a in labels]


def accuracy(confusion: Sequence[Sequence[int]]) -> Interval:
    return wilson_interval(sum(row[i] for i, row in enumerate(confusion)), sum(map(sum, confusion)))


def f1(confusion: Sequence[Sequence[int]], positive: int) -> Interval:
    """Return F1 of the label with index `positive`, the harmonic mean of precision and recall; 0
    with interval 0 to 1 when it never occurs.

    With the proportion s = TP / (TP + FP + FN), F1 = 2 s / (1 + s) increases with s, so Wilson's
    bounds of s give those of F1.
    """
    true = confusion[positive][positive]
    false_positive = sum(row[positive] for row in confusion) - true
    false_negative = sum(confusion[positive]) - true
    n = true + false_positive + false_negative
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    return Interval(*(2 * s / (1 + s) for s in (true / n, *wilson_bounds(true, n))))


def macro_f1(confusion: Sequence[Sequence[int]]) -> Interval:
    """The unweighted mean of all labels that occur, without an interval."""
    values = [f1(confusion, i).value for i in range(len(confusion)) if sum(confusion[i])]
    return Interval(math.fsum(values) / len(values))


def majority_share(actual: Sequence[str]) -> float:
    """The accuracy of always predicting the most frequent label: the chance level."""
    return Counter(actual).most_common(1)[0][1] / len(actual)
