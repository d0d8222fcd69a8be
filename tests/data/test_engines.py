"""Whoever reads and processes documents, the data folder is the same to the byte; errors arrive as themselves; nothing is left running."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import pytest

from groundup.data import engines, pieces, pipeline, processes
from groundup.data.config import DataConfig
from groundup.data.decoding import NotTextError
from groundup.data.description import PassedOver
from groundup.data.engines import chosen_engine
from groundup.data.partial import partial_path
from groundup.data.pieces import Piece, Read, pack, pack_pieces, unpack, unpack_pieces
from groundup.data.pipeline import prepare
from groundup.data.processes import Workers
from groundup.data.source_files import Source
from groundup.data.source_report import SourceReport, Tally
from groundup.data.steps import Processed, ProcessConfig
from groundup.data.worker import texts_task
from groundup.errors import ConfigError, DataError, FormatError, GroundupError, MissingExtra, WorkerError
from groundup.files import verify_folder
from groundup.progress import Silent

with_ray = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::ResourceWarning")
STEPS = ProcessConfig(("repair", "repeated-lines", "personal-data", "near-duplicates"), rules=("web",))


def tale(number: int, paragraphs: int = 12) -> str:
    drawn = random.Random(number)
    words = "the hen sang of a sea and went down to the old bridge that was built by monks in the year".split()
    lines = (" ".join(drawn.choices(words, k=40)).capitalize() + "." for _ in range(paragraphs))
    return "\r\n\r\n".join(lines) + f" Write to ann{number}@example.org.  \n"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Sources with every kind of file, repeats, bad lines, skipped files, near-duplicates, archives, and what steps change."""
    root = tmp_path_factory.mktemp("mixed")
    texts = root / "texts"
    (texts / "deep").mkdir(parents=True)
    for number in range(30):
        (texts / f"{number:02}.txt").write_text(tale(number % 25))
        (texts / "deep" / f"{number:02}.md").write_text(tale(100 + number).replace("year", "YEAR", number % 3))
    (texts / "03.png").write_bytes(b"\x89PNG\0\0")
    (texts / "04a.txt").write_bytes(bytes(range(256)) * 9)
    (texts / "05.html").write_text("<html><body><p>" + tale(5, 3) + "</p></body></html>")
    (texts / "06.txt").write_bytes("Ein Märchen über Vögel für Mädchen. ".encode("cp1252") * 9)
    (texts / "07a.txt").write_bytes(tale(70).encode() + b"\xff\xfe")
    (texts / "08.txt").write_text(f"It is a dÃ©jÃ\xa0 vu, &amp; more.\n{tale(80)}")
    (texts / "09.txt").write_text(" \n")
    (texts / "10.eml").write_text(f"Subject: hens\nTo: a@b.org\n\n{tale(90)}")
    (texts / "link.txt").symlink_to("/etc/hostname")
    for name, first in (("rows", 1000), ("more", 2000)):
        rows = [{"text": tale(first + n % 90, 2)} for n in range(100)]
        (texts / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + ("{\n" * (name == "rows")))
    (texts / "README.md").write_text("# About these texts")
    (texts / "table.csv").write_text("id,text\n" + "".join(f'{n},"{tale(3000 + n, 2)}"\n' for n in range(50)))
    with gzip.open(texts / "packed.txt.gz", "wt") as file:
        file.write(tale(4000))
    with zipfile.ZipFile(texts / "archive.zip", "w") as archive:
        for number in range(8):
            archive.writestr(f"{number}.txt", tale(5000 + number))
            archive.writestr(f"{number}.gif", b"GIF")
        archive.writestr("rows.jsonl", "".join(json.dumps({"text": tale(6000 + n, 1)}) + "\n" for n in range(30)))
        archive.writestr("inner.zip", b"PK")
    with tarfile.open(texts / "deep" / "archive.tar.gz", "w:gz") as tar:
        for number in range(4):
            tar.add(texts / f"{number:02}.txt", f"a/{number}.txt")
    (texts / "zz.png").write_bytes(b"\x89PNG\0\0")
    (root / "long.txt").write_text("".join(tale(n, 40) for n in range(200)))
    return [Source(str(texts), name="texts", licence="our own"), Source(str(root / "long.txt")), Source(str(texts / "*.txt"))]


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def config(process: ProcessConfig) -> DataConfig:
    return DataConfig(keep_dropped=True, process=process)


@pytest.fixture(scope="module", params=[ProcessConfig(), STEPS], ids=["cleaning", "steps"])
def whole(mixed: list[Source], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Any:
    """The folder that one process makes, and the steps."""
    if request.param.names:
        pytest.importorskip("ftfy"), pytest.importorskip("rensa")
    out = tmp_path_factory.mktemp("whole") / "data"
    prepare(mixed, out, config(request.param), seed=3, engine="one", progress=Silent())
    return content(out), request.param


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts and pieces."""
    monkeypatch.setattr(engines, "PART_BYTES", 20_000)
    monkeypatch.setattr(engines, "RAY_PART_BYTES", 60_000)
    monkeypatch.setattr(engines, "LARGE_BYTES", 100_000)
    monkeypatch.setattr(pieces, "BATCH_CHARACTERS", 30_000)


@pytest.mark.parametrize("cores", [1, 3])
def test_processes_make_the_folder_that_one_makes(
    whole: Any, mixed: list[Source], tmp_path: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    expected, process = whole
    monkeypatch.setattr(engines, "allowed_cores", lambda: cores)
    prepare(mixed, tmp_path / "data", config(process), seed=3, engine="processes", progress=Silent())
    found = content(tmp_path / "data")
    assert json.loads(found["data.json"]) == json.loads(expected["data.json"])
    assert found == expected
    verify_folder(tmp_path / "data")


@pytest.fixture(scope="module")
def cluster() -> Any:
    """A cluster of two processors on this machine, for all tests that use Ray."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'groundup[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@with_ray
def test_ray_makes_the_folder_that_one_makes(
    cluster: Any, whole: Any, mixed: list[Source], tmp_path: Path, small_parts: None
) -> None:
    expected, process = whole
    prepare(mixed, tmp_path / "data", config(process), seed=3, engine="ray", progress=Silent())
    assert content(tmp_path / "data") == expected
