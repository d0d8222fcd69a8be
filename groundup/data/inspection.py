"""Inspection of sources before they are used: their sizes, their faults, examples, their first lines.

It reads exactly as `pipeline.prepare` does and fills the same card, so its counts are those of a build.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from groundup.data.clean import clean
from groundup.data.dedup import ExactRepeats
from groundup.data.documents import Document
from groundup.data.filters import EMPTY
from groundup.data.pipeline import REPEAT, ShownDocuments, SourceCard, kept_documents
from groundup.data.source_files import Source
from groundup.data.sources import SourceOptions, describe_source
from groundup.progress import Progress

FIRST_LINES = 3
LINE_CHARACTERS = 100


@dataclass
class Inspection:
    """The contents of a source. Characters and words are those of the cleaned texts, dropped ones included."""

    card: SourceCard
    """What a build would keep, drop and change, with examples."""
    characters: int = 0
    words: int = 0
    """Words separated by white space."""
    longest: dict[str, Any] = field(default_factory=lambda: {"name": "", "characters": 0})
    beginnings: list[dict[str, Any]] = field(default_factory=list)
    """Name and first lines of the first few documents."""

    @property
    def documents(self) -> int:
        """The documents read."""
        return self.card.read.documents

    def dropped(self, reason: str) -> int:
        """The documents that a build would drop for this reason."""
        return self.card.dropped[reason].count if reason in self.card.dropped else 0

    def count(self, document: Document) -> None:
        """Count one cleaned document."""
        self.characters += len(document.text)
        self.words += len(document.text.split())
        if len(document.text) > self.longest["characters"]:
            self.longest = {"name": document.name, "characters": len(document.text)}

    def show(self, document: Document) -> None:
        """Keep the first lines of a document."""
        lines = [line[:LINE_CHARACTERS] for line in document.text.split("\n", 50) if line.strip()]
        self.beginnings.append({"name": document.name, "lines": lines[:FIRST_LINES]})

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values: those of the card, and the figures of this inspection."""
        own = {name: value for name, value in asdict(self).items() if name != "card"}
        drops = {"empty": self.dropped(EMPTY), "repeats": self.dropped(REPEAT)}
        return {**self.card.to_plain(), "documents": self.documents, **drops, **own}


def inspect_sources(
    sources: Sequence[Source], options: SourceOptions, *, show: int = 3, seed: int = 0, progress: Progress
) -> list[Inspection]:
    """Read sources and count their contents; a document that an earlier one holds too is a repeat.

    `show`: of each source the number of documents whose beginnings are kept; `seed` draws the random ones. Raises what `read_source` raises.
    """
    cards = [  # all of them before the first is read: what can't be read is said at once
        SourceCard(source, understood=[each.to_plain() for each in describe_source(source, options)])
        for source in sources
    ]
    repeats = ExactRepeats()
    return [_inspect(card, options, repeats, show=show, seed=seed, progress=progress) for card in cards]


def _inspect(
    card: SourceCard, options: SourceOptions, repeats: ExactRepeats, *, show: int, seed: int, progress: Progress
) -> Inspection:
    found = Inspection(card)

    def dropped(raw: Document, reason: str) -> None:
        found.count(Document(clean(raw.text).text, raw.source, raw.name))

    for document in kept_documents(card, repeats, options, progress, dropped, shown=ShownDocuments(seed)):
        found.count(document)
        if len(found.beginnings) < show:
            found.show(document)
    return found
