"""Notebook 3, tokens."""

import math
from collections.abc import Sequence
from typing import Any

from groundup.course.exercises import Exercise
from groundup.tokenizer.bpe import join


def _join(row: Sequence[Any], pair: tuple[Any, Any], new: Any) -> list[Any]:
    return join(row, pair, new)


def _overlapping(row: Sequence[Any], pair: tuple[Any, Any], new: Any) -> list[Any]:
    """Replaces the first of each pair that it finds, and goes on at the next token."""
    found = [
        new if tuple(row[place : place + 2]) == pair else row[place] for place in range(len(row))
    ]
    return [
        each
        for place, each in enumerate(found)
        if not (place and found[place - 1] == new and each == pair[1])
    ]


def _from_the_right(row: Sequence[Any], pair: tuple[Any, Any], new: Any) -> list[Any]:
    return join(row[::-1], pair[::-1], new)[::-1]


def _once(row: Sequence[Any], pair: tuple[Any, Any], new: Any) -> list[Any]:
    found = list(row)
    for place in range(len(found)):
        if tuple(found[place : place + 2]) == pair:
            return [*found[:place], new, *found[place + 2 :]]
    return found


def _bits_per_byte(nats_per_token: float, bytes_per_token: float) -> float:
    return nats_per_token / (bytes_per_token * math.log(2))


EXERCISES = {
    "3.1": Exercise(
        11,
        (
            (7, "That is the number of characters. ö and ß need two bytes each, and 漢 three."),
            (10, "The space is a byte, too."),
            (
                9,
                "漢 is above 2^11, so it needs three bytes; and so is nothing else here, but ö and ß need two each.",
            ),
        ),
        hint="Add up the bytes of each character: one below 128, two below 2048, three below 65536.",
    ),
    "3.2": Exercise(
        "an",
        (
            (
                "na",
                "n, a stand together three times: twice in banana, once in bandana. Another pair has four.",
            ),
            ("ba", "b, a begin both words, but that is only twice. Count inside the words, too."),
            ("nan", "A merge joins two tokens, and at first every token is one letter."),
        ),
        hint="Write down the pairs of neighbours of both words and count each; a pair is ordered.",
    ),
    "3.3": Exercise(
        _join,
        (
            (
                _overlapping,
                "In a row like 1 1 1 the pair 1, 1 occurs once: the middle token can't belong to two.",
            ),
            (_from_the_right, "Begin at the left: of 1 1 1 the first two are joined."),
            (_once, "Every occurrence is replaced, not only the first."),
        ),
        hint="Walk through the row: where this token and the next are the pair, take `new` and go on behind both; else take the token.",
        cases=(
            ([5, 6, 7], (5, 6), 9),
            ([1, 1, 1, 2], (1, 1), 9),
            ([1, 2, 3, 1, 2], (1, 2), 9),
            ([1, 1, 1, 1], (1, 1), 9),
            ([4], (4, 4), 9),
        ),
    ),
    "3.4": Exercise(
        _bits_per_byte,
        (
            (
                lambda nats, size: nats / size,
                "That is nats per byte. A bit is ln 2 nats: divide by ln 2.",
            ),
            (
                lambda nats, size: nats / math.log(2),
                "That is bits per token. Divide by the bytes of a token.",
            ),
            (
                lambda nats, size: nats * size / math.log(2),
                "Longer tokens hold more bytes to share the loss: divide by them.",
            ),
            (
                lambda nats, size: nats * math.log(2) / size,
                "A nat is more than a bit: divide by ln 2 instead of multiplying.",
            ),
        ),
        hint="Divide the loss by the bytes per token, then by ln 2.",
        cases=((4.0, 3.4), (2.6, 2.0), (0.0, 1.0), (math.log(256), 1.0)),
    ),
    "3.5": Exercise(
        153_600_000,
        (
            (76_800_000, "That is the embedding alone. An output matrix of its own has as many."),
            (100_000, "Each token has a row of 768 numbers, in both tables."),
            (200_000, "Each token has a row of 768 numbers, in both tables."),
        ),
        hint="V rows of C numbers, for the embedding and for the output.",
    ),
    "3.6": Exercise(
        0,
        (
            (
                1,
                "Then any user could end the model's turn. What a user types is text, whatever it looks like.",
            ),
            (10, "Ten characters, but the question is about control tokens."),
        ),
        hint="What a user types is encoded as text; who adds the control tokens?",
    ),
}
