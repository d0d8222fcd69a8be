"""The data card: what was read, kept, dropped and changed of each source, with examples, and the
split. `data.json` holds it.

Nothing is lost uncounted. For each source, in documents and in characters:

    read.documents                      = kept_documents + dropped_documents
            bad rows and files: read.bad_documents, besides
    read.characters                     = kept_characters + cleaned_characters + dropped_characters
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from groundup.data.documents import Document
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.samples import add_length
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport, Tally
from groundup.data.split import Counts, Cut

# What the card shows of the dropped documents, for each reason.
DROP_EXAMPLES, DROPPED_CHARACTERS = 2, 200
# What is counted as changed, in words: by cleaning (`clean`), `repair` and `repeated_lines`; other
# steps count in words.
CHANGE_LABELS = {
    "windows_1252": "control characters read as Windows-1252 (U+0092 as ’)",
    "newlines": "line ends normalised",
    "control_characters": "control characters removed",
    "lone_surrogates": "lone surrogates replaced",
    "trailing_spaces": "spaces at line ends removed",
    "outer_newlines": "empty lines around the text removed",
    "composed": "texts normalised to composed Unicode (NFC)",
    "mojibake": "wrongly decoded lines repaired",
    "html_entities": "HTML entities decoded",
    "ligatures": "ligatures replaced by their letters",
    "terminal_escapes": "terminal colours removed",
    "page_furniture": "page headers, footers and numbers removed",
    "breaking_lines": "lines that break sentences removed",
    "repeated_notices": "repeated notices removed",
}


@dataclass
class SourceCard:
    source: Source
    read: SourceReport = field(default_factory=SourceReport)
    kept_documents: int = 0
    kept_characters: int = 0
    dropped: dict[str, Tally] = field(default_factory=dict)
    """reason -> number of documents, and the names of the first ones."""
    dropped_documents: int = 0
    dropped_characters: int = 0
    """Characters of the dropped documents before cleaning; of those that near-duplicates and
    decontamination drop, after it.
    """
    cleaned_characters: int = 0
    """Characters that cleaning removed from the kept documents, less those that it added."""
    changed: dict[str, int] = field(default_factory=dict)
    """Changes by cleaning in the kept documents (see clean.Cleaned)."""
    samples: list[dict[str, str]] = field(default_factory=list)
    """The beginnings of random kept documents."""
    understood: list[dict[str, Any]] = field(default_factory=list)
    """What the files hold (see `description.Description`): name, layout, roles, first row, and the
    line that says it.
    """
    lengths: list[int] = field(default_factory=list)
    """The number of kept documents by length (see `samples.add_length`)."""
    languages: dict[str, Any] | None = None
    """The languages of a sample of the kept documents (see `samples.TextSample`); None: not
    detected.
    """
    change_examples: list[dict[str, Any]] = field(default_factory=list)
    """Places of kept documents before and after cleaning: name, changes, before, after."""
    drop_examples: list[dict[str, str]] = field(default_factory=list)
    """The beginnings of the first documents dropped for each reason, before cleaning: reason, name,
    text.
    """

    def keep(self, document: Document, changes: Counter[str], raw_characters: int) -> None:
        """Count a kept document that had `raw_characters` before cleaning."""
        self.kept_documents += 1
        self.kept_characters += len(document.text)
        self.cleaned_characters += raw_characters - len(document.text)
        add_length(self.lengths, len(document.text))
        if changes:
            self.changed = dict(changes + Counter(self.changed))

    def drop(self, raw: Document, reason: str) -> None:
        self.dropped_documents += 1
        self.dropped_characters += len(raw.text)
        tally = self.dropped.setdefault(reason, Tally())
        tally.note(raw.name)
        if tally.count <= DROP_EXAMPLES:
            self.drop_examples.append(
                {"reason": reason, "name": raw.name, "text": raw.text[:DROPPED_CHARACTERS]}
            )

    def drop_kept(self, document: Document, reason: str) -> None:
        """Count a document as dropped that was counted as kept; what cleaning removed from it stays
        counted there.
        """
        self.kept_documents -= 1
        self.kept_characters -= len(document.text)
        add_length(self.lengths, len(document.text), -1)
        self.samples = [each for each in self.samples if each["name"] != document.name]
        self.drop(document, reason)

    def summary(self) -> str:
        parts = [f"{self.kept_documents:,} documents kept, {self.kept_characters:,} characters"]
        parts += [f"{tally.count:,} dropped ({reason})" for reason, tally in self.dropped.items()]
        parts += [
            f"{tally.count:,} files skipped ({reason})"
            for reason, tally in self.read.skipped.items()
        ]
        if self.read.bad_lines.count:
            bad = self.read.bad_lines
            parts.append(
                f"{bad.count:,} of {self.read.lines:,} lines bad (first: {bad.examples[0]})"
            )
        if self.read.bad_files.count:
            parts.append(
                f"{self.read.bad_files.count:,} files without text ({self.read.bad_files.shown()})"
            )
        parts += self.read.decoded_lines()
        return f"{self.source.title}: {'; '.join(parts)}."


@dataclass
class DataCard:
    """What was kept, dropped and changed, and the split. `data.json` holds it."""

    sources: list[SourceCard]
    splits: Counts
    cuts: list[Cut]
    config: DataConfig
    seed: int
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the steps over all documents found (see `file_steps`)."""


def split_summary(card: DataCard) -> str:
    parts = [
        f"{name} {size.documents:,} documents, {size.characters:,} characters"
        for name, size in card.splits.items()
    ]
    line = f"Split by hash: {'; '.join(parts)}."
    for cut in card.cuts:
        line += f" The end of {cut.name} (from character {cut.at_character:,}) is {cut.split}, since {cut.why}."
    return line
