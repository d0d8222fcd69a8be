"""`groundup learn`: the list, and a copy that never takes away what a reader has written."""

import json
from pathlib import Path

import pytest

from groundup.cli.learn import _how_to_open
from groundup.cli.main import run
from groundup.course.notebook import FOLDER, TEXTS, begin, copy_notebook, notebook_of, notebooks
from groundup.errors import ConfigError


def test_all_notebooks_are_listed_with_their_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["learn"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for each in notebooks():
        assert any(
            f"{each.number}  {each.title}" in line and f" {each.minutes} " in line for line in lines
        )
    assert run(["learn", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["number"] for each in listed] == [each.number for each in notebooks()]
    assert all(
        each["minutes"] > 0 and each["exercises"] >= 4 and each["run_s"] > 0 for each in listed
    )


def test_the_list_is_in_the_language_asked_for_or_the_systems(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["learn", "--language", "de"]) == 0
    assert "Der ganze Weg in fünf Minuten" in capsys.readouterr().out
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")
    assert run(["learn"]) == 0
    assert "Todo el recorrido en cinco minutos" in capsys.readouterr().out
    assert run(["learn", "--language", "it"]) == 2
    assert "--language it is not there, expected one of: en, de, es, fr." in capsys.readouterr().err


def test_a_copy_has_its_texts_and_is_kept_with_its_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "course"
    assert run(["learn", "3", "--out", str(out), "--copy-only"]) == 0
    said = capsys.readouterr().out
    file = out / notebook_of(3).file.name
    assert file.read_bytes() == notebook_of(3).file.read_bytes() and str(file) in said
    texts = {
        path.relative_to(TEXTS): path.read_bytes() for path in TEXTS.rglob("*") if path.is_file()
    }
    assert {path: (out / "texts" / path).read_bytes() for path in texts} == texts
    file.write_text("mine")
    assert run(["learn", "3", "--out", str(out), "--copy-only"]) == 0
    assert "was kept" in capsys.readouterr().out and file.read_text() == "mine"
    assert run(["learn", "3", "--out", str(out), "--copy-only", "--fresh", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(file), "written": True}
    assert file.read_bytes() == notebook_of(3).file.read_bytes()


def test_how_to_open_it_is_said_with_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "03.ipynb"
    assert any(
        "'groundup[notebooks]' jupyterlab" in line for line in _how_to_open(file, ["ipykernel"])
    )
    assert any(line.endswith(f"-m jupyterlab {file}") for line in _how_to_open(file, []))


def test_an_unknown_number_is_one_sentence_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["learn", "77"]) == 2
    error = capsys.readouterr().err
    assert "There is no notebook 77; there are 1, " in error and "Traceback" not in error
    with pytest.raises(ConfigError):
        notebook_of(0)


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run(["learn", "3", "--out", str(tmp_path / "file"), "--copy-only"]) == 2
    assert "can't be written" in capsys.readouterr().err


def test_begin_prefers_the_texts_beside_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_NOTEBOOK_SMALL", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    assert begin().texts == TEXTS and begin().small
    copy_notebook(notebook_of(3), tmp_path)
    here = begin()
    assert here.texts == Path("texts") and not any(here.work.iterdir())
    assert sorted(each.name for each in here.texts.iterdir()) == sorted(
        each.name for each in (FOLDER / "texts").iterdir()
    )


def test_beside_a_notebook_its_own_folder_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_notebook(notebook_of(3), tmp_path / "groundup-course")
    monkeypatch.chdir(tmp_path / "groundup-course")
    (Path("progress.jsonl")).write_text(
        '{"exercise": "3.1", "right": true, "answer": "11", "at": "2026-12-01T10:00:00+00:00"}\n'
    )
    assert run(["learn", "--progress", "3"]) == 0
    assert f"1 of 6 exercises are right, in {Path.cwd()}." in capsys.readouterr().out
    assert run(["learn", "4", "--copy-only"]) == 0
    assert notebook_of(4).file.name in {each.name for each in Path.cwd().iterdir()}
    monkeypatch.chdir(tmp_path)
    assert run(["learn", "--progress", "4"]) == 0
    assert "Open one: " in capsys.readouterr().out
