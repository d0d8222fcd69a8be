"""The numbers and names that a pack's facts have, and those of a text that are not among them.

A name is a word with a capital. Where a sentence begins every word has one, so there only a
misspelt known name is noticed.
"""

import datetime
import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from groundup.packs.pack import Pack
from groundup.packs.quantities import BARE, CODE, PHONE, TIME, Quantity, plain_number, quantities

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
MONTHS = "January February March April May June July August September October November December"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
OTHERS = """English French German Spanish Italian Portuguese Dutch Polish Chinese Japanese Arabic Hindi
    Europe European British Britain Christmas Easter I I'm I've I'd I'll I’m I’ve I’d I’ll
    OK FAQ ID PDF SMS PIN TV Mr Mrs Ms Dr am pm CV"""
ALWAYS = frozenset(f"{MONTHS} {DAYS} {OTHERS}".split()) | {f"{day}s" for day in DAYS.split()}
# A sentence, heading, list entry, table cell or quotation begins after one of these.
BEGINNINGS = '.!?:;\n#*->|•…_[("“‘—–'
NEAR, NEAR_LETTERS = 0.85, 6
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
        elsewhere = " and ".join(_with_article(u) for u in sorted(self.units.get(found.value, ())))
        reason = f"the {_describe(found.unit)} {found.written!r} is not in facts.toml"
        if elsewhere:
            reason += f", which has it as {elsewhere}"
        return reason

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
        if found.unit == BARE:
            return bool(units)
        return bool({found.unit, BARE} & units)

    def _has_in_afternoon(self, found: Quantity) -> bool:
        """Whether a time that says no half of the day is one of the afternoon: "open to 4:30"."""
        hour, minute = map(int, found.value.split(":"))
        hour = hour % HOURS_OF_HALF_DAY + HOURS_OF_HALF_DAY
        return TIME in self.units.get(f"{hour:02d}:{minute:02d}", ())

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
        if lower in self.lower:
            return ""
        meant = near_name(name, (each for each in self.names if each.lower() not in self.lower))
        if not meant:
            return ""
        return f"the name {name} is not in facts.toml: is {meant} meant?"


_UNITS = {
    BARE: "number",
    PHONE: "telephone number",
    TIME: "time",
    CODE: "code",
    "%": "percentage",
}


def _describe(unit: str) -> str:
    """Return what a quantity of some unit is called."""
    return _UNITS.get(unit, "amount")


def _with_article(unit: str) -> str:
    """Return how the facts have a number that a text has in another unit."""
    if unit == TIME:
        return "part of a time"
    if unit in _UNITS:
        return f"a {_UNITS[unit]}"
    return f"an amount in {unit}"


def known_of(pack: Pack) -> Known:
    """Return what a pack's texts may say."""
    head = pack.head
    known = [*values(pack.facts), head.title, head.organisation]
    known += [*map(str, head.free.numbers), *head.free.names]
    units: dict[str, set[str]] = defaultdict(set)
    for text in known:
        for found in quantities(text):
            units[found.value].add(found.unit)
            for part in _parts(found):
                units[part].add(TIME)
    words = {word for text in known for word in WORD.findall(text)} | ALWAYS
    texts = [*known, *pack.documents.values()]
    for rows in pack.parts.values():
        texts += [str(value) for row in rows for value in row.values.values()]
    lower = {
        word for text in texts for word in WORD.findall(_ADDRESS.sub(" ", text)) if word.islower()
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


def names(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each word with a capital, and whether a sentence begins with it.

    >>> list(names("Ask Ada. Bob's is open."))
    [('Ask', True), ('Ada', False), ("Bob's", True)]
    """
    for match in WORD.finditer(text):
        if match[0][0].isupper():
            before = text[: match.start()].rstrip(" \t'")
            yield match[0], not before or before[-1] in BEGINNINGS


def bare_name(word: str) -> str:
    """Return a name without its possessive.

    >>> bare_name("Ada's"), bare_name("the Joneses’")
    ('Ada', 'the Joneses’')
    """
    return re.sub(r"['’]s$", "", word)


def near_name(word: str, known: Iterable[str]) -> str:
    """Return the known name that a word is a misspelling of; "" for none, and for short words.

    >>> near_name("Brackenmeer", ["Brackenmere", "bank"]), near_name("Please", ["Brackenmere"])
    ('Brackenmere', '')
    """
    if len(word) < NEAR_LETTERS:
        return ""
    # of one stem is no misspelling: Bank, Banker
    others = [
        name
        for name in known
        if name[0].isupper() and not (name.startswith(word) or word.startswith(name))
    ]
    return next(iter(difflib.get_close_matches(word, others, n=1, cutoff=NEAR)), "")
