"""Text in and out of the program in a locale or stream of another encoding than UTF-8."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ASCII_STREAMS = {"PYTHONIOENCODING": "ascii"}
ASCII_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def program(*words: str, **env: str) -> tuple[int, bytes, bytes]:
    """Run the command line as a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "groundup", *words],
        capture_output=True,
        env={**os.environ, **env},
        timeout=600,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "Mühle"
    folder.mkdir()
    (folder / "ü.txt").write_text("Der Müller – ein Mann – geht zur Mühle.\n" * 3, encoding="utf-8")
    return folder


def test_a_forced_ascii_locale_is_answered_in_utf_8(texts: Path) -> None:
    code, out, err = program("data", "inspect", str(texts), **ASCII_LOCALE)
    assert (code, err) == (0, b"")
    assert "Der Müller – ein Mann".encode() in out and "\nü.txt".encode() in out


def test_forced_ascii_streams_get_escapes_and_json_stays_json(texts: Path) -> None:
    code, out, err = program("data", "inspect", str(texts), **ASCII_STREAMS)
    assert (code, err) == (0, b"") and out.isascii()
    assert rb"Der M\xfcller \u2013 ein Mann" in out
    code, out, err = program("data", "inspect", str(texts), "--json", **ASCII_STREAMS)
    assert (code, err) == (0, b"") and out.isascii()
    assert any(
        "Der Müller – ein" in line
        for each in json.loads(out)["beginnings"]
        for line in each["lines"]
    )
