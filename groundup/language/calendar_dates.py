"""Calendar dates: the days that a text states and that a question means.

    days_in("Closed 24 December to 2 January")     24 December to 2 January
    asked_days("open tomorrow?")                   30 November, asked on the 29th

Dates are "25 December", "December 25th", lists ("24, 25 and 31 December"), ranges over the end of a
year, whole months, "on the 3rd", today, tomorrow, "next Friday", and feasts with a date of their
own; Easter by the rule of Meeus (Astronomical Algorithms, chapter 8). "Bank holidays" are those of
England and Wales without the days that are proclaimed once. A date without a year is the next one
from `today`, and is held against a range by month and day. Month names of English, German and
French. Dates in figures ("24/12", "24.12.", "24/12/2026", "2026-12-24") are put into words first
(`worded_dates`); the day stands before the month, as in British, German and French.
"""

import re
from calendar import isleap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache

from groundup.language.weekdays import DAYS

_MONTH_NAMES = (
    "january february march april may june july august september october november december",
    "januar februar märz april mai juni juli august september oktober november dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "jan feb mar apr may jun jul aug sep oct nov dec",
    "jan feb mär apr mai jun jul aug sept okt nov dez",
)
OF_MONTH = {name: n for each in _MONTH_NAMES for n, name in enumerate(each.split(), start=1)}
_NAMES_OF_MONTHS = {
    code: [name.capitalize() if code != "fr" else name for name in names.split()]
    for code, names in zip(("en", "de", "fr"), _MONTH_NAMES, strict=False)
}
MONTH = rf"(?:{'|'.join(sorted(OF_MONTH, key=len, reverse=True))})"
_WEEKDAY = rf"(?:(?:{'|'.join(DAYS['en'] + DAYS['de'] + DAYS['fr'])})s?,?\s+)?"
_DAY = r"(?:the\s+)?\d{1,2}(?:st|nd|rd|th|\.)?"
_YEAR = r"(?:,?\s+((?:19|20)\d\d))?"
# Dates in figures: ISO 8601, and day and month with one sign, the year at the end or left out.
ISO_DATE = re.compile(r"(?<![\d-])(\d{4})-(\d\d)-(\d\d)(?![\d-])")
DATE_IN_FIGURES = re.compile(
    r"(?<![\d/.:£$€-])(\d{1,2})([/.-])(\d{1,2})(?:\2(\d{4}|\d\d)|(?=\.?(?:\D|\Z)))\.?(?![\d/:])"
)
_JOIN = r"\s*(?:,|and|or|und|oder|et|&)\s*"
_TO = (
    r"\s*(?:-|–|—|to|until|till|through|bis(?: zum)?|au"
    r"|,? and (?:re-?opens?|opens? again|(?:are|is) (?:open|back) again)"
    r"(?: at [\w.: ]{1,12})? on)\s*"
)
# "24, 25 and 31 December 2026"
_LISTED = re.compile(
    rf"\b{_WEEKDAY}({_DAY}(?:{_JOIN}{_WEEKDAY}{_DAY}){{0,11}})\s+(?:of\s+)?({MONTH})\b\.?{_YEAR}",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(
    rf"\b({MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?!\s*[:.]\d){_YEAR}", re.I
)
# "18 to 26 October", "24 December 2026 to 2 January", "1 May-30 September", "between 3 and 9 June"
_RANGE = re.compile(
    rf"\b(?:(between)\s+)?{_WEEKDAY}({_DAY})(?:\s+(?:of\s+)?({MONTH})\b\.?{_YEAR})?"
    rf"(?:{_TO}|(?(1)\s+and\s+|(?!)))"
    rf"{_WEEKDAY}({_DAY})\s+(?:of\s+)?({MONTH})\b\.?{_YEAR}",
    re.IGNORECASE,
)
_MONTHS_RANGE = re.compile(
    rf"\b({MONTH})\b(?:\s*[-–—]\s*|\s+(?:to|until|till|bis|à)\s+)({MONTH})\b", re.I
)
_WHOLE_MONTH = re.compile(
    rf"(?<!\d )(?<!\d\. )(?<!th )(?<!st )\b({MONTH})\b(?!\.?\s+\d{{1,2}}\b)", re.I
)
_LATER_DAY = re.compile(r"(?<=\bon )the (\d{1,2})(?:st|nd|rd|th)\b", re.IGNORECASE)
_OPEN = re.compile(
    r"\b(?:(?P<start>from|since|after|as of|ab|à partir du)|(?P<end>until|till|by|before|bis|avant))"
    r"\s+\Z",
    re.IGNORECASE,
)
# Where such a word is looked for: characters before a date.
_NEAR = 30
# The verb: "you may", "May I".
MODAL_MAY = re.compile(
    r"(?<!\d )(?<!th )(?<!st )(?<!\bin )(?<!\bof )(?<!next )(?<!until )(?<!from )"
    r"(?:\bmay\b(?! \d)"
    r"|\bMay(?=\s+(?:I|we|you|it|he|she|they|the|my|our|your|an?|some\w*|any\w*|people)\b))"
)
_NEXT = re.compile(rf"\b(next|this|coming)\s+({'|'.join(DAYS['en'])})\b", re.IGNORECASE)
_RELATIVE = (
    (re.compile(r"\bday after tomorrow\b|\bübermorgen\b", re.IGNORECASE), 2),
    (re.compile(r"(?<!after )\btomorrow\b|\bdemain\b", re.IGNORECASE), 1),
    (re.compile(r"\b(?:today|tonight|heute|aujourd'hui)\b", re.IGNORECASE), 0),
)
# The feasts of a date of their own, and those by their distance from Easter Sunday.
_FIXED = (
    (re.compile(r"\b(?:christmas|xmas) eve\b|\bheiligabend\b", re.I), (12, 24)),
    (re.compile(r"\b(?:christmas|xmas) day\b", re.I), (12, 25)),
    (re.compile(r"\bboxing day\b", re.I), (12, 26)),
    (re.compile(r"\bnew year'?s eve\b|\bsilvester\b", re.I), (12, 31)),
    (re.compile(r"\bnew year'?s day\b|\bneujahr\b", re.I), (1, 1)),
    (re.compile(r"\bvalentine'?s(?: day)?\b", re.I), (2, 14)),
    (re.compile(r"\bhallowe'?en\b", re.I), (10, 31)),
)
_BY_EASTER = (
    (re.compile(r"\bgood friday\b|\bkarfreitag\b", re.I), -2),
    (re.compile(r"\beaster saturday\b", re.I), -1),
    (re.compile(r"\beaster sunday\b|\bostersonntag\b", re.I), 0),
    (re.compile(r"\beaster monday\b|\bostermontag\b", re.I), 1),
)
# What stands before a date without a year: a word that only days have, or one that fractions and
# prices have, too.
_ON_DAY = re.compile(
    rf"(?:\b(?P<on>on|am|vom|zum|le|dated?)|\b(?:{'|'.join(DAYS['en'] + DAYS['de'] + DAYS['fr'])})s?,?)"
    r"\s+(?:the\s+)?\Z",
    re.IGNORECASE,
)
_BY_DAY = re.compile(
    r"\b(?:until|till|by|from|since|before|after|to|for|between|bis|ab|seit|und|avant|au|et"
    r"|(?P<joins>and|or))"
    r"\s+\Z",
    re.IGNORECASE,
)
# Behind "24.12.", where that full stop ends no sentence.
_GOES_ON = re.compile(r"\s*[,;:)?!–-]|\s+[^\W_A-Z]")
_DATE_TO = re.compile(rf"\b({MONTH}(?: \d{{4}})?)[-–](?=\d{{1,2}}[/.]\d)", re.IGNORECASE)
_STATED_YEAR = re.compile(r",?\s+((?:19|20)\d\d)\b")
BANK_HOLIDAY = re.compile(r"\b(?:bank|public) holidays?\b", re.IGNORECASE)
_NEXT_BANK_HOLIDAY = re.compile(r"\bnext (?:bank|public) holiday\b( monday)?", re.IGNORECASE)


@dataclass(frozen=True)
class Days:
    """The days from `first` to `last`, both included."""

    first: date
    last: date
    has_year: bool = False
    """Whether the year is stated or known from today; else it is the next one."""
    words: str = ""
    """What names them."""
    is_guess: bool = False
    """Whether the month is not stated: "on the 3rd"."""
    is_open: bool = False
    """Whether one end is not stated: "from 1 August", which is read as until the year's end."""

    @property
    def is_day(self) -> bool:
        """Whether it is a single day."""
        return self.first == self.last

    def meets(self, other: "Days") -> bool:
        """Whether they have a day in common, in any year where one has no year."""
        if self.has_year and other.has_year:
            return self.first <= other.last and other.first <= self.last
        own, others = (_of_year(each) for each in (self, other))
        return any(a <= d and c <= b for a, b in own for c, d in others)


def _of_year(days: Days) -> list[tuple[int, int]]:
    """Return the days as one or two spans of a year, 100 times the month plus the day."""
    first, last = (100 * each.month + each.day for each in (days.first, days.last))
    if (days.last - days.first).days >= 365:
        return [(101, 1231)]
    if first <= last:
        return [(first, last)]
    return [(first, 1231), (101, last)]


@lru_cache(maxsize=64)
def asked_days(question: str, today: date) -> tuple[Days, ...]:
    """Return the days that a question means.

    >>> [(str(each.first), each.words) for each in asked_days("open tomorrow?", date(2026, 11, 29))]
    [('2026-11-30', 'tomorrow')]
    """
    found = [
        Days(day, day, True, match[0])
        for pattern, offset in _RELATIVE
        if (match := pattern.search(question))
        for day in [today + timedelta(days=offset)]
    ]
    for match in _NEXT.finditer(question):
        ahead = (DAYS["en"].index(match[2].lower()) - today.weekday()) % 7
        if not ahead and match[1].lower() != "this":
            ahead = 7
        day = today + timedelta(days=ahead)
        found.append(Days(day, day, True, match[0]))
    if match := _NEXT_BANK_HOLIDAY.search(question):
        day = next_bank_holiday(today, is_monday=bool(match[1]))
        found.append(Days(day, day, True, match[0]))
    found += days_in(question, today)
    if not found:
        found += _next_day_of_month(question, today)
    return tuple(found)


def _next_day_of_month(question: str, today: date) -> Iterator[Days]:
    """Yield the next day with the number that "on the 3rd" has."""
    for match in _LATER_DAY.finditer(question):
        for ahead in range(62):
            day = today + timedelta(days=ahead)
            if day.day == int(match[1]):
                yield Days(day, day, True, match[0], is_guess=True)
                break


@lru_cache(maxsize=4096)
def days_in(text: str, today: date) -> tuple[Days, ...]:
    """Return the days that a text states, as dates, ranges, months and feasts; the year of those
    without one is the next from today.

    >>> [f"{each.first:%d %b} {each.last:%d %b}" for each in
    ...  days_in("Shut on 24 and 25 December, and 18 to 26 October.", date(2026, 11, 29))]
    ['18 Oct 26 Oct', '24 Dec 24 Dec', '25 Dec 25 Dec']
    """
    found: list[Days] = []
    text = worded_dates(text)
    rest = MODAL_MAY.sub("   ", text)

    def take(pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        nonlocal rest
        yield from pattern.finditer(rest)
        rest = pattern.sub(lambda match: " " * len(match[0]), rest)

    for match in take(_RANGE):
        found += _range(match, today)
    for match in take(_LISTED):
        numbers = [int(each) for each in re.findall(r"\d+", match[1])]
        made = [_date(number, match[2], match[3], today) for number in numbers]
        days = [Days(each, each, bool(match[3]), match[0].strip()) for each in made if each]
        found += _opened(days, rest, match.start())
    for match in take(_MONTH_FIRST):
        if each := _date(int(match[2]), match[1], match[3], today):
            days = [Days(each, each, bool(match[3]), match[0])]
            found += _opened(days, rest, match.start())
    later = _LATER_DAY.search(rest)  # "on 24 and 25 December; on the 26th"
    if found and later and (each := _replaced(found[-1].last, int(later[1]))):
        found.append(Days(each, each, found[-1].has_year, later[0]))
    for match in take(_MONTHS_RANGE):
        found.append(_months(OF_MONTH[match[1].lower()], OF_MONTH[match[2].lower()], today))
    for match in take(_WHOLE_MONTH):
        month = OF_MONTH[match[1].lower()]
        found += _opened([_months(month, month, today)], rest, match.start())
    return (*found, *_feasts(text, today))


def worded_dates(text: str, language: str = "en") -> str:
    """Return a text with its dates in figures in words, the day before the month unless there is no
    such month; months have the names of English, German ("de") or French ("fr").

    Without a year a date needs a word before it that days have ("on 3/4"), or a form that little
    else has ("24/12", "24.12."); "24/7" and fractions are none.

    >>> worded_dates("Shut from 24/12 to 02/01/2027, and on 3/4 half of 3/4 of us are in.")
    'Shut from 24 December to 2 January 2027, and on 3 April half of 3/4 of us are in.'
    """
    if not any(map(str.isdigit, text)):
        return text
    names = _NAMES_OF_MONTHS.get(language, _NAMES_OF_MONTHS["en"])
    worded = ISO_DATE.sub(
        lambda match: _worded(match[0], match[3], match[2], match[1], names), text
    )
    for _ in range(2):  # of two dates with a hyphen between, the second one is seen behind "to"
        worded = DATE_IN_FIGURES.sub(lambda match: _worded_figures(match, names), worded)
        worded = _DATE_TO.sub(r"\1 to ", worded)
    return worded


def ambiguous_dates(text: str) -> list[tuple[str, str]]:
    """Return the dates in figures that have another meaning where the month stands first, each with
    how it is read.

    >>> ambiguous_dates("open on 3/4 or on 24/12?")
    [('3/4', '3 April')]
    """
    return [
        (figures, worded)
        for match in DATE_IN_FIGURES.finditer(text)
        if match[2] != "."
        for figures in [match[0].strip(".")]
        for worded in [_worded_figures(match, _NAMES_OF_MONTHS["en"]).strip(".")]
        if worded != figures and int(match[1]) <= 12 and int(match[1]) != int(match[3]) <= 12
    ]


def _worded_figures(match: re.Match[str], names: Sequence[str]) -> str:
    """Return a date in figures in words; what is none as it stands."""
    first, sign, second, year = match.groups()
    if not year and not _is_date(match):
        return match[0]
    if sign == "." and year and len(year) == 2 and len(first + second) < 4:
        return match[0]  # "2.1.10" is a section
    tail = "." * (match[0].endswith(".") and (bool(year) or sign != "."))
    if int(second) > 12 and sign == "/":
        first, second = second, first
    return _worded(match[0], first, second, year, names, tail)


def _is_date(match: re.Match[str]) -> bool:
    """Whether a day and month without a year are a date."""
    text, (start, end) = match.string, match.span()
    first, sign, second = match[1], match[2], match[3]
    near = max(0, start - _NEAR), start
    on_day, by_day = _ON_DAY.search(text, *near), _BY_DAY.search(text, *near)
    if sign == "/":
        is_fraction = int(first) < int(second) <= 10 or (first, second) == ("24", "7")
        is_form = int(first) > 12 and len(second) == 2
        return is_form or on_day is not None or (by_day is not None and not is_fraction)
    if sign == "-":
        return False
    if not match[0].endswith("."):  # "Friday 10.05" is a time
        return on_day is not None and bool(on_day["on"]) and len(second) == 2
    goes_on = len(second) == 2 and _GOES_ON.match(text, end) is not None
    return goes_on or on_day is not None or (by_day is not None and not by_day["joins"])


def _worded(
    whole: str, day: str, month: str, year: str | None, names: Sequence[str], tail: str = ""
) -> str:
    """Return a date in words, or `whole` where the calendar has no such day."""
    number = int(year or 2000)  # a leap year
    try:
        made = date(number + 2000 * (number < 100), int(month), int(day))
    except ValueError:
        return whole
    return f"{made.day} {names[made.month - 1]}{f' {made.year}' if year else ''}{tail}"


def _replaced(day: date, number: int) -> date | None:
    try:
        return day.replace(day=number)
    except ValueError:
        return None


def _date(day: int, month: str, year: str | None, today: date) -> date | None:
    """Return a date; without a year the next from today; None where there is no such day."""
    number = OF_MONTH[month.lower()]
    for tried in [int(year)] if year else range(today.year, today.year + 5):
        try:
            made = date(tried, number, day)
        except ValueError:
            continue
        if year or made >= today:
            return made
    return None


def _range(match: re.Match[str], today: date) -> Iterator[Days]:
    _, first, month, year, last, last_month, last_year = match.groups()
    start = _date(int(re.sub(r"\D", "", first)), month or last_month, year or last_year, today)
    end = _date(int(re.sub(r"\D", "", last)), last_month, last_year or year, today)
    if not start or not end:
        return
    if end < start and not (year and last_year):  # "24 December to 2 January": of the year before
        is_over = (end.month, end.day) < (start.month, start.day)
        if year:
            end = _of_year_of(end, start.year + is_over)
        else:
            start = _of_year_of(start, end.year - is_over)
    yield Days(start, max(start, end), bool(year or last_year), match[0])


def _of_year_of(day: date, year: int) -> date:
    """Return a date in another year; 29 February is the 28th where there is none."""
    if (day.month, day.day) == (2, 29):
        day = day.replace(day=28 + isleap(year))
    return day.replace(year=year)


def _opened(days: list[Days], text: str, place: int) -> list[Days]:
    """Return a day as all from or until it in its year, where the words before its place in a text
    say so.
    """
    found = _OPEN.search(text, max(0, place - _NEAR), place)
    if len(days) != 1 or not found:
        return days
    (day,) = days
    if found["start"]:
        return [replace(day, last=day.first.replace(month=12, day=31), is_open=True)]
    if found[0].strip().lower() == "before":
        day = replace(day, last=day.first)
    return [replace(day, first=day.last.replace(month=1, day=1), is_open=True)]


def _months(first: int, last: int, today: date) -> Days:
    """Return the days of some months, the next ones from today."""
    year = today.year + (last < today.month)
    after = date(year + (last == 12), last % 12 + 1, 1)
    return Days(date(year - (first > last), first, 1), after - timedelta(days=1))


def _feasts(text: str, today: date) -> Iterator[Days]:
    for match, days in feasts_in(text, (today.year, today.year + 1)):
        yield _next(days, today, match)


def feasts_in(text: str, years: Sequence[int]) -> Iterator[tuple[re.Match[str], list[date]]]:
    """Yield the feasts that a text names, with their days in the stated year, else in `years`."""
    for pattern, (month, number) in _FIXED:
        if match := pattern.search(text):
            yield match, [date(year, month, number) for year in _years(text, match, years)]
    for pattern, offset in _BY_EASTER:
        if match := pattern.search(text):
            sundays = map(easter, _years(text, match, years))
            yield match, [sunday + timedelta(days=offset) for sunday in sundays]


def _years(text: str, match: re.Match[str], years: Sequence[int]) -> Sequence[int]:
    """Return the year behind a feast, or the given ones."""
    stated = _STATED_YEAR.match(text, match.end())
    return [int(stated[1])] if stated else years


def _next(days: list[date], today: date, match: re.Match[str]) -> Days:
    """Return the one day, or the first from today."""
    day = next((each for each in days if each >= today), days[-1])
    return Days(day, day, has_year=len(days) == 1, words=match[0])


def easter(year: int) -> date:
    """Return Easter Sunday of a year.

    >>> easter(2026), easter(2027)
    (datetime.date(2026, 4, 5), datetime.date(2027, 3, 28))
    """
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (a + 11 * h) // 319
    r = (2 * e + 2 * i - k - h + m + 32) % 7
    month = (h - m + r + 90) // 25
    return date(year, month, (h - m + r + month + 19) % 32)


@lru_cache(maxsize=64)
def bank_holidays(year: int) -> frozenset[date]:
    """Return the bank holidays of England and Wales, but for days that are proclaimed once; one
    that falls on a weekend is moved to the next weekday that is none.

    >>> sorted(f"{each:%d %b}" for each in bank_holidays(2027) if each.month == 12)
    ['27 Dec', '28 Dec']
    """
    sunday = easter(year)
    found = {sunday - timedelta(days=2), sunday + timedelta(days=1), _monday(year, 5, 1)}
    found |= {_monday(year, 6, 1) - timedelta(days=7), _monday(year, 9, 1) - timedelta(days=7)}
    for day in (date(year, 1, 1), date(year, 12, 25), date(year, 12, 26)):
        while day.weekday() > 4 or day in found:
            day += timedelta(days=1)
        found.add(day)
    return frozenset(found)


def _monday(year: int, month: int, day: int) -> date:
    """Return the first Monday from a date on."""
    start = date(year, month, day)
    return start + timedelta(days=-start.weekday() % 7)


def is_bank_holiday(day: date) -> bool:
    """Whether a day is a bank holiday of England and Wales (`bank_holidays`)."""
    return day in bank_holidays(day.year)


def next_bank_holiday(today: date, *, is_monday: bool = False) -> date:
    """Return the next bank holiday after a day, or the next that is a Monday."""
    days = sorted(bank_holidays(today.year) | bank_holidays(today.year + 1))
    return next(day for day in days if day > today and (not is_monday or day.weekday() == 0))
