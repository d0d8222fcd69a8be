"""A GGUF header that lies is refused by place and reason, and nothing is allocated by its numbers."""

import struct
from pathlib import Path

import pytest

from groundup.errors import FormatError
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.gguf import write_gguf
from groundup.weights.gguf_header import read_gguf_header

HUGE = 2**62


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def number_entry(key: bytes, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


def array_entry(key: bytes, kind: int, count: int, items: bytes) -> bytes:
    return text(key) + struct.pack("<IIQ", 9, kind, count) + items


def tensor(name: bytes, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def build(
    entries: list[bytes], tensors: list[bytes], data: bytes = bytes(128), *, version: int = 3
) -> bytes:
    head = (
        b"GGUF"
        + struct.pack("<IQQ", version, len(tensors), len(entries))
        + b"".join(entries + tensors)
    )
    return head + bytes(-len(head) % 32) + data


A = tensor(b"a", (4, 2), 0, 0)  # 32 bytes of float32

LIES: dict[str, tuple[bytes, str]] = {
    "magic": (b"GGML" + build([], [A])[4:], "begin with GGUF"),
    "version 1": (build([], [A], version=1), "version 1"),
    "version 4": (build([], [A], version=4), "version 4"),
    "big endian": (build([], [A], version=3 << 24), "big-endian"),
    "tensors without end": (b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0) + bytes(64), "can't be in"),
    "entries without end": (b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE) + bytes(64), "can't be in"),
    "key without end": (build([struct.pack("<QQ", HUGE, 0)], []), "bytes, at most"),
    "text without end": (build([text(b"k") + struct.pack("<IQ", 8, HUGE)], []), "bytes, at most"),
    "text past the file": (build([text(b"k") + struct.pack("<IQ", 8, 4096)], []), "left"),
    "array without end": (build([array_entry(b"k", 4, HUGE, b"")], []), "can't be in"),
    "array of texts without end": (build([array_entry(b"k", 8, HUGE, b"")], []), "can't be in"),
    "arrays in arrays": (
        build([array_entry(b"k", 9, 1, struct.pack("<IQ", 9, 1) * 9)], []),
        "nested",
    ),
    "unknown value type": (
        build([text(b"k") + struct.pack("<I", 99) + bytes(64)], []),
        "unknown type 99",
    ),
    "unknown item type": (build([array_entry(b"k", 77, 1, bytes(64))], []), "unknown type 77"),
    "bool of 2": (build([text(b"k") + struct.pack("<IB", 7, 2)], []), "a bool is 2"),
    "not utf-8": (build([text(b"\xff\xfe") + struct.pack("<II", 4, 1)], []), "UTF-8"),
    "repeated key": (build([number_entry(b"k", 1), number_entry(b"k", 2)], []), "repeated"),
    "alignment of 0": (build([number_entry(b"general.alignment", 0)], [A]), "power of two"),
    "alignment of 24": (build([number_entry(b"general.alignment", 24)], [A]), "power of two"),
    "alignment of a gigabyte": (
        build([number_entry(b"general.alignment", 2**30)], [A]),
        "power of two",
    ),
    "repeated tensor": (build([], [A, A]), "repeated"),
    "no dimensions": (build([], [tensor(b"a", (), 0, 0)]), "0 dimensions"),
    "five dimensions": (build([], [tensor(b"a", (1,) * 5, 0, 0)]), "5 dimensions"),
    "dimensions without end": (
        build([], [text(b"a") + struct.pack("<I", 2**32 - 1) + bytes(64)]),
        "dimensions",
    ),
    "dimension of 0": (build([], [tensor(b"a", (4, 0), 0, 0)]), "shape"),
    "huge dimension": (build([], [tensor(b"a", (HUGE, 2), 0, 0)]), "bytes in a file"),
    "product over 64 bits": (build([], [tensor(b"a", (2**33, 2**33), 0, 0)]), "bytes in a file"),
    "unknown tensor type": (build([], [tensor(b"a", (4,), 4, 0)]), "unknown type 4"),
    "rows that are no blocks": (build([], [tensor(b"a", (33,), 8, 0)]), "multiple of 32"),
    "not aligned": (build([], [tensor(b"a", (4,), 0, 8)]), "not a multiple"),
    "outside": (build([], [tensor(b"a", (4,), 0, 128)]), "truncated, or"),
    "far outside": (build([], [tensor(b"a", (4,), 0, 2**63)]), "truncated, or"),
    "one over another": (
        build([], [tensor(b"a", (16,), 0, 0), tensor(b"b", (8,), 0, 32)]),
        "inside the tensor before",
    ),
    "long name": (build([], [tensor(b"a" * 65, (4,), 0, 0)]), "at most 64"),
    "short": (b"GGUF", "too short"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused(lie: str, tmp_path: Path) -> None:
    data, reason = LIES[lie]
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(FormatError, match=reason):
        read_gguf_header(tmp_path / "x.gguf")


@pytest.mark.parametrize("version", [2, 3])
def test_what_is_true_is_read(version: int, tmp_path: Path) -> None:
    entries = [
        number_entry(b"n", 7),
        text(b"t") + struct.pack("<I", 8) + text("é".encode()),
        array_entry(b"list", 5, 2, struct.pack("<ii", -1, 2)),
        array_entry(b"truths", 7, 2, b"\x00\x01"),
        text(b"float") + struct.pack("<If", 6, 0.5),
    ]
    tensors = [tensor(b"b", (32, 2), 8, 32), A]
    (tmp_path / "x.gguf").write_bytes(build(entries, tensors, version=version))
    header = read_gguf_header(tmp_path / "x.gguf")
    assert header.metadata == {
        "n": 7,
        "t": "é",
        "list": [-1, 2],
        "truths": [False, True],
        "float": 0.5,
    }
    assert {
        name: (info.shape, info.kind.name, info.num_bytes) for name, info in header.tensors.items()
    } == {
        "b": ((2, 32), "Q8_0", 68),
        "a": ((2, 4), "F32", 32),
    }
    assert header.tensors["b"].begin == header.tensors["a"].begin + 32


def test_every_truncation_is_refused(
    tiny_model: LanguageModel, tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "x.gguf"
    write_gguf(tiny_model, tiny_tokenizer, path, quantization="f32", name="tiny")
    whole = path.read_bytes()
    last = max(info.begin + info.num_bytes for info in read_gguf_header(path).tensors.values())
    for size in range(0, last, 37):
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError):
            read_gguf_header(path)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is missing"):
        read_gguf_header(tmp_path / "none.gguf")
