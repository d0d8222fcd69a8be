"""Respelling: the names of days and months in a text as they are spelled, with the places that they
had ("tommorow", "wensday").
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from groundup.actions.reading import Reading
from groundup.language.calendar_dates import OF_MONTH
from groundup.language.edit_distance import is_within
from groundup.language.weekdays import DAYS

_WORD = re.compile(r"[^\W\d_]{5,}")
# Shorter names are too near to other words: "march" to "marsh".
_MIN_LENGTH, _TWO_MISTAKES = 6, 8
_NAMES = tuple(
    name
    for name in (*DAYS["en"], *OF_MONTH, "tomorrow", "yesterday", "tonight", "midday", "christmas")
    if len(name) >= _MIN_LENGTH and name.isascii()
)


class Respelled:
    """A text with its days and months spelled right."""

    def __init__(self, text: str) -> None:
        self.text = ""
        self._changes: list[tuple[int, int]] = []
        end = 0
        for match in _WORD.finditer(text):
            name = _name(match[0].lower())
            if name:
                self.text += text[end : match.start()] + name
                end = match.end()
                self._changes.append((len(self.text), end))
        self.text += text[end:]
        self._length = len(text)

    def placed(self, readings: Sequence[Reading]) -> list[Reading]:
        """Return readings of the respelled text with their places in the original one."""
        return [
            replace(each, start=self._place(each.start), end=self._place(each.end))
            for each in readings
        ]

    def _place(self, place: int) -> int:
        at = bisect_right(self._changes, (place, self._length + 1))
        new, old = self._changes[at - 1] if at else (0, 0)
        return min(self._length, old + place - new)


@lru_cache(maxsize=4096)
def _name(word: str) -> str | None:
    """Return the day or month that a word is a misspelling of."""
    if word in _NAMES or word.removesuffix("s") in _NAMES:
        return None
    for name in _NAMES:
        most = 2 if len(name) >= _TWO_MISTAKES else 1
        if word[0] == name[0] and is_within(word, name, most):
            return name
    return None
