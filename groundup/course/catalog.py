"""The notebooks of the course: their list, and a copy of one where a reader can write.

    notebooks()                            all of them, in order
    copy_notebook(notebook_of(5), folder)  the notebook, and `texts/` beside it

Number and title are read off the file's name and its first heading, minutes and seconds are in its
metadata under "groundup".
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundup.errors import ConfigError, FormatError
from groundup.files import inside, read_json_object, write_bytes

FOLDER = Path(__file__).parent / "notebooks"
TEXTS = FOLDER / "texts"
_FILE = re.compile(r"(\d\d)-[a-z0-9-]+\.ipynb")
_EXERCISE = re.compile(r"\bcheck\(\"\d+\.\d+\"")


@dataclass(frozen=True)
class Notebook:
    """A notebook of the course."""

    number: int
    title: str
    minutes: int
    """To read it, run it and do its exercises; an estimate by its author."""
    run_s: int
    """Seconds that all cells took, when their outputs were last written (`notebooks/run.py
    --write`, two cores).
    """
    exercises: int
    file: Path

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "file": str(self.file)}


def notebooks() -> list[Notebook]:
    """Return all notebooks of the package by number. Raises FormatError for a damaged one."""
    return [_read(file) for file in sorted(FOLDER.glob("*.ipynb"))]


def notebook_of(number: int) -> Notebook:
    """Return one notebook. Raises ConfigError."""
    known = notebooks()
    found = next((each for each in known if each.number == number), None)
    if found is None:
        numbers = ", ".join(str(each.number) for each in known)
        raise ConfigError(
            f"There is no notebook {number}; there are {numbers}.", fix="List them: groundup learn"
        )
    return found


def copy_notebook(notebook: Notebook, folder: Path, *, fresh: bool = False) -> tuple[Path, bool]:
    """Write a notebook and the texts into `folder`; return its file and whether it was written.

    What is there already, perhaps with the reader's changes, stays; `fresh` replaces the notebook.
    Raises DiskError.
    """
    file = folder / notebook.file.name
    for text in sorted(TEXTS.rglob("*")):
        target = inside(folder, str(text.relative_to(FOLDER)))
        if text.is_file() and not target.exists():
            write_bytes(target, text.read_bytes())
    if file.exists() and not fresh:
        return file, False
    write_bytes(file, notebook.file.read_bytes())
    return file, True


def _read(file: Path) -> Notebook:
    named, content = _FILE.fullmatch(file.name), read_json_object(file)
    try:
        assert named
        own, cells = (
            content["metadata"]["groundup"],
            ["".join(cell["source"]) for cell in content["cells"]],
        )
        title = next(line[2:] for line in cells[0].splitlines() if line.startswith("# "))
        exercises = sum(len(_EXERCISE.findall(cell)) for cell in cells)
        return Notebook(
            int(named[1]), title, int(own["minutes"]), int(own.get("run_s", 0)), exercises, file
        )
    except (AssertionError, KeyError, TypeError, ValueError, IndexError, StopIteration) as error:
        raise FormatError(
            file, "notebook", "has no title, or no minutes in its metadata"
        ) from error
