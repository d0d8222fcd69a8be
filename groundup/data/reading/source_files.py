"""The files of a source whose format is read, wherever it is: on disk or in an archive
(`containers`), in a package (`fetch`), on a server (`download`), on the hub or in an object store
(`remote`); the others are reported.

An address is decided on by its prefix, here and nowhere else (docs/data.md). One walk for all that
reads, measures or hashes a source. What a file holds is for `sources`.
"""

import glob
import hashlib
import io
import math
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import IO

from groundup.data.reading.containers import (
    ARCHIVES,
    COMPRESSED,
    LINKED_FOLDER,
    OUTSIDE,
    archive_members,
    archive_suffix,
    decompress,
    folder_files,
    glob_files,
    member_stream,
    suffixes,
)
from groundup.data.reading.download import HTTPS, fetch_url, name_of
from groundup.data.reading.extract import DOCUMENTS_EXTRA, EXTRACTORS
from groundup.data.reading.markup_text import TEXT_SUFFIXES
from groundup.data.reading.records import SourceFile, on_disk
from groundup.data.reading.remote import (
    HUB,
    StoredFile,
    hub_files,
    hub_fingerprint,
    is_store,
    parse_hub,
    store_files,
)
from groundup.data.reading.source_report import SourceReport
from groundup.errors import (
    ConfigError,
    DataError,
    ExpansionError,
    did_you_mean,
    install_command,
    require,
)
from groundup.fetch import fetch_package, members
from groundup.files import sha256_text
from groundup.progress import Progress

# Names beside a missing file that are compared with its own.
MAX_NAMES = 1_000
ROW_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
# A .json may be a config.
CERTAIN_ROW_SUFFIXES = tuple(suffix for suffix in ROW_SUFFIXES if suffix != ".json")
SUFFIXES = (*TEXT_SUFFIXES, *ROW_SUFFIXES, *EXTRACTORS)
READ = (
    f"{' '.join(SUFFIXES)}, with {' or '.join(COMPRESSED)} behind it or not, "
    f"and in {' '.join(ARCHIVES)}"
)
NOT_READ = "a format that is not read"
OLD_OFFICE = "an old Office format, which must be saved as .docx, .xlsx or .pptx"
README_OF_ROWS = "a README beside rows"
PACKAGE_PREFIX = "pypi:"
PIN, MEMORY = "#sha256=", "memory:"
PINNED = (PACKAGE_PREFIX, HTTPS)
FORMS = (
    "a folder, a file, a glob, https://HOST/FILE, hf:OWNER/NAME, s3://BUCKET/..., gs://BUCKET/... "
    "or pypi:NAME==VERSION!glob"
)
LINKS = (OUTSIDE, LINKED_FOLDER)


@dataclass(frozen=True)
class Source:
    spec: str
    """Where it is (see above); behind an https: or pypi: address "#sha256=HASH" may stand."""
    sha256: str = ""
    """The hash of the file or package archive; required for "pypi:". Either here or in `spec`."""
    licence: str = "not stated"
    """The licence for the data card and the model card."""
    follow_links: bool = False
    """Read links that leave the folder, and links to folders, instead of skipping them."""
    name: str = ""
    """What messages and the data card call it; by default its spec."""
    weight: float = 1.0
    """Its share of what a model reads, beside those of the other sources (see `mixture_config`);
    where all are 1, the texts are read as they come.
    """

    def __post_init__(self) -> None:
        require(
            0 <= self.weight < math.inf,
            f"the weight of {self.title}",
            self.weight,
            "0 or more, and finite",
        )
        if self.sha256 and not self.spec.startswith(PINNED) and not self.is_local:
            fix = "Leave it out; a hash is compared for https: and pypi: addresses."
            raise ConfigError(
                f"{self.spec} is not one file of a server, so its SHA-256 would not be compared.",
                fix=fix,
            )
        if self.sha256 and self.pin != self.sha256:
            raise ConfigError(
                f"{self.spec} has another SHA-256 than the one given beside it.",
                fix="Give one of them.",
            )

    @property
    def title(self) -> str:
        return self.name or self.spec

    @property
    def is_local(self) -> bool:
        return not (self.spec.startswith((*PINNED, HUB)) or is_store(self.spec))

    @property
    def address(self) -> str:
        return self._parts[0]

    @property
    def pin(self) -> str:
        """The hash that the file must have, or ""."""
        return self._parts[1] or self.sha256

    @property
    def pinned_spec(self) -> str:
        """The spec with its hash behind it."""
        return f"{self.address}{PIN}{self.pin}" if self.pin else self.spec

    @property
    def _parts(self) -> tuple[str, str]:
        """The spec in two parts: where it is, and the hash behind it."""
        if not self.spec.startswith(PINNED):
            return self.spec, ""
        address, _, own = self.spec.partition(PIN)
        return address, own


@dataclass(frozen=True)
class SourceEntry:
    """A file of a folder or an object store, which may be an archive: it can be opened without the
    rest of its source.
    """

    name: str
    """Within the source."""
    place: str
    """Its path or its address."""
    size_bytes: int
    is_stored: bool = False
    """Whether it is in an object store."""


def source_files(
    source: Source, report: SourceReport, progress: Progress | None
) -> Iterator[SourceFile]:
    """Yield the files of a source whose format is read, those within archives too; the others are
    reported.
    """
    return _readable(_all_files(source, report, progress), report)


def entry_files(entry: SourceEntry, report: SourceReport) -> Iterator[SourceFile]:
    """Yield those of one entry, as `source_files` does."""
    return _readable(_entry_files(entry, report), report)


def is_divisible(source: Source) -> bool:
    """Return whether other processes can read parts of a source: not of a package, an https:
    address, a data set of the hub, the own memory.
    """
    return not source.spec.startswith((*PINNED, HUB, MEMORY))


def entries(
    source: Source, report: SourceReport, progress: Progress | None, *, readmes: bool = False
) -> Iterator[SourceEntry]:
    """Yield the entries of a source, in the order in which they are read; what is not entered is
    reported before the first one.

    A README beside files with rows says what they are, and is one of their texts only with
    `readmes`.
    """
    if is_store(source.spec):
        for stored in store_files(source.spec, partial(_skip, report)):
            yield SourceEntry(stored.name, stored.address, stored.size_bytes, is_stored=True)
        return
    paths = list(_disk_paths(source, report, progress))
    of_rows = {path.parent for path, name in paths if suffixes(name)[0] in CERTAIN_ROW_SUFFIXES}
    passed_over = set()
    for path, name in paths:
        if not readmes and path.name.lower().startswith("readme") and path.parent in of_rows:
            _skip(report, README_OF_ROWS, name)
            passed_over.add(path)
    for path, name in paths:
        if path not in passed_over:
            yield SourceEntry(name, str(path), path.stat().st_size)


def _readable(files: Iterator[SourceFile], report: SourceReport) -> Iterator[SourceFile]:
    for file in files:
        extractor = EXTRACTORS.get(file.suffix)
        if extractor and not extractor.is_installed:
            report.skip(_needs_extra(extractor.module), file.name)
        elif file.suffix in SUFFIXES:
            yield file
        elif file.suffix in (".doc", ".xls", ".ppt"):
            report.skip(OLD_OFFICE, file.name)
        else:
            report.skip(NOT_READ, file.name)


def _all_files(
    source: Source, report: SourceReport, progress: Progress | None
) -> Iterator[SourceFile]:
    if source.spec.startswith(PACKAGE_PREFIX):
        yield from _package_files(source, progress)
    elif source.spec.startswith(HUB):
        yield from hub_files(source.spec, partial(_skip, report))
    else:
        for entry in entries(source, report, progress):
            yield from _entry_files(entry, report)


def _entry_files(entry: SourceEntry, report: SourceReport) -> Iterator[SourceFile]:
    if entry.is_stored:
        return _stored_files(StoredFile(entry.name, entry.size_bytes, "", entry.place), report)
    return _disk_files(Path(entry.place), _printable_name(entry.name), report)


def _skip(report: SourceReport, reason: str, name: str) -> None:
    report.skip(reason, _printable_name(name))


def _stored_files(stored: StoredFile, report: SourceReport) -> Iterator[SourceFile]:
    """Yield a file of an object store, or those of an archive there; an archive and a .parquet as a
    temporary file, the others as a stream.
    """
    name = _printable_name(stored.name)
    archive = archive_suffix(name)
    if archive:
        with on_disk(SourceFile(name, archive, stored.open)) as path:
            yield from _disk_files(path, name, report)
        return
    file = _file(name, stored.open, stored.size_bytes)
    if file.suffix != ".parquet":
        yield file
        return
    yield from _reopenable(file)


def _needs_extra(module: str) -> str:
    return f"needing {module} ({install_command(DOCUMENTS_EXTRA)})"


def _package_files(source: Source, progress: Progress | None) -> Iterator[SourceFile]:
    package, separator, pattern = source.address.removeprefix(PACKAGE_PREFIX).partition("!")
    if not separator or not pattern:
        raise ConfigError(
            f"{source.spec!r} names no members.", fix="Write it as pypi:NAME==VERSION!glob."
        )
    if not source.pin:
        fix = f"Packages are read pinned by their hash only: write {PIN}HASH behind it."
        raise ConfigError(f"{source.spec} needs the SHA-256 of the archive.", fix=fix)
    archive = fetch_package(package, source.pin, progress=progress)
    for member in members(archive, pattern):
        yield from _reopenable(
            _file(printable(member.name), partial(member_stream, member), member.size_bytes)
        )


def _disk_files(path: Path, name: str, report: SourceReport) -> Iterator[SourceFile]:
    """Yield the file at `path`, or the files of an archive there as "archive.zip!member"."""
    if not archive_suffix(path.name):
        yield _file(name, partial(_open, path, name), path.stat().st_size, path)
        return

    def skip(reason: str, member: str) -> None:
        report.skip(reason, f"{name}!{printable(member)}")

    try:
        for member in archive_members(path, skip):
            shown = f"{name}!{printable(member.name)}"
            yield from _reopenable(_file(shown, partial(member_stream, member), member.size_bytes))
    except ExpansionError as error:
        yield SourceFile(name, ".txt", partial(_refuse, error))


def _refuse(error: ExpansionError) -> IO[bytes]:
    """Stand for a file that is opened: whoever reads the files of a source counts this one as bad
    and goes on.
    """
    raise error


def _reopenable(member: SourceFile) -> Iterator[SourceFile]:
    """Yield a member of an archive; one with rows as a temporary file, since it is read twice and a
    .tar.gz goes back to its start only.
    """
    if member.suffix not in ROW_SUFFIXES:
        yield member
        return
    with on_disk(member) as path:
        yield replace(member, open=lambda: path.open("rb"), path=path)


def _file(
    name: str, opener: Callable[[], IO[bytes]], size_bytes: int, path: Path | None = None
) -> SourceFile:
    suffix, compression = suffixes(name)
    if not compression:
        return SourceFile(name, suffix, opener, path)
    return SourceFile(name, suffix, lambda: decompress(opener(), compression, name, size_bytes))


def _disk_paths(
    source: Source, report: SourceReport, progress: Progress | None = None
) -> Iterator[tuple[Path, str]]:
    """Yield (path, name within the source) of every file, sorted by name; of an https: address the
    fetched one.
    """
    root = Path(os.path.expanduser(source.spec))  # pathlib's expanduser raises for an unknown user
    skip = partial(_skip, report)
    if source.spec.startswith(HTTPS):
        path = fetch_url(source.address, source.pin, progress=progress)
        yield path, name_of(path)
    elif os.path.isdir(root):
        yield from folder_files(root, skip, follow_links=source.follow_links)
    elif os.path.isfile(root):
        yield root, root.name
    elif glob.has_magic(source.spec):
        yield from glob_files(root, skip, follow_links=source.follow_links)
    elif os.path.lexists(root):  # a pipe, a device, a link to nothing
        raise DataError(
            f"{source.spec} is neither a file nor a folder.", fix=f"A source is {FORMS}."
        )
    else:
        raise DataError(f"{source.spec} does not exist.", fix=_nearest(root))


def _nearest(missing: Path) -> str:
    """Return what helps where a file or folder is missing: the names beside it that are like it."""
    with suppress(OSError):
        if near := get_close_matches(missing.name, os.listdir(missing.parent)[:MAX_NAMES]):
            return f"{did_you_mean(missing.name, near)} A source is {FORMS}."
    return f"A source is {FORMS}."


def _printable_name(name: str) -> str:
    """Return the name of a file on disk for messages and the data card."""
    return printable(os.fsencode(name).decode("utf-8", "replace"))


def printable(name: str) -> str:
    """Return a name without control characters, which file names may contain."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else "\ufffd" for character in name)


def _open(path: Path, shown: str) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{shown} can't be read: {error.strerror}.") from error


def disk_bytes(source: Source) -> int:
    """Return the bytes to read; 0 where they are not known before: a package, a data set, archives,
    compressed files. Raises DataError for none.
    """
    if source.spec.startswith((PACKAGE_PREFIX, HUB)):
        return 0
    named = [(name, size) for name, size in _sizes(source) if _is_read(name) or _is_packed(name)]
    if any(_is_packed(name) for name, _ in named):
        return 0
    return sum(size for _, size in named)


def _sizes(source: Source) -> Iterator[tuple[str, int]]:
    if is_store(source.spec):
        for stored in store_files(source.spec, lambda *_: None):
            yield stored.name, stored.size_bytes
        return
    for path, _ in _disk_paths(source, SourceReport()):
        yield path.name, path.stat().st_size


def _is_packed(name: str) -> bool:
    return bool(archive_suffix(name) or suffixes(name)[1])


def content_hash(source: Source) -> str:
    """Return the SHA-256 of the names and bytes of the source's files; for a package and an https:
    address the one that it must have.

    For an object store and the hub, of the names and of what they call the version. Raises
    ConfigError (an https: address without hash), DataError.
    """
    if source.spec.startswith(PINNED):
        if not source.pin:
            fix = f"`groundup data inspect {source.spec}` prints it: write {PIN}HASH behind the address."
            raise ConfigError(f"{source.spec} needs the SHA-256 of its file in a recipe.", fix=fix)
        return source.pin
    if source.spec.startswith(HUB):
        folder = parse_hub(source.spec).folder
        if not folder:
            return hub_fingerprint(source.spec)
        return content_hash(replace(source, spec=folder))
    if is_store(source.spec):
        found = store_files(source.spec, lambda *_: None)
        return sha256_text(
            repr([(stored.name, stored.version) for stored in found if _is_read(stored.name)])
        )
    files = []
    for path, name in _disk_paths(source, SourceReport()):
        if _is_read(name):
            with _open(path, _printable_name(name)) as handle:
                files.append(
                    (_printable_name(name), hashlib.file_digest(handle, "sha256").hexdigest())
                )
    return sha256_text(repr(files))


def _is_read(name: str) -> bool:
    return bool(archive_suffix(name)) or suffixes(name)[0] in SUFFIXES


def quick_hash(source: Source) -> str:
    """Return the SHA-256 of what changes whenever the source is read differently: its options,
    names, sizes and times of its files, readable formats.

    No file is opened; of the hub and object stores it is what they call the version. Raises
    DataError for a source that does not exist.
    """
    options = replace(source, weight=Source.weight)  # which is for what a model reads of the texts
    digest = hashlib.sha256(repr((options, readable_suffixes())).encode("utf-8", "surrogatepass"))
    if source.spec.startswith(HUB) or is_store(source.spec):
        digest.update(content_hash(source).encode())
    elif not source.spec.startswith(PINNED):
        # what is fetched has its hash in the options, or is never fetched again
        for path, name in _disk_paths(source, SourceReport()):
            found = path.stat()
            digest.update(
                f"{name!r} {found.st_size} {found.st_mtime_ns}\n".encode("utf-8", "surrogatepass")
            )
    return digest.hexdigest()


def readable_suffixes() -> list[str]:
    """Return the suffixes of the formats that can be read here: those of all extras that are
    installed.
    """
    return [
        suffix for suffix in SUFFIXES if suffix not in EXTRACTORS or EXTRACTORS[suffix].is_installed
    ]


def nothing_to_read(source: Source, report: SourceReport) -> DataError:
    """Return the error for a source without a file that is read, with the skipped ones."""
    message, fix = f"{source.spec} has no file to read.", f"Files that are read: {READ}."
    if report.skipped:
        skipped = [
            f"{tally.count} {reason} ({tally.shown()})" for reason, tally in report.skipped.items()
        ]
        message += f" Skipped: {'; '.join(skipped)}."
    if set(LINKS) & set(report.skipped):
        fix = f"The targets of links are read with `follow_links`. {fix}"
    if source.spec.startswith(PACKAGE_PREFIX):
        fix = f"Check the glob behind '!'. {fix}"
    return DataError(message, fix=fix)


# 1,000 paragraphs of five sentences, 0.5 MB; the package has them for another purpose, in columns
# "0" (as written) to "4" (shuffled).
GENERAL_TEXT = Source(
    "pypi:evals==3.0.1.post1!*/schelling_point/wikipedia_5.jsonl",
    sha256="0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78",
    licence="Paragraphs of Wikipedia (CC BY-SA); the package is under the MIT licence: "
    "downloaded, never redistributed.",
)
GENERAL_COLUMN = "0"
