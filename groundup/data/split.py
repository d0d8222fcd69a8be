"""The split of documents into train, validation and test.

A document belongs to validation or test when the hash of its text and the seed lies in that part of
the hash range, independent of other documents: adding a document never moves another one, and the
same text is always on the same side. Choices (the best checkpoint) are made on validation;
published figures are those of test. A fraction of 0 for test gives no such split.

With few documents, a part may get almost nothing or almost everything by chance. Then the longest
document is cut near its end, if possible between paragraphs, and the data card reports it (`Cut`);
only this depends on the other documents.
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from groundup.data.documents import Document
from groundup.errors import DataError, FormatError
from groundup.files import json_bytes, sha256_text
from groundup.progress import Progress

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
# Minimum of validation and of test text, relative to the requested amount, and of training text,
# relative to all.
MIN_OF_WANTED = 0.25
MIN_TRAIN_OF_ALL = 0.5
# A batch ends with the document that reaches one of them.
BATCH_BYTES, BATCH_DOCUMENTS = 2**18, 4096


@dataclass
class SplitCounts:
    documents: int = 0
    characters: int = 0
    utf8_bytes: int = 0


@dataclass(frozen=True)
class Cut:
    """A document whose end was moved to validation or test."""

    source: str
    name: str
    at_character: int
    of_characters: int
    why: str
    split: str
    """Where the end is."""


Counts = dict[str, SplitCounts]


def split_of(text: str, fractions: Mapping[str, float], seed: int) -> str:
    """Return the split whose part of the hash range holds the text's hash, independent of other
    documents; the rest of the range is train.
    """
    digest = hashlib.sha256(f"{seed}/{sha256_text(text)}".encode()).digest()
    place, end = int.from_bytes(digest[:8], "big"), 0.0
    for split, fraction in fractions.items():
        end += fraction * 2**64
        if place < end:
            return split
    return TRAIN


def splits_in(folder: Path) -> tuple[str, ...]:
    """Return the splits of a data folder; there may be no test."""
    return tuple(split for split in SPLITS if split != TEST or split_file(folder, split).is_file())


def split_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.jsonl"


def read_split(folder: Path, split: str, *, passed: int = 0) -> Iterator[Document]:
    """Yield the documents of one split of a data folder, without the first `passed`.

    Raises FormatError.
    """
    file = split_file(folder, split)
    if not file.is_file():
        raise FormatError(file, "file", "is missing")
    with file.open("rb") as handle:
        for number, line in enumerate(islice(handle, passed, None), start=passed + 1):
            yield document_in(line, file, number)


def document_in(line: bytes, file: Path, number: int) -> Document:
    """Raises FormatError."""
    try:
        row = json.loads(line)
        values = [row[field] for field in ("text", "source", "name")]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(file, f"line {number}", "is not a document") from error
    if not all(isinstance(value, str) for value in values):
        raise FormatError(file, f"line {number}", "has a text, source or name that is not text")
    return Document(*values)


class SplitWriter:
    """A context manager that writes documents to the files of a data folder and counts them."""

    def __init__(self, folder: Path, splits: Sequence[str], counts: Counts | None = None) -> None:
        """With `counts`, what the files hold already: they are appended to."""
        self.counts = counts or {split: SplitCounts() for split in splits}
        self.files = [split_file(folder, split) for split in splits]
        mode = "wb"
        if counts:
            mode = "ab"
        self._files = ExitStack()
        self._handles = {
            split: self._files.enter_context(split_file(folder, split).open(mode))
            for split in splits
        }

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._files.close()

    def flush(self) -> None:
        for handle in self._handles.values():
            handle.flush()

    def write(self, split: str, document: Document) -> None:
        row = {"text": document.text, "source": document.source, "name": document.name}
        line = json_bytes({**row, "sha256": sha256_text(document.text)})
        self._handles[split].write(line + b"\n")
        counts = self.counts[split]
        counts.documents += 1
        counts.characters += len(document.text)
        counts.utf8_bytes += len(document.text.encode())


def repair_split(
    folder: Path,
    counts: Counts,
    fractions: Mapping[str, float],
    *,
    begin: Callable[[], None] = lambda: None,
) -> tuple[Counts, list[Cut]]:
    """Give validation and test the end of the longest document where chance left them too little;
    the files of `folder` are then rewritten.

    `begin` is called before the first file is replaced.
    Raises DataError when there is too little text for all splits.
    """
    total = sum(each.characters for each in counts.values())
    taken_from: tuple[str, ...] = (TRAIN,)
    got = {split: each.characters for split, each in counts.items()}
    if got[TRAIN] < MIN_TRAIN_OF_ALL * total:
        taken_from, got = tuple(counts), dict.fromkeys(counts, 0)
    missing = {
        split: round(fraction * total - got[split])
        for split, fraction in fractions.items()
        if got[split] < MIN_OF_WANTED * fraction * total
    }
    if not missing:
        return counts, []
    longest = max(
        (d for split in taken_from for d in read_split(folder, split)), key=lambda d: len(d.text)
    )
    ends, rest, cuts = {}, longest.text, []
    for split, characters in missing.items():
        place = cut_place(rest, characters)
        if place is None:
            _require_all(counts)
            return counts, []
        had = (
            f"the hash put {counts[split].characters:,} of {total:,} characters into {split}, "
            f"{fractions[split] * total:,.0f} are wanted"
        )
        cuts.append(Cut(longest.source, longest.name, place, len(longest.text), had, split))
        part = f"{split} part"
        if len(missing) == 1:
            part = "end"
        ends[split], rest = _part(longest, rest[place:], part), rest[:place]
    aside = folder / "repaired"
    aside.mkdir()
    with SplitWriter(aside, tuple(counts)) as writer:
        for split in counts:
            target = dict.fromkeys(taken_from, TRAIN).get(split, split)
            for document in read_split(folder, split):
                if document != longest:
                    writer.write(target, document)
        writer.write(TRAIN, _part(longest, rest, "beginning"))
        for split, end in ends.items():
            writer.write(split, end)
    begin()
    for split in counts:
        split_file(aside, split).replace(split_file(folder, split))
    aside.rmdir()
    return writer.counts, cuts


def _require_all(counts: Counts) -> None:
    if all(each.documents for each in counts.values()):
        return
    documents = sum(each.documents for each in counts.values())
    characters = sum(each.characters for each in counts.values())
    raise DataError(
        f"The data ({documents} document(s), {characters} characters) can't be split into "
        f"{', '.join(counts)}: there is no white space to cut at.",
        fix="Add more text: another document, or more paragraphs.",
    )


def cut_place(text: str, end_characters: int) -> int | None:
    """Return where to cut so that about `end_characters`, at most half of the text, follow; None:
    nowhere.

    It is the nearest blank line, if the end is at least half as long as requested; else the nearest
    newline, else the nearest space.
    """
    end_characters = max(1, min(end_characters, len(text) // 2))
    target, first = len(text) - end_characters, len(text) // 2
    last = len(text) - end_characters // 2
    for mark in ("\n\n", "\n", " "):
        places = (text.rfind(mark, first, target + len(mark)), text.find(mark, target, last))
        for place in sorted((p for p in places if p >= 0), key=lambda p: abs(p - target)):
            if text[:place].strip() and text[place:].strip():
                return place
    return None


def _part(document: Document, text: str, which: str) -> Document:
    return replace(document, text=text.strip("\n"), name=f"{document.name} ({which})")


class DocumentFile:
    """A context manager: the documents of a file in order by `batches`, once, and then at random by
    `read`; it keeps the place of each line, 8 bytes a document. Raises FormatError.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FormatError(path, "file", "is missing")
        self.path = path
        self._places = array("q")
        self._handle: BinaryIO = path.open("rb")

    def __enter__(self) -> "DocumentFile":
        return self

    def __exit__(self, *exc: object) -> None:
        self._handle.close()

    def __len__(self) -> int:
        return len(self._places)

    def batches(self, what: str, progress: Progress) -> Iterator[list[Document]]:
        """Yield the documents in order, about BATCH_BYTES at once, under a progress bar named
        `what`.
        """
        self._places, place = array("q"), 0
        batch: list[Document] = []
        done = 0
        with progress.track(what, self.path.stat().st_size / 1e6, "MB") as advance:
            for number, line in enumerate(self._handle, start=1):
                batch.append(document_in(line, self.path, number))
                self._places.append(place)
                place += len(line)
                if place - done >= BATCH_BYTES or len(batch) == BATCH_DOCUMENTS:
                    yield batch
                    advance((place - done) / 1e6)
                    batch, done = [], place
            if batch:
                yield batch
                advance((place - done) / 1e6)

    def read(self, number: int) -> Document:
        """Return one of the documents that were read in order, counted from 0."""
        self._handle.seek(self._places[number])
        return document_in(self._handle.readline(), self.path, number + 1)
