"""Notebook 4, embeddings and positions."""

import math
from collections.abc import Callable, Sequence

from groundup.course.exercises import Exercise

Vector = Sequence[float]


def _dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _cosine(a: Vector, b: Vector) -> float:
    return _dot(a, b) / math.sqrt(_dot(a, a) * _dot(b, b))


def _best_by(
    closeness: Callable[[Vector, Vector], float],
) -> Callable[[Sequence[Vector], int], int]:
    def nearest(table: Sequence[Vector], id: int) -> int:
        others = [other for other in range(len(table)) if other != id]
        return max(others, key=lambda other: closeness(table[id], table[other]))

    return nearest


def _itself(table: Sequence[Vector], id: int) -> int:
    return max(range(len(table)), key=lambda other: _cosine(table[id], table[other]))


def _rotate_pair(x: float, y: float, angle: float) -> list[float]:
    return [x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)]


SLOWEST = 10_000 ** (-62 / 64)

EXERCISES = {
    "4.1": Exercise(
        64,
        (
            (96, "5 occurs twice, but it is one row; both places push on the same numbers."),
            (3200, "That is the whole table. The rows of other ids were multiplied by 0."),
            (2, "That is the number of rows; each has C numbers."),
            (32, "Only one row? Two different ids occur."),
        ),
        hint="Count the different ids, and the numbers of a row.",
    ),
    "4.2": Exercise(
        _best_by(_cosine),
        (
            (
                _best_by(_dot),
                "That is the largest dot product, which a long vector wins. Divide by both lengths.",
            ),
            (
                _best_by(lambda a, b: -math.dist(a, b)),
                "That is the smallest distance. The cosine ignores the lengths.",
            ),
            (
                _best_by(lambda a, b: abs(_cosine(a, b))),
                "A cosine near -1 is the opposite direction, not a near one.",
            ),
            (_itself, "A row is always nearest to itself: leave `id` out."),
        ),
        hint="For every other row compute the cosine with the row of `id`, and return the id of the largest.",
        cases=(
            ([[1.0, 1.0], [3.0, 3.3], [1.0, 0.6]], 0),
            ([[1.0, 0.0], [2.0, 0.1], [5.0, 5.0]], 0),
            ([[0.1, 1.0], [1.0, 0.0], [-1.0, 0.0]], 1),
        ),
    ),
    "4.3": Exercise(
        32,
        (
            (64, "A pair of components, not each one, adds sin² + cos² = 1."),
            (math.sqrt(32), "That is the length. The squared length is asked."),
            (1, "Each pair adds 1; how many pairs are there?"),
            (0, "At distance 0 every cosine is 1, not 0."),
        ),
        hint="Put d = 0 into the sum over the pairs.",
    ),
    "4.4": Exercise(
        _rotate_pair,
        (
            (
                lambda x, y, angle: _rotate_pair(x, y, -angle),
                "That rotates the other way: look at the two signs.",
            ),
            (
                lambda x, y, angle: _rotate_pair(x, y, math.radians(angle)),
                "The angle is in radians already; math.cos takes radians.",
            ),
            (
                lambda x, y, angle: _rotate_pair(x, y, angle)[::-1],
                "The two components are exchanged: the first is x cos - y sin.",
            ),
            (
                lambda x, y, angle: [
                    x * math.cos(angle) - y * math.sin(angle),
                    (x * math.cos(angle) - y * math.sin(angle)) * math.sin(angle)
                    + y * math.cos(angle),
                ],
                "The second component needs the old x: keep it before you overwrite it.",
            ),
        ),
        hint="The first is x cos - y sin, the second x sin + y cos, both of the old x and y.",
        cases=((1.0, 0.0, math.pi / 2), (1.0, 2.0, 0.3), (-3.0, 0.5, 4.0)),
    ),
    "4.5": Exercise(
        2 * math.pi / SLOWEST,
        (
            (
                2 * math.pi * 10_000,
                "The slowest pair is i = D/2 - 1 = 31, so the exponent is -62/64 and not -1.",
            ),
            (
                1 / SLOWEST,
                "After these tokens its angle is one radian. A full turn has 2π of them.",
            ),
            (2 * math.pi, "That is the fastest pair, with one radian per token."),
            (360 / SLOWEST, "The angles are radians: a full turn is 2π and not 360."),
            (SLOWEST, "That is its angle per token. How many tokens make 2π?"),
        ),
        hint="Which i is the last of D/2 pairs that are counted from 0? Divide 2π by its θ.",
        tolerance=5e-3,
    ),
}
