"""Which formats can hold a model, decided from its config alone, before weights are read.

    gguf_reason(config)   None: llama.cpp and Ollama run it. Else why they can't, in one sentence.
    hf_reason(config)     None: transformers and vLLM open its folder. Else why they can't (we open every folder of ours).

A model that llama.cpp would compute differently is refused. One exception: where an architecture has no sliding window, the file's
context is shortened to the window, within which both compute the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from groundup.model.config import ModelConfig
from groundup.weights.gguf_architectures import ARCHITECTURES, GGUF_ARCHITECTURES, Architecture, Windows
from groundup.weights.hf_config import has_class
from groundup.weights.hf_families import CLASS_NAMES, PARTS


def gguf_reason(config: ModelConfig) -> str | None:
    """Return why llama.cpp can't run this model, as one sentence; None: it can."""
    name = GGUF_ARCHITECTURES.get(config.family, "")
    architecture = ARCHITECTURES.get(name)
    if architecture is None:
        return f"llama.cpp runs {', '.join(ARCHITECTURES)}, and none of them is {config.family!r}."
    for field, values in architecture.parts.items():
        if getattr(config, field) not in values:
            supported = " or ".join(map(_shown, values))
            return f"llama.cpp's {name} has {field} {supported}; this model has {_shown(getattr(config, field))}."
    reason = next((reason for rule in _RULES if (reason := rule(config, architecture))), None)
    return reason and f"llama.cpp's {name} {reason}."


def _softcaps(config: ModelConfig, architecture: Architecture) -> str | None:
    missing = next((name for name, cap in architecture.softcaps.items() if cap and not getattr(config, name)), None)
    return missing and f"always has a {missing}; this model has none"


def _heads(config: ModelConfig, architecture: Architecture) -> str | None:
    all_heads = config.num_heads * config.head_width
    if architecture.heads_fill_width and all_heads != config.width:
        return f"needs heads as wide together as the residual stream, {config.width}; this model's are {all_heads}"
    if config.family == "gpt2" and config.num_kv_heads != config.num_heads:
        return f"has as many key/value heads as query heads, {config.num_heads}; this model has {config.num_kv_heads}"
    return None


def _scale(config: ModelConfig, architecture: Architecture) -> str | None:
    expected, found = architecture.score_width(config), config.score_width or config.head_width
    if expected != found:
        return f"divides attention scores by the square root of {expected}; this model has score_width {found}"
    return None


def _rope_scaling(config: ModelConfig, architecture: Architecture) -> str | None:
    scaling = config.rope_scaling
    if scaling and scaling.kind == "llama3" and not architecture.reads_factors:
        return "has no RoPE scaling of kind 'llama3', only 'linear' and 'yarn'"
    supported, betas = (32.0, 1.0), scaling and (scaling.beta_fast, scaling.beta_slow)
    if scaling and scaling.kind == "yarn" and betas != supported:
        return f"has YaRN with beta_fast and beta_slow {supported} only; this model has {betas}"
    return None


def _windows(config: ModelConfig, architecture: Architecture) -> str | None:
    if not config.window_tokens or config.full_every == 1:
        return None
    windows = architecture.windows or Windows(rope_scaled=True, own_base=False)
    if not windows.own_base and config.window_rope_base not in (0, config.rope_base):
        return f"has one RoPE base for all blocks; this model's blocks with a window have window_rope_base {config.window_rope_base:g}"
    scaling = config.rope_scaling
    if scaling and windows.rope_scaled != (config.window_rope_base == 0):
        return f"{'applies' if windows.rope_scaled else 'does not apply'} RoPE scaling in blocks with a window, unlike this model"
    if scaling and scaling.attention_factor and windows.own_base and not windows.rope_scaled:
        return "applies YaRN's attention factor in blocks with a window too, unlike this model"
    return None


_RULES: tuple[Callable[[ModelConfig, Architecture], str | None], ...]
_RULES = (_softcaps, _heads, _scale, _rope_scaling, _windows)


def as_llamacpp_runs(config: ModelConfig) -> ModelConfig:
    """Return the config for a GGUF file of this model: a window that llama.cpp would ignore becomes the context length."""
    architecture = ARCHITECTURES[GGUF_ARCHITECTURES[config.family]]
    if not config.window_tokens or (architecture.windows and config.full_every != 1):
        return config
    no_effect = config.full_every == 1 or config.window_tokens >= config.context_tokens
    context_tokens = config.context_tokens if no_effect else config.window_tokens
    return replace(config, context_tokens=context_tokens, window_tokens=0, full_every=0, window_rope_base=0.0)


def hf_reason(config: ModelConfig) -> str | None:
    """Return why no class of transformers computes this model, as one sentence; None: one does."""
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
