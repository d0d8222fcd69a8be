"""The vector stores by name. Another one, as of pgvector or Qdrant, is a class in a file of its own
and a line in the table:

    groundup.index("manuals", "manuals.index", vectors="all-minilm-l6-v2", store="NAME:ADDRESS")
"""

from collections.abc import Callable
from pathlib import Path

from groundup.errors import ConfigError, did_you_mean
from groundup.retrieve.vector_store import MappedVectors, VectorStore

FILES = "files"
VECTOR_STORES: dict[str, Callable[[Path, int, str], VectorStore]] = {FILES: MappedVectors}
"""Name -> a function of (FOLDER/vectors, numbers of a vector, the address after "NAME:")."""


def require_store(store: str) -> None:
    """Raise ConfigError for a store whose name is unknown."""
    name = store.partition(":")[0]
    if name not in VECTOR_STORES:
        fix = did_you_mean(name, VECTOR_STORES)
        raise ConfigError(f"There is no vector store {name!r}.", fix=fix)


def open_store(store: str, place: Path, width: int) -> VectorStore:
    """Open the store "NAME" or "NAME:ADDRESS" of an index. Raises ConfigError for another name."""
    require_store(store)
    name, _, address = store.partition(":")
    return VECTOR_STORES[name](place, width, address)
