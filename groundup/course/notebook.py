"""The notebooks of the course: their list, a copy of one where a reader can write, and `begin()`, which
the first cell of each calls before torch is imported.

Number and title are read off the file's name and its first heading, minutes and seconds are in its
metadata under "groundup".
"""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import ConfigError, FormatError
from groundup.files import inside, read_json_object, write_bytes
from groundup.threads import prepare

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


SMALL_VARIABLE = "GROUNDUP_NOTEBOOK_SMALL"


@dataclass(frozen=True)
class Workplace:
    """Where a notebook reads and writes."""

    texts: Path
    """The course's texts: the folder beside the notebook if it has one, which can be changed, else
    the package's own.
    """
    work: Path
    """An empty temporary folder for everything that the notebook writes."""
    small: bool
    """A quick pass with fewer steps, to see that every cell works; $GROUNDUP_NOTEBOOK_SMALL is
    1.
    """


def begin() -> Workplace:
    """Choose the number of threads and return where to read and write."""
    prepare()
    beside = Path("texts")
    work = Path(tempfile.mkdtemp(prefix="groundup-notebook-"))
    return Workplace(
        beside if beside.is_dir() else TEXTS, work, os.environ.get(SMALL_VARIABLE) == "1"
    )
