"""Sentences of the passages that were read with how well each fits a question, best first."""

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.language.stop_words import STOP_WORDS
from groundup.language.terms import stems, words
from groundup.retrieve.cite import MAX_QUOTE_CHARACTERS, Statement, statements
from groundup.retrieve.passages import Passage
from groundup.retrieve.table_rows import Table
from groundup.retrieve.tables import cells


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
    stops = STOP_WORDS.get(language, STOP_WORDS["en"])
    own = [word for word in words(text) if word not in stops and not word.isdigit()]
    return set(stems(own, language))
