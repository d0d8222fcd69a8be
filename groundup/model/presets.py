"""Shapes of known models by name. Each names its source, and a test compares its parameters with the published count.

To add one: a line in PRESETS with its source, and its published count in tests/model/test_presets.py.
"""

from groundup.errors import ModelError, did_you_mean
from groundup.model.config import ModelConfig, RopeScaling

PRESETS: dict[str, ModelConfig] = {
    # Ours: 1.3 million parameters, a size that two minutes on two CPU cores can teach. Every row of its matrices is a multiple of 32, which
    # GGUF's q8_0 and q4_0 ask for, and its shape is Llama's, which llama.cpp and Ollama load as it is.
    "quickstart": ModelConfig(
        vocab_size=4_096,
        context_tokens=128,
        width=128,
        num_layers=4,
        num_heads=4,
        num_kv_heads=2,
        head_width=32,
        feedforward_width=384,
    ),
    # Radford et al. 2019, the smallest of four, as released (github.com/openai/gpt-2, model 124M): 124,439,808 parameters.
    "gpt2": ModelConfig(
        family="gpt2",
        vocab_size=50_257,
        context_tokens=1_024,
        width=768,
        num_layers=12,
        num_heads=12,
        feedforward_width=3_072,
        norm="layer",
        positions="learned",
        feedforward="gelu",
        attention_bias=True,
        attention_output_bias=True,
        feedforward_bias=True,
    ),
    # HuggingFaceTB/SmolLM2-135M, config.json (Allal et al. 2025); the same numbers stand in its GGUF's metadata: 134,515,008 parameters.
    "smollm2-135m": ModelConfig(
        vocab_size=49_152,
        context_tokens=8_192,
        width=576,
        num_layers=30,
        num_heads=9,
        num_kv_heads=3,
        head_width=64,
        feedforward_width=1_536,
        rope_base=100_000.0,
    ),
    # TinyLlama/TinyLlama-1.1B-Chat-v1.0, config.json (Zhang et al. 2024): 1,100,048,384 parameters.
    "tinyllama-1.1b": ModelConfig(
        vocab_size=32_000,
        context_tokens=2_048,
        width=2_048,
        num_layers=22,
        num_heads=32,
        num_kv_heads=4,
        head_width=64,
        feedforward_width=5_632,
        tied_head=False,
    ),
    # meta-llama/Llama-3.2-1B, config.json (Llama 3.2 release, 2024): 1,235,814,400 parameters.
    "llama-3.2-1b": ModelConfig(
        vocab_size=128_256,
        context_tokens=131_072,
        width=2_048,
        num_layers=16,
        num_heads=32,
        num_kv_heads=8,
        head_width=64,
        feedforward_width=8_192,
        rope_base=500_000.0,
        rope_scaling=RopeScaling(factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_context_tokens=8_192),
    ),
    # Qwen/Qwen2.5-0.5B, config.json (Qwen team 2024): 494,032,768 parameters.
    "qwen2.5-0.5b": ModelConfig(
        family="qwen2",
        vocab_size=151_936,
        context_tokens=32_768,
        width=896,
        num_layers=24,
        num_heads=14,
        num_kv_heads=2,
        head_width=64,
        feedforward_width=4_864,
        norm_eps=1e-6,
        rope_base=1_000_000.0,
        attention_bias=True,
    ),
    # Qwen/Qwen3-0.6B, config.json (Yang et al. 2025): 596,049,920 parameters. Heads are wider than width / num_heads.
    "qwen3-0.6b": ModelConfig(
        family="qwen3",
        vocab_size=151_936,
        context_tokens=40_960,
        width=1_024,
        num_layers=28,
        num_heads=16,
        num_kv_heads=8,
        head_width=128,
        feedforward_width=3_072,
        norm_eps=1e-6,
        rope_base=1_000_000.0,
        qk_norm="head",
    ),
    # Qwen/Qwen3-30B-A3B, config.json (Yang et al. 2025): 30,532,122,624 parameters, 3,353,032,704 of them for each token.
    "qwen3-30b-a3b": ModelConfig(
        family="qwen3_moe",
        vocab_size=151_936,
        context_tokens=40_960,
        width=2_048,
        num_layers=48,
        num_heads=32,
        num_kv_heads=4,
        head_width=128,
        feedforward_width=768,
        num_experts=128,
        experts_per_token=8,
        norm_eps=1e-6,
        rope_base=1_000_000.0,
        qk_norm="head",
        tied_head=False,
    ),
}


def preset(name: str) -> ModelConfig:
    """The config of that name. Raises ModelError with the nearest names."""
    if name not in PRESETS:
        raise ModelError(f"No preset is called {name!r}.", fix=did_you_mean(name, PRESETS))
    return PRESETS[name]
