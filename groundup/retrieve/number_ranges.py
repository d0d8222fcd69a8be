"""Numbers held against ranges and limits: which band of a table a question's value falls into;
and dates against days: whether a sentence is about a day that a question means.

    "I've got six thousand pounds, which rate?"   6,000 money   in  "£3,000 to £7,499"   -> HOLDS
    "my son is 9"                                 9 years       in  "10 and over"        -> MISSES
    "how much is a crown?"                        no number                              -> 0

A number is compared with a range of the same dimension: money, mass, length, time, people, or the
same noun. A range without a unit is one of ages, of people or of what its row names. Times of day
and dates are no numbers here. English, and the commonest words of German.

    "are you open on Christmas Day?"   25 December   in  "Closed 24 December to 2 January"  -> HOLDS
    "open tomorrow?", on a 29 November 30 November   in  "1 May to 30 September"            -> MISSES
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from math import inf

from groundup.language.calendar_dates import BANK_HOLIDAY, asked_days, days_in, is_bank_holiday
from groundup.language.number_words import with_digits

HOLDS, MISSES = 1, -1
MONEY, PEOPLE, AGE, DAYS = "money", "people", "age", "days"
_UNITS = {
    **dict.fromkeys(("pound", "quid", "euro", "dollar"), (MONEY, 1.0)),
    **dict.fromkeys(("p", "pence", "cent"), (MONEY, 0.01)),
    **dict.fromkeys(("kg", "kilo", "kilogram"), ("mass", 1.0)),
    **dict.fromkeys(("g", "gram"), ("mass", 0.001)),
    **dict.fromkeys(("m", "metre", "meter"), ("length", 1.0)),
    **dict.fromkeys(("cm", "centimetre", "centimeter"), ("length", 0.01)),
    "mm": ("length", 0.001),
    **dict.fromkeys(("km", "kilometre", "kilometer"), ("length", 1000.0)),
    "mile": ("length", 1609.0),
    **dict.fromkeys(("l", "litre", "liter"), ("volume", 1.0)),
    "ml": ("volume", 0.001),
    **dict.fromkeys(("minute", "min", "minuten"), (DAYS, 1 / 1440)),
    **dict.fromkeys(("hour", "hr", "stunde", "stunden"), (DAYS, 1 / 24)),
    **dict.fromkeys(("day", "tag", "tage", "tagen"), (DAYS, 1.0)),
    **dict.fromkeys(("week", "woche", "wochen"), (DAYS, 7.0)),
    **dict.fromkeys(("month", "monat", "monate"), (DAYS, 30.4)),
    **dict.fromkeys(("year", "yr", "jahr", "jahre", "jahren"), (DAYS, 365.25)),
    **dict.fromkeys(("people", "person", "guest", "adult", "kid", "child"), (PEOPLE, 1.0)),
    **dict.fromkeys(("children", "pupil", "head", "personen"), (PEOPLE, 1.0)),
}
_YEAR_DAYS = 365.25
_NUMBER = r"(?:[£$€]\s?)?(?<!\d)\d{1,12}(?!\d)(?:,\d{3}){0,4}(?:\.\d{1,12})?k?"
_UNIT = r"(?:[\s-]?(?:working[\s-])?(%|[^\W\d_]+))?"
_NAMED_UNIT = _UNIT.replace("(%|", "(?P<unit>%|")
_TO = r"\s*(?:-|–|—|to|bis|and|or)\s*(?:£|\$|€)?\s?"
_BELOW = (
    "under|below|less than|fewer than|younger than|smaller than|shorter than|lighter than|before"
    "|unter"
)
_AT_MOST = "up to|no more than|not more than|at most|maximum(?: of)?|max|within|bis zu|höchstens"
_ABOVE = "over|above|more than|older than|larger than|longer than|exceeding|beyond|über"
_AT_LEAST = "from|at least|minimum(?: of)?|no less than|no fewer than|ab|mindestens"
_RANGE = re.compile(
    rf"(?P<between>\bbetween\s+)?(?P<low>{_NUMBER}){_UNIT}(?P<to>{_TO})(?P<high>{_NUMBER}){_UNIT}",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    rf"\b(?:(?P<below>{_BELOW})|(?P<most>{_AT_MOST})|(?P<above>{_ABOVE})|(?P<least>{_AT_LEAST}))"
    rf"\s+(?:the age of\s+|a\s+)?(?P<number>{_NUMBER}){_NAMED_UNIT}",
    re.IGNORECASE,
)
_OPEN = re.compile(
    rf"(?P<number>{_NUMBER}){_NAMED_UNIT}(?:\s*(?P<plus>\+)|(?:\s+[^\W\d_]+)?,?\s*\b(?:(?:or|and)\s+"
    r"(?:(?P<more>more|over|above|older|upwards?|longer|larger|heavier)"
    r"|(?P<less>under|less|fewer|below|younger|shorter|smaller))\b))",
    re.IGNORECASE,
)
_ALONE = re.compile(rf"(?<![\w.,:/£$€-])({_NUMBER}){_UNIT}", re.IGNORECASE)
_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez)[^\W\d_]*"
# What is no amount: a time of day, a date, an ordinal, a number of a thing ("line 4").
_NO_AMOUNT = re.compile(rf"(?:[ap]m|a\.m|p\.m|uhr|o|clock|st|nd|rd|th|{_MONTHS})\Z", re.IGNORECASE)
_CLOCK = re.compile(r"\b\d{1,2}[:.]\d\d(?!\d)|\b\d{1,2}(?:[:.]\d\d)?\s?(?:[ap]\.?m\b|uhr\b)", re.I)
_AT_TIME = re.compile(r"\b(?:at|by|before|after|since|till|until)\s+\Z", re.IGNORECASE)
_AGE_BEFORE = re.compile(
    r"\b(?:aged?|i'?m|i am|(?:s?he|who)(?:'s| is)|turn(?:s|ed|ing)?|is(?: only| just)?|"
    r"(?:son|daughter|mum|dad|girl|boy|kid|child)'?s)(?: only| just| nearly)?\s*\Z",
    re.IGNORECASE,
)
# Where these are looked for: characters before a number.
_NEAR = 40
_AGE_BEHIND = re.compile(r"[\s-]*(?:olds?\b|of age\b)", re.IGNORECASE)


@dataclass(frozen=True)
class NumberRange:
    """The numbers from `low` to `high` of a dimension; of a single number both are the same."""

    low: float
    high: float
    dimension: str
    """MONEY, PEOPLE, AGE, DAYS ..., the noun that is counted, or ""; of AGE and DAYS in days."""
    is_open: bool = False
    """Whether the limits themselves are outside, as of "under 5"."""

    def holds(self, value: float) -> bool:
        if self.is_open:
            return self.low < value < self.high
        return self.low <= value <= self.high


def fit_of_number(question: str, text: str) -> int:
    """Return HOLDS where a range of a text holds a number of the question, MISSES where ranges of
    the same dimension hold none, 0 where there is nothing to compare.

    >>> bands = "£1,000 to £2,999", "£3,000 to £7,499", "The rate is fixed."
    >>> [fit_of_number("which rate for six thousand pounds?", each) for each in bands]
    [-1, 1, 0]
    """
    asked = asked_numbers(question)
    if not asked:
        return 0
    found = 0
    for limits in ranges_in(text):
        for number in asked:
            if (value := _comparable(number, limits, text)) is not None:
                if limits.holds(value):
                    return HOLDS
                found = MISSES
    return found


def _comparable(number: NumberRange, limits: NumberRange, text: str) -> float | None:
    """Return a number in the unit of a range; None where they are of different dimensions."""
    asked, has = number.dimension, limits.dimension
    if asked == has:
        return number.low
    if {asked, has} == {AGE, DAYS}:
        return number.low
    if not has:  # a bare range: ages in years, people, or what the text names
        if asked == AGE:
            return number.low / _YEAR_DAYS
        is_named = asked not in (MONEY, DAYS) and asked.rstrip("s") in text.lower()
        if asked == PEOPLE or is_named:
            return number.low
    if not asked and has == MONEY:
        return number.low
    return None


@lru_cache(maxsize=64)  # the same question for each sentence
def asked_numbers(question: str) -> tuple[NumberRange, ...]:
    """Return the amounts of a question.

    >>> [(each.low, each.dimension) for each in asked_numbers("twenty eight thousand, 12 items")]
    [(28000.0, ''), (12.0, 'item')]
    """
    text = _without_clock(with_digits(question))
    found = []
    for match in _ALONE.finditer(text):
        if _NO_AMOUNT.match(match[2] or ""):
            continue
        near = max(0, match.start() - _NEAR), match.start()
        if _AT_TIME.search(text, *near) and (not match[2] or match[2].lower() in _NO_UNIT):
            continue
        value, dimension = _amount(match[1], match[2])
        is_age = dimension == DAYS and _AGE_BEHIND.match(text, match.end()) is not None
        if not match[2] or dimension not in _KNOWN:
            is_said = _AGE_BEFORE.search(text, *near) is not None
            is_age = is_age or (is_said and value < 120 and dimension != MONEY)
            is_bare = not match[2] or not re.match(r"\s*\w", match[2])
            if is_age and (is_bare or match[2].lower() in _AFTER_AGE):
                value, dimension = value * _YEAR_DAYS, AGE
        elif is_age:
            dimension = AGE
        found.append(NumberRange(value, value, dimension))
    return tuple(found)


_AFTER = "and or so but in can is may does what which now"
_AFTER_AGE = frozenset(_AFTER.split())
_KNOWN = frozenset(dimension for dimension, _ in _UNITS.values()) | {"%"}


@lru_cache(maxsize=4096)
def ranges_in(text: str) -> tuple[NumberRange, ...]:
    """Return the ranges and limits that a text states, cell by cell of a row.

    >>> [(each.low, each.high) for each in ranges_in("| Squirrels | 4 and 5 | under 30 kg |")]
    [(4.0, 5.0), (-inf, 30.0)]
    """
    found: list[NumberRange] = []
    is_row = text.startswith("|")
    parts = [text]
    if is_row:
        parts = text.split("|")
    for cell in parts:
        found += _ranges(_without_clock(with_digits(cell.strip())), is_row)
    return tuple(found)


def _ranges(text: str, is_cell: bool) -> Iterator[NumberRange]:
    taken: list[tuple[int, int]] = []
    for match in _RANGE.finditer(text):
        unit = match[6] or match[3]
        joins = match["to"].strip(" £$€").lower()
        is_pair = joins in ("and", "or") and not match["between"]
        is_whole = is_cell and match[0] == text
        if _NO_AMOUNT.match(match[3] or "") or _NO_AMOUNT.match(match[6] or ""):
            taken.append(match.span())
            continue
        if is_pair and not is_whole:
            continue
        low, high = match["low"], match["high"]
        if not re.match(r"[£$€]", low):
            low = _sign(match["to"] + high) + low
        if re.match(r"[£$€]", low) and not re.match(r"[£$€]", high):
            high = low[0] + high
        first, dimension = _amount(low, match[3] or unit)
        last, _ = _amount(high, unit)
        taken.append(match.span())
        yield NumberRange(min(first, last), max(first, last), dimension)
    for pattern in (_OPEN, _LIMIT):
        for match in pattern.finditer(text):
            if any(start < match.end() and match.start() < end for start, end in taken):
                continue
            unit = match["unit"]
            if _NO_AMOUNT.match(unit or ""):
                continue
            taken.append(match.span())
            value, dimension = _amount(match["number"], unit)
            kinds = match.groupdict()
            if kinds.get("below") or kinds.get("most") or kinds.get("less"):
                yield NumberRange(-inf, value, dimension, bool(kinds.get("below")))
            else:
                yield NumberRange(value, inf, dimension, bool(kinds.get("above")))


def _amount(number: str, unit: str | None) -> tuple[float, str]:
    """Return a number in the first unit of its dimension, and this dimension."""
    plain = number.lower().replace(",", "")
    sign, digits = _sign(plain), plain.lstrip("£$€ ").removesuffix("k")
    value = float(digits) * (1000 if plain.endswith("k") else 1)
    name = (unit or "").lower()
    if sign:
        return value * (1_000_000 if name == "m" else 1), MONEY
    if name == "%":
        return value, "%"
    for each in (name, name.removesuffix("s")):
        if each in _UNITS:
            dimension, factor = _UNITS[each]
            return value * factor, dimension
    if name == "of":  # "there are six of us"
        return value, PEOPLE
    if name in _NO_UNIT or len(name) < 2:
        return value, ""
    return value, name.removesuffix("s")


_NOT_UNITS = (
    "or and to in on at for from by is are was be if it the a an but do does can may i we you he "
    "she which what when how who with s plus per as until each that will would no not more less "
    "und oder bis von so then now there"
)
_NO_UNIT = frozenset(_NOT_UNITS.split())


def _sign(text: str) -> str:
    return "".join(re.findall(r"[£$€]", text)[:1])


def _without_clock(text: str) -> str:
    """Blank the times of day of a text; "9.30" is one where another is written as "9:30" or "6 pm",
    else a decimal.
    """
    if not re.search(r"[ap]\.?m\b|uhr|:\d\d", text, re.IGNORECASE):
        return text
    return _CLOCK.sub(lambda match: " " * len(match[0]), text)


def fit_of_date(question: str, text: str, today: date) -> int:
    """Return HOLDS where a sentence is about a day that a question means, MISSES where it states
    other days alone, 0 where one of them has no date.

    >>> ask = "Are you open on Christmas Day?"
    >>> [fit_of_date(ask, text, date(2026, 11, 29)) for text in
    ...  ("Closed 24 December to 2 January.", "In August we close at 4.", "Open 9 to 5.")]
    [1, -1, 0]
    """
    asked = [each for each in asked_days(question, today) if not each.is_open]
    if not asked:
        return 0
    if BANK_HOLIDAY.search(text) and any(is_bank_holiday(each.first) for each in asked):
        return HOLDS
    stated = days_in(text, today)
    closed = [each for each in stated if not each.is_open]
    if any(one.meets(other) for one in asked for other in closed):
        return HOLDS
    return (
        MISSES
        if closed and closed == list(stated) and not all(each.is_guess for each in asked)
        else 0
    )
