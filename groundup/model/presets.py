"""Configs of models: known ones by name, and a family of any size by one rule.

shape_of_depth(4, vocab_size=4_096)             width, heads, feed-forward, context
shape_of_size(10_000_000, vocab_size=4_096)     the nearest depth and width of the family

Width is 128 (depth / 4)^(5/3), which fits well-trained models: the quickstart's 4 x 128, GPT-2's 12
x 768 (Radford et al. 2019), Llama's 32 x 4,096 (Touvron et al. 2023). Near the rule the loss hardly
depends on the ratio of width to depth (Kaplan et al. 2020, figure 5: a few percent over a factor of
ten). Heads are 64 wide, 32 below width 256; two or three share a key/value head where their number
is divisible (Ainslie et al. 2023). Feed-forward width is 8/3 of the width, so that SwiGLU's three
matrices have as many numbers as two of four times the width (Shazeer 2020). The context is about as
long as the width, as in GPT-2 (768, 1,024) and Llama 2 (4,096, 4,096).

To add a preset: an entry in PRESETS with its source, and its published count in
tests/model/test_presets.py.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from groundup.errors import ConfigError, ModelError, did_you_mean
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.sizes import parameter_count

# What the presets of a family have in common, besides the sizes.
_QWEN2: dict[str, Any] = {
    "family": "qwen2",
    "norm_eps": 1e-6,
    "rope_base": 1_000_000.0,
    "attention_bias": True,
}
_QWEN3: dict[str, Any] = {"norm_eps": 1e-6, "rope_base": 1_000_000.0, "qk_norm": "head"}
_GEMMA: dict[str, Any] = {
    "norm_eps": 1e-6,
    "scaled_embedding": True,
    "block": "sandwich",
    "feedforward": "geglu",
}
_GEMMA3 = _GEMMA | {
    "family": "gemma3",
    "qk_norm": "head",
    "rope_base": 1_000_000.0,
    "window_rope_base": 10_000.0,
}
_GEMMA3 |= {"window_tokens": 512, "full_every": 6}


def config_of(sizes: tuple[int, int, int, int, int, int, int, int], **choices: Any) -> ModelConfig:
    """Of vocabulary, context, width, layers, query heads, feed-forward, key/value heads, head
    width.
    """
    return ModelConfig(*sizes, **choices)


PRESETS: dict[str, ModelConfig] = {
    # Ours: 1.3 million parameters, trained in two minutes on two CPU cores. Rows of its matrices
    # are multiples of 32, which GGUF's q8_0 and q4_0 need, and its architecture is Llama's, which
    # llama.cpp and Ollama load.
    "quickstart": config_of((4_096, 128, 128, 4, 4, 384, 2, 32)),
    # Radford et al. 2019, the smallest of four, as released (github.com/openai/gpt-2, model 124M):
    # 124,439,808 parameters.
    "gpt2": config_of(
        (50_257, 1_024, 768, 12, 12, 3_072, 12, 64),
        family="gpt2",
        norm="layer",
        positions="learned",
        feedforward="gelu",
        attention_bias=True,
        attention_output_bias=True,
        feedforward_bias=True,
    ),
    # HuggingFaceTB/SmolLM2-135M, config.json (Allal et al. 2025); as in its GGUF's metadata:
    # 134,515,008 parameters.
    "smollm2-135m": config_of((49_152, 8_192, 576, 30, 9, 1_536, 3, 64), rope_base=100_000.0),
    # TinyLlama/TinyLlama-1.1B-Chat-v1.0, config.json (Zhang et al. 2024): 1,100,048,384 parameters.
    "tinyllama-1.1b": config_of((32_000, 2_048, 2_048, 22, 32, 5_632, 4, 64), tied_head=False),
    # meta-llama/Llama-3.2-1B, config.json (Llama 3.2 release, 2024): 1,235,814,400 parameters.
    "llama-3.2-1b": config_of(
        (128_256, 131_072, 2_048, 16, 32, 8_192, 8, 64),
        rope_base=500_000.0,
        rope_scaling=RopeScaling(factor=32.0),
    ),
    # meta-llama/Llama-3.1-8B, config.json (Llama team 2024): 8,030,261,248 parameters.
    "llama-3.1-8b": config_of(
        (128_256, 131_072, 4_096, 32, 32, 14_336, 8, 128),
        rope_base=500_000.0,
        rope_scaling=RopeScaling(factor=8.0),
        tied_head=False,
    ),
    # HuggingFaceTB/SmolLM3-3B, config.json (2025): 3,075,098,624 parameters. Every fourth block has
    # no rotary positions.
    "smollm3-3b": config_of(
        (128_256, 65_536, 2_048, 36, 16, 11_008, 4, 128),
        family="smollm3",
        norm_eps=1e-6,
        rope_base=5_000_000.0,
        unrotated_every=4,
    ),
    # mistralai/Mistral-7B-v0.1, config.json (Jiang et al. 2023): 7,241,732,096 parameters.
    "mistral-7b": config_of(
        (32_000, 32_768, 4_096, 32, 32, 14_336, 8, 128),
        family="mistral",
        window_tokens=4_096,
        tied_head=False,
    ),
    # Qwen/Qwen2.5-0.5B, config.json (Qwen team 2024): 494,032,768 parameters.
    "qwen2.5-0.5b": config_of((151_936, 32_768, 896, 24, 14, 4_864, 2, 64), **_QWEN2),
    # Qwen/Qwen2.5-1.5B-Instruct, config.json (Qwen team 2024): 1,543,714,304 parameters.
    "qwen2.5-1.5b": config_of((151_936, 32_768, 1_536, 28, 12, 8_960, 2, 128), **_QWEN2),
    # Qwen/Qwen3-0.6B, config.json (Yang et al. 2025): 596,049,920 parameters. Heads are wider than
    # width / num_heads.
    "qwen3-0.6b": config_of(
        (151_936, 40_960, 1_024, 28, 16, 3_072, 8, 128), family="qwen3", **_QWEN3
    ),
    # Qwen/Qwen3-30B-A3B, config.json (Yang et al. 2025): 30,532,122,624 parameters, 3,353,032,704
    # active per token.
    "qwen3-30b-a3b": config_of(
        (151_936, 40_960, 2_048, 48, 32, 768, 4, 128),
        family="qwen3_moe",
        num_experts=128,
        experts_per_token=8,
        tied_head=False,
        **_QWEN3,
    ),
    # google/gemma-2-2b, config.json (Gemma team 2024): 2,614,341,888 parameters. Every other block
    # has no window.
    "gemma-2-2b": config_of(
        (256_000, 8_192, 2_304, 26, 8, 9_216, 4, 256),
        family="gemma2",
        window_tokens=4_096,
        full_every=2,
        score_softcap=50.0,
        logit_softcap=30.0,
        **_GEMMA,
    ),
    # google/gemma-3-270m, config.json (Gemma team 2025): 268,098,176 parameters, 168 million of
    # them embedding.
    "gemma-3-270m": config_of((262_144, 32_768, 640, 18, 4, 2_048, 1, 256), **_GEMMA3),
    # google/gemma-3-1b-pt, config.json (Gemma team 2025): 999,885,952 parameters.
    "gemma-3-1b": config_of((262_144, 32_768, 1_152, 26, 4, 6_912, 1, 256), **_GEMMA3),
    # microsoft/Phi-3-mini-4k-instruct, config.json (Abdin et al. 2024): 3,821,079,552 parameters.
    "phi-3-mini-4k": config_of(
        (32_064, 4_096, 3_072, 32, 32, 8_192, 32, 96),
        family="phi3",
        window_tokens=2_047,
        tied_head=False,
    ),
    # allenai/OLMo-2-0425-1B, config.json (OLMo team 2025): 1,484,916,736 parameters. Norms after
    # the parts only.
    "olmo-2-1b": config_of(
        (100_352, 4_096, 2_048, 16, 16, 8_192, 16, 128),
        family="olmo2",
        block="output",
        qk_norm="projection",
        norm_eps=1e-6,
        rope_base=500_000.0,
        tied_head=False,
    ),
}


def preset(name: str) -> ModelConfig:
    """Raises ModelError with the nearest names."""
    if name not in PRESETS:
        raise ModelError(f"No preset is called {name!r}.", fix=did_you_mean(name, PRESETS))
    return PRESETS[name]


MAX_DEPTH = 64
# The smallest model of the rule, and the exponent of width over depth.
FIRST_DEPTH, FIRST_WIDTH, POWER = 4, 128, 5 / 3
NARROW_WIDTH = 256
"""Below, heads are 32 wide and the width is a multiple of 32 (a block of q8_0); from here both are
64.
"""
WIDE_WIDTH = 1_024
"""From here the width is a multiple of 128, and the feed-forward width of 256 as in Llama; below,
of 64.
"""
SHORTEST_CONTEXT, LONGEST_CONTEXT = 128, 4_096
# The largest factor between the width and the rule in `shape_of_size`, and the tolerance of the
# size.
WIDTH_SPREAD, NEAR = 1.5, 0.06
# The number of shapes that are counted exactly, after all have been estimated.
LIKELY = 60
UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}
_SIZE = re.compile(r"(\d{1,12}(?:[_,]\d{3})*(?:\.\d{1,6})?)\s*([kmbg]?)", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Parameters, from 10M, 1.5B, 300k or 124439808. Raises ConfigError."""
    match, size = _SIZE.fullmatch(text.strip()), 0
    if match:
        size = int(float(re.sub("[_,]", "", match[1])) * UNITS[match[2].lower()])
    if not size:
        raise ConfigError(
            f"The size {text!r} can't be read, expected parameters as a number with k, M or B.",
            fix="Write it as 10M.",
        )
    return size


def shape_of_depth(
    depth: int, *, vocab_size: int, context_tokens: int | None = None
) -> ModelConfig:
    """Raises ConfigError outside of 1 .. 64 blocks."""
    if not 1 <= depth <= MAX_DEPTH:
        raise ConfigError(f"depth must be 1 to {MAX_DEPTH} (got {depth}).")
    return shape_of(depth, round_width(ideal_width(depth)), vocab_size, context_tokens)


def shape_of_size(
    parameters: int, *, vocab_size: int, context_tokens: int | None = None
) -> ModelConfig:
    """The shape nearest to the rule of those with about so many parameters. Raises ConfigError."""
    likely = sorted(
        _near_rule(),
        key=lambda each: _distance(_estimate(each[0], each[1], vocab_size), parameters),
    )
    shapes = [shape_of(*each, vocab_size, context_tokens) for each in likely[:LIKELY]]
    return nearest_shape(parameters, shapes)


def nearest_shape(parameters: int, shapes: Sequence[ModelConfig]) -> ModelConfig:
    """Of those with about so many parameters the one nearest to the rule. Raises ConfigError where
    none has.
    """
    distances = [_distance(parameter_count(shape).total, parameters) for shape in shapes]
    nearest = shapes[distances.index(min(distances))]
    if min(distances) > math.log(WIDTH_SPREAD):
        raise ConfigError(
            f"No shape has about {parameters:,} parameters; with "
            f"{nearest.vocab_size:,} ids the nearest has {parameter_count(nearest).total:,}.",
            fix="Choose another size, or another vocabulary (model.vocab_size).",
        )
    pairs = zip(shapes, distances, strict=True)
    near = [shape for shape, distance in pairs if distance < NEAR] or [nearest]
    return min(near, key=lambda shape: abs(math.log(shape.width / ideal_width(shape.num_layers))))


def _distance(count: int, parameters: int) -> float:
    return abs(math.log(count / parameters))


def ideal_width(depth: int) -> float:
    """The rule's, not rounded."""
    return FIRST_WIDTH * (depth / FIRST_DEPTH) ** POWER


def _near_rule() -> list[tuple[int, int]]:
    """(Depth, width) of all shapes with a width of 2/3 to 3/2 of the rule's."""
    shapes = []
    for depth in range(1, MAX_DEPTH + 1):
        low = round_width(ideal_width(depth) / WIDTH_SPREAD)
        high = round_width(ideal_width(depth) * WIDTH_SPREAD)
        widths = [width for width in range(low, high + 1, 32) if width == round_width(float(width))]
        shapes += [(depth, width) for width in widths]
    return shapes


def _estimate(depth: int, width: int, vocab_size: int) -> int:
    """The embedding, and per block 3 C^2 of attention and 8 C^2 of feed-forward."""
    return vocab_size * width + 11 * depth * width**2


def round_width(width: float) -> int:
    """To a whole number of heads."""
    step = 128
    if width < NARROW_WIDTH:
        step = 32
    elif width < WIDE_WIDTH:
        step = 64
    return max(step, step * round(width / step))


def shape_of(
    depth: int, width: int, vocab_size: int, context_tokens: int | None = None
) -> ModelConfig:
    """Raises ConfigError for a width that is not a whole number of heads."""
    nearest = round_width(float(width))
    if width != nearest:
        raise ConfigError(
            f"A width of {width} is not a whole number of heads.", fix=f"The nearest is {nearest}."
        )
    head_width = 32 if width < NARROW_WIDTH else 64
    step = 64 if width < WIDE_WIDTH else 256
    heads = width // head_width
    return ModelConfig(
        vocab_size=vocab_size,
        context_tokens=context_tokens or context_of(width),
        width=width,
        num_layers=depth,
        num_heads=heads,
        num_kv_heads=heads // next((sharing for sharing in (2, 3) if heads % sharing == 0), 1),
        head_width=head_width,
        feedforward_width=step * math.ceil(8 / 3 * width / step),
    )


def context_of(width: int) -> int:
    """The power of two at or above the width, within bounds."""
    return min(LONGEST_CONTEXT, max(SHORTEST_CONTEXT, 2 ** math.ceil(math.log2(width))))
