"""Notes: what an answer says of itself, in words of the code: that documents differ, which day was
meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from groundup.language import weekdays
from groundup.language.calendar_dates import ambiguous_dates, asked_days, is_bank_holiday
from groundup.language.weekdays import DAYS, implied_days, names_day
from groundup.retrieve.cite import ANSWERS, DIFFERS, Quote, shown_text
from groundup.retrieve.document_dates import (
    BEGINNING_CHARACTERS,
    changed,
    is_later,
    is_to_come,
    stated_date,
)
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.number_ranges import HOLDS, fit_of_date
from groundup.retrieve.passages import Passage


@dataclass(frozen=True)
class Note:
    """What an answer says of itself, in words of the code: a part that is missing, documents that
    differ, the day that was meant.
    """

    text: str


def date_in(index: Index | GivenPassages, passage: Passage) -> str:
    """Return the date that a passage's document states, "" for none (`stated_date`)."""
    beginning = ""
    if isinstance(index, Index):
        beginning = index.document_window(passage.document_id, 0, BEGINNING_CHARACTERS)[1]
    return stated_date(passage.document, beginning)


def noted(
    index: Index | GivenPassages,
    question: str,
    quotes: Sequence[Quote],
    sources: Sequence[Passage],
    today: date | None = None,
) -> tuple[tuple[Quote, ...], list[Note]]:
    """Return quotations with the dates of documents that differ, and the notes on them.

    `today`: None: that of this computer's clock.
    """
    today = today or weekdays.today()
    dated, notes = list(quotes), day_notes(question, quotes, today)
    if len(places := _differing(quotes)) > 1:
        found = [_dated(index, sources[quotes[at].source - 1]) for at in places]
        for at, each in zip(places, found, strict=True):
            dated[at] = replace(quotes[at], dated=each.stated or each.saved)
        numbers = [quotes[at].source for at in places]
        notes.insert(0, difference_note(numbers, found, today))
    return tuple(dated), notes


@dataclass(frozen=True)
class DatedDocument:
    """A document with what dates it."""

    name: str
    stated: str
    """The date that it states, or ""."""
    saved: str
    """The day of its file's last change, or ""."""


def _dated(index: Index | GivenPassages, source: Passage) -> DatedDocument:
    name = source.document.rpartition("/")[2]
    return DatedDocument(name, date_in(index, source), changed(source.file))


def difference_note(
    numbers: Sequence[int], documents: Sequence[DatedDocument], today: date
) -> Note:
    """Return a note on documents that differ, the one that is shown first before the others; which
    is the later one is said where all state their dates.

    >>> old, new = DatedDocument("a.md", "2025", ""), DatedDocument("b.md", "2026-05", "")
    >>> difference_note([2, 1], [new, old], date(2026, 11, 29)).text
    'Your documents differ; the later one stands first: [2] is b.md of 2026-05, [1] is a.md of 2025.'
    """
    named = []
    for number, each in zip(numbers, documents, strict=True):
        said = f" of {each.stated}" if each.stated else f", saved {each.saved}" * bool(each.saved)
        if is_to_come(each.stated, today):
            said += ", which is yet to come"
        named.append(f"[{number}] is {each.name}{said}")
    first, *others = (each.stated for each in documents)
    is_latest = all(is_later(first, each, today) for each in others)
    order = "; the later one stands first" * is_latest
    return Note(f"Your documents differ{order}: {', '.join(named)}.")


def _differing(quotes: Sequence[Quote]) -> list[int]:
    """Return the places of quotations that differ, behind that of the one that they differ from."""
    places = [at for at, each in enumerate(quotes) if each.role == DIFFERS]
    answers = [at for at in range(min(places, default=0)) if quotes[at].role == ANSWERS]
    return [*answers[-1:], *places]


def day_notes(question: str, quotes: Sequence[Quote], today: date) -> list[Note]:
    """Return a note on each date in figures that has two readings, and one on the day that a
    question means by today's, where what is shown turns on it.

    >>> quote = Quote("Monday to Friday 9 to 5.", 1, 0, 24)
    >>> [each.text for each in day_notes("open tomorrow?", [quote], date(2026, 11, 29))]
    ['Tomorrow is Monday, 30 November 2026.']
    """
    days = [each for each in asked_days(question, today) if each.is_day and each.words]
    if not days or not quotes:
        return []
    read_as = [
        Note(f"{figures} is read as {day}, the day before the month.")
        for figures, day in ambiguous_dates(question)
    ]
    text = " ".join(map(shown_text, quotes))
    is_of_week = implied_days(text, "en") or names_day(text.lower().replace(",", " ").split())
    if not is_of_week and fit_of_date(question, text, today) != HOLDS:
        return read_as
    day, named = days[0].first, days[0].words
    weekday, whole = DAYS["en"][day.weekday()].capitalize(), f"{day.day} {day:%B %Y}"
    also = ", a bank holiday in England and Wales" * is_bank_holiday(day)
    if f"{day:%B}".lower() in named.lower():
        return [*read_as, Note(f"{whole} is a {weekday}{also}.")]
    if weekday.lower() not in named.lower():
        whole = f"{weekday}, {whole}"
    return [*read_as, Note(f"{named[0].upper()}{named[1:]} is {whole}{also}.")]
