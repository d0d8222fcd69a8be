"""`groundup model show`."""

import json
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.cli.model import flops_text
from groundup.model.presets import PRESETS


def told(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert run(["model", "show", *map(str, words)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert run(["model", "show", *map(str, words)]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("error:") == 1 and "Traceback" not in shown.err
    return shown.err


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, name, "--context", 64)
    assert text.startswith(f"{name}: ")
    for words in (
        "Embedding",
        "attention",
        "logits",
        "FLOPs/token",
        "cache",
        "training",
        "exportable  GGUF yes",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) < 130


def test_json_is_the_same_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(told(capsys, "gpt2", "--context", 1024, "--batch", 4, "--tensors", "--json"))
    assert value["total"]["parameters"] == 124_439_808
    assert value["batch_size"] == 4
    assert value["exportable"]["hugging_face"] == {"possible": True, "reason": None}
    assert value["tensors"][0] == {
        "name": "transformer.embedding.weight",
        "shape": [50257, 768],
        "hugging_face": "transformer.wte.weight",
    }


def test_tensors_are_listed_with_their_names_in_files(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "quickstart", "--tensors")
    line = next(line for line in text.splitlines() if "blocks.3.attention.query.weight" in line)
    assert line.split()[1:] == ["128", "x", "128", "model.layers.3.self_attn.q_proj.weight"]


@pytest.mark.parametrize(
    ("ending", "begins"), [(".svg", b"<?xml"), (".html", b"<!DOCTYPE html>"), (".png", b"\x89PNG")]
)
def test_the_drawing_can_be_a_file(
    ending: str, begins: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"model{ending}"
    assert str(out) in told(capsys, "quickstart", "--out", out)
    assert out.read_bytes().startswith(begins)


def test_what_can_t_be_shown_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Did you mean 'quickstart'" in refused(capsys, "quikstart")
    (tmp_path / "notes.txt").write_text("no model")
    assert "can't be opened as a model" in refused(capsys, tmp_path)
    (tmp_path / "mine.toml").write_text("widht = 3")
    assert "Did you mean 'width'" in refused(capsys, tmp_path / "mine.toml")
    (tmp_path / "cut.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    assert "cut.gguf" in refused(capsys, tmp_path / "cut.gguf")
    assert "is not one of .svg, .png, .html" in refused(
        capsys, "quickstart", "--out", tmp_path / "x.gif"
    )
    assert "128 tokens, 129 were asked for" in refused(capsys, "quickstart", "--context", 129)


def test_operations_are_read_at_a_glance() -> None:
    assert [flops_text(n) for n in (0, 132_096, 1.18e6, 2.5e9, 9.996e11)] == [
        "0",
        "132,096",
        "1.18 M",
        "2.5 G",
        "1 T",
    ]
    assert [flops_text(n, "FLOP") for n in (344_192, 1.18e6)] == ["344,192 FLOP", "1.18 MFLOP"]
