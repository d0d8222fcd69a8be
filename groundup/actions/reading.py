"""Readings: what a part of a message says, before it is the value of a slot.

"move it from 7 to 8.30"     19:00, 20:30   -> 20:30: the second is where it is moved to
"five, not six"              5, 6           -> 5
"Friday or Saturday"         both           -> none is chosen; both can be offered

`Respelled`: the names of days and months in a text as they are spelled, with the places that they
had ("tommorow", "wensday").
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from groundup.actions.definition import SlotValue
from groundup.language.calendar_dates import OF_MONTH
from groundup.language.terms import is_within
from groundup.language.weekdays import DAYS

# A reading of a reply has no more values that can be offered.
MAX_OFFERED = 4
MarkNames = Callable[[str, str], Sequence[tuple[int, int]]]
"""A function of the question that was asked before ("": none) and a message: where the message has
names to be written down.
"""


@dataclass(frozen=True)
class Reading:
    """A part of a message and the values that it may mean."""

    start: int
    end: int
    values: tuple[SlotValue, ...]
    """One: it is clear."""


_BEFORE_DENIED = re.compile(
    r"\b(?:not|except(?: for)?|instead of|rather than|other than|isn'?t|without"
    r"|with or|any(?:thing|body|one| ?day| ?time)? (?:but|except)"
    r"|if (?:it|they|one|any|either|this|that)(?:'s|'re| is| are| was))\s+"
    r"(?:(?:on|at|for|the|an?|in|of|by|from)\s+)*\Z",
    re.IGNORECASE,
)
_OR_NOT = re.compile(r"\s+or not\b", re.IGNORECASE)
_MOVES = re.compile(
    r"\b(?:mov|chang|switch|swap|shift|bring|brought|push|put|postpon|reschedul|rebook|transfer"
    r"|alter|amend|correct)\w*",
    re.IGNORECASE,
)
_TO = re.compile(
    r"\s*(?:(?:\w+\s+){0,2}?(?:to|for|until|into)|->|→)\s+(?:(?:the|on|at|around|about)\s+)*\Z",
    re.IGNORECASE,
)
# "did I say Callum? I meant Finn", "not done by January. Make it May": what stands right behind is
# meant, nothing before it.
_MEANT = re.compile(
    r"\b(?:(?:i|we)(?:'d| had)? (?:meant|mean)(?: to (?:say|put|write))?|make (?:it|that)"
    r"|let'?s (?:say|make it))\W+(?:(?:the|for|on|at|it's)\s+)*\Z",
    re.IGNORECASE,
)
# "My Friday flight is off. Sunday would do just as well": what stands before it is wished.
_SUITS = re.compile(
    r"(?:\s+(?:the )?[^\W\d_]+)?,?\s+(?:(?:would|will|should|might)(?: also| just| then)*"
    r" (?:be (?:\w+ )?(?:fine|good|ok(?:ay)?|great|perfect|better|best|ideal|possible|lovely"
    r"|all ?right)"
    r"|do\b|work\b|suit\b)|(?:works|suits)\b)(?! not\b)",
    re.IGNORECASE,
)
_INSTEAD = re.compile(r"[^.!?]*?\binstead\b(?! of)", re.IGNORECASE)


def meant(text: str, readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings that a text means, in its order: without what it denies ("not Friday")
    and what it moves away from ("from 7 to 8").
    """
    found = sorted(readings, key=lambda each: each.start)
    found = [
        each
        for each in found
        if not _BEFORE_DENIED.search(text, 0, each.start) and not _OR_NOT.match(text, each.end)
    ]
    if len(found) < 2:
        return found
    corrected = [each for each in found if _MEANT.search(text, 0, each.start)]
    if corrected:
        return [each for each in found if each.start >= corrected[-1].start]
    moves = _MOVES.search(text, 0, found[0].start) is not None
    kept = [
        each
        for each, following in zip(found, [*found[1:], None], strict=True)
        if not (moves and following and _TO.fullmatch(text, each.end, following.start))
    ]
    instead = [each for each in kept[-1:] if _INSTEAD.match(text, each.end)]
    return instead or [each for each in kept if _SUITS.match(text, each.end)] or kept


def overlaps(start: int, end: int, readings: Iterable[Reading]) -> bool:
    """Whether a part of a message has characters in common with a reading."""
    return any(start < each.end and each.start < end for each in readings)


def blanked(text: str, readings: Sequence[Reading]) -> str:
    """Return a text of the same length with the parts of readings as spaces."""
    for each in readings:
        text = text[: each.start] + " " * (each.end - each.start) + text[each.end :]
    return text


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
