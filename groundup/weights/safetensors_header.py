"""The header of a safetensors file, checked before the library opens the file.

    8 bytes little-endian: length N of the header
    N bytes JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
        "__metadata__": {text: text}}
    the tensors' bytes, one after the other, without gaps

Every number is checked against the size of the file, in Python integers. Source: the format's
README (huggingface/safetensors).
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from groundup.errors import FormatError
from groundup.files import read_errors

# Of a folder's weights, whole or with the files of their parts.
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
# The headers of the largest models (1,000 layers in one file) are below 2 MiB.
MAX_HEADER_BYTES = 16 * 2**20
METADATA = "__metadata__"
MAX_DIMENSIONS = 8
MAX_NAME_CHARACTERS = 512
DTYPE_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}


@dataclass(frozen=True)
class TensorEntry:
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """Counted from the start of the data."""
    end: int


def read_header(path: Path) -> dict[str, TensorEntry]:
    """The checked tensor table. Raises FormatError."""
    table, data_bytes = _read_table(path)
    table.pop(METADATA, None)
    entries = {name: _entry(path, name, value) for name, value in table.items()}
    _check_extents(path, entries, data_bytes)
    return entries


def read_metadata(path: Path) -> dict[str, str]:
    """The texts beside the tensors, by name. Raises FormatError."""
    found = _read_table(path)[0].get(METADATA, {})
    assert isinstance(found, dict)
    return found


def _read_table(path: Path) -> tuple[dict[str, object], int]:
    """The header, and the bytes after it."""
    with read_errors(path):
        if not path.is_file():
            raise FormatError(path, "file", "is missing")
        size = path.stat().st_size
        if size < 10:
            raise FormatError(path, "size", f"is {size} bytes, too short for a safetensors file")
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise FormatError(path, "header length", f"is {length} in a file of {size} bytes")
            return _parse(path, handle.read(length)), size - 8 - length


@contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """The library's file of a checked header, mapped. Raises FormatError."""
    try:
        with safe_open(path, framework="pt") as opened:
            yield opened
    except SafetensorError as error:
        raise FormatError(path, "tensors", f"can't be read ({str(error)[:120]})") from error


def _parse(path: Path, raw: bytes) -> dict[str, object]:
    try:
        table = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise FormatError(path, "header", f"can't be parsed ({str(error)[:120]})") from error
    if not isinstance(table, dict):
        raise FormatError(path, "header", "is not a table")
    metadata = table.get(METADATA, {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise FormatError(path, "header", f"{METADATA} is not a table of strings")
    return table


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name is repeated")
    return table


def _entry(path: Path, name: str, value: Any) -> TensorEntry:
    place = f"tensor {name[:80]!r}"
    if len(name) > MAX_NAME_CHARACTERS or not isinstance(value, Mapping):
        raise FormatError(path, place, "is not a table, or its name is too long")
    if set(value) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(path, place, "does not consist of dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise FormatError(
            path, place, f"has dtype {str(dtype)[:20]!r}; known are {', '.join(DTYPE_BYTES)}"
        )
    if not _counts(shape) or len(shape) > MAX_DIMENSIONS:
        raise FormatError(path, place, f"has a shape that is not up to {MAX_DIMENSIONS} integers")
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FormatError(path, place, "has data_offsets that are not two ascending integers")
    if offsets[1] - offsets[0] != math.prod(shape) * DTYPE_BYTES[dtype]:
        raise FormatError(path, place, "has data_offsets that do not match its shape and dtype")
    return TensorEntry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _counts(value: Any) -> bool:
    """A list of integers from 0 to 2**62?"""
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 2**62 for item in value
    )


def _check_extents(path: Path, entries: Mapping[str, TensorEntry], data_bytes: int) -> None:
    """The tensors fill the data exactly: no gap, no overlap."""
    at = 0
    for entry in sorted(entries.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != at:
            reason = f"begins at byte {entry.begin}, the one before ends at {at}"
            raise FormatError(path, f"tensor {entry.name[:80]!r}", reason)
        at = entry.end
    if at != data_bytes:
        reason = (
            f"is {data_bytes} bytes, the header describes {at}: the file is truncated or padded"
        )
        raise FormatError(path, "data", reason)
