"""Presets against figures that their author did not write."""

import pytest
import torch

from groundup.errors import ModelError
from groundup.model.heads import LanguageModel
from groundup.model.presets import PRESETS, preset
from groundup.model.sizes import active_parameters, parameter_count

# The number of parameters published with each model's weights, a tied table counted once (the file of Qwen3-0.6B repeats it;
# that of GPT-2 also holds 12 x 1024 x 1024 mask values, which are no parameters).
PUBLISHED = {
    "gpt2": 124_439_808,
    "smollm2-135m": 134_515_008,
    "tinyllama-1.1b": 1_100_048_384,
    "llama-3.2-1b": 1_235_814_400,
    "qwen2.5-0.5b": 494_032_768,
    "qwen3-0.6b": 596_049_920,
    "qwen3-30b-a3b": 30_532_122_624,
    "llama-3.1-8b": 8_030_261_248,
    "smollm3-3b": 3_075_098_624,
    "mistral-7b": 7_241_732_096,
    "qwen2.5-1.5b": 1_543_714_304,
    "gemma-2-2b": 2_614_341_888,
    "gemma-3-270m": 268_098_176,
    "gemma-3-1b": 999_885_952,
    "phi-3-mini-4k": 3_821_079_552,
    "olmo-2-1b": 1_484_916_736,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_preset_has_the_published_number_of_parameters(name: str) -> None:
    assert parameter_count(preset(name)).total == PUBLISHED[name]
    with torch.device("meta"):
        model = LanguageModel(preset(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[name]


def test_preset_with_experts_has_the_published_number_of_active_parameters() -> None:
    """The "3.3B" of its card: embedding, head, attention, norms, router and 8 of 128 experts."""
    assert active_parameters(preset("qwen3-30b-a3b")) == 3_353_032_704


def test_every_preset_but_our_own_is_checked() -> None:
    assert set(PRESETS) == {*PUBLISHED, "quickstart"}


def test_gpt2_is_the_default_of_transformers() -> None:
    from transformers import GPT2Config

    ours, theirs = preset("gpt2"), GPT2Config()
    assert (ours.vocab_size, ours.context_tokens, ours.width) == (
        theirs.vocab_size,
        theirs.n_positions,
        theirs.n_embd,
    )
    assert (ours.num_layers, ours.num_heads, ours.norm_eps) == (
        theirs.n_layer,
        theirs.n_head,
        theirs.layer_norm_epsilon,
    )
    assert ours.feedforward_width == 4 * theirs.n_embd
    assert theirs.activation_function == "gelu_new"
    assert ours.tied_head is theirs.tie_word_embeddings


def test_quickstart_is_a_shape_that_other_software_takes() -> None:
    config = preset("quickstart")
    assert 1_000_000 < parameter_count(config).total < 2_000_000
    assert (config.num_layers, config.width, config.context_tokens, config.vocab_size) == (
        4,
        128,
        128,
        4096,
    )
    assert config.family == "llama" and config.tied_head
    assert (
        config.num_heads * config.head_width == config.width
    )  # Ollama's importer derives one from the other
    for row in (config.width, config.feedforward_width, config.num_heads * config.head_width):
        assert row % 32 == 0  # q8_0 and q4_0


def test_unknown_preset_answers_with_the_nearest() -> None:
    with pytest.raises(ModelError, match="Did you mean 'smollm2-135m'"):
        preset("smollm-135m")
