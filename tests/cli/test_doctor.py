"""`groundup doctor` says what is there and what that means, on any machine."""

import json
import os
import subprocess
import sys

import pytest

from groundup.cli import doctor
from groundup.cli.main import run

ROWS = ["groundup", "device", "threads", "bf16", "compiler", "memory", "disk"]


def test_every_row_has_a_finding_and_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["machine"]
    assert [row["what"] for row in rows][:7] == ROWS
    assert all(row["found"] and row["meaning"] for row in rows)
    assert run(["doctor"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "" and all(what in shown.out for what in ROWS)


def test_the_models_that_fit_are_told_before_any_is_fetched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.device.machine_memory_bytes", lambda: 4_000_000_000)
    assert run(["doctor"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "478  apache-2.0" in lines["qwen2.5-coder-0.5b"]
    assert lines["qwen2.5-coder-0.5b"].endswith("yes")
    assert "a third party's upload" in lines["qwen2.5-coder-0.5b:"]
    wanted = "pulling needs 6.7 GB of memory, here are 4.0"
    assert lines["qwen2.5-1.5b-instruct"].endswith(wanted)


def test_a_missing_extra_is_named_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.EXTRAS, "lab", ("matplotlib", "a_module_nobody_has"))
    row = next(row for row in doctor.examine() if row["what"] == "extra lab")
    assert (
        row["found"] == "missing a_module_nobody_has"
        and "pip install 'groundup[lab]'" in row["meaning"]
    )


def test_bf16_taken_away_from_torch_is_not_in_the_processor() -> None:
    """The way to try a machine with AVX2 only on a newer one: what torch may not use is not counted on."""
    away = {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
    script = "from groundup.cli.doctor import examine; print(next(r for r in examine() if r['what'] == 'bf16')['found'])"
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **away},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "not supported by the processor"


def test_every_extra_of_the_package_is_looked_for() -> None:
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(doctor.EXTRAS) == set(project["optional-dependencies"]) - {"all", "dev", "docs"}


def test_little_memory_and_disk_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENOUGH_MEMORY_BYTES", 1e18)
    monkeypatch.setattr(doctor, "ENOUGH_DISK_BYTES", 1e18)
    meanings = {row["what"]: row["meaning"] for row in doctor.examine()}
    assert "close other programs" in meanings["memory"] and "free some" in meanings["disk"]
