"""A JSON-lines file that another process writes: each call gives the whole lines that are new since the last.

A run that goes on after a stop cuts its log back to its checkpoint and writes from there; one begun anew has a new file. Either is told by the
last line that was read no longer lying where it lay (lines carry times to the millisecond, so that the same step done again reads differently).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from groundup.runs import MAX_LINE_BYTES, read_line


class Tail:
    """Where one reader stands in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._last = b""  # the line that ends at the offset

    def read(self, restart: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """The records since the last call. `restart` is called first when what was given before is no longer the file's beginning.

        A half line waits for its end; lines that are no records are passed over; a missing file is an empty one.
        """
        try:
            handle = self.path.open("rb")
        except OSError:
            self._begin_anew(restart)
            return
        with handle:
            if not self._lies_there(handle):
                self._begin_anew(restart)
            handle.seek(self._offset)
            yield from self._whole_lines(handle)

    def _lies_there(self, handle: BinaryIO) -> bool:
        handle.seek(self._offset - len(self._last))
        return handle.read(len(self._last)) == self._last

    def _begin_anew(self, restart: Callable[[], None]) -> None:
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
    """The last piece of a line that is longer than any record; b"" where the file ends before it does."""
    piece = b""
    while more := handle.readline(MAX_LINE_BYTES + 1):
        piece = more
        if piece.endswith(b"\n"):
            break
    return piece
