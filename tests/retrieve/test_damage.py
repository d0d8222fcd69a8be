"""Damage: whatever byte of an index is wrong, its results are the same as before, or one sentence says that it is damaged."""

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.data.reading.source_files import Source
from groundup.errors import FormatError, GroundupError
from groundup.files import MANIFEST
from groundup.progress import Silent
from groundup.retrieve.answer import Answer, AskConfig, ask
from groundup.retrieve.calibration import CalibrationQuestions, calibrate
from groundup.retrieve.index import INDEX_FILE, VECTORS_FOLDER, Index
from groundup.retrieve.operating_points import EVIDENCE_FILE
from groundup.retrieve.search import find
from groundup.retrieve.update import update_index
from groundup.retrieve.vectors import Vectors, make_vectors
from groundup.retrieve.vectors_info import read_vectors_info

from .test_vectors import letters

QUESTIONS = (
    "How much is the blue kettle?",
    "Which walrus lives in hall 7?",
    "When does the shop close?",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index with vectors and a threshold of its own."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "prices.md").write_text(
        "# Prices\n\nThe blue kettle is £7.50.\n\nThe shop closes at 18:00.\n"
    )
    for number in range(12):
        (docs / f"{number}.txt").write_text(f"Walrus {number} lives in hall {number}. " * 15)
    made = tmp_path / "index"
    update_index(made, [Source(str(docs))], progress=Silent())
    make_vectors(made, letters, "letters", progress=Silent())
    with Index(made) as index:
        calibrate(
            index,
            CalibrationQuestions(tuple(f"Which walrus lives in hall {n % 12}?" for n in range(20))),
            3,
            None,
            progress=Silent(),
        )
    return made


def results(folder: Path) -> list[object]:
    """What is found, quoted and counted; a FormatError's message in its place."""
    known = read_vectors_info(folder)
    assert known is not None
    with Index(folder) as index:
        assert not index.note
        vectors = Vectors(known, letters)
        found: list[object] = [index.counts(), index.config]
        for question in QUESTIONS:
            *_, answer = ask(index, question, config=AskConfig(3))
            assert isinstance(answer, Answer)
            found += [answer, find(index, question, 9), find(index, question, 9, vectors.mixture())]
            found.append(vectors.ranking(index, question, 9))
    return found


def damaged(folder: Path, count: int, draw: random.Random) -> Iterator[tuple[Path, bytes]]:
    """Files of an index with a wrong byte: at places of equal distance in every file, then at random, or cut."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.stat().st_size)
    whole = {file: file.read_bytes() for file in files}
    for file in files:
        steps = count // (2 * len(files))
        for step in range(steps):
            content = bytearray(whole[file])
            content[step * len(content) // steps] ^= 1 << draw.randrange(8)
            yield file, bytes(content)
    for _ in range(count // 2):
        file = draw.choice(files)
        content = bytearray(whole[file])
        place, length = draw.randrange(len(content)), draw.choice((1, 1, 2, 64, 4096))
        content[place : place + length] = draw.randbytes(len(content[place : place + length]))
        yield file, bytes(content[: place if draw.random() < 0.1 else len(content)])


@pytest.mark.parametrize("count", [120, pytest.param(1500, marks=pytest.mark.slow)])
def test_no_damage_of_an_index_changes_a_result_in_silence(folder: Path, count: int) -> None:
    right, said = results(folder), 0
    for file, content in damaged(folder, count, random.Random(count)):
        before = file.read_bytes()
        file.write_bytes(content)
        try:
            assert results(folder) == right
        except GroundupError as error:
            said += 1
            assert isinstance(error, FormatError) and "\n" not in error.message and error.fix
        finally:
            file.write_bytes(before)
    assert (
        said > 0.7 * count
    )  # SQLite makes its -shm anew, and a byte may be written over by itself
    assert results(folder) == right


def test_a_price_that_is_damaged_while_the_index_is_open_is_never_quoted(folder: Path) -> None:
    """One flipped bit in the text makes £7.50 of it £9.50; the file is then read by an index without a manifest."""
    file = folder / INDEX_FILE
    content = file.read_bytes()
    place = content.index("£7.50".encode()) + 2
    file.write_bytes(content[:place] + b"9" + content[place + 1 :])
    with pytest.raises(FormatError, match="sha256"):
        Index(folder)
    (folder / MANIFEST).unlink()
    with Index(folder) as index, pytest.raises(FormatError, match="differs from its hash"):
        list(ask(index, QUESTIONS[0]))
    with Index(folder) as index:
        for read in (index.document_text, lambda id: index.document_window(id, 0, 99)):
            with pytest.raises(FormatError, match="differs from its hash"):
                [read(row[0]) for row in index.rows("SELECT id FROM document")]


@pytest.mark.parametrize(
    "column", ["document.name", "document.address", "file.place", "file.sha256"]
)
def test_a_passage_has_its_place_in_its_hash_too(folder: Path, column: str) -> None:
    (folder / MANIFEST).unlink()
    table, name = column.split(".")
    with closing(sqlite3.connect(folder / INDEX_FILE)) as database, database:
        database.execute(f"UPDATE {table} SET {name} = 'elsewhere' || id")
    with Index(folder) as index, pytest.raises(FormatError, match="differs from its hash"):
        index.all_passages()


def test_verify_checks_an_index_and_says_where_a_manifest_is_gone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(folder), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["manifests"] == 2 and checked["files"] == 5 and checked["unlisted"] == 0
    for file in [
        each
        for each in folder.rglob("*")
        if each.is_file() and not each.name.endswith(("-wal", "-shm"))
    ]:
        content = file.read_bytes()
        file.unlink()
        assert run(["verify", str(folder)]) == 2, file
        assert "Traceback" not in capsys.readouterr().err
        file.write_bytes(content)
    for file in (
        folder / INDEX_FILE,
        folder / EVIDENCE_FILE,
        folder / VECTORS_FOLDER / "rows-0.f32",
    ):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        assert run(["verify", str(folder)]) == 2 and file.name in capsys.readouterr().err
        content[len(content) // 2] ^= 1
        file.write_bytes(content)


def test_an_update_refuses_a_damaged_index_and_blesses_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / INDEX_FILE
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    for _ in range(2):
        assert run(["index", "--out", str(folder)]) == 2
        assert "sha256" in capsys.readouterr().err
    assert file.read_bytes() == content


def test_an_interrupted_update_is_said_until_one_ends(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "docs" / "new.txt").write_text("A new text.")
    with monkeypatch.context() as patched:
        patched.setattr(
            "groundup.retrieve.writer.end_change", lambda folder: None
        )  # killed before its end
        assert run(["index", "--out", str(folder)]) == 0
    for words in (
        ["search", str(folder), "kettle", "--by", "words"],
        ["ask", str(folder), QUESTIONS[0], "--by", "words"],
    ):
        assert run(words) == 0 and "did not end" in capsys.readouterr().err
    assert run(["index", "--out", str(folder)]) == 0
    assert run(["search", str(folder), "kettle", "--by", "words"]) == 0
    assert "did not end" not in capsys.readouterr().err


def test_options_that_are_refused_leave_the_manifest(folder: Path) -> None:
    assert run(["index", "--out", str(folder), "--passage-tokens", "99"]) == 2
    assert (folder / MANIFEST).exists()


def test_an_index_of_another_version_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / MANIFEST).unlink()
    with closing(sqlite3.connect(folder / INDEX_FILE)) as database, database:
        database.execute("PRAGMA user_version = 2")
    for words in (["search", str(folder), "kettle"], ["index", "--out", str(folder)]):
        assert run(words) == 2
        assert "is 2, this version of groundup reads" in capsys.readouterr().err
