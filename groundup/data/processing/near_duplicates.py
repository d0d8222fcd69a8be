"""Near-duplicates: documents that say nearly the same as a longer one (docs/processing.md). MinHash
signatures (rensa; Broder 1997) and banded lookup (Indyk and Motwani 1998) propose pairs, exact
Jaccard decides.

    find_near_duplicates(FILE, config, record=RECORD, progress=...) -> NearDuplicates
            which lines of FILE to drop
    bands_for(0.8)                           18 bands of 7 rows: two texts with Jaccard J share a
                                             band with probability 1 - (1 - J^7)^18
    read_clusters(RECORD)                    a kept document with all that were dropped for it, at a
                                             time

Documents are taken from the longest to the shortest, of the same length in the order of the file.
One is dropped if its Jaccard with a kept one is at least the threshold, never for a resemblance to
what was dropped itself (no transitive closure: in long chains of slight changes it removes
documents that have nothing in common with what is left).

The result depends on the file and the config only. Pairs that share no band are not found, nor
those beyond the last MAX_RECENT kept documents of a group, which are the nearest in length, and the
first MAX_COMPARED of a document: these limits keep a file of resembling documents from taking
quadratic time, and are counted. Memory: about 60 bytes a document, 40 more for each band that it
shares with others, CACHE_BYTES, and 30 to 90 bytes for each character of the longest document.
"""

import json
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.documents import Document
from groundup.data.processing.word_ngrams import (
    Ngrams,
    distinct,
    hash_ngrams,
    hash_words,
    mix_bits,
    ngrams,
    shared_passage,
)
from groundup.data.split import DocumentFile
from groundup.errors import DataError, FormatError, require, require_extra
from groundup.files import atomic_file, json_bytes
from groundup.locks import temporary_folder
from groundup.progress import Progress

NGRAM_WORDS = 5
MAX_RECENT, MAX_COMPARED = 100, 100
CACHE_BYTES = 2**26
SHOWN_PAIRS = 3
NO_ONE = -1
CLEAN_EXTRA, MODULE = "clean", "rensa"
MAX_HASHES = 128
MIN_RECALL = 0.95
_SEED = 1


def bands_for(threshold: float) -> tuple[int, int]:
    """Return (bands, rows): the most rows, hence the fewest false candidates, by which MIN_RECALL
    of pairs at the threshold share a band.

    >>> bands_for(0.8), bands_for(0.9)
    ((18, 7), (10, 12))
    """
    fits = (
        rows
        for rows in range(MAX_HASHES, 0, -1)
        if recall(threshold, MAX_HASHES // rows, rows) >= MIN_RECALL
    )
    rows = next(fits, 1)
    return MAX_HASHES // rows, rows


def recall(jaccard: float, bands: int, rows: int) -> float:
    """Return the probability that two texts with this Jaccard share a band.

    >>> round(recall(0.8, 14, 8), 3), round(recall(0.8, 18, 7), 3), round(recall(0.9, 18, 7), 5)
    (0.924, 0.986, 0.99999)
    """
    return 1 - (1 - jaccard**rows) ** bands


@dataclass(frozen=True)
class Groups:
    """Groups of documents that share a band with the same values."""

    members: np.ndarray
    """The documents that are in a group, in ascending order."""
    _ids: np.ndarray
    _rows: np.ndarray

    def of(self, place: int) -> list[int]:
        return self._ids[self._rows[place] : self._rows[place + 1]].tolist()


class BandKeys:
    """A context manager that computes the signatures of documents and writes the keys of their
    bands into files. Raises MissingExtra.
    """

    def __init__(self, folder: Path, threshold: float) -> None:
        require_extra(CLEAN_EXTRA, MODULE)
        self.bands, self.rows = bands_for(threshold)
        self._paths = [folder / f"band-{band}" for band in range(self.bands)]
        self._stack = ExitStack()
        self._files: list[Any] = [
            self._stack.enter_context(path.open("wb")) for path in self._paths
        ]
        self._multipliers = mix_bits(np.arange(1, self.rows + 1, dtype=np.uint64)) | np.uint64(1)
        self._wordless = array("q")
        self._count = 0

    def __enter__(self) -> "BandKeys":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def add(self, found: Ngrams) -> None:
        signatures = self._signatures(found).astype(np.uint64)
        for band, file in enumerate(self._files):
            values = signatures[:, band * self.rows : (band + 1) * self.rows]
            file.write(
                mix_bits((values * self._multipliers).sum(axis=1, dtype=np.uint64)).tobytes()
            )
        self._wordless.extend((np.flatnonzero(np.diff(found.rows) == 0) + self._count).tolist())
        self._count += len(found.rows) - 1

    def _signatures(self, found: Ngrams) -> np.ndarray:
        import rensa

        rows = found.rows.astype(np.uint64)
        digest = rensa.RMinHash.digest_matrix_from_flat_token_hashes
        matrix = digest(np.ascontiguousarray(found.hashes), rows, self.bands * self.rows, _SEED)
        return np.array(matrix.to_rows(), np.uint32)

    def groups(self) -> Groups:
        """Return the groups; documents without words are in none."""
        self._stack.close()
        members, ids, last = [], [], 0
        for path in self._paths:
            of_band, numbers = self._find_shared(np.fromfile(path, np.uint64))
            path.unlink()
            members.append(of_band)
            ids.append(numbers + last)
            if len(numbers):
                last += int(numbers[-1]) + 1
        documents = np.concatenate(members)
        order = np.argsort(documents, kind="stable")
        distinct, rows = np.unique(documents[order], return_index=True)
        return Groups(distinct, np.concatenate(ids)[order], np.append(rows, len(order)))

    def _find_shared(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the documents whose key in a band occurs more than once, and the number of the
        group of each.
        """
        order = np.argsort(keys, kind="stable")
        if self._wordless:
            order = order[~np.isin(order, np.array(self._wordless))]
        ordered = keys[order]
        same = ordered[1:] == ordered[:-1]
        is_shared = np.zeros(len(order), bool)
        is_shared[1:] |= same
        is_shared[:-1] |= same
        first = np.append(True, ~same)[: len(order)] & is_shared
        return order[is_shared], (np.cumsum(first) - 1)[is_shared]


@dataclass(frozen=True)
class NearDuplicateConfig:
    threshold: float = 0.8
    """Jaccard of word 5-grams from which on the shorter document is dropped. 0.8: Lee et al. 2022
    (arXiv 2107.06499).
    """
    max_dropped_share: float = 0.5
    """A source that would lose a larger share of its documents stops the work; 1: none does."""

    def __post_init__(self) -> None:
        where, share = "data.process.near_duplicates", self.max_dropped_share
        require(0.3 <= self.threshold <= 1, f"{where}.threshold", self.threshold, "0.3 to 1")
        require(0 <= share <= 1, f"{where}.max_dropped_share", share, "0 to 1")


@dataclass(frozen=True)
class Place:
    """A document, by its line (from 1) in the file, its source and its name."""

    line: int
    source: str
    name: str


@dataclass(frozen=True)
class NearDuplicate:
    kept: Place
    dropped: Place
    jaccard: float
    passage: str
    """The beginning of the longest passage of the dropped document that the kept one has, too."""

    def line(self) -> str:
        beginning = " ".join(self.passage.split())[:60]
        return (
            f"'{self.dropped.name}' of '{self.kept.name}' "
            f'(Jaccard {self.jaccard:.2f}: "{beginning}")'
        )


@dataclass
class SourceCount:
    documents: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class NearDuplicates:
    kept_of: np.ndarray
    """For each document the number (from 0) of the kept one that it is dropped for; NO_ONE: it is
    kept.
    """
    config: NearDuplicateConfig
    sources: dict[str, SourceCount] = field(default_factory=lambda: defaultdict(SourceCount))
    pairs_compared: int = 0
    """Pairs whose Jaccard was computed."""
    documents_limited: int = 0
    """Kept documents that were not compared with all that share a band, as there are too many
    (MAX_RECENT, MAX_COMPARED).
    """

    @property
    def dropped(self) -> int:
        return int(np.count_nonzero(self.kept_of != NO_ONE))

    def is_dropped(self, number: int) -> bool:
        return bool(self.kept_of[number] != NO_ONE)

    def summary(self) -> str:
        kept = len(distinct(self.kept_of[self.kept_of != NO_ONE]))
        line = (
            f"Near-duplicates: {self.dropped:,} of {len(self.kept_of):,} documents, "
            f"of {kept:,} that are kept"
        )
        if self.documents_limited:
            line += f" ({self.documents_limited:,} not compared with all that resemble them)"
        return f"{line}."


def find_near_duplicates(
    file: Path, config: NearDuplicateConfig | None = None, *, record: Path, progress: Progress
) -> NearDuplicates:
    """Find the near-duplicates among the documents of `file`, and write why each is dropped to
    `record`.

    Raises DataError for a source that would lose too much, FormatError, DiskError, MissingExtra
    (extra `clean`).
    """
    config = config or NearDuplicateConfig()
    with DocumentFile(file) as documents:
        lengths, source_of, sources, groups = _propose(documents, record.parent, config, progress)
        grams = _Ngrams(documents)
        kept_of, compared, limited = _decide(groups, lengths, grams, config.threshold, progress)
        counts: dict[str, SourceCount] = {}
        dropped = np.bincount(source_of[kept_of != NO_ONE], minlength=len(sources))
        for name, of_source, gone in zip(sources, np.bincount(source_of), dropped, strict=True):
            counts[name] = SourceCount(int(of_source), int(gone))
        for number, (name, count) in enumerate(counts.items()):
            if count.dropped > config.max_dropped_share * count.documents:
                lost = np.flatnonzero((source_of == number) & (kept_of != NO_ONE))[:SHOWN_PAIRS]
                pairs = [_pair(each, kept_of, grams) for each in lost]
                raise _too_much(name, count, pairs, config)
        result = NearDuplicates(kept_of, config, counts, compared, limited)
        _write_record(record, result, grams, progress)
    return result


def _propose(
    documents: DocumentFile, folder: Path, config: NearDuplicateConfig, progress: Progress
) -> tuple[np.ndarray, np.ndarray, list[str], Groups]:
    """Return the length and the source of each document, the sources, and the groups of documents
    that may resemble one another.
    """
    lengths, source_of = array("q"), array("i")
    sources: dict[str, int] = {}
    with temporary_folder(folder) as temporary, BandKeys(temporary, config.threshold) as keys:
        for batch in documents.batches("Looking for near-duplicates", progress):
            keys.add(hash_ngrams(hash_words([document.text for document in batch]), NGRAM_WORDS))
            for document in batch:
                lengths.append(len(document.text))
                source_of.append(sources.setdefault(document.source, len(sources)))
        return (
            np.array(lengths, np.int64),
            np.array(source_of, np.int64),
            list(sources),
            keys.groups(),
        )


class _Ngrams:
    """The sorted distinct n-grams of documents, those of the last ones in memory."""

    def __init__(self, documents: DocumentFile) -> None:
        self.documents = documents
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._bytes = 0

    def of(self, number: int) -> np.ndarray:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        words = hash_words([self.documents.read(number).text])
        found = distinct(hash_ngrams(words, NGRAM_WORDS).hashes)
        self._kept[number] = found
        self._bytes += found.nbytes
        while self._bytes > CACHE_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return found


def _decide(
    groups: Groups, lengths: np.ndarray, grams: _Ngrams, threshold: float, progress: Progress
) -> tuple[np.ndarray, int, int]:
    """Return for each document the kept one that it is dropped for, the number of pairs compared,
    and of documents that met a limit.
    """
    kept_of = np.full(len(lengths), NO_ONE, np.int64)
    recent: dict[int, deque[int]] = defaultdict(lambda: deque(maxlen=MAX_RECENT))
    compared = limited = 0
    with progress.track("Comparing documents", len(groups.members), "documents") as advance:
        for place in np.lexsort((groups.members, -lengths[groups.members])).tolist():
            number, own = int(groups.members[place]), groups.of(place)
            shared = Counter(other for group in own for other in recent[group])
            # By the number of common bands, then the longest, then the first.
            candidates = sorted(shared, key=lambda other: (-shared[other], -lengths[other], other))
            for other in candidates[:MAX_COMPARED]:
                compared += 1
                if jaccard(grams.of(other), grams.of(number), at_least=threshold) >= threshold:
                    kept_of[number] = other
                    break
            else:
                is_full = any(len(recent[each]) == MAX_RECENT for each in own)
                limited += is_full or len(candidates) > MAX_COMPARED
                for group in own:
                    recent[group].append(number)
            advance()
    return kept_of, compared, limited


def jaccard(one: np.ndarray, other: np.ndarray, *, at_least: float = 0) -> float:
    """Return |A and B| / |A or B| of two arrays of distinct values; 0 where the sizes alone rule
    out `at_least`, and for empty ones.
    """
    small, large = sorted((one, other), key=len)
    if not len(small) or len(small) / len(large) < at_least:
        return 0.0
    both = np.sort(np.concatenate((small, large)))
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (len(small) + len(large) - shared)


def _pair(number: int, kept_of: np.ndarray, grams: _Ngrams) -> NearDuplicate:
    other = int(kept_of[number])
    dropped, kept = grams.documents.read(number), grams.documents.read(other)
    value = jaccard(grams.of(other), grams.of(number))
    passage = shared_passage(dropped.text, grams.of(other), NGRAM_WORDS)
    return NearDuplicate(_place(other, kept), _place(number, dropped), value, passage)


def _place(number: int, document: Document) -> Place:
    return Place(int(number) + 1, document.source, document.name)


def _too_much(
    name: str, count: SourceCount, pairs: Sequence[NearDuplicate], config: NearDuplicateConfig
) -> DataError:
    shown = "; ".join(pair.line() for pair in pairs)
    return DataError(
        f"{name} would lose {count.dropped:,} of its {count.documents:,} documents as "
        f"near-duplicates, more than the share of {config.max_dropped_share:g} that is allowed: "
        f"{shown}.",
        fix="Where that is right, allow it with data.process.near_duplicates.max_dropped_share=1; "
        "else raise data.process.near_duplicates.threshold, or leave the step out.",
    )


def _write_record(record: Path, result: NearDuplicates, grams: _Ngrams, progress: Progress) -> None:
    """Write the evidence, what was dropped for one document together."""
    dropped = np.flatnonzero(result.kept_of != NO_ONE)
    order = dropped[np.lexsort((dropped, result.kept_of[dropped]))]
    track = progress.track("Writing near-duplicates", len(order), "documents")
    with atomic_file(record) as temporary, temporary.open("wb") as out, track as advance:
        for number in order.tolist():
            out.write(json_bytes(asdict(_pair(number, result.kept_of, grams))) + b"\n")
            advance()


def read_clusters(record: Path) -> Iterator[list[NearDuplicate]]:
    """Yield for each kept document what was dropped for it. Raises FormatError."""
    if not record.is_file():
        raise FormatError(record, "file", "is missing")
    with record.open("rb") as lines:
        pairs = (_read_pair(line, record, number) for number, line in enumerate(lines, start=1))
        for _, cluster in groupby(pairs, key=lambda pair: pair.kept.line):
            yield list(cluster)


def _read_pair(line: bytes, record: Path, number: int) -> NearDuplicate:
    try:
        row = json.loads(line)
        kept, dropped = (
            Place(int(p["line"]), str(p["source"]), str(p["name"]))
            for p in (row["kept"], row["dropped"])
        )
        return NearDuplicate(kept, dropped, float(row["jaccard"]), str(row["passage"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(record, f"line {number}", "is not a near-duplicate") from error


def all_pairs(texts: Sequence[str], threshold: float = NearDuplicateConfig.threshold) -> list[int]:
    """Return for each text the kept one that it is a near-duplicate of, or NO_ONE: the readable
    version, which compares all pairs.
    """
    grams, kept_of = [ngrams(text, NGRAM_WORDS) for text in texts], [NO_ONE] * len(texts)
    kept: list[int] = []
    for number in sorted(range(len(texts)), key=lambda each: (-len(texts[each]), each)):
        for other in kept:
            shared = len(grams[number] & grams[other])
            if shared and shared / len(grams[number] | grams[other]) >= threshold:
                kept_of[number] = other
                break
        else:
            kept.append(number)
    return kept_of
