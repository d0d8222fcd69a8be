"""Configs of known models by name. Each names its source, and a test compares its parameters with the published count.

To add one: an entry in PRESETS with its source, and its published count in tests/model/test_presets.py.
"""

from functools import partial

from groundup.errors import ModelError, did_you_mean
from groundup.model.config import ModelConfig, RopeScaling

# What the presets of a family have in common.
_llama3 = partial(
    ModelConfig, vocab_size=128_256, context_tokens=131_072, num_heads=32, num_kv_heads=8, rope_base=500_000.0
)
_qwen2 = partial(
    ModelConfig,
    family="qwen2",
    vocab_size=151_936,
    context_tokens=32_768,
    num_kv_heads=2,
    norm_eps=1e-6,
    rope_base=1_000_000.0,
    attention_bias=True,
)
_qwen3 = partial(
    ModelConfig,
    vocab_size=151_936,
    context_tokens=40_960,
    head_width=128,
    norm_eps=1e-6,
    rope_base=1_000_000.0,
    qk_norm="head",
)
_gemma = partial(
    ModelConfig, head_width=256, norm_eps=1e-6, scaled_embedding=True, block="sandwich", feedforward="geglu"
)
_gemma3 = partial(
    _gemma,
    family="gemma3",
    vocab_size=262_144,
    context_tokens=32_768,
    num_heads=4,
    num_kv_heads=1,
    qk_norm="head",
    rope_base=1_000_000.0,
    window_tokens=512,
    full_every=6,
    window_rope_base=10_000.0,
)

PRESETS: dict[str, ModelConfig] = {
    # Ours: 1.3 million parameters, trained in two minutes on two CPU cores. Rows of its matrices are multiples of 32, which GGUF's q8_0 and
    # q4_0 need, and its architecture is Llama's, which llama.cpp and Ollama load.
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
    # HuggingFaceTB/SmolLM2-135M, config.json (Allal et al. 2025); as in its GGUF's metadata: 134,515,008 parameters.
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
    "llama-3.2-1b": _llama3(
        width=2_048, num_layers=16, head_width=64, feedforward_width=8_192, rope_scaling=RopeScaling(factor=32.0)
    ),
    # meta-llama/Llama-3.1-8B, config.json (Llama team 2024): 8,030,261,248 parameters.
    "llama-3.1-8b": _llama3(
        width=4_096,
        num_layers=32,
        head_width=128,
        feedforward_width=14_336,
        rope_scaling=RopeScaling(factor=8.0),
        tied_head=False,
    ),
    # HuggingFaceTB/SmolLM3-3B, config.json (2025): 3,075,098,624 parameters. Every fourth block has no rotary positions.
    "smollm3-3b": ModelConfig(
        family="smollm3",
        vocab_size=128_256,
        context_tokens=65_536,
        width=2_048,
        num_layers=36,
        num_heads=16,
        num_kv_heads=4,
        head_width=128,
        feedforward_width=11_008,
        norm_eps=1e-6,
        rope_base=5_000_000.0,
        unrotated_every=4,
    ),
    # mistralai/Mistral-7B-v0.1, config.json (Jiang et al. 2023): 7,241,732,096 parameters.
    "mistral-7b": ModelConfig(
        family="mistral",
        vocab_size=32_000,
        context_tokens=32_768,
        width=4_096,
        num_layers=32,
        num_heads=32,
        num_kv_heads=8,
        head_width=128,
        feedforward_width=14_336,
        window_tokens=4_096,
        tied_head=False,
    ),
    # Qwen/Qwen2.5-0.5B, config.json (Qwen team 2024): 494,032,768 parameters.
    "qwen2.5-0.5b": _qwen2(width=896, num_layers=24, num_heads=14, head_width=64, feedforward_width=4_864),
    # Qwen/Qwen2.5-1.5B-Instruct, config.json (Qwen team 2024): 1,543,714,304 parameters.
    "qwen2.5-1.5b": _qwen2(width=1_536, num_layers=28, num_heads=12, head_width=128, feedforward_width=8_960),
    # Qwen/Qwen3-0.6B, config.json (Yang et al. 2025): 596,049,920 parameters. Heads are wider than width / num_heads.
    "qwen3-0.6b": _qwen3(
        family="qwen3", width=1_024, num_layers=28, num_heads=16, num_kv_heads=8, feedforward_width=3_072
    ),
    # Qwen/Qwen3-30B-A3B, config.json (Yang et al. 2025): 30,532,122,624 parameters, 3,353,032,704 active per token.
    "qwen3-30b-a3b": _qwen3(
        family="qwen3_moe",
        width=2_048,
        num_layers=48,
        num_heads=32,
        num_kv_heads=4,
        feedforward_width=768,
        num_experts=128,
        experts_per_token=8,
        tied_head=False,
    ),
    # google/gemma-2-2b, config.json (Gemma team 2024): 2,614,341,888 parameters. Every other block has no window.
    "gemma-2-2b": _gemma(
        family="gemma2",
        vocab_size=256_000,
        context_tokens=8_192,
        width=2_304,
        num_layers=26,
        num_heads=8,
        num_kv_heads=4,
        feedforward_width=9_216,
        window_tokens=4_096,
        full_every=2,
        score_softcap=50.0,
        logit_softcap=30.0,
    ),
    # google/gemma-3-270m, config.json (Gemma team 2025): 268,098,176 parameters, 168 million of them embedding.
    "gemma-3-270m": _gemma3(width=640, num_layers=18, feedforward_width=2_048),
    # google/gemma-3-1b-pt, config.json (Gemma team 2025): 999,885,952 parameters.
    "gemma-3-1b": _gemma3(width=1_152, num_layers=26, feedforward_width=6_912),
    # microsoft/Phi-3-mini-4k-instruct, config.json (Abdin et al. 2024): 3,821,079,552 parameters.
    "phi-3-mini-4k": ModelConfig(
        family="phi3",
        vocab_size=32_064,
        context_tokens=4_096,
        width=3_072,
        num_layers=32,
        num_heads=32,
        head_width=96,
        feedforward_width=8_192,
        window_tokens=2_047,
        tied_head=False,
    ),
    # allenai/OLMo-2-0425-1B, config.json (OLMo team 2025): 1,484,916,736 parameters. Norms after the parts only.
    "olmo-2-1b": ModelConfig(
        family="olmo2",
        vocab_size=100_352,
        context_tokens=4_096,
        width=2_048,
        num_layers=16,
        num_heads=16,
        head_width=128,
        feedforward_width=8_192,
        block="output",
        qk_norm="projection",
        norm_eps=1e-6,
        rope_base=500_000.0,
        tied_head=False,
    ),
}


def preset(name: str) -> ModelConfig:
    """Return the config of that name. Raises ModelError with the nearest names."""
    if name not in PRESETS:
        raise ModelError(f"No preset is called {name!r}.", fix=did_you_mean(name, PRESETS))
    return PRESETS[name]
