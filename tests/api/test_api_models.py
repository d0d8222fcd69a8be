"""A model's files from Python: converted there and back, and found where it was pulled to."""

import json
import sys
from pathlib import Path

import pytest
import torch

import groundup
from groundup.cli.main import run
from groundup.errors import ConfigError, ModelError


def test_a_model_goes_to_gguf_and_back_without_loss(tiny_model: Path, tmp_path: Path) -> None:
    file = groundup.convert(tiny_model, tmp_path / "x.gguf", quantization="f32", check=False)
    back = groundup.convert(str(file.path), str(tmp_path / "back"), "hf", quantization="f32")
    assert (file.to, file.quantization, back.to) == ("gguf", "f32", "hf")
    assert file.size_bytes == file.path.stat().st_size
    assert file.parity is None and file.unchecked == "check=False" and back.unchecked == ""
    made, given = (groundup.open_model(path, "cpu").exact for path in (back.path, tiny_model))
    for ours, theirs in zip(
        made.opened.model.parameters(), given.opened.model.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_the_verb_says_what_python_returns(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = groundup.convert(tiny_model, tmp_path / "x.gguf", check=False)
    words = ["convert", str(tiny_model), "--out", str(tmp_path / "y.gguf"), "--no-check", "--json"]
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["to"], told["bytes"]) == (done.to, done.size_bytes)
    assert told["checked"] == "Not checked in llama.cpp (--no-check)."
    assert done.path.read_bytes() == (tmp_path / "y.gguf").read_bytes()


def test_a_file_that_was_not_compared_for_want_of_llamacpp_says_so(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)  # Python's own way to say: not there
    done = groundup.convert(tiny_model, tmp_path / "x.gguf")
    assert done.parity is None and "groundup[demo]" in done.unchecked


def test_what_can_not_be_written_is_refused_in_words_of_python(
    tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="from the format ollama only") as caught:
        groundup.convert(tiny_model, tmp_path / "x", "hf", create="mine")
    assert "--" not in caught.value.message + caught.value.fix
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.txt").write_text("mine")
    with pytest.raises(ModelError):
        groundup.convert(tiny_model, tmp_path / "other", "hf")
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["note.txt"]


def test_a_model_in_the_cache_is_found_by_name_and_not_fetched(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    named = tmp_path / "cache" / "models" / "smollm2-135m-instruct"
    groundup.convert(tiny_model, named, "hf")
    assert groundup.pull("smollm2-135m-instruct") == named
    opened = groundup.open_model("smollm2-135m-instruct", "cpu")
    assert opened.engine.opened.path == named
