"""Every reader of foreign bytes with some damaged files, the same ones each time; `make fuzz` tries others for minutes."""

import random
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mutations import mutant, zipped
from readers import READERS, try_one

SLOWEST_CPU_S = 10.0
# A server takes long to begin; tests/serve/clients/test_serve_malformed.py sends it 200 bodies.
SLOW = ("http",)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in READERS],
)
def test_damaged_bytes_are_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    reader, draw = READERS[name], random.Random(name)
    path = tmp_path / reader.file
    seeds = reader.prepare(tmp_path)
    assert True in [try_one(reader, path, seed) for seed in seeds]
    for _ in range(24):
        data = mutant(draw.choice(seeds), seeds, draw)
        started_s = time.process_time()
        try_one(reader, path, data)
        assert time.process_time() - started_s < SLOWEST_CPU_S


# What `make fuzz` has found, made small: the reader, the bytes, and whether it takes them.
FINDINGS: list[tuple[str, bytes, bool]] = [
    # zipfile looks at the last character of a member's name
    ("zip", zipped({"": b"x", "a.txt": b"A text."}), True),
    ("world.sql", b"CREATE TABLE a (b);\0", False),
    # tomllib raises other errors than its own
    ("recipe", b"a = " + b"[" * 5000, False),
    ("recipe", b"a = " + b"9" * 5000, False),
    ("facts.toml", b"a = " + b"[" * 5000, False),
    # quoted in the message, with its line breaks
    ("world.sql", b"CREATE TABLE a (b); \"'\n\n", False),
]


@pytest.mark.parametrize(("name", "data", "taken"), FINDINGS)
def test_what_was_found_stays_mended(name: str, data: bytes, taken: bool, tmp_path: Path) -> None:
    reader = READERS[name]
    reader.prepare(tmp_path)
    assert try_one(reader, tmp_path / reader.file, data) == taken
