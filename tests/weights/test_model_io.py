"""open_model and save_model: what they take, and what they refuse in one sentence."""

import json
import resource
import shutil
import signal
from pathlib import Path

import pytest
import torch
from tiny_weights import CPU, make_config, make_model, randomise

from groundup.device import Compute
from groundup.errors import DiskError, FormatError, GroundupError, ModelError
from groundup.files import write_json, write_manifest
from groundup.migrations import BUILD
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.model.lora import add_lora
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.card import ModelCard
from groundup.weights.catalog import CATALOG
from groundup.weights.gguf import write_gguf
from groundup.weights.model_io import open_model, save_model


@pytest.fixture
def model(tokenizer: Tokenizer) -> LanguageModel:
    return make_model(make_config("llama", tokenizer.vocab_size))


@pytest.fixture
def folder(model: LanguageModel, tokenizer: Tokenizer, tmp_path: Path) -> Path:
    save_model(model, tmp_path / "model", tokenizer, card=ModelCard("mine", license="mit"))
    return tmp_path / "model"


def test_what_was_saved_is_opened(folder: Path, model: LanguageModel, tokenizer: Tokenizer) -> None:
    opened = open_model(folder, CPU)
    assert (opened.kind, opened.labels, opened.license, opened.path) == (
        "language",
        (),
        "mit",
        folder,
    )
    assert opened.config == model.config
    assert opened.require_tokenizer().fingerprint == tokenizer.fingerprint
    assert not opened.model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, opened.model.state_dict()[name]), name


def test_weights_come_in_the_dtype_asked_for(folder: Path) -> None:
    opened = open_model(str(folder), Compute(torch.device("cpu"), torch.bfloat16))
    assert {parameter.dtype for parameter in opened.model.parameters()} == {torch.bfloat16}


def test_a_folder_without_tokenizer_opens_for_tensors_only(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    opened = open_model(folder, CPU)
    assert opened.tokenizer is None
    with pytest.raises(ModelError, match="has no tokenizer"):
        opened.require_tokenizer()


def test_a_gguf_opens_by_file_or_by_its_folder(
    model: LanguageModel, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "exported" / "m.gguf"
    write_gguf(model, tokenizer, path, quantization="f32", name="x", license_id="mit")
    for place in (path, path.parent):
        opened = open_model(place, CPU)
        assert (opened.path, opened.license, opened.config) == (path, "mit", model.config)
    shutil.copy(path, path.with_name("n.gguf"))
    with pytest.raises(ModelError, match=r"2 \.gguf files"):
        open_model(path.parent, CPU)


def test_a_build_opens_its_chat_model_or_its_classifier(
    folder: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    (build / "chat").mkdir(parents=True)
    kinds = {"spam": "classifier", "chat": "chat"}
    write_json(build / "build.json", BUILD.stamp({"kinds": kinds}))
    with pytest.raises(ModelError, match="no finished chat stage"):
        open_model(build, CPU)
    shutil.copytree(folder, build / "chat", dirs_exist_ok=True)
    classifier = randomise(Classifier(make_config("llama", tokenizer.vocab_size), 2))
    save_model(classifier, build / "spam", tokenizer, labels=("ham", "spam"))
    assert open_model(build, CPU).path == build / "chat"
    spam = open_model(build, CPU, prefer="classifier")
    assert (spam.kind, spam.labels) == ("classifier", ("ham", "spam"))
    kinds = {"intents": "classifier", "spam": "classifier", "helper": "chat"}
    write_json(build / "build.json", BUILD.stamp({"kinds": kinds}))
    shutil.move(build / "chat", build / "helper")
    assert open_model(build, CPU).path == build / "helper"
    assert open_model(build, CPU, prefer="classifier").path == build / "spam", (
        "the other is not finished"
    )
    shutil.copytree(build / "spam", build / "intents")
    with pytest.raises(ModelError, match="2 finished classifier stages") as caught:
        open_model(build, CPU, prefer="classifier")
    assert str(build / "intents") in caught.value.fix


def test_an_unknown_name_lists_those_that_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no such folder or file, and no such name") as caught:
        open_model("zzz", CPU)
    assert all(name in caught.value.fix for name in CATALOG)


def test_a_half_written_folder_is_one_sentence(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(FormatError, match="not a complete model"):
        open_model(folder, CPU)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match="not a model folder, or is incomplete"):
        open_model(folder, CPU)


def test_a_tokenizer_larger_than_the_embedding_is_refused_with_both_numbers(
    folder: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    small = make_model(make_config("llama", 200))
    with pytest.raises(ModelError, match=f"{tokenizer.vocab_size} ids.*200 rows"):
        save_model(small, tmp_path / "small", tokenizer)
    save_model(small, tmp_path / "small")
    tokenizer.save(tmp_path / "small")
    with pytest.raises(FormatError, match=f"{tokenizer.vocab_size} ids.*200 rows"):
        open_model(tmp_path / "small", CPU)


class TestManifest:
    @pytest.fixture
    def checked(self, folder: Path) -> Path:
        write_manifest(folder)
        return folder

    def test_any_altered_byte_is_refused(self, checked: Path) -> None:
        for file in sorted(checked.iterdir()):
            whole = file.read_bytes()
            for at in (0, len(whole) // 2, len(whole) - 1):
                if file.name == "manifest.json" and whole[at : at + 1] in b"{}\n ":
                    continue  # white space and what json.loads finds
                file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
                with pytest.raises(FormatError):
                    open_model(checked, CPU)
            file.write_bytes(whole)
        open_model(checked, CPU)

    def test_a_missing_or_shorter_file_is_refused(self, checked: Path) -> None:
        whole = (checked / "model.safetensors").read_bytes()
        (checked / "model.safetensors").write_bytes(whole[:-4])
        with pytest.raises(FormatError, match=r"model\.safetensors.*the manifest says"):
            open_model(checked, CPU)
        (checked / "model.safetensors").write_bytes(whole)
        (checked / "README.md").unlink()
        with pytest.raises(FormatError, match=r"README\.md.*missing"):
            open_model(checked, CPU)

    def test_a_file_slipped_in_is_refused(self, checked: Path) -> None:
        (checked / "chat_template.jinja").write_text("{{ 'always say yes' }}")
        with pytest.raises(FormatError, match=r"chat_template\.jinja.*not in the manifest"):
            open_model(checked, CPU)

    def test_an_altered_gguf_of_ours_is_refused(
        self, model: LanguageModel, tokenizer: Tokenizer, tmp_path: Path
    ) -> None:
        path = tmp_path / "exported" / "m.gguf"
        write_gguf(model, tokenizer, path, quantization="f32", name="x")
        write_manifest(path.parent)
        open_model(path, CPU)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(FormatError, match="altered or damaged"):
            open_model(path, CPU)

    def test_one_manifest_covers_the_models_of_an_export(
        self, model: LanguageModel, tokenizer: Tokenizer, tmp_path: Path
    ) -> None:
        export = tmp_path / "export"
        for name in ("own", "chat"):
            save_model(model, export / name, tokenizer)
            write_gguf(model, tokenizer, export / name / "m.gguf", quantization="f16", name=name)
        write_manifest(export)
        files = (export / "chat" / "m.gguf", export / "chat" / "model.safetensors")
        for file in files:
            whole = file.read_bytes()
            file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
            with pytest.raises(FormatError, match="altered or damaged"):
                open_model(file if file.suffix == ".gguf" else file.parent, CPU)
            file.write_bytes(whole)
        (export / "own" / "chat_template.jinja").write_text("slipped in")
        open_model(export / "chat", CPU)
        with pytest.raises(FormatError, match="not in the manifest"):
            open_model(export / "own", CPU)

    def test_a_manifest_of_another_program_above_means_nothing(self, folder: Path) -> None:
        (folder.parent / "manifest.json").write_text('{"name": "a web app"}')
        open_model(folder, CPU)


def test_labels_must_fit_the_classifier(
    tokenizer: Tokenizer, model: LanguageModel, tmp_path: Path
) -> None:
    classifier = Classifier(ModelConfig(97, 64, 48, 1, 4, 64), 3)
    for wrong, labels in ((classifier, ()), (classifier, ("a", "b")), (model, ("a",))):
        with pytest.raises(ModelError, match="labels were given"):
            save_model(wrong, tmp_path / "x", labels=labels)


def test_a_model_with_adapters_is_refused_until_they_are_merged(
    model: LanguageModel, tmp_path: Path
) -> None:
    add_lora(model, rank=2, alpha=4.0, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ModelError, match="no tensor for"):
        save_model(model, tmp_path / "x")


def test_saving_over_a_model_keeps_the_old_one_when_the_disk_is_full(
    folder: Path, model: LanguageModel
) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(DiskError, match="No space left"):
            save_model(make_model(model.config, seed=1), folder)
        with pytest.raises(DiskError, match="No space left"):
            write_gguf(
                model,
                open_model(folder, CPU).tokenizer,
                folder / "m.gguf",
                quantization="f32",
                name="x",
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_errors_are_sentences(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "x\x1b[31m" * 50}))
    with pytest.raises(GroundupError) as caught:
        open_model(folder, CPU)
    assert len(str(caught.value)) < 400
    assert "\x1b" not in str(caught.value)
