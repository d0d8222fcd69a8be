"""Notebooks teach the package: they are valid, small, without outputs, import it and never do again what it has."""

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import groundup

ROOT = Path(groundup.__file__).parents[1]
FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_BYTES = 64_000
MAX_CELL_LINES = 15
# The edges: the command line prints and ends the process, the page reads finished runs, a build is a verb.
NOT_FOR_NOTEBOOKS = {"cli", "report", "recipes", "__main__"}
each_notebook = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def code_cells(file: Path) -> list[NotebookNode]:
    return [cell for cell in nbformat.read(file, as_version=4)["cells"] if cell["cell_type"] == "code"]


def tree(file: Path) -> ast.Module:
    """All code of a notebook, in order."""
    return ast.parse("\n\n".join(cell["source"] for cell in code_cells(file)))


def own_imports(module: ast.Module) -> list[tuple[str, str]]:
    """(module, name) of everything that is imported from groundup."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "groundup":
            found += [(node.module or "", alias.name) for alias in node.names]
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names if alias.name.split(".")[0] == "groundup"]
    return found


def test_there_is_a_notebook() -> None:
    assert FILES


@each_notebook
def test_notebook_is_valid_and_small(file: Path) -> None:
    notebook = json.loads(file.read_text())
    nbformat.validate(notebook)
    assert file.stat().st_size < MAX_BYTES
    assert max(len(cell["source"].splitlines()) for cell in code_cells(file)) <= MAX_CELL_LINES


@each_notebook
def test_notebook_has_no_outputs(file: Path) -> None:
    for cell in code_cells(file):
        assert cell["outputs"] == [] and cell["execution_count"] is None, cell["id"]


@each_notebook
def test_cell_ids_are_words_that_stay(file: Path) -> None:
    ids = [cell["id"] for cell in nbformat.read(file, as_version=4)["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(word.isalpha() and word.islower() for id in ids for word in id.split("-"))


@each_notebook
def test_every_section_has_code_and_a_question(file: Path) -> None:
    source = "".join(
        f"\n\n[{cell['cell_type']}]\n{cell['source']}" for cell in nbformat.read(file, as_version=4)["cells"]
    )
    for section in source.split("\n## ")[1:-1]:  # the last is a farewell
        assert "[code]" in section and "**Try it.**" in section, section.splitlines()[0]


@each_notebook
def test_notebook_imports_public_names_of_public_rooms(file: Path) -> None:
    for module, name in own_imports(tree(file)):
        room = module.split(".")[1]
        assert room not in NOT_FOR_NOTEBOOKS, module
        assert name and not any(part.startswith("_") for part in [*module.split("."), name]), (module, name)
        assert hasattr(importlib.import_module(module), name), (module, name)


@each_notebook
def test_notebook_makes_no_module_and_no_loop_of_its_own(file: Path) -> None:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ClassDef):
            assert not any(ast.unparse(base).endswith("Module") for base in node.bases), node.name
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("backward", "optim", "zero_grad"), ast.unparse(node)


def write_notebook(file: Path, *sources: str) -> None:
    cells = [
        new_markdown_cell("# Words", id="words"),
        *(new_code_cell(text, id=f"cell-{text[:1]}") for text in sources),
    ]
    nbformat.write(new_notebook(cells=cells), file)


def test_runner_names_the_cell_and_the_error_and_writes_nothing(tmp_path: Path) -> None:
    small = "import os, pathlib\npathlib.Path('made-here').touch()\nassert os.environ['GROUNDUP_NOTEBOOK_SMALL'] == '1'"
    write_notebook(tmp_path / "a-good.ipynb", small)
    write_notebook(tmp_path / "b-bad.ipynb", "a = 1", "b = a / 0", "c = 2")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    command = [sys.executable, str(ROOT / "notebooks" / "run.py"), *map(str, sorted(before))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    good, bad = done.stdout.splitlines()
    assert good.startswith("ok") and "a-good.ipynb" in good and good.endswith(" s")
    assert bad.startswith("FAILED") and "b-bad.ipynb" in bad
    assert "cell 3 (cell-b): b = a / 0" in done.stderr and "ZeroDivisionError: division by zero" in done.stderr
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@each_notebook
def test_notebook_names_files_that_exist(file: Path) -> None:
    texts = [cell["source"] for cell in nbformat.read(file, as_version=4)["cells"] if cell["cell_type"] == "markdown"]
    named = re.findall(r"`([a-z]+/[a-z_/]+(?:\.[a-z]+)?)`", "\n".join(texts))
    assert not [name for name in named if not (ROOT / name).exists() and not (ROOT / "groundup" / name).exists()]
