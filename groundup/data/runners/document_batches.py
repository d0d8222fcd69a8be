"""What a reading gives: documents as they were read and as the steps made them, with the reports of
the files that are done; and `work`, which makes it of a part of a source in any process: this one,
one of `processes` or one of Ray.

    files -> read_batches -> [DocumentBatch, ...] some megabytes at once -> pack -> bytes -> unpack,
        in another process

The batches of a source, added up in order, are what reading it in one process counts and yields,
whoever read which part of it. A message is one line of JSON and the texts behind it.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from itertools import chain
from typing import IO, Any

from groundup.config import build_config
from groundup.data.processing.steps import ProcessConfig, Processed, Step, document_steps, run_steps
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.records import SourceFile
from groundup.data.reading.source_files import SourceEntry, entry_files
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_each, read_texts
from groundup.errors import DataError, GroundupError

# Batches are handed on when their texts have this number of characters, or when there is this number
# of documents and files.
BATCH_CHARACTERS, BATCH_ROWS = 2**20, 2**13
# What a message begins with.
RESULT, FAULT, END = b"r", b"f", b"e"
# Of the number before a message, big-endian.
LENGTH_BYTES = 8


@dataclass
class ReadDocument:
    name: str
    raw: str
    made: Processed | None = None
    """What the steps made of it; None: they have not run."""


@dataclass
class DocumentBatch:
    """Some documents of a file, in order, and what was counted since the last batch with a
    report.
    """

    documents: list[ReadDocument] = field(default_factory=list)
    report: SourceReport | None = None
    """None: the file goes on."""
    is_file: bool = False
    """Whether a file ends with it, not only skipped ones."""
    read_bytes: int = 0
    """Bytes read since the last batch."""
    refused: list[GroundupError] = field(default_factory=list)
    """Of the files that are not read (see `sources.read_each`)."""
    error: GroundupError | None = None
    """What ended the reading behind these documents."""


def read_batches(
    files: Callable[[SourceReport], Iterable[SourceFile]],
    options: SourceOptions,
    steps: Sequence[Step] | None,
    *,
    passed: int = 0,
) -> Iterator[list[DocumentBatch]]:
    """Yield the batches of some files, with what `steps` make of each document. The first `passed`
    files are passed over.

    An error for users is not raised, but stands in the last batch: what was read before it comes
    first.
    """
    batch = _Batches()
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
            document = ReadDocument(name, raw)
            if steps:
                document.made = run_steps(raw, steps, lambda *_: None)
            batch.add(document)
            if batch.is_full:
                yield batch.take()
        batch.end(SourceReport.take)
    except GroundupError as error:
        batch.end(lambda report: None, error)
    except (PermissionError, FileNotFoundError) as error:
        fault = DataError(
            f"{error.filename} can't be opened: {error.strerror}.",
            fix="A file that another process reads must be there for it, too: on Ray, on every "
            "machine under the same path.",
        )
        batch.end(lambda report: None, fault)
    yield batch.take()


class _Batches:
    """The batches that were not handed on yet."""

    def __init__(self) -> None:
        self.report, self.refused, self.seen_bytes = SourceReport(), list[GroundupError](), 0
        self._begin()

    def _begin(self) -> None:
        self.done: list[DocumentBatch] = []
        self.documents: list[ReadDocument] = []
        self.characters = self.rows = 0

    @property
    def is_full(self) -> bool:
        return self.characters >= BATCH_CHARACTERS or self.rows >= BATCH_ROWS

    def add(self, document: ReadDocument) -> None:
        self.documents.append(document)
        self.characters += len(document.raw)
        self.rows += 1

    def end_file(self) -> None:
        self.end(SourceReport.take, is_file=True)

    def end(
        self,
        report: Callable[[SourceReport], SourceReport | None],
        error: GroundupError | None = None,
        *,
        is_file: bool = False,
    ) -> None:
        """End a batch with the documents since the last one."""
        read_bytes, refused = self.report.read_bytes - self.seen_bytes, list(self.refused)
        self.refused.clear()
        counted = report(self.report)
        self.seen_bytes = self.report.read_bytes
        self.done.append(
            DocumentBatch(self.documents, counted, is_file, read_bytes, refused, error)
        )
        self.documents, self.rows = [], self.rows + 1

    def take(self) -> list[DocumentBatch]:
        if self.documents:
            self.end(lambda report: None)
        done = self.done
        self._begin()
        return done


def pack(header: Any, texts: Sequence[str]) -> bytes:
    line = json.dumps([header, list(map(len, texts))], separators=(",", ":"))
    return line.encode() + b"\n" + "".join(texts).encode("utf-8", "surrogatepass")


def unpack(message: bytes) -> tuple[Any, list[str]]:
    line, _, data = message.partition(b"\n")
    header, sizes = json.loads(line)
    whole, texts, start = data.decode("utf-8", "surrogatepass"), [], 0
    for size in sizes:
        texts.append(whole[start : start + size])
        start += size
    return header, texts


def pack_batches(batches: Sequence[DocumentBatch]) -> bytes:
    texts: list[str] = []
    header = []
    for batch in batches:
        rows = []
        for document in batch.documents:
            texts.append(document.raw)
            rows.append([document.name, *_pack_made(document.raw, document.made, texts)])
        refused = [error.to_plain() for error in batch.refused]
        error = batch.error and batch.error.to_plain()
        report = batch.report and asdict(batch.report)
        header.append([rows, report, batch.is_file, batch.read_bytes, refused, error])
    return pack(header, texts)


def unpack_batches(message: bytes) -> list[DocumentBatch]:
    header, texts = unpack(message)
    left, batches = iter(texts), []
    for rows, report, is_file, read_bytes, refused, error in header:
        batch = DocumentBatch(is_file=is_file, read_bytes=read_bytes)
        for name, *made in rows:
            raw = next(left)
            batch.documents.append(ReadDocument(name, raw, _unpack_made(raw, made, left)))
        if report is not None:
            batch.report = SourceReport.from_plain(report)
        batch.refused = list(map(GroundupError.from_plain, refused))
        if error:
            batch.error = GroundupError.from_plain(error)
        batches.append(batch)
    return batches


def pack_processed(raw: Sequence[str], made: Sequence[Processed]) -> bytes:
    """Return what steps made of texts that the receiver has, as a message."""
    texts: list[str] = []
    return pack(
        [_pack_made(text, each, texts) for text, each in zip(raw, made, strict=True)], texts
    )


def unpack_processed(message: bytes, raw: Sequence[str]) -> list[Processed]:
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
    text = raw
    if is_other:
        text = next(texts)
    return Processed(text, Counter(changes), reason)


def entries_task(
    entries: Sequence[SourceEntry], options: SourceOptions, process: ProcessConfig
) -> bytes:
    """Return the task to read entries; its results are those of `pack_batches`."""
    reading = {**asdict(options), "wanted": list(options.wanted)}
    return pack(["entries", list(map(asdict, entries)), json.dumps(reading), _plain(process)], [])


def texts_task(texts: Sequence[str], process: ProcessConfig) -> bytes:
    """Return the task to run the steps over texts; its one result is that of `pack_processed`."""
    return pack(["texts", _plain(process)], texts)


def work(task: bytes) -> Iterator[bytes]:
    (kind, *header), texts = unpack(task)
    if kind == "texts":
        steps = _steps(header[0])
        yield pack_processed(texts, [run_steps(text, steps, lambda *_: None) for text in texts])
        return
    named, reading, process = header
    entries = [SourceEntry(**each) for each in named]

    def files(report: SourceReport) -> Iterator[Any]:
        return chain.from_iterable(entry_files(entry, report) for entry in entries)

    try:
        steps = _steps(process)
    except GroundupError as error:  # this machine lacks an extra
        yield pack_batches([DocumentBatch(error=error)])
        return
    for batches in read_batches(files, _options(reading), steps):
        yield pack_batches(batches)


def _plain(process: ProcessConfig) -> str:
    return json.dumps(asdict(process))


@cache
def _options(plain: str) -> SourceOptions:
    values = json.loads(plain)
    return SourceOptions(**{**values, "wanted": tuple(values["wanted"])})


@cache
def _steps(plain: str) -> list[Step]:
    return document_steps(build_config(ProcessConfig, json.loads(plain)))


def main() -> None:
    """Serve tasks from stdin, results to stdout, until stdin ends; its process may have been
    killed.
    """
    # Ctrl-C reaches all processes of a terminal; the first one ends the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a library prints is no result
    with suppress(EOFError, OSError):
        while True:
            task = receive(tasks)
            try:
                for message in work(task):
                    send(results, RESULT + message)
            except GroundupError as error:
                send(results, FAULT + json.dumps(error.to_plain()).encode())
            send(results, END)


def send(pipe: IO[bytes], message: bytes) -> None:
    """Write a message with its length before it. Raises OSError: the other end is closed."""
    pipe.write(len(message).to_bytes(LENGTH_BYTES, "big"))
    pipe.write(message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes:
    """Wait for the next message. Raises EOFError: the other end is closed."""
    length = int.from_bytes(_whole(pipe, LENGTH_BYTES), "big")
    return _whole(pipe, length)


def _whole(pipe: IO[bytes], length: int) -> bytes:
    found = pipe.read(length)
    if len(found) < length:
        raise EOFError
    return found
