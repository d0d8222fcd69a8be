"""What a verb says while it starts."""

import re
import subprocess
import sys
import time

import pytest

from groundup.cli import start
from groundup.cli.start import Start


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
