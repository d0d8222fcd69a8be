"""The header of a GGUF file (versions 2 and 3, little-endian, not split), checked before any tensor
is used.

    "GGUF", version u32, number of tensors u64, number of metadata entries u64
    metadata: key, type u32, value                   (strings: length u64 and UTF-8; arrays: type
                                                     u32, count u64, items)
    tensors:  name, number of dimensions u32, dimensions u64 (fastest first), type u32, offset u64
    padding to the alignment, then the tensors' bytes

Sizes can be wrong (CVE-2026-7482): every number is checked against the bytes left, in Python
integers; extents are inside the file, aligned and without overlap. Source: the GGUF specification
(ggml/docs/gguf.md) and ggml/src/gguf.cpp.
"""

import math
import mmap
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from groundup.errors import FormatError
from groundup.files import read_errors

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 2**16
MAX_KEY_BYTES = 2**16 - 1
MAX_STRING_BYTES = 2**24
MAX_NAME_BYTES = 64
MAX_DIMENSIONS = 4
MAX_DEPTH = 2
# Items of all arrays together: a vocabulary of 256,000 has three arrays of that length.
MAX_ITEMS = 2**22
MAX_ENTRIES = 2**16

# GGUF value types by number.
_LETTERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "B",
    10: "Q",
    11: "q",
    12: "d",
}
_SCALARS = {number: struct.Struct("<" + letter) for number, letter in _LETTERS.items()}
_U32, _BOOL, _STRING, _ARRAY, _U64 = 4, 7, 8, 9, 10
# Types of tensors whose size is known, by number.
_KINDS = {int(kind): kind for kind in GGML_QUANT_SIZES}
# The least bytes that an entry of each kind takes, to refuse an impossible count before looping
# over it.
_LEAST_ENTRY, _LEAST_TENSOR = 8 + 4 + 1, 8 + 4 + 8 + 4 + 8
_LEAST_ITEM = {number: each.size for number, each in _SCALARS.items()} | {_STRING: 8, _ARRAY: 12}


@dataclass(frozen=True)
class TensorInfo:
    name: str
    shape: tuple[int, ...]
    """In torch's order, rows first."""
    kind: GGMLQuantizationType
    begin: int
    """Offset in the file."""
    num_bytes: int


@dataclass(frozen=True)
class Header:
    version: int
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]


def read_gguf_header(path: Path) -> Header:
    """Raises FormatError."""
    with read_errors(path):
        if not path.is_file():
            raise FormatError(path, "file", "is missing")
        size = path.stat().st_size
        if size < 24:
            raise FormatError(path, "size", f"is {size} bytes, too short for a GGUF file")
        with (
            path.open("rb") as handle,
            mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return _Reader(path, data, size).header()


class _Reader:
    """A cursor that moves forward through the file and never past its end."""

    def __init__(self, path: Path, data: mmap.mmap, size: int) -> None:
        self.path = path
        self.data = data
        self.size = size
        self.at = 0
        self.items_left = MAX_ITEMS
        self.place = "header"

    def error(self, reason: str) -> FormatError:
        return FormatError(self.path, f"{self.place} (byte {self.at})", reason)

    def header(self) -> Header:
        if self.take(4) != MAGIC:
            raise self.error("does not begin with GGUF")
        version = self.u32()
        if version and version & 0xFFFF == 0:
            raise self.error("is a big-endian file; little-endian ones are read")
        if version not in VERSIONS:
            raise self.error(f"is version {version}; versions 2 and 3 are read")
        num_tensors = self.count(_LEAST_TENSOR, MAX_ENTRIES, "tensors")
        metadata = self._metadata(self.count(_LEAST_ENTRY, MAX_ENTRIES, "metadata entries"))
        infos = self._tensor_infos(num_tensors)
        return Header(version, metadata, self._place_tensors(infos, self._alignment(metadata)))

    def take(self, count: int) -> bytes:
        if count > self.size - self.at:
            raise self.error(f"needs {count} bytes, the file has {self.size - self.at} left")
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece

    def scalar(self, kind: int) -> Any:
        value = _SCALARS[kind].unpack(self.take(_SCALARS[kind].size))[0]
        if kind == _BOOL:
            return self._bool(value)
        return value

    def _bool(self, value: int) -> bool:
        if value > 1:
            raise self.error(f"a bool is {value}, 0 or 1 is expected")
        return bool(value)

    def u32(self) -> int:
        return int(self.scalar(_U32))

    def u64(self) -> int:
        return int(self.scalar(_U64))

    def string(self, max_bytes: int = MAX_STRING_BYTES) -> str:
        length = self.u64()
        if length > max_bytes:
            raise self.error(f"a text of {length} bytes, at most {max_bytes} expected")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error("a text is not UTF-8") from error

    def count(self, least_bytes: int, at_most: int, what: str) -> int:
        """Read a count; refused when the rest of the file can't hold so many items."""
        count = self.u64()
        left = self.size - self.at
        if count > at_most or count * least_bytes > left:
            raise self.error(
                f"{count} {what} can't be in the {left} bytes left (at most {at_most} are read)"
            )
        return count

    def _metadata(self, num_entries: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for number in range(num_entries):
            self.place = f"metadata entry {number}"
            key = self.string(MAX_KEY_BYTES)
            self.place = f"metadata {key[:80]!r}"
            if not key or key in metadata:
                raise self.error("the key is empty or repeated")
            metadata[key] = self.value(self.u32(), depth=0)
        return metadata

    def value(self, kind: int, depth: int) -> Any:
        if kind in _SCALARS:
            return self.scalar(kind)
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            raise self.error(f"has the unknown type {kind}")
        if depth >= MAX_DEPTH:
            raise self.error(f"has arrays nested deeper than {MAX_DEPTH}")
        return self._array(self.u32(), depth)

    def _array(self, kind: int, depth: int) -> list[Any]:
        if kind not in _LEAST_ITEM:
            raise self.error(f"has items of the unknown type {kind}")
        least = _LEAST_ITEM[kind]
        count = self.count(least, self.items_left, "items")
        self.items_left -= count
        if kind not in _SCALARS:
            return [self.value(kind, depth + 1) for _ in range(count)]
        values = list(struct.unpack(f"<{count}{_LETTERS[kind]}", self.take(count * least)))
        if kind == _BOOL:
            return [self._bool(value) for value in values]
        return values

    def _tensor_infos(self, num_tensors: int) -> dict[str, TensorInfo]:
        infos: dict[str, TensorInfo] = {}
        for number in range(num_tensors):
            self.place = f"tensor {number}"
            info = self._tensor_info()
            if info.name in infos:
                raise self.error(f"the name {info.name!r} is repeated")
            infos[info.name] = info
        return infos

    def _tensor_info(self) -> TensorInfo:
        """`begin` is still the offset within the data."""
        name = self.string(MAX_NAME_BYTES)
        self.place = f"tensor {name!r}"
        num_dimensions = self.u32()
        if not 1 <= num_dimensions <= MAX_DIMENSIONS:
            raise self.error(f"has {num_dimensions} dimensions, 1 to {MAX_DIMENSIONS} expected")
        shape = tuple(self.u64() for _ in range(num_dimensions))[::-1]
        number = self.u32()
        if number not in _KINDS:
            raise self.error(f"has the unknown type {number}")
        kind = _KINDS[number]
        block, block_bytes = GGML_QUANT_SIZES[kind]
        if 0 in shape or shape[-1] % block:
            raise self.error(
                f"has the shape {shape}; {kind.name} needs rows of a multiple of {block}"
            )
        num_bytes = math.prod(shape) // block * block_bytes
        if num_bytes > self.size:
            raise self.error(f"has the shape {shape}: {num_bytes} bytes in a file of {self.size}")
        return TensorInfo(name, shape, kind, self.u64(), num_bytes)

    def _place_tensors(self, infos: dict[str, TensorInfo], alignment: int) -> dict[str, TensorInfo]:
        """Turn offsets within the data into offsets in the file."""
        start = (self.at + alignment - 1) // alignment * alignment
        end_of_last = 0
        for info in sorted(infos.values(), key=lambda info: info.begin):
            self.place = f"tensor {info.name!r}"
            if info.begin % alignment:
                raise self.error(f"begins at offset {info.begin}, not a multiple of {alignment}")
            if info.begin < end_of_last:
                reason = f"begins at offset {info.begin}, inside the tensor before it, which ends at {end_of_last}"
                raise self.error(reason)
            end_of_last = info.begin + info.num_bytes
            if start + end_of_last > self.size:
                where = f"ends at byte {start + end_of_last} of a file of {self.size}"
                raise self.error(f"{where}: the file is truncated, or the offset is wrong")
        return {name: replace(info, begin=start + info.begin) for name, info in infos.items()}

    def _alignment(self, metadata: dict[str, Any]) -> int:
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if (
            type(alignment) is not int
            or not 1 <= alignment <= MAX_ALIGNMENT
            or alignment & (alignment - 1)
        ):
            self.place = "metadata 'general.alignment'"
            raise self.error(
                f"is {str(alignment)[:40]!r}, a power of two up to {MAX_ALIGNMENT} is expected"
            )
        return alignment
