"""Dates of a message: "tomorrow", "this Saturday", "the 3rd", "25/12/2026" (day first), "Christmas
Eve", "in two weeks", "Friday week".

A date without a year is the next one, of a slot with `past` the last one. What can be read in two
ways has both days: "next Friday" on a Tuesday; a weekday that does not fit its date. What is said
by another day ("the Monday after", "a week earlier", "the Friday of that week") counts from the date
before it in the text, else from the one that was spoken of. In English, month names also of German
and French.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from functools import cache

from groundup.actions.reading import Reading, overlaps
from groundup.language.calendar_dates import (
    DATE_IN_FIGURES,
    ISO_DATE,
    MODAL_MAY,
    MONTH,
    OF_MONTH,
    feasts_in,
)
from groundup.language.number_words import ONE_TO_NINETEEN
from groundup.language.weekdays import DAYS, SHORT_DAYS

_BY_NAME = {
    name: number
    for number, (long, short) in enumerate(zip(DAYS["en"], SHORT_DAYS["en"], strict=True))
    for name in (long, *short.split())
}
# "sat", "sun" and "wed" are other words, too.
_DAY = (
    rf"(?:{'|'.join(DAYS['en'])}|tues?|weds|thu(?:rs?)?|fri|mon"
    r"|(?<!\bthe )(?<!\bwe )(?<!\bi )(?<!\bin )(?<!\bhave )(?<!\bgot )(?<!\bget )(?<!\bwas )"
    r"(?:sat|sun|wed))"
)
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_BY_ORDINAL = {word: number for number, word in enumerate(_ORDINALS.split(), start=1)}
_BY_ORDINAL |= {f"twenty-{word}": 20 + n for word, n in list(_BY_ORDINAL.items())[:9]}
_BY_ORDINAL |= {"thirtieth": 30, "thirty-first": 31}
_ORDINAL = rf"(?:\d{{1,2}}(?:st|nd|rd|th)|{'|'.join(sorted(_BY_ORDINAL, key=len, reverse=True))})"
_NUMBER = rf"(?:\d{{1,2}}(?:st|nd|rd|th)?|{_ORDINAL})"
_COUNT = rf"(?:\d{{1,2}}|an?|{'|'.join(list(ONE_TO_NINETEEN)[1:13])})"
_SPAN = r"(days?|weeks?|fortnights?)"
# "24 or 25 December", "3 to 7 March"
_DAY_MONTH = re.compile(
    rf"(?:\b({_DAY})s?,?\s+)?(?:\bthe\s+)?\b((?:{_NUMBER}\s*(?:-|–|or|and|to|until|till)\s*)*)"
    rf"({_NUMBER})\.?\s+(?:of\s+)?({MONTH})\b(?:\.?,?\s+((?:19|20)\d\d)\b)?",
    re.IGNORECASE,
)
# What may follow a day whose month is that of the next: "the 25th to the 26th of February"
_WITH_NEXT = re.compile(
    rf"\s*(?:-|–|or|and|to|until|till)\s+(?:the\s+)?({_NUMBER})\s+(?:of\s+)?({MONTH})\b",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    rf"(?:\b({_DAY})s?,?\s+)?\b({MONTH})\.?\s+(?:the\s+)?({_NUMBER})\b(?![:.]\d|\s*[ap]\.?m\b"
    r"|\s+(?:of us|people|persons|guests|adults))(?:,?\s+((?:19|20)\d\d)\b)?",
    re.IGNORECASE,
)
_LATER_DAY = re.compile(
    rf"(?:\b({_DAY}),?\s+(?:the\s+)?|\b(?:on|for|by|from|to|until|till)\s+(?:the\s+)?|\b(?:the)\s+)"
    rf"({_ORDINAL})\b(?:\s+of\s+(this|next)\s+month)?",
    re.IGNORECASE,
)
_DAY_ALONE = re.compile(rf"\W*(?:(?:on|the|for)\s+)*({_NUMBER})(?:\s+(?:please|pls))?\W*", re.I)
# Behind "the 3rd" where it is no day: "the 3rd floor".
_NOUN = re.compile(
    r"[ \t]+(?!(?:at|of|in|for|to|and|or|but|please|pls|if|is|was|would|will|until|till|from|with"
    r"|by|as|instead|we|i|it|thanks|around|about|then|not|on|after|before|when|my|our|can|could"
    r"|morning|afternoon|evening|night|lunch\w*|dinner)\b)[^\W\d_]",
    re.IGNORECASE,
)
_RELATIVE = (
    (r"(?:the )?day after (?:tomorrow|tmrw)", 2),
    (r"(?:the )?day before yesterday", -2),
    (r"tomorrow|tmrw|tmr|tmw|2mor+ow|2moro|tomoz", 1),
    (r"yesterday|last night", -1),
    (r"today|tonight|2nite|tonite|2day|this (?:morning|afternoon|evening|lunchtime)", 0),
)
_AFTER_SPAN = re.compile(
    rf"\b({_COUNT})\s+{_SPAN}\s+(?:(?:from|on|after|come)\s+)?(today|tomorrow|{_DAY})\b", re.I
)
_WEEK_AFTER = re.compile(rf"\b(today|tomorrow|{_DAY})\s+(week|fortnight)\b", re.IGNORECASE)
_OF_WEEK = re.compile(
    rf"\b({_DAY})\s+(?:of\s+)?(this|next) week\b|\b(this|next) week\s+(?:on\s+)?({_DAY})\b", re.I
)
_IN_SPAN = re.compile(
    rf"(?:\b({_DAY})\s+)?\bin\s+(?:about\s+)?(?:({_COUNT})\s+{_SPAN}|(a fortnight))\b"
    r"(?:'s?)?(?:\s+time\b)?",
    re.IGNORECASE,
)
_AGO = re.compile(rf"\b({_COUNT})\s+{_SPAN}\s+ago\b", re.IGNORECASE)
# Without "on a Friday evening": any one.
_WEEKDAY = re.compile(
    r"(?<!\ba )(?<!\bevery )(?<!\beach )(?<!\bany )"
    rf"\b(?:(this|next|coming|following|last)\s+(?:coming\s+)?)?({_DAY})\b",
    re.IGNORECASE,
)

# "the day after", "two weeks later", "the Friday before Christmas Eve"; not "Friday after work"
_NOTHING_NAMED = (
    r"(?=\s*(?:\Z|[.,;:!?)-]|(?:that|this|then|it|if|at|in|on|please|pls|instead|would|will|is|and"
    r"|or|but|same|around|about|too|also|for|works?|suits?)\b))"
)
_A_DATE = (
    rf"(?=\s+(?:the\s+\d|\d{{1,2}}(?:st|nd|rd|th)\b|christmas|easter|new year|{MONTH}\b|{_DAY}\b))"
)
_COUNTED = re.compile(
    rf"(?:(?:\bthe\s+)?\b({_COUNT})\s+{_SPAN}|\bthe\s+(day|night|evening|morning)"
    rf"|(?:\bthe\s+)?\b({_DAY})(?=\s+\w+(?:{_NOTHING_NAMED}|{_A_DATE})))"
    r"\s+(after|later|following|before|earlier|previous)\b"
    r"(?!\s+(?:today|tomorrow|tmrw|yesterday|last night|\d+(?:[:.]\d\d)?\s*(?:[ap]\.?m|\W|\Z))\b)",
    re.IGNORECASE,
)
_NEXT_TO = re.compile(
    rf"\bthe\s+(?:very\s+)?(next|following|previous)\s+(day|night|evening|morning|week|{_DAY})\b"
    r"(?!\s+(?:of|in)\b)",
    re.IGNORECASE,
)
_OF_THAT_WEEK = re.compile(
    rf"\b({_DAY})\s+(?:(?:of|in)\s+)?(?:(that|the same|the following)\s+week|the week after)\b"
    rf"|\b(that|the same)\s+week(?:'s|\s+on(?:\s+the)?)?\s+({_DAY})\b",
    re.IGNORECASE,
)
_EARLIER = ("before", "earlier", "previous")
_NAMES_NOTHING = re.compile(_NOTHING_NAMED, re.IGNORECASE)
_RANGE = re.compile(r"\s*(?:-|–|to|until|till|through)\s*(?:the\s+)?", re.IGNORECASE)

Days = tuple[date, ...]
_Read = Callable[[re.Match[str]], Iterable[Days]]


def read_dates(
    text: str,
    today: date,
    *,
    past: bool = False,
    asked: bool = False,
    near: date | None = None,
    alone: bool = False,
) -> list[Reading]:
    """Return the dates of a text, each as the days that it may mean ("2026-12-04"); none for what
    is no day of the calendar. `asked`: the text is the reply to the question for a date; `near`:
    the day that was spoken of; `alone`: one date is wanted, and not the one from which it counts.

    >>> [each.values for each in read_dates("Friday or the 8th", date(2026, 11, 29))]
    [('2026-12-04',), ('2026-12-08',)]
    >>> [each.values for each in read_dates("the 25th to the 26th of May", date(2026, 11, 29))]
    [('2027-05-25',), ('2027-05-26',)]
    >>> said = "I'm off on the 24th, so the day after"
    >>> read_dates(said, date(2026, 11, 29), alone=True)[0].values
    ('2026-12-25',)
    """
    text = MODAL_MAY.sub(lambda match: " " * len(match[0]), text)
    reader = _DateReader(text, today, past, near, alone)
    found = reader.read(asked)
    return sorted(found, key=lambda each: each.start)


class _DateReader:
    """Reads the dates of one text, longer wordings first."""

    def __init__(self, text: str, today: date, past: bool, near: date | None, alone: bool) -> None:
        self._text, self._today, self._past = text, today, past
        self._near, self._alone = near, alone
        self._found: list[Reading] = []
        self._counted: list[re.Match[str]] = []
        self._dropped: list[Reading] = []

    def read(self, asked: bool) -> list[Reading]:
        """Return the dates."""
        self._take(_AFTER_SPAN, self._after_span)
        for pattern in (_COUNTED, _NEXT_TO, _OF_THAT_WEEK):
            self._counted += (
                each
                for each in pattern.finditer(self._text)
                if not overlaps(*each.span(), self._found)
            )
        self._take(ISO_DATE, lambda m: [_real(int(m[1]), int(m[2]), int(m[3]))])
        self._take(DATE_IN_FIGURES, lambda m: self._figures(m, asked))
        self._take(_DAY_MONTH, self._day_month)
        self._take(_MONTH_DAY, self._month_day)
        for match, days in feasts_in(self._text, self._years):
            self._add(match.start(), match.end(), [self._nearest(days)])
        self._take(_WEEK_AFTER, lambda m: [self._moved(self._day(m[1]), _span_days("1", m[2]))])
        self._take(_OF_WEEK, self._of_week)
        self._take(_IN_SPAN, self._in_span)
        self._take(_AGO, lambda m: [(self._today - timedelta(days=_span_days(m[1], m[2])),)])
        for wording, ahead in _RELATIVE:
            day = self._today + timedelta(days=ahead)
            self._take(_word(wording), lambda _, day=day: [(day,)])  # type: ignore[misc]
        self._take(_LATER_DAY, self._later_day)
        self._take(_WEEKDAY, self._weekday)
        counted, self._counted = sorted(self._counted, key=lambda each: each.start()), []
        for match in counted:
            self._count(match)
        self._take(_WEEKDAY, self._weekday)
        alone = _DAY_ALONE.fullmatch(self._text)
        if asked and not self._found and alone:
            self._add(*alone.span(1), [self._with_number(_number(alone[1]))])
        return [each for each in self._found if each not in self._dropped]

    def _take(self, pattern: re.Pattern[str], read: _Read) -> None:
        for match in pattern.finditer(self._text):
            taken = any(
                match.start() < each.end() and each.start() < match.end() for each in self._counted
            )
            if not taken and not overlaps(*match.span(), self._found):
                self._add(*match.span(), read(match))

    def _count(self, match: re.Match[str]) -> None:
        """Add the days that are counted from others: from the date right behind, from the last one
        before it, or from the day that was spoken of.
        """
        behind = [each for each in self._found if self._is_behind(match, each)]
        before = [each for each in self._found if each.end <= match.start()]
        from_it = behind[:1] or sorted(before, key=lambda each: each.start)[-1:]
        if from_it:
            days = tuple(map(date.fromisoformat, map(str, from_it[0].values)))
        elif self._near is not None and _NAMES_NOTHING.match(self._text, match.end()):
            days = (self._near,)
        else:
            return
        try:
            counted = tuple(_counted_from(day, match) for day in days)
        except OverflowError:  # the calendar ends with the year 9999
            return
        if behind or self._alone:
            self._dropped += from_it
        self._add(*match.span(), [counted])

    def _is_behind(self, match: re.Match[str], found: Reading) -> bool:
        if match.re is not _COUNTED or found.start < match.end():
            return False
        return not self._text[match.end() : found.start].strip()

    def _add(self, start: int, end: int, read: Iterable[Days]) -> None:
        for days in read:
            self._found.append(Reading(start, end, tuple(day.isoformat() for day in days)))

    @property
    def _years(self) -> tuple[int, ...]:
        year = self._today.year
        return (year - 1, year) if self._past else (year, year + 1)

    def _nearest(self, days: Iterable[date]) -> Days:
        """Return the first day from today on, or the last until today."""
        listed = sorted(days)
        if self._past:
            return tuple(day for day in listed if day <= self._today)[-1:] or tuple(listed[:1])
        return tuple(day for day in listed if day >= self._today)[:1] or tuple(listed[-1:])

    def _dated(self, day: int, month: int, year: str | None) -> Days:
        """Return a day of the calendar; without a year the nearest; () where there is none."""
        if year:
            return _real(int(year) + 2000 * (len(year) == 2), month, day)
        around = range(self._today.year - 8, self._today.year + 9)  # 29 February
        return self._nearest(each for year in around for each in _real(year, month, day))

    def _figures(self, match: re.Match[str], asked: bool) -> Iterator[Days]:
        first, sign, second, year = int(match[1]), match[2], int(match[3]), match[4]
        if not year and not (sign == "/" or (sign == "." and asked)):
            return
        days = self._dated(first, second, year) or self._dated(second, first, year)
        if days:
            yield days

    def _day_month(self, match: re.Match[str]) -> Iterator[Days]:
        month = OF_MONTH[match[4].lower()]
        for number in re.findall(_NUMBER, match[2], re.IGNORECASE):
            yield self._dated(_number(number), month, match[5])
        yield self._fitting(self._dated(_number(match[3]), month, match[5]), match[1])

    def _month_day(self, match: re.Match[str]) -> Iterator[Days]:
        days = self._dated(_number(match[3]), OF_MONTH[match[2].lower()], match[4])
        yield self._fitting(days, match[1])

    def _fitting(self, days: Days, weekday: str | None) -> Days:
        """Return a day; where it is not the weekday that is said, that of its week, too."""
        if not weekday or not days or days[0].weekday() == _BY_NAME[weekday.lower()]:
            return days
        ahead = (_BY_NAME[weekday.lower()] - days[0].weekday() + 3) % 7 - 3
        return (*days, days[0] + timedelta(days=ahead))

    def _later_day(self, match: re.Match[str]) -> Iterator[Days]:
        if _NOUN.match(self._text, match.end()):
            return
        number, month = _number(match[2]), (match[3] or "").lower()
        if month:
            start = self._today.replace(day=1) + timedelta(days=32 * (month == "next"))
            yield _real(start.year, start.month, number)
            return
        following = _WITH_NEXT.match(self._text, match.end())
        if following and number <= _number(following[1]):
            days = self._dated(number, OF_MONTH[following[2].lower()], None)
            yield self._fitting(days, match[1])
        else:
            yield self._with_number(number, match[1])

    def _with_number(self, number: int, weekday: str | None = None) -> Days:
        """Return the nearest day with a number in its month; of a weekday within two months."""
        step = -1 if self._past else 1
        days = [self._today + timedelta(days=step * ahead) for ahead in range(62)]
        found = [day for day in days if day.day == number]
        if weekday:
            of_weekday = [day for day in found if day.weekday() == _BY_NAME[weekday.lower()]]
            return tuple(of_weekday[:1]) or self._fitting(tuple(found[:1]), weekday)
        return tuple(found[:1])

    def _day(self, name: str) -> Days:
        """Return today, tomorrow or the coming weekday."""
        if name.lower() == "today":
            return (self._today,)
        if name.lower() == "tomorrow":
            return (self._today + timedelta(days=1),)
        return (self._today + timedelta(days=self._ahead(name)),)

    def _ahead(self, name: str) -> int:
        """Return the days until the coming weekday, 1 to 7."""
        return (_BY_NAME[name.lower()] - self._today.weekday() - 1) % 7 + 1

    def _moved(self, days: Days, by: int) -> Days:
        return tuple(day + timedelta(days=by) for day in days)

    def _after_span(self, match: re.Match[str]) -> Iterator[Days]:
        yield self._moved(self._day(match[3]), _span_days(match[1], match[2]))

    def _of_week(self, match: re.Match[str]) -> Iterator[Days]:
        name, week = match[1] or match[4], (match[2] or match[3]).lower()
        monday = self._today - timedelta(days=self._today.weekday() - 7 * (week == "next"))
        yield (monday + timedelta(days=_BY_NAME[name.lower()]),)

    def _in_span(self, match: re.Match[str]) -> Iterator[Days]:
        by = 14 if match[4] else _span_days(match[2], match[3])
        day = self._today + timedelta(days=by)
        if not match[1]:
            yield (day,)
            return
        near = (_BY_NAME[match[1].lower()] - day.weekday() + 3) % 7 - 3
        both = {day + timedelta(days=near), *self._moved(self._day(match[1]), by)}
        yield tuple(sorted(both))

    def _weekday(self, match: re.Match[str]) -> Iterator[Days]:
        said, ahead = (match[1] or "").lower(), self._ahead(match[2])
        coming, recent = (self._today + timedelta(days=each) for each in (ahead, ahead - 7))
        monday = self._today - timedelta(days=self._today.weekday())
        of_week = monday + timedelta(days=_BY_NAME[match[2].lower()])
        begun = self._range_begun(match.start())
        spoken_of = self._in_week_of_near(match[2])
        if begun is not None and not said:
            yield (begun + timedelta(days=(_BY_NAME[match[2].lower()] - begun.weekday()) % 7),)
        elif spoken_of is not None and not said:
            yield (spoken_of,)
        elif said == "this":
            yield (of_week,) if of_week == self._today or self._past else (coming,)
        elif said == "next":
            yield tuple(sorted({coming, of_week + timedelta(days=7)}))
        elif said == "last":  # of yesterday few say "last"
            recent -= timedelta(days=7 * (recent == self._today))
            is_near = self._today - recent < timedelta(days=2)
            yield (recent - timedelta(days=7), recent) if is_near else (recent,)
        elif recent == self._today and not said:
            other = recent - timedelta(days=7) if self._past else coming
            yield tuple(sorted((self._today, other)))
        else:
            yield (recent,) if self._past else (coming,)

    def _range_begun(self, start: int) -> date | None:
        """Return the date that stands before a day with "to" between them, where two are wanted."""
        for each in () if self._alone else self._found:
            if _RANGE.fullmatch(self._text, each.end, start):
                return date.fromisoformat(str(each.values[0]))
        return None

    def _in_week_of_near(self, name: str) -> date | None:
        """Return the weekday of the week that was spoken of: of a weekend's, Monday to Wednesday of
        the next; None where it is over, or no week was spoken of.
        """
        if self._near is None:
            return None
        wanted, near = _BY_NAME[name.lower()], self._near.weekday()
        day = self._near + timedelta(days=wanted - near + 7 * (near > 4 and wanted < 3))
        is_over = day > self._today if self._past else day < self._today
        return None if is_over else day


def _counted_from(day: date, match: re.Match[str]) -> date:
    """Return the day that words say by another one."""
    if match.re is _OF_THAT_WEEK:
        is_same = (match[2] or match[3] or "").lower() in ("that", "the same")
        monday = day - timedelta(days=day.weekday() - 7 * (not is_same))
        return monday + timedelta(days=_BY_NAME[(match[1] or match[4]).lower()])
    if match.re is _NEXT_TO:
        step, unit = match[1].lower(), match[2].lower()
    else:
        step, unit = match[5].lower(), (match[3] or match[4] or "").lower()
    sign = -1 if step in _EARLIER else 1
    if unit in _BY_NAME:
        return day + timedelta(days=sign * (((_BY_NAME[unit] - day.weekday()) * sign - 1) % 7 + 1))
    if not unit:
        return day + timedelta(days=sign * _span_days(match[1], match[2]))
    return day + timedelta(days=sign * (1 + 6 * (unit == "week")))


@cache
def _word(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


def _real(year: int, month: int, day: int) -> Days:
    """Return a day, () where the calendar has no such one."""
    try:
        return (date(year, month, day),)
    except ValueError:
        return ()


def _number(said: str) -> int:
    """Return the number of "3", "3rd" or "third"."""
    figures = re.match(r"\d+", said)
    return int(figures[0]) if figures else _BY_ORDINAL[said.lower()]


def _span_days(count: str, unit: str) -> int:
    """Return the days of "two weeks"."""
    said = count.lower()
    number = int(said) if said.isdigit() else ONE_TO_NINETEEN.get(said, 1)
    return number * {"day": 1, "week": 7, "fortnight": 14}[unit.lower().rstrip("s")]
