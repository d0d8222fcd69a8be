"""Notebook 9, public weights and sampling."""

from collections.abc import Sequence
from typing import TypeVar

from groundup.course.exercises import Exercise

Row = TypeVar("Row")


def _to_halves(rows: Sequence[Row]) -> list[Row]:
    return [*rows[0::2], *rows[1::2]]


def _to_neighbours(rows: Sequence[Row]) -> list[Row]:
    half = len(rows) // 2
    return [row for pair in zip(rows[:half], rows[half:], strict=True) for row in pair]


def _shared(kept: Sequence[float]) -> list[float]:
    return [value / sum(kept) for value in kept]


def _kept(probabilities: Sequence[float], least: float) -> list[float]:
    return [p if p >= least else 0.0 for p in probabilities]


def _min_p(probabilities: Sequence[float], m: float) -> list[float]:
    return _shared(_kept(probabilities, m * max(probabilities)))


def _of_one(probabilities: Sequence[float], m: float) -> list[float]:
    kept = _kept(probabilities, m)
    return _shared(kept) if any(kept) else kept


EMBEDDING_BYTES = 49152 * 576 * 2

EXERCISES = {
    "9.1": Exercise(
        1_000_000 + EMBEDDING_BYTES,
        (
            (EMBEDDING_BYTES, "That is how many bytes it has. Where do they begin?"),
            (
                1_000_000 + EMBEDDING_BYTES // 2,
                "That counts numbers. How many bytes has a number of type BF16?",
            ),
            (
                1_000_000 + EMBEDDING_BYTES * 2,
                "That is 4 bytes for a number, as in F32. BF16 has fewer.",
            ),
            (
                1_000_000 + EMBEDDING_BYTES - 1,
                "The end is the byte after the last, as in the table of this notebook.",
            ),
        ),
        hint="Rows times columns times the bytes of a number, added to the beginning.",
        tolerance=0,
    ),
    "9.2": Exercise(
        _to_halves,
        (
            (
                _to_neighbours,
                "That is the way there once more. Both are the same for four rows, and not for six.",
            ),
            (
                lambda rows: [*rows[1::2], *rows[0::2]],
                "The halves are exchanged: row 0 stays the first.",
            ),
        ),
        hint="Rows 0, 2, 4, ... are the first half. Where is the second?",
        cases=(([0, 3, 1, 4, 2, 5],), (["a", "b", "c", "d", "e", "f", "g", "h"],), ([7, 8],)),
    ),
    "9.3": Exercise(
        0.4 / 0.7,
        (
            (0.4, "That is its probability before the cut. What is kept is divided by its sum."),
            (0.4 / 0.65, "What is kept is divided by the sum of what is kept, and not by P."),
            (
                1,
                "One token holds 0.4, and that does not reach P. The smallest set that reaches it is kept.",
            ),
            (0.4 / 0.9, "Two tokens reach P already: 0.4 + 0.3."),
        ),
        hint="Add probabilities from the largest until P is reached; divide by the sum of those that were added.",
    ),
    "9.4": Exercise(
        _min_p,
        (
            (
                lambda row, m: _kept(row, m * max(row)),
                "What is kept must have the sum 1: divide by the sum of it.",
            ),
            (_of_one, "The limit is m times the probability of the best token, and not m itself."),
            (
                lambda row, m: _shared(_kept(row, m * row[0])),
                "The best token need not be the first in the list.",
            ),
        ),
        hint="Keep what is at least m times the largest; set the others to 0; divide by the sum.",
        cases=(
            ([0.5, 0.2, 0.15, 0.1, 0.05], 0.25),
            ([0.1, 0.6, 0.3], 0.4),
            ([0.02, 0.9, 0.08], 0.05),
            ([0.25, 0.25, 0.25, 0.25], 0.5),
        ),
    ),
    "9.5": Exercise(
        4,
        (
            (2 - 2 / 1.5, "That is the logit of before, 2. It is 12 now."),
            (
                8,
                "That is what becomes of the logit, 12 divided by 1.5. By how much is that lower than 12?",
            ),
            (6, "That is half of 12. A number divided by 1.5 keeps two thirds of itself."),
            (
                12 - 12 / 1.5**3,
                "The repetition penalty is applied once, however often a token was written.",
            ),
        ),
        hint="The logit is 12 now; divide it by the penalty and take the difference.",
    ),
}
