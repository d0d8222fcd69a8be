"""MemoryVectors: the smallest vector store, in memory, by which `retrieve.vector_store` is tested."""

from collections.abc import Sequence
from pathlib import Path

from groundup.retrieve.vector_store import Ids, Rows, Vector


class MemoryVectors:
    """A vector store in memory, by its address."""

    kept: dict[str, dict[int, Vector]] = {}

    def __init__(self, place: Path, width: int, address: str) -> None:
        self.vectors = self.kept.setdefault(address, {})

    def prepare(self, live: Ids) -> int:
        for id in set(self.vectors) - set(live.tolist()):
            del self.vectors[id]
        return max(self.vectors, default=0)

    def append(self, ids: Sequence[int], rows: Rows) -> None:
        self.vectors.update(zip(ids, rows, strict=True))

    def nearest(self, query: Vector, limit: int) -> list[tuple[int, float]]:
        found = [(id, float(row @ query)) for id, row in self.vectors.items()]
        return sorted(found, key=lambda each: (-each[1], each[0]))[:limit]

    def rows(self, ids: Sequence[int]) -> dict[int, Vector]:
        return {id: self.vectors[id] for id in ids if id in self.vectors}

    def current(self) -> "MemoryVectors":
        return self
