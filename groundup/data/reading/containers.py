"""Files within files: .gz and .zst as streams, .zip, .tar and .tar.gz member by member.

Nothing is unpacked to disk and no member's name becomes a path. What a file may expand to is
bounded as for package archives (`fetch`); links, devices, encrypted members and archives within
archives are skipped and reported.
"""

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from groundup.errors import ExpansionError, FormatError, MissingExtra
from groundup.fetch import DAMAGE, Member, expansion_limit, members

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")
COMPRESSED = (".gz", ".zst")
NESTED = "an archive within an archive"
READ_BYTES = 2**16
# A zstd block of a few bytes may hold 128 KiB: what one read expands to is at most some 32 MiB.
ZSTD_READ_BYTES = 2**10


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
    """Return a member as a stream."""
    return stream_of(member.chunks())


def stream_of(pieces: Iterator[bytes]) -> io.BufferedReader:
    """Return the stream of bytes that come in pieces."""
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
