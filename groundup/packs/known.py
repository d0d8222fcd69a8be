"""What a pack's facts say: the numbers and names that may stand in its texts, and what stands in a
text and is not among them.
"""

import datetime
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from groundup.packs.names import ALWAYS, WORD, bare_name, names, near_name
from groundup.packs.pack import Pack
from groundup.packs.quantities import BARE, CODE, PHONE, TIME, Quantity, plain_number, quantities

HOURS_OF_HALF_DAY = 12
# E-mail addresses and names of web sites: there names stand in lower case.
_ADDRESS = re.compile(r"\S*(?:@|\w\.\w)\S*")


@dataclass(frozen=True)
class Known:
    """The numbers and names of the facts, of the pack's head, and those that are marked as free."""

    units: Mapping[str, set[str]]
    """The units of each number, "" among them where it stands without one."""
    names: frozenset[str]
    lower: frozenset[str]
    """All words that stand in lower case in the facts or in any text of the pack: no names where a
    sentence begins.
    """
    names_in_lower: frozenset[str]

    def objections(self, text: str) -> Iterator[str]:
        """Yield what a text says that is neither a fact nor free, each once."""
        reasons = [self._of_number(each) for each in quantities(text)]
        reasons += [self._of_name(word, begins) for word, begins in names(text)]
        yield from dict.fromkeys(reason for reason in reasons if reason)

    def _of_number(self, found: Quantity) -> str:
        if self._has(found):
            return ""
        elsewhere = sorted(self.units.get(found.value, ()))
        has = f", which has it as {' and '.join(map(_as_has, elsewhere))}" if elsewhere else ""
        return f"{_as_said(found.unit)} {found.written!r} is not in facts.toml{has}"

    def _has(self, found: Quantity) -> bool:
        units = self.units.get(found.value, set())
        if found.unit == TIME:
            return TIME in units or (
                "m" not in found.written.lower() and self._has_in_afternoon(found)
            )
        if found.unit == CODE:
            digits = plain_number("".join(filter(str.isdigit, found.value)))
            letters = "".join(filter(str.isalpha, found.value))
            return CODE in units or (
                bool(letters) and letters in self.names and digits in self.units
            )
        if found.unit == PHONE:
            return PHONE in units
        return bool(units) if found.unit == BARE else bool({found.unit, BARE} & units)

    def _has_in_afternoon(self, found: Quantity) -> bool:
        """Whether a time that says no half of the day is one of the afternoon: "open to 4:30"."""
        hour, minute = map(int, found.value.split(":"))
        return TIME in self.units.get(
            f"{hour % HOURS_OF_HALF_DAY + HOURS_OF_HALF_DAY:02d}:{minute:02d}", ()
        )

    def _of_name(self, word: str, begins: bool) -> str:
        name = bare_name(word)
        lower = name.lower()
        if (
            name in self.names
            or name.split("-")[0] in self.names
            or (name.isupper() and lower in self.lower | self.names_in_lower)
        ):
            return ""
        if not begins:
            return f"the name {name} is not in facts.toml"
        meant = (
            ""
            if lower in self.lower
            else near_name(name, (each for each in self.names if each.lower() not in self.lower))
        )
        return f"the name {name} is not in facts.toml: is {meant} meant?" if meant else ""


def _as_said(unit: str) -> str:
    """Return a number of some unit as objections call it."""
    said = {
        BARE: "the number",
        PHONE: "the telephone number",
        TIME: "the time",
        CODE: "the code",
        "%": "the percentage",
    }
    return said.get(unit, "the amount")


def _as_has(unit: str) -> str:
    """Return how the facts have a number that a text has in another unit."""
    said = {
        BARE: "a number",
        PHONE: "a telephone number",
        TIME: "part of a time",
        CODE: "a code",
        "%": "a percentage",
    }
    return said.get(unit, f"an amount in {unit}")


def known_of(pack: Pack) -> Known:
    """Return what a pack's texts may say."""
    head = pack.head
    said = [
        *values(pack.facts),
        head.title,
        head.organisation,
        *map(str, head.free.numbers),
        *head.free.names,
    ]
    units: dict[str, set[str]] = defaultdict(set)
    for text in said:
        for found in quantities(text):
            units[found.value].add(found.unit)
            for part in _parts(found):
                units[part].add(TIME)
    words = {word for text in said for word in WORD.findall(text)} | ALWAYS
    texts = [
        *pack.documents.values(),
        *(
            str(value)
            for rows in pack.parts.values()
            for row in rows
            for value in row.values.values()
        ),
    ]
    lower = {
        word
        for text in [*said, *texts]
        for word in WORD.findall(_ADDRESS.sub(" ", text))
        if word.islower()
    }
    return Known(
        units,
        frozenset(words | {f"{word}s" for word in words}),
        frozenset(lower),
        frozenset(map(str.lower, words)),
    )


def _parts(found: Quantity) -> Iterable[str]:
    """Return the numbers of a time that may stand alone: the 9 of "from 9 to 5 pm"."""
    if found.unit != TIME:
        return ()
    hour, minute = map(int, found.value.split(":"))
    return {str(hour), str(hour % HOURS_OF_HALF_DAY or HOURS_OF_HALF_DAY), str(minute)}


def values(table: Any) -> Iterator[str]:
    """Yield the values of facts as texts.

    >>> list(values({"fees": {"card": 12.5, "days": ["Monday"]}, "opens": datetime.time(9, 30)}))
    ['12.5', 'Monday', '09:30']
    >>> list(values(datetime.datetime(2026, 12, 1, 9, 30)))
    ['1 December 2026 09:30']
    """
    if isinstance(table, Mapping):
        table = list(table.values())
    if isinstance(table, list):
        for each in table:
            yield from values(each)
    elif isinstance(table, datetime.datetime):
        yield f"{table:%-d %B %Y %H:%M}"
    elif isinstance(table, datetime.time):
        yield f"{table:%H:%M}"
    elif isinstance(table, datetime.date):
        yield f"{table:%-d %B %Y}"
    else:
        yield str(table)
