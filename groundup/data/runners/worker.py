"""The worker: what any process does with a part of a source, be it this one, one of `processes` or
one of Ray.

    work(task) -> messages     a task: entries of a source that are read here, or texts; with the
                               steps over them

`python -c "from groundup.data.runners.worker import main; main(FD)"` serves tasks that come through
a socket, until it is closed.
"""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from itertools import chain
from multiprocessing.connection import Connection
from typing import Any

from groundup.config import build_config
from groundup.data.processing.steps import ProcessConfig, Step, document_steps, run_steps
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import SourceEntry, entry_files
from groundup.data.reading.source_report import SourceReport
from groundup.data.runners.document_batches import (
    DocumentBatch,
    pack,
    pack_batches,
    pack_processed,
    read_batches,
    unpack,
)
from groundup.errors import GroundupError

# What a message begins with.
RESULT, FAULT, END = b"r", b"f", b"e"


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
    """Yield the results of a task."""
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


def main(descriptor: int) -> None:
    """Serve tasks until the other end is closed; its process may have been killed."""
    # Ctrl-C reaches all processes of a terminal; the first one ends the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with (
        suppress(EOFError, BrokenPipeError, ConnectionResetError),
        Connection(descriptor) as connection,
    ):
        while True:
            task = connection.recv_bytes()
            try:
                for message in work(task):
                    connection.send_bytes(RESULT + message)
            except GroundupError as error:
                connection.send_bytes(FAULT + json.dumps(error.to_plain()).encode())
            connection.send_bytes(END)
