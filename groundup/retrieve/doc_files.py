"""Files of an index's sources: each with its state, by which an unchanged one is known without
being opened, its hash, and its documents.

A file on disk is known by size and times. A source elsewhere (pypi:, https:, hf:, an object store)
is one file, known by its version there.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from groundup.data.clean import with_windows_1252
from groundup.data.reading.containers import archive_suffix, suffixes
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.records import SourceFile
from groundup.data.reading.source_files import (
    SUFFIXES,
    Source,
    SourceEntry,
    content_hash,
    entries,
    entry_files,
    printable,
    source_files,
)
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_texts
from groundup.files import sha256_file

# A file that was changed so shortly ago may change again without another time: its hash decides the
# next time.
UNSETTLED_NS = 50_000_000


@dataclass(frozen=True)
class DocFile:
    """A file of a source, or a whole source that is not on this disk."""

    source: Source
    place: str
    """Its absolute path, or the source's address."""
    entry: SourceEntry | None
    """None for a source that is not on this disk."""

    @property
    def shown_place(self) -> str:
        """The place in Unicode; another text where the file's name is none."""
        return self.place.encode("utf-8", "backslashreplace").decode()

    def state(self) -> str:
        """Return what changes whenever the content does. Raises OSError."""
        if self.entry is None:
            return content_hash(self.source)
        return state_of(Path(self.place))

    def sha256(self) -> str:
        """Return the hash of its bytes; of a source elsewhere that of its version.

        Raises OSError.
        """
        if self.entry is None:
            return hashlib.sha256(self.state().encode()).hexdigest()
        return sha256_file(Path(self.place))

    @property
    def may_have_text(self) -> bool:
        """Whether its name is that of a format that is read."""
        if self.entry is None:
            return True
        name = self.entry.name
        return bool(archive_suffix(name)) or suffixes(name)[0] in SUFFIXES

    def files(self, report: SourceReport) -> Iterator[SourceFile]:
        """Yield the files within whose format is read; the others are reported."""
        if self.entry is None:
            return source_files(self.source, report, None)
        return entry_files(self.entry, report)

    def address_of(self, document: str) -> str:
        """Return where a document of this file is, by its name within the source."""
        if self.entry is None:
            return f"{self.place}!{document}"
        return self.place + document.removeprefix(printable(self.entry.name))


def doc_files(source: Source, report: SourceReport) -> Iterator[DocFile]:
    """Yield the files of a source in order of their names.

    Raises DataError for one that does not exist.
    """
    if not source.is_local:
        yield DocFile(source, source.address, None)
        return
    for entry in entries(source, report, None, readmes=True):
        yield DocFile(source, os.path.abspath(entry.place), entry)


def read_documents(
    file: DocFile, options: SourceOptions, report: SourceReport
) -> Iterator[tuple[str, str, str]]:
    """Yield (name, stem of the file's name, text) of each document, decoded and not cleaned. Raises
    GroundupError.

    Control characters that were characters of Windows-1252 are these again: a character each, so
    that places stay.
    """
    for each in file.files(report):
        stem = Path(each.name.rpartition("!")[2]).stem
        for name, text in read_texts(each, options, report):
            yield name, stem, with_windows_1252(text)[0]


def state_of(path: Path) -> str:
    """Return size and times of a file on disk; "" right after a change, which the next one may not
    differ from. Raises OSError.
    """
    found = path.stat()
    if abs(time.time_ns() - found.st_ctime_ns) <= UNSETTLED_NS:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
