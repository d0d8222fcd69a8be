"""A model's shape read without its weights is that of the model."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_weights import CPU, VARIANTS, make_config, make_model

from groundup.config import to_plain
from groundup.errors import ConfigError, FormatError, GroundupError, ModelError
from groundup.files import cache_folder, write_json
from groundup.migrations import BUILD
from groundup.model.config import ModelConfig
from groundup.model.footprint import weight_bytes
from groundup.model.heads import Classifier, LanguageModel
from groundup.model.presets import PRESETS, preset
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.catalog import CATALOG
from groundup.weights.gguf import write_gguf
from groundup.weights.model_io import (
    INSTRUCT,
    open_model,
    read_model_summary,
    save_model,
    tensor_names,
)


def refused(words: str | Path) -> GroundupError:
    with pytest.raises(GroundupError) as error:
        read_model_summary(str(words))
    return error.value


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gguf_says_its_shape_and_its_size(
    variant: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """q8_0 as we compute it is what the file holds, the factors of stretched positions apart."""
    path = tmp_path / "model.gguf"
    write_gguf(
        make_model(make_config(variant, 320)), tokenizer, path, quantization="q8_0", name="tiny"
    )
    outline = read_model_summary(str(path))
    config = open_model(path, CPU).config
    assert outline.config == config
    factors = (
        4 * config.head_width // 2
        if config.rope_scaling and config.rope_scaling.kind == "llama3"
        else 0
    )
    assert sum(outline.stored.values()) - factors == weight_bytes(config, "q8_0")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_folder_says_its_shape_without_its_weights(
    variant: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = make_model(make_config(variant, 320))
    save_model(model, tmp_path, tokenizer)
    outline = read_model_summary(str(tmp_path))
    assert outline.config == model.config
    assert outline.stored == {"F32": weight_bytes(model.config, "float32")}
    (tmp_path / "model.safetensors").unlink()
    assert read_model_summary(str(tmp_path)) == replace(outline, stored={})
    assert read_model_summary(str(tmp_path / "config.json")) == replace(outline, stored={})


def test_a_classifier_names_its_classes(
    tiny_tokenizer: Tokenizer, tiny_model: LanguageModel, tmp_path: Path
) -> None:
    save_model(Classifier(tiny_model.config, 2), tmp_path, tiny_tokenizer, labels=("ham", "spam"))
    outline = read_model_summary(str(tmp_path))
    assert (outline.kind, outline.labels) == ("classifier", ("ham", "spam"))
    assert tensor_names(outline)[-1]["hugging_face"] == "score.weight"


def test_a_run_at_work_says_what_it_trains(tmp_path: Path) -> None:
    config = preset("quickstart")
    RunFolder(tmp_path / "run").create("pretrain", {"model": to_plain(config)}, {})
    assert read_model_summary(str(tmp_path / "run")).config == config
    RunFolder(tmp_path / "other").create("other", {}, {})
    assert isinstance(refused(tmp_path / "other"), FormatError)


def test_a_build_shows_its_chat_stage(
    tiny_tokenizer: Tokenizer, tiny_model: LanguageModel, tmp_path: Path
) -> None:
    write_json(tmp_path / "build.json", BUILD.stamp({"kinds": {"chat": "chat"}}))
    assert "no finished chat stage" in refused(tmp_path).message
    save_model(tiny_model, tmp_path / "chat", tiny_tokenizer)
    assert read_model_summary(str(tmp_path)).config == tiny_model.config


@pytest.mark.parametrize("table", ["", "[fit]\nsteps = 3\n[model]\n"])
def test_a_toml_has_the_fields_of_the_config(table: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    fields: dict[str, Any] = {
        "vocab_size": 64,
        "context_tokens": 32,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "feedforward_width": 32,
    }
    body = table + "".join(f"{name} = {value}\n" for name, value in fields.items())
    file.write_text(body + 'rope_scaling = { factor = 2.0, kind = "linear" }\n')
    config = read_model_summary(str(file)).config
    assert config.rope_scaling is not None
    assert config == replace(ModelConfig(**fields), rope_scaling=config.rope_scaling)


def test_a_mistake_in_a_toml_is_answered_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("vocab_size = 64\nwidht = 3\n")
    error = refused(file)
    assert isinstance(error, ConfigError)
    assert "mine.toml: Unknown field 'widht'" in error.message and "'width'" in error.fix
    for body, says in (
        ("width = [", "is not TOML"),
        ("width = 8", "required"),
        ("model = 3", "not a table"),
    ):
        file.write_text(body)
        assert says in refused(file).message and "mine.toml" in refused(file).message


def test_names_are_presets_pulled_models_or_refused(
    tiny_tokenizer: Tokenizer, tiny_model: LanguageModel
) -> None:
    for name in PRESETS:
        assert read_model_summary(name).config == preset(name)
    assert read_model_summary("smollm2-135m-instruct").config == preset("smollm2-135m")
    unknown = next((name for name in CATALOG if name.removesuffix(INSTRUCT) not in PRESETS), None)
    if unknown is not None:
        assert f"groundup pull {unknown}" in refused(unknown).fix
        save_model(tiny_model, cache_folder("models") / unknown, tiny_tokenizer)
        assert read_model_summary(unknown).config == tiny_model.config
        shutil.rmtree(cache_folder("models") / unknown)
    error = refused("quikstart")
    assert isinstance(error, ModelError) and "'quickstart'" in error.fix


def test_what_is_no_model_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "can't be opened as a model" in refused(tmp_path / "empty").message
    assert "no such folder or file" in refused(tmp_path / "none.toml").message
    path = tmp_path / "cut.gguf"
    write_gguf(
        make_model(make_config("llama", 320)), tokenizer, path, quantization="f16", name="tiny"
    )
    path.write_bytes(path.read_bytes()[:-100])
    assert isinstance(refused(path), FormatError)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "lama"}))
    assert isinstance(refused(tmp_path), FormatError)


@pytest.mark.parametrize("variant", ["llama", "gpt2"])
def test_every_tensor_has_the_name_it_has_in_files(
    variant: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    from groundup.weights.hf import list_tensors

    model = make_model(make_config(variant, 320))
    save_model(model, tmp_path, tokenizer)
    names = tensor_names(read_model_summary(str(tmp_path)))
    assert {tensor["name"]: tensor["shape"] for tensor in names} == {
        name: tuple(p.shape) for name, p in model.named_parameters()
    }
    assert {tensor["hugging_face"] for tensor in names} == set(list_tensors(tmp_path))
