"""`verify` names the file at fault; `convert` writes what it says; exit codes are 0 and 2."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_weights import CPU, make_config, make_model, randomise

from groundup.cli.main import run
from groundup.errors import FormatError, ModelError
from groundup.files import write_hashed_json, write_manifest
from groundup.migrations import BUILD
from groundup.model.heads import Classifier, LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.card import ModelCard
from groundup.weights.formats import export
from groundup.weights.gguf import write_gguf
from groundup.weights.model_io import open_model, save_model
from groundup.weights.verify import verify_path


@pytest.fixture
def build(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    """Two stages with manifests, a checkpoint with its own, and the record of the build."""
    model = make_model(make_config("llama", tokenizer.vocab_size))
    for stage in ("pretrain", "chat"):
        save_model(
            model, tmp_path / "build" / stage, tokenizer, card=ModelCard("My model", license="mit")
        )
        write_manifest(tmp_path / "build" / stage, skip=("checkpoints",))
    save_model(model, tmp_path / "build" / "pretrain" / "checkpoints" / "step-10")
    write_manifest(tmp_path / "build" / "pretrain" / "checkpoints" / "step-10")
    write_hashed_json(
        tmp_path / "build" / "build.json",
        BUILD.stamp({"kinds": {"pretrain": "pretrain", "chat": "chat"}}),
    )
    return tmp_path / "build"


def test_everything_below_is_checked(build: Path) -> None:
    found = verify_path(build)
    assert (found.manifests, found.files, found.tables, found.unlisted) == (3, 16, 0, 0)


@pytest.mark.parametrize(
    "name",
    [
        "chat/model.safetensors",
        "pretrain/tokenizer.json",
        "pretrain/checkpoints/step-10/config.json",
    ],
)
def test_the_file_at_fault_is_named(
    build: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = build / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-2] + b"\x00" + whole[-1:])
    with pytest.raises(FormatError, match=f"{name}.*altered or damaged"):
        verify_path(build)
    assert run(["verify", str(build)]) == 2
    assert name in capsys.readouterr().err.replace("\n", "")


def test_weights_without_manifest_have_their_tables_checked(build: Path) -> None:
    (build / "chat" / "manifest.json").unlink()
    assert verify_path(build / "chat").tables == 1
    file = build / "chat" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    for path in (build / "chat", file):
        with pytest.raises(FormatError, match="truncated or padded"):
            verify_path(path)


def test_nothing_to_check_is_said(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("x")
    for path in (tmp_path, tmp_path / "none", tmp_path / "note.txt"):
        with pytest.raises(FormatError):
            verify_path(path)


def test_verify_speaks_json(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(build), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 16


def converted(build: Path, out: Path, *options: str) -> int:
    return run(["convert", str(build), "--to", "gguf", "--out", str(out), *options])


def test_convert_holds_its_file_against_real_llamacpp(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    out = tmp_path / "x.gguf"
    assert converted(build, out, "--json") == 0
    told = json.loads(capsys.readouterr().out)["checked"]
    assert told["passed"] and {check["name"] for check in told["checks"]} >= {
        "tokens",
        "stops",
        "template",
        "greedy",
    }
    out.unlink()

    def forgetful(model: LanguageModel, *rest: Any, **named: Any) -> None:
        lost = copy.deepcopy(model)
        lost.transformer.embedding.weight.data.mul_(-1)
        write_gguf(lost, *rest, **named)

    monkeypatch.setattr("groundup.weights.gguf.write_gguf", forgetful)
    assert converted(build, out) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "x.gguf differs from our model in llama.cpp" in said and "--no-check" in said
    assert [file.name for file in tmp_path.iterdir()] == ["build"]  # nothing was written
    out.write_bytes(b"an earlier file")
    assert converted(build, out) == 2
    assert out.read_bytes() == b"an earlier file"
    assert run(["convert", str(build), "--to", "ollama", "--out", str(tmp_path / "ollama")]) == 2
    assert not (tmp_path / "ollama").exists()


def test_convert_says_why_its_file_was_not_checked(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert converted(build, tmp_path / "x.gguf", "--no-check") == 0
    assert "Not checked in llama.cpp (--no-check)." in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "xllamacpp", None)  # Python's own way to say: not there
    assert converted(build, tmp_path / "y.gguf") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Not checked in llama.cpp." in said and "pip install 'groundup[demo]'" in said
    assert (tmp_path / "x.gguf").read_bytes() == (tmp_path / "y.gguf").read_bytes()


def test_convert_goes_around_without_loss(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gguf, folder = tmp_path / "x.gguf", tmp_path / "back"
    assert (
        run(
            [
                "convert",
                str(build),
                "--to",
                "gguf",
                "--out",
                str(gguf),
                "--quantization",
                "f32",
                "--no-check",
            ]
        )
        == 0
    )
    assert run(["convert", str(gguf), "--to", "hf", "--out", str(folder), "--json"]) == 0
    assert str(folder) in capsys.readouterr().out
    before, after = open_model(build, CPU), open_model(folder, CPU)
    assert (after.config, after.license) == (before.config, "mit")
    for name, tensor in before.model.state_dict().items():
        assert torch.equal(tensor, after.model.state_dict()[name]), name
    assert verify_path(folder).manifests == 1


def test_convert_writes_what_ollama_wants(build: Path, tmp_path: Path) -> None:
    out = tmp_path / "ollama"
    command = [
        "convert",
        str(build),
        "--to",
        "ollama",
        "--out",
        str(out),
        "--quantization",
        "q8_0",
        "--system",
        "Be kind.",
    ]
    command.append("--no-check")
    assert run(command) == 0
    assert {file.name for file in out.iterdir()} == {
        "My-model-q8_0.gguf",
        "Modelfile",
        "README.md",
        "manifest.json",
    }
    text = (out / "Modelfile").read_text()
    assert text.startswith("FROM ./My-model-q8_0.gguf\n")
    assert 'SYSTEM """Be kind."""' in text
    assert open_model(out, CPU).path.name == "My-model-q8_0.gguf"
    assert run(command) == 0  # an earlier export is replaced


def test_half_precision_folders_are_written(build: Path, tmp_path: Path) -> None:
    opened = open_model(build, CPU)
    export(opened, "hf", tmp_path / "x", quantization="bf16")
    assert json.loads((tmp_path / "x" / "config.json").read_text())["dtype"] == "bfloat16"
    assert next(opened.model.parameters()).dtype == torch.float32  # the open model stays as it was


def test_a_classifier_goes_to_hf_only(tokenizer: Tokenizer, tmp_path: Path) -> None:
    classifier = randomise(Classifier(make_config("llama", tokenizer.vocab_size), 2))
    save_model(classifier, tmp_path / "spam", tokenizer, labels=("ham", "spam"))
    opened = open_model(tmp_path / "spam", CPU)
    assert open_model(export(opened, "hf", tmp_path / "copy"), CPU).labels == ("ham", "spam")
    with pytest.raises(ModelError, match="classifier"):
        export(opened, "gguf", tmp_path / "x.gguf")


def test_targets_that_can_not_be_are_refused_before_the_model_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    refused = {
        "onnx": ["--to", "onnx", "--out", "x"],
        "q8_0": ["--to", "hf", "--out", "x", "--quantization", "q8_0"],
        "must be a file": ["--to", "gguf", "--out", "x.bin"],
        "not an earlier export": ["--to", "hf", "--out", str(tmp_path / "mine")],
    }
    for reason, options in refused.items():
        assert run(["convert", str(tmp_path / "no-model"), *options]) == 2
        assert reason in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_pull_lists_what_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", "--json"]) == 0
    assert "smollm2-135m-instruct" in {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert run(["pull"]) == 0
    assert "apache-2.0" in capsys.readouterr().out
    assert run(["pull", "no-such-model"]) == 2


def test_a_damaged_manifest_is_what_is_said_not_its_files(build: Path) -> None:
    manifest = build / "chat" / "manifest.json"
    whole = manifest.read_text()
    digest = json.loads(whole)["files"]["model.safetensors"]["sha256"]
    other = ("0" if digest[0] != "0" else "1") + digest[1:]
    for spoiled in (
        whole.replace(digest, other),
        whole[:-5],
        whole.replace('"bytes"', '"bites"'),
        whole.replace("model.safe", "nodel.safe"),
        whole.replace('\n  "sha256"', '\n  "other"'),
    ):
        manifest.write_text(spoiled)
        with pytest.raises(FormatError, match=r"chat/manifest\.json.*damaged manifest"):
            verify_path(build)


def test_a_manifest_that_was_there_and_is_gone_is_a_fault(build: Path) -> None:
    stages = {"chat": {"status": "done"}, "report": {"status": "done"}}
    write_hashed_json(build / "build.json", BUILD.stamp({"stages": stages}))
    for name in ("data.json", "run.json", "results.json"):
        (build / "pretrain" / name).write_text("{}")
    write_manifest(build / "pretrain", skip=("checkpoints",))
    verify_path(build)
    for folder in ("chat", "pretrain", "pretrain/checkpoints/step-10"):
        manifest = build / folder / "manifest.json"
        whole = manifest.read_text()
        manifest.unlink()
        with pytest.raises(
            FormatError, match=f"{folder}/manifest.json: file: is missing, which every"
        ):
            verify_path(build)
        manifest.write_text(whole)
    (build / "pretrain" / "run.json").unlink()
    (build / "pretrain" / "manifest.json").unlink()
    with pytest.raises(FormatError, match="every data folder has"):
        verify_path(build / "pretrain")


def test_a_missing_tensor_is_named_with_its_file(build: Path) -> None:
    file = build / "chat" / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.norm.weight"]
    save_file(tensors, file)
    (build / "chat" / "manifest.json").unlink()
    with pytest.raises(
        FormatError, match=r"chat/model\.safetensors: tensor 'model.norm.weight': is missing"
    ):
        open_model(build / "chat", CPU)
