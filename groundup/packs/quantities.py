"""The numbers of a text in one form each, so that a text can be held against facts: amounts with
their unit, times of day, telephone numbers, codes.

    quantities("£1,500.00 by 9.30 am, or twenty-five percent")  ->  £ 1500, time 09:30, % 25

Number words count like digits, from "two" on ("one" is free); ordinals in words and the markers of
numbered lists do not.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from groundup.language.number_words import ONE_TO_NINETEEN, TWENTY_TO_NINETY

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
