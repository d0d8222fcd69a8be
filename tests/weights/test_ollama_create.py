"""`convert --to ollama --create NAME` runs Ollama's own program on the folder that was written.

Ollama itself is not installed where these tests run: a program of that name stands in its place, a real one in a real process, that
writes down how it was called.
"""

import json
import sys
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.hf import write_hf

STAND_IN = """#!{python}
import json, os, pathlib, sys
called = {{"arguments": sys.argv[1:], "folder": sorted(os.listdir("."))}}
pathlib.Path({record!r}).write_text(json.dumps(called))
if "refused" in sys.argv:
    sys.exit("pulling...\\nError: could not connect to ollama server")
"""


@pytest.fixture
def model(tiny_model: LanguageModel, tiny_tokenizer: Tokenizer, tmp_path: Path) -> Path:
    write_hf(tiny_model, tmp_path / "model", tiny_tokenizer)
    return tmp_path / "model"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, with an `ollama` that records its arguments in `called.json` there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ollama"
    program.write_text(STAND_IN.format(python=sys.executable, record=str(folder / "called.json")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def convert(model: Path, *arguments: str) -> int:
    """Its exit code."""
    return run(
        ["convert", str(model), "--out", str(model.parent / "exported"), "--no-check", *arguments]
    )


def test_create_hands_the_folder_to_ollama(
    model: Path, stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(model, "--to", "ollama", "--create", "me/my-chat:v1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["created"] == "me/my-chat:v1"
    called = json.loads((stand_in / "called.json").read_text())
    assert called["arguments"] == ["create", "me/my-chat:v1", "-f", "Modelfile"]
    assert {"Modelfile", "model-f16.gguf"} <= set(called["folder"])


@pytest.mark.usefixtures("stand_in")
def test_what_ollama_refuses_is_said_in_its_words_and_the_files_stay(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(model, "--to", "ollama", "--create", "refused") == 2
    said = capsys.readouterr().err
    assert "could not connect to ollama server" in said and "ollama serve" in said
    assert (model.parent / "exported" / "Modelfile").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "ollama", "--create", "my-chat"], "no `ollama` on this machine's PATH"),
        (["--to", "ollama", "--create=-f"], "'-f' is not a valid name for an Ollama model"),
        (["--to", "ollama", "--create", "a b"], "'a b' is not a valid name"),
        (["--to", "hf", "--create", "my-chat"], "got hf"),
    ],
)
def test_what_can_t_be_created_is_refused_before_any_work(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert convert(model, *arguments) == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (model.parent / "exported").exists()
