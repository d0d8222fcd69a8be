"""How sure the difference is between the newest evaluation of a run and each one before it, in
intervals that hold for all pairs of evaluations at once, however often one looks and whenever one
stops.

    nats and tokens of the same pieces of validation text at both evaluations
        -> d = (sum of nats now - sum of nats then) / tokens
        -> d +- t sqrt(n / (n - 1) sum_i (now_i - then_i - d tokens_i)^2) / tokens

The second is the ratio estimator over n pieces, each drawn whole (Cochran 1977, "Sampling
Techniques", section 6.4), t a quantile of Student's distribution. An interval of 95 % for each pair
would be wrong for some pair in most long runs. As in other sequences of intervals that hold at
every time, the error is spent along the way (Howard et al. 2021, arXiv:1810.08240, section 3): the
k-th evaluation after the first has 1 / (k (k + 1)) of it, which sums to 1 over all k, and each of
its k comparisons an equal part of that. So the intervals of a run of any length all cover with at
least CONFIDENCE, by the union bound, as far as sums over pieces are normal: cross-entropy has no
bound, and without one no interval for so few pieces is exact.

They are about what the pieces are drawn from (`train.monitor.evaluation`), for one run whose
settings were not chosen by this text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from groundup.language.page_texts import say
from groundup.report.values import JsonObject, count, whole_percent

CONFIDENCE = 0.95
# The fewest pieces, each counted by its share of the tokens: below them one piece decides.
MIN_PIECES = 12


class Pieces(NamedTuple):
    """Of the evaluation after `step`."""

    step: int
    unit: str
    nats: np.ndarray
    tokens: np.ndarray


def read_pieces(record: JsonObject) -> Pieces | None:
    """The pieces in a line of the log; None where it has none, or damaged ones."""
    found = record.get("pieces")
    if not isinstance(found, dict):
        return None
    try:
        columns = [np.array(found[name], dtype=float) for name in ("nats", "tokens")]
        step = round(float(record["step"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    nats, tokens = columns
    fits = nats.ndim == 1 and nats.shape == tokens.shape and np.isfinite(columns).all()
    if not fits or not (tokens > 0).all() or not len(tokens):
        return None
    return Pieces(step, str(found.get("unit")), nats, tokens)


@dataclass(frozen=True)
class Compared:
    """The last evaluation minus that after `step`, nats per token."""

    step: int
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Differences:
    """Of the last evaluation and those before it."""

    text: str = ""
    compared: Sequence[Compared] = ()
    unit: str = ""
    pieces: int = 0
    """That count, each by its share of the tokens."""
    confidence: float = CONFIDENCE


def comparisons(evaluations: Sequence[Pieces], number: int) -> Differences:
    """Of the last of `evaluations`. `number`: evaluations after the first, those included that are
    not among these.
    """
    if len(evaluations) < 2:
        return Differences()
    last = evaluations[-1]
    before = [each for each in evaluations[:-1] if np.array_equal(each.tokens, last.tokens)]
    pieces = int(last.tokens.sum() ** 2 / (last.tokens**2).sum())  # Kish 1965, section 11.7
    rows: list[Compared] = []
    if pieces >= MIN_PIECES:
        error = (1 - CONFIDENCE) / (number * (number + 1)) / number
        factor = t_quantile(error, pieces - 1)
        rows = [_compared(last, each, factor) for each in before]
    return Differences(_sentence(last, rows, pieces), rows, last.unit, pieces)


def _compared(last: Pieces, before: Pieces, factor: float) -> Compared:
    gains, tokens, n = last.nats - before.nats, last.tokens.sum(), len(last.tokens)
    difference = float(gains.sum() / tokens)
    spread = ((gains - difference * last.tokens) ** 2).sum() * n / (n - 1)
    half = factor * math.sqrt(spread) / float(tokens)
    return Compared(before.step, difference, difference - half, difference + half)


def _sentence(last: Pieces, rows: Sequence[Compared], pieces: int) -> str:
    if pieces < MIN_PIECES:
        return say(
            "How sure the difference between two evaluations is can't be said: the validation text "
            "has {pieces} independent pieces of like size, and {fewest} are needed.",
            pieces=pieces,
            fewest=MIN_PIECES,
        )
    now = count(last.step)
    lower = [row.step for row in rows if row.high < 0]
    higher = [row for row in rows if row.low > 0]
    said = say("The validation loss at step {now} differs clearly from none before it.", now=now)
    if higher:
        best = max(higher, key=lambda row: row.low)
        said = say(
            "The validation loss at step {now} is clearly higher than at step {step}.",
            now=now,
            step=count(best.step),
        )
    elif lower and lower[-1] == rows[-1].step:
        said = say(
            "The validation loss at step {now} is clearly lower than at step {step}, the "
            "evaluation before it.",
            now=now,
            step=count(lower[-1]),
        )
    elif lower:
        said = say(
            "The validation loss at step {now} is clearly lower than at step {step}; than at later "
            "evaluations it is not clear yet.",
            now=now,
            step=count(lower[-1]),
        )
    if last.unit == "windows":
        means = (
            "“Clearly” means with {confidence} confidence for all evaluations of this run "
            "together, however often one looks, and for the whole validation text, from which "
            "{pieces} windows are drawn."
        )
    else:
        means = (
            "“Clearly” means with {confidence} confidence for all evaluations of this run "
            "together, however often one looks, and for texts like the {pieces} documents of "
            "validation."
        )
    return f"{said} {say(means, confidence=whole_percent(CONFIDENCE), pieces=count(pieces))}"


def t_tail(t: float, degrees: int) -> float:
    """P(|T| > t) of Student's t with whole degrees of freedom (Abramowitz & Stegun 26.7.3, 26.7.4).

    >>> round(t_tail(2.228, 10), 4), round(t_tail(12.706, 1), 4)
    (0.05, 0.05)
    """
    angle = math.atan(t / math.sqrt(degrees))
    cosine, term, total = math.cos(angle), 1.0, 0.0
    for i in range(degrees % 2, degrees, 2):
        # of even degrees 1, 1/2, 1/2 3/4, ...; of odd ones 1, 2/3, 2/3 4/5, ...
        total += term
        term *= cosine**2 * (i + 1) / (i + 2)
    inside = math.sin(angle) * total
    if degrees % 2:
        inside = 2 / math.pi * (angle + inside * cosine)
    return 1 - inside


@lru_cache(1000)
def t_quantile(error: float, degrees: int) -> float:
    """The t with P(|T| > t) = `error`, to 9 digits; of errors down to 1e-12."""
    low, high = 0.0, 1.0
    while t_tail(high, degrees) > error:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if t_tail(middle, degrees) > error:
            low = middle
        else:
            high = middle
    return high
