"""The numbers and names that a pack's facts have, and those of a text that are not among them.

A name is a word with a capital. Where a sentence begins every word has one, so there only a
misspelt known name is noticed. Numbers have one form each: amounts with their unit, times of day,
telephone numbers, codes.

    quantities("£1,500.00 by 9.30 am, or twenty-five percent")  ->  £ 1500, time 09:30, % 25

Number words count like digits, from "two" on ("one" is free); ordinals in words and the markers of
numbered lists do not.
"""

import datetime
import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from groundup.language.number_words import ONE_TO_NINETEEN, TWENTY_TO_NINETY
from groundup.packs.pack import Pack

SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
ALONE = {"half": "0.5", "twice": "2", "dozen": "12"}
HOURS = {"noon": "12:00", "midday": "12:00", "midnight": "00:00"}
UNITS = {"per cent": "%", "percent": "%", "pounds": "£", "dollars": "$", "euros": "€"}
TIME, PHONE, CODE, BARE = "time", "phone", "code", ""

_LIST = re.compile(r"(?m)^[ \t]*\d{1,3}[.)](?=[ \t])")
_PHONE = re.compile(
    r"(?<![\w.,])(?:\+\d[\d ]{6,}\d|0\d{2,}(?: \d+)+|0\d{9,}|"
    r"(?:\(?\d{3}\)?[ -])?\d{3}-\d{4})(?![\w%])"
)
_TIME = re.compile(
    r"(?<![\w.:])(?:(?P<h>[01]?\d)(?:[.:](?P<m>[0-5]\d))?\s?(?P<half>[ap])\.?m\b|"
    r"(?P<h24>[01]?\d|2[0-3]):(?P<m24>[0-5]\d)(?![\d:]))",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?<!\w)(?=\w*[A-Z])(?=\w*\d)\w+")
_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)*"
_AMOUNT = re.compile(
    rf"(?P<sign>[£$€¥])?\s?(?P<number>{_NUMBER})(?:\s(?P<scale>hundred|thousand|million)\b)?"
    r"(?:\s?(?P<unit>%|per cent\b|percent\b|pounds\b|dollars\b|euros\b))?",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")
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
_UNITS = {
    BARE: "number",
    PHONE: "telephone number",
    TIME: "time",
    CODE: "code",
    "%": "percentage",
}


class Quantity(NamedTuple):
    """A number of a text."""

    unit: str
    """"£", "$", "€", "%", "time", "phone", "code"; "" for none."""
    value: str
    """In one form: 1500, 12.5, 09:30 (of 24 hours), the digits of a telephone number."""
    written: str
    """As the text has it."""


def quantities(text: str) -> list[Quantity]:
    """Return the numbers of a text, those in words last.

    >>> text = "1. £1,500.00 by 9.30 am, or twenty-five percent; call 0800 496 0123"
    >>> [quantity[:2] for quantity in quantities(text)]
    [('phone', '08004960123'), ('time', '09:30'), ('£', '1500'), ('', '25')]
    """
    rest = _LIST.sub(_blank, text)
    found: list[Quantity] = []
    for pattern, read in ((_PHONE, _phone), (_TIME, _time), (_CODE, _code), (_AMOUNT, _amount)):
        found += map(read, pattern.finditer(rest))
        rest = pattern.sub(_blank, rest)
    return [*found, *_in_words(rest)]


def _blank(match: re.Match[str]) -> str:
    return "\0" * len(match[0])


def _phone(match: re.Match[str]) -> Quantity:
    return Quantity(PHONE, re.sub(r"\D", "", match[0]), match[0])


def _time(match: re.Match[str]) -> Quantity:
    hour, minute = int(match["h"] or match["h24"]), int(match["m"] or match["m24"] or 0)
    if match["half"]:
        hour %= 12
        if match["half"].lower() == "p":
            hour += 12
    return Quantity(TIME, f"{hour:02d}:{minute:02d}", match[0])


def _code(match: re.Match[str]) -> Quantity:
    return Quantity(CODE, match[0], match[0])


def _amount(match: re.Match[str]) -> Quantity:
    value = plain_number(match["number"])
    if match["scale"]:
        value = plain_number(f"{float(value) * SCALES[match['scale'].lower()]:f}")
    unit = (match["unit"] or "").lower()
    return Quantity(match["sign"] or UNITS.get(unit, unit), value, match[0].strip())


def plain_number(written: str) -> str:
    """Return a number without separators, leading and trailing zeros.

    >>> plain_number("1,500.00"), plain_number("007"), plain_number("0.50"), plain_number("1.2.3")
    ('1500', '7', '0.5', '1.2.3')
    """
    whole, _, rest = written.replace(",", "").partition(".")
    whole = whole.lstrip("0") or "0"
    if "." not in rest:
        rest = rest.rstrip("0")
    if not rest:
        return whole
    return f"{whole}.{rest}"


def _in_words(text: str) -> Iterator[Quantity]:
    """Yield the numbers that are written as words: "one hundred and twenty", "twenty-five"; not
    "one" alone.
    """
    words = [(match[0].lower(), match.start(), match.end()) for match in _WORD.finditer(text)]
    place = 0
    while place < len(words):
        word, start, end = words[place]
        place += 1
        if word in ALONE:
            yield Quantity(BARE, ALONE[word], word)
        elif word in HOURS:
            yield Quantity(TIME, HOURS[word], word)
        elif (total := _value(word)) is not None:
            last = word
            while place < len(words) and (following := _continuation(text, words, place, last)):
                last, place = following
                total, end = _with_word(total, last), words[place - 1][2]
            if (total, word) != (1, "one"):
                yield Quantity(BARE, str(total), text[start:end])


def _value(word: str) -> int | None:
    return ONE_TO_NINETEEN.get(word, TWENTY_TO_NINETY.get(word, SCALES.get(word)))


def _continuation(
    text: str, words: list[tuple[str, int, int]], place: int, last: str
) -> tuple[str, int] | None:
    """Return the word that goes on with a number, and the place after it; None where the number
    ends.
    """
    word = words[place][0]
    if word == "and" and last in SCALES and place + 1 < len(words):
        following = words[place + 1][0]
        if _value(following) is not None:
            return following, place + 2
    is_near = not text[words[place - 1][2] : words[place][1]].strip(" \t-")
    goes_on = (
        word in SCALES
        or last in SCALES
        or (last in TWENTY_TO_NINETY and 0 < ONE_TO_NINETEEN.get(word, 0) < 10)
    )
    if not is_near or not goes_on or _value(word) is None:
        return None
    return word, place + 1


def _with_word(total: int, word: str) -> int:
    """Return the number with one more word: a scale multiplies its last part, any other word is
    added.
    """
    if word not in SCALES:
        return total + (_value(word) or 0)
    scale = SCALES[word]
    last_part = total % scale
    if not last_part:
        return total * scale
    return total - last_part + last_part * scale


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
