"""Two minutes of everything at once: memory stays where it was, and nothing is left in hand. The hour is `benchmarks/soak.py`, which this runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[3] / "benchmarks" / "soak.py"
KINDS = {"whole", "streamed", "of a form", "embedded", "refused"}
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads memory from /proc"
)


def soak(out: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SOAK), "--json", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_memory_is_flat_over_two_minutes(tmp_path: Path) -> None:
    done = soak(tmp_path / "soak.json", "--minutes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "soak.json").read_text())
    assert told["requests"].keys() == KINDS and not told["errors"] and told["left_in_hand"] == 0
    assert told["growth"] < told["slack"] and len(told["memory"]) == 24


@pytest.mark.slow
def test_a_server_that_grows_is_found_out(tmp_path: Path) -> None:
    done = soak(tmp_path / "soak.json", "--minutes", "0.1", "--slack", "0.5")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "at most 0.5 is allowed" in done.stdout
