"""Which indexes a build has: asked of every folder that is served or talked with, so without what
reads them.
"""

from pathlib import Path

from groundup.runs import read_stage_kinds

INDEX_FILE = "index.sqlite"


def index_folders(build: Path) -> list[Path]:
    """Return the finished indexes of a build; [] for anything else. Raises FormatError."""
    stages = read_stage_kinds(build).items()
    folders = [build / stage for stage, kind in stages if kind == "index"]
    return [folder for folder in folders if (folder / INDEX_FILE).is_file()]
