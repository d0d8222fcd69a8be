"""Notes: what an answer says of itself, in words of the code, as that documents differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.retrieve.cite import ANSWERS, DIFFERS, Quote
from groundup.retrieve.document_dates import BEGINNING_CHARACTERS, document_date
from groundup.retrieve.given_passages import GivenPassages
from groundup.retrieve.index import Index
from groundup.retrieve.passages import Passage


@dataclass(frozen=True)
class Note:
    """What an answer says of itself, in words of the code: a part that is missing, documents that
    differ.
    """

    text: str


def difference_notes(
    index: Index | GivenPassages, quotes: Sequence[Quote], sources: Sequence[Passage]
) -> list[Note]:
    """Return a note on quotations that differ, with the names and dates of their documents."""
    places = [at for at, each in enumerate(quotes) if each.role == DIFFERS]
    if not places:
        return []
    first = max(at for at in range(places[0]) if quotes[at].role == ANSWERS)
    named = []
    for at in (first, *places):
        number = quotes[at].source
        source, beginning = sources[number - 1], ""
        if isinstance(index, Index):
            beginning = index.document_window(source.document_id, 0, BEGINNING_CHARACTERS)[1]
        date = document_date(source, beginning)
        name = source.document.rpartition("/")[2]
        named.append(f"[{number}] is {name}" + (f" of {date}" if date else ""))
    return [Note(f"Your documents differ: {', '.join(named)}.")]
