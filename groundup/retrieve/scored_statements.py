"""Sentences of the passages that were read with how well each fits a question, best first;
and those of other documents that say the same with other numbers:

    prose and prose    most of their words are the same; of a sentence that tells of a change
                       ("from 1 May", "rises to"), half of them, and all that the question asks for
    row and row        the same name, in a column of the same name or in one that names a date
    row and prose      a sentence that has the row's name and tells of a change, or says nothing but
                       what that costs; where the name is a weekday, as of opening hours, it must
                       have a word of the headings, too

Numbers differ where their units are the same ("£25", "£30"). Plain rules that would rather show
nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from groundup.language.calendar_dates import days_in
from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, words
from groundup.language.weekdays import names_day
from groundup.retrieve.cite import MAX_QUOTE_CHARACTERS, Statement, statements
from groundup.retrieve.passages import Passage
from groundup.retrieve.table_rows import Table, cells


@dataclass(frozen=True)
class ScoredStatement:
    """A sentence that could be shown."""

    value: float
    source: int
    """The number of its passage, from 1."""
    passage: Passage
    place: int
    """Among the passage's statements."""
    said: Statement

    @property
    def whole(self) -> str:
        """The sentence with what stands above it."""
        return f"{self.said.above} {self.said.text}"

    @property
    def is_row(self) -> bool:
        """Whether it is a row of a table."""
        return self.said.text.startswith("|") and not self.said.is_code


def ranked(passages: Sequence[Passage], values: Sequence[Sequence[float]]) -> list[ScoredStatement]:
    """Return the sentences that can be shown, those with the highest values first."""
    found = [
        ScoredStatement(value, number, passage, place, said)
        for number, (passage, each) in enumerate(zip(passages, values, strict=True), start=1)
        for place, (said, value) in enumerate(zip(statements(passage), each, strict=True))
        if value > 0 and said.end - said.start <= MAX_QUOTE_CHARACTERS
    ]
    return sorted(found, key=lambda each: (-each.value, each.source, each.said.start))


def table_of(passage: Passage, place: int) -> Table | None:
    """Return the table that a statement is a row of, as far as the passage has it."""
    listed = statements(passage)
    said = listed[place]
    if said.is_code or not said.text.startswith("|"):
        return None
    first = last = place
    while first > 0 and same_table(listed[first - 1], said):
        first -= 1
    while last + 1 < len(listed) and same_table(listed[last + 1], said):
        last += 1
    columns = cells(passage.text[slice(*said.head)]) if said.head else []
    rows = tuple(tuple(cells(each.text)) for each in listed[first : last + 1])
    return Table(tuple(columns), rows, place - first)


def same_table(other: Statement, said: Statement) -> bool:
    """Whether a statement is a row of the same table as another."""
    return not other.is_code and other.text.startswith("|") and other.head == said.head


def own_terms(text: str, language: str) -> set[str]:
    """Return the stems of a text's words that are neither of grammar nor numbers."""
    return set(stems(_own_words(text, language), language))


def _own_words(text: str, language: str) -> list[str]:
    stops = STOP_WORDS.get(language, STOP_WORDS["en"])
    return [word for word in words(text) if word not in stops and not word.isdigit()]


# Of the best value what a sentence needs that is compared with the best.
MIN_OF_OTHER = 0.5
# Two sentences speak of the same where they share this much of their words other than numbers; and
# of one that tells of a change.
MIN_SAME_WORDS, MIN_SAME_OF_CHANGE = 0.75, 0.5
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_FREE = re.compile(r"\b(?:free|no charge|kostenlos|gratuit\w*)\b", re.IGNORECASE)
# What a sentence that only states a price says besides the thing's name.
_COSTS = "cost costs price prices priced charge charged fee kostet kosten preis coûte coûtent prix"
_PRICE = re.compile(r"[£$€] ?\d|\d ?(?:[£$€]|EUR|CHF)")
_CHANGES = re.compile(
    r"\b(?:ris(?:es?|ing)|rose|raised?|increas\w+|reduc\w+|falls?|fell|drops?|dropped|lowered|"
    r"goes (?:up|down)|(?:go|going|gone|went) (?:up|down)|chang\w+|instead of|no longer|as of|"
    r"from now on|with effect|will (?:be|cost)|now|ab dem|statt|künftig|désormais)\b",
    re.IGNORECASE,
)


def differing(
    question: str, best: ScoredStatement, found: Sequence[ScoredStatement], today: date
) -> list[ScoredStatement]:
    """Return the sentences of other documents that differ from the best, one of each document."""
    kept: dict[int, ScoredStatement] = {}
    for each in found:
        if each.value < MIN_OF_OTHER * best.value:
            break
        other = each.passage.document_id
        if other == best.passage.document_id or other in kept:
            continue
        if each.is_row and best.is_row:
            differs = _rows_differ(each, best, today)
        elif each.is_row or best.is_row:
            row, prose = sorted((each, best), key=lambda one: not one.is_row)
            differs = _row_and_prose_differ(row, prose, today)
        else:
            differs = _prose_differs(question, each, best, today)
        if differs:
            kept[other] = each
    return list(kept.values())


def tells_change(text: str, today: date) -> bool:
    """Whether a sentence tells of a change: by its words or by a date that it holds from.

    >>> today = date(2026, 11, 29)
    >>> [tells_change(text, today) for text in ("From 1 May a key costs £30.", "A key costs £25.")]
    [True, False]
    """
    if _CHANGES.search(text):
        return True
    return any(each.is_open for each in days_in(text, today))


def _prose_differs(
    question: str, each: ScoredStatement, best: ScoredStatement, today: date
) -> bool:
    texts = (each.said.text, best.said.text)
    if not _numbers_differ(*texts) and not _is_free_of_one(*texts):
        return False
    language = best.passage.language
    mine, own = own_terms(best.whole, language), own_terms(each.whole, language)
    if len(mine & own) >= MIN_SAME_WORDS * len(mine | own):
        return True
    if not (tells_change(each.said.text, today) or tells_change(best.said.text, today)):
        return False
    mine, own = own_terms(best.said.text, language), own_terms(each.said.text, language)
    asked = own_terms(_FREE.sub("", question), language) & (mine | own)
    return (
        len(asked) >= 2
        and asked <= mine & own
        and len(mine & own) >= MIN_SAME_OF_CHANGE * min(len(mine), len(own))
    )


def _rows_differ(each: ScoredStatement, best: ScoredStatement, today: date) -> bool:
    """Whether two rows of the same name have other values."""
    theirs, mine = table_of(each.passage, each.place), table_of(best.passage, best.place)
    if theirs is None or mine is None or _name(theirs).lower() != _name(mine).lower():
        return False
    language = best.passage.language
    of_theirs, of_mine = _named_values(theirs), _named_values(mine)
    if any(
        _numbers_differ(of_theirs[name], of_mine[name]) for name in of_mine if name in of_theirs
    ):
        above, own = own_terms(each.whole, language), own_terms(best.whole, language)
        return len(above & own) >= MIN_SAME_WORDS * len(above | own)
    dated = [value for name, value in of_theirs.items() if days_in(name, today)]
    known = set(of_mine.values())
    return any(
        value not in known and any(_numbers_differ(value, own) for own in known) for value in dated
    )


def _row_and_prose_differ(row: ScoredStatement, prose: ScoredStatement, today: date) -> bool:
    """Whether a sentence tells of another value than the row of that name has."""
    table, text = table_of(row.passage, row.place), prose.said.text
    if table is None:
        return False
    language = row.passage.language
    named, told = own_terms(_name(table), language), own_terms(text, language)
    if not named or not named <= told:
        return False
    if not tells_change(text, today) and not told - named <= own_terms(_COSTS, language):
        return False
    columns = own_terms(" ".join(table.columns), language)
    headings = own_terms(row.said.above, language) - columns - named
    if (
        all(names_day([word]) for word in _own_words(_name(table), language))
        and not told & headings
    ):
        return False
    of_row = {each for value in table.rows[table.row][1:] for each in _amounts(value)}
    units = {unit for unit, _ in of_row}
    others = {each for each in _amounts(text) if each[0] in units}
    return bool(others) and not others <= of_row


def _name(table: Table) -> str:
    return table.rows[table.row][0]


def _named_values(table: Table) -> dict[str, str]:
    return dict(zip(table.columns[1:], table.rows[table.row][1:], strict=False))


def _numbers_differ(first: str, second: str) -> bool:
    numbers = _NUMBER.findall(first), _NUMBER.findall(second)
    return bool(numbers[0]) and numbers[0] != numbers[1] and _units(first) == _units(second)


def _is_free_of_one(first: str, second: str) -> bool:
    """Whether a thing is free by one of two sentences, and has a price by the other."""
    return any(
        _FREE.search(one) and not _PRICE.search(one) and _PRICE.search(other)
        for one, other in ((first, second), (second, first))
    )


def _units(text: str) -> list[str]:
    """Return what stands right before or behind the numbers of a text: "£", "days"."""
    return sorted(unit for unit, _ in _listed_amounts(text))


def _amounts(text: str) -> set[tuple[str, str]]:
    """Return the (unit, number) pairs of a text that have a unit of money or a word."""
    return {(unit, number) for unit, number in _listed_amounts(text) if unit}


def _listed_amounts(text: str) -> list[tuple[str, str]]:
    found = re.findall(r"([£$€]?)(\d+(?:[.,:]\d+)*)\s?(%|[^\W\d_]+)?", text)
    return [(before or after.lower().rstrip("s"), number) for before, number, after in found]
