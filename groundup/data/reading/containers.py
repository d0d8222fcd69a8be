"""Files within others: those below a folder or of a glob, sorted by name; .gz and .zst as streams,
.zip, .tar and .tar.gz member by member.

A folder is the glob `FOLDER/**`. `*`, `?` and `[...]` match within a name, `**` matches any
folders, as in Python's glob; names that begin with a dot match only where the pattern does. A link
whose target is outside of the folder, and every link to a folder, is skipped and reported; with
`follow_links` it is read, each real folder once, so that cyclic links end.

Of an archive nothing is unpacked to disk and no member's name becomes a path. What a file may
expand to is bounded as for package archives (`fetch`); links, devices, encrypted members and
archives within archives are skipped and reported.
"""

import fnmatch
import glob
import gzip
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from groundup.errors import ExpansionError, FormatError, MissingExtra
from groundup.fetch import DAMAGE, Member, expansion_limit, members
from groundup.files import inside

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")
COMPRESSED = (".gz", ".zst")
NESTED = "an archive within an archive"
READ_BYTES = 2**16
# A zstd block of a few bytes may hold 128 KiB: what one read expands to is at most some 32 MiB.
ZSTD_READ_BYTES = 2**10
# A folder with both is a build of this package: its data were made from texts and are not texts.
BUILD_FILES = {"recipe.toml", "build.json"}
EVERYTHING = ("**",)
BUILD = "a build's own folder"
OUTSIDE, LINKED_FOLDER = "a link that leaves the folder", "a link to a folder"

Skip = Callable[[str, str], None]
"""A callback with the reason and the name of a skipped entry."""


def archive_suffix(name: str) -> str:
    """Return the suffix of an archive's name, "" for another file's.

    >>> archive_suffix("texts.TAR.gz"), archive_suffix("notes.txt.gz")
    ('.tar.gz', '')
    """
    return next((suffix for suffix in ARCHIVES if name.lower().endswith(suffix)), "")


def suffixes(name: str) -> tuple[str, str]:
    """Return the suffix of a file's format and of its compression.

    >>> suffixes("notes.txt.gz"), suffixes("notes.TXT")
    (('.txt', '.gz'), ('.txt', ''))
    """
    path = PurePosixPath(name.lower())
    if path.suffix in COMPRESSED:
        return PurePosixPath(path.stem).suffix, path.suffix
    return path.suffix, ""


def archive_members(archive: Path, skip: Callable[[str, str], None]) -> Iterator[Member]:
    """Yield the files of an archive; `skip` gets the reason and the name of each that is not read.
    Raises FormatError for a damaged one.
    """
    for member in members(archive, skip=skip):
        hidden = any(map(_is_hidden, PurePosixPath(member.name).parts))
        if archive_suffix(member.name):
            skip(NESTED, member.name)
        elif not hidden:
            yield member


def _is_hidden(part: str) -> bool:
    return part != ".." and part.startswith((".", "__MACOSX"))


def member_stream(member: Member) -> io.BufferedReader:
    return stream_of(member.chunks())


def stream_of(pieces: Iterator[bytes]) -> io.BufferedReader:
    return io.BufferedReader(_Pieces(pieces), buffer_size=2**16)


def decompress(raw: IO[bytes], suffix: str, name: str, size_bytes: int) -> io.BufferedReader:
    """Return the decompressed stream of a .gz or .zst file of `size_bytes`.

    Reading raises FormatError when it is damaged, ExpansionError when it expands too much.
    """
    read = _zstd_pieces
    if suffix == ".gz":
        read = _gzip_pieces
    pieces = _within_limit(read(raw, name), name, expansion_limit(size_bytes))
    return io.BufferedReader(_Pieces(pieces, raw), buffer_size=2**16)


def _gzip_pieces(raw: IO[bytes], name: str) -> Iterator[bytes]:
    stream = gzip.GzipFile(fileobj=raw)
    try:
        while piece := stream.read(READ_BYTES):
            yield piece
    except DAMAGE as error:  # OSError among them
        raise FormatError(name, "gzip", f"is damaged ({error})") from error


def _zstd_pieces(raw: IO[bytes], name: str) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtra("zstandard", "documents") from error
    frame, is_open = zstandard.ZstdDecompressor().decompressobj(), False
    try:
        while left := raw.read(ZSTD_READ_BYTES):
            while left:
                is_open = True
                yield frame.decompress(left)
                left = b""
                if frame.eof:  # another frame may follow
                    left, is_open = frame.unused_data, False
                    frame = zstandard.ZstdDecompressor().decompressobj()
    except zstandard.ZstdError as error:
        raise FormatError(name, "zstd", f"is damaged ({error})") from error
    if is_open:
        raise FormatError(name, "zstd", "is damaged (it ends within a frame)")


def _within_limit(pieces: Iterator[bytes], name: str, limit_bytes: int) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limit_bytes:
            reason = f"expands to more than {limit_bytes} bytes, the limit for a file of its size"
            raise ExpansionError(name, "content", reason)
        yield piece


class _Pieces(io.RawIOBase):
    """A raw stream over an iterator of bytes; `close` also closes `source`."""

    def __init__(self, pieces: Iterator[bytes], source: IO[bytes] | None = None) -> None:
        self._pieces, self._source = pieces, source
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:  # a piece may be empty
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)

    def close(self) -> None:
        if self._source:
            self._source.close()
        super().close()


def folder_files(
    root: Path, skip: Skip, *, follow_links: bool = False
) -> Iterator[tuple[Path, str]]:
    """Yield (path, name within `root`) of every file below it, without hidden files and builds."""
    names = sorted(_Walk(root, EVERYTHING, skip, follow_links).names())
    yield from ((root / name, name) for name in names)


def glob_files(
    pattern: Path, skip: Skip, *, follow_links: bool = False
) -> Iterator[tuple[Path, str]]:
    """Yield (path, the same as text) of every file that the pattern matches."""
    fixed = next(at for at, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = Path(*pattern.parts[:fixed])
    names = sorted(_Walk(root, pattern.parts[fixed:], skip, follow_links).names())
    yield from ((root / name, str(root / name)) for name in names)


class Pattern:
    """The parts of a pattern between its slashes, matched name by name: a state is a part that may
    come next.
    """

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.parts = parts
        self.start = self._close({0})

    def after(self, states: set[int], name: str) -> set[int]:
        """Return the pattern's parts that may follow `name`, given those that may match it; empty:
        no match.
        """
        hidden = name.startswith(".")
        after = set()
        for state in states & set(range(len(self.parts))):
            part = self.parts[state]
            if part == "**":
                if not hidden:
                    after.add(state)
            elif fnmatch.fnmatchcase(name, part) and (not hidden or part.startswith(".")):
                after.add(state + 1)
        return self._close(after)

    def matches(self, name: str) -> bool:
        """Return whether a whole name, of parts with slashes between, matches."""
        states = self.start
        for part in name.split("/"):
            states = self.after(states, part)
        return len(self.parts) in states

    def _close(self, states: set[int]) -> set[int]:
        """Return `states` and what follows each `**`, which may match nothing."""
        for state in sorted(states):
            while state < len(self.parts) and self.parts[state] == "**":
                state += 1
                states.add(state)
        return states


class _Walk:
    def __init__(self, root: Path, parts: tuple[str, ...], skip: Skip, follow_links: bool) -> None:
        self.root, self.pattern = root, Pattern(parts)
        self.skip, self.follow_links = skip, follow_links
        self.seen: set[str] = set()

    def names(self) -> Iterator[str]:
        """Yield the names of matching files within the root, unsorted."""
        waiting = [("", self.pattern.start)]
        while waiting:
            folder, states = waiting.pop()
            entries = self._entries(folder)
            is_build = {entry.name for entry in entries} >= BUILD_FILES
            if is_build and self.pattern.parts == EVERYTHING:
                self.skip(BUILD, folder or ".")
                continue
            for entry in entries:
                after = self.pattern.after(states, entry.name)
                name = os.path.join(folder, entry.name)
                if after and os.path.isdir(entry):
                    if self._enters(entry, name):
                        waiting.append((name, after))
                elif len(self.pattern.parts) in after and self._is_readable(entry, name):
                    yield name

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        path = self.root / folder
        real = os.path.realpath(path)
        if real in self.seen:
            return []
        self.seen.add(real)
        try:
            with os.scandir(path) as found:
                return sorted(found, key=lambda entry: entry.name)
        except OSError:
            self.skip("not readable", str(path))
            return []

    def _enters(self, entry: os.DirEntry[str], name: str) -> bool:
        if entry.is_symlink() and not self.follow_links:
            self.skip(LINKED_FOLDER, name)
            return False
        return True

    def _is_readable(self, entry: os.DirEntry[str], name: str) -> bool:
        if not os.path.isfile(entry):
            self.skip("not a plain file", name)
            return False
        if entry.is_symlink() and not self.follow_links:
            try:
                inside(self.root, name)
            except FormatError:
                self.skip(OUTSIDE, name)
                return False
        return True
