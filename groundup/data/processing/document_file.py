"""A file of documents (a line each, as `split.SplitWriter` writes them), read in order in batches
and then at random by number.

It keeps the place of each line: 8 bytes a document.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from groundup.data.documents import Document
from groundup.data.split import document_in
from groundup.errors import FormatError
from groundup.progress import Progress

# A batch ends with the document that reaches one of them.
BATCH_BYTES, BATCH_DOCUMENTS = 2**18, 4096


class DocumentFile:
    """A context manager: `batches` once, then `read`. Raises FormatError."""

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
