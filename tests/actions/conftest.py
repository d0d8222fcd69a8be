"""The actions of an invented café, in a folder of the test's own."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test_conversations
sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))  # small_models

from groundup.actions import world

CAFE = Path(__file__).parent / "cafe"


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here takes the power from the machine."""
    monkeypatch.setattr(world, "SYNCHRONOUS", "OFF")


@pytest.fixture
def cafe(tmp_path: Path) -> Path:
    """A copy of the café's actions."""
    return Path(shutil.copytree(CAFE, tmp_path / "cafe"))
