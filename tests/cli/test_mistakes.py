"""Mistakes of a new user, and their answers: mistakes.txt holds what is typed, the exit code and all that is said on stderr.

After a change of a sentence: python tests/cli/test_mistakes.py --write, and read what has changed.
"""

import contextlib
import io
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.files import write_json
from groundup.migrations import BUILD
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.runs import RunFolder
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.card import ModelCard
from groundup.weights.model_io import save_model

GOLDEN = Path(__file__).with_name("mistakes.txt")
HOME, COMMAND = "HOME", "$ groundup "
TEXT = "The mill by the river grinds flour for the bread of the town. "
SHAPE = {
    "width": 32,
    "num_layers": 1,
    "num_heads": 2,
    "num_kv_heads": 1,
    "feedforward_width": 64,
    "context_tokens": 32,
}


def make_home(home: Path) -> None:
    """Write what the commands name: texts, labelled and other rows, a base model and a classifier as runs, an index, a pack, and a build's record."""
    (home / "texts").mkdir()
    for number in range(3):
        (home / "texts" / f"{number}.txt").write_text(TEXT * (number + 3))
    labelled = [{"text": f"{TEXT}{i}", "label": "spam" if i % 3 else "ham"} for i in range(60)]
    (home / "messages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    (home / "asked.jsonl").write_text(
        json.dumps({"instruction": "Say mill.", "input": "", "output": "mill"}) + "\n"
    )
    (home / "empty.txt").touch()
    (home / "broken.docx").write_text(TEXT)
    (home / "empty").mkdir()
    (home / "broken.toml").write_text("[data\n")
    make_models(home)
    write_json(
        home / "runs" / "quickstart" / "build.json",
        BUILD.stamp({"recipe": "quickstart", "stages": {}, "kinds": {}}),
    )
    for words in (["index", "texts", "--out", "docs.index"], ["pack", "new", "my-firm"]):
        assert run(words) == 0


def make_models(home: Path) -> None:
    """Write a base model and a classifier of untrained weights."""
    tokenizer = train_tokenizer([TEXT], vocab_size=300)
    config = ModelConfig(vocab_size=tokenizer.vocab_size, **SHAPE)  # type: ignore[arg-type]
    card = ModelCard("mine", "Trained from random weights.", ())
    for name, kind in (("mine", "pretrain"), ("spam", "classifier")):
        folder = RunFolder(home / "runs" / name)
        folder.create(kind, {}, {})
        labels = ("ham", "spam") if kind == "classifier" else ()
        model = Classifier(config, num_labels=2) if labels else LanguageModel(config)
        save_model(model, folder.path, tokenizer, labels=labels, card=card)


def commands() -> list[str]:
    return [
        line.removeprefix(COMMAND)
        for line in GOLDEN.read_text().splitlines()
        if line.startswith(COMMAND)
    ]


def answered(command: str, home: Path) -> str:
    """Return a command and its answer as they stand in the file."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(shlex.split(command))
    said = err.getvalue().replace(str(home), HOME)
    return f"{COMMAND}{command}\n[{code}]\n{said}"


@contextlib.contextmanager
def in_home(home: Path):  # type: ignore[no-untyped-def]
    """Work in a folder with what the commands name."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.chdir(home),
    ):
        make_home(home)
    with contextlib.chdir(home):
        yield


def files_in(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def test_mistakes_are_answered_as_they_were_read_and_approved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    home = tmp_path / "home"
    home.mkdir()
    with in_home(home):
        before = files_in(home)
        answers = [answered(command, home) for command in commands()]
        after = files_in(home)
    assert "\n".join(answers) == GOLDEN.read_text()
    assert len(answers) >= 50 and after == before


def test_every_answer_is_one_error_with_what_to_do() -> None:
    for answer in GOLDEN.read_text().split(COMMAND)[1:]:
        command, code, *said = answer.rstrip("\n").split("\n")
        assert code == "[2]", command
        errors = [line for line in said if line.startswith("error: ")]
        assert len(errors) == 1 and said.index(errors[0]) >= len(said) - 2, command
        assert "Traceback" not in answer and "Errno" not in answer, command
        expected = ("must be", "expected", "is not one of")
        assert said[-1].startswith("       ") or any(words in errors[0] for words in expected), (
            command
        )


def write() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name).resolve() / "home"
        home.mkdir()
        os.environ["GROUNDUP_CACHE"] = str(home.parent / "cache")
        with in_home(home):
            content = "\n".join(answered(command, home) for command in commands())
        GOLDEN.write_text(content)


if __name__ == "__main__" and "--write" in sys.argv:
    write()
