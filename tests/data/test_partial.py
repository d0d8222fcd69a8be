"""A preparation that was killed goes on where it was saved, and its result is that of one never stopped."""

import json
import random
import signal
import subprocess
from pathlib import Path

import forked_program
import pytest
from forked_program import CODE

from groundup.data.batches.shards import RUN_CHARACTERS, open_shards, unbroken, write_shards
from groundup.data.preparation import pipeline
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.processing import steps
from groundup.data.reading.source_files import Source
from groundup.data.resumable_folder import partial_folder, partial_path
from groundup.data.split import TEST, split_file
from groundup.errors import ConfigError, DataError
from groundup.files import sha256_file, verify_folder
from groundup.locks import only_one
from groundup.progress import Silent
from groundup.tokenizer.fast import Tokenizer, train_tokenizer

Whole = tuple[Path, int, tuple[str, ...]]
KILLED_ROWS = 12
# Prepares and encodes, saving as often as it can, and kills itself at the event of that number: a document, a file synced, or a rename.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from groundup.data import split
from groundup.data.preparation import pipeline
from groundup.data.batches import shards
from groundup.data.reading.source_files import Source
from groundup.data.processing.steps import ProcessConfig
from groundup.progress import Silent
from groundup.tokenizer.fast import Tokenizer

root, left = Path(sys.argv[1]), int(sys.argv[2])
pipeline.SAVE_BYTES = shards.SAVE_BYTES = 1
shards.BATCH_CHARACTERS = 2000

def counted(function):
    def call(*values, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*values, **named)
    return call

os.fsync, os.rename, os.replace = counted(os.fsync), counted(os.rename), counted(os.replace)
split.SplitWriter.write, shards._Encoded.write = counted(split.SplitWriter.write), counted(shards._Encoded.write)
sources = [Source(str(root / "texts")), Source(str(root / "more.zip"))]
config = pipeline.DataConfig(keep_dropped=True, process=ProcessConfig(tuple(sys.argv[3:])))
if not (root / "data").exists():
    pipeline.prepare(sources, root / "data", config, progress=Silent())
shards.write_shards(root / "data", Tokenizer.load(root / "tokenizer"), root / "shards", progress=Silent())
print(left)
"""


def write_sources(root: Path, rows: int = 200) -> None:
    """Two sources with repeats, bad lines, files that are skipped, and a document that is cut; 12 files of so many rows."""
    import zipfile

    texts = root / "texts"
    texts.mkdir(parents=True)
    for number in range(12):
        (texts / f"{number:02}.txt").write_text(
            f"Tale {number % 9}: the hen sang of the sea.  \r\n\r\n" * (3 + number)
        )
        (texts / f"{number:02}.jsonl").write_text(
            "".join(
                json.dumps({"text": f"row {n} of {number}"}) + "\n"
                for n in range(rows if number != 5 else max(rows, 100))
            )
        )
    with (texts / "05.jsonl").open("a") as file:
        file.write("{\n")
    (texts / "03.png").write_bytes(b"\x89PNG\0\0")
    (texts / "04.txt").write_bytes(bytes(range(256)) * 9)
    (texts / "zz.png").write_bytes(b"\x89PNG\0\0")
    with zipfile.ZipFile(root / "more.zip", "w") as archive:
        archive.writestr("long.txt", "A long tale of the sea.\n\n" * 9000)
        archive.writestr("x/short.txt", "A short one.")
        archive.writestr("x/picture.png", b"\0")
    train_tokenizer(["the hen sang of the sea, a long tale of rows"] * 9, 300).save(
        root / "tokenizer"
    )


def run_program(
    root: Path, kill_at: int, steps: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    imported = ("groundup.data.preparation.pipeline", "groundup.tokenizer.fast", "ftfy", "rensa")
    return forked_program.run(PROGRAM, root, kill_at, *steps, program=CODE, imported=imported)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def relocated(found: dict[str, bytes], root: Path) -> dict[str, bytes]:
    """Without what names the place, as the hash of the test documents, which name it, does."""
    test = sha256_file(split_file(root / "data", TEST)).encode()
    return {
        name: data.replace(str(root).encode(), b"ROOT").replace(test, b"TEST")
        for name, data in found.items()
        if name != "manifest.json"
    }


@pytest.fixture(
    scope="module",
    params=[pytest.param((), marks=pytest.mark.slow), ("repair", "near-duplicates")],
    ids="+".join,
)
def whole(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Whole:
    """A folder that was prepared without a stop, how many events there were, and the steps."""
    if request.param:
        pytest.importorskip("rensa")
    root = tmp_path_factory.mktemp("whole") / "root"
    write_sources(root, KILLED_ROWS)
    done = run_program(root, 10**6, request.param)
    assert done.returncode == 0, done.stderr
    return root, 10**6 - int(done.stdout), request.param


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_killed_at_random_points_the_result_is_that_of_one_never_stopped(
    whole: Whole, tmp_path: Path, seed: int
) -> None:
    root, (never, events, steps), drawn = tmp_path / "root", whole, random.Random(seed)
    write_sources(root, KILLED_ROWS)
    kills = 0
    while (
        done := run_program(root, drawn.randint(2, events if steps else events // 2), steps)
    ).returncode:
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        assert kills < 40
    assert kills >= 1
    for part in ("data", "shards"):
        assert relocated(content(root / part), root) == relocated(content(never / part), never)
        verify_folder(root / part)
    assert not list(root.glob(".*"))
    open_shards(root / "shards")


def test_files_that_are_done_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer
) -> None:
    write_sources(tmp_path)
    source, stopped_at, cleaned = Source(str(tmp_path / "texts")), 1500, []
    original = steps.clean

    def clean(text: str) -> object:
        cleaned.append(text)
        if len(cleaned) == stopped_at:
            raise KeyboardInterrupt
        return original(text)

    monkeypatch.setattr(steps, "clean", clean)
    monkeypatch.setattr(pipeline, "SAVE_BYTES", 1)
    with pytest.raises(KeyboardInterrupt):
        prepare([source], tmp_path / "data", progress=Silent())
    state = json.loads((partial_path(tmp_path / "data") / "state.json").read_text())["state"]
    before = state["cards"][0]["read"]["documents"]
    card = prepare([source], tmp_path / "data", progress=Silent())
    documents = card.sources[0].read.documents
    assert 0 < before < stopped_at and len(cleaned) - stopped_at == documents - before


def test_other_texts_or_options_begin_anew(tmp_path: Path) -> None:
    for key, expected in (("a", {}), ("a", {"n": 1}), ("b", {})):
        with pytest.raises(KeyboardInterrupt), partial_folder(tmp_path / "out", key) as partial:
            assert partial.state == expected and (partial.folder / "part").exists() == bool(
                expected
            )
            (partial.folder / "part").write_text("text")
            partial.save({"n": 1}, [partial.folder / "part"])
            (partial.folder / "part").write_text("text and more")
            raise KeyboardInterrupt


def test_a_part_is_cut_to_what_was_saved_and_begun_anew_if_it_is_shorter(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), partial_folder(tmp_path / "out", "a") as partial:
        (partial.folder / "part").write_text("text")
        partial.save({"n": 1}, [partial.folder / "part"])
        (partial.folder / "part").write_text("text and more")
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), partial_folder(tmp_path / "out", "a") as partial:
        assert (partial.folder / "part").read_text() == "text"
        (partial.folder / "part").write_text("t")
        raise KeyboardInterrupt
    with partial_folder(tmp_path / "out", "a") as partial:
        assert partial.state == {}


def test_an_error_of_the_texts_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(" ")
    with pytest.raises(DataError):
        prepare(
            [Source(str(tmp_path / "texts"))], tmp_path / "data", DataConfig(), progress=Silent()
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["texts"]


def test_two_processes_never_prepare_one_folder(tmp_path: Path) -> None:
    refused = pytest.raises(ConfigError, match="Another process is writing")
    with only_one(partial_path(tmp_path / "data")), refused, partial_folder(tmp_path / "data", "a"):
        raise AssertionError


def test_batches_that_are_encoded_ahead_keep_their_order(
    data_folder: Path, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_shards(data_folder, tokenizer, tmp_path / "whole", progress=Silent())
    monkeypatch.setattr("groundup.data.batches.shards.BATCH_CHARACTERS", 700)
    for run in (2**22, 8):  # some documents, or most, are encoded alone
        monkeypatch.setattr("groundup.data.batches.shards.RUN_CHARACTERS", run)
        assert (
            write_shards(data_folder, tokenizer, tmp_path / "parts", progress=Silent()).splits
            == whole.splits
        )


def test_text_without_spaces_is_told_from_text_with_them() -> None:
    assert unbroken("A" * (2 * RUN_CHARACTERS)) and unbroken("a b " + "A" * (2 * RUN_CHARACTERS))
    assert not unbroken("word " * RUN_CHARACTERS) and not unbroken("A" * (RUN_CHARACTERS - 1))
