"""A JSON-lines file that another process writes: each call returns the complete lines that are new since the last.

A resumed run truncates its log to its checkpoint; a new run has a new file. Both are detected by the last line that was read: it is no longer
at its offset (lines have times in milliseconds, so that a repeated step gives another line).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from groundup.runs import MAX_LINE_BYTES, read_line


class Tail:
    """The position of one reader in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._last = b""  # the line that ends at the offset

    def read(self, restart: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """Yield the records since the last call. `restart` is called first when the lines read before are no longer in the file.

        An incomplete line is left for the next call; lines that are not records are skipped; a missing file counts as empty.
        """
        try:
            handle = self.path.open("rb")
        except OSError:
            self._reset(restart)
            return
        with handle:
            handle.seek(self._offset - len(self._last))
            if handle.read(len(self._last)) != self._last:
                self._reset(restart)
            handle.seek(self._offset)
            yield from self._whole_lines(handle)

    def _reset(self, restart: Callable[[], None]) -> None:
        if self._offset:
            self._offset, self._last = 0, b""
            restart()

    def _whole_lines(self, handle: BinaryIO) -> Iterator[dict[str, Any]]:
        while raw := handle.readline(MAX_LINE_BYTES + 1):
            end = raw if raw.endswith(b"\n") else _rest_of_line(handle)
            if not end.endswith(b"\n"):
                return
            self._offset, self._last = handle.tell(), end
            record = read_line(raw)
            if record is not None:
                yield record


def _rest_of_line(handle: BinaryIO) -> bytes:
    """Return the last piece of a line longer than any record; without a line end where the file ends first."""
    piece = b""
    while more := handle.readline(MAX_LINE_BYTES + 1):
        piece = more
        if piece.endswith(b"\n"):
            break
    return piece
