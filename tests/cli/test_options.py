"""Options that verbs share. Where to write: what can't be is refused before anything is looked at, read or opened."""

import os
from pathlib import Path
from typing import Any

import pytest

from groundup.cli.main import VERBS, load_verb, run

# Each verb that has the option, with a source that is not there: what is said of the place must come first.
FOLDERS = {
    "build": ["build", "nowhere", "--out"],
    "tokenizer train": ["tokenizer", "train", "nowhere", "--out"],
    "tokenizer import": ["tokenizer", "import", "nowhere", "--out"],
    "pretrain": ["pretrain", "nowhere", "--out"],
    "sweep": ["sweep", "nowhere", "--out"],
    "research": ["research", "nowhere", "--out"],
    "plan": ["plan", "nowhere", "--mixture", "search", "--out"],
    "pull": ["pull", "nowhere", "--out"],
    "finetune classifier": ["finetune", "classifier", "nowhere", "nowhere", "--out"],
    "finetune chat": ["finetune", "chat", "nowhere", "nowhere", "--out"],
    "finetune preference": ["finetune", "preference", "nowhere", "nowhere", "--out"],
    "finetune reward": ["finetune", "reward", "nowhere", "nowhere", "--out"],
    "finetune encoder": ["finetune", "encoder", "nowhere", "nowhere", "--out"],
    "lab": ["lab", "nowhere", "--text", "a", "--pictures"],
    "index": ["index", "nowhere", "--out"],
    "learn": ["learn", "99", "--out"],
    "app": ["app", "nowhere", "--out"],
    "fetch": ["fetch", "--for", "nothing", "--out"],
    "pack new": ["pack", "new", "no/name", "--out"],
}
FILES = {
    "data inspect": ["data", "inspect", "nowhere", "--out"],
    "tokenizer compare": ["tokenizer", "compare", "nowhere", "--text", "nowhere", "--out"],
    "tokenizer show": ["tokenizer", "show", "nowhere", "a", "--out"],
    "model show": ["model", "show", "nowhere", "--out"],
    "evaluate": ["evaluate", "nowhere", "--out"],
    "lab": ["lab", "nowhere", "--text", "a", "--out"],
    "report": ["report", "nowhere", "--out"],
    "ask": ["ask", "nowhere", "why?", "--out"],
    "data windows": ["data", "windows", "nowhere", "--out"],
    "data make-questions": ["data", "make-questions", "nowhere", "--out"],
    "pack improve": ["pack", "improve", "nowhere", "--out"],
}
EITHER = {"convert": ["convert", "nowhere", "--to", "hf", "--out"]}
ALL = [*FOLDERS.values(), *FILES.values(), *EITHER.values()]


def commands(name: str, command: Any) -> dict[str, Any]:
    """A verb, or the verbs below it, by what a user types."""
    below = getattr(command, "commands", None)
    return {f"{name} {each}": below[each] for each in below} if below else {name: command}


def test_every_verb_that_writes_to_a_place_is_tried_here() -> None:
    found = {name: each for verb in VERBS for name, each in commands(verb, load_verb(verb)).items()}
    writing = {
        name
        for name, each in found.items()
        if any("--out" in option.opts for option in each.params)
    }
    assert writing == {*FOLDERS, *FILES, *EITHER}


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """In a folder with a file and a folder: run a command that is refused, and give what is said."""
    monkeypatch.chdir(tmp_path)
    Path("afile").write_text("precious")
    Path("afolder").mkdir()

    def tell(*words: str) -> str:
        assert run(list(words)) == 2
        shown = capsys.readouterr()
        assert shown.out == "" and shown.err.count("error:") == 1
        assert Path("afile").read_text() == "precious" and len(list(tmp_path.rglob("*"))) == 2
        return " ".join(shown.err.split())

    return tell


@pytest.mark.parametrize("words", ALL, ids=" ".join)
@pytest.mark.parametrize("place", ["afile/x", "afile/x/y.gguf", "afolder/../afile/x"])
def test_a_file_where_a_folder_must_go_is_told_before_any_work(
    told: Any, words: list[str], place: str
) -> None:
    said = told(*words, place)
    file = place.partition("/x")[0]
    assert f"{words[-1]} {place} can't be written: {file} is a file, expected a folder." in said
    assert "Name a path" in said and "nowhere" not in said


@pytest.mark.parametrize("words", FOLDERS.values(), ids=" ".join)
def test_a_file_in_the_place_of_the_folder_itself_is_told_before_any_work(
    told: Any, words: list[str]
) -> None:
    assert "afile is a file, expected a folder." in told(*words, "afile")


@pytest.mark.parametrize("words", FILES.values(), ids=" ".join)
def test_a_folder_in_the_place_of_a_file_is_told_before_any_work(
    told: Any, words: list[str]
) -> None:
    assert f"{words[-1]} afolder is a folder, expected a file." in told(*words, "afolder")


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_name_that_is_too_long_is_told_before_any_work(told: Any, words: list[str]) -> None:
    for place in ("x" * 300, f"afolder/{'x' * 300}"):
        said = told(*words, place)
        assert "can't be written" in said and "shorter path" in said


@pytest.mark.parametrize("words", FOLDERS.values(), ids=" ".join)
def test_new_and_existing_folders_links_among_them_are_no_matter(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    """The place is good, so the next thing that is wrong is told."""
    monkeypatch.chdir(tmp_path)
    Path("afolder").mkdir()
    os.symlink("afolder", "alink")
    for place in ("afolder", "alink", "alink/new/newer", "new", str(tmp_path / "new")):
        assert run([*words, place]) == 2
        assert "expected a folder." not in capsys.readouterr().err


def test_a_hash_that_would_not_be_compared_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    words = [
        "finetune",
        "classifier",
        "nowhere",
        str(tmp_path / "a.csv"),
        "--out",
        str(tmp_path / "run"),
    ]
    assert run([*words, "--sha256", "0" * 64]) == 2
    assert "would not be compared" in capsys.readouterr().err.replace("\n", " ")
