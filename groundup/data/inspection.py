"""Inspection of a source before it is used: its size, its faults, its first lines.

It reads exactly as `pipeline.prepare` does, so its counts are those of a build.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from groundup.data.clean import Cleaned, clean
from groundup.data.dedup import ExactRepeats
from groundup.data.documents import Document
from groundup.data.source_files import Source, disk_bytes
from groundup.data.source_report import SourceReport
from groundup.data.sources import SourceOptions, describe_source, read_source
from groundup.progress import Progress

FIRST_LINES = 3
LINE_CHARACTERS = 100


@dataclass
class Inspection:
    """The contents of a source. Characters and words are those of the cleaned texts."""

    source: Source
    read: SourceReport = field(default_factory=SourceReport)
    documents: int = 0
    characters: int = 0
    words: int = 0
    """Words separated by white space."""
    empty: int = 0
    repeats: int = 0
    longest: dict[str, Any] = field(default_factory=lambda: {"name": "", "characters": 0})
    changes: dict[str, int] = field(default_factory=dict)
    """Changes that cleaning makes (see clean.Cleaned): control_characters, newlines, ..."""
    understood: list[dict[str, Any]] = field(default_factory=list)
    """What the files hold (see `sniff.Description`): name, layout, roles, first row, and the line that says it."""
    beginnings: list[dict[str, Any]] = field(default_factory=list)
    """Name and first lines of a few documents."""

    def add(self, document: Document, cleaned: Cleaned, *, is_repeat: bool, show: int) -> None:
        """Count one document."""
        text = cleaned.text
        self.documents += 1
        self.characters += len(text)
        self.words += len(text.split())
        self.empty += not text.strip()
        self.repeats += is_repeat and bool(text.strip())
        self.changes = dict(cleaned.changes + Counter(self.changes))
        if len(text) > self.longest["characters"]:
            self.longest = {"name": document.name, "characters": len(text)}
        if len(self.beginnings) < show and text.strip():
            lines = [line[:LINE_CHARACTERS] for line in text.split("\n", 50) if line.strip()]
            self.beginnings.append({"name": document.name, "lines": lines[:FIRST_LINES]})

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def inspect_source(source: Source, options: SourceOptions, *, show: int = 3, progress: Progress) -> Inspection:
    """Read a source and count its contents. `show`: the number of documents whose beginning is kept. Raises what `read_source` raises."""
    found, repeats = Inspection(source), ExactRepeats()
    found.understood = [each.to_plain() for each in describe_source(source, options)]
    with progress.track(f"Reading {source.spec}", disk_bytes(source) / 1e6, "MB") as advance:
        done_bytes = 0
        for document in read_source(source, options, found.read, progress=progress):
            advance((found.read.read_bytes - done_bytes) / 1e6)
            done_bytes = found.read.read_bytes
            cleaned = clean(document.text)
            found.add(document, cleaned, is_repeat=repeats.is_repeat(cleaned.text), show=show)
    return found
