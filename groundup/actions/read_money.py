"""Amounts of money of a message: "£64.99", "12 pounds 50", "80p", "two grand", "1.5k".

An amount in another currency than the slot's is none. A number without a sign counts in the reply
to the question, and where "to", "of" or "for" stands before it.
"""

import re
from collections.abc import Iterator

from groundup.actions.definition import Slot
from groundup.actions.read_numbers import NUMBER
from groundup.actions.reading import Reading, overlaps
from groundup.language.number_words import read_number

_NAMES = {
    "£": "pounds pound quid gbp pence p",
    "€": "euros euro eur cents cent",
    "$": "dollars dollar usd bucks",
}
_OF_NAME = {name: sign for sign, names in _NAMES.items() for name in names.split()}
_HUNDREDTHS = ("p", "pence", "cents", "cent")
_FACTORS = {"k": 1000, "grand": 1000, "thousand": 1000, "m": 1_000_000, "million": 1_000_000}
_FIGURES = r"\d{1,9}(?:,\d{3})*(?:\.\d{1,2})?"
_FACTOR = rf"(?:\s?({'|'.join(_FACTORS)})\b)?"
_NAME = "|".join(sorted(_OF_NAME, key=len, reverse=True))
_SIGNED = re.compile(rf"([£$€])\s?({_FIGURES}){_FACTOR}(?![\d.]\d)", re.IGNORECASE)
_NAMED = re.compile(
    rf"(?<![\w.,£$€])(?:({_FIGURES}){_FACTOR}|({NUMBER}|an?))\s?({_NAME}|€|£)(?!\w)"
    r"(?:\s+(?:and\s+)?(\d\d|(?:ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    r"(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?)(?:\s?p\b)?(?![\w.,]))?",
    re.IGNORECASE,
)
_NAME_FIRST = re.compile(rf"\b(gbp|eur|usd)\s?({_FIGURES}){_FACTOR}", re.IGNORECASE)
_BARE = re.compile(
    rf"(?<![\w.,:/£$€%-])(?:({_FIGURES}){_FACTOR}|({NUMBER}))(?![\d:/%]|[.,]\d|\w)", re.IGNORECASE
)
_BEFORE = re.compile(r"\b(?:to|of|for|than)\s+(?:(?:about|only|just|exactly)\s+)*\Z", re.IGNORECASE)


def read_money(text: str, slot: Slot, *, asked: bool = False) -> list[Reading]:
    """Return the amounts of a text in the slot's currency, to two decimals; dates and times are
    blank in it. `asked`: the text is the reply to the question for it.

    >>> slot = Slot("limit", "money", ask="How much?", currency="£")
    >>> [each.values for each in read_money("two grand or 12 pounds 50", slot, asked=True)]
    [(2000,), (12.5,)]
    """
    found: list[Reading] = []
    others: list[Reading] = []
    for start, end, sign, value in _amounts(text):
        if not overlaps(start, end, [*found, *others]):
            (found if sign == slot.currency else others).append(Reading(start, end, (value,)))
    for match in () if found or others else _BARE.finditer(text):
        if asked or _BEFORE.search(text, 0, match.start()):
            amount = _value(match[1] or match[3], match[2])
            if amount is not None:
                found.append(Reading(*match.span(), (amount,)))
    return found


def _amounts(text: str) -> Iterator[tuple[int, int, str, int | float]]:
    """Yield start, end, currency and value of each amount with a sign or a name."""
    for match in _SIGNED.finditer(text):
        value = _value(match[2], match[3])
        if value is not None:
            yield *match.span(), match[1], value
    for match in _NAME_FIRST.finditer(text):
        value = _value(match[2], match[3])
        if value is not None:
            yield *match.span(), _OF_NAME[match[1].lower()], value
    for match in _NAMED.finditer(text):
        name = match[4].lower()
        said = match[1] or match[3]
        value = 1 if said.lower() in ("a", "an") else _value(said, match[2])
        if value is None:
            continue
        if name in _HUNDREDTHS:
            value = _whole(value / 100)
        elif match[5]:
            value = _whole(value + (read_number(match[5]) or 0) / 100)
        yield *match.span(), _OF_NAME.get(name, name), value


def _value(said: str, factor: str | None) -> int | float | None:
    number = read_number(said)
    if number is None:
        return None
    return _whole(number * _FACTORS[factor.lower()] if factor else number)


def _whole(value: float) -> int | float:
    value = round(value, 2)
    return int(value) if value.is_integer() else value
