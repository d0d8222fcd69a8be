"""Vector stores: where the vectors of an index's passages are kept, and how the nearest are found.

`VectorStore` is the interface; `known_stores.py` has the implementations by name.

`MappedVectors`, the one that needs nothing else, keeps a mapped matrix beside the index's file:

    FOLDER/vectors/rows-n.f32      the rows, each of length 1
    FOLDER/vectors/ids-n.i64       the passage of each row, ascending

Rows are only appended, each before its id, and what stands after the last id is written again:
after kill -9 or on a full disk the same command goes on from there. Passages that are gone keep
their row until they are half of all; then new files are written, with the next number.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from groundup.files import atomic_file, disk_errors, write_bytes

# Rows that are multiplied at once: 25 MB of 384 numbers.
BLOCK_ROWS = 16_384
Vector = Float[np.ndarray, " C"]
Rows = Float[np.ndarray, "N C"]
Ids = Int[np.ndarray, " N"]


class VectorStore(Protocol):
    """A vector of length 1 for each passage that has one, by the passage's id.

    Ids are given in ascending order and never used twice. One process writes at a time; others may
    read meanwhile.
    """

    def prepare(self, live: Ids) -> int:
        """Begin to write: drop what an interrupted write left, and vectors of passages that are
        not among the `live` ones (at most as many as are live may stay for a later call). Return
        the last id that has a vector, or 0. Raises DiskError.
        """
        ...

    def append(self, ids: Sequence[int], rows: Rows) -> None:
        """Keep the vectors of further passages; they are durable on return. Raises DiskError."""
        ...

    def nearest(self, query: Vector, limit: int) -> list[tuple[int, float]]:
        """Return (id, cosine) of the vectors nearest to `query`, best first, of equal ones the
        lower id.
        """
        ...

    def rows(self, ids: Sequence[int]) -> dict[int, Vector]:
        """Return the vectors of those of the passages that have one, in the order of `ids`."""
        ...

    def current(self) -> "VectorStore":
        """Return the store with the vectors of now; itself where it always shows them."""
        ...


class MappedVectors:
    """A `VectorStore` of two files: see the module. It shows the rows of when it was opened."""

    def __init__(self, place: Path, width: int, address: str = "") -> None:
        """`place`: FOLDER/vectors; `width`: numbers of a vector; `address`: not used."""
        self.place, self.width, self.row_bytes = place, width, 4 * width
        self._open()

    def _open(self) -> None:
        self.number, self.count = self._state()
        self.matrix: Rows = np.zeros((0, self.width), dtype=np.float32)
        self.ids: Ids = np.zeros(0, dtype=np.int64)
        if self.count:
            shape = (self.count, self.width)
            self.matrix = np.memmap(self.files[0], dtype=np.float32, mode="r", shape=shape)
            self.ids = np.fromfile(self.files[1], dtype=np.int64, count=self.count)

    def load(self) -> None:
        """Read the rows into memory: Windows removes no file that is mapped."""
        self.matrix = np.array(self.matrix)

    def _state(self) -> tuple[int, int]:
        """Return the number of the files of now, and the rows that are whole."""
        number = max(self._numbers(), default=0)
        rows, ids = (_size_of(file) for file in self._files_of(number))
        return number, min(rows // self.row_bytes, ids // 8)

    def current(self) -> VectorStore:
        """Return the store with the rows of now."""
        if self._state() == (self.number, self.count):
            return self
        return MappedVectors(self.place, self.width)

    @property
    def files(self) -> tuple[Path, Path]:
        """Rows and ids."""
        return self._files_of(self.number)

    def _files_of(self, number: int) -> tuple[Path, Path]:
        return self.place / f"rows-{number}.f32", self.place / f"ids-{number}.i64"

    def _numbers(self) -> Iterator[int]:
        """Yield the numbers of the files that are whole: the ids are written last."""
        for file in self.place.glob("ids-*.i64"):
            number = file.stem.removeprefix("ids-")
            if number.isdecimal():
                yield int(number)

    def prepare(self, live: Ids) -> int:
        """Begin to write; new files are written where more than half of the rows are of passages
        that are gone. Raises DiskError.
        """
        kept = np.flatnonzero(np.isin(self.ids, live))
        if 2 * len(kept) < len(self.ids):
            self._write_anew(kept)
        with disk_errors(self.place):
            for file in (*self.place.glob("rows-*.f32"), *self.place.glob("ids-*.i64")):
                if file not in self.files:
                    file.unlink()
            for file, row_bytes in zip(self.files, (self.row_bytes, 8), strict=True):
                file.touch()
                os.truncate(file, self.count * row_bytes)
        return int(self.ids[-1]) if self.count else 0

    def _write_anew(self, kept: Ids) -> None:
        """Write the rows at the places `kept` into files of the next number."""
        rows_file, ids_file = self._files_of(self.number + 1)
        with (
            atomic_file(rows_file, needed_bytes=len(kept) * self.row_bytes) as temporary,
            temporary.open("wb") as out,
        ):
            for start in range(0, len(kept), BLOCK_ROWS):
                out.write(self.matrix[kept[start : start + BLOCK_ROWS]].tobytes())
        write_bytes(ids_file, self.ids[kept].tobytes())
        self._open()

    def append(self, ids: Sequence[int], rows: Rows) -> None:
        """Append rows, then their ids. Raises DiskError."""
        written = (rows.astype(np.float32).tobytes(), np.array(ids, np.int64).tobytes())
        with disk_errors(self.place):
            for file, content in zip(self.files, written, strict=True):
                with file.open("ab") as out:
                    out.write(content)
                    out.flush()
                    os.fsync(out.fileno())

    def nearest(self, query: Vector, limit: int) -> list[tuple[int, float]]:
        """Return (id, cosine) of the nearest rows, by comparison with all of them."""
        if not self.count:
            return []
        cosines = np.empty(self.count, dtype=np.float32)
        for start in range(0, self.count, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            np.dot(self.matrix[block], query, out=cosines[block])
        limit = min(limit, self.count)
        best = np.argpartition(-cosines, limit - 1)[:limit]
        best = best[np.lexsort((self.ids[best], -cosines[best]))]
        return [(int(self.ids[row]), float(cosines[row])) for row in best]

    def rows(self, ids: Sequence[int]) -> dict[int, Vector]:
        """Return the rows of those of the passages that have one."""
        places = np.searchsorted(self.ids, np.array(ids, dtype=np.int64))
        return {
            id: self.matrix[place]
            for id, place in zip(ids, places, strict=True)
            if place < self.count and self.ids[place] == id
        }


def _size_of(file: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
