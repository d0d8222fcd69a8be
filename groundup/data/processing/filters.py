"""Quality filters, functions from a cleaned document to a reason to drop it or None, and exact
deduplication: which documents' cleaned text occurred before.

Of each text 16 bytes of its SHA-256 are stored (about 100 bytes a document in Python): ten million
documents take a gigabyte; beyond that, a file of sorted digests would be needed. Two different
texts among ten million agree in 128 bits with probability 1e-25.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from groundup.data.documents import Document

EMPTY = "empty"
Filter = Callable[[Document], str | None]
DIGEST_BYTES = 16


def is_empty(document: Document) -> str | None:
    """Drop documents of white space only."""
    if document.text.strip():
        return None
    return EMPTY


# Applied in this order; the first reason counts.
FILTERS: tuple[Filter, ...] = (is_empty,)


def reason_to_drop(document: Document) -> str | None:
    return next(filter(None, (each(document) for each in FILTERS)), None)


class ExactRepeats:
    """The set of texts seen so far.

    With a `file`, it begins with the digests there, and new ones are appended.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._seen: set[bytes] = set()
        self._handle: BinaryIO | None = None
        if file:
            self._handle = file.open("ab+")
            self._handle.seek(0)
            while digest := self._handle.read(DIGEST_BYTES):
                self._seen.add(digest)

    def flush(self) -> None:
        if self._handle:
            self._handle.flush()

    def close(self) -> None:
        if self._handle:
            self._handle.close()

    def is_repeat(self, text: str) -> bool:
        """Return whether this text was seen before, and add it."""
        digest = hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES]
        if digest in self._seen:
            return True
        self._seen.add(digest)
        if self._handle:
            self._handle.write(digest)
        return False
