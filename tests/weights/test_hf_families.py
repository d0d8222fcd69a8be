"""Families as published: their config.json is understood, what they do not share with ours is refused, and Gemma's norms come back."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_weights import randomise

from groundup.errors import FormatError
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.heads import LanguageModel
from groundup.model.presets import PRESETS, preset
from groundup.weights.hf import read_hf, write_hf
from groundup.weights.hf_config import HFConfig, has_class, hf_config_json, read_hf_config

GEMMA3 = {
    "architectures": ["Gemma3ForCausalLM"],
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "cache_implementation": "hybrid",
    "final_logit_softcapping": None,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 32768,
    "model_type": "gemma3_text",
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": 512,
    "vocab_size": 262144,
}
# The published config.json of each, as transformers 4 wrote it, without what says nothing about the computation.
PUBLISHED: dict[str, dict[str, Any]] = {
    "mistral-7b": {
        "architectures": ["MistralForCausalLM"],
        "hidden_act": "silu",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "max_position_embeddings": 32768,
        "model_type": "mistral",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "sliding_window": 4096,
        "tie_word_embeddings": False,
        "vocab_size": 32000,
    },
    "qwen2.5-1.5b": {
        "architectures": ["Qwen2ForCausalLM"],
        "hidden_act": "silu",
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "max_position_embeddings": 32768,
        "max_window_layers": 21,
        "model_type": "qwen2",
        "num_attention_heads": 12,
        "num_hidden_layers": 28,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "vocab_size": 151936,
    },
    "gemma-2-2b": {
        "architectures": ["Gemma2ForCausalLM"],
        "attention_bias": False,
        "attn_logit_softcapping": 50.0,
        "cache_implementation": "hybrid",
        "final_logit_softcapping": 30.0,
        "head_dim": 256,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "max_position_embeddings": 8192,
        "model_type": "gemma2",
        "num_attention_heads": 8,
        "num_hidden_layers": 26,
        "num_key_value_heads": 4,
        "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0,
        "sliding_window": 4096,
        "vocab_size": 256000,
    },
    "gemma-3-1b": {
        **GEMMA3,
        "hidden_size": 1152,
        "intermediate_size": 6912,
        "num_hidden_layers": 26,
        "sliding_window_pattern": 6,
    },
    "gemma-3-270m": {
        **GEMMA3,
        "_sliding_window_pattern": 6,
        "hidden_size": 640,
        "intermediate_size": 2048,
        "layer_types": [*["sliding_attention"] * 5, "full_attention"] * 3,
        "num_hidden_layers": 18,
        "use_bidirectional_attention": False,
    },
    "phi-3-mini-4k": {
        "architectures": ["Phi3ForCausalLM"],
        "attention_bias": False,
        "hidden_act": "silu",
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "max_position_embeddings": 4096,
        "model_type": "phi3",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "sliding_window": 2047,
        "tie_word_embeddings": False,
        "vocab_size": 32064,
    },
    "olmo-2-1b": {
        "architectures": ["Olmo2ForCausalLM"],
        "attention_bias": False,
        "hidden_act": "silu",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "max_position_embeddings": 4096,
        "model_type": "olmo2",
        "num_attention_heads": 16,
        "num_hidden_layers": 16,
        "num_key_value_heads": 16,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 500000,
        "tie_word_embeddings": False,
        "vocab_size": 100352,
    },
    "smollm3-3b": {
        "architectures": ["SmolLM3ForCausalLM"],
        "attention_bias": False,
        "hidden_act": "silu",
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "layer_types": ["full_attention"] * 36,
        "max_position_embeddings": 65536,
        "max_window_layers": 28,
        "mlp_bias": False,
        "model_type": "smollm3",
        "no_rope_layer_interval": 4,
        "no_rope_layers": [1, 1, 1, 0] * 9,
        "num_attention_heads": 16,
        "num_hidden_layers": 36,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 5000000.0,
        "sliding_window": None,
        "use_sliding_window": False,
        "vocab_size": 128256,
    },
}
GEMMA2, PHI3, SMOLLM3 = PUBLISHED["gemma-2-2b"], PUBLISHED["phi-3-mini-4k"], PUBLISHED["smollm3-3b"]
LONGROPE = {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48}
LOCAL = {"rope_type": "linear", "factor": 2.0}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "gemma 2 that sees ahead": (
        {**GEMMA2, "use_bidirectional_attention": True},
        "use_bidirectional_attention: is True",
    ),
    "gemma 2 with another activation": (
        {**GEMMA2, "hidden_activation": "gelu"},
        "hidden_activation: is 'gelu'",
    ),
    "gemma 2 with windows of no size": (
        {**GEMMA2, "sliding_window": None},
        "layer_types: names sliding_attention, but there is no sliding_window",
    ),
    "gemma 3 with capped scores": (
        {**PUBLISHED["gemma-3-1b"], "attn_logit_softcapping": 50.0},
        "attn_logit_softcapping",
    ),
    "gemma 3 with scaled windows": (
        {**PUBLISHED["gemma-3-1b"], "rope_parameters": {"sliding_attention": LOCAL}},
        "sliding_attention: has RoPE scaling",
    ),
    "gemma 3 with one table of angles": (
        {**PUBLISHED["gemma-3-1b"], "rope_parameters": LOCAL},
        "is not one table for",
    ),
    "gemma 3 out of step": (
        {
            **PUBLISHED["gemma-3-270m"],
            "layer_types": ["full_attention", *["sliding_attention"] * 17],
        },
        "layer_types: has no regular pattern: the first of its kind is layer 1",
    ),
    "phi-3 of long texts": (
        {**PHI3, "rope_scaling": LONGROPE},
        "'longrope' .it has one set of angles for short texts",
    ),
    "phi-3 of long texts, the old way": (
        {**PHI3, "rope_scaling": {**LONGROPE, "type": "su"}},
        "old name of longrope",
    ),
    "phi-4 mini": (
        {**PHI3, "partial_rotary_factor": 0.75},
        "partial_rotary_factor: is 0.75; only 1.0",
    ),
    "smollm3 without a pattern": (
        {**SMOLLM3, "no_rope_layers": [1, 0, 1, 1] * 9},
        "no_rope_layers: has no regular",
    ),
    "smollm3 with windows": (
        {**SMOLLM3, "use_sliding_window": True, "sliding_window": 64},
        "use_sliding_window: is True",
    ),
}


def read(folder: Path, values: dict[str, Any]) -> ModelConfig:
    (folder / "config.json").write_text(json.dumps(values))
    return read_hf_config(folder).config


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs_give_the_presets(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, PUBLISHED[name]) == preset(name)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_come_back_from_their_config_json(name: str, tmp_path: Path) -> None:
    config = preset(name)
    assert has_class(config)
    written = hf_config_json(HFConfig(config, "language"), None, "bfloat16")
    assert read(tmp_path, written) == config
    old = {key: value for key, value in written.items() if key != "rope_parameters"}
    new = {
        key: value
        for key, value in written.items()
        if not key.startswith("rope_") or key == "rope_parameters"
    }
    assert read(tmp_path, old) == read(tmp_path, new) == config


@pytest.mark.parametrize("case", REFUSED)
def test_what_we_do_not_compute_is_refused_by_name(case: str, tmp_path: Path) -> None:
    values, reason = REFUSED[case]
    with pytest.raises(FormatError, match=reason):
        read(tmp_path, values)


def test_caps_of_null_are_none_and_missing_ones_the_default(tmp_path: Path) -> None:
    """As Gemma 2's class has it."""
    caps = {"attn_logit_softcapping": None, "final_logit_softcapping": None}
    without = read(tmp_path, {**GEMMA2, **caps})
    assert (without.score_softcap, without.logit_softcap) == (0, 0)
    silent = read(tmp_path, {key: value for key, value in GEMMA2.items() if key not in caps})
    assert (silent.score_softcap, silent.logit_softcap) == (50, 30)


def test_yarn_needs_a_base_to_count_powers_of(tmp_path: Path) -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1.0}
    with pytest.raises(FormatError, match="rope_base, which must be at least 2"):
        read(tmp_path, {**PUBLISHED["qwen2.5-1.5b"], "rope_parameters": yarn})


def test_a_model_that_its_family_does_not_compute_is_kept_in_our_own_layout(tmp_path: Path) -> None:
    """Never under the name of a class that would compute something else."""
    shape = {
        "vocab_size": 11,
        "context_tokens": 8,
        "width": 8,
        "num_layers": 2,
        "num_heads": 2,
        "feedforward_width": 8,
    }
    for other in (
        ModelConfig(**shape, window_tokens=3),
        ModelConfig(**shape, family="mistral", window_tokens=3, full_every=2),
        ModelConfig(**shape, family="phi3", rope_scaling=RopeScaling(2.0, kind="linear")),
        ModelConfig(**shape, family="olmo2"),
        ModelConfig(**shape, block="parallel"),
        ModelConfig(**shape, attention_bias=True),
    ):
        write_hf(LanguageModel(other), tmp_path)
        assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "groundup"
        assert read_hf(tmp_path)[0].config == other


class TestGemmaNorms:
    """Files hold them less one; ours are the factors."""

    CONFIG = ModelConfig(
        vocab_size=11,
        context_tokens=8,
        width=64,
        num_layers=1,
        num_heads=2,
        feedforward_width=8,
        family="gemma2",
        norm_eps=1e-6,
        block="sandwich",
        feedforward="geglu",
        scaled_embedding=True,
    )

    def file(self, folder: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """A folder as published, whose norms are of every size down to the smallest that a sum with one keeps exactly."""
        write_hf(randomise(LanguageModel(self.CONFIG)), folder, dtype=dtype)
        tensors = load_file(folder / "model.safetensors")
        smallest = {torch.bfloat16: -16.0, torch.float16: -13.0, torch.float32: -20.0}[dtype]
        sizes = 2.0 ** torch.linspace(smallest, 0.9, 63)
        signs = torch.tensor([-1.0, 1.0]).repeat(32)[:63]
        norms = torch.cat([(sizes * signs).clamp(min=-0.99), torch.zeros(1)]).to(dtype)
        tensors |= {name: norms.clone() for name in tensors if "norm" in name}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return tensors

    def test_ours_are_the_factors(self, tmp_path: Path) -> None:
        theirs = self.file(tmp_path, torch.bfloat16)["model.norm.weight"]
        ours, _ = read_hf(tmp_path)
        assert torch.equal(ours.transformer.final_norm.weight, 1 + theirs.float())

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_files_of_16_bits_come_back_bit_for_bit(
        self, dtype: torch.dtype, tmp_path: Path
    ) -> None:
        before = self.file(tmp_path, dtype)
        model, _ = read_hf(tmp_path)
        write_hf(model, tmp_path, dtype=dtype)
        after = load_file(tmp_path / "model.safetensors")
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)

    def test_files_of_32_bits_come_back_to_one_rounding(self, tmp_path: Path) -> None:
        before = self.file(tmp_path, torch.float32)
        model, _ = read_hf(tmp_path)
        write_hf(model, tmp_path)
        after = load_file(tmp_path / "model.safetensors")
        for name, tensor in before.items():
            torch.testing.assert_close(
                after[name], tensor, rtol=0, atol=2.0**-24 if "norm" in name else 0
            )
        again, _ = read_hf(tmp_path)
        for name, tensor in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], tensor), name
