"""What a model can be written as is said from its config, and the writers say the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_weights import LARGEST, VARIANTS, make_config, make_model

from groundup.errors import ModelError
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.presets import PRESETS
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.gguf import write_gguf
from groundup.weights.gguf_architectures import as_llamacpp_runs, gguf_reason
from groundup.weights.hf_config import hf_reason

LLAMA3 = RopeScaling(8.0, 1.0, 4.0, 64)
YARN = RopeScaling(4.0, kind="yarn", original_context_tokens=64)

# Base -> changes -> what the refusal says.
REFUSED = {
    "alibi": ("llama", {"positions": "alibi"}, "positions rope; this model has alibi"),
    "sinusoidal": ("llama", {"positions": "sinusoidal"}, "positions"),
    "no positions": ("llama", {"positions": "none"}, "positions"),
    "post-norm": ("llama", {"block": "post"}, "block pre; this model has post"),
    "parallel": ("llama", {"block": "parallel"}, "block"),
    "layer norm": ("llama", {"norm": "layer"}, "norm"),
    "geglu": ("llama", {"feedforward": "geglu"}, "feedforward"),
    "scaled embedding": (
        "llama",
        {"scaled_embedding": True},
        "scaled_embedding false; this model has true",
    ),
    "score width": ("llama", {"score_width": 64}, "root of 16; this model has score_width 64"),
    "rotation spared": ("smollm3", {"unrotated_every": 3}, "unrotated_every 4"),
    "output bias": ("qwen3", {"attention_output_bias": True}, "attention_output_bias"),
    "wide heads": (
        "qwen2",
        {"head_width": 32},
        "as wide together as the residual stream, 64; this model's are 128",
    ),
    "RoPE scaling": ("qwen2", {"rope_scaling": LLAMA3}, "no RoPE scaling of kind 'llama3'"),
    "betas": ("llama", {"rope_scaling": replace(YARN, beta_fast=16.0)}, "beta_fast"),
    "no soft cap": ("gemma2", {"score_softcap": 0.0}, "always has a score_softcap"),
    "own head": ("gemma2", {"tied_head": False}, "tied_head"),
    "its largest": ("gemma2", {"num_layers": 46}, "root of 16; this model has score_width 32"),
    "scaled windows": (
        "gemma3",
        {"window_rope_base": 0.0, "rope_scaling": YARN},
        "does not apply RoPE scaling in blocks",
    ),
    "sharpened windows": (
        "gemma3",
        {"rope_scaling": replace(YARN, attention_factor=1.5)},
        "attention factor",
    ),
    "shared head": ("olmo2", {"tied_head": True}, "tied_head"),
    "two bases": ("olmo2_windows", {"window_rope_base": 500.0}, "one RoPE base for all blocks"),
    "grouped": ("gpt2", {"num_kv_heads": 2}, "as many key/value heads"),
}


@pytest.mark.parametrize("name", [*VARIANTS, *LARGEST])
def test_what_runs_in_llamacpp_is_said_to(name: str) -> None:
    assert gguf_reason(make_config(name, 300)) is None


@pytest.mark.parametrize("name", PRESETS)
def test_published_models_can_be_written_as_all_there_is(name: str) -> None:
    """Qwen3-MoE, Gemma, ... too: each is an architecture of both programs."""
    assert (gguf_reason(PRESETS[name]), hf_reason(PRESETS[name])) == (None, None)


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_part_and_the_writer_refuses_alike(
    case: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    base, changes, words = REFUSED[case]
    config = replace(make_config(base, tokenizer.vocab_size), **changes)
    reason = gguf_reason(config)
    assert reason is not None
    assert words in reason
    with pytest.raises(ModelError) as caught:
        write_gguf(make_model(config), tokenizer, tmp_path / "m.gguf", quantization="f32", name="x")
    assert reason in caught.value.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [{"positions": "alibi"}, {"block": "post"}, {"block": "parallel"}, {"scaled_embedding": True}],
)
def test_what_transformers_has_no_class_for_is_said_by_part(changes: dict[str, object]) -> None:
    reason = hf_reason(replace(make_config("llama", 300), **changes))  # type: ignore[arg-type]
    assert reason is not None
    assert "Llama" in reason and next(iter(changes)) in reason


def test_a_window_of_another_base_can_not_be_left_out() -> None:
    """Where llama.cpp has no window, the file ends at ours; but then the blocks must turn alike."""
    config = ModelConfig(300, 256, 64, 2, 4, 96, family="mistral", window_tokens=16)
    assert gguf_reason(config) is None
    assert as_llamacpp_runs(config) == replace(config, context_tokens=16, window_tokens=0)
    assert "one RoPE base" in str(gguf_reason(replace(config, window_rope_base=500.0)))
    longer = replace(config, window_tokens=512)
    assert as_llamacpp_runs(longer) == replace(config, window_tokens=0)
