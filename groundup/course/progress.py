"""What a reader has done: each answer that was checked, kept beside the reader's copies.

    FOLDER/progress.jsonl    a line for each answer: exercise, right, answer, at

`check` writes it in a folder that `groundup learn` made, and only there. Nothing of it leaves the
machine; removing the file forgets it. `groundup learn --progress` reads it, and the certificate is
made of it.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup.course.notebook import FOLDER, Notebook
from groundup.files import disk_errors, read_json_object
from groundup.runs import read_lines

PROGRESS_FILE = "progress.jsonl"
SHOWN_ANSWER = 400
_ASKED = re.compile(r"^\*\*Exercise (\d+\.\d+)\.\*\* (.+)$", re.MULTILINE)
_SECTION = re.compile(r"^## (?:\d+\. )?(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """An exercise as its notebook asks it."""

    number: str
    section: str
    question: str
    """Plain text; the section's title where the question has a formula in LaTeX."""


@dataclass(frozen=True)
class Done:
    """What a reader has done of one exercise."""

    tries: int
    """Answers up to the first right one, that one counted; all of them where none is right."""
    right_at: str
    """When the first right answer was checked, as ISO 8601; "": none was."""
    answer: str
    """The first right answer."""


@dataclass(frozen=True)
class Solved:
    """An exercise with its right answer."""

    number: str
    section: str
    question: str
    answer: str
    tries: int
    right_at: str


@dataclass(frozen=True)
class NotebookProgress:
    """What is done of a notebook."""

    number: int
    title: str
    exercises: int
    tries: int
    """Answers to all of its exercises, each up to the first right one."""
    solved: tuple[Solved, ...]


def keep(number: str, answer: Any, *, right: bool, folder: Path | None = None) -> None:
    """Add an answer to the folder's file, where it is a folder of `groundup learn` (the working
    directory, if none is given). Raises DiskError.
    """
    folder = folder or Path.cwd()
    notebook = next(folder.glob(f"{int(number.split('.')[0]):02}-*.ipynb"), None)
    if notebook is None or not (folder / "texts").is_dir() or folder.resolve() == FOLDER:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"exercise": number, "right": right, "answer": written(answer), "at": now}
    file = folder / PROGRESS_FILE
    with disk_errors(file), file.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(line) + "\n")


def written(answer: Any) -> str:
    """Return an answer as text: numbers in six digits, a function as its source."""
    text = repr(answer)
    if isinstance(answer, float):
        text = f"{answer:.6g}"
    if isinstance(answer, list | tuple):
        text = f"[{', '.join(map(written, answer))}]"
    if callable(answer):
        try:
            text = inspect.getsource(answer).strip()
        except (OSError, TypeError):
            text = f"the function {getattr(answer, '__name__', '')}".strip()
    return text if len(text) <= SHOWN_ANSWER else text[: SHOWN_ANSWER - 3] + "..."


def read_progress(folder: Path) -> dict[str, Done]:
    """Return what was done in a folder, by the number of the exercise; nothing for a folder
    without.
    """
    found: dict[str, Done] = {}
    for line in read_lines(folder / PROGRESS_FILE):
        number, answer, at = (line.get(key) for key in ("exercise", "answer", "at"))
        if not (isinstance(number, str) and isinstance(answer, str) and isinstance(at, str)):
            continue
        before = found.get(number, Done(0, "", ""))
        if before.right_at:
            continue
        found[number] = Done(before.tries + 1, "", "")
        if line.get("right") is True:
            found[number] = Done(before.tries + 1, at, answer)
    return found


def progress_of(notebook: Notebook, kept: Mapping[str, Done]) -> NotebookProgress:
    """Return what is done of a notebook; `kept` is of `read_progress`."""
    tried = [(one, kept[one.number]) for one in asked(notebook) if one.number in kept]
    solved = tuple(
        Solved(one.number, one.section, one.question, done.answer, done.tries, done.right_at)
        for one, done in tried
        if done.right_at
    )
    tries = sum(done.tries for _, done in tried)
    return NotebookProgress(notebook.number, notebook.title, notebook.exercises, tries, solved)


def asked(notebook: Notebook) -> list[Asked]:
    """Return the exercises of a notebook in their order."""
    return list(_asked(notebook))


def _asked(notebook: Notebook) -> Iterator[Asked]:
    section = notebook.title
    for cell in read_json_object(notebook.file)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "markdown":
            continue
        section = next(iter(_SECTION.findall(source)), section)
        for number, question in _ASKED.findall(source):
            plain = re.sub(r"[$*`]", "", question)
            yield Asked(number, section, section if "\\" in plain else plain)
