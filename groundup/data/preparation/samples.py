"""What a data card shows of a source's texts: random documents, their lengths, the languages of a
sample. One pass, bounded memory.

Which documents are drawn depends on their names and the seed, not on their order: of two readings
of the same source the same ones are drawn.
"""

import hashlib
import heapq
from collections.abc import Sequence
from typing import Any

from groundup.data.processing.languages import (
    LOOKED_AT_CHARACTERS,
    SAMPLED_DOCUMENTS,
    can_detect,
    count_languages,
)

SAMPLES_PER_SOURCE = 5
SAMPLE_CHARACTERS = 600


def add_length(lengths: list[int], characters: int, times: int = 1) -> None:
    """Count a text, or take one away, in a histogram: entry 0 counts the empty ones, entry i those
    of 2^(i-1) to 2^i - 1 characters.

    >>> add_length(counts := [0], 5)
    >>> counts
    [0, 0, 0, 1]
    """
    place = characters.bit_length()
    lengths.extend([0] * (place + 1 - len(lengths)))
    lengths[place] += times


class RandomDocuments:
    """A uniform sample of at most `limit` documents, without replacement: those whose names have
    the smallest hashes.
    """

    def __init__(self, limit: int, seed: int = 0) -> None:
        self._limit, self._seed = limit, seed
        self._kept: list[tuple[int, str, str]] = []  # a heap: (minus the hash, name, beginning)

    def add(self, name: str, text: str) -> None:
        """Consider a document; its beginning is kept if it is drawn."""
        key = f"{self._seed}/{name}".encode("utf-8", "surrogatepass")
        rank = -int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
        if len(self._kept) < self._limit:
            heapq.heappush(self._kept, (rank, name, text[:LOOKED_AT_CHARACTERS]))
        elif rank > self._kept[0][0]:
            heapq.heapreplace(self._kept, (rank, name, text[:LOOKED_AT_CHARACTERS]))

    def state(self) -> list[tuple[int, str, str]]:
        """Return JSON values from which `restore` goes on."""
        return self._kept

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Go on from a `state`."""
        self._kept = [(rank, name, text) for rank, name, text in state]

    def draw(self) -> list[tuple[str, str]]:
        """Return (name, beginning) of each, in random order: the first n are a sample of n."""
        return [(name, text) for _, name, text in sorted(self._kept, reverse=True)]


class TextSample:
    """A random sample of a source's documents: a few to be shown, and where languages can be
    detected as many as that takes.
    """

    def __init__(self, seed: int = 0) -> None:
        self._detects = can_detect()
        limit = SAMPLES_PER_SOURCE
        if self._detects:
            limit = SAMPLED_DOCUMENTS
        self._documents = RandomDocuments(limit, seed)
        self.add = self._documents.add
        self.state, self.restore = self._documents.state, self._documents.restore

    def shown(self) -> list[dict[str, str]]:
        """Return the beginnings of a few documents."""
        shown = self._documents.draw()[:SAMPLES_PER_SOURCE]
        return [{"name": name, "text": text[:SAMPLE_CHARACTERS]} for name, text in shown]

    def languages(self) -> dict[str, Any] | None:
        """Return the number of documents sampled and of those in each language; None where the
        package is not installed.
        """
        if not self._detects:
            return None
        texts = [text for _, text in self._documents.draw()]
        return {"documents": len(texts), "found": count_languages(texts)}
