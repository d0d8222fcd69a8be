"""Notebook 7, inside a trained transformer."""

import math
from collections.abc import Sequence

import torch

from groundup.course.exercises import Exercise
from groundup.lab.embeddings import cosines


def _induction_place(ids: Sequence[int], query: int) -> int | None:
    return next((place + 1 for place in range(query - 1, -1, -1) if ids[place] == ids[query]), None)


def _the_occurrence(ids: Sequence[int], query: int) -> int | None:
    after = _induction_place(ids, query)
    return None if after is None else after - 1


def _the_first(ids: Sequence[int], query: int) -> int | None:
    return next((place + 1 for place in range(query) if ids[place] == ids[query]), None)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return float(cosines(torch.tensor([list(one), list(other)], dtype=torch.float64))[0, 1])


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


EXERCISES = {
    "7.1": Exercise(
        math.log2(12),
        (
            (math.log(12), "That is in nats. In bits it is the logarithm to the base 2."),
            (
                12,
                "Twelve is the number of choices. The surprise is -log2 of the probability 1 / 12.",
            ),
            (math.log2(48), "The kind is known, so there are twelve words to choose from, not 48."),
            (1 / 12, "That is the probability. The surprise is -log2 of it."),
        ),
        hint="Each of the twelve has the probability 1 / 12; the surprise is -log2 p.",
    ),
    "7.2": Exercise(
        _induction_place,
        (
            (
                _the_occurrence,
                "That is the earlier occurrence itself. An induction head attends to the token after it.",
            ),
            (_the_first, "Of several earlier occurrences the latest counts here."),
            (
                lambda ids, query: query + 1,
                "Look at earlier tokens only: what comes next is not known yet.",
            ),
        ),
        hint="Walk back from query - 1 until ids[place] == ids[query]; the answer is place + 1.",
        cases=(
            ([5, 7, 5], 2),
            ([1, 2, 1, 3, 1], 4),
            ([1, 2, 3], 2),
            ([4, 4, 4], 2),
            ([8, 9, 8, 9], 3),
        ),
    ),
    "7.3": Exercise(
        _cosine,
        (
            (_dot, "That is the dot product. Divide it by the lengths of both vectors."),
            (
                lambda one, other: _dot(one, other) / (_dot(one, one) * _dot(other, other)),
                "The length is the root of a · a.",
            ),
            (
                lambda one, other: _dot(one, other) / len(one),
                "The length of a vector is the root of the sum of its squares, not the number of its components.",
            ),
        ),
        hint="a · b / (|a| |b|), with |a| the root of a · a.",
        cases=(
            ([1.0, 2.0], [2.0, 4.0]),
            ([1.0, 0.0], [0.0, 3.0]),
            ([1.0, 2.0, 2.0], [2.0, 1.0, -2.0]),
            ([3.0, 4.0], [4.0, 3.0]),
        ),
    ),
    "7.4": Exercise(
        1.75,
        (
            (1.213, "That is in nats. Take the logarithm to the base 2."),
            (
                2,
                "That would be four equally probable tokens. Here one is likelier, so less is expected.",
            ),
            (
                2.25,
                "That is the plain mean of the surprises 1, 2, 3 and 3. Weigh each with its probability.",
            ),
            (9, "Each surprise counts with its probability: 0.5 times 1, 0.25 times 2, and so on."),
        ),
        hint="The surprises are 1, 2, 3 and 3 bits; weigh each with its probability and add up.",
    ),
}
