"""Run the notebooks of the course from beginning to end, each in a temporary copy of its folder: what `make notebooks` does.

    python notebooks/run.py                       all of them, small (fewer steps, under a minute each), one on each processor
    python notebooks/run.py --full                as a reader runs them
    python notebooks/run.py --check [--full]      and compare what is printed with the outputs that are committed (outputs.py says how)
    python notebooks/run.py --write 03            with all steps, and write the outputs into the notebook; then small, as below
    python notebooks/run.py --write-small 03      small, and write what then differs into the metadata of its cells
    python notebooks/run.py 03 FILE.ipynb         only these, by number or file

Prints a line for each with its seconds; a notebook that fails is named with the cell and the error, and the exit code is 1.
"""

import argparse
import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from outputs import clean_outputs, code_cells, differences, keep_small_outputs, source_hash

from groundup.files import write_text

NOTEBOOKS = Path(__file__).resolve().parents[1] / "groundup" / "course" / "notebooks"
CELL_LIMIT_S = 600
SHOWN_TRACEBACK_LINES = 12
# The kernel warns that its loopback ports are not encrypted; messages are signed, and nothing leaves this machine.
QUIET = "--log-level=ERROR"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    """Run what the command line names; the exit code."""
    parser = argparse.ArgumentParser(description="Run the notebooks in temporary copies.")
    parser.add_argument("notebooks", nargs="*", help="numbers or files; default: all of the course")
    parser.add_argument("--full", action="store_true", help="with all steps, as a reader runs them")
    parser.add_argument("--check", action="store_true", help="compare with the outputs that are committed")
    parser.add_argument("--write", action="store_true", help="write the outputs of a full and of a small run into the notebook")
    parser.add_argument("--write-small", action="store_true", help="write only what a small run prints otherwise")
    arguments = parser.parse_args()
    files = [file for name in arguments.notebooks or ["*"] for file in files_named(name)]
    if arguments.write or arguments.write_small:
        sizes = (False, True) if arguments.write else (True,)
        faults = [run(file, small=small, write=True) for file in files for small in sizes]
    else:
        one = partial(run, small=not arguments.full, check=arguments.check)
        # Half of a small run is imports and plain Python, on one processor.
        with ThreadPoolExecutor(1 if arguments.full else os.cpu_count()) as pool:
            faults = list(pool.map(one, files))
    return 1 if any(faults) or not files else 0


def files_named(name: str) -> list[Path]:
    """The notebooks of a number, a file, or "*"; a file that is missing fails when it is read."""
    if name.isdigit():
        name = f"{int(name):02}-*"
    return sorted(NOTEBOOKS.glob(f"{name}.ipynb")) if "*" in name else [Path(name)]


def run(file: Path, *, small: bool, check: bool = False, write: bool = False) -> str:
    """Execute one notebook and tell how it went; gives the fault, "" where there is none."""
    started = time.monotonic()
    notebook = nbformat.read(file, as_version=4)
    with tempfile.TemporaryDirectory(prefix="groundup-notebook-") as temporary:
        fault = execute(notebook, file, Path(temporary), small=small)
    elapsed_s = time.monotonic() - started
    if check and not fault:
        fault = "\n".join(differences(nbformat.read(file, as_version=4), notebook, small=small))
    print(f"{'FAILED' if fault else 'ok':6} {file.name}  {elapsed_s:.0f} s\n", end="", flush=True)
    if fault:
        print(f"{file.name}: {fault}", file=sys.stderr, flush=True)
    elif write and small:
        write_small_outputs(notebook, file)
    elif write:
        write_outputs(notebook, file, elapsed_s)
    return fault


def execute(notebook: NotebookNode, file: Path, temporary: Path, *, small: bool) -> str:
    """Run it in a copy of its folder: nothing in the tree is written, and temporary files of the cells go with it."""
    folder = temporary / "notebooks"
    shutil.copytree(file.resolve().parent, folder, ignore=shutil.ignore_patterns(".*", "runs", "__pycache__"))
    (temporary / "tmp").mkdir()
    client = NotebookClient(
        notebook, timeout=CELL_LIMIT_S, resources={"metadata": {"path": str(folder)}}, extra_arguments=[QUIET]
    )
    try:
        asyncio.run(client.async_execute(env=environment(temporary, small=small)))
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return described(notebook, error)
    return ""


def environment(temporary: Path, *, small: bool) -> dict[str, str]:
    """The kernel's: settings and history of whoever runs this are neither read nor written, and sets have one order."""
    own = {"IPYTHONDIR": str(temporary / "ipython"), "TMPDIR": str(temporary / "tmp"), "PYTHONHASHSEED": "0"}
    return {**os.environ, **own, "GROUNDUP_NOTEBOOK_SMALL": "1" if small else "0"}


def write_outputs(notebook: NotebookNode, file: Path, elapsed_s: float) -> None:
    """Write an executed notebook in place of its file, with the seconds and the hash of the code that the outputs are of."""
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
    for cell in code_cells(notebook):
        clean_outputs(cell)
    own = notebook["metadata"].setdefault("groundup", {})
    own.update(run_s=round(elapsed_s), outputs_of=source_hash(notebook))
    notebook["metadata"]["language_info"] = {"name": "python"}
    write_text(file, nbformat.writes(notebook) + "\n")


def write_small_outputs(executed: NotebookNode, file: Path) -> None:
    """Write what a small run printed otherwise into the metadata of a notebook's cells."""
    committed = nbformat.read(file, as_version=4)
    keep_small_outputs(committed, executed)
    committed["metadata"].setdefault("groundup", {})["small_outputs_of"] = source_hash(committed)
    write_text(file, nbformat.writes(committed) + "\n")


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
