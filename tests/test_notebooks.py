"""The notebooks of the course: what each has, that its outputs are those of its code, that it never does again what the package has."""

import ast
import importlib
import importlib.util
import json
import math
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import groundup
from groundup.course.exercises import RIGHT, Exercise, exercises_of, verdict
from groundup.course.notebook import FOLDER, notebooks

ROOT = Path(groundup.__file__).parents[1]
FILES = sorted(FOLDER.glob("*.ipynb"))
RUN = ROOT / "notebooks" / "run.py"
MAX_BYTES = 300_000
MAX_CELL_LINES = 15
MAX_CODE_CELLS = 25
MAX_FIRST_NAMES = 8
MIN_BY_HAND, MIN_EXERCISES, MIN_SOURCES = 3, 4, 2
BY_HAND, EXERCISE = "by-hand", "exercise"
# The edges: the command line prints and ends the process, the page reads finished runs, a build is a verb.
NOT_FOR_NOTEBOOKS = {"cli", "report", "recipes", "__main__"}
IDENTIFIER = re.compile(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,}/|RFC \d+|ISBN \d")
each_notebook = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def outputs_module() -> Any:
    """notebooks/outputs.py, which stands beside the script that uses it."""
    spec = importlib.util.spec_from_file_location("outputs", RUN.with_name("outputs.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


outputs = outputs_module()


def cells(file: Path) -> list[NotebookNode]:
    return list(nbformat.read(file, as_version=4)["cells"])


def code_cells(file: Path) -> list[NotebookNode]:
    return outputs.code_cells(nbformat.read(file, as_version=4))


def tagged(file: Path, tag: str) -> list[NotebookNode]:
    return [cell for cell in code_cells(file) if tag in outputs.tags(cell)]


def tree(found: list[NotebookNode]) -> ast.Module:
    """All code of some cells, in order."""
    return ast.parse("\n\n".join(cell["source"] for cell in found))


def own_imports(module: ast.Module) -> list[tuple[str, str]]:
    """(module, name) of everything that is imported from groundup."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "groundup":
            found += [(node.module or "", alias.asname or alias.name) for alias in node.names]
        if isinstance(node, ast.Import):
            found += [
                (alias.name, "") for alias in node.names if alias.name.split(".")[0] == "groundup"
            ]
    return found


def names_read(cell: NotebookNode) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(cell["source"])) if isinstance(node, ast.Name)}


def made_by_groundup(found: list[NotebookNode]) -> set[str]:
    """What is imported from groundup, and what is set by cells that use it."""
    names = {name for _, name in own_imports(tree(found))}
    for cell in found:
        if names_read(cell) & names and BY_HAND not in outputs.tags(cell):
            stored = [
                node for node in ast.walk(ast.parse(cell["source"])) if isinstance(node, ast.Name)
            ]
            names |= {node.id for node in stored if isinstance(node.ctx, ast.Store)}
    return names


def sections(file: Path) -> list[str]:
    """The text of each part that a heading begins; the first is what stands before the first heading."""
    source = "".join(f"\n\n[{cell['cell_type']}]\n{cell['source']}" for cell in cells(file))
    return source.split("\n## ")


def test_there_is_a_notebook() -> None:
    assert FILES
    assert [each.file for each in notebooks()] == FILES


@each_notebook
def test_notebook_is_valid_and_small(file: Path) -> None:
    nbformat.validate(json.loads(file.read_text()))
    assert file.stat().st_size <= MAX_BYTES
    assert len(code_cells(file)) <= MAX_CODE_CELLS
    assert max(len(cell["source"].splitlines()) for cell in code_cells(file)) <= MAX_CELL_LINES


@each_notebook
def test_outputs_are_those_of_the_code(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    written = f"write them again: python notebooks/run.py --write {file.name[:2]}"
    own = notebook["metadata"]["groundup"]
    assert own["outputs_of"] == own["small_outputs_of"] == outputs.source_hash(notebook), written
    assert [cell["execution_count"] for cell in code_cells(file)] == list(
        range(1, len(code_cells(file)) + 1)
    ), written


def test_nine_in_ten_cells_that_print_are_compared_in_a_small_run_too() -> None:
    compared = [
        outputs.tolerance_of(cell) is not None
        for file in FILES
        for cell in code_cells(file)
        if outputs.printed(cell)
    ]
    assert sum(compared) >= 0.9 * len(compared), (sum(compared), len(compared))


@each_notebook
def test_outputs_have_a_picture_no_error_and_no_path_of_this_machine(file: Path) -> None:
    for cell in code_cells(file):
        for output in cell["outputs"]:
            assert output["output_type"] != "error" and output.get("name") != "stderr", cell["id"]
        assert not re.search(r"(?<![\w.])/(tmp|home|root|work|Users)/", outputs.printed(cell)), (
            cell["id"]
        )
    assert sum(map(outputs.pictures, code_cells(file)))


@each_notebook
def test_cell_ids_are_words_that_stay(file: Path) -> None:
    ids = [cell["id"] for cell in cells(file)]
    assert len(set(ids)) == len(ids)
    assert all(word.isalpha() and word.islower() for id in ids for word in id.split("-"))


@each_notebook
def test_first_section_imports_few_names(file: Path) -> None:
    heads = [place for place, cell in enumerate(cells(file)) if cell["source"].startswith("## ")]
    first = [cell for cell in cells(file)[: heads[1]] if cell["cell_type"] == "code"]
    imported = [
        node for node in ast.walk(tree(first)) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert (
        len(names := [alias.name for node in imported for alias in node.names]) <= MAX_FIRST_NAMES
    ), names


@each_notebook
def test_every_section_has_code_and_something_to_do_and_the_last_has_papers(file: Path) -> None:
    *before, last = sections(file)[1:]
    for section in before:
        found = "**Try it.**" in section or "**Exercise" in section
        assert "[code]" in section and found, section.splitlines()[0]
    assert last.startswith("Read")
    assert len(IDENTIFIER.findall(last)) >= MIN_SOURCES, (
        "papers with year and identifier: arXiv:2005.14165"
    )


@each_notebook
def test_by_hand_cells_use_nothing_of_groundup_and_the_next_cell_asserts_that_it_gives_the_same(
    file: Path,
) -> None:
    found = cells(file)
    own = {name for _, name in own_imports(tree(code_cells(file)))}
    made = made_by_groundup(code_cells(file))
    by_hand = [place for place, cell in enumerate(found) if BY_HAND in outputs.tags(cell)]
    assert len(by_hand) >= MIN_BY_HAND
    for place in by_hand:
        assert not own_imports(tree([found[place]])), found[place]["id"]
        assert not names_read(found[place]) & own, found[place]["id"]
        following = found[place + 1]
        assert following["cell_type"] == "code", following["id"]
        asserts = [
            node
            for node in ast.walk(ast.parse(following["source"]))
            if isinstance(node, ast.Assert)
        ]
        assert asserts and names_read(following) & made, following["id"]


@each_notebook
def test_notebook_makes_no_module_and_no_loop_of_its_own_but_by_hand(file: Path) -> None:
    for node in ast.walk(
        tree([cell for cell in code_cells(file) if BY_HAND not in outputs.tags(cell)])
    ):
        if isinstance(node, ast.ClassDef):
            assert not any(ast.unparse(base).endswith("Module") for base in node.bases), node.name
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("backward", "optim", "zero_grad"), ast.unparse(node)


@each_notebook
def test_notebook_imports_public_names_of_public_rooms(file: Path) -> None:
    for cell in code_cells(file):
        for node in ast.walk(ast.parse(cell["source"])):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(
                "groundup."
            ):
                continue
            room = (node.module or "").split(".")[1]
            assert room not in NOT_FOR_NOTEBOOKS, node.module
            for name in (alias.name for alias in node.names):
                assert not any(
                    part.startswith("_") for part in [*(node.module or "").split("."), name]
                )
                assert hasattr(importlib.import_module(node.module or ""), name), (
                    node.module,
                    name,
                )


@each_notebook
def test_each_exercise_is_asked_checked_and_has_a_solution(file: Path) -> None:
    number = int(file.name[:2])
    known = list(exercises_of(number))
    assert known == [f"{number}.{place}" for place in range(1, len(known) + 1)]
    assert len(known) >= MIN_EXERCISES
    asked = re.findall(
        r"\*\*Exercise (\d+\.\d+)\.\*\*",
        "\n".join(c["source"] for c in cells(file) if c["cell_type"] == "markdown"),
    )
    checked = [re.findall(r'check\("([\d.]+)"', cell["source"]) for cell in tagged(file, EXERCISE)]
    assert asked == known and checked == [[each] for each in known]
    for cell in tagged(file, EXERCISE):
        assert "..." in cell["source"], f"{cell['id']} has no place for an answer"
        assert "no answer yet" in outputs.printed(cell), cell["id"]
    assert "check(" not in "".join(
        c["source"] for c in code_cells(file) if EXERCISE not in outputs.tags(c)
    )


ALL_EXERCISES = [
    pytest.param(number, exercise, id=number)
    for file in FILES
    for number, exercise in exercises_of(int(file.name[:2])).items()
]


@pytest.mark.parametrize(("number", "exercise"), ALL_EXERCISES)
def test_hidden_solution_is_right_and_each_typical_mistake_gets_its_hint(
    number: str, exercise: Exercise
) -> None:
    assert verdict(exercise, exercise.solution) == RIGHT
    assert exercise.mistakes
    for mistake, hint in exercise.mistakes:
        assert verdict(exercise, mistake) == f"not yet. {hint}"
        assert len(hint) > 20, "a hint names the mistake"
    assert verdict(exercise, ...) == verdict(exercise, None)
    assert verdict(exercise, object()).startswith(f"not yet. {exercise.hint}")


def test_the_plan_of_the_course_agrees_with_the_notebooks() -> None:
    plan = (ROOT / "docs/concepts/course.md").read_text()
    rows = {
        int(row[0]): row
        for line in plan.splitlines()
        if (row := cells_of_row(line)) and row[0].isdigit()
    }
    for each in notebooks():
        row = rows[each.number]
        assert row[1] == f"[{each.title}](../../groundup/course/notebooks/{each.file.name})"
        assert row[2] == str(each.minutes)
    written = {each.number for each in notebooks()}
    assert not [number for number, row in rows.items() if "](" in row[1] and number not in written]


def cells_of_row(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@each_notebook
def test_notebook_names_files_that_exist(file: Path) -> None:
    texts = [cell["source"] for cell in cells(file) if cell["cell_type"] == "markdown"]
    named = re.findall(r"`([a-z]+/[a-z_/]+(?:\.[a-z]+)?)`", "\n".join(texts))
    places = (ROOT, ROOT / "groundup", FOLDER)
    assert not [name for name in named if not any((place / name).exists() for place in places)]


def write_notebook(file: Path, *sources: str, tags: tuple[str, ...] = ()) -> None:
    found = [
        new_markdown_cell("# Words", id="words"),
        *(
            new_code_cell(text, id=f"cell-{text[:1]}", metadata={"tags": list(tags)})
            for text in sources
        ),
    ]
    nbformat.write(new_notebook(cells=found), file)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.fixture
def run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """As `run`, in this process, whose imports are done: the exit code, and what was printed."""
    monkeypatch.syspath_prepend(RUN.parent)
    main = runpy.run_path(str(RUN), run_name="run")["main"]

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [str(RUN), *map(str, arguments)])
        return main(), *capsys.readouterr()

    return call


def test_runner_names_the_cell_and_the_error_and_writes_nothing(tmp_path: Path) -> None:
    small = "import os, pathlib\npathlib.Path('made-here').touch()\nassert os.environ['GROUNDUP_NOTEBOOK_SMALL'] == '1'"
    write_notebook(tmp_path / "a-good.ipynb", small)
    write_notebook(tmp_path / "b-bad.ipynb", "a = 1", "b = a / 0", "c = 2")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    done = run(*sorted(before))
    assert done.returncode == 1
    # They end in whichever order.
    good, bad = sorted(done.stdout.splitlines(), key=lambda line: line.split()[1])
    assert good.startswith("ok") and "a-good.ipynb" in good and good.endswith(" s")
    assert bad.startswith("FAILED") and "b-bad.ipynb" in bad
    assert (
        "cell 3 (cell-b): b = a / 0" in done.stderr
        and "ZeroDivisionError: division by zero" in done.stderr
    )
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_written_outputs_are_checked_and_a_drifted_number_is_named(
    tmp_path: Path, run_here: Callable[..., tuple[int, str, str]]
) -> None:
    file = tmp_path / "a.ipynb"
    write_notebook(file, "print('loss', 2.5)", "q = 7 * 6\nq")
    assert run_here("--write", file)[0] == 0
    written = nbformat.read(file, as_version=4)
    assert [outputs.printed(cell) for cell in outputs.code_cells(written)] == ["loss 2.5\n", "42"]
    assert written["metadata"]["groundup"]["outputs_of"] == outputs.source_hash(written)
    assert run_here("--check", "--full", file)[0] == 0
    file.write_text(file.read_text().replace("loss 2.5\\n", "loss 2.9\\n"))
    code, out, err = run_here("--check", file)
    assert code == 1 and out.startswith("FAILED")
    assert "cell cell-p: committed 'loss 2.9', now 'loss 2.5'" in err


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "same"),
    [
        ("loss 2.480 nats", "loss  2.481 nats", 1e-3, True),
        ("loss 2.48 nats", "loss 2.52 nats", 1e-3, False),
        ("1,024 tokens", "1,025 tokens", 0, False),
        ("1,024 tokens", "1,025 tokens", 0.01, True),
        ("p = 1.2e-05", "p = 1.3e-05", 1e-3, True),
        ("-0.01 and 3", "0.00 and 3", 1e-3, True),
        ("a 3 b", "a 3 c", 0.5, False),
        ("a 3", "a 3\nmore", 0.5, False),
        ("a 3 b", "a 500 b", math.inf, True),
        ("a 3 b", "a 500 c", math.inf, False),
    ],
)
def test_printed_numbers_are_the_same_within_the_stated_tolerance(
    old: str, new: str, tolerance: float, same: bool
) -> None:
    assert (outputs.first_difference(old, new, tolerance) == "") is same


def test_cells_that_depend_on_small_are_found_through_the_names_they_set() -> None:
    sources = [
        "steps = 4 if here.small else 40",
        "other = 1",
        "def train(): return steps",
        "print(train())",
        "print(other)",
    ]
    found = [new_code_cell(source, id=f"c{place}") for place, source in enumerate(sources)]
    assert outputs.affected_by_small(found) == {"c0", "c2", "c3"}
    varies = new_code_cell("", id="v", metadata={"tags": ["varies"]})
    near = new_code_cell("", id="n", metadata={"tags": ["tolerance=0.2"]})
    words = new_code_cell("", id="w", metadata={"tags": ["numbers-vary"]})
    assert [outputs.tolerance_of(cell) for cell in (varies, near, words, found[0])] == [
        None,
        0.2,
        math.inf,
        1e-3,
    ]


@pytest.mark.slow
def test_what_a_small_run_prints_otherwise_is_compared_with_what_an_earlier_one_printed(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.ipynb"
    steps = "import os\nclass here: small = os.environ['GROUNDUP_NOTEBOOK_SMALL'] == '1'\nsteps = 4 if here.small else 40"
    write_notebook(file, steps, "print(steps, 'steps')", "q = 'the same'\nprint(q)")
    assert run("--write", file).returncode == 0
    written = nbformat.read(file, as_version=4)
    kept = [cell["metadata"].get("small") for cell in outputs.code_cells(written)]
    assert kept[-2:] == [{"printed": "4 steps\n", "pictures": 0}, None]
    assert outputs.printed(outputs.code_cells(written)[-2]) == "40 steps\n"
    assert run("--check", file).returncode == 0
    file.write_text(file.read_text().replace('"4 steps', '"5 steps'))
    done = run("--check", file)
    assert done.returncode == 1 and "committed '5 steps', now '4 steps'" in done.stderr
