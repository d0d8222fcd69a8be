"""config.json: read strictly, written completely; what our model does not compute is refused by name."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_weights import CPU, randomise

from groundup.errors import FormatError
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.weights.hf import read_hf
from groundup.weights.hf_config import read_hf_config
from groundup.weights.model_io import open_model, save_model

BASE = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 8192,
}
LLAMA = {**BASE, "model_type": "llama", "architectures": ["LlamaForCausalLM"]}
MISTRAL = {**BASE, "model_type": "mistral"}
QWEN2 = {**BASE, "model_type": "qwen2"}
FULL, SLIDING = "full_attention", "sliding_attention"
WINDOWED = {"use_sliding_window": True, "sliding_window": 16}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}
GPT2 = {"model_type": "gpt2", "vocab_size": 97}

REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "another family": ({**BASE, "model_type": "mamba"}, "not a known family.*llama"),
    "a family with a name like a known one": (
        {**BASE, "model_type": "gemma2x"},
        "Did you mean 'gemma2'.*docs/tour.md",
    ),
    "gemma of images": (
        {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}},
        "text and images.*language_model",
    ),
    "no family": (BASE, "model_type: is missing"),
    "another head": ({**LLAMA, "architectures": ["LlamaForTokenClassification"]}, "architectures"),
    "windows that begin at a layer": (
        {**QWEN2, "use_sliding_window": True, "max_window_layers": 1},
        "layer_types: has no regular pattern",
    ),
    "windows without a pattern": (
        {**QWEN2, **WINDOWED, "layer_types": [FULL, SLIDING]},
        "has no regular pattern",
    ),
    "windows that are switched off": (
        {**QWEN2, "layer_types": [FULL, SLIDING]},
        "there is no sliding_window",
    ),
    "layers of another kind": (
        {**QWEN2, **WINDOWED, "layer_types": [FULL, "chunked"]},
        "'chunked'",
    ),
    "kinds of other layers": (
        {**QWEN2, **WINDOWED, "layer_types": [FULL]},
        "names 1 layers, but there are 2",
    ),
    "llama with windows": (
        {**LLAMA, "layer_types": [SLIDING, FULL]},
        "layer_types: is not the same",
    ),
    "longrope": (
        {**LLAMA, "rope_scaling": {"rope_type": "longrope"}},
        "longrope.*short texts.*linear, llama3, yarn",
    ),
    "dynamic": (
        {**LLAMA, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
        "dynamic.*length of the text",
    ),
    "a stretching nobody knows": (
        {**LLAMA, "rope_scaling": {"type": "mrope"}},
        "'mrope'; for llama supported",
    ),
    "yarn scaled twice": (
        {**LLAMA, "rope_parameters": {**YARN, "mscale": 1.0}},
        "mscale: is not a supported parameter of 'yarn'",
    ),
    "yarn of broken pairs": ({**LLAMA, "rope_parameters": {**YARN, "truncate": False}}, "truncate"),
    "angles by layer": (
        {**LLAMA, "rope_parameters": {FULL: {"rope_type": "default"}}},
        "full_attention: is not a supported param",
    ),
    "half a head rotated": ({**LLAMA, "partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    "another activation": ({**LLAMA, "hidden_act": "gelu"}, "hidden_act"),
    "quantised": ({**LLAMA, "quantization_config": {"bits": 4}}, "quantised"),
    "heads that do not divide": ({**LLAMA, "num_attention_heads": 5}, "48 is not divisible by 5"),
    "key heads that do not divide": (
        {**LLAMA, "num_key_value_heads": 3},
        "3 key/value heads|4 query heads",
    ),
    "a text for a number": ({**LLAMA, "hidden_size": "48"}, "hidden_size"),
    "a truth value for a number": ({**LLAMA, "hidden_size": True}, "hidden_size"),
    "layers without end": ({**LLAMA, "num_hidden_layers": 10**12}, "num_hidden_layers"),
    "gpt2 with another activation": (
        {**GPT2, "activation_function": "relu"},
        "activation_function",
    ),
    "gpt2 scaled by layer": (
        {**GPT2, "scale_attn_by_inverse_layer_idx": True},
        "scale_attn_by_inverse",
    ),
    "labels with a gap": (
        {
            **LLAMA,
            "architectures": ["LlamaForSequenceClassification"],
            "id2label": {"0": "a", "2": "b"},
        },
        "each of the classes",
    ),
    "labels of one name": (
        {
            **LLAMA,
            "architectures": ["LlamaForSequenceClassification"],
            "id2label": {"0": "a", "1": "a"},
        },
        "same name",
    ),
}


def write(folder: Path, values: dict[str, object]) -> Path:
    (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("case", REFUSED)
def test_what_we_do_not_compute_is_refused(case: str, tmp_path: Path) -> None:
    values, reason = REFUSED[case]
    with pytest.raises(FormatError, match=reason):
        read_hf_config(write(tmp_path, values))


def test_a_window_as_long_as_the_context_is_no_window(tmp_path: Path) -> None:
    for values in ({**MISTRAL, "sliding_window": None}, {**MISTRAL, "sliding_window": 8192}):
        assert read_hf_config(write(tmp_path, values)).config.family == "mistral"
    assert read_hf_config(
        write(tmp_path, {**QWEN2, "sliding_window": 64, "use_sliding_window": False})
    ).config


def windows(folder: Path, values: dict[str, object]) -> tuple[int, int]:
    config = read_hf_config(write(folder, values)).config
    return config.window_tokens, config.full_every


def test_windows_are_read_as_the_class_means_them(tmp_path: Path) -> None:
    assert windows(tmp_path, MISTRAL) == (4096, 0)  # silent: the class's own
    assert windows(tmp_path, {**MISTRAL, "sliding_window": 16}) == (16, 0)
    assert windows(tmp_path, {**QWEN2, **WINDOWED, "max_window_layers": 0}) == (16, 0)
    assert windows(tmp_path, {**QWEN2, **WINDOWED}) == (0, 0)  # from layer 28 on, of two
    assert windows(tmp_path, {**QWEN2, **WINDOWED, "layer_types": [SLIDING, FULL]}) == (16, 2)


def test_the_published_config_of_gpt2_is_understood(tmp_path: Path) -> None:
    """Keys as openai-community/gpt2 has them: most are missing and mean transformers' defaults."""
    values = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "n_ctx": 1024,
        "n_embd": 768,
        "n_head": 12,
    }
    config = read_hf_config(write(tmp_path, values)).config
    assert (config.width, config.context_tokens, config.vocab_size, config.feedforward_width) == (
        768,
        1024,
        50257,
        3072,
    )
    assert config.tied_head


@pytest.mark.parametrize("positions", ["sinusoidal", "none", "learned"])
def test_models_that_no_class_describes_are_kept_in_our_own_layout(
    positions: str, tmp_path: Path
) -> None:
    config = ModelConfig(97, 64, 48, 2, 4, 64, positions=positions)  # type: ignore[arg-type]
    model = randomise(LanguageModel(config))
    save_model(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "groundup"
    again = open_model(tmp_path, CPU)
    assert again.config == config
    ids = torch.arange(20)[None]
    assert torch.equal(again.model(ids), model(ids))


def test_classifiers_in_our_own_layout_keep_their_labels(tmp_path: Path) -> None:
    config = ModelConfig(97, 64, 48, 2, 4, 64, positions="none")
    save_model(randomise(Classifier(config, 2)), tmp_path, labels=("yes", "no"))
    opened = open_model(tmp_path, CPU)
    assert (opened.kind, opened.labels) == ("classifier", ("yes", "no"))


class TestWeightsAgainstTheConfig:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        save_model(
            randomise(LanguageModel(ModelConfig(97, 64, 48, 2, 4, 64, tied_head=False))), tmp_path
        )
        return tmp_path

    def change(self, folder: Path, **changes: torch.Tensor | None) -> None:
        tensors = {**load_file(folder / "model.safetensors"), **changes}
        kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})

    def test_a_missing_tensor_is_named(self, folder: Path) -> None:
        self.change(folder, **{"model.layers.1.mlp.up_proj.weight": None})
        with pytest.raises(FormatError, match=r"layers\.1\.mlp\.up_proj\.weight.*is missing"):
            read_hf(folder)

    def test_another_shape_is_named_with_both(self, folder: Path) -> None:
        self.change(folder, **{"lm_head.weight": torch.zeros(100, 48)})
        with pytest.raises(FormatError, match="has the shape 100x48, 97x48 is expected"):
            read_hf(folder)

    def test_a_tensor_that_does_not_belong_is_named(self, folder: Path) -> None:
        self.change(folder, **{"model.layers.0.self_attn.q_proj.bias": torch.zeros(48)})
        with pytest.raises(FormatError, match=r"q_proj\.bias.*does not belong"):
            read_hf(folder)

    def test_quantised_tensors_are_refused(self, folder: Path) -> None:
        self.change(folder, **{"lm_head.weight": torch.zeros(97, 48, dtype=torch.int8)})
        with pytest.raises(FormatError, match="is of I8"):
            read_hf(folder)

    def test_values_that_are_not_finite_are_named(self, folder: Path) -> None:
        self.change(folder, **{"model.norm.weight": torch.full((48,), float("nan"))})
        with pytest.raises(FormatError, match=r"model\.norm\.weight.*NaN or infinite"):
            read_hf(folder)

    def test_a_copy_of_a_tied_head_is_fine_and_another_matrix_is_not(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        write(folder, {**config, "tie_word_embeddings": True})
        with pytest.raises(FormatError, match="differs from the embedding"):
            read_hf(folder)
        embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
        self.change(folder, **{"lm_head.weight": embedding.clone()})
        assert read_hf(folder)[0].config.tied_head

    def test_pickled_weights_are_never_opened(self, folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(FormatError, match="never read"):
            read_hf(folder)


class TestShards:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        save_model(randomise(LanguageModel(ModelConfig(97, 64, 48, 2, 4, 64))), tmp_path)
        tensors = load_file(tmp_path / "model.safetensors")
        (tmp_path / "model.safetensors").unlink()
        names = sorted(tensors)
        for number, part in enumerate((names[:9], names[9:])):
            save_file({name: tensors[name] for name in part}, tmp_path / f"{number}.safetensors")
        places = {name: f"{int(name in names[9:])}.safetensors" for name in names}
        self.index(tmp_path, places)
        return tmp_path

    def index(self, folder: Path, places: object) -> None:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))

    def places(self, folder: Path) -> dict[str, str]:
        table: dict[str, str] = json.loads((folder / "model.safetensors.index.json").read_text())[
            "weight_map"
        ]
        return table

    def test_they_are_read(self, folder: Path) -> None:
        assert read_hf(folder)[0].config.num_layers == 2

    def test_an_index_that_lies_is_refused(self, folder: Path) -> None:
        places = self.places(folder)
        lies = {
            "not a table": [1],
            "not listed for this file": {**places, "model.norm.weight": "0.safetensors"},
            "does not have it": {**places, "extra": "0.safetensors"},
            "letters, digits": {**places, "model.norm.weight": "../1.safetensors"},
            "is missing": {name: file.replace("1", "2") for name, file in places.items()},
        }
        for reason, lie in lies.items():
            self.index(folder, lie)
            with pytest.raises(FormatError, match=reason):
                read_hf(folder)
