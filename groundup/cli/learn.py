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
from groundup.cli.options import JsonOption, LanguageOption, file_to_write, folder_to_write
from groundup.course.notebook import FOLDER, Notebook, copy_notebook, notebook_of, notebooks
from groundup.course.progress import NotebookProgress, progress_of, read_progress
from groundup.errors import ConfigError
from groundup.files import write_text
from groundup.language.messages import SOURCE
from groundup.language.page_texts import language_of_page, page_language, say

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
    language: LanguageOption = None,
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
        groundup learn --language es
        groundup learn --progress
        groundup learn --certificate done.html --name "Ada Miller"
    """
    if name and certificate is None:
        raise ConfigError("--name is for a certificate.", fix="Add: --certificate FILE.html")
    out = _copies(out)
    with page_language(language or SOURCE):
        if progress or certificate:
            _show_progress(number, out, certificate, name, as_json)
        elif number is None:
            known = notebooks()
            plain = [{**vars(each), "file": str(each.file)} for each in known]
            print_result(_list(known), plain, as_json)
        else:
            _open(number, out, fresh=fresh, copy_only=copy_only, as_json=as_json)


def _copies(out: Path) -> Path:
    """The reader's copies: the working directory where it holds them, as in a terminal opened
    beside a notebook, and the default folder is not below it.
    """
    here = Path.cwd()
    has_copies = (here / "texts").is_dir() and any(here.glob("[0-9][0-9]-*.ipynb"))
    if out == COURSE and not out.exists() and has_copies and here != FOLDER:
        return here
    return out


def _open(number: int, out: Path, *, fresh: bool, copy_only: bool, as_json: bool) -> None:
    """Copy a notebook, and open the copy where JupyterLab is installed."""
    notebook = notebook_of(number)
    file, written = copy_notebook(notebook, out, fresh=fresh)
    line = say("{file} is there already and was kept (--fresh replaces it).", file=file)
    if written:
        line = say("{file} was written.", file=file)
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
    number: int | None,
    out: Path,
    certificate: Path | None,
    name: str,
    as_json: bool,
) -> None:
    """Print what is done in `out`, of one notebook or all; write the certificate."""
    kept = read_progress(out)
    chosen = notebooks() if number is None else [notebook_of(number)]
    found = [progress_of(each, kept) for each in chosen]
    right, exercises = (sum(len(each.solved) for each in found), sum(e.exercises for e in found))
    if certificate is not None and not right:
        what = f"No exercise is solved in {out} yet."
        raise ConfigError(what, fix="Begin with: groundup learn 1")
    rows = [[str(each.number), say(each.title), _share(each), str(each.tries)] for each in found]
    head = map(say, ("notebook", "exercises right", "answers tried"))
    lines = table(["", *head], rows)
    whole = "{right} of {exercises} exercises are right, in {out}."
    lines += ["", say(whole, right=right, exercises=exercises, out=out)]
    if not any(each.tries for each in found):
        lines.append(f"{say('Open one:')} {program()} learn {chosen[0].number}")
    plain: dict[str, Any] = {"folder": str(out), "exercises": exercises, "right": right}
    plain["notebooks"] = [
        {**asdict(each), "solved": [asdict(one) for one in each.solved]} for each in found
    ]
    if certificate is not None:
        from groundup.report.pages.certificate_page import render_certificate

        write_text(certificate, render_certificate({**plain, "name": name}))
        lines.append(say("{file} was written.", file=certificate))
        plain["certificate"] = str(certificate)
    return print_result(lines, plain, as_json)


def _share(found: NotebookProgress) -> str:
    return say("{right} of {exercises}", right=len(found.solved), exercises=found.exercises)


def _list(found: list[Notebook]) -> list[str]:
    rows = [
        [
            f"{each.number}",
            say(each.title),
            f"{each.minutes}",
            f"{each.run_s} s",
            f"{each.exercises}",
        ]
        for each in found
    ]
    head = ["", *map(say, ("notebook", "minutes", "runs in", "exercises"))]
    lines = [*table(head, rows), ""]
    lines += [
        say("minutes: what it takes to read it and to solve its exercises."),
        say("runs in: what a laptop takes to compute all of its cells."),
        say("exercises: questions that check your answer and tell you where it went wrong."),
        "",
        f"{say('Open one:')} {program()} learn {found[0].number}",
        f"{say('What you have solved:')} {program()} learn --progress",
    ]
    if language_of_page() != SOURCE:
        lines.append(say("The notebooks are in English."))
    return lines


def _how_to_open(file: Path, missing: list[str]) -> list[str]:
    """Return the commands that open it, with what is not installed."""
    python = shlex.quote(sys.executable)
    packages = "jupyterlab"
    if missing:
        packages = "'groundup[notebooks]' jupyterlab"
    return [
        say("Open it in VS Code (with its Jupyter extension), choosing this Python as its kernel:"),
        f"    {sys.executable}",
        say("or install JupyterLab and open it there:"),
        f"    {python} -m pip install {packages}",
        f"    {python} -m jupyterlab {shlex.quote(str(file))}",
    ]
