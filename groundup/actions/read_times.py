"""Times of a message: "7", "half past 12", "19:30", "8 pm", "noon", "around seven".

An hour from 1 to 12 may be of the morning or of the evening: what stands beside it decides ("in the
morning", "tonight", "for lunch"), then the bounds of the slot; else it has both times. "Half six"
is half past six, as in British English.
"""

import re
from collections.abc import Iterable, Iterator

from groundup.actions.reading import Reading, overlaps
from groundup.language.number_words import ONE_TO_NINETEEN, read_number

_HOURS = {word: ONE_TO_NINETEEN[word] for word in list(ONE_TO_NINETEEN)[1:13]}
_MINUTES = {"five": 5, "ten": 10, "quarter": 15, "a quarter": 15, "twenty": 20, "twenty-five": 25}
_WORD = "|".join(_HOURS)
_HOUR = rf"(?:[01]?\d|2[0-4]|{_WORD})"
_HALF = r"(?:\s?([ap])\.?\s?m\b\.?)"
_CLOCK = re.compile(rf"(?<![\d:.,£$€])([01]?\d|2[0-4]):([0-5]\d)(?!\d|:\d){_HALF}?", re.IGNORECASE)
_AM_PM = re.compile(rf"(?<![\d:.,£$€])\b({_HOUR})(?:[.:]?([0-5]\d))?{_HALF}", re.IGNORECASE)
_WITH_H = re.compile(
    r"(?<![\d:.,£$€])\b(?:([01]?\d|2[0-4])(?:[.:]([0-5]\d))?\s?uhr|(1[3-9]|2[0-4])(?:[.:]([0-5]\d))?\s?h"
    r"|([01]?\d|2[0-4])h([0-5]\d))\b",
    re.IGNORECASE,
)
_PAST = re.compile(
    rf"(?<!\bfrom )\b(?:(?:(half|{'|'.join(sorted(_MINUTES, key=len, reverse=True))}|5|10|20|25"
    rf"|[12]?\d(?= min))(?:\s+min(?:ute)?s?)?\s+(past|to))|(half))[\s-]+({_HOUR})\b{_HALF}?",
    re.IGNORECASE,
)
_IN_WORDS = re.compile(
    rf"\b({_WORD})[\s-]+(fifteen|twenty|thirty|forty[\s-]five|forty|fifty)\b(?![\s-]+\w+s\b){_HALF}?",
    re.IGNORECASE,
)
# "8ish"
_ISH = re.compile(rf"(?<![\d:.,£$€])\b({_HOUR})(?:[.:]([0-5]\d))?\s?-?ish\b", re.IGNORECASE)
_O_CLOCK = re.compile(rf"\b({_HOUR})\s?o\W?\s?clock\b", re.IGNORECASE)
_NAMED = re.compile(r"\b(?:(noon|midday|12 noon)|(midnight))\b", re.IGNORECASE)
# A bare hour is one behind these, or in the reply to the question for a time.
_AT = r"(?:\b(?:at|around|about|by|till|until|say|approx\.?|circa|roughly|from)\s+|@\s?)"
_BARE = rf"({_HOUR})(?:[.:]([0-5]\d))?(?:\s?-?ish)?(?![\d:£$€%]|[.,]\d)\b"
_AT_HOUR = re.compile(rf"{_AT}(?:about\s+|around\s+)?{_BARE}", re.IGNORECASE)
_TO_MINUTE = re.compile(r"\b(?:to|for)\s+([01]?\d|2[0-3])[.]([0-5]\d)(?!\d|[.,]\d)", re.IGNORECASE)
# "Friday 11.15", also where the day is blanked.
_DAY_MINUTE = re.compile(
    r"(?:\b(?:\w+day|tomorrow|tmrw)\s+|\s{6,})([01]?\d|2[0-3])[.]([0-5]\d)(?!\d|[.,/]\d)",
    re.IGNORECASE,
)
# "8.15 in the evening", "3 in the afternoon"
_IN_PART = re.compile(
    r"(?<![\d:.,/£$€-])(?<!\bfor\s)\b([01]?\d|2[0-3])(?:[.]([0-5]\d))?"
    r"(?=\s+(?:in\s+the\s+(?:morning|afternoon|evening)|at\s+night)\b)",
    re.IGNORECASE,
)
_HOUR_ALONE = re.compile(rf"(?<![\d:.,/£$€-])\b{_BARE}", re.IGNORECASE)
_RUN_TOGETHER = re.compile(r"(?<![\d:.,/£$€-])\b([01]?\d|2[0-3])([0-5]\d)\b(?![:.,]\d)")
_JOINED = re.compile(rf"\s*(?:or|-|–|to|and)\s*{_BARE}", re.IGNORECASE)
# Written as on a clock of 24 hours.
_FULL = re.compile(r"(?:0\d|1[0-2]):\d\d")
# What may follow a bare hour; any other word is what is counted.
_FOLLOWS = re.compile(
    r"\s*(?:\Z|[^\w\s]|(?:at|on|in|for|to|and|or|but|please|pls|plz|if|is|was|would|will|until|till"
    r"|from|with|by|as|instead|we|i|it|thanks|thank|then|not|after|before|when|my|our|can|could"
    r"|this|that|the|today|tonight|tomorrow|tmrw|yesterday|so|maybe|sharp|works?|suits?|sounds"
    r"|okay|ok|alright|all right|any|good|fine|better|possible|rather|because|cos"
    r"|under|name|through|ish|latest|onwards|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|sat|sun|fri|mon)\b)",
    re.IGNORECASE,
)
_PARTS = (
    (re.compile(r"\b(?:morning|breakfast|brunch)\b", re.IGNORECASE), ("00:01", "12:00")),
    (re.compile(r"\b(?:lunch\w*|midday)\b", re.IGNORECASE), ("11:00", "15:59")),
    (re.compile(r"\b(?:afternoon|tea ?time)\b", re.IGNORECASE), ("12:00", "18:59")),
    (
        re.compile(r"\b(?:evening|tonight|dinner|supper|night|tonite)\b", re.IGNORECASE),
        ("16:00", "23:59"),
    ),
)
# Where a part of the day is looked for first: characters behind a time.
_NEAR = 18


def read_times(
    text: str, *, least: str | None = None, most: str | None = None, asked: bool = False
) -> list[Reading]:
    """Return the times of a text, each as those that it may mean ("19:00"); of these the ones from
    `least` to `most` where any are. `asked`: the text is the reply to the question for a time.

    >>> [each.values for each in read_times("half six or at 8", least="12:00")]
    [('18:30',), ('20:00',)]
    """
    found: list[Reading] = []
    for start, end, times in _said(text, asked):
        if times and not overlaps(start, end, found):
            bounds = (least or "00:00", most or "23:59")
            found.append(Reading(start, end, _chosen(text, start, end, times, bounds)))
    return sorted(found, key=lambda each: each.start)


def _said(text: str, asked: bool) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield start, end and times of each wording, the surest first."""
    for pattern in (_AM_PM, _CLOCK):
        for match in pattern.finditer(text):
            yield *match.span(), _times(match[1], match[2], match[3])
    for match in _WITH_H.finditer(text):
        hour, minute = match[1] or match[3] or match[5], match[2] or match[4] or match[6]
        yield *match.span(), (_time(int(hour), minute),)
    for match in _PAST.finditer(text):
        if match[5] or _FOLLOWS.match(text, match.end()):
            yield *match.span(), _past(match)
    for match in _IN_WORDS.finditer(text):
        yield *match.span(), _times(match[1], f"{read_number(match[2]):.0f}", match[3])
    for match in _ISH.finditer(text):
        yield *match.span(), _times(match[1], match[2])
    for match in _O_CLOCK.finditer(text):
        yield *match.span(), _times(match[1])
    for match in _NAMED.finditer(text):
        yield *match.span(), ("12:00",) if match[1] else ("00:00",)
    for pattern in (_TO_MINUTE, _DAY_MINUTE, _IN_PART):
        for match in pattern.finditer(text):
            yield match.start(1), match.end(), _times(match[1], match[2])
    if asked:
        for match in _RUN_TOGETHER.finditer(text):
            yield *match.span(), _times(match[1], match[2])
    for match in (_HOUR_ALONE if asked else _AT_HOUR).finditer(text):
        yield from _bare(text, match)


def _bare(text: str, match: re.Match[str]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield a bare hour and the one that is joined to it: "at 7 or 8"."""
    other = _JOINED.match(text, match.end())
    is_change = re.match("from", match[0], re.IGNORECASE) is not None
    if is_change and not (match[2] or (other and other[2])):  # of guests, too
        return
    for each in (match, other):
        if each and _FOLLOWS.match(text, (other or match).end()):
            yield each.start(1), each.end(), _times(each[1], each[2])


def _times(hour: str, minute: str | None = None, half: str | None = None) -> tuple[str, ...]:
    """Return the times that an hour may mean; () for none."""
    number = _HOURS.get(hour.lower())
    if number is None:
        number = int(hour)
    if half:
        if not 1 <= number <= 12:
            return ()
        return (_time(number % 12 + 12 * (half.lower() == "p"), minute),)
    if number == 0 or number > 12:
        return (_time(number, minute),)
    return (_time(number % 12, minute), _time(number % 12 + 12, minute))


def _time(hour: int, minute: str | int | None) -> str:
    return f"{hour % 24:02d}:{int(minute or 0):02d}"


def _past(match: re.Match[str]) -> tuple[str, ...]:
    """Return the times of "half past 12", "quarter to eight", "half six"."""
    said, side, half, hour = (each and each.lower() for each in match.groups()[:4])
    number = _HOURS.get(hour or "") or int(hour or 0)
    minutes = 30
    if not half and said != "half":
        minutes = _MINUTES.get(said or "") or int(said or 0)
    if side in ("to", "before"):
        number, minutes = (number - 1) % 24, 60 - minutes
        if number == 0 and not match[5]:
            number = 12
    return _times(str(number), str(minutes % 60), match[5])


def _chosen(
    text: str, start: int, end: int, times: tuple[str, ...], bounds: tuple[str, str]
) -> tuple[str, ...]:
    """Return which of the times is meant: the written one of "09:00" and "10:30"; else by the part
    of the day that is said behind it or anywhere in the text, then by the bounds; of twelve o'clock
    the one at noon.
    """
    times = _within(times, bounds)
    if _FULL.match(text[start:end]):
        times = _within(times, (f"{text[start : start + 2]}:00", f"{text[start : start + 2]}:59"))
    for part in (text[end : end + _NEAR], text):
        of_day = [hours for pattern, hours in _PARTS if pattern.search(part)]
        if len(of_day) == 1:
            times = _within(times, of_day[0])
            break
    noon = tuple(each for each in times if each.startswith("12"))
    return noon if len(times) > 1 and noon else times


def _within(times: Iterable[str], bounds: tuple[str, str]) -> tuple[str, ...]:
    """Return the times within bounds; all where none is."""
    listed = tuple(times)
    return tuple(each for each in listed if bounds[0] <= each <= bounds[1]) or listed
