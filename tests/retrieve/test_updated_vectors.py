"""Vectors without being asked: a new index has them where the encoder is here, later updates make what is missing, and nothing is fetched."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_encoder import save_encoder

import groundup
from groundup.cli.main import run
from groundup.errors import ModelError
from groundup.files import write_manifest
from groundup.progress import Advance, Silent
from groundup.retrieve import updated_vectors
from groundup.retrieve.index import Index
from groundup.retrieve.vectors_info import lacking_vectors
from groundup.weights.catalog import DEFAULT_ENCODER, SENTENCE_ENCODER
from groundup.weights.model_hub import adapter_origin

GERMAN = "Der Schalter ist am Montag und am Dienstag bis 18 Uhr offen. Die Karte ist nicht teuer.\n"


class Said(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without models."""
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def encoder(models: Path) -> Path:
    """A cache with a small encoder in the place of the default one, and of what that is tuned from."""
    for name in (SENTENCE_ENCODER, DEFAULT_ENCODER):
        folder = save_encoder(models / name)
        write_manifest(folder, extra={"from": adapter_origin(DEFAULT_ENCODER)})
    return folder


def test_a_new_index_has_vectors_where_the_encoder_is_here(
    docs: Path, tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Said()
    monkeypatch.setattr(updated_vectors, "SAID_FROM", 3)
    made = groundup.index(docs, tmp_path / "index", device="cpu", progress=said)
    assert made.vectors.encoder == DEFAULT_ENCODER and not made.vectors.note
    assert made.vectors.count == made.counts.passages > 2
    assert "--vectors none" in said.lines[0] and f"{made.vectors.count} passages" in said.lines[0]


def test_new_documents_get_vectors_in_the_same_call(
    docs: Path, tmp_path: Path, encoder: Path
) -> None:
    groundup.index(docs, tmp_path / "index", device="cpu")
    (docs / "ferry.txt").write_text("The ferry leaves at noon.\n")
    again = groundup.index(out=tmp_path / "index", device="cpu")
    assert again.update.files_read == again.vectors.count == 1
    with Index(tmp_path / "index") as index:
        assert lacking_vectors(index) == 0
    for each in (encoder, encoder.parent / SENTENCE_ENCODER):
        shutil.rmtree(each)  # not needed where nothing is missing
    unchanged = groundup.index(out=tmp_path / "index", device="cpu").vectors
    assert (unchanged.encoder, unchanged.count, unchanged.note) == (DEFAULT_ENCODER, 0, "")
    (docs / "ferry.txt").write_text("The ferry leaves at one.\n")
    lacking = groundup.index(out=tmp_path / "index", device="cpu").vectors
    assert lacking.count == 0 and "1 passages have no vector yet" in lacking.note
    with Index(tmp_path / "index") as index:
        assert lacking_vectors(index) == 1


def test_without_the_encoder_the_index_is_by_words_and_the_command_is_said(
    docs: Path, tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "index"
    assert run(["index", str(docs), "--out", str(folder), "--json"]) == 0
    told = capsys.readouterr()
    [note] = told.err.splitlines()
    assert "is not on this machine" in note
    assert note.endswith(f"groundup index --out {folder} --vectors {DEFAULT_ENCODER}")
    assert json.loads(told.out)["encoder"] == "" and not (folder / "vectors").exists()
    assert not models.exists()


def test_an_index_by_words_stays_so_until_an_encoder_is_named(
    docs: Path, tmp_path: Path, encoder: Path
) -> None:
    said = Said()
    words = groundup.index(docs, tmp_path / "index", vectors="none", progress=said)
    assert words.vectors.encoder == "" and not said.lines
    stays = groundup.index(docs, tmp_path / "index", progress=said)
    assert stays.vectors.encoder == "" and "as it was made" in said.lines[0]
    named = groundup.index(out=tmp_path / "index", vectors=DEFAULT_ENCODER, device="cpu")
    assert named.vectors.count == named.counts.passages
    (docs / "ferry.txt").write_text("The ferry leaves at noon.\n")
    assert groundup.index(out=tmp_path / "index", vectors="none").vectors.count == 0
    assert groundup.index(out=tmp_path / "index", device="cpu").vectors.count == 1


def test_documents_in_another_language_than_the_encoder_knows_are_by_words(
    tmp_path: Path, encoder: Path
) -> None:
    (tmp_path / "bus.txt").write_text(GERMAN)
    made = groundup.index(tmp_path / "bus.txt", tmp_path / "index", device="cpu").vectors
    assert made.encoder == "" and "another language (de)" in made.note
    assert not (tmp_path / "index" / "vectors").exists()


class Killed(Exception):
    pass


class Stops(Silent):
    """Stops when documents are read."""

    @contextmanager
    def track(self, what: str, total: float, unit: str = "") -> Iterator[Advance]:
        if what == "indexing":
            raise Killed
        with super().track(what, total, unit) as advance:
            yield advance


def test_the_same_command_goes_on_with_vectors_where_reading_was_stopped(
    docs: Path, tmp_path: Path, encoder: Path
) -> None:
    with pytest.raises(Killed):
        groundup.index(docs, tmp_path / "index", device="cpu", progress=Stops())
    again = groundup.index(docs, tmp_path / "index", device="cpu")
    assert again.vectors.count == again.counts.passages > 2


def test_a_named_encoder_that_is_none_is_refused_before_anything_is_written(
    docs: Path, tmp_path: Path, models: Path
) -> None:
    with pytest.raises(ModelError, match="no-such"):
        groundup.index(docs, tmp_path / "index", vectors="no-such")
    assert not (tmp_path / "index").exists()
