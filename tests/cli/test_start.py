"""What a verb says while it starts."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundup.cli import start
from groundup.cli.main import run
from groundup.cli.start import START, Start


def test_a_quick_start_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    quick = Start()
    quick.watch()
    quick.part("opening x")
    quick.end(print)
    assert capfd.readouterr() == ("", "")


def test_a_long_start_says_what_it_does_and_what_took_long(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start, "LONG_S", 0.0)
    monkeypatch.setattr(start, "SILENT_S", 0.0)
    slow = Start()
    slow.watch()
    while not (said := capfd.readouterr().err):
        time.sleep(0.01)
    assert said == "Starting: importing modules ...\n"
    slow.part("opening x")
    number = r"\d+\.\d s"
    expected = f"{number} importing modules, {number} opening x"
    heard: list[str] = []
    slow.end(heard.append)
    slow.end(heard.append)
    (line,) = heard
    assert re.fullmatch(
        f"Started after {number}: {expected}\\. Processor time .*: {number}\\.", line
    )


def test_what_nobody_watches_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook, or a test that calls a verb."""
    monkeypatch.setattr(start, "LONG_S", 0.0)
    unwatched = Start()
    unwatched.part("opening x")
    unwatched.end(pytest.fail)


def test_help_of_a_watched_verb_is_not_called_a_start() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "groundup", "chat", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stderr == ""


def test_index_and_ask_say_how_long_the_whole_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer is no start, and the times of an index's steps do not add up to the whole."""
    monkeypatch.setattr(start, "LONG_S", 0.0)
    (tmp_path / "fees.md").write_text("A replacement card costs 12 EUR.\n")
    made, asked = f"{tmp_path}/made", ["What does a replacement card cost?", "--by", "words"]
    for verb, done in (
        (["index", f"{tmp_path}/fees.md", "--out", made, "--vectors", "none"], "Done"),
        (["ask", made, *asked], "Answered"),
    ):
        START.watch()
        assert run(verb) == 0
        error = capsys.readouterr().err
        assert re.search(rf"^{done} after \d+\.\d s: \d+\.\d s importing modules, ", error, re.M)
        assert "Started" not in error
