"""Damaged copies of a file: bytes, numbers and tokens replaced, parts cut out, repeated or taken from another one; also of a zip's members."""

import io
import random
import re
import zipfile
from collections.abc import Callable, Sequence

TOKEN = re.compile(rb'"[^"\n]{0,200}"|-?\d[\d.eE]*|\w+|[^\w\s]')
ODD = (
    *(b"", b"\0", b"\n", b"\r", b'"', b"\\", b"\\ud800", b"\xff\xfe", b"\xc3", b"\xe2\x80\xae"),
    *(b"0", b"-1", b"1.5", b"1e999", b"NaN", b"4294967296", b"9" * 5000, b"0x7fffffff"),
    *(b'""', b"true", b"null", b"[]", b"{}", b"[[", b"{" * 500, b"[" * 3000, b"('" * 300),
    *(b"../../x", b"/etc/passwd", b"<|im_end|>", b"{{", b"{%", b"<!--", b"<![CDATA[", b"&#0;"),
)
NUMBERS = (0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1)
MAX_BYTES = 2**17


def _part(data: bytes, draw: random.Random) -> tuple[int, int]:
    """A short part mostly."""
    begin = draw.randrange(len(data) + 1)
    return begin, min(len(data), begin + draw.choice((1, 2, 8, 40, len(data))))


def _flip(data: bytes, other: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data or b"x")
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _lie(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """A number of a header is another one."""
    size, order = draw.choice((1, 2, 4, 8)), draw.choice(("little", "big"))
    at = draw.randrange(len(data) + 1)
    number = draw.choice(NUMBERS) % 256**size
    return data[:at] + number.to_bytes(size, order) + data[at + size :]


def _cut(data: bytes, other: bytes, draw: random.Random) -> bytes:
    begin, end = _part(data, draw)
    return data[:begin] + data[end:]


def _repeat(data: bytes, other: bytes, draw: random.Random) -> bytes:
    begin, end = _part(data, draw)
    times = draw.choice((1, 2, 100, 1000))
    return data[:begin] + data[begin:end] * times + data[begin:]


def _splice(data: bytes, other: bytes, draw: random.Random) -> bytes:
    begin, end = _part(other, draw)
    at, until = _part(data, draw)
    return data[:at] + other[begin:end] + data[draw.choice((at, until)) :]


def _insert(data: bytes, other: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.choice(ODD) + data[at:]


def _token(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """A word, number or sign is an odd one, or one of another place."""
    at = draw.randrange(len(data) + 1)
    found = TOKEN.search(data, at) or TOKEN.search(data)
    if found is None:
        return _insert(data, other, draw)
    new = draw.choice(ODD)
    there = TOKEN.search(other, draw.randrange(len(other) + 1))
    if there is not None and draw.random() < 0.5:
        new = there[0]
    return data[: found.start()] + new + data[found.end() :]


def _lines(data: bytes, other: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    return b"\n".join(draw.sample(lines, len(lines)))


KINDS: tuple[Callable[[bytes, bytes, random.Random], bytes], ...] = (
    *(_flip, _lie, _lie, _cut, _repeat, _splice, _insert, _token, _token, _token, _lines),
)


def mutant(data: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """The content with one to four damages; of a zip those of one member mostly."""
    other = draw.choice(others)
    if data[:2] == b"PK" and draw.random() < 0.8:
        return _of_member(data, other, draw)
    for _ in range(draw.choice((1, 1, 2, 4))):
        data = draw.choice(KINDS)(data, other, draw)[:MAX_BYTES]
    return data


def _of_member(data: bytes, other: bytes, draw: random.Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        chosen = draw.choice(sorted(members))
    except Exception:  # a damaged one
        return draw.choice(KINDS)(data, other, draw)
    members[chosen] = mutant(members[chosen], list(members.values()), draw)
    return zipped(members)


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()
