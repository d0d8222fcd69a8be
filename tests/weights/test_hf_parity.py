"""Our models and transformers' give the same logits, whoever wrote the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lazy_module import LazyModule
from safetensors.torch import load_file, save_file
from tiny_weights import CPU, randomise

from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.heads import Classifier, LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.hf import read_hf
from groundup.weights.model_io import open_model, save_model

transformers = LazyModule("transformers")

V, T = 97, 40
TOLERANCE = 1e-4
COUNTS = {
    "vocab_size": V,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
GPT2 = {
    "vocab_size": V,
    "n_embd": 48,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CONFIGS = {
    "llama with grouped heads and rope scaling": lambda: transformers.LlamaConfig(
        **COUNTS, rope_parameters=LLAMA3
    ),
    "llama with biases, wide heads, tied": lambda: transformers.LlamaConfig(
        **COUNTS, attention_bias=True, mlp_bias=True, head_dim=16, tie_word_embeddings=True
    ),
    "mistral": lambda: transformers.MistralConfig(**COUNTS, sliding_window=None),
    "qwen2": lambda: transformers.Qwen2Config(**COUNTS, tie_word_embeddings=True),
    "qwen3": lambda: transformers.Qwen3Config(**COUNTS, head_dim=20),
    "gpt2": lambda: transformers.GPT2Config(**GPT2),
}


def reference(config: transformers.PretrainedConfig) -> torch.nn.Module:
    return randomise(transformers.AutoModelForCausalLM.from_config(config))


@pytest.fixture(scope="module")
def ids() -> torch.Tensor:
    return torch.randint(0, V, (3, T), generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=CONFIGS, scope="module")
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[torch.nn.Module, Path]:
    """transformers' model, and the folder it wrote."""
    folder = tmp_path_factory.mktemp("theirs")
    model = reference(CONFIGS[request.param]())
    model.save_pretrained(folder)
    return model, folder


@torch.no_grad()
def test_reading_their_folder_gives_their_logits(
    both: tuple[torch.nn.Module, Path], ids: torch.Tensor
) -> None:
    theirs, folder = both
    ours, _ = read_hf(folder)
    torch.testing.assert_close(ours(ids), theirs(ids).logits, atol=TOLERANCE, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_give_their_logits(
    both: tuple[torch.nn.Module, Path], ids: torch.Tensor, side: str
) -> None:
    theirs, folder = both
    ours, _ = read_hf(folder)
    lengths = torch.tensor([T, 7, 23])[:, None]
    places = torch.arange(T)
    mask = places < lengths if side == "right" else places >= T - lengths
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    expected = theirs(ids, attention_mask=mask.long(), position_ids=positions).logits
    torch.testing.assert_close(ours(ids, mask=mask)[mask], expected[mask], atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_they_open_our_folder_to_our_logits(
    both: tuple[torch.nn.Module, Path], ids: torch.Tensor, tmp_path: Path
) -> None:
    _, folder = both
    ours, _ = read_hf(folder)
    save_model(ours, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(theirs(ids).logits, ours(ids), atol=TOLERANCE, rtol=0)
    again, _ = read_hf(tmp_path)
    assert again.config == ours.config
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


@torch.no_grad()
def test_classifiers_go_both_ways(ids: torch.Tensor, tmp_path: Path, tokenizer: Tokenizer) -> None:
    labels = ("ham", "spam", "other")
    config = transformers.LlamaConfig(
        **{**COUNTS, "vocab_size": tokenizer.vocab_size}, num_labels=3
    )
    config.id2label = dict(enumerate(labels))
    theirs = randomise(transformers.LlamaForSequenceClassification(config))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = open_model(tmp_path / "theirs", CPU)
    assert (ours.kind, ours.labels, ours.tokenizer) == ("classifier", labels, None)
    mask = torch.arange(T) < torch.tensor([T, 7, 23])[:, None]
    padded = torch.where(mask, ids.clamp(min=3), 0)
    expected = theirs(padded, attention_mask=mask.long()).logits
    torch.testing.assert_close(ours.model(padded, mask=mask), expected, atol=TOLERANCE, rtol=0)
    save_model(ours.model, tmp_path / "ours", tokenizer, labels=labels)
    back = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours")
    assert type(back).__name__ == "LlamaForSequenceClassification"
    assert back.config.id2label == dict(enumerate(labels))
    back.config.pad_token_id = 0
    torch.testing.assert_close(
        back(padded, attention_mask=mask.long()).logits, expected, atol=TOLERANCE, rtol=0
    )


def test_other_families_make_classifiers_too(tmp_path: Path) -> None:
    config = ModelConfig(V, 64, 48, 2, 4, 64, family="qwen2", attention_bias=True)
    save_model(randomise(Classifier(config, 2)), tmp_path, labels=("a", "b"))
    back = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(back).__name__ == "Qwen2ForSequenceClassification"


@torch.no_grad()
def test_shards_are_read_as_one(
    both: tuple[torch.nn.Module, Path], ids: torch.Tensor, tmp_path: Path
) -> None:
    theirs, _ = both
    theirs.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    ours, _ = read_hf(tmp_path)
    torch.testing.assert_close(ours(ids), theirs(ids).logits, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_gpt2_files_of_old_are_read(ids: torch.Tensor, tmp_path: Path) -> None:
    """As openai-community/gpt2: no prefix before the names, masks among the weights."""
    theirs = reference(CONFIGS["gpt2"]())
    theirs.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    masks = {f"h.{i}.attn.bias": torch.ones(1, 1, 64, 64, dtype=torch.uint8) for i in range(3)}
    save_file(bare | masks, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours, _ = read_hf(tmp_path)
    torch.testing.assert_close(ours(ids), theirs(ids).logits, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_rope_settings_are_written_for_old_and_new_readers(
    ids: torch.Tensor, tmp_path: Path
) -> None:
    scaling = RopeScaling(8.0, 1.0, 4.0, 64)
    ours = randomise(
        LanguageModel(ModelConfig(V, 256, 48, 2, 4, 64, rope_base=5000.0, rope_scaling=scaling))
    )
    save_model(ours, tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    old = {key: value for key, value in written.items() if key != "rope_parameters"}
    new = {
        key: value for key, value in written.items() if key not in ("rope_theta", "rope_scaling")
    }
    for values in (old, new):
        (tmp_path / "config.json").write_text(json.dumps(values))
        again, _ = read_hf(tmp_path)
        assert again.config == ours.config
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
        torch.testing.assert_close(theirs(ids).logits, ours(ids), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_dtype_on_disk_is_kept_and_named(dtype: torch.dtype, tmp_path: Path) -> None:
    ours = randomise(LanguageModel(ModelConfig(V, 64, 48, 2, 4, 64))).to(dtype)
    save_model(ours, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert theirs.dtype == dtype
    again, _ = read_hf(tmp_path, dtype=dtype)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_stop_ids_reach_transformers(tokenizer: Tokenizer, tmp_path: Path) -> None:
    ours = randomise(LanguageModel(ModelConfig(tokenizer.vocab_size, 64, 48, 2, 4, 64)))
    save_model(ours, tmp_path, tokenizer)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert set(theirs.generation_config.eos_token_id) == tokenizer.special.stop_ids
    assert theirs.config.eos_token_id == tokenizer.special.eos_id
    assert theirs.config.pad_token_id == tokenizer.special.pad_id
    assert (
        transformers.AutoTokenizer.from_pretrained(tmp_path).eos_token_id
        == tokenizer.special.eos_id
    )
