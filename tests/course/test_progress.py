"""`groundup learn --progress`: what is kept of answers, and where; the page of it."""

import json
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.course.exercises import check
from groundup.course.notebook import copy_notebook, notebook_of, notebooks
from groundup.course.progress import PROGRESS_FILE, asked, read_progress
from groundup.errors import DiskError


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of `groundup learn`, which is the working directory, with two exercises answered."""
    copy_notebook(notebook_of(15), tmp_path)
    monkeypatch.chdir(tmp_path)
    check("15.2", ...)  # unanswered: no try
    check("15.2", 0.75)
    check("15.2", 1.5)
    check("15.2", 1.5)  # after the first right one nothing is counted
    check("15.1", lambda rewards: [each - sum(rewards) / len(rewards) for each in rewards])
    check("15.3", 4)
    return tmp_path


def test_tries_up_to_the_first_right_answer_are_kept(course: Path) -> None:
    done = read_progress(course)
    assert (done["15.2"].tries, done["15.2"].answer) == (2, "1.5") and done["15.2"].right_at
    assert "sum(rewards)" in done["15.1"].answer, "a function is kept as its source"
    assert (done["15.3"].tries, done["15.3"].right_at) == (1, "")
    with (course / PROGRESS_FILE).open("a") as handle:
        handle.write('{"exercise": 3}\n[]\n{"exercise": "15.4", "right": tr')  # cut off
    assert read_progress(course) == done


def test_progress_is_listed_and_certified_with_what_was_computed(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    page = course / "done.html"
    where = ["--out", str(course)]
    assert run(["learn", "--progress", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("Learning from rewards" in line and "2 of 4" in line for line in lines)
    assert len([line for line in lines if " of " in line]) == len(notebooks()) + 1
    words = ["learn", "--certificate", str(page), "--name", "<b>Ada</b>", *where, "--json"]
    assert run(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["right"], found["certificate"]) == (2, str(page))
    html = page.read_text()
    assert "&lt;b&gt;Ada&lt;/b&gt;" in html and '<code dir="auto">1.5</code>' in html
    assert "What is the advantage of the first answer" in html and "15.3" not in html
    assert run(["learn", "15", "--progress", *where, "--json"]) == 0
    assert [each["number"] for each in json.loads(capsys.readouterr().out)["notebooks"]] == [15]


def test_every_exercise_has_a_question_for_the_page() -> None:
    for each in notebooks():
        found = asked(each)
        assert len(found) == each.exercises
        assert all(one.question and "\\" not in one.question for one in found)


def test_nothing_is_kept_outside_a_folder_of_the_course(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    check("15.2", 1.5)
    assert not any(tmp_path.iterdir()) and read_progress(tmp_path) == {}
    page = tmp_path / "c.html"
    assert run(["learn", "--certificate", str(page), "--out", str(tmp_path)]) == 2
    assert not page.exists() and "No exercise is solved in" in capsys.readouterr().err
    assert run(["learn", "--name", "Ada"]) == 2
    assert "--certificate" in capsys.readouterr().err


def test_an_exercise_is_checked_where_progress_cannot_be_kept(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (course / PROGRESS_FILE).unlink()
    (course / PROGRESS_FILE).mkdir()
    check("15.2", 1.5)
    said = capsys.readouterr().out
    assert "15.2: right" in said and "not kept" in said and DiskError.__name__ not in said
