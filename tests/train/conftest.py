"""The process that starts training processes, and the run that was never stopped."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stopping import Starter, facts


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter]:
    """Imports torch once; see tiny_run.py."""
    script = Path(__file__).parent / "tiny_run.py"
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Starter(process)


@pytest.fixture(scope="session")
def whole(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """The facts of the run that went through in one go, for each optimizer."""
    found = {}
    for optimizer in ("adamw", "muon", "sgd"):
        folder = tmp_path_factory.mktemp("whole") / optimizer
        assert starter.run(folder, optimizer=optimizer) == 0
        found[optimizer] = facts(folder)
    return found


@pytest.fixture(scope="session")
def never_stopped(whole: dict[str, dict[str, object]]) -> dict[str, object]:
    """Those of AdamW's."""
    return whole["adamw"]
