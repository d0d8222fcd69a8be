"""What a reading gives: documents as they were read and as the steps made them, with the reports of
the files that are done.

    files -> read_pieces -> [Piece, ...] some megabytes at once -> pack -> bytes -> unpack, in
        another process

The pieces of a source, added up in order, are what reading it in one process counts and yields,
whoever read which part of it. A message is one line of JSON and the texts behind it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from groundup.data.processing.steps import Processed, Step, run_steps
from groundup.data.reading.records import SourceFile
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import SourceOptions, read_each, read_texts
from groundup.errors import DataError, GroundupError

# Pieces are handed on when their texts have so many characters, or when there are so many documents
# and files.
BATCH_CHARACTERS, BATCH_ROWS = 2**20, 2**13


@dataclass
class ReadDocument:
    """A document of a piece."""

    name: str
    raw: str
    made: Processed | None = None
    """What the steps made of it; None: they have not run."""


@dataclass
class DocumentBatch:
    """Some documents of a file, in order, and what was counted since the last piece with a
    report.
    """

    documents: list[ReadDocument] = field(default_factory=list)
    report: SourceReport | None = None
    """None: the file goes on."""
    is_file: bool = False
    """Whether a file ends with it, not only skipped ones."""
    read_bytes: int = 0
    """Bytes read since the last piece."""
    refused: list[GroundupError] = field(default_factory=list)
    """Of the files that are not read (see `sources.read_each`)."""
    error: GroundupError | None = None
    """What ended the reading behind these documents."""


def read_pieces(
    files: Callable[[SourceReport], Iterable[SourceFile]],
    options: SourceOptions,
    steps: Sequence[Step] | None,
    *,
    passed: int = 0,
) -> Iterator[list[DocumentBatch]]:
    """Yield the pieces of some files, what `steps` make of each document with it. The first
    `passed` files are passed over.

    An error for users is not raised, but stands in the last piece: what was read before it comes
    first.
    """
    batch = _Batch()
    read = partial(read_texts, options=options, report=batch.report)
    try:
        for name, raw in read_each(
            files(batch.report),
            batch.report,
            read,
            batch.refused,
            passed=passed,
            after_file=lambda _: batch.end_file(),
        ):
            batch.add(
                ReadDocument(name, raw, run_steps(raw, steps, lambda *_: None) if steps else None)
            )
            if batch.is_full:
                yield batch.taken()
        batch.end(SourceReport.taken)
    except GroundupError as error:
        batch.end(lambda report: None, error)
    except (PermissionError, FileNotFoundError) as error:
        fix = "A file that another process reads must be there for it, too: on Ray, on every machine under the same path."
        batch.end(
            lambda report: None,
            DataError(f"{error.filename} can't be opened: {error.strerror}.", fix=fix),
        )
    yield batch.taken()


class _Batch:
    """The pieces that were not handed on yet."""

    def __init__(self) -> None:
        self.report, self.refused, self.seen_bytes = SourceReport(), list[GroundupError](), 0
        self._begin()

    def _begin(self) -> None:
        self.pieces, self.documents, self.characters, self.rows = (
            list[DocumentBatch](),
            list[ReadDocument](),
            0,
            0,
        )

    @property
    def is_full(self) -> bool:
        return self.characters >= BATCH_CHARACTERS or self.rows >= BATCH_ROWS

    def add(self, document: ReadDocument) -> None:
        self.documents.append(document)
        self.characters += len(document.raw)
        self.rows += 1

    def end_file(self) -> None:
        self.end(SourceReport.taken, is_file=True)

    def end(
        self,
        report: Callable[[SourceReport], SourceReport | None],
        error: GroundupError | None = None,
        *,
        is_file: bool = False,
    ) -> None:
        """End a piece with the documents since the last one."""
        read_bytes, refused = self.report.read_bytes - self.seen_bytes, list(self.refused)
        self.refused.clear()
        counted = report(self.report)
        self.seen_bytes = self.report.read_bytes
        self.pieces.append(
            DocumentBatch(self.documents, counted, is_file, read_bytes, refused, error)
        )
        self.documents, self.rows = [], self.rows + 1

    def taken(self) -> list[DocumentBatch]:
        """Return what there is, and begin anew."""
        if self.documents:
            self.end(lambda report: None)
        pieces = self.pieces
        self._begin()
        return pieces


def pack(header: Any, texts: Sequence[str]) -> bytes:
    """Return a message."""
    line = json.dumps([header, list(map(len, texts))], separators=(",", ":"))
    return line.encode() + b"\n" + "".join(texts).encode("utf-8", "surrogatepass")


def unpack(message: bytes) -> tuple[Any, list[str]]:
    """Return header and texts of a message."""
    line, _, data = message.partition(b"\n")
    header, sizes = json.loads(line)
    whole, texts, start = data.decode("utf-8", "surrogatepass"), [], 0
    for size in sizes:
        texts.append(whole[start : start + size])
        start += size
    return header, texts


def pack_pieces(pieces: Sequence[DocumentBatch]) -> bytes:
    """Return pieces as a message."""
    texts: list[str] = []
    header = []
    for piece in pieces:
        rows = []
        for document in piece.documents:
            texts.append(document.raw)
            rows.append([document.name, *_pack_made(document.raw, document.made, texts)])
        errors = [
            [error.to_plain() for error in piece.refused],
            piece.error and piece.error.to_plain(),
        ]
        report = piece.report and piece.report.to_plain()
        header.append([rows, report, piece.is_file, piece.read_bytes, *errors])
    return pack(header, texts)


def unpack_pieces(message: bytes) -> list[DocumentBatch]:
    """Return the pieces of a message."""
    header, texts = unpack(message)
    left, pieces = iter(texts), []
    for rows, report, is_file, read_bytes, refused, error in header:
        documents = []
        for name, *made in rows:
            raw = next(left)
            documents.append(ReadDocument(name, raw, _unpack_made(raw, made, left)))
        pieces.append(
            DocumentBatch(
                documents,
                None if report is None else SourceReport.from_plain(report),
                is_file,
                read_bytes,
                list(map(GroundupError.from_plain, refused)),
                error and GroundupError.from_plain(error),
            )
        )
    return pieces


def pack_processed(raw: Sequence[str], made: Sequence[Processed]) -> bytes:
    """Return what steps made of texts that the receiver has, as a message."""
    texts: list[str] = []
    return pack(
        [_pack_made(text, each, texts) for text, each in zip(raw, made, strict=True)], texts
    )


def unpack_processed(message: bytes, raw: Sequence[str]) -> list[Processed]:
    """Return what steps made of these texts."""
    rows, texts = unpack(message)
    left = iter(texts)
    return [_unpack_made(text, row, left) for text, row in zip(raw, rows, strict=True)]


def _pack_made(raw: str, made: Processed | None, texts: list[str]) -> list[Any]:
    """Return a text as steps made it as JSON values, and add it to `texts` if it is another one."""
    assert made is not None
    if made.text != raw:
        texts.append(made.text)
    return [made.text != raw, made.reason, made.changes]


def _unpack_made(raw: str, row: Sequence[Any], texts: Iterator[str]) -> Processed:
    is_other, reason, changes = row
    return Processed(next(texts) if is_other else raw, Counter(changes), reason)
