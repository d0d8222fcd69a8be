"""Which encoder made the vectors of an index, and how many are missing. Without torch.

FOLDER/vectors/vectors.json    the encoder, the vector that it gave a known sentence, and the
                               store (`vector_store.py`) that keeps the vectors
"""

from dataclasses import dataclass
from pathlib import Path

from groundup.errors import FormatError
from groundup.files import read_json, write_json
from groundup.retrieve.index import VECTORS_FILE, VECTORS_FOLDER, Index
from groundup.retrieve.index_folders import index_folders
from groundup.retrieve.known_stores import FILES, open_store
from groundup.retrieve.vector_store import VectorStore
from groundup.runs import read_stage_kinds

NO_VECTORS = "none"
"""The name that asks for no vectors."""


@dataclass(frozen=True)
class VectorIndexInfo:
    """Which encoder made the vectors of an index, and where they are."""

    place: Path
    """FOLDER/vectors."""
    model: str
    """Its name or path."""
    probe: tuple[float, ...]
    """Its vector of PROBE."""
    store: str = FILES
    """The store, as "NAME" or "NAME:ADDRESS"."""

    def open_store(self) -> VectorStore:
        """Open the store. Raises ConfigError for an unknown one."""
        return open_store(self.store, self.place, len(self.probe))

    def write(self) -> None:
        """Write vectors.json, atomically."""
        kept = {"model": self.model, "probe": list(self.probe), "store": self.store}
        write_json(self.place / VECTORS_FILE, kept)


def read_vectors_info(folder: Path) -> VectorIndexInfo | None:
    """Return which encoder made the vectors of the index in `folder`; None: it has none. Raises
    FormatError.
    """
    file = folder / VECTORS_FOLDER / VECTORS_FILE
    if not file.exists():
        return None
    match read_json(file):
        case {"model": str(model), "probe": [float(), *_] as probe, "store": str(store)} if all(
            isinstance(x, float) for x in probe
        ):
            return VectorIndexInfo(file.parent, model, tuple(probe), store)
    raise FormatError(
        file,
        "model, probe and store",
        "are not a name, a vector and a name",
        fix=f"Delete {file.parent} to make new vectors.",
    )


def encoder_alone(build: Path) -> str:
    """Return the encoder of the first index with vectors of a build that makes no model that
    writes; "": there is none, or it makes one. Raises FormatError.
    """
    if not {"chat", "pretrain"}.isdisjoint(read_stage_kinds(build).values()):
        return ""
    found = filter(None, map(read_vectors_info, index_folders(build)))
    return next((each.model for each in found), "")


def lacking_vectors(index: Index) -> int:
    """Return how many passages have no vector. Raises ConfigError, FormatError."""
    known = read_vectors_info(index.folder)
    if known is None:
        return index.passage_count
    ids = [row[0] for row in index.rows("SELECT id FROM passage ORDER BY id")]
    return len(ids) - len(known.open_store().rows(ids))
