"""Decontamination: documents that hold a part of an evaluation item are found, by common word
n-grams, so that they are not trained on (the rules: docs/processing.md).

    find_contaminated(FILE, items, config, record=RECORD, progress=...) -> Contamination
            which lines of FILE to drop
    evaluation_items(source, progress=...)               items of any file or folder: texts, labels,
                                                         chats, preferences, else each text of a row

`items` are (name, text) pairs. From the literature. 13 words, and 8 as the least: GPT-3 (Brown et
al. 2020, arXiv 2005.14165, appendix C), whose rule lm-evaluation-harness took over. There, n-grams
in more than 10 documents are ignored, as licences and menus are in thousands of pages. But a test
set that was copied eleven times is lost with them; so half of an item counts nevertheless, as Llama
2 and 3 judge an item by the share of it that was seen (Touvron et al. 2023, arXiv 2307.09288, A.6;
Llama Team 2024, arXiv 2407.21783, 5.1.4); half is Cosmopedia's limit. GPT-3 cuts 200 characters on
both sides of a match out of a document; here the whole document goes, which is simpler and, of
documents of web size, little.

Memory: about 40 bytes for each n-gram of the items, and 9 bytes for each document.
"""

import dataclasses
import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.clean import clean
from groundup.data.documents import (
    ComparedExample,
    Document,
    Example,
    PreferenceExample,
    PromptExample,
    RatedExample,
    TextPair,
    to_conversation,
)
from groundup.data.processing.word_ngrams import (
    Words,
    distinct,
    hash_ngrams,
    hash_words,
    is_in,
    shared_passage,
)
from groundup.data.reading.example_rows import AnyExample
from groundup.data.reading.examples import read_examples
from groundup.data.reading.format_detection import sniff
from groundup.data.reading.layouts import LAYOUTS, TEXT, Layout
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.records import SourceFile, rows
from groundup.data.reading.source_files import ROW_SUFFIXES, Source, source_files
from groundup.data.reading.source_report import LineTally, SourceReport
from groundup.data.reading.sources import describe_source, read_source, read_texts
from groundup.data.split import DocumentFile
from groundup.errors import DataError, require
from groundup.files import atomic_file, json_bytes
from groundup.progress import Progress

SHOWN_ITEMS = 3
# Shorter items are looked for as whole documents only: GPT-3's least n.
MIN_WORDS = 8
# An n-gram in more items, and in a larger share of them, is their boilerplate.
COMMON_ITEMS, COMMON_ITEM_SHARE = 10, 0.01
_MAX_BITS = 27


class ItemIndex:
    """The n-grams of items: `keys` are their sorted hashes."""

    def __init__(self, items: Iterable[tuple[str, str]], n: int) -> None:
        self.n = n
        self.names: list[str] = []
        self.lengths: list[int] = []
        """Words of each item's n-grams: n, or all of a shorter one."""
        self.counts = dict.fromkeys(
            ("indexed", "repeated", "boilerplate", "without_words", "whole_documents_only"), 0
        )
        found = self._read(items)
        owners = np.repeat(np.arange(len(found)), [len(each) for each in found])
        hashes = np.concatenate([*found, np.zeros(0, np.uint64)])
        order = np.argsort(hashes, kind="stable")
        keys, rows = np.unique(hashes[order], return_index=True)
        in_items = np.diff(np.append(rows, len(hashes)))
        is_boilerplate = (in_items > COMMON_ITEMS) & (in_items > COMMON_ITEM_SHARE * len(found))
        owners = owners[order][~np.repeat(is_boilerplate, in_items)]
        self.keys: np.ndarray = keys[~is_boilerplate]
        self._rows = np.cumsum([0, *in_items[~is_boilerplate].tolist()])
        self._owners = owners
        self.sizes = np.bincount(owners, minlength=len(found))
        """Distinct n-grams of each item."""
        self.counts["indexed"] = int(np.count_nonzero(self.sizes))
        self.counts["boilerplate"] = len(found) - self.counts["indexed"]
        self._short = sorted({length for length in self.lengths if MIN_WORDS <= length < n})
        self._shift = np.uint64(64 - min(_MAX_BITS, max(16, (16 * len(self.keys)).bit_length())))
        self._bits = np.zeros(1 << (64 - int(self._shift)), bool)
        self._bits[self.keys >> self._shift] = True

    def _read(self, items: Iterable[tuple[str, str]]) -> list[np.ndarray]:
        """Return the distinct n-grams of each item that is not a repeat."""
        found, seen = [], set()
        for name, text in items:
            words = hash_words([clean(text).text])
            if not len(words.hashes):
                self.counts["without_words"] += 1
                continue
            key = hashlib.blake2b(words.hashes.tobytes(), digest_size=16).digest()
            if key in seen:
                self.counts["repeated"] += 1
                continue
            seen.add(key)
            self.counts["whole_documents_only"] += len(words.hashes) < MIN_WORDS
            self.names.append(name)
            self.lengths.append(min(self.n, len(words.hashes)))
            found.append(distinct(hash_ngrams(words, self.n).hashes))
        return found

    def items_of(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (place in `keys`, item) for each item that has one of these n-grams."""
        starts, counts = self._rows[keys], self._rows[keys + 1] - self._rows[keys]
        places = np.repeat(np.arange(len(keys)), counts)
        within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        return places, self._owners[starts[places] + within]

    def hits(self, words: Words) -> tuple[np.ndarray, np.ndarray]:
        """Return (text, key) for each distinct n-gram of an item that is in one of the texts, in
        order.

        A text of under n words is an n-gram as a whole; items of MIN_WORDS to n - 1 words are
        looked for anywhere in a text.
        """
        pairs = [np.zeros(0, np.int64)]  # text * number of keys + key
        for n in (*self._short, self.n):
            found = hash_ngrams(words, n)
            maybe = np.flatnonzero(self._bits[found.hashes >> self._shift])
            maybe = maybe[is_in(found.hashes[maybe], self.keys)]
            texts = np.searchsorted(found.rows, maybe, side="right") - 1
            pairs.append(texts * len(self.keys) + np.searchsorted(self.keys, found.hashes[maybe]))
        return np.divmod(distinct(np.concatenate(pairs)), max(1, len(self.keys)))


@dataclass(frozen=True)
class DecontaminationConfig:
    ngram_words: int = 13
    """Words of an n-gram."""
    min_ngrams: int = 1
    """A document is dropped with this number of n-grams of one item that are in few documents."""
    common_documents: int = 10
    """An n-gram in more documents is common."""
    item_share: float = 0.5
    """A document is dropped that has this share of an item's n-grams, common ones too."""

    def __post_init__(self) -> None:
        where = "data.process.decontamination"
        require(8 <= self.ngram_words <= 50, f"{where}.ngram_words", self.ngram_words, "8 to 50")
        require(self.min_ngrams >= 1, f"{where}.min_ngrams", self.min_ngrams, "at least 1")
        common, share = self.common_documents, self.item_share
        require(common >= 0, f"{where}.common_documents", common, "at least 0")
        require(0 < share <= 1, f"{where}.item_share", share, "above 0 and at most 1")


@dataclass(frozen=True)
class Overlap:
    line: int
    """Of the document in the file, from 1."""
    source: str
    name: str
    item: str
    ngrams: int
    """Distinct n-grams of the item that the document has."""
    share: float
    """Of the item's distinct n-grams."""
    passage: str
    """The beginning of the longest passage of the document that is in the item."""

    def reason(self) -> str:
        beginning = " ".join(self.passage.split())[:60]
        return (
            f"has {self.ngrams:,} n-grams ({self.share:.0%}) of the evaluation item "
            f"'{self.item}': \"{beginning}\""
        )


@dataclass(frozen=True)
class Contamination:
    is_dropped: np.ndarray
    """Whether each document is dropped."""
    items: dict[str, int]
    """Of the evaluation items: "indexed", "repeated", "boilerplate" (nothing else in them),
    "without_words", "whole_documents_only".
    """
    items_found: int
    """Items for which a document is dropped."""
    common_ngrams: int
    """N-grams of items that are in too many documents to count alone."""
    config: DecontaminationConfig

    @property
    def dropped(self) -> int:
        return int(np.count_nonzero(self.is_dropped))

    def summary(self) -> str:
        return (
            f"Decontamination: {self.dropped:,} of {len(self.is_dropped):,} documents overlap with "
            f"{self.items_found:,} of {self.items['indexed']:,} evaluation items."
        )


def find_contaminated(
    file: Path,
    items: Iterable[tuple[str, str]],
    config: DecontaminationConfig | None = None,
    *,
    record: Path,
    progress: Progress,
) -> Contamination:
    """Find the documents of `file` that overlap with the items, and write each overlap to `record`.

    Raises DataError where no item has a word, FormatError, DiskError.
    """
    config = config or DecontaminationConfig()
    index = ItemIndex(items, config.ngram_words)
    if not index.counts["indexed"]:
        raise DataError(
            "No evaluation item has a text to look for.",
            fix="Name a file with texts or questions in it.",
        )
    with DocumentFile(file) as documents:
        places, frequencies = _scan(documents, index, progress)
        is_dropped = np.zeros(len(documents), bool)
        found: set[int] = set()
        track = progress.track("Comparing with evaluation items", len(places), "documents")
        with atomic_file(record) as temporary, temporary.open("wb") as out, track as advance:
            for number in places:
                document = documents.read(number)
                for item, keys in _overlaps(document, index, frequencies, config):
                    overlap = _overlap(number, document, index, item, keys)
                    out.write(json_bytes(asdict(overlap)) + b"\n")
                    is_dropped[number] = True
                    found.add(item)
                advance()
    common = int(np.count_nonzero(frequencies > config.common_documents))
    return Contamination(is_dropped, index.counts, len(found), common, config)


def _scan(
    documents: DocumentFile, index: ItemIndex, progress: Progress
) -> tuple[Sequence[int], np.ndarray]:
    """Return the documents that have an n-gram of an item, and for each of these n-grams in how
    many documents it is.
    """
    places, frequencies, before = array("q"), np.zeros(len(index.keys), np.int64), 0
    for batch in documents.batches("Looking for evaluation items", progress):
        rows, keys = index.hits(hash_words([document.text for document in batch]))
        frequencies += np.bincount(keys, minlength=len(frequencies))
        places.extend((distinct(rows) + before).tolist())
        before += len(batch)
    return places, frequencies


def _overlaps(
    document: Document, index: ItemIndex, frequencies: np.ndarray, config: DecontaminationConfig
) -> list[tuple[int, np.ndarray]]:
    """Return the items for which a document is dropped, at most SHOWN_ITEMS, those with most common
    n-grams first, and these n-grams.
    """
    _, keys = index.hits(hash_words([document.text]))
    places, items = index.items_of(keys)
    found, common = np.unique(items, return_counts=True)
    is_rare = frequencies[keys[places]] <= config.common_documents
    rare = np.bincount(np.searchsorted(found, items[is_rare]), minlength=len(found))
    is_held = (rare >= config.min_ngrams) | (common >= config.item_share * index.sizes[found])
    held = np.flatnonzero(is_held)
    held = held[np.argsort(-common[held], kind="stable")][:SHOWN_ITEMS]
    return [(item, keys[places[items == item]]) for item in found[held].tolist()]


def _overlap(
    number: int, document: Document, index: ItemIndex, item: int, keys: np.ndarray
) -> Overlap:
    passage = shared_passage(document.text, index.keys[keys], index.lengths[item])
    share = len(keys) / int(index.sizes[item])
    return Overlap(
        number + 1, document.source, document.name, index.names[item], len(keys), share, passage
    )


def describe_items(
    source: Source, options: SourceOptions | None = None, *, progress: Progress | None = None
) -> set[Layout | None]:
    """Return the layouts of a source of items; none where a file has rows that are not recognised.

    Raises DataError (nothing there).
    """
    options = dataclasses.replace(options or SourceOptions(), wanted=LAYOUTS)
    try:
        return {each.layout for each in describe_source(source, options, progress=progress)}
    except DataError as fault:
        files = source_files(source, SourceReport(), None)
        if not any(_is_unclear(file, options) for file in files):
            raise
        if progress:
            progress.say(f"{fault.message} So each text in its rows is an evaluation item.")
        return set()


def _is_unclear(file: SourceFile, options: SourceOptions) -> bool:
    if file.suffix not in ROW_SUFFIXES:
        return False
    found = sniff(file, options)
    return bool(found.doubt and found.form.columns)


def _every_text(source: Source, options: SourceOptions) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each text in the rows of a source, whatever they mean, and of its
    documents.
    """
    report = SourceReport()
    for file in source_files(source, report, None):
        if file.suffix not in ROW_SUFFIXES:
            yield from read_texts(file, options, report)
            continue
        for row in rows(file, sniff(file, options).form, LineTally(file.name, report)):
            for column, value in row.values.items():
                name = f"{file.name}:{row.line} ({column})"
                yield from ((name, text) for text in _texts_in(value))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts_in(each)


def evaluation_items(source: Source, *, progress: Progress) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of what would be evaluated on: documents, texts, what is said in chats and
    answered in preferences, a part at a time.

    Of a file in which examples are marked `held_out` these are taken only. Raises DataError.
    """
    options = SourceOptions()
    described = describe_items(source, options, progress=progress)
    if not described:
        yield from _every_text(source, dataclasses.replace(options, wanted=LAYOUTS))
        return
    found = described - {None, "text"}
    if not found:
        texts = dataclasses.replace(options, wanted=TEXT)
        for document in read_source(source, texts, SourceReport(), progress=progress):
            yield document.name, document.text
        return
    wanted = [layout for layout in LAYOUTS if layout in found]
    read = read_examples(source, options, wanted)
    examples = [each for each in read if not isinstance(each, TextPair | PromptExample)]
    marked = [example for example in examples if getattr(example, "held_out", False)]
    for number, example in enumerate(marked or examples, start=1):
        yield from _parts(example, f"{source.spec}:{number}")


def _parts(example: AnyExample, name: str) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of the parts of an example that a document may hold alone."""
    if isinstance(example, Example):
        yield name, example.text
        return
    if isinstance(example, ComparedExample):
        messages = example.prompt
    else:
        messages = to_conversation(example).messages
    for number, message in enumerate(messages, start=1):
        if message.role != "system":
            yield f"{example.id} ({message.role}, message {number})", message.content
    if isinstance(example, PreferenceExample):
        yield f"{example.id} (chosen)", example.chosen
        yield f"{example.id} (rejected)", example.rejected
    if isinstance(example, RatedExample):
        yield f"{example.id} (answer)", example.answer
