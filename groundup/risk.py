"""Risk control: the threshold above which answers are shown (or labels said), so that at most a
given share of those shown is wrong, with a given confidence (Learn then Test: Angelopoulos et al.
2021, arXiv:2110.01052).

    (score, wrong) of each calibration question -> sorted, strict to lenient -> exact binomial upper
        bound on the error among those above each score (Clopper & Pearson 1934) -> as lenient as
        the bound stays at most `error` -> Promise

*Fixed-sequence testing*: the thresholds are tested in one order that labels do not choose, from the
strictest on, each at the whole level, and the first whose bound is too high ends the sequence. The
first one shows FIRST_SHARE of the questions. Where its bound is above `error` already, the promise
is that bound: one test, so it holds with the same confidence.

Given the threshold, the answers above it are independent draws, so the number of wrong ones is
binomial, whatever the distribution of scores. The sequence as a whole is exact where the error
crosses `error` once as the threshold falls, as it does where a higher score is a better answer.

The promise holds for questions from where the calibration questions came from, and only for them.
Of a classifier a question is a text, an answer its label, and the score the highest probability.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_ERROR, CONFIDENCE = 0.05, 0.95
# Of the questions, those that the strictest threshold shows. A few more where this makes a promise
# of `error` possible at all.
FIRST_SHARE, FIRST_SHARE_OF_FEW = 0.5, 0.75
# A higher bound promises nothing.
HIGHEST_ERROR = 0.5


@dataclass(frozen=True)
class Promise:
    """Of the answers with at least this evidence at most `error` are wrong, with `confidence`."""

    error: float
    """An upper bound of the share of wrong answers among those shown, 0 to 1."""
    confidence: float
    least: float
    """The evidence from which on answers are shown."""
    shown: int
    """Of the calibration questions those with that much evidence."""
    wrong: int
    """Of these the wrong ones."""
    questions: int
    """All calibration questions."""

    @property
    def of_labels(self) -> str:
        """The promise of a classifier as a sentence."""
        return (
            f"Of the texts that it labels at most {percent_above(self.error)} get a wrong label, "
            f"with {100 * self.confidence:.0f} % confidence, from {self.questions:,} held-out texts "
            f"({self.shown:,} labelled, {self.wrong:,} wrong)."
        )

    @property
    def text(self) -> str:
        """The promise as a sentence."""
        return (
            f"Of the answers shown at most {percent_above(self.error)} are wrong, with "
            f"{100 * self.confidence:.0f} % confidence, from {self.questions:,} questions "
            f"({self.shown:,} shown, {self.wrong:,} wrong)."
        )


def percent_above(share: float) -> str:
    """Return a bound in percent, rounded up: a smaller one was not shown.

    >>> percent_above(0.05), percent_above(0.1533)
    ('5 %', '15.4 %')
    """
    return f"{math.ceil(round(1000 * share, 6)) / 10:g} %"


def upper_bound(wrong: int, n: int, confidence: float = CONFIDENCE) -> float:
    """Return the exact one-sided upper bound of a share of which `wrong` of `n` were seen: the
    highest p with P(Bin(n, p) <= wrong) >= 1 - confidence; 1 for n = 0.

    >>> round(upper_bound(0, 18), 3), round(upper_bound(1, 18), 3), upper_bound(0, 59) < 0.05
    (0.153, 0.238, True)
    """
    if wrong >= n:
        return 1.0
    low, high = wrong / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if binomial_cdf(wrong, n, middle) >= 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def exact_interval(hits: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the two-sided interval of Clopper and Pearson; (0, 1) for n = 0."""
    if not n:
        return 0.0, 1.0
    one_sided = (1 + confidence) / 2
    return 1 - upper_bound(n - hits, n, one_sided), upper_bound(hits, n, one_sided)


@functools.lru_cache(maxsize=10_000)
def binomial_cdf(k: int, n: int, p: float) -> float:
    """Return P(Bin(n, p) <= k), for 0 < p < 1 summed from its logarithms."""
    if p <= 0:
        return 1.0
    if p >= 1:
        return float(k >= n)
    logs = (
        math.lgamma(n + 1)
        - math.lgamma(i + 1)
        - math.lgamma(n - i + 1)
        + i * math.log(p)
        + (n - i) * math.log1p(-p)
        for i in range(k + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def least_shown(error: float = MAX_ERROR, wrong: int = 0, confidence: float = CONFIDENCE) -> int:
    """Return how many shown answers a promise of `error` wants if `wrong` of them are wrong.

    >>> least_shown(0.05), least_shown(0.05, wrong=1)
    (59, 93)
    """
    n = wrong + 1
    while upper_bound(wrong, n, confidence) > error:
        n += 1
    return n


def first_shown(questions: int, error: float = MAX_ERROR) -> int:
    """Return how many of the questions the strictest threshold shows.

    >>> first_shown(50), first_shown(100), first_shown(300)
    (25, 59, 150)
    """
    half, wanted = math.ceil(FIRST_SHARE * questions), least_shown(error)
    if half < wanted <= FIRST_SHARE_OF_FEW * questions:
        return wanted
    return half


def least_questions(error: float = MAX_ERROR) -> int:
    """Return how many questions a promise of `error` wants, if none of those shown is wrong."""
    return math.ceil(least_shown(error) / FIRST_SHARE_OF_FEW)


def control_risk(
    scored: Sequence[tuple[float, bool]],
    error: float = MAX_ERROR,
    confidence: float = CONFIDENCE,
) -> Promise | None:
    """Return the most lenient threshold that keeps `error` with `confidence`; where none does, the
    promise of the strictest one; None for one above HIGHEST_ERROR, or without questions.

    `scored`: of each calibration question its score, and whether its answer is wrong if it is
    shown; an answer to a question that has none is wrong.
    """
    ordered = sorted(scored, key=lambda each: -each[0])
    first = first_shown(len(ordered), error)
    best: Promise | None = None
    wrong = 0
    for shown, (score, is_wrong) in enumerate(ordered, start=1):
        wrong += is_wrong
        following = ordered[shown][0] if shown < len(ordered) else -math.inf
        if shown < first or following == score:  # equal scores are shown together or not at all
            continue
        holds = binomial_cdf(wrong, shown, error) <= 1 - confidence  # the bound is at most `error`
        if holds:
            best = Promise(error, confidence, score, shown, wrong, len(ordered))
            continue
        if best is None:
            bound = upper_bound(wrong, shown, confidence)
            if bound <= HIGHEST_ERROR:
                best = Promise(bound, confidence, score, shown, wrong, len(ordered))
        break
    return best
