"""A safetensors header that lies is refused by name, before the library sees the file."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from groundup.errors import FormatError
from groundup.weights.safetensors_header import MAX_HEADER_BYTES, read_header


def write(
    path: Path, header: object, data: bytes = bytes(24), *, length: int | None = None
) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    tensors = {
        "a": torch.zeros(2, 3),
        "b": torch.zeros(5, dtype=torch.bfloat16),
        "scalar": torch.tensor(1.0),
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = read_header(tmp_path / "x.safetensors")
    assert {name: (item.shape, item.dtype) for name, item in found.items()} == {
        "a": ((2, 3), "F32"),
        "b": ((5,), "BF16"),
        "scalar": ((), "F32"),
    }


LIES: dict[str, tuple[object, str]] = {
    "not json": (b"{nope", "can't be parsed"),
    "not utf-8": (b'{"\xff": 1}', "can't be parsed"),
    "deep": (b"[" * 100_000, "can't be parsed"),
    "endless number": (b'{"a": ' + b"9" * 10_000 + b"}", "can't be parsed"),
    "a list": ([1], "not a table"),
    "repeated name": (b'{"a": 1, "a": 1}', "is repeated"),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, "__metadata__"),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 24]}}, "consist of"),
    "unknown dtype": ({"a": entry([6], 0, 24, "F33")}, "dtype"),
    "negative dimension": ({"a": entry([-6], 0, 24)}, "shape"),
    "huge dimension": ({"a": entry([2**63], 0, 24)}, "shape"),
    "huge product": ({"a": entry([2**40, 2**40], 0, 24)}, "do not match its shape"),
    "many dimensions": ({"a": entry([1] * 9, 0, 4)}, "shape"),
    "offsets in the wrong order": ({"a": entry([6], 24, 0)}, "data_offsets"),
    "outside": ({"a": entry([7], 0, 28)}, "truncated or padded"),
    "hole": ({"a": entry([2], 0, 8), "b": entry([2], 16, 24)}, "begins at byte 16"),
    "overlap": ({"a": entry([4], 0, 16), "b": entry([4], 8, 24)}, "begins at byte 8"),
    "bytes left over": ({"a": entry([2], 0, 8)}, "truncated or padded"),
    "endless name": ({"a" * 1000: entry([6], 0, 24)}, "too long"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused(lie: str, tmp_path: Path) -> None:
    header, reason = LIES[lie]
    with pytest.raises(FormatError, match=reason):
        read_header(write(tmp_path / "x.safetensors", header))


@pytest.mark.parametrize("length", [0, 1, 1000, MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1])
def test_a_header_longer_than_the_file_is_refused(length: int, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="header length"):
        read_header(write(tmp_path / "x.safetensors", {"a": entry([6], 0, 24)}, length=length))


@pytest.mark.parametrize("size", [0, 7, 9])
def test_a_file_of_a_few_bytes_is_refused(size: int, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(bytes(size))
    with pytest.raises(FormatError, match="too short"):
        read_header(tmp_path / "x.safetensors")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, 3)}, tmp_path / "x.safetensors")
    whole = (tmp_path / "x.safetensors").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "x.safetensors").write_bytes(whole[:size])
        with pytest.raises(FormatError):
            read_header(tmp_path / "x.safetensors")
