"""A clinic's build whose assistant books and cancels appointments (tests/retrieve/small_firm)."""

import shutil
from dataclasses import asdict
from pathlib import Path

from test_serve_assistant import make_build

from groundup.runs import BuildResults, provenance

FIRM = Path(__file__).parents[2] / "retrieve" / "small_firm"


def make_acting_build(folder: Path) -> Path:
    make_build(folder)
    (folder / "actions").mkdir()
    for name in ("actions.toml", "world.sql"):
        shutil.copy(FIRM / name, folder / "actions" / name)
    kinds = {"index": "index", "actions": "actions", "chat": "chat"}
    BuildResults(**asdict(provenance()), recipe="clinic", kinds=kinds).write(folder)
    return folder
