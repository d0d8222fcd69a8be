"""Paired comparison of two methods on the same items: the difference, its 95 % interval, and
whether one is better.

    shares (accuracy)          exact McNemar test (McNemar 1947) with Newcombe's interval (1998,
                               method 10) of the difference
    losses and scores (F1)     paired bootstrap over items (Efron & Tibshirani 1993), percentile
                               interval expanded for few items (Hesterberg 2015)
    runs with the same seeds   paired t interval of the mean difference

Items vary more than two methods on the same item, so that a difference may be significant although
the methods' own intervals overlap. "Better" is said only where the interval of the difference
excludes 0.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from groundup.evaluate.metrics import THIN_ITEMS, Z95, Interval, wilson_bounds

Verdict = Literal["better", "worse", "unclear"]
NO_DIFFERENCE = "no clear difference"

DRAWS = 2000
DRAWS_AT_ONCE = 100
# A percentile interval of fewer items is too narrow to be shown.
MIN_ITEMS = 10
# The 97.5 % point of Student's t with 1 to 8 degrees of freedom (R: qt(0.975, 1:8)).
SMALL_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306)
# If both methods are equally good, six items on which they differ all favour one of them in 3.1 %
# of cases, five in 6.3 %.
MIN_DIFFERING = 6


@dataclass(frozen=True)
class Difference:
    """A second method's value minus the first one's, on the same items."""

    value: float
    low: float | None
    """Lower bound of the 95 % interval; None: too few items for one."""
    high: float | None
    n: int
    """Number of items."""
    p_value: float | None = None
    """Of the exact McNemar test; None for a loss or a score."""

    @property
    def thin(self) -> bool:
        """Whether there are too few items for a reliable value."""
        return self.n < THIN_ITEMS

    def verdict(self, better: Literal["higher", "lower"] = "higher") -> Verdict:
        """Return whether the second method is better, where `better` is the direction that is
        good.
        """
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "unclear"
        return "better" if (self.low > 0) == (better == "higher") else "worse"

    def plain(self, better: Literal["higher", "lower"] = "higher") -> dict[str, float | str | None]:
        return {**asdict(self), "thin": self.thin, "verdict": self.verdict(better)}


def difference_line(found: Mapping[str, Any]) -> str:
    """Return the plain values of a difference of shares as text, in points of percent.

    >>> difference_line({"value": 0.02, "low": -0.004, "high": 0.044, "verdict": "unclear"})
    '+2.0 points (95 % interval -0.4 to +4.4): no clear difference'
    """
    value, low, high = (100 * found[name] for name in ("value", "low", "high"))
    interval = f"95 % interval {low:+.1f} to {high:+.1f}"
    return f"{value:+.1f} points ({interval}): {describe_verdict(found['verdict'])}"


def describe_verdict(verdict: str) -> str:
    """Return what a verdict means, as text."""
    return {"unclear": NO_DIFFERENCE}.get(verdict, verdict)


def share_difference(first: Sequence[bool], second: Sequence[bool]) -> Difference:
    """The interval contains 0 wherever the exact McNemar test does not reject at 5 %."""
    pairs = list(zip(first, second, strict=True))
    only_first, only_second = (
        sum(pair == each for pair in pairs) for each in ((True, False), (False, True))
    )
    both, n = sum(pair == (True, True) for pair in pairs), len(pairs)
    p_value = mcnemar_p_value(only_first, only_second)
    low, high = newcombe_bounds(both, only_first, only_second, n)
    if p_value >= 0.05:
        low, high = min(low, 0.0), max(high, 0.0)
    return Difference((only_second - only_first) / n, low, high, n, p_value)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p-value: the items that only one method has right are tosses of a
    fair coin, if both are equally good.

    >>> mcnemar_p_value(0, 6)
    0.03125
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    term = tail = 1  # binomial coefficients as Python integers: exact
    for k in range(fewer):
        term = term * (n - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / 2**n)


def newcombe_bounds(both: int, only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Newcombe's interval (1998, method 10) of second minus first: Wilson's bounds, combined with
    the correlation.
    """
    first, second = both + only_first, both + only_second
    neither = n - both - only_first - only_second
    (low_1, high_1), (low_2, high_2) = wilson_bounds(first, n), wilson_bounds(second, n)
    margins = first * (n - first) * second * (n - second)
    product = float(both * neither - only_first * only_second)
    if product > 0:  # his continuity correction
        product = max(product - n / 2, 0.0)
    phi = 0.0
    if margins:
        phi = product / math.sqrt(margins)
    value, up_1, down_1 = (second - first) / n, high_1 - first / n, first / n - low_1
    up_2, down_2 = high_2 - second / n, second / n - low_2

    def half(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))

    return value - half(down_2, up_1), value + half(up_2, down_1)


def ratio_difference(
    first: Sequence[float], second: Sequence[float], counts: Sequence[float]
) -> Difference:
    """Of two losses, each sum(totals) / sum(counts) over the same items, by a paired bootstrap."""
    columns = np.array([first, second, counts], dtype=float).T
    interval = bootstrap(columns, lambda sums: (sums[:, 1] - sums[:, 0]) / sums[:, 2])
    return Difference(interval.value, interval.low, interval.high, len(counts))


def mean_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Of two methods measured with the same seeds: the mean of second minus first, with Student's t
    interval over the seeds; no interval for a single one.
    """
    differences = np.subtract(second, first, dtype=float)
    n, mean = len(differences), float(differences.mean())
    if n < 2:
        return Difference(mean, None, None, n)
    half = t_quantile(n - 1) * float(differences.std(ddof=1)) / math.sqrt(n)
    return Difference(mean, mean - half, mean + half, n)


def f1_difference(
    actual: Sequence[str], first: Sequence[str], second: Sequence[str], labels: Sequence[str]
) -> Difference:
    """Of the mean F1 of `labels` (one: the F1 of that label), by a paired bootstrap."""

    def columns(predicted: Sequence[str]) -> np.ndarray:
        """Of each label: whether an item is found, and how often it is the truth or the
        prediction.
        """
        each = [
            [(a == p == label, (a == label) + (p == label)) for label in labels]
            for a, p in pairs(predicted)
        ]
        return np.array(each, dtype=float).reshape(len(actual), -1)

    def pairs(predicted: Sequence[str]) -> list[tuple[str, str]]:
        return list(zip(actual, predicted, strict=True))

    def mean_f1(sums: np.ndarray) -> np.ndarray:
        # F1 = 2 TP / (2 TP + FP + FN); 0 where the label occurs nowhere
        return np.asarray((2 * sums[:, 0::2] / np.maximum(sums[:, 1::2], 1)).mean(axis=1))

    half = 2 * len(labels)
    both = np.concatenate([columns(first), columns(second)], axis=1)
    found = bootstrap(both, lambda sums: mean_f1(sums[:, half:]) - mean_f1(sums[:, :half]))
    differing = sum(a != b for a, b in zip(first, second, strict=True))
    if found.low is not None and found.high is not None and differing < MIN_DIFFERING:
        found = Interval(found.value, min(found.low, 0.0), max(found.high, 0.0))
    return Difference(found.value, found.low, found.high, len(actual))


def bootstrap(columns: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """A statistic of the column sums [N, k] -> [N] of the items [n, k], with its interval from
    DRAWS resamples; the same each time.
    """
    n = len(columns)
    value = float(statistic(columns.sum(axis=0)[None])[0])
    if n < MIN_ITEMS:
        return Interval(value)
    draw = np.random.default_rng(0)
    found = [
        statistic(draw.multinomial(n, np.full(n, 1 / n), size=DRAWS_AT_ONCE) @ columns)
        for _ in range(0, DRAWS, DRAWS_AT_ONCE)
    ]
    # a percentile interval is as narrow as if the variance were known; these levels give it the
    # width of Student's t
    level = NormalDist().cdf(-math.sqrt(n / (n - 1)) * t_quantile(n - 1))
    low, high = np.quantile(np.concatenate(found), [level, 1 - level])
    return Interval(value, float(low), float(high))


def t_quantile(degrees: int) -> float:
    """The 97.5 % point of Student's t: from a table below 9 degrees of freedom, else by Abramowitz
    & Stegun 26.7.5, within 0.004.
    """
    if degrees <= len(SMALL_T):
        return SMALL_T[degrees - 1]
    z = Z95
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
