"""Run the notebooks from beginning to end, each in a temporary copy of its folder: what `make notebooks` does.

    python notebooks/run.py                       all of them, small: fewer steps, under a minute each
    python notebooks/run.py --full                as a reader runs them
    python notebooks/run.py notebooks/01-...      only these

Prints a line for each with its seconds; a notebook that fails is named with the cell and the error, and the exit code is 1.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
CELL_LIMIT_S = 600
SHOWN_TRACEBACK_LINES = 12
# The kernel warns that its loopback ports are not encrypted; messages are signed, and nothing leaves this machine.
QUIET = "--log-level=ERROR"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    """Run what the command line names; the exit code."""
    parser = argparse.ArgumentParser(description="Run the notebooks in temporary copies.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all beside this file")
    parser.add_argument("--full", action="store_true", help="with all steps, as a reader runs them")
    arguments = parser.parse_args()
    files = arguments.notebooks or sorted(HERE.glob("*.ipynb"))
    faults = [run(file, small=not arguments.full) for file in files]
    return 1 if any(faults) or not files else 0


def run(file: Path, *, small: bool) -> str:
    """Execute one notebook and tell how it went; gives the fault, "" where there is none."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="groundup-notebook-") as temporary:
        fault = execute(file, Path(temporary), small=small)
    print(f"{'FAILED' if fault else 'ok':6} {file.name}  {time.monotonic() - started:.0f} s", flush=True)
    if fault:
        print(fault, file=sys.stderr, flush=True)
    return fault


def execute(file: Path, temporary: Path, *, small: bool) -> str:
    """Run the copy of `file` in `temporary`: nothing in the tree is written, and temporary files of the cells go with it."""
    folder = temporary / "notebooks"
    shutil.copytree(file.resolve().parent, folder, ignore=shutil.ignore_patterns(".*", "runs", "__pycache__"))
    (temporary / "tmp").mkdir()
    notebook = nbformat.read(folder / file.name, as_version=4)
    client = NotebookClient(
        notebook, timeout=CELL_LIMIT_S, resources={"metadata": {"path": str(folder)}}, extra_arguments=[QUIET]
    )
    try:
        client.execute(env=environment(temporary, small=small))
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return described(notebook, error)
    return ""


def environment(temporary: Path, *, small: bool) -> dict[str, str]:
    """The kernel's: settings and history of whoever runs this are neither read nor written."""
    own = {"IPYTHONDIR": str(temporary / "ipython"), "TMPDIR": str(temporary / "tmp")}
    return {**os.environ, **own, "GROUNDUP_NOTEBOOK_SMALL": "1" if small else "0"}


def described(notebook: NotebookNode, error: Exception) -> str:
    """Which cell failed, its first line, and the end of the error."""
    number, cell = last_begun(notebook)
    raised = [output for output in cell.get("outputs", []) if output["output_type"] == "error"]
    text = "\n".join(raised[0]["traceback"]) if raised else str(error)
    lines = COLOURS.sub("", text).splitlines()[-SHOWN_TRACEBACK_LINES:]
    return f"cell {number} ({cell['id']}): {cell['source'].splitlines()[0]}\n" + "\n".join(
        f"    {line}" for line in lines
    )


def last_begun(notebook: NotebookNode) -> tuple[int, NotebookNode]:
    """The last cell that was started, counted from 1: where a run that failed has ended."""
    cells = list(enumerate(notebook["cells"], start=1))
    begun = [(number, cell) for number, cell in cells if cell["metadata"].get("execution")]
    return begun[-1] if begun else cells[0]


if __name__ == "__main__":
    sys.exit(main())
