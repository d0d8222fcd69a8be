"""Sources -> a data folder: every document is cleaned, filtered, deduplicated, and assigned to
train or validation.

    OUT/train.jsonl, OUT/validation.jsonl, OUT/test.jsonl
                                             a line per document: text, source, name, sha256
    OUT/dropped.jsonl                        with `keep_dropped`: text, source, name and reason of
                                             each dropped document
    OUT/data.json                            the data card: what was kept, dropped and changed, and
                                             why (data_card.py)
    OUT/near_duplicates.jsonl, contamination.jsonl
                                             with these steps: the evidence for each dropped
                                             document (file_steps.py)
    OUT/manifest.json                        size and SHA-256 of the files

The folder is created atomically; a killed preparation goes on behind the files that it saved last
(`partial`). The result is a pure function of the sources' bytes, the config and the seed: who read
and processed the documents (`runners`) changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from groundup.config import build_config
from groundup.data.documents import Document
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.data_card import DataCard, SourceCard, split_summary
from groundup.data.preparation.file_steps import ALL, check_steps, run_file_steps
from groundup.data.preparation.samples import ChangeExamples, TextSample
from groundup.data.processing.filters import ExactRepeats, reason_to_drop
from groundup.data.processing.steps import ProcessConfig, depends_on, document_steps
from groundup.data.reading.source_files import Source, disk_bytes, quick_hash
from groundup.data.reading.sources import describe_source, require_distinct_names
from groundup.data.resumable_folder import Partial, partial_folder
from groundup.data.runners.runner import DocumentReading, ProcessedDocument, Runner, check_runner
from groundup.data.split import (
    TRAIN,
    Counts,
    SplitCounts,
    SplitWriter,
    read_split,
    repair_split,
    split_of,
)
from groundup.errors import DataError
from groundup.files import json_bytes, sha256_text, write_json
from groundup.progress import Progress

CARD_FILE = "data.json"
DROPPED_FILE = "dropped.jsonl"
REPEAT = "exact repeat"
REPEATS_FILE = "repeats.bin"  # while it is written
# What a killed preparation does again at most, of sources with several files.
SAVE_BYTES = 64 * 2**20
# Of the code: with another one, the same texts give another data folder.
VERSION = 1


def prepare(
    sources: Sequence[Source],
    out: Path,
    config: DataConfig | None = None,
    *,
    seed: int = 0,
    runner: str = "auto",
    progress: Progress,
) -> DataCard:
    """Write the data folder `out` from `sources`; an existing one is replaced when the new one is
    complete. `runner`: see `runners`.

    Raises DataError when no document or no validation text is left, and what reading the sources
    raises.
    """
    config, runner = config or DataConfig(), check_runner(runner)
    require_distinct_names(sources)
    check_steps(config.process)
    hashes = [quick_hash(source) for source in sources]
    key = sha256_text(repr((VERSION, hashes, config, seed, depends_on(config.process))))
    with partial_folder(out, key) as made:
        with _Preparation(made, sources, config, seed, runner, progress) as preparation:
            preparation.read()
            counts = preparation.counts
            if config.process.file_steps:
                counts = preparation.run_file_steps()
        _require_documents(preparation.cards)
        counts, cuts = repair_split(made.folder, counts, config.fractions, begin=made.forget)
        (made.folder / REPEATS_FILE).unlink()
        result = DataCard(preparation.cards, counts, cuts, config, seed, preparation.found)
        write_json(made.folder / CARD_FILE, asdict(result))
    progress.say(split_summary(result))
    return result


class _Preparation:
    """A context manager: the data folder while the sources are read, file by file, from where an
    earlier call came to.
    """

    def __init__(
        self,
        partial: Partial,
        sources: Sequence[Source],
        config: DataConfig,
        seed: int,
        runner: Runner,
        progress: Progress,
    ) -> None:
        self.partial, self.config, self.seed = partial, config, seed
        self.runner, self.progress = runner, progress
        state, splits = partial.state, (TRAIN, *config.fractions)
        if config.process.file_steps:
            splits = (ALL,)
        self.found: dict[str, dict[str, Any]] = {}
        self.cards = [SourceCard(source) for source in sources]
        counts = None
        if state:
            self.cards = [build_config(SourceCard, card) for card in state["cards"]]
            counts = {split: SplitCounts(**state["counts"][split]) for split in splits}
            done = sum(card.read.files for card in self.cards)
            progress.say(
                f"{done:,} files were read by an earlier call: the reading goes on behind them."
            )
        self.source, self.files = state.get("source", 0), state.get("files", 0)
        self.shown = ShownDocuments(seed, config.process, state.get("shown"))
        self.saved_bytes = 0
        self.writer = SplitWriter(partial.folder, splits, counts)
        self.repeats = ExactRepeats(partial.folder / REPEATS_FILE)
        self.outputs = [*self.writer.files, partial.folder / REPEATS_FILE]
        self.dropped: BinaryIO | None = None
        if config.keep_dropped:
            self.outputs.append(partial.folder / DROPPED_FILE)
            self.dropped = self.outputs[-1].open("ab")

    def __enter__(self) -> "_Preparation":
        return self

    def __exit__(self, *exc: object) -> None:
        self.writer.close()
        self.repeats.close()
        if self.dropped:
            self.dropped.close()

    @property
    def counts(self) -> Counts:
        return self.writer.counts

    def read(self) -> None:
        for card in self.cards[self.source :]:
            described = describe_source(
                card.source, self.config.source_options, progress=self.progress
            )
            card.understood = [each.to_plain() for each in described]
            self.saved_bytes = card.read.read_bytes
            reading = DocumentReading(
                card.source,
                self.config.source_options,
                self.config.process,
                card.read,
                self.progress,
                passed=self.files,
                after_file=self.after_file,
            )
            for document in kept_documents(
                reading, card, self.repeats, self.drop, shown=self.shown, runner=self.runner
            ):
                self.write(document)
            self.progress.say(card.summary())
            self.source, self.files = self.source + 1, 0
            self.shown = ShownDocuments(self.seed, self.config.process)
            self.save()
        # nothing is compared with it any more
        self.outputs.remove(self.partial.folder / REPEATS_FILE)
        self.save()

    def write(self, document: Document) -> None:
        split = ALL
        if ALL not in self.counts:
            split = self.split_of(document)
        self.writer.write(split, document)

    def split_of(self, document: Document) -> str:
        return split_of(document.text, self.config.fractions, self.seed)

    def run_file_steps(self) -> Counts:
        """Run the steps that see all documents, split what is left, and return the sizes of the
        splits.
        """
        self.writer.close()
        folder, steps = self.partial.folder, self.config.process
        left, self.found = run_file_steps(folder, self.cards, steps, self.drop, self.progress)
        with SplitWriter(folder, (TRAIN, *self.config.fractions)) as writer:
            for document in read_split(folder, left):
                writer.write(self.split_of(document), document)
        self.partial.forget()
        for file in folder.glob(f"{ALL}*.jsonl"):
            file.unlink()
        return writer.counts

    def drop(self, raw: Document, reason: str) -> None:
        """Write a dropped document as it was read, with `keep_dropped`."""
        if self.dropped:
            # a JSON text may hold lone surrogates
            text = raw.text.encode("utf-8", "replace").decode()
            row = {"text": text, "source": raw.source, "name": raw.name, "reason": reason}
            self.dropped.write(json_bytes(row) + b"\n")

    def after_file(self, files: int) -> None:
        """Save where enough was read; `files`: those of the present source that are done."""
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
        self.partial.save({**state, "shown": self.shown.state()}, self.outputs)


class ShownDocuments:
    """What the card of a source shows of its documents: a random sample, and places that cleaning
    changed.
    """

    def __init__(
        self, seed: int, process: ProcessConfig, state: dict[str, Any] | None = None
    ) -> None:
        self._sample, self._changes = TextSample(seed), ChangeExamples()
        self._steps = document_steps(process)
        if state:
            self._sample.restore(state["sample"])
            self._changes = ChangeExamples(**state["changes"])

    def add(self, document: Document, made: ProcessedDocument) -> None:
        self._sample.add(document.name, document.text)
        if self._changes.wants(made.made.changes):
            for change in made.changes_by_step(self._steps):
                self._changes.add(document.name, *change)

    def write(self, card: SourceCard) -> None:
        card.samples, card.languages = self._sample.shown(), self._sample.languages()
        card.change_examples = self._changes.found

    def state(self) -> dict[str, object]:
        """Return JSON values from which another one goes on."""
        return {"sample": self._sample.state(), "changes": asdict(self._changes)}


def kept_documents(
    reading: DocumentReading,
    card: SourceCard,
    repeats: ExactRepeats,
    dropped: Callable[[Document, str], None],
    *,
    shown: ShownDocuments,
    runner: Runner = "one",
) -> Iterator[Document]:
    """Yield the kept documents of one source, cleaned; count in `card`, and pass the dropped ones
    with their reason to `dropped`.
    """
    total_mb = disk_bytes(card.source) / 1e6
    with reading.progress.track(f"Reading {card.source.title}", total_mb, "MB") as advance:

        def read(read_bytes: int) -> None:
            if read_bytes:
                advance(read_bytes / 1e6)

        read(card.read.read_bytes)  # by an earlier call
        reading.advance = read
        for made in reading.documents(runner):
            raw, document = made.raw, Document(made.made.text, made.raw.source, made.raw.name)
            reason = made.made.reason or reason_to_drop(document)
            if not reason and repeats.is_repeat(document.text):
                reason = REPEAT
            if reason:
                card.drop(raw, reason)
                dropped(raw, reason)
            else:
                card.keep(document, made.made.changes, len(raw.text))
                shown.add(document, made)
                yield document
    shown.write(card)


def _require_documents(cards: Sequence[SourceCard]) -> None:
    if any(card.kept_documents for card in cards):
        return
    read = sum(card.read.documents for card in cards)
    reasons: Counter[str] = Counter()
    for card in cards:
        reasons.update({reason: noted.count for reason, noted in card.dropped.items()})
        reasons.update(card.read.bad_files.examples)
    why = [f"{read} read", *(f"{count} {reason}" for reason, count in reasons.items())]
    specs = ", ".join(card.source.spec for card in cards)
    raise DataError(
        f"No document of {specs} is left: {', '.join(why)}.",
        fix="Name a source with text in it.",
    )
