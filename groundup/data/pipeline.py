"""Sources -> a data folder: every document is cleaned, filtered, deduplicated, and assigned to train or validation.

    OUT/train.jsonl, OUT/validation.jsonl, OUT/test.jsonl
                                             a line per document: text, source, name, sha256
    OUT/dropped.jsonl                        with `keep_dropped`: text, source, name and reason of each dropped document
    OUT/data.json                            the data card: what was kept, dropped and changed, and why
    OUT/manifest.json                        size and SHA-256 of the files

Nothing is lost uncounted. For each source, in documents and in characters:

    read.documents                      = kept_documents + dropped_documents         bad rows and files: read.bad_documents, besides
    read.characters                     = kept_characters + cleaned_characters + dropped_characters

The folder is created atomically; a killed preparation goes on behind the files that it saved last (`partial`).
The result is a pure function of the sources' bytes, the config and the seed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from groundup.config import build_config
from groundup.data.change_examples import ChangeExamples
from groundup.data.clean import clean
from groundup.data.decoding import AUTO, EncodingErrors, check_encoding
from groundup.data.dedup import ExactRepeats
from groundup.data.documents import Document
from groundup.data.filters import reason_to_drop
from groundup.data.partial import Partial, partial_folder
from groundup.data.samples import TextSample, add_length
from groundup.data.source_files import Source, disk_bytes, quick_hash
from groundup.data.source_list import require_distinct_names
from groundup.data.source_report import SourceReport, Tally
from groundup.data.sources import SourceOptions, describe_source, read_source
from groundup.data.split import (
    TEST,
    TRAIN,
    VALIDATION,
    Counts,
    Cut,
    SplitCounts,
    SplitWriter,
    repair_split,
    split_of,
)
from groundup.errors import ConfigError, DataError, require
from groundup.files import json_bytes, sha256_text, write_json
from groundup.progress import Advance, Progress

CARD_FILE = "data.json"
DROPPED_FILE = "dropped.jsonl"
# What the card shows of the dropped documents, for each reason.
DROP_EXAMPLES, DROPPED_CHARACTERS = 2, 200
REPEAT = "exact repeat"
# Of the documents, by hash: the largest share that is not trained on.
MAX_HELD_OUT = 0.8
REPEATS_FILE = "repeats.bin"  # while it is written
# What a killed preparation does again at most, of sources with several files.
SAVE_BYTES = 64 * 2**20
# Of the code: with another one, the same texts give another data folder.
VERSION = 1


@dataclass(frozen=True)
class DataConfig:
    """The configuration of reading and splitting texts."""

    text_column: str = ""
    """The field or column with the text, in .jsonl, .json, .csv and .parquet; "": it is recognised."""
    encoding_errors: EncodingErrors = "replace"
    """Invalid bytes: "replace" (by U+FFFD) or "drop"; both are counted."""
    strict: bool = False
    """Raise an error at the first bad line."""
    validation_fraction: float = 0.08
    """Share of the documents, by hash, used for validation. 0.08: three of the forty of quickstart; of 0.05, it might be one."""
    test_fraction: float = 0.08
    """Share of the documents, by hash, on which the published figures are measured; 0: none."""
    follow_links: bool = False
    """Read links that leave the folder of the texts, and links to folders (pretrain, plan, sweep; a recipe sets it for each source)."""
    encoding: str = AUTO
    """The encoding of text files without a byte order mark, or "auto"."""
    keep_dropped: bool = False
    """Write the dropped documents to `dropped.jsonl`."""

    def __post_init__(self) -> None:
        share = self.validation_fraction
        require(0 < share <= 0.5, "validation_fraction", share, "above 0 and at most 0.5")
        if not 0 <= self.test_fraction <= 0.5 or share + self.test_fraction > MAX_HELD_OUT:
            both = f"validation_fraction is {share} and test_fraction {self.test_fraction}"
            raise ConfigError(f"{both}; the latter must be 0 to 0.5, and both together at most {MAX_HELD_OUT}.")
        check_encoding(self.encoding)

    @property
    def fractions(self) -> dict[str, float]:
        """The shares of the splits beside train."""
        return {VALIDATION: self.validation_fraction, **({TEST: self.test_fraction} if self.test_fraction else {})}

    @property
    def source_options(self) -> SourceOptions:
        """The options for reading."""
        return SourceOptions(self.text_column, self.encoding_errors, self.strict, self.encoding)


@dataclass
class SourceCard:
    """The data card of one source."""

    source: Source
    read: SourceReport = field(default_factory=SourceReport)
    kept_documents: int = 0
    kept_characters: int = 0
    dropped: dict[str, Tally] = field(default_factory=dict)
    """reason -> number of documents, and the names of the first ones."""
    dropped_documents: int = 0
    dropped_characters: int = 0
    """Characters of the dropped documents before cleaning."""
    cleaned_characters: int = 0
    """Characters that cleaning removed from the kept documents, less those that it added."""
    changed: dict[str, int] = field(default_factory=dict)
    """Changes by cleaning in the kept documents (see clean.Cleaned)."""
    samples: list[dict[str, str]] = field(default_factory=list)
    """The beginnings of random kept documents."""
    understood: list[dict[str, Any]] = field(default_factory=list)
    """What the files hold (see `description.Description`): name, layout, roles, first row, and the line that says it."""
    lengths: list[int] = field(default_factory=list)
    """The number of kept documents by length (see `samples.add_length`)."""
    languages: dict[str, Any] | None = None
    """The languages of a sample of the kept documents (see `samples.TextSample`); None: not detected."""
    change_examples: list[dict[str, Any]] = field(default_factory=list)
    """Places of kept documents before and after cleaning: name, changes, before, after."""
    drop_examples: list[dict[str, str]] = field(default_factory=list)
    """The beginnings of the first documents dropped for each reason, before cleaning: reason, name, text."""

    def keep(self, document: Document, changes: Counter[str], raw_characters: int) -> None:
        """Count a kept document that had `raw_characters` before cleaning."""
        self.kept_documents += 1
        self.kept_characters += len(document.text)
        self.cleaned_characters += raw_characters - len(document.text)
        add_length(self.lengths, len(document.text))
        if changes:
            self.changed = dict(changes + Counter(self.changed))

    def drop(self, raw: Document, reason: str) -> None:
        """Count a dropped document."""
        self.dropped_documents += 1
        self.dropped_characters += len(raw.text)
        tally = self.dropped.setdefault(reason, Tally())
        tally.note(raw.name)
        if tally.count <= DROP_EXAMPLES:
            self.drop_examples.append({"reason": reason, "name": raw.name, "text": raw.text[:DROPPED_CHARACTERS]})

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Return one line of text."""
        parts = [f"{self.kept_documents:,} documents kept, {self.kept_characters:,} characters"]
        parts += [f"{tally.count:,} dropped ({reason})" for reason, tally in self.dropped.items()]
        parts += [f"{tally.count:,} files skipped ({reason})" for reason, tally in self.read.skipped.items()]
        if self.read.bad_lines.count:
            bad = self.read.bad_lines
            parts.append(f"{bad.count:,} of {self.read.lines:,} lines bad (first: {bad.examples[0]})")
        if self.read.bad_files.count:
            parts.append(f"{self.read.bad_files.count:,} files without text ({self.read.bad_files.shown()})")
        parts += self.read.decoded_lines()
        return f"{self.source.title}: {'; '.join(parts)}."


@dataclass
class DataCard:
    """What was kept, dropped and changed, and the split. `data.json` holds `to_plain()`."""

    sources: list[SourceCard]
    splits: Counts
    cuts: list[Cut]
    config: DataConfig
    seed: int

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def prepare(
    sources: Sequence[Source], out: Path, config: DataConfig | None = None, *, seed: int = 0, progress: Progress
) -> DataCard:
    """Write the data folder `out` from `sources`; an existing one is replaced when the new one is complete.

    Raises DataError when no document or no validation text is left, and what reading the sources raises.
    """
    config = config or DataConfig()
    require_distinct_names(sources)
    key = sha256_text(repr((VERSION, [quick_hash(source) for source in sources], config, seed)))
    with partial_folder(out, key) as partial:
        with _Preparation(partial, sources, config, seed, progress) as preparation:
            preparation.read()
        _require_documents(preparation.cards)
        counts, cuts = repair_split(partial.folder, preparation.counts, config.fractions, begin=partial.forget)
        (partial.folder / REPEATS_FILE).unlink()
        result = DataCard(preparation.cards, counts, cuts, config, seed)
        write_json(partial.folder / CARD_FILE, result.to_plain())
    progress.say(split_summary(result))
    return result


class _Preparation:
    """A context manager: the data folder while the sources are read, file by file, from where an earlier call came to."""

    def __init__(
        self, partial: Partial, sources: Sequence[Source], config: DataConfig, seed: int, progress: Progress
    ) -> None:
        self.partial, self.config, self.seed, self.progress = partial, config, seed, progress
        state, splits = partial.state, (TRAIN, *config.fractions)
        self.cards = [SourceCard(source) for source in sources]
        counts = None
        if state:
            self.cards = [build_config(SourceCard, card) for card in state["cards"]]
            counts = {split: SplitCounts(**state["counts"][split]) for split in splits}
            done = sum(card.read.files for card in self.cards)
            progress.say(f"{done:,} files were read by an earlier call: the reading goes on behind them.")
        self.source, self.files = state.get("source", 0), state.get("files", 0)
        self.shown = ShownDocuments(seed, state.get("shown"))
        self.saved_bytes = 0
        dropped = [partial.folder / DROPPED_FILE] if config.keep_dropped else []
        self.writer = SplitWriter(partial.folder, splits, counts)
        self.repeats = ExactRepeats(partial.folder / REPEATS_FILE)
        self.dropped = dropped[0].open("ab") if dropped else None
        self.outputs = [*self.writer.files, partial.folder / REPEATS_FILE, *dropped]

    def __enter__(self) -> "_Preparation":
        return self

    def __exit__(self, *exc: object) -> None:
        self.writer.close()
        self.repeats.close()
        if self.dropped:
            self.dropped.close()

    @property
    def counts(self) -> Counts:
        """The sizes of the splits so far."""
        return self.writer.counts

    def read(self) -> None:
        """Read the sources that are left."""
        for card in self.cards[self.source :]:
            described = describe_source(card.source, self.config.source_options, progress=self.progress)
            card.understood = [each.to_plain() for each in described]
            self.saved_bytes = card.read.read_bytes
            for document in kept_documents(
                *(card, self.repeats, self.config.source_options, self.progress, self.drop),
                shown=self.shown,
                passed=self.files,
                after_file=self.after_file,
            ):
                self.writer.write(split_of(document.text, self.config.fractions, self.seed), document)
            self.progress.say(card.summary())
            self.source, self.files, self.shown = self.source + 1, 0, ShownDocuments(self.seed)
            self.save()
        self.outputs.remove(self.partial.folder / REPEATS_FILE)  # nothing is compared with it any more
        self.save()

    def drop(self, raw: Document, reason: str) -> None:
        """Write a dropped document as it was read, with `keep_dropped`."""
        if self.dropped:
            text = raw.text.encode("utf-8", "replace").decode()  # a JSON text may hold lone surrogates
            row = {"text": text, "source": raw.source, "name": raw.name, "reason": reason}
            self.dropped.write(json_bytes(row) + b"\n")

    def after_file(self, files: int) -> None:
        """Save, so many files of the present source being done, if there is enough to be saved."""
        read = self.cards[self.source].read
        if read.files and read.read_bytes - self.saved_bytes >= SAVE_BYTES:
            self.files, self.saved_bytes = files, read.read_bytes
            self.save()

    def save(self) -> None:
        """Keep what was done: a later call goes on from here."""
        self.writer.flush()
        self.repeats.flush()
        if self.dropped:
            self.dropped.flush()
        counts = {split: asdict(each) for split, each in self.counts.items()}
        cards = [asdict(card) for card in self.cards]
        state = {"source": self.source, "files": self.files, "cards": cards, "counts": counts}
        self.partial.save({**state, "shown": self.shown.to_plain()}, self.outputs)


class ShownDocuments:
    """What the card of a source shows of its documents: a random sample, and places that cleaning changed."""

    def __init__(self, seed: int, state: dict[str, Any] | None = None) -> None:
        self._sample, self._changes = TextSample(seed), ChangeExamples()
        if state:
            self._sample.restore(state["sample"])
            self._changes = ChangeExamples(**state["changes"])

    def add(self, raw: Document, document: Document, changes: Counter[str]) -> None:
        """Consider a document, raw and cleaned."""
        self._changes.add(raw.name, raw.text, changes)
        self._sample.add(document.name, document.text)

    def write(self, card: SourceCard) -> None:
        """Write what was chosen into the card."""
        card.samples, card.languages = self._sample.shown(), self._sample.languages()
        card.change_examples = self._changes.found

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values: the state, from which another one goes on."""
        return {"sample": self._sample.state(), "changes": asdict(self._changes)}


def kept_documents(
    card: SourceCard,
    repeats: ExactRepeats,
    options: SourceOptions,
    progress: Progress,
    dropped: Callable[[Document, str], None],
    *,
    shown: ShownDocuments,
    passed: int = 0,
    after_file: Callable[[int], None] | None = None,
) -> Iterator[Document]:
    """Yield the kept documents of one source, cleaned; count in `card`, and pass the dropped ones with their reason to `dropped`.

    See `sources.read_files` for `passed` and `after_file`.
    """
    total_mb = disk_bytes(card.source) / 1e6
    with progress.track(f"Reading {card.source.title}", total_mb, "MB") as advance:
        done = 0
        for raw in read_source(
            card.source, options, card.read, progress=progress, passed=passed, after_file=after_file
        ):
            done = _advance(advance, done, card.read.read_bytes)
            cleaned = clean(raw.text)
            document = Document(cleaned.text, raw.source, raw.name)
            reason = reason_to_drop(document) or (REPEAT if repeats.is_repeat(document.text) else None)
            if reason:
                card.drop(raw, reason)
                dropped(raw, reason)
            else:
                card.keep(document, cleaned.changes, len(raw.text))
                shown.add(raw, document, cleaned.changes)
                yield document
    shown.write(card)


def _advance(advance: Advance, before: int, now: int) -> int:
    if now > before:
        advance((now - before) / 1e6)
    return now


def _require_documents(cards: Sequence[SourceCard]) -> None:
    if any(card.kept_documents for card in cards):
        return
    read = sum(card.read.documents for card in cards)
    reasons: Counter[str] = Counter()
    for card in cards:
        reasons.update({reason: noted.count for reason, noted in card.dropped.items()})
        reasons.update(card.read.bad_files.examples)
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    specs = ", ".join(card.source.spec for card in cards)
    raise DataError(
        f"No document of {specs} is left: {read} read{f', {why}' if why else ''}.", fix="Name a source with text in it."
    )


def split_summary(card: DataCard) -> str:
    """Return one line of text on the split."""
    parts = [
        f"{name} {size.documents:,} documents, {size.characters:,} characters" for name, size in card.splits.items()
    ]
    line = f"Split by hash: {'; '.join(parts)}."
    for cut in card.cuts:
        line += f" The end of {cut.name} (from character {cut.at_character:,}) is {cut.split}, since {cut.why}."
    return line
