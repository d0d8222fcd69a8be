"""Notebook 5, attention."""

import math
from collections.abc import Sequence

import torch

from groundup.course.exercises import Exercise
from groundup.model.attention_steps import scale, scores, softmax

Vector = Sequence[float]


def _matches(query: Vector, keys: Sequence[Vector]) -> torch.Tensor:
    return scores(torch.tensor([query]), torch.tensor(keys))


def _scaled(query: Vector, keys: Sequence[Vector]) -> torch.Tensor:
    return scale(_matches(query, keys), len(query))


def _attention_weights(query: Vector, keys: Sequence[Vector]) -> list[float]:
    return softmax(_scaled(query, keys))[0].tolist()


CACHE_BYTES = 2 * 30 * 3 * 64 * 2048 * 4

EXERCISES = {
    "5.1": Exercise(
        2,
        (
            (4, "That is the dot product. Divide it by the root of D; how many numbers has a key?"),
            (1, "That is divided by D; the formula has its root."),
            (4 / math.sqrt(3), "The number 0 counts, too: D is 4."),
        ),
        hint="Multiply the numbers in pairs, add up, and divide by the root of their number.",
    ),
    "5.2": Exercise(
        _attention_weights,
        (
            (
                lambda query, keys: softmax(_matches(query, keys))[0].tolist(),
                "The scores are not divided by the root of D.",
            ),
            (
                lambda query, keys: softmax(_matches(query, keys) / len(query))[0].tolist(),
                "The scores are divided by D, and not by its root.",
            ),
            (
                lambda query, keys: _scaled(query, keys).exp()[0].tolist(),
                "These are the powers of e; weights have the sum 1: divide by the sum of all.",
            ),
            (
                lambda query, keys: _scaled(query, keys)[0].tolist(),
                "These are the scores. The softmax makes weights of them.",
            ),
        ),
        hint="For each key the dot product divided by the root of D, then e to that, then divide by the sum of all.",
        cases=(
            (
                [0.0, 2.0, 0.0, 0.0],
                [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
            ),
            ([1.0, -1.0], [[0.5, 1.0], [2.0, 0.0]]),
            ([1.0, 0.0, 1.0], [[1.0, 1.0, 1.0]]),
        ),
    ),
    "5.3": Exercise(
        0.75,
        (
            (0, "That is what minus infinity gives. A score of 0 has the power e⁰, and that is 1."),
            (0.25, "That is what one token gets. How many later ones are there?"),
            (1, "The first token itself has a score, too, and takes its share."),
            (3, "That is the sum of the powers of the later tokens. Divide by the sum of all."),
        ),
        hint="All four scores are 0. What are the four weights?",
    ),
    "5.4": Exercise(
        lambda head, heads, shared: head // (heads // shared),
        (
            (
                lambda head, heads, shared: head % shared,
                "That deals them out in turn. Neighbours share a head: 0 and 1, then 2 and 3.",
            ),
            (lambda head, heads, shared: head // shared, "A group has H / K query heads, not K."),
            (
                lambda head, heads, shared: head / (heads / shared),
                "The number of a head is whole: round down.",
            ),
            (lambda head, heads, shared: head // (heads // shared) + 1, "Both are counted from 0."),
        ),
        hint="H / K query heads, one after the other, use one head.",
        cases=((0, 4, 2), (1, 4, 2), (3, 4, 2), (8, 9, 3), (5, 8, 1), (7, 8, 8), (5, 8, 2)),
    ),
    "5.5": Exercise(
        CACHE_BYTES,
        (
            (CACHE_BYTES // 2, "Keys and values are both kept: twice as many numbers."),
            (CACHE_BYTES // 4, "That is how many numbers are kept. Each has 4 bytes."),
            (CACHE_BYTES // 30, "That is one layer. Each has a cache of its own."),
            (
                CACHE_BYTES * 3,
                "The query heads share the heads of keys and values, and only K of these are kept.",
            ),
        ),
        hint="Multiply: 2, layers, key-value heads, head width, tokens, bytes of a number.",
    ),
}
