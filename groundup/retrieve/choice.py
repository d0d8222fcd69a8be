"""Choice: which of the sentences that fit about as well answers a question.

    value of a sentence (`evidence.py`)  x  a factor for each of these that holds

    the kind of thing that is asked for     "how much": a sum of money
    a band of a table                       "six thousand pounds": the row "£3,000 to £7,499", not
                                            its neighbours; "on 4 October": "| 4 and 5 October |"
    another weekday than what is asked for  "on Thursday": not "On Sunday we are closed."
    a day in a sentence's range             "on Christmas Day": "closed 24 December to 2 January"
    a pointer to another document           "[What is a token?](tokens.md)" is no answer
    a notice on a version                   "Changed in version 3.5: ..."

and of two rows that fit about as well the one whose name is of what is asked ("a crown": "Porcelain
crown", not "Implant with crown"), and that with room enough ("for 20 people": the row that serves
24). Rules on question and sentence, whatever the values come from;
what was tried and left out stands in docs/log.md.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import lru_cache

from groundup.language.calendar_dates import asked_days
from groundup.language.stop_words import language_by_stop_words
from groundup.language.terms import stems, words
from groundup.language.weekdays import days_of
from groundup.retrieve.asked_values import has_asked_value
from groundup.retrieve.follow_up import own_words
from groundup.retrieve.markdown_marks import LINK
from groundup.retrieve.number_ranges import (
    HOLDS,
    MISSES,
    PEOPLE,
    asked_numbers,
    fit_of_date,
    fit_of_number,
)
from groundup.retrieve.table_rows import Table, cells

KIND = 1 / 0.85
# Of a row in the band of numbers or of days that is asked for, of one beside it, and of a sentence
# about the day.
IN_BAND, IN_DAYS, BESIDE_BAND, OF_DAY = 1.25, 1.1, 0.6, 1.15
# Of a sentence that only says where another document tells of what is asked.
POINTER = 0.6
# Of a sentence on what a version changed, where no version is asked about.
OF_VERSION = 0.6
_OF_VERSION = re.compile(
    r"(?:- )?(?:(?:new|added|changed|deprecated|removed)\b[^.:]{0,40}\b(?:in|since)|since) "
    r"(?:version )?v?\d",
    re.IGNORECASE,
)
_ASKS_VERSION = re.compile(
    r"\b(?:versions?|releases?|change[ds]?|new|since|added|removed|deprecated|when|still|\d+\.\d)",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(r"(?![a-z+]+:)[^#\s]", re.IGNORECASE)
_HOW = re.compile(
    r"\bhow (?:do|can|could|would|should|to|does one)\b|\bwie (?:kann|mache|geht)\b|\bcomment\b|"
    r"\b(?:what|which) (?:is the )?(?:command|code|call|statement|syntax)\b|"
    r"\b(?:command|code|syntax|example) (?:for|to|of)\b",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"[(]|\b(?:with|without|for|per|plus|including|mit|ohne|für|avec|sans|pour)\b",
    re.IGNORECASE,
)


def factor(
    question: str, text: str, today: date, table: Callable[[], Table | None] = lambda: None
) -> float:
    """Return what a sentence's value is multiplied with; `table`: the table that it is a row of."""
    found = 1.0
    if has_asked_value(question, text):
        found = KIND
    if is_pointer(question, text):
        found = POINTER
    if _OF_VERSION.match(text) and not _ASKS_VERSION.search(question):
        found = OF_VERSION
    if is_of_other_weekday(question, text, today):
        found *= BESIDE_BAND
    if text.startswith("|"):
        if asked_numbers(question):
            found *= _in_band(table(), IN_BAND, lambda cell: fit_of_number(question, cell))
        if asked_days(question, today):
            found *= _in_band(table(), IN_DAYS, lambda cell: fit_of_date(question, cell, today))
        return found
    is_of_day = any(each.is_day for each in asked_days(question, today))
    if is_of_day and fit_of_date(question, text, today) == HOLDS:
        found *= OF_DAY
    return found


def is_of_other_weekday(question: str, text: str, today: date) -> bool:
    """Whether a sentence is about weekdays of which a question means none.

    >>> thursday = date(2026, 12, 3)
    >>> [is_of_other_weekday("are you open today", text, thursday)
    ...  for text in ("Closed on Sunday and Monday.", "Open from Tuesday to Saturday.", "Open.")]
    [True, False, False]
    """
    asked, language = _asked_weekdays(question, today)
    stated = days_of(text, language) if asked else set()
    return bool(stated) and stated.isdisjoint(asked)


@lru_cache(maxsize=64)
def _asked_weekdays(question: str, today: date) -> tuple[frozenset[str], str]:
    """Return the weekdays that a question means, and its language."""
    language = language_by_stop_words(words(question))
    return frozenset(days_of(question, language, today)), language


def asks_how(question: str) -> bool:
    """Whether a question asks for a way, which code or a command may be."""
    return _HOW.search(question) is not None


def is_pointer(question: str, text: str) -> bool:
    """Whether all that a text has of a question is the text of links to other documents, or a row
    has nothing but such links beside its name.

    >>> is_pointer("what is a token?", "| 3 | [What is a token?](tokens.md) | 10 minutes |")
    True
    >>> is_pointer("what is a token?", "A token is a piece of text, see [the course](course.md).")
    False
    """
    links = [each for each in LINK.finditer(text) if _ELSEWHERE.match(each[2])]
    if not links:
        return False
    rest = LINK.sub(" ", text)
    if text.startswith("|") and not own_words(" ".join(cells(rest)[1:])):
        return True
    language = language_by_stop_words(words(question))
    asked = _asked(question, language)
    linked = asked & set(stems(words(" ".join(each[1] for each in links)), language))
    others = asked & set(stems(words(rest), language))
    if text.startswith("|"):
        return bool(linked) and linked >= others
    return bool(linked) and not others


def _in_band(table: Table | None, inside: float, fit: Callable[[str], int]) -> float:
    """Return the factor of a row whose table has a column of bands: two rows or more with a range
    that can be compared, of which some hold what is asked and some don't.
    """
    if table is None:
        return 1.0
    for place in range(len(table.rows[table.row])):
        fits = _fits(table, place, fit)
        if HOLDS in fits and fits[table.row] == MISSES:
            return BESIDE_BAND
        if MISSES in fits and fits[table.row] == HOLDS:
            return inside
    return 1.0


def is_in_band(question: str, table: Table, today: date) -> bool:
    """Whether a table has a column of bands of which some hold what is asked and some don't."""
    found = _fits_of_columns(question, table, today)
    return any(HOLDS in fits and MISSES in fits for fits in found)


def _fits_of_columns(question: str, table: Table, today: date) -> Iterator[list[int]]:
    """Yield how the cells of each column fit, first by the numbers and then by the days of a
    question.
    """

    def of_number(cell: str) -> int:
        return fit_of_number(question, cell)

    def of_day(cell: str) -> int:
        return fit_of_date(question, cell, today)

    for fit in (of_number, of_day):
        for place in range(len(table.rows[table.row])):
            yield _fits(table, place, fit)


def _fits(table: Table, place: int, fit: Callable[[str], int]) -> list[int]:
    """Return how the cells of a column fit; a row that has no such cell has an empty one."""
    return [fit("".join(row[place : place + 1])) for row in table.rows]


_CAPACITY = re.compile(
    r"\b(?:serves?|seats?|sleeps|feeds|holds|people|persons?|guests?|capacity|portions|personen|"
    r"gäste|plätze|personnes|places|invités|couverts)\b",
    re.IGNORECASE,
)
_COUNT = re.compile(r"(?:up to |bis zu |jusqu'à )?(\d{1,5})(?: \w+)?", re.IGNORECASE)


def row_of_capacity(question: str, table: Table) -> int | None:
    """Return the row with the least capacity that is enough for the people of a question, where the
    quoted one has another; None: the quoted one stays.

    >>> rows = (("6 inch", "8", "£38"), ("8 inch", "14", "£52"), ("Two tiers", "40", "£145"))
    >>> row_of_capacity("a cake for 12 people", Table(("Size", "Serves", "Price"), rows, 2))
    1
    """
    people = max(
        (each.low for each in asked_numbers(question) if each.dimension == PEOPLE), default=0
    )
    for place, name in enumerate(table.columns):
        counts = [_COUNT.fullmatch(row[place]) if place < len(row) else None for row in table.rows]
        if not (people and _CAPACITY.search(name) and all(counts)):
            continue
        enough = [(int(count[1]), row) for row, count in enumerate(counts) if count]
        least, row = min((each for each in enough if each[0] >= people), default=(0, -1))
        if row >= 0 and least != enough[table.row][0]:
            return row
    return None


def row_of_band(question: str, table: Table, today: date) -> int | None:
    """Return the one row of a table whose band holds what is asked, where that of the quoted row
    doesn't; None: the quoted one stays.

    >>> rows = (("Under 5s", "free"), ("5 to 15", "£4"), ("16 and over", "£9"))
    >>> row_of_band("my son is nine", Table(("Who", "Entry"), rows, 2), date(2026, 11, 29))
    1
    """
    for fits in _fits_of_columns(question, table, today):
        if fits[table.row] == MISSES and fits.count(HOLDS) == 1:
            return fits.index(HOLDS)
    return None


def named_row(question: str, best: str, others: Sequence[str], language: str) -> int | None:
    """Return which of some rows' names is of what is asked, where that of the best row has it only
    behind a preposition; None: the best one stays.

    >>> named_row("how much is a crown?", "Implant with crown", ["Filling", "Porcelain crown"], "en")
    1
    >>> named_row("how much is an implant with crown?", "Implant with crown", ["Crown"], "en")
    """
    asked = _asked(question, language)
    first, preposition, rest = _divided(best)
    behind = asked & set(stems(words(rest), language))
    if not preposition or not behind or asked & set(stems(words(first), language)):
        return None
    for place, name in enumerate(others):
        head = words(_divided(name)[0])[-1:]
        if set(stems(head, language)) & behind and behind <= set(stems(words(name), language)):
            return place
    return None


def _divided(name: str) -> tuple[str, str, str]:
    """Return what stands before the first preposition of a row's name, this, and the rest."""
    found = _PREPOSITION.search(name)
    if not found:
        return name, "", ""
    return name[: found.start()], found[0], name[found.end() :]


@lru_cache(maxsize=64)  # the same question for each sentence
def _asked(question: str, language: str) -> frozenset[str]:
    return frozenset(stems(own_words(question), language))
