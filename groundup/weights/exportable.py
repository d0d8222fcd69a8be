"""What a model can be written as, said from its config alone: before weights are read, and by `model show` at once.

    gguf_reason(config)   None: llama.cpp and Ollama run it. Else one sentence: why they can't.
    hf_reason(config)     None: transformers and vLLM open its folder. Else why they don't (we open every folder of ours).

A model that llama.cpp would run as another model is refused. One is written although llama.cpp lacks a part of it: where an
architecture has no sliding window, the file's context ends where the window does, and within that the window hides nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from groundup.model.config import ModelConfig
from groundup.weights.gguf_architectures import ARCHITECTURES, Architecture, Windows
from groundup.weights.hf_config import has_class
from groundup.weights.hf_families import CLASS_NAMES, PARTS
from groundup.weights.names import GGUF_ARCHITECTURES


def gguf_reason(config: ModelConfig) -> str | None:
    """Why llama.cpp can't run this model, as one sentence; None: it can."""
    name = GGUF_ARCHITECTURES.get(config.family, "")
    architecture = ARCHITECTURES.get(name)
    if architecture is None:
        return f"llama.cpp runs {', '.join(ARCHITECTURES)}, and none of them is {config.family!r}."
    for field, values in architecture.parts.items():
        if getattr(config, field) not in values:
            can = " or ".join(map(_shown, values))
            return f"llama.cpp's {name} has {field} {can}; this model has {_shown(getattr(config, field))}."
    reason = next((reason for rule in _RULES if (reason := rule(config, architecture))), None)
    return reason and f"llama.cpp's {name} {reason}."


def _softcaps(config: ModelConfig, architecture: Architecture) -> str | None:
    missing = next((name for name, usual in architecture.softcaps.items() if usual and not getattr(config, name)), None)
    return missing and f"always has a {missing}; this model has none"


def _heads(config: ModelConfig, architecture: Architecture) -> str | None:
    all_heads = config.num_heads * config.head_width
    if architecture.heads_fill_width and all_heads != config.width:
        return f"needs heads that are together as wide as the stream, {config.width}; this model's are {all_heads}"
    if config.family == "gpt2" and config.num_kv_heads != config.num_heads:
        return f"has as many key/value heads as query heads, {config.num_heads}; this model has {config.num_kv_heads}"
    return None


def _scale(config: ModelConfig, architecture: Architecture) -> str | None:
    expected, found = architecture.score_width(config), config.score_width or config.head_width
    if expected != found:
        return f"divides scores by the root of {expected}; this model has score_width {found}"
    return None


def _stretching(config: ModelConfig, architecture: Architecture) -> str | None:
    scaling = config.rope_scaling
    if scaling and scaling.kind == "llama3" and not architecture.reads_factors:
        return "can't stretch positions as Llama 3 does; 'linear' and 'yarn' it can"
    fixed, betas = (32.0, 1.0), scaling and (scaling.beta_fast, scaling.beta_slow)
    if scaling and scaling.kind == "yarn" and betas != fixed:
        return f"has YaRN with beta_fast and beta_slow {fixed} only; this model has {betas}"
    return None


def _windows(config: ModelConfig, architecture: Architecture) -> str | None:
    if not config.window_tokens or config.full_every == 1:
        return None
    windows = architecture.windows or Windows(stretched=True, own_base=False)
    if not windows.own_base and config.window_rope_base not in (0, config.rope_base):
        return f"has one rotary base for all blocks; this model's blocks with a window have window_rope_base {config.window_rope_base:g}"
    scaling = config.rope_scaling
    if scaling and windows.stretched != (config.window_rope_base == 0):
        return f"{'stretches' if windows.stretched else 'does not stretch'} positions in blocks with a window, unlike this model"
    if scaling and scaling.attention_factor and windows.own_base and not windows.stretched:
        return "applies YaRN's attention factor in blocks with a window too, unlike this model"
    return None


_RULES: tuple[Callable[[ModelConfig, Architecture], str | None], ...] = (
    _softcaps,
    _heads,
    _scale,
    _stretching,
    _windows,
)


def as_llamacpp_runs(config: ModelConfig) -> ModelConfig:
    """The config that a GGUF file of this model says: a window that llama.cpp would pass over becomes the end of the context."""
    architecture = ARCHITECTURES[GGUF_ARCHITECTURES[config.family]]
    seen_through = config.full_every == 1 or config.window_tokens >= config.context_tokens
    if not config.window_tokens or (architecture.windows and config.full_every != 1):
        return config
    context_tokens = config.context_tokens if seen_through else config.window_tokens
    return replace(config, context_tokens=context_tokens, window_tokens=0, full_every=0, window_rope_base=0.0)


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
