"""`groundup research` as a user meets it: bad input is one sentence with exit code 2, and nothing is written."""

import json
from pathlib import Path

import pytest
from tiny_research import Done, write_texts

from groundup.cli.main import run

TINY = [
    *("--steps", "8", "--rounds", "2", "--seeds", "2", "--depth", "1"),
    *("--set", "model.vocab_size=280"),
]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (["--switches", "untide"], "There is no switch 'untide'. Did you mean 'untied'?"),
        (["--switches", "untied,cosine,untied"], "The switch 'untied' is given twice."),
        (["--budget", "5s"], "A budget of 5 s is too small"),
        (["--seconds", "2"], "--seconds 2 leaves 0.5 s for a try of the first of 3 rounds"),
        (["--seconds", "9", "--steps", "9"], "--seconds and --steps both give"),
        (["--seeds", "0"], "seeds must be 1 to 100"),
        (["--budget", "soon"], "soon"),
        (["--set", "fit.nothing=1", "--steps", "9"], "nothing"),
        (["--records", "notes.md"], "notes.md has no table of records."),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: list[str],
    answer: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path / "texts")
    (tmp_path / "notes.md").write_text("# Notes\n")
    before = sorted(tmp_path.rglob("*"))
    assert run(["research", "texts", "--out", "runs/new", *said]) == 2
    err = capsys.readouterr().err
    assert answer in " ".join(err.split()) and err.count("error:") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_texts_that_are_not_there_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for said in (["nowhere", "--out", "runs/new"], ["nowhere"], ["--out", "runs/new"]):
        assert run(["research", *said]) == 2
    assert capsys.readouterr().err.count("error:") == 3
    assert list(tmp_path.iterdir()) == []


def test_the_switches_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["research", "--list", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["untied"]["settings"] == ["model.tied_head=false"]
    assert run(["research", "--list"]) == 0
    assert "model.tied_head=false" in capsys.readouterr().out


def test_a_research_prints_its_last_round_and_appends_its_record(
    done: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of another call is not touched: names and settings are the same as Python's."""
    records = tmp_path / "records.md"
    words = ["research", str(done.texts), "--out", str(tmp_path / "out"), *TINY]
    said = [*words, "--switches", "untied", "--records", str(records)]
    assert run(said) == 0
    printed = capsys.readouterr()
    assert "bits per byte of validation" in printed.out and "research.html" in printed.out
    assert "Round 2 of 2, try 4 of 4" in printed.err and " left: untied, seed 1" in printed.err
    assert len(records.read_text().splitlines()) == 7
    assert run([*said, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [each["number"] for each in value["rounds"]] == [1, 2]
    untied = next(each for each in done.results.rounds[0].tried if each.name == "untied")
    assert value["rounds"][0]["tried"][0]["bits_per_byte"] == list(untied.bits_per_byte)
