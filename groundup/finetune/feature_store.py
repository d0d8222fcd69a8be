"""The features of texts in the cache: hidden states after frozen blocks, found again by the weights
and a text's ids, and mapped from disk.

    CACHE/features/KEY/segment-*.safetensors      KEY: weights, number of blocks, precision
        hidden [tokens, C] float32    starts [rows + 1]    keys [rows, 16]: the first bytes of the
                                                           SHA-256 of each row's ids

A row is computed once, whatever run, split, learning rate or learning curve asks for it. The rows
of a segment were computed together; a killed run loses one segment. A damaged segment is computed
anew. `groundup cache` lists the folders and removes the longest unused. Rows that were computed
beside other rows differ from rows computed alone in the last bits.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from groundup.files import atomic_file, cache_folder
from groundup.locks import hold

FOLDER = "features"
KEY_BYTES = 16
# 151 MB of SmolLM2's states: what a killed run computes again, and what is in memory at once.
SEGMENT_TOKENS = 2**16


def row_key(row: Sequence[int]) -> bytes:
    """Return the first bytes of the SHA-256 of a row's ids."""
    return hashlib.sha256(f"{list(row)}".encode()).digest()[:KEY_BYTES]


def segments_of(rows: Mapping[bytes, Sequence[int]]) -> list[list[bytes]]:
    """Divide rows into segments, the longest rows first: the same rows give the same segments, and
    those that a killed run left are its next ones.
    """
    segments: list[list[bytes]] = []
    tokens = SEGMENT_TOKENS
    for key in sorted(rows, key=lambda each: (-len(rows[each]), each)):
        if tokens + len(rows[key]) > SEGMENT_TOKENS:
            segments.append([])
            tokens = 0
        segments[-1].append(key)
        tokens += len(rows[key])
    return segments


@dataclass(frozen=True)
class FeatureStore:
    """The features of one frozen model in one precision."""

    folder: Path

    @classmethod
    def of(cls, key: str, precision: str) -> "FeatureStore":
        """Return the store, its folder made and held until this process ends. Raises DiskError."""
        folder = cache_folder(FOLDER, f"{key[:32]}-{precision}")
        hold(folder)
        return cls(folder)

    @staticmethod
    def exists(key: str, precision: str) -> bool:
        """Whether a store has any segment."""
        return any((cache_folder(FOLDER) / f"{key[:32]}-{precision}").glob("segment-*"))

    def read(self, lengths: Mapping[bytes, int], width: int) -> dict[bytes, Float[Tensor, "T C"]]:
        """Return the features of those rows that are stored with so many tokens, as parts of mapped
        files.
        """
        found: dict[bytes, Tensor] = {}
        for file in sorted(self.folder.glob("segment-*.safetensors")):
            for key, hidden in read_segment(file, width).items():
                if lengths.get(key) == len(hidden):
                    found[key] = hidden
        return found

    def write(self, keys: Sequence[bytes], hidden: Sequence[Float[Tensor, "T C"]]) -> None:
        """Write rows as one segment, atomically. Raises DiskError."""
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:32]
        lengths = torch.tensor([0, *map(len, hidden)])
        whole = torch.cat(list(hidden))
        tensors = {
            "hidden": whole,
            "starts": lengths.cumsum(0),
            "keys": torch.tensor([list(key) for key in keys], dtype=torch.uint8),
        }
        file = self.folder / f"segment-{name}.safetensors"
        with atomic_file(file, needed_bytes=whole.nbytes) as temporary:
            save_file(tensors, temporary, metadata={"sha256": digest_of(tensors)})


def read_segment(file: Path, width: int) -> dict[bytes, Float[Tensor, "T C"]]:
    """Return the rows of a segment by key; none where it is damaged, of another width, or removed
    meanwhile.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in ("hidden", "starts", "keys")}
            written = (opened.metadata() or {}).get("sha256")
        hidden, starts, keys = tensors["hidden"], tensors["starts"].tolist(), tensors["keys"]
        if (
            written != digest_of(tensors)
            or hidden.shape != (starts[-1], width)
            or keys.shape != (len(starts) - 1, KEY_BYTES)
        ):
            return {}
        names = (bytes(key) for key in keys.tolist())
        return {
            name: hidden[start:end]
            for name, start, end in zip(names, starts[:-1], starts[1:], strict=True)
        }
    except (SafetensorError, OSError, KeyError, ValueError, IndexError):
        return {}


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of the bytes of some tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
