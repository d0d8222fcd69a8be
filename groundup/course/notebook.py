"""The first cell of each notebook: `here = begin()`, before torch is imported."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from groundup.course.catalog import TEXTS
from groundup.threads import prepare

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
