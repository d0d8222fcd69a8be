"""Notebook 2, data."""

from collections.abc import Sequence
from typing import Any

from groundup.course.exercises import Exercise
from groundup.data.batches.mixture_config import MixtureConfig


def _jaccard(one: set[Any], other: set[Any]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def _of_the_first(one: set[Any], other: set[Any]) -> float:
    return len(one & other) / len(one) if one else 0.0


def _of_both_sizes(one: set[Any], other: set[Any]) -> float:
    return len(one & other) / (len(one) + len(other)) if one or other else 0.0


def _epochs(sizes: Sequence[float], temperature: float, tokens: float) -> list[float]:
    shares = MixtureConfig(temperature=temperature).shares(
        {str(place): int(size) for place, size in enumerate(sizes)}
    )
    return [share * tokens / size for share, size in zip(shares.values(), sizes, strict=True)]


def _shares_only(sizes: Sequence[float], temperature: float, tokens: float) -> list[float]:
    return [
        found * size / tokens
        for found, size in zip(_epochs(sizes, temperature, tokens), sizes, strict=True)
    ]


def _power_of_temperature(sizes: Sequence[float], temperature: float, tokens: float) -> list[float]:
    return _epochs(sizes, 1 / temperature, tokens)


def _not_normalised(sizes: Sequence[float], temperature: float, tokens: float) -> list[float]:
    return [size ** (1 / temperature) * tokens / size for size in sizes]


EXERCISES = {
    "2.1": Exercise(
        [6, 5],
        (
            (
                [5, 5],
                "Before cleaning the accent is a character of its own, though no place of its own on the page.",
            ),
            ([6, 6], "NFC joins i and the accent to one character, where there is one."),
            ([5, 6], "The other way round: the composed form is the shorter one."),
            ([7, 6], "Characters are counted here, not bytes."),
        ),
        hint="Before: n, a, i, the accent, v, e.",
    ),
    "2.2": Exercise(
        4,
        (
            (5, "Different words are counted, so the second 'to' adds nothing."),
            (6, "Different words are counted, and 'be,' with its comma is no stop word."),
            (3, "The first 'be' stands between spaces; only the second has a comma."),
            (2, "Two are enough for the rule, but there are more."),
        ),
        hint="Cut at the spaces and cross out everything that is not exactly one of the eight.",
    ),
    "2.3": Exercise(
        _jaccard,
        (
            (
                _of_the_first,
                "That is the share of A that is in B, which depends on the order. Divide by the union.",
            ),
            (
                _of_both_sizes,
                "What both have is counted twice in |A| + |B|. Divide by the size of the union.",
            ),
            (
                lambda one, other: len(one & other),
                "That is a count. Divide it by the size of the union.",
            ),
        ),
        hint="len(A & B) / len(A | B), and 0 where the union is empty.",
        cases=(({1, 2, 3}, {2, 3, 4, 5}), ({1}, {1}), ({1}, {2}), (set(), {1}), (set(), set())),
    ),
    "2.4": Exercise(
        "a",
        (
            (
                "b",
                "The model has nearly seen those texts, so it expects what comes next: the loss is its surprise.",
            ),
            ("c", "A text that was seen before is no surprise. What does that do to the loss?"),
        ),
        hint='Answer with "a", "b" or "c": what does a model do with a text that it has learned by heart?',
    ),
    "2.5": Exercise(
        _epochs,
        (
            (
                _shares_only,
                "Those are the shares. A source's epochs are share times N over its size.",
            ),
            (
                _power_of_temperature,
                "The exponent is 1 / temperature: a high temperature makes shares more equal.",
            ),
            (_not_normalised, "The shares have to add up to 1: divide each power by their sum."),
            (
                lambda sizes, temperature, tokens: [tokens / sum(sizes)] * len(sizes),
                "That is temperature 1, where all sources are read equally often.",
            ),
        ),
        hint="Shares: size ** (1 / temperature), divided by their sum. Epochs: share * N / size.",
        cases=(([90e6, 10e6], 2, 100e6), ([90e6, 10e6], 1, 50e6), ([4.0, 1.0, 1.0], 2, 12.0)),
    ),
}
