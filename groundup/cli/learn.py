"""`groundup learn`: the course in notebooks; a copy of one, opened."""

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from groundup.cli.console import print_result, program, table
from groundup.cli.options import JsonOption, folder_to_write
from groundup.course.notebook import Notebook, copy_notebook, notebook_of, notebooks

COURSE = Path("groundup-course")
# What a notebook imports beside groundup's own dependencies.
KERNEL, DRAWING = "ipykernel", "matplotlib"


def command(
    number: Annotated[
        int | None, Argument(help="The number of a notebook; without one, they are listed.")
    ] = None,
    out: Annotated[
        Path,
        Option(
            "--out",
            callback=folder_to_write,
            help="The folder that it is copied to, with the texts that it reads.",
        ),
    ] = COURSE,
    fresh: Annotated[
        bool, Option("--fresh", help="Replace the copy that is there, and what was changed in it.")
    ] = False,
    copy_only: Annotated[bool, Option("--copy-only", help="Copy it, and open nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the notebooks of the course, or copy one to where you can write, and open it in
    JupyterLab, if that is installed.

    Each notebook explains one stage, computes it by hand, shows the function of groundup that does
    the same, and has exercises that check themselves. A copy that is there is kept with your
    changes.

    Examples:
        groundup learn
        groundup learn 3
        groundup learn 3 --out my-course --copy-only
        groundup learn 3 --fresh
    """
    if number is None:
        known = notebooks()
        plain = [{**vars(each), "file": str(each.file)} for each in known]
        return print_result(_list(known), plain, as_json)
    notebook = notebook_of(number)
    file, written = copy_notebook(notebook, out, fresh=fresh)
    line = f"{file} is there already and was kept (--fresh replaces it)."
    if written:
        line = f"{file} was written."
    missing = [name for name in (KERNEL, DRAWING) if importlib.util.find_spec(name) is None]
    opens = (
        not copy_only
        and not as_json
        and not missing
        and importlib.util.find_spec("jupyterlab") is not None
    )
    result = {"file": str(file), "written": written}
    if not opens:
        return print_result([line, *_how_to_open(file, missing)], result, as_json)
    print_result([line], result, as_json)
    subprocess.run([sys.executable, "-m", "jupyterlab", str(file)], check=False)
    return None


def _list(found: list[Notebook]) -> list[str]:
    rows = [
        [str(each.number), each.title, str(each.minutes), f"{each.run_s} s", str(each.exercises)]
        for each in found
    ]
    head = ["", "notebook", "minutes", "runs in", "exercises"]
    return [*table(head, rows), "", f"Open one: {program()} learn {found[0].number}"]


def _how_to_open(file: Path, missing: list[str]) -> list[str]:
    """Return the commands that open it, with what is not installed."""
    python = shlex.quote(sys.executable)
    packages = "jupyterlab"
    if missing:
        packages = "'groundup[notebooks]' jupyterlab"
    return [
        "Open it in VS Code (with its Jupyter extension), choosing this Python as its kernel:",
        f"    {sys.executable}",
        "or install JupyterLab and open it there:",
        f"    {python} -m pip install {packages}",
        f"    {python} -m jupyterlab {shlex.quote(str(file))}",
    ]
