"""The split of documents into train and validation.

A document belongs to validation when the hash of its text and the seed is below `fraction` of the hash range, independent of other documents: adding
a document never moves another one, and the same text is always on the same side.

With few documents, validation may get almost nothing or almost everything by chance. Then the longest document is cut near its end, if possible
between paragraphs, and the data card reports it (`Cut`); only this depends on the other documents.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from groundup.data.documents import Document
from groundup.errors import DataError, FormatError
from groundup.files import json_bytes, sha256_text

TRAIN, VALIDATION = SPLITS = ("train", "validation")
# Minimum of validation text, relative to the requested amount, and of training text, relative to all.
MIN_VALIDATION_OF_WANTED = 0.25
MIN_TRAIN_OF_ALL = 0.5


@dataclass
class SplitCounts:
    """The size of one split."""

    documents: int = 0
    characters: int = 0
    utf8_bytes: int = 0


@dataclass(frozen=True)
class Cut:
    """The document whose end was moved to validation."""

    source: str
    name: str
    at_character: int
    of_characters: int
    why: str


Counts = dict[str, SplitCounts]


def in_validation(text: str, fraction: float, seed: int) -> bool:
    """Return whether the text's hash falls into the validation share, independent of other documents."""
    digest = hashlib.sha256(f"{seed}/{sha256_text(text)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def split_file(folder: Path, split: str) -> Path:
    """Return the file of one split in a data folder."""
    return folder / f"{split}.jsonl"


def read_split(folder: Path, split: str) -> Iterator[Document]:
    """Yield the documents of one split of a data folder. Raises FormatError."""
    file = split_file(folder, split)
    if not file.is_file():
        raise FormatError(file, "file", "is missing")
    with file.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            try:
                row = json.loads(line)
                values = [row[field] for field in ("text", "source", "name")]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise FormatError(file, f"line {number}", "is not a document") from error
            if not all(isinstance(value, str) for value in values):
                raise FormatError(file, f"line {number}", "has a text, source or name that is not text")
            yield Document(*values)


class SplitWriter:
    """A context manager that writes documents to the files of a data folder and counts them."""

    def __init__(self, folder: Path) -> None:
        self.counts = {split: SplitCounts() for split in SPLITS}
        self._files = ExitStack()
        self._handles = {split: self._files.enter_context(split_file(folder, split).open("wb")) for split in SPLITS}

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, *exc: object) -> None:
        self._files.close()

    def write(self, split: str, document: Document) -> None:
        """Append one document to a split."""
        row = {"text": document.text, "source": document.source, "name": document.name}
        line = json_bytes({**row, "sha256": sha256_text(document.text)})
        self._handles[split].write(line + b"\n")
        counts = self.counts[split]
        counts.documents += 1
        counts.characters += len(document.text)
        counts.utf8_bytes += len(document.text.encode())


def repair_split(folder: Path, counts: Counts, fraction: float) -> tuple[Counts, Cut | None]:
    """Cut the longest document if a split is too small; the files of `folder` are then rewritten.

    Raises DataError when there is too little text for two splits.
    """
    fault = _fault(counts, fraction)
    if fault is None:
        return counts, None
    longest = max((d for split in fault.to_train for d in read_split(folder, split)), key=lambda d: len(d.text))
    place = cut_place(longest.text, fault.missing_characters)
    if place is None:
        _require_both(counts)
        return counts, None
    aside = folder / "repaired"
    aside.mkdir()
    with SplitWriter(aside) as writer:
        for split in SPLITS:
            goes = TRAIN if split in fault.to_train else split
            for document in read_split(folder, split):
                if document == longest:
                    writer.write(TRAIN, _part(longest, longest.text[:place], "beginning"))
                    writer.write(VALIDATION, _part(longest, longest.text[place:], "end"))
                else:
                    writer.write(goes, document)
    for split in SPLITS:
        split_file(aside, split).replace(split_file(folder, split))
    aside.rmdir()
    return writer.counts, Cut(longest.source, longest.name, place, len(longest.text), fault.why)


@dataclass(frozen=True)
class _Fault:
    """What is wrong with a split, and how to repair it."""

    why: str
    to_train: tuple[str, ...]
    """The splits whose documents all go to training, except the end of the longest one."""
    missing_characters: int


def _fault(counts: Counts, fraction: float) -> _Fault | None:
    train, validation = (counts[split].characters for split in SPLITS)
    wanted = fraction * (train + validation)
    why = f"the hash put {validation:,} of {train + validation:,} characters into validation, {wanted:,.0f} are wanted"
    if train < MIN_TRAIN_OF_ALL * (train + validation):
        return _Fault(why, SPLITS, round(wanted))
    if validation < MIN_VALIDATION_OF_WANTED * wanted:
        return _Fault(why, (TRAIN,), round(wanted - validation))
    return None


def _require_both(counts: Counts) -> None:
    if not all(counts[split].documents for split in SPLITS):
        documents, characters = (sum(getattr(c, what) for c in counts.values()) for what in ("documents", "characters"))
        raise DataError(
            f"The data ({documents} document(s), {characters} characters) can't be split into training and "
            "validation text: there is no white space to cut at.",
            fix="Add more text: another document, or more paragraphs.",
        )


def cut_place(text: str, end_characters: int) -> int | None:
    """Return where to cut so that about `end_characters`, at most half of the text, follow; None: nowhere.

    It is the nearest blank line, if the end is at least half as long as requested; else the nearest newline, else the nearest space.
    """
    end_characters = max(1, min(end_characters, len(text) // 2))
    target, first, last = len(text) - end_characters, len(text) // 2, len(text) - end_characters // 2
    for mark in ("\n\n", "\n", " "):
        places = (text.rfind(mark, first, target + len(mark)), text.find(mark, target, last))
        for place in sorted((p for p in places if p >= 0), key=lambda p: abs(p - target)):
            if text[:place].strip() and text[place:].strip():
                return place
    return None


def _part(document: Document, text: str, which: str) -> Document:
    return replace(document, text=text.strip("\n"), name=f"{document.name} ({which})")
