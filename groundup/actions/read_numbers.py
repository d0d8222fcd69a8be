"""Numbers and amounts of money of a message, in figures and words: "three adults and a baby" are 4
guests; "£64.99", "12 pounds 50", "80p", "two grand", "1.5k".

A number in front of the slot's units counts before any other. Where people are counted, what stands
in a row is added up, "for two", "six of us", "2 for the taster" and "my wife and I" count, and what
only adds to what was before ("two people more") is none. "He's 12" and "aged 12" are years. Nor is an amount in another currency than the slot's; one
without a sign counts in the reply to the question, and where "to", "of" or "for" stands before it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from groundup.actions.definition import Slot
from groundup.actions.reading import Reading, overlaps
from groundup.language.number_words import IN_WORDS, read_number
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, words

_PEOPLE = "people persons person guests ppl pax pers covers seats places chairs heads"
_KINDS_OF_PEOPLE = (
    "adults kids children child babies baby toddlers infants grown-ups men women boys girls "
    "teenagers friends colleagues pupils students ladies gentlemen"
)
_KIN = (
    "wife|husband|partner|mum|mom|mother|dad|father|son|daughter|girlfriend|boyfriend|friend|nan"
    "|brother|sister|aunt|uncle|gran|grandma|gran?dad|grandmother|grandfather|cousin|colleague"
    "|boss|fianc[eé]e?|mate"
)
_FIGURES = (
    r"(?<![\w.,:/£$€+-])\d{1,9}(?:,\d{3})*(?:\.\d{1,9})?"
    r"(?![\d:/%£€$]|[.,]\d|\s?(?:[ap]\.?m|o'?clock)\b|(?:st|nd|rd|th|h|k|p)\b)"
)
NUMBER = rf"(?:{_FIGURES}|{IN_WORDS})"
_COUNTED = re.compile(
    rf"(?:(?P<number>{NUMBER})|\b(?P<article>an?|another))"
    r"(?P<more>\s+(?:more|extra|additional|further))?"
    r"[\s-]+(?:[^\W\d_]+[\s-]+){0,2}?(?P<noun>[^\W\d_]+(?:-ups)?)"
    r"(?P<added>\s+(?:more|extra|fewer|less)\b)?",
    re.IGNORECASE,
)
# "one hold bag"
_COUNTED_OF_KIND = re.compile(
    _COUNTED.pattern.replace("(?:[^\\W\\d_]+[\\s-]+){0,2}?", "(?P<kind>[^\\W\\d_]+)[\\s-]+"),
    re.IGNORECASE,
)
_ROW = re.compile(r"[\s,]*(?:(?:\band\b|\bplus\b|\+|&|\bwith\b)\s*)?", re.IGNORECASE)
_FOR = re.compile(
    rf"\b(?:for|party of|group of|table of|family of|us|we are|we're|we(?:'ll| will|'d| would)"
    rf" be)\s+"
    rf"(?:only\s+|just\s+|now\s+|about\s+|the\s+)*(?P<number>{NUMBER})"
    r"(?=[^\S\n]+(?P<behind>[^\W\d_]+)|[\s]*[,.;!?)\n]|\W*\Z|\W+\d)",
    re.IGNORECASE,
)
# "Two of us are vegan" is no number of guests.
_OF_US = re.compile(
    rf"(?:\b(?P<number>{NUMBER})|\bboth)\s+of\s+us\b(?!\s+(?:is|are|was|were|has|have|will|would|uses?"
    r"|needs?|eats?|can'?t|cannot|don'?t|doesn'?t|likes?|comes?|wants?(?! to\b)|also)\b)",
    re.IGNORECASE,
)
_WITH_KIN = re.compile(
    rf"\b(?:(?:me|myself|i)\s*(?:and|\+|&|plus)\s*(?:my|a)\s+(?:{_KIN})"
    rf"|(?:{_KIN})\s+(?:and|\+|&)\s+(?:i|me|myself))\b"
    r"(?!\s*(?:,|and|plus|\+|&|with)+\s*(?:and\s+)?(?:my|our|a|an|the|two|three|\d)\b)",
    re.IGNORECASE,
)
_WITH_SOME = re.compile(
    rf"\b(?:me|myself|i)\s*(?:and|\+|&|plus|with)\s*(?:my\s+)?(?P<number>{NUMBER})\s+"
    rf"(?:(?:{_KIN})s|others|more|of my \w+)\b",
    re.IGNORECASE,
)
# "2 for hand-building on Wednesday"
_FIRST = re.compile(
    rf"\A\W*(?P<number>{NUMBER})\s+for\s+"
    r"(?!(?:an?|me|us|that|this|it|the price)\b)[^\W\d_]",
    re.IGNORECASE,
)
# "my son, he's 12", "aged 9", "34 y/o", of a number of years.
_AGE = re.compile(
    rf"(?:\b(?:he|she|i|kid|child|boy|girl|{_KIN})(?:['’]s|['’]m| is| am)"
    r"\s+(?:(?:only|just|about|nearly|now)\s+)?|\bage[ds]?\s+)"
    rf"(?P<number>{NUMBER})(?=\W*(?:\Z|[,.;!?)\n]|(?:and|but|so|years?)\b))"
    r"|\b(?P<old>\d{1,3})(?=\s?(?:yo|y/o|yrs?)\b)",
    re.IGNORECASE,
)
_ALONE = re.compile(r"\b(?:just|only)\s+(?:me|myself)\b(?!\s*(?:and|\+|&|plus|,))", re.IGNORECASE)
_AFTER_NUMBER = (
    "around please pls plz thanks thank tonight today tomorrow lunch lunchtime dinner breakfast"
    " brunch supper next this on at in from evening morning afternoon night "
    "sunday monday tuesday wednesday thursday friday saturday instead maybe "
    "sun mon tue tues wed thu thur thurs fri sat"
)
_FOLLOWING = frozenset(_AFTER_NUMBER.split())
_PLAIN = re.compile(NUMBER, re.IGNORECASE)
_ONE = re.compile(r"(?:\W|just|only|the)*(one|1)\W*(?:please|pls)?\W*", re.IGNORECASE)
_CHANGED = re.compile(
    rf"\A\W*(?:(?:no|actually|sorry|oh|wait|well|hm+|only|just|rather|then|ok|okay|fine)\W+)+"
    rf"(?P<said>{NUMBER})(?:\W+(?:then|instead|please|only|pls))*\W*\Z"
    rf"|\b(?:make (?:it|that)|change (?:it|that) to)\s+({NUMBER})(?=\W*\Z|\W+(?:instead|please"
    rf"|pls)\b)",
    re.IGNORECASE,
)

# What is said in one word for a number or an amount, of the same length as it is said.
_IN_FIGURES = tuple(
    (re.compile(rf"\b{said}\b", re.IGNORECASE), figures)
    for said, figures in (
        ("half a dozen", "6"),
        ("a couple(?: of)?", "2"),
        ("(?:a )?tenner", "£10"),
        ("(?:a )?fiver", "£5"),
    )
)


@dataclass(frozen=True)
class _Count:
    """A number with what it counts."""

    start: int
    end: int
    number: int | float
    general: bool
    """Whether it counts people of any kind: "eight people, two children" may be eight or ten."""
    added: bool
    """Whether it adds to what was before."""
    article: bool


@lru_cache(maxsize=256)
def _stems_of(listed: str) -> frozenset[str]:
    return frozenset(stems(words(listed), "en"))


def _in_figures(text: str) -> str:
    """Return a text with numbers that have names of their own in figures, in the same places."""
    for pattern, figures in _IN_FIGURES:
        for match in reversed([*pattern.finditer(text)]):
            padded = figures.ljust(len(match[0]))
            text = text[: match.start()] + padded + text[match.end() :]
    return text


def counts_people(slot: Slot) -> bool:
    """Whether a number is one of people, by its units."""
    own = _stems_of(" ".join(slot.unit))
    return not own.isdisjoint(_stems_of(f"{_PEOPLE} {_KINDS_OF_PEOPLE}"))


def read_numbers(text: str, slot: Slot, *, asked: bool = False) -> list[Reading]:
    """Return the numbers of a text that a slot may mean; times, dates and amounts are blank in it.
    `asked`: the text is the reply to the question for it.

    >>> slot = Slot("guests", "number", ask="How many?", unit=("people",))
    >>> [each.values for each in read_numbers("three adults and a baby", slot)]
    [(4,)]
    """
    text = _in_figures(text)
    people = counts_people(slot)
    found = list(_people(text, slot, asked)) if people else list(_things(text, slot))
    if "year" in _stems_of(" ".join(slot.unit)):
        ages = [each for each in _AGE.finditer(text) if not overlaps(*each.span(), found)]
        for match in ages:
            number = plain_number(match["number"] or match["old"])
            if number is not None:
                found.append(Reading(*match.span(match.lastgroup or 0), (number,)))
    for match, value in _of_people(text, asked) if people else ():
        if not overlaps(*match.span(), found):
            found.append(Reading(*match.span(), (value,)))
    if found:
        return found
    if asked and (alone := _ONE.fullmatch(text)):
        return [Reading(*alone.span(1), (1,))]
    for match in (_PLAIN if asked else _CHANGED).finditer(text):
        place = 0 if asked else match.lastindex or 0
        number = plain_number(match[place])
        if number is not None and match[place].lower() != "one":
            found.append(Reading(*match.span(place), (number,)))
    return found


def _people(text: str, slot: Slot, asked: bool) -> Iterator[Reading]:
    """Yield the numbers of people, those in a row as their sum."""
    row: list[_Count] = []
    for each in [*_counts(text, slot, f"{_PEOPLE} {_KINDS_OF_PEOPLE}"), None]:
        if row and (each is None or not _ROW.fullmatch(text, row[-1].end, each.start)):
            is_said = asked or not all(one.article for one in row)
            if is_said and not any(one.added for one in row):
                total = sum(one.number for one in row)
                values: tuple[int | float, ...] = (total,)
                if row[0].general and len(row) > 1:
                    values = (row[0].number, total)
                yield Reading(row[0].start, row[-1].end, values)
            row = []
        if each is not None:
            row.append(each)


def _things(text: str, slot: Slot) -> Iterator[Reading]:
    for each in _counts(text, slot, ""):
        yield Reading(each.start, each.end, (each.number,))


def _counts(text: str, slot: Slot, further: str) -> Iterator[_Count]:
    """Yield the numbers in front of a unit of the slot, or of further ones."""
    units = _stems_of(f"{' '.join(slot.unit)} {further}")
    place = 0
    while match := _COUNTED.search(text, place):
        place = match.start() + 1
        noun = stems(words(match["noun"]), "en")
        is_kind = match["number"] and noun and noun[-1] not in units
        if is_kind and (longer := _COUNTED_OF_KIND.match(text, place - 1)):
            kind = stems(words(longer["noun"]), "en")
            if kind and kind[-1] in units and longer["kind"].lower() not in STOP_WORDS["en"]:
                match, noun = longer, kind
        number = 1 if match["article"] else plain_number(match["number"])
        if not noun or noun[-1] not in units or number is None:
            continue
        place = match.end()
        added = bool(match["more"] or match["added"] or (match["article"] or "").endswith("other"))
        general = noun[-1] in _stems_of(_PEOPLE)
        end = match.end("noun")
        article = bool(match["article"]) or match["number"].lower() == "one"
        yield _Count(match.start(), end, number, general, added, article)


def _of_people(text: str, asked: bool) -> Iterator[tuple[re.Match[str], int | float]]:
    """Yield the wordings that count people without a noun for them."""
    for pattern, value in ((_WITH_KIN, 2), (_ALONE, 1)):
        for match in pattern.finditer(text):
            yield match, value
    for match in _WITH_SOME.finditer(text):
        number = plain_number(match["number"])
        if number is not None:
            yield match, number + 1
    for match in _OF_US.finditer(text):
        number = plain_number(match["number"] or "2")
        if number is not None and (number > 1 or asked):
            yield match, number
    for match in _FIRST.finditer(text):
        number = plain_number(match["number"])
        if number is not None:
            yield match, number
    for match in _FOR.finditer(text):
        behind, number = (match["behind"] or "").lower(), plain_number(match["number"])
        is_noun = behind and behind not in STOP_WORDS["en"] | _FOLLOWING
        if number is not None and not is_noun and behind not in ("more", "few"):
            yield match, number


def plain_number(said: str) -> int | float | None:
    """Return a number in figures or words; an int where it is whole."""
    value = read_number(said)
    return int(value) if value is not None and value.is_integer() else value


_NAMES = {
    "£": "pounds pound quid gbp pence p",
    "€": "euros euro eur cents cent",
    "$": "dollars dollar usd bucks",
}
_OF_NAME = {name: sign for sign, names in _NAMES.items() for name in names.split()}
_HUNDREDTHS = ("p", "pence", "cents", "cent")
_FACTORS = {"k": 1000, "grand": 1000, "thousand": 1000, "m": 1_000_000, "million": 1_000_000}
_AMOUNT = r"\d{1,9}(?:,\d{3})*(?:\.\d{1,2})?"
_FACTOR = rf"(?:\s?({'|'.join(_FACTORS)})\b)?"
_NAME = "|".join(sorted(_OF_NAME, key=len, reverse=True))
_SIGNED = re.compile(rf"([£$€])\s?({_AMOUNT}){_FACTOR}(?![\d.]\d)", re.IGNORECASE)
_NAMED = re.compile(
    rf"(?<![\w.,£$€])(?:({_AMOUNT}){_FACTOR}|({NUMBER}|an?))\s?({_NAME}|€|£)(?!\w)"
    r"(?:\s+(?:and\s+)?(\d\d|(?:ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    r"(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?)(?:\s?p\b)?(?![\w.,]))?",
    re.IGNORECASE,
)
_NAME_FIRST = re.compile(rf"\b(gbp|eur|usd)\s?({_AMOUNT}){_FACTOR}", re.IGNORECASE)
_BARE = re.compile(
    rf"(?<![\w.,:/£$€%-])(?:({_AMOUNT}){_FACTOR}|({NUMBER}))(?![\d:/%]|[.,]\d|\w)", re.IGNORECASE
)
_BEFORE = re.compile(
    r"\b(?:to|of|for|than|make (?:it|that))\s+(?:(?:about|only|just|exactly)\s+)*\Z", re.IGNORECASE
)

# "the 64.50 to Fenwick Shoes"
_TO_PENCE = re.compile(r"\d+\.\d\d")
# "the limit up to 8.50": an amount that is wished, beside others that are told.
_SET_TO = re.compile(
    r"\b(?:(?:up|down) to|limit(?:\s+\w+){0,3}? to|(?:raise|lower|set|change|increase|reduce|put)\b"
    r"[^.!?]* to|make (?:it|that))\s+(?:(?:about|only|just|exactly)\s+)*\Z",
    re.IGNORECASE,
)


def read_money(text: str, slot: Slot, *, asked: bool = False) -> list[Reading]:
    """Return the amounts of a text in the slot's currency, to two decimals; dates and times are
    blank in it. `asked`: the text is the reply to the question for it.

    >>> slot = Slot("limit", "money", ask="How much?", currency="£")
    >>> [each.values for each in read_money("£2,000 or 12 pounds 50", slot, asked=True)]
    [(2000,), (12.5,)]
    """
    text = _in_figures(text)
    found: list[Reading] = []
    others: list[Reading] = []
    for start, end, sign, value in _amounts(text):
        if not overlaps(start, end, [*found, *others]):
            (found if sign == slot.currency else others).append(Reading(start, end, (value,)))
    known = [*found, *others]
    for match in _BARE.finditer(text):
        is_set = _SET_TO.search(text, 0, match.start()) and not overlaps(*match.span(), known)
        is_sum = (match[2] or "").lower() == "grand" or _BEFORE.search(text, 0, match.start())
        is_sum = is_sum or _TO_PENCE.fullmatch(match[1] or "")
        if is_set if known else asked or is_sum:
            amount = _value(match[1] or match[3], match[2])
            if amount is not None and match[0].lower() != "one":
                found.append(Reading(*match.span(), (amount,)))
    wanted = [each for each in found if _SET_TO.search(text, 0, each.start)]
    return wanted if len(wanted) == 1 else found


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
