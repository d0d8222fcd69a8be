"""Rankings by name: both where an index has vectors, else words; what was asked for by name and can't be had is refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_encoder import save_encoder

from groundup.cli.main import run
from groundup.device import Compute
from groundup.progress import Silent
from groundup.retrieve.index import Index
from groundup.retrieve.vectors import embed_with, make_vectors

QUESTION = "How long does the warranty last?"


@pytest.fixture
def encoder(tmp_path: Path, index: Index) -> Path:
    """An encoder, with which the vectors of the index were made."""
    folder = save_encoder(tmp_path / "encoder")
    embed = embed_with(str(folder), Compute(torch.device("cpu")), Silent())
    make_vectors(index.folder, embed, str(folder), progress=Silent())
    return folder


def scores(capsys: pytest.CaptureFixture[str], index: Index, *words: str) -> list[float]:
    assert run(["search", str(index.folder), QUESTION, *words, "--device", "cpu", "--json"]) == 0
    return [each["score"] for each in json.loads(capsys.readouterr().out)["passages"]]


def test_the_default_is_words_without_vectors_and_both_with_them(
    index: Index, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    words = scores(capsys, index)
    assert words == scores(capsys, index, "--by", "words") and words
    request.getfixturevalue("encoder")
    assert scores(capsys, index) == scores(capsys, index, "--by", "both")
    assert scores(capsys, index, "--by", "words") == words != scores(capsys, index)


@pytest.mark.usefixtures("encoder")
def test_an_answer_is_searched_by_the_same_rankings(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    for by in ("auto", "words", "both", "vectors"):
        command = ["ask", str(index.folder), QUESTION, "--by", by, "--device", "cpu", "--json"]
        assert run(command) == 0
        answer = json.loads(capsys.readouterr().out)
        assert (
            answer["quotes"][0]["text"] == "The warranty lasts 24 months from the day of purchase."
        )


def test_an_encoder_that_is_gone_leaves_words_unless_it_was_asked_for(
    index: Index, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(encoder)
    assert run(["search", str(index.folder), QUESTION]) == 0
    found = capsys.readouterr()
    assert "boiler.md" in found.out and "searched by words alone" in found.err
    for by in ("both", "vectors"):
        assert run(["search", str(index.folder), QUESTION, "--by", by]) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_vectors_that_an_index_has_not_are_refused(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("search", "ask"):
        assert run([verb, str(index.folder), QUESTION, "--by", "both"]) == 2
        assert "has no vectors" in capsys.readouterr().err
        assert run([verb, str(index.folder), QUESTION, "--by", "vector"]) == 2
        assert "vectors" in capsys.readouterr().err


def test_ranking_by_words_needs_no_torch() -> None:
    code = "import sys, groundup.retrieve.rankings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=600).returncode == 0
