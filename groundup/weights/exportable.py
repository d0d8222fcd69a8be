"""What a model can be written as, said from its config alone: before weights are read, and by `model show` at once.

    gguf_reason(config)   None: llama.cpp and Ollama run it. Else one sentence: why they can't.
    hf_reason(config)     None: transformers and vLLM open its folder. Else why they don't (we open every folder of ours).

llama.cpp has a fixed program for each architecture; what that program computes stands here as data, field by field, and a model that
says anything else is refused rather than run as another model. Source: llama.cpp's `src/llama-model.cpp` and `src/models/`, and runs of it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from groundup.model.config import ModelConfig
from groundup.weights.names import GGUF_ARCHITECTURES
from groundup.weights.shape import CLASS_NAMES, PARTS, has_class

EITHER = (False, True)
_NO_BIAS = {"attention_bias": (False,), "attention_output_bias": (False,), "feedforward_bias": (False,)}
_ANY_BIAS = dict.fromkeys(_NO_BIAS, EITHER)
_ROTARY: dict[str, tuple[object, ...]] = {
    "norm": ("rms",),
    "block": ("pre",),
    "positions": ("rope",),
    "feedforward": ("swiglu",),
    "qk_norm": ("none",),
    "num_experts": (0,),
    "unrotated_every": (0,),
    "score_softcap": (0.0,),
    "logit_softcap": (0.0,),
    "scaled_embedding": (False,),
    **_NO_BIAS,
}

# Architecture -> field -> the values of it that llama.cpp computes. A field that is not named is free, or has a rule below.
GGUF_PARTS: dict[str, Mapping[str, tuple[object, ...]]] = {
    "llama": {**_ROTARY, **_ANY_BIAS},
    "smollm3": {**_ROTARY, "unrotated_every": (4,)},
    "qwen2": {**_ROTARY, "attention_bias": (True,)},
    "qwen3": {**_ROTARY, "qk_norm": ("head",)},
    "phi3": _ROTARY,
    "olmo2": {**_ROTARY, "block": ("output",), "qk_norm": ("projection",)},
    "gpt2": {
        **_ROTARY,
        **dict.fromkeys(_NO_BIAS, (True,)),
        "norm": ("layer",),
        "positions": ("learned",),
        "feedforward": ("gelu",),
    },
}


def gguf_reason(config: ModelConfig) -> str | None:
    """Why llama.cpp can't run this model, as one sentence; None: it can."""
    architecture = GGUF_ARCHITECTURES.get(config.family)
    if architecture not in GGUF_PARTS:
        return f"llama.cpp runs {', '.join(GGUF_PARTS)}, and none of them is {config.family!r}."
    for field, values in GGUF_PARTS[architecture].items():
        if getattr(config, field) not in values:
            can = " or ".join(map(_shown, values))
            return f"llama.cpp's architecture {architecture!r} has {field} {can}; this model has {_shown(getattr(config, field))}."
    return next((reason for rule in RULES if (reason := rule(config, architecture))), None)


def _heads(config: ModelConfig, architecture: str) -> str | None:
    if architecture == "gpt2" and (config.num_kv_heads, config.head_width * config.num_heads) != (
        config.num_heads,
        config.width,
    ):
        return "llama.cpp's architecture 'gpt2' has as many key/value heads as query heads, and heads as wide as the model together."
    return None


def _window(config: ModelConfig, architecture: str) -> str | None:
    if config.window_tokens and config.window_tokens < config.context_tokens:
        return f"llama.cpp's architecture {architecture!r} has no sliding window; this model's is {config.window_tokens} tokens."
    return None


def _scale(config: ModelConfig, architecture: str) -> str | None:
    if config.score_width not in (0, config.head_width):
        return (
            f"llama.cpp's architecture {architecture!r} divides scores by the root of {config.head_width}, the head width; "
            f"this model has score_width {config.score_width}."
        )
    return None


def _stretching(config: ModelConfig, architecture: str) -> str | None:
    kind = config.rope_scaling.kind if config.rope_scaling else "llama3"
    if config.rope_scaling and (architecture != "llama" or kind != "llama3"):
        return f"llama.cpp reads Llama 3's stretched positions for 'llama' only; this model's are {kind}, in {architecture!r}."
    return None


RULES: tuple[Callable[[ModelConfig, str], str | None], ...] = (_heads, _window, _scale, _stretching)


def hf_reason(config: ModelConfig) -> str | None:
    """Why no class of transformers computes this model, as one sentence; None: one does."""
    if config.family in PARTS and has_class(config):
        return None
    wanted: Mapping[str, Any] = PARTS.get(config.family, {})
    other = next((field for field, value in wanted.items() if getattr(config, field) != value), None)
    name = CLASS_NAMES.get(config.family, config.family)
    if other is None:
        return f"No class of transformers has the parts of this model; {name} is the nearest by its family."
    return f"transformers' {name} has {other} {_shown(wanted[other])}; this model has {_shown(getattr(config, other))}."


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
