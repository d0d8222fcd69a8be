"""The command that adds an extra is that of the program that made the environment."""

import sys
from pathlib import Path

import pytest

from groundup.errors import MissingExtra, install_command

UV = "home = /usr/bin\nuv = 0.9.1\nversion_info = 3.13.1\n"
RECEIPT = '[tool]\nrequirements = [{ name = "groundup", extras = ["serve"] }, { name = "x" }]\n'


@pytest.mark.parametrize(
    ("place", "files", "command"),
    [
        ("env", {"pyvenv.cfg": "home = /usr/bin\n"}, "pip install 'groundup[lab]'"),
        ("env", {}, "pip install 'groundup[lab]'"),
        ("env", {"pyvenv.cfg": UV}, "uv pip install 'groundup[lab]'"),
        (
            "pipx/venvs/groundup",
            {"pipx_metadata.json": "{}"},
            "pipx runpip groundup install 'groundup[lab]'",
        ),
        (
            "uv/tools/groundup",
            {"pyvenv.cfg": UV, "uv-receipt.toml": RECEIPT},
            "uv tool install 'groundup[lab,serve]'",
        ),
        ("uv/archive-v0/x1", {"pyvenv.cfg": UV}, "uvx --from 'groundup[lab]' groundup ..."),
    ],
)
def test_an_extra_is_added_by_what_made_the_environment(
    place: str, files: dict[str, str], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(sys, "prefix", str(folder))
    assert install_command("lab") == command
    assert MissingExtra("plotly", "lab").fix == f"Install it with: {command}"


def test_quotes_are_those_that_every_shell_of_windows_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "win32")
    assert install_command("lab") == 'pip install "groundup[lab]"'
