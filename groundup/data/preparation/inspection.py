"""Inspection of sources before they are used: their sizes, their faults, examples, their first
lines.

It reads exactly as `pipeline.prepare` does and fills the same card, so its counts are those of a
build.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from groundup.data.clean import clean
from groundup.data.documents import Document
from groundup.data.preparation.data_card import SourceCard
from groundup.data.preparation.file_steps import ALL, check_steps, run_file_steps
from groundup.data.preparation.pipeline import REPEAT, ShownDocuments, kept_documents
from groundup.data.processing.filters import EMPTY, ExactRepeats
from groundup.data.processing.languages import UNKNOWN, can_detect, language_of
from groundup.data.processing.quality_rules import judge, rules_named
from groundup.data.processing.steps import ProcessConfig
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import Tally
from groundup.data.reading.sources import describe_source
from groundup.data.runners.runner import DocumentReading, ProcessedDocument
from groundup.data.split import SplitWriter
from groundup.errors import DataError
from groundup.progress import Progress

FIRST_LINES, RULE_EXAMPLES = 3, 3
LINE_CHARACTERS = 100


@dataclass
class Inspection:
    """The contents of a source.

    Characters and words are those of the cleaned texts before other steps, dropped ones included.
    """

    card: SourceCard
    """What a build would keep, drop and change, with examples."""
    characters: int = 0
    words: int = 0
    """Words separated by white space."""
    longest: dict[str, Any] = field(default_factory=lambda: {"name": "", "characters": 0})
    beginnings: list[dict[str, Any]] = field(default_factory=list)
    """Name and first lines of the first few documents."""

    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each of the rules asked for would drop: drops (in words), source, documents, lines,
    examples.
    """
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the steps over all documents of all sources found (see `file_steps`)."""

    @property
    def documents(self) -> int:
        return self.card.read.documents

    def dropped(self, reason: str) -> int:
        """The documents that a build would drop for this reason."""
        return self.card.dropped.get(reason, Tally()).count

    def count(self, document: Document) -> None:
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
        return {**asdict(self.card), "documents": self.documents, **drops, **own}


class _RuleCounts:
    """What each quality rule would drop, whatever the others do."""

    def __init__(self, names: Sequence[str]) -> None:
        self.rules, self.detects = rules_named(names), can_detect()
        self.found = {
            rule.name: {
                "drops": rule.drops,
                "source": rule.source,
                "documents": 0,
                "lines": 0,
                "examples": [],
            }
            for rule in self.rules
        }

    def add(self, document: Document) -> None:
        language = UNKNOWN
        if self.detects:
            language = language_of(document.text)
        judged = judge(document.text, self.rules, language=language, every=True)
        for violation in judged.violations:
            self._note(violation.rule.name, document, documents=1)
        for name, lines in judged.removed_lines.items():
            self._note(name, document, lines=lines)

    def _note(self, name: str, document: Document, *, documents: int = 0, lines: int = 0) -> None:
        counts: dict[str, Any] = self.found[name]
        counts["documents"] += documents
        counts["lines"] += lines
        if len(counts["examples"]) < RULE_EXAMPLES:
            counts["examples"].append(
                {"name": document.name, "text": document.text[:LINE_CHARACTERS]}
            )


class _KeptDocuments(ShownDocuments):
    """Passes each kept document on, as it was before all steps but cleaning."""

    def __init__(self, seed: int, process: ProcessConfig, read: Callable[[Document], None]) -> None:
        super().__init__(seed, process)
        self._read, self._is_cleaned_only = read, not process.names

    def add(self, document: Document, made: ProcessedDocument) -> None:
        super().add(document, made)
        if not self._is_cleaned_only:
            document = _clean(made.raw)
        self._read(document)


def _clean(raw: Document) -> Document:
    return replace(raw, text=clean(raw.text).text)


def _require_readable(cards: Sequence[SourceCard]) -> None:
    """Raise DataError where no document of any source could be read, and files or rows could
    not.
    """
    faults = []
    for card in cards:
        tally = card.read.bad_lines
        if card.read.bad_files.count:
            tally = card.read.bad_files
        if tally.count:
            faults.append(tally.shown())
    if faults and not any(card.read.documents for card in cards):
        raise DataError(
            f"Nothing could be read. {'; '.join(faults)}.",
            fix="Name other files, or correct these.",
        )


def inspect_sources(
    sources: Sequence[tuple[Source, SourceOptions]],
    process: ProcessConfig | None = None,
    *,
    show: int = 3,
    seed: int = 0,
    progress: Progress,
) -> list[Inspection]:
    """Read sources, each with its options, and count their contents; a document that an earlier one
    holds too is a repeat.

    `process`: the steps of the build. `show`: of each source the number of documents whose
    beginnings are kept; `seed` draws the random ones. Raises what `read_source` and
    `file_steps.run_file_steps` raise.
    """
    process = process or ProcessConfig()
    check_steps(process)
    # near-duplicates are shown, and stop nothing
    near_duplicates = replace(process.near_duplicates, max_dropped_share=1.0)
    cards = []  # all of them before the first is read: what can't be read is said at once
    for source, options in sources:
        understood = [each.to_plain() for each in describe_source(source, options)]
        cards.append(SourceCard(source, understood=understood))
    repeats = ExactRepeats()
    with TemporaryDirectory(prefix="groundup-") as name, SplitWriter(Path(name), (ALL,)) as writer:
        inspections = []
        for card, (source, options) in zip(cards, sources, strict=True):
            reading = DocumentReading(source, options, process, card.read, progress)
            found = Inspection(card)
            for document in _inspect(reading, found, repeats, seed):
                if len(found.beginnings) < show:
                    found.show(document)
                if process.file_steps:
                    writer.write(ALL, document)
            inspections.append(found)
        _require_readable(cards)
        writer.flush()
        if process.file_steps:
            shown_all = replace(process, near_duplicates=near_duplicates)
            _, figures = run_file_steps(
                Path(name), cards, shown_all, lambda document, reason: None, progress
            )
            for found in inspections:
                found.steps = figures
    return inspections


def _inspect(
    reading: DocumentReading, found: Inspection, repeats: ExactRepeats, seed: int
) -> Iterator[Document]:
    rules = _RuleCounts(reading.process.rules)

    def read(document: Document) -> None:
        found.count(document)
        if rules.rules:
            rules.add(document)

    def dropped(raw: Document, reason: str) -> None:
        read(_clean(raw))

    shown = _KeptDocuments(seed, reading.process, read)
    yield from kept_documents(reading, found.card, repeats, dropped, shown=shown)
    found.rules = rules.found
