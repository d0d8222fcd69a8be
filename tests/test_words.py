"""Words that teach are run: the README's paths exist, it stays short, examples hold. Links and commands: `test_docs.py`."""

import doctest
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from groundup.cli.main import VERBS, load_verb, run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CONCEPTS = sorted((ROOT / "docs" / "concepts").glob("*.md"))
PAGES = [
    "README.md",
    "CHANGELOG.md",
    *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md"))),
]


def options_of(words: list[str]) -> set[str]:
    """All options of the verb (and sub-verb) that a command names."""
    command = load_verb(words[0])
    sub = getattr(command, "commands", {})
    if len(words) > 1 and words[1] in sub:
        command = sub[words[1]]
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


def test_paths_in_the_commands_of_the_readme_exist_or_were_made_by_a_command_before() -> None:
    """As typed in the clone after `make demo`: what is read comes along, or is in `runs/` by an earlier line."""
    made = ["runs/quickstart"]
    for line in re.findall(r"^groundup .+$", README, re.MULTILINE):
        words = shlex.split(line, comments=True)[1:]
        out = words[words.index("--out") + 1] if "--out" in words else ""
        for word in words:
            if re.fullmatch(r"[\w.-]+(/[\w.-]+)+", word) and word != out:
                assert (ROOT / word).exists() or word.startswith(tuple(made)), line
        if out or words[0] == "build":
            made.append(out or f"runs/{Path(words[1]).name}")


def test_groundup_is_made_a_command_before_it_is_typed(tmp_path: Path) -> None:
    """What `make demo` says last, and README's first command, is the line without which the others are not found."""
    said = subprocess.run(
        ["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    echoed = [
        shlex.split(line)[1].strip() for line in said.splitlines() if line.startswith('echo "    ')
    ]
    assert echoed[0] == "source .venv/bin/activate"
    for line in echoed[1:]:
        words = shlex.split(line)[1:]
        assert words[0] in VERBS
        assert {word for word in words if word.startswith("--")} <= options_of(words)
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    typed = [
        line
        for block in blocks
        for line in block.splitlines()
        if not line.startswith(("git ", "make "))
    ]
    assert typed[0] == "source .venv/bin/activate"


def test_readme_stays_short() -> None:
    """What is more stands on the pages that it links."""
    assert len(README.splitlines()) <= 90
    assert len(README) <= 6_000


def test_first_commands_on_own_texts_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-texts").mkdir()
    (tmp_path / "my-texts" / "a.txt").write_text("A text of one's own.\n" * 50)
    assert run(["data", "inspect", "my-texts/"]) == 0
    assert run(["build", "my-texts/", "--budget", "30m", "--dry-run"]) == 0
    assert run(["build", "quickstart", "--dry-run"]) == 0
    assert "pretrain" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES)
def test_rows_of_a_table_have_its_columns(page: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", (ROOT / page).read_text(), re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", row)[1:-1] for row in table.splitlines()]
        assert [len(row) for row in rows] == [len(rows[0])] * len(rows), table


@pytest.mark.parametrize("page", ["docs/tour.md", "docs/glossary.md"])
def test_no_row_of_tour_and_glossary_stands_twice(page: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", (ROOT / page).read_text(), re.MULTILINE):
        firsts = [row.split("|")[1].strip() for row in table.splitlines()[2:]]
        assert not {first for first in firsts if firsts.count(first) > 1}


def test_the_path_picture_draws_classifier_and_chatbot_as_made_from_the_pulled_model() -> None:
    drawing = (ROOT / "docs/images/path.svg").read_text()
    box = r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)" rx[^>]*>\n<text[^>]*>([^<]+)'
    boxes = {name: tuple(map(int, place)) for *place, name in re.findall(box, drawing)}
    arrows = set()
    for x, y, way in re.findall(r"M(\d+) ([\d.]+)((?: [hv]-?\d+)+)", drawing):
        moved = {axis: sum(map(int, re.findall(rf"{axis}(-?\d+)", way))) for axis in "hv"}
        ends = ((int(x) - 5, float(y)), (int(x) + moved["h"] + 5, float(y) + moved["v"]))
        arrows.add(
            tuple(next((name for name, b in boxes.items() if touches(b, end)), "") for end in ends)
        )
    assert {start for start, end in arrows if end == "chatbot"} == {"pull"}
    assert {start for start, end in arrows if end == "spam classifier"} == {"pull"}


def touches(box: tuple[int, ...], point: tuple[float, float]) -> bool:
    x, y, width, height = box
    return x <= point[0] <= x + width and y <= point[1] <= y + height


def test_tour_names_files_that_exist() -> None:
    for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", (ROOT / "docs/tour.md").read_text()):
        assert (ROOT / name).exists() or (ROOT / "groundup" / name).exists(), name


@pytest.mark.parametrize("page", CONCEPTS, ids=lambda page: page.stem)
def test_examples_of_the_concepts_run(page: Path) -> None:
    assert doctest.testfile(str(page), module_relative=False).failed == 0


def test_every_view_of_the_lab_is_on_the_page_about_it() -> None:
    from groundup.lab.views import VIEWS

    listed = (ROOT / "docs/concepts/inside.md").read_text()
    assert not [view for view in VIEWS if view not in listed and view != "last_token"]


def test_every_verb_and_option_of_the_concepts_exists() -> None:
    for page in CONCEPTS:
        text = page.read_text().replace("\\\n", "")
        for line in re.findall(r"(?:^    |`)(groundup [^`\n]+)", text, re.MULTILINE):
            words = shlex.split(line)[1:]
            assert words[0] in VERBS, line
            assert {word for word in words if word.startswith("--")} <= options_of(words), line


def test_every_mark_that_is_left_out_by_default_has_a_command_that_runs_it() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    run_by = (ROOT / "Makefile").read_text() + (ROOT / ".ci/run").read_text()
    commands = re.findall(r"""-m (\w+|"[^"]+")""", run_by)
    for mark in (line.partition(":")[0] for line in options["markers"]):
        assert f"not {mark}" in options["addopts"]
        assert any(mark in re.findall(r"(?<!not )\b\w+", command) for command in commands), mark
