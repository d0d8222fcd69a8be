"""`groundup doctor` says what is there and what that means, on any machine."""

import json

import pytest

from groundup.cli import doctor
from groundup.cli.main import run

ROWS = ["groundup", "device", "threads", "bf16", "compiler", "memory", "disk"]


def test_every_row_has_a_finding_and_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in rows][:7] == ROWS
    assert all(row["found"] and row["meaning"] for row in rows)
    assert run(["doctor"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "" and all(what in shown.out for what in ROWS)


def test_a_missing_extra_is_named_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.EXTRAS, "lab", ("matplotlib", "a_module_nobody_has"))
    row = next(row for row in doctor.examine() if row["what"] == "extra lab")
    assert row["found"] == "missing a_module_nobody_has" and "pip install 'groundup[lab]'" in row["meaning"]


def test_every_extra_of_the_package_is_looked_for() -> None:
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(doctor.EXTRAS) == set(project["optional-dependencies"]) - {"all", "dev"}


def test_little_memory_and_disk_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENOUGH_MEMORY_BYTES", 1e18)
    monkeypatch.setattr(doctor, "ENOUGH_DISK_BYTES", 1e18)
    meanings = {row["what"]: row["meaning"] for row in doctor.examine()}
    assert "close other programs" in meanings["memory"] and "free some" in meanings["disk"]
