"""Values of a message: what it says for the slots of an action, each with its place in the message.

    read_values(slots, "a table for two this Saturday around 7, Hollis", today)
        guests 2, date 2026-12-05, time 19:00

A message that answers a question is read for the asked slot first. What may mean two things is no
value: `unclear_values` has both, so that the dialogue can ask which. Plain rules; for names also
what a model marks, where there is one (`MarkNames`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from groundup.actions.amounts import amount
from groundup.actions.definition import Slot, SlotValue
from groundup.actions.own_words import without_markup
from groundup.actions.read_dates import read_dates
from groundup.actions.read_numbers import NUMBER, plain_number, read_money, read_numbers
from groundup.actions.read_texts import read_text
from groundup.actions.read_times import read_times
from groundup.actions.read_words import (
    marked_name,
    names_alone,
    names_behind,
    names_beside,
    names_called,
    names_said,
    read_choices,
    read_codes,
    read_names,
)
from groundup.actions.reading import (
    MAX_OFFERED,
    MarkNames,
    Reading,
    Respelled,
    blanked,
    meant,
    overlaps,
)
from groundup.actions.wished_dates import wished_dates
from groundup.language.terms import words

# Values but free text are read in so many characters of a message; longer ones are pasted texts.
MAX_READ_CHARACTERS = 1000
_TELEPHONE = re.compile(r"(?<![\d£$€.,])(?:\+\d|0)\d(?:[\s()/-]{0,2}\d){6,13}(?!\d)")
# A reply of no things: "none", "no bags".
_NONE = re.compile(
    r"\W*(?:i (?:have|need|want) )?(none|no|nope|nothing|not any|zero)\b(?!\W+\d)", re.IGNORECASE
)
# "up to 7.50 a day" is no time.
_A_DAY = re.compile(r"\s+(?:an?|each|per|every)\s+(?:day|week|month|lunch|meal)\b", re.IGNORECASE)
_COUNT_BEFORE = re.compile(rf"({NUMBER})\s*(?:x|×|times|portions? of)?\s*\Z", re.IGNORECASE)
NONE_NEAR: Mapping[str, date] = {}
# Each type sees what those before it left.
_ORDER = ("code", "date", "time", "money", "number", "choice", "name", "text")


@dataclass(frozen=True)
class ReadValue:
    """A value, and where the message says it."""

    value: SlotValue
    start: int
    end: int


def read_values(
    slots: Sequence[Slot],
    message: str,
    today: date,
    asked: Slot | None = None,
    mark_names: MarkNames | None = None,
    near: Mapping[str, date] = NONE_NEAR,
) -> dict[str, ReadValue]:
    """Return the values that a message has for slots, by their names; without those that are
    unclear. `asked`: the slot whose question the message replies to; `near`: the days that were
    spoken of before, by their slots.

    >>> slots = Slot("day", "date", ask="When?"), Slot("who", "name", ask="Who?")
    >>> read_values(slots, "tomorrow, it's Sam Okoro", date(2026, 11, 29))["day"]
    ReadValue(value='2026-11-30', start=0, end=8)
    """
    found = _MessageReader(message, today, slots, mark_names, near).readings(slots, asked)
    return {
        name: ReadValue(each.values[0], each.start, each.end)
        for name, each in found.items()
        if len(each.values) == 1
    }


def unclear_values(
    slots: Sequence[Slot],
    message: str,
    today: date,
    asked: Slot | None = None,
    mark_names: MarkNames | None = None,
    near: Mapping[str, date] = NONE_NEAR,
) -> dict[str, tuple[SlotValue, ...]]:
    """Return for slots what a message may mean where that is more than one thing, or where it is a
    date that does not fit its weekday.

    >>> slots = (Slot("at", "time", ask="When?"),)
    >>> unclear_values(slots, "at 7", date(2026, 11, 29))
    {'at': ('07:00', '19:00')}
    """
    found = _MessageReader(message, today, slots, mark_names, near).readings(slots, asked)
    return {
        name: each.values for name, each in found.items() if 1 < len(each.values) <= MAX_OFFERED
    }


def spoken(slot: Slot, value: SlotValue) -> str:
    """Return a value as sentences have it.

    >>> spoken(Slot("day", "date", ask="When?"), "2026-12-04")
    'Friday 4 December 2026'
    """
    if slot.type == "date":
        day = date.fromisoformat(str(value))
        return f"{day:%A} {day.day} {day:%B %Y}"
    if slot.type == "money":
        return amount(slot.currency, float(value))
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value)


class _MessageReader:
    """Reads one message; what is a value of one slot is none of another."""

    def __init__(
        self,
        message: str,
        today: date,
        slots: Sequence[Slot],
        mark_names: MarkNames | None,
        near: Mapping[str, date],
    ) -> None:
        self._mark_names, self._asked = mark_names, ""
        self._near = near
        self._one_date = sum(slot.type == "date" for slot in slots) == 1
        self._has_time = any(slot.type == "time" for slot in slots)
        self._message, self._today = message.replace("’", "'"), today
        self._own = without_markup(self._message)
        self._barred = frozenset().union(*map(_words_of_slot, slots))
        self._taken: list[Reading] = []
        self._without_numbers: list[Reading] = []
        self._codes: list[Reading] = []

    def readings(self, slots: Sequence[Slot], asked: Slot | None) -> dict[str, Reading]:
        """Return for each slot its one reading, with several values where it is unclear."""
        found: dict[str, Reading] = {}
        others = list(slots)
        if asked is not None:
            self._asked = asked.ask
            alike = [each for each in others if each.type == asked.type]
            place = next((n for n, each in enumerate(alike) if each.name == asked.name), 0)
            found |= self.read([asked, *alike[place + 1 :]], asked=True)
            if asked.type == "text":  # its words are no values of others
                return found
            others = [each for each in others if each.type != asked.type or asked.name not in found]
        for kind in _ORDER:
            alike = [each for each in others if each.type == kind and each.name not in found]
            if alike:
                found |= self.read(alike, asked=False)
        return found | self.counts_of_choices(slots, found)

    def read(self, slots: Sequence[Slot], *, asked: bool) -> dict[str, Reading]:
        """Return the readings of slots of one type: in their order where the message has as many,
        of the first slot alone where it is the asked one.
        """
        own = [self._of(slot, asked=asked and place == 0) for place, slot in enumerate(slots)]
        if slots[0].type == "name" and not (asked and own[0]):
            called = [names_called(blanked(self._own, self._taken), slot) for slot in slots]
            if len(slots) > 1 and any(called):
                known = [one for each in called for one in each]
                others = ([one for one in each if one not in known] for each in own)
                own = [one or other for one, other in zip(called, others, strict=True)]
            beside = names_beside(blanked(self._own, self._taken), self._codes)
            if beside:
                own = [beside, *([one for one in each if one not in beside] for each in own[1:])]
            if len(slots) == 1 and len(own[0]) > 1:
                said = names_said(blanked(self._own, self._taken))
                own = [[one for one in own[0] if one in said] or own[0]]
            if len(slots) == 1 and self._taken and not (asked or own[0] or slots[0].among):
                own = [names_alone(blanked(self._own, self._taken), self._barred)]
        if slots[0].type == "name" and (len(slots) == 1 or asked) and not slots[0].among:
            own[0] = self._marked(own[0], asked=asked)
        found: dict[str, Reading] = {}
        if len(slots) > 1 and own[0] and all(each == own[0] for each in own[1:]):
            if len(own[0]) == len(slots):
                own = [[each] for each in own[0]]
            else:  # which slot it is for is not said
                own = [own[0] if asked else [], *([] for _ in slots[1:])]
        marked = sorted(zip(slots, own, strict=True), key=lambda each: not each[0].is_marked)
        for slot, readings in marked:
            new = [each for each in readings if all(each != one for one in found.values())]
            found |= _one(slot, new)
        self._taken += found.values()
        self._without_numbers += () if slots[0].type == "number" else found.values()
        if slots[0].type == "code":
            self._codes += found.values()
        return found

    def _marked(self, by_rules: list[Reading], *, asked: bool) -> list[Reading]:
        """Return the names that a model marks, without those that are denied or a part of another
        one; what is called a name ("in the name of Bramley") before others, of several those that
        rules read, too. Where it marks none, those by rules, but of a reply of several words:
        "not sure yet".
        """
        if self._mark_names is None:
            return by_rules
        text = self._own[:MAX_READ_CHARACTERS]
        places = self._mark_names(self._asked, text)
        found = [each for place in places if (each := marked_name(text, *place)) is not None]
        own = [frozenset(words(str(each.values[0]))) for each in found]
        marked = [
            each
            for each, said in zip(found, own, strict=True)
            if not overlaps(each.start, each.end, self._taken)
            and not any(said < one for one in own)
        ]
        if not marked and not (asked and len(words(text)) > 1):
            return by_rules
        called = names_said(blanked(text, self._taken))
        if called:
            marked = [each for each in marked if overlaps(each.start, each.end, called)] or called
        if len(marked) > 1:
            marked = [each for each in marked if overlaps(each.start, each.end, by_rules)] or marked
        return meant(text, marked)

    def counts_of_choices(
        self, slots: Sequence[Slot], found: Mapping[str, Reading]
    ) -> dict[str, Reading]:
        """Return for the one number that is not read what stands before the words of a choice:
        "two chickpea curries".
        """
        numbers = [slot for slot in slots if slot.type == "number" and slot.name not in found]
        chosen = [
            found[slot.name] for slot in slots if slot.type == "choice" and slot.name in found
        ]
        if len(numbers) != 1 or len(chosen) != 1:
            return {}
        rest = self._without_times(blanked(self._own, self._taken)[: chosen[0].start])
        match = _COUNT_BEFORE.search(rest)
        number = plain_number(match[1]) if match else None
        if match is None or number is None:
            return {}
        return _one(numbers[0], [Reading(*match.span(1), (number,))])

    def _of(self, slot: Slot, *, asked: bool) -> list[Reading]:
        """Return what the message may mean for a slot."""
        found = self._all_of(slot, asked=asked)
        if not slot.is_marked or slot.type == "text":
            return found
        marked = [each for each in found if self._is_marked(slot, each)]
        return marked if marked or not asked else found

    def _is_marked(self, slot: Slot, found: Reading) -> bool:
        """Whether a reading stands behind or before words that the slot names for it."""
        cue = rf"(?<!\bnot )\b(?:{_any_of(slot.behind)})\W+(?:(?:the|at|on|in|about|around)\s+)*\Z"
        is_behind = slot.behind and re.search(cue, self._message[: found.start], re.IGNORECASE)
        after = rf"(?:\W+[A-Z]{{2,4}})?\W+(?:{_any_of(slot.followed_by)})\b"
        rest = self._message[found.end :]
        is_before = slot.followed_by and re.match(after, rest, re.IGNORECASE)
        return bool(is_behind or is_before)

    def _all_of(self, slot: Slot, *, asked: bool) -> list[Reading]:
        if slot.type == "text":
            rest = self._message if asked else blanked(self._own, self._taken)
            return read_text(rest, slot, asked=asked)
        # "a portion of chips" is a number of portions and an option.
        taken = self._without_numbers if slot.type == "choice" else self._taken
        rest = blanked(self._own, taken)[:MAX_READ_CHARACTERS]
        if slot.type == "name":
            return [*names_behind(rest, slot.behind), *read_names(rest, asked=asked)]
        if slot.type == "code":
            return read_codes(rest, slot, asked=asked)
        if slot.type == "choice":
            return meant(rest, read_choices(rest, slot, asked=asked))
        if slot.type in ("date", "time"):
            return meant(rest, self._dates_or_times(slot, rest, asked=asked))
        none = _NONE.match(rest)
        if none and asked and slot.type == "number" and slot.accepts(0):
            return [Reading(*none.span(1), (0,))]
        read = read_numbers if slot.type == "number" else read_money
        return meant(rest, read(self._without_times(rest), slot, asked=asked))

    def _dates_or_times(self, slot: Slot, rest: str, *, asked: bool) -> list[Reading]:
        respelled = Respelled(rest)
        if slot.type == "date":
            found = read_dates(
                respelled.text,
                self._today,
                past=slot.past,
                asked=asked,
                near=self._near.get(slot.name),
                alone=self._one_date,
            )
            if self._one_date:
                times = read_times(respelled.text) if self._has_time else []
                found = wished_dates(
                    respelled.text, meant(respelled.text, found), times, past=slot.past
                )
            return respelled.placed(found)
        dates = [] if asked else read_dates(respelled.text, self._today)
        written = [each for each in dates if _has_digit(respelled.text, each)]
        bounds = {
            name: str(bound)
            for name, bound in (("least", slot.least), ("most", slot.most))
            if bound is not None
        }
        text = blanked(respelled.text, written)
        return respelled.placed(read_times(text, asked=asked, **bounds))

    def _without_times(self, rest: str) -> str:
        """Return the text without dates, times and telephone numbers."""
        rest = _TELEPHONE.sub(lambda match: " " * len(match[0]), rest)
        respelled = Respelled(rest)
        found = [*read_dates(respelled.text, self._today), *read_times(respelled.text)]
        found = [each for each in found if not _A_DAY.match(respelled.text, each.end)]
        return blanked(rest, respelled.placed(found))


def _words_of_slot(slot: Slot) -> frozenset[str]:
    """Return the words with which a slot is asked for and answered."""
    listed = [slot.ask, slot.name.replace("_", " "), *slot.unit]
    for key, synonyms in (slot.options or {}).items():
        listed += [key, *synonyms]
    return frozenset(words(" ".join(listed)))


def _any_of(wordings: Sequence[str]) -> str:
    """Return a pattern for one of some wordings, the longest first."""
    return "|".join(map(re.escape, sorted(wordings, key=len, reverse=True)))


def _has_digit(text: str, reading: Reading) -> bool:
    return any(letter.isdigit() for letter in text[reading.start : reading.end])


def _one(slot: Slot, readings: Sequence[Reading]) -> dict[str, Reading]:
    """Return the reading of a slot, with the values of all where they differ."""
    values = tuple(
        dict.fromkeys(value for each in readings for value in each.values if slot.accepts(value))
    )
    if not values:
        return {}
    return {slot.name: Reading(readings[0].start, readings[0].end, values)}
