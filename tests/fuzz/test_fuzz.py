"""Every reader of foreign bytes with some damaged files, the same ones each time; `make fuzz` tries others for minutes."""

import faulthandler
import os
import random
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import run
from mutations import mutant, zipped
from readers import READERS, Reader, try_one

from groundup.errors import DataError

SLOWEST_CPU_S = 10.0
# By default others try them: tests/serve/clients/test_serve_malformed.py, tests/data/test_mutants.py.
SLOW = ("http", "jsonl", "json", "csv", "parquet")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in READERS],
)
def test_damaged_bytes_are_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    reader, draw = READERS[name], random.Random(name)
    path = tmp_path / reader.file
    seeds = reader.prepare(tmp_path)
    assert True in [try_one(reader, path, seed) for seed in seeds]
    for _ in range(16):
        data = mutant(draw.choice(seeds), seeds, draw)
        started_s = time.process_time()
        try_one(reader, path, data)
        assert time.process_time() - started_s < SLOWEST_CPU_S


@pytest.mark.slow
def test_every_kind_of_fault_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception, time in Python and in C, memory, and the end of the process."""

    def read(path: Path) -> None:
        kind = path.read_bytes()
        while kind == b"python":
            pass
        if kind == b"c":
            pow(7, 10**9, 10**3000)
        if kind == b"memory":
            bytearray(2 * run.MEMORY_BYTES)
        if kind == b"end":
            faulthandler.disable()  # the stack of each would be printed
            os.abort()
        raise {b"exception": KeyError}.get(kind, DataError)("It is refused.")

    kinds = [b"python", b"c", b"memory", b"end", b"exception", b"refused"]
    monkeypatch.setitem(READERS, "faulty", Reader("a", lambda folder: [b"refused"], read))
    monkeypatch.setattr(run, "ATHERIS", False)
    monkeypatch.setattr(run, "HANG_S", 0.2)
    monkeypatch.setattr(run, "FINDINGS", tmp_path)
    monkeypatch.setattr(run, "mutant", lambda data, others, draw: draw.choice(kinds))
    run.fuzz("faulty", 10, seed=1)
    kept = {file.read_bytes() for file in (tmp_path / "faulty").iterdir() if not file.suffix}
    assert kept >= {b"memory", b"end", b"exception"} and kept & {b"python", b"c"}
    assert b"refused" not in kept


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


@pytest.mark.parametrize("place", ["setting.value", "language.passages"])
@pytest.mark.parametrize("value", ["x", "[1]", '{"a": 1}', "[" * 5000, "9" * 5000])
def test_a_value_of_an_index_may_be_odd(place: str, value: str, tmp_path: Path) -> None:
    """The values that no passage's hash holds."""
    reader = READERS["index"]
    path = tmp_path / reader.file
    (data,) = reader.prepare(tmp_path)
    path.write_bytes(data)
    table, column = place.split(".")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE {table} SET {column} = ?", (value,))
    assert not try_one(reader, path, path.read_bytes())
