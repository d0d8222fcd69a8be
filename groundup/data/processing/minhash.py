"""MinHash signatures (rensa) and banded lookup: which documents may resemble one another. They only
propose: exact Jaccard decides.

    bands_for(0.8)          18 bands of 7 rows: two texts with Jaccard J share a band with
                            probability 1 - (1 - J^7)^18
    BandKeys(folder, 0.8)   .add(ngrams) for batch after batch, then .groups(): the groups of
                            documents with a common band

Broder 1997 (MinHash), Indyk and Motwani 1998 (banding). The keys of each band are in a file of
`folder` and sorted one band at a time: in memory are 24 bytes a document, and about 40 for each
group that a document is in; on disk 8 bytes for each band.
"""

from array import array
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.processing.word_ngrams import Ngrams, mix_bits
from groundup.errors import require_extra

CLEAN_EXTRA, MODULE = "clean", "rensa"
MAX_HASHES = 128
MIN_RECALL = 0.95
_SEED = 1


def bands_for(threshold: float) -> tuple[int, int]:
    """Return (bands, rows): the most rows, hence the fewest false candidates, by which MIN_RECALL
    of pairs at the threshold share a band.

    >>> bands_for(0.8), bands_for(0.9)
    ((18, 7), (10, 12))
    """
    fits = (
        rows
        for rows in range(MAX_HASHES, 0, -1)
        if recall(threshold, MAX_HASHES // rows, rows) >= MIN_RECALL
    )
    rows = next(fits, 1)
    return MAX_HASHES // rows, rows


def recall(jaccard: float, bands: int, rows: int) -> float:
    """Return the probability that two texts with this Jaccard share a band.

    >>> round(recall(0.8, 14, 8), 3), round(recall(0.8, 18, 7), 3), round(recall(0.9, 18, 7), 5)
    (0.924, 0.986, 0.99999)
    """
    return 1 - (1 - jaccard**rows) ** bands


@dataclass(frozen=True)
class Groups:
    """Groups of documents that share a band with the same values."""

    members: np.ndarray
    """The documents that are in a group, in ascending order."""
    _ids: np.ndarray
    _rows: np.ndarray

    def of(self, place: int) -> list[int]:
        """Return the groups of members[place]."""
        return self._ids[self._rows[place] : self._rows[place + 1]].tolist()


class BandKeys:
    """A context manager that computes the signatures of documents and writes the keys of their
    bands into files. Raises MissingExtra.
    """

    def __init__(self, folder: Path, threshold: float) -> None:
        require_extra(CLEAN_EXTRA, MODULE)
        self.bands, self.rows = bands_for(threshold)
        self._paths = [folder / f"band-{band}" for band in range(self.bands)]
        self._stack = ExitStack()
        self._files: list[Any] = [
            self._stack.enter_context(path.open("wb")) for path in self._paths
        ]
        self._multipliers = mix_bits(np.arange(1, self.rows + 1, dtype=np.uint64)) | np.uint64(1)
        self._wordless = array("q")
        self._count = 0

    def __enter__(self) -> "BandKeys":
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def add(self, found: Ngrams) -> None:
        """Add the next documents, by their n-grams."""
        signatures = self._signatures(found).astype(np.uint64)
        for band, file in enumerate(self._files):
            values = signatures[:, band * self.rows : (band + 1) * self.rows]
            file.write(
                mix_bits((values * self._multipliers).sum(axis=1, dtype=np.uint64)).tobytes()
            )
        self._wordless.extend((np.flatnonzero(np.diff(found.rows) == 0) + self._count).tolist())
        self._count += len(found.rows) - 1

    def _signatures(self, found: Ngrams) -> np.ndarray:
        import rensa

        rows = found.rows.astype(np.uint64)
        digest = rensa.RMinHash.digest_matrix_from_flat_token_hashes
        matrix = digest(np.ascontiguousarray(found.hashes), rows, self.bands * self.rows, _SEED)
        return np.array(matrix.to_rows(), np.uint32)

    def groups(self) -> Groups:
        """Return the groups; documents without words are in none."""
        self._stack.close()
        members, ids, last = [], [], 0
        for path in self._paths:
            of_band, numbers = self._find_shared(np.fromfile(path, np.uint64))
            path.unlink()
            members.append(of_band)
            ids.append(numbers + last)
            if len(numbers):
                last += int(numbers[-1]) + 1
        documents = np.concatenate(members)
        order = np.argsort(documents, kind="stable")
        distinct, rows = np.unique(documents[order], return_index=True)
        return Groups(distinct, np.concatenate(ids)[order], np.append(rows, len(order)))

    def _find_shared(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the documents whose key in a band occurs more than once, and the number of the
        group of each.
        """
        order = np.argsort(keys, kind="stable")
        if self._wordless:
            order = order[~np.isin(order, np.array(self._wordless))]
        ordered = keys[order]
        same = ordered[1:] == ordered[:-1]
        is_shared = np.zeros(len(order), bool)
        is_shared[1:] |= same
        is_shared[:-1] |= same
        first = np.append(True, ~same)[: len(order)] & is_shared
        return order[is_shared], (np.cumsum(first) - 1)[is_shared]
