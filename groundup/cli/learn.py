"""`groundup learn`: the course in notebooks; a copy of one, opened."""

import importlib.util
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from groundup.cli.console import print_result, program, table
from groundup.cli.options import JsonOption, file_to_write, folder_to_write
from groundup.course.notebook import Notebook, copy_notebook, notebook_of, notebooks
from groundup.course.progress import progress_of, read_progress
from groundup.errors import ConfigError

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
    progress: Annotated[
        bool, Option("--progress", help="What is done of the exercises; it is kept in --out.")
    ] = False,
    certificate: Annotated[
        Path | None,
        Option(
            "--certificate",
            metavar="FILE.html",
            callback=file_to_write,
            help="Write a page of what was computed, with the answers.",
        ),
    ] = None,
    name: Annotated[str, Option("--name", help="Whose certificate it is.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the notebooks of the course, or copy one to where you can write, and open it in
    JupyterLab, if that is installed.

    Each notebook explains one stage, computes it by hand, shows the function of groundup that does
    the same, and has exercises that check themselves. A copy that is there is kept with your
    changes. --progress lists what is done; it is kept beside the copies and leaves this machine
    only if you send it.

    Examples:
        groundup learn
        groundup learn 3
        groundup learn 3 --out my-course --copy-only
        groundup learn 3 --fresh
        groundup learn --progress
        groundup learn --certificate done.html --name "Ada Miller"
    """
    if name and certificate is None:
        raise ConfigError("--name is for a certificate.", fix="Add: --certificate FILE.html")
    if progress or certificate:
        return _show_progress(number, out, certificate, name, as_json)
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


def _show_progress(
    number: int | None, out: Path, certificate: Path | None, name: str, as_json: bool
) -> None:
    """Print what is done in `out`, of one notebook or all; write the certificate."""
    kept = read_progress(out)
    chosen = notebooks() if number is None else [notebook_of(number)]
    found = [progress_of(each, kept) for each in chosen]
    right, exercises = (sum(len(each.solved) for each in found), sum(e.exercises for e in found))
    rows = [
        [str(e.number), e.title, f"{len(e.solved)} of {e.exercises}", str(e.tries)] for e in found
    ]
    lines = table(["", "notebook", "exercises right", "answers tried"], rows)
    lines += ["", f"{right} of {exercises} exercises are right, in {out}."]
    plain: dict[str, Any] = {"folder": str(out), "exercises": exercises, "right": right}
    plain["notebooks"] = [
        {**asdict(each), "solved": [asdict(one) for one in each.solved]} for each in found
    ]
    if certificate is not None:
        from groundup.report.pages.certificate_page import write_certificate

        write_certificate({**plain, "name": name}, certificate)
        lines.append(f"{certificate} was written.")
        plain["certificate"] = str(certificate)
    return print_result(lines, plain, as_json)


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
