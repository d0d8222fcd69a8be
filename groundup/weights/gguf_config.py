"""GGUF metadata <-> ModelConfig.

A key of the architecture (`llama.*`) that is neither read nor listed as without effect could change
what is computed, so the file is refused. A float32 is read as the shortest decimal that gives it
(1e-05, not 9.999999747378752e-06).

Sliding windows: a pattern of n means that every n-th block attends to all tokens. Where llama.cpp
ignores the key but such models are trained with a window (Mistral, Phi-3), we apply it.

RoPE scaling has two kinds as metadata, one as a tensor:

    linear, yarn   `rope.scaling.*`. llama.cpp multiplies queries and keys by YaRN's 0.1 ln(factor)
                   + 1 and then by `attn_factor`: our attention factor divided by that.
    llama3         D/2 factors in `rope_freqs.weight`: unscaled frequency / scaled one. The four
                   parameters can't be recovered from them in general, so our files name them too,
                   under `groundup.rope_scaling.*`; other files must have those of Llama 3.1 or 3.2.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from groundup.errors import ConfigError, FormatError, did_you_mean
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.positions import attention_factor, rotary_frequencies
from groundup.weights.fields import MAX_LAYERS, Fields
from groundup.weights.gguf_architectures import (
    ARCHITECTURES,
    GGUFArchitecture,
    GGUFWindows,
    gguf_reason,
)
from groundup.weights.gguf_header import Header, TensorInfo

EMBEDDING, HEAD = "token_embd.weight", "output.weight"
ROPE_FACTORS, LONG_FACTORS = "rope_freqs.weight", "rope_factors_long.weight"
OUR_SCALING = "groundup.rope_scaling."
# The parameters of Llama 3's scaling; published are those of Llama 3.1 (8B, 70B, 405B) and 3.2 (1B,
# 3B), in meta-llama's repositories.
LLAMA3 = ("factor", "low_freq_factor", "high_freq_factor", "original_context_tokens")
BETAS = {"fast": 32.0, "slow": 1.0}  # llama.cpp's defaults of YaRN
KNOWN_SCALINGS: tuple[RopeScaling, ...] = (
    RopeScaling(8.0, 1.0, 4.0, 8192),
    RopeScaling(32.0, 1.0, 4.0, 8192),
)
WINDOW, PATTERN, BASE = (
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "rope.freq_base_swa",
)

# ModelConfig.norm -> its key.
NORM_EPS = {"rms": "attention.layer_norm_rms_epsilon", "layer": "attention.layer_norm_epsilon"}
# Keys that would change what is computed: only this value (or the absence) is supported.
REQUIRED_VALUES = {
    "attention.causal": True,
    "use_parallel_residual": False,
    "attention.clamp_kqv": 0.0,
    "attention.max_alibi_bias": 0.0,
    "rope.scaling.yarn_log_multiplier": 0.0,
}
NO_EFFECT = ("tensor_data_layout", "rope.scaling.finetuned", "rope.scaling.yarn_attn_factor")
SOFTCAPS = {"score_softcap": "attn_logit_softcapping", "logit_softcap": "final_logit_softcapping"}
# Fields of ModelConfig that are true when this tensor exists.
BIASES = {
    "attention_bias": "blk.0.attn_q.bias",
    "attention_output_bias": "blk.0.attn_output.bias",
    "feedforward_bias": "blk.0.ffn_up.bias",
}
# Architectures without sliding window in llama.cpp whose files may name one -> the family of such a
# model.
WINDOWED_FAMILIES = {"llama": "mistral", "phi3": "phi3"}


def read_gguf_config(header: Header, source: object) -> ModelConfig:
    """The config of metadata and tensor table, without Llama 3's RoPE scaling (`read_factors`).
    Raises FormatError.
    """
    fields = Fields(header.metadata, source)
    name = fields.text("general.architecture")
    if name not in ARCHITECTURES:
        raise _unknown(name, source)
    if header.metadata.get("split.count", 0) not in (0, 1):
        raise fields.error(
            "split.count", "the model is split over several files; whole ones are read"
        )
    inner = Fields(entries(header.metadata, name + "."), f"{source}: {name}")
    for key, value in REQUIRED_VALUES.items():
        inner.require(key, value)
    try:
        config = _read(inner, header.tensors, name, entries(header.metadata, OUR_SCALING))
    except ConfigError as error:
        raise FormatError(source, "metadata", error.message) from error
    unread = [key for key in inner.values if key not in inner.keys_read and key not in NO_EFFECT]
    if unread:
        raise inner.error(
            unread[0][:80], "is not understood, and could change what the model computes"
        )
    return config


def _unknown(name: str, source: object) -> FormatError:
    return FormatError(
        source,
        "general.architecture",
        f"is {name[:40]!r}; known are {', '.join(sorted(ARCHITECTURES))}",
        fix=f"{did_you_mean(name[:40], ARCHITECTURES)} To add one whose parts we have: an entry in "
        "groundup/weights/gguf_architectures.py, its tensors in names.py, and a parity test.",
    )


def entries(metadata: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries whose key begins with `prefix`, without it; floats as the shortest decimal, but
    those of OUR_SCALING, which are float64.
    """
    found = {
        key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)
    }
    if prefix == OUR_SCALING:
        return found
    floats = {key: shortest(value) for key, value in found.items() if isinstance(value, float)}
    return found | floats


def shortest(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(str(np.float32(value)))


def _read(
    fields: Fields, tensors: Mapping[str, TensorInfo], name: str, ours: Mapping[str, Any]
) -> ModelConfig:
    architecture = ARCHITECTURES[name]
    values: dict[str, Any] = {
        "family": architecture.family or name,
        **_counts(fields, tensors),
        **_parts(fields, tensors, architecture),
    }
    values |= _experts(fields, architecture, values["feedforward_width"])
    if LONG_FACTORS in tensors:
        raise fields.error(
            LONG_FACTORS, "is RoPE scaling of the kind longrope, which is not computed here"
        )
    if values["positions"] == "rope":
        values |= _rotary(fields, values)
        values["rope_scaling"] = _scaling(fields, values["context_tokens"], ours)
        values |= _windows(fields, name, values)
    config = ModelConfig(**values)
    if architecture.score_width(config) != config.head_width:
        config = replace(config, score_width=architecture.score_width(config))
    reason = gguf_reason(config)
    if reason:
        raise FormatError(fields.source, "metadata", reason)
    return config


def _counts(fields: Fields, tensors: Mapping[str, TensorInfo]) -> dict[str, int]:
    if EMBEDDING not in tensors or len(tensors[EMBEDDING].shape) != 2:
        raise fields.error(EMBEDDING, "is missing or not a matrix")
    vocab_size = tensors[EMBEDDING].shape[0]
    if fields.integer("vocab_size", vocab_size) != vocab_size:
        raise fields.error(
            "vocab_size", f"is {fields.values['vocab_size']}, {EMBEDDING} has {vocab_size} rows"
        )
    num_layers = fields.integer("block_count", high=MAX_LAYERS)
    if num_layers > len(tensors):
        raise fields.error(
            "block_count", f"is {num_layers}, but the file has {len(tensors)} tensors in all"
        )
    num_heads = fields.integer("attention.head_count")
    return {
        "vocab_size": vocab_size,
        "context_tokens": fields.integer("context_length"),
        "width": fields.integer("embedding_length"),
        "num_layers": num_layers,
        "num_heads": num_heads,
        "num_kv_heads": fields.integer("attention.head_count_kv", num_heads),
        "feedforward_width": fields.integer("feed_forward_length"),
        "tied_head": HEAD not in tensors,
    }


def _parts(
    fields: Fields, tensors: Mapping[str, TensorInfo], architecture: GGUFArchitecture
) -> dict[str, object]:
    parts = {field: values[0] for field, values in architecture.parts.items() if len(values) == 1}
    biases = {field: tensor in tensors for field, tensor in BIASES.items() if field not in parts}
    softcaps = {
        field: _softcap(fields, SOFTCAPS[field], default)
        for field, default in architecture.softcaps.items()
    }
    norm_eps = fields.number(NORM_EPS[str(parts["norm"])])
    return {**parts, **biases, **softcaps, "norm_eps": norm_eps}


def _softcap(fields: Fields, key: str, default: float) -> float:
    """0 for none, which is allowed only where the architecture's default is none."""
    if default == 0 and not fields.get(key, (int, float), "a number", 0):
        return 0.0
    return fields.number(key, default)


def _rotary(fields: Fields, common: Mapping[str, Any]) -> dict[str, float]:
    head_width = (
        fields.integer("attention.key_length", 0, low=0) or common["width"] // common["num_heads"]
    )
    for key in ("attention.value_length", "rope.dimension_count"):
        if fields.integer(key, head_width) != head_width:
            raise fields.error(
                key, f"is {fields.values[key]}; only the head width, {head_width}, is supported"
            )
    return {"head_width": head_width, "rope_base": fields.number("rope.freq_base", 10_000.0)}


def _experts(
    fields: Fields, architecture: GGUFArchitecture, feedforward_width: int
) -> dict[str, int]:
    """feed_forward_length is that of a block without experts."""
    if "num_experts" in architecture.parts:
        for key in ("expert_count", "expert_used_count"):
            fields.require(key, 0)
        return {}
    for key in ("expert_shared_count", "expert_shared_feed_forward_length"):
        fields.require(key, 0)
    used = fields.integer("expert_used_count")
    return {
        "num_experts": fields.integer("expert_count"),
        "experts_per_token": used,
        "feedforward_width": fields.integer(
            "expert_feed_forward_length", feedforward_width // used
        ),
    }


def _windows(fields: Fields, name: str, common: Mapping[str, Any]) -> dict[str, str | float]:
    """Which blocks have a sliding window; `common`: the fields read so far."""
    windows, context_tokens = ARCHITECTURES[name].windows, common["context_tokens"]
    if windows is None:
        tokens = fields.integer(WINDOW, context_tokens, low=0)
        if not 0 < tokens < context_tokens:
            return {}
        if name not in WINDOWED_FAMILIES:
            raise fields.error(WINDOW, f"is {tokens}; llama.cpp has no sliding window in {name!r}")
        return {"family": WINDOWED_FAMILIES[name], "window_tokens": tokens}
    tokens = fields.integer(WINDOW, windows.tokens, low=0)
    full_every = _pattern(fields, common["num_layers"], windows.full_every)
    base = _window_base(fields, windows, common)
    no_effect = windows.always and tokens >= context_tokens and base == 0
    if not tokens or full_every == 1 or no_effect:
        return {}
    return {"window_tokens": tokens, "full_every": full_every, "window_rope_base": base}


def _pattern(fields: Fields, num_layers: int, default: int) -> int:
    """Return the n of "every n-th block has no window"; 0: all have one."""
    value = fields.get(PATTERN, (int, list), "a number or a list of truth values", default)
    if isinstance(value, int):
        return fields.integer(PATTERN, default, low=0)
    if len(value) == num_layers and all(isinstance(item, bool) for item in value):
        every = 0
        if False in value:
            every = value.index(False) + 1
        if value == [every == 0 or (layer + 1) % every > 0 for layer in range(num_layers)]:
            return every
    reason = (
        f"is {str(value)[:60]}; every n-th block without a window, the others with one, is read"
    )
    raise fields.error(PATTERN, reason)


def _window_base(fields: Fields, windows: GGUFWindows, common: Mapping[str, Any]) -> float:
    """0 where the blocks with a window have the same rotary positions as all others."""
    base = others = float(common["rope_base"])
    if windows.own_base:
        base = fields.number(BASE, windows.rope_base or others)
    if base == others and (common["rope_scaling"] is None or windows.rope_scaled):
        return 0.0
    return base


def _scaling(fields: Fields, context_tokens: int, ours: Mapping[str, Any]) -> RopeScaling | None:
    factor = fields.number("rope.scaling.factor", 1.0)
    kind = fields.text("rope.scaling.type", "linear")
    original = fields.integer("rope.scaling.original_context_length", context_tokens)
    if kind == "yarn":
        fast, slow = (
            fields.number(f"rope.scaling.yarn_beta_{name}", beta) for name, beta in BETAS.items()
        )
        yarn = RopeScaling(
            factor, kind="yarn", original_context_tokens=original, beta_fast=fast, beta_slow=slow
        )
        return _with_attention_factor(yarn, fields.number("rope.scaling.attn_factor", 1.0), ours)
    fields.require("rope.scaling.attn_factor", 1.0)
    if kind not in ("none", "linear"):
        raise fields.error("rope.scaling.type", f"is {kind[:40]!r}; none, linear and yarn are read")
    if kind == "none" or factor == 1:
        return None
    return RopeScaling(factor, kind="linear", original_context_tokens=original)


def _with_attention_factor(
    yarn: RopeScaling, multiplier: float, ours: Mapping[str, Any]
) -> RopeScaling:
    """`multiplier` times the paper's factor; the full-precision value of `ours` where the two
    agree.
    """
    if multiplier == 1:
        return yarn
    factor = multiplier * attention_factor(yarn)
    exact = ours.get("attention_factor", factor)
    if isinstance(exact, float) and math.isclose(exact, factor, rel_tol=1e-6):
        factor = exact
    return replace(yarn, attention_factor=factor)


def add_config(writer: gguf.GGUFWriter, config: ModelConfig) -> None:
    """Write a config as metadata, with the keys of llama.cpp's own converter."""
    architecture = ARCHITECTURES[writer.arch]
    values: dict[str, Any] = {
        "context_length": config.context_tokens,
        "embedding_length": config.width,
        "feed_forward_length": max(1, config.experts_per_token) * config.feedforward_width,
    }
    if config.num_experts:
        values |= {
            "expert_count": config.num_experts,
            "expert_used_count": config.experts_per_token,
            "expert_feed_forward_length": config.feedforward_width,
        }
    values |= {
        "block_count": config.num_layers,
        "attention.head_count": config.num_heads,
        "vocab_size": config.vocab_size,
    }
    if config.positions != "rope":
        values["attention.layer_norm_epsilon"] = float(config.norm_eps)
    else:
        values |= {
            "attention.layer_norm_rms_epsilon": float(config.norm_eps),
            "attention.head_count_kv": config.num_kv_heads,
        }
        widths = ("attention.key_length", "attention.value_length", "rope.dimension_count")
        values |= {
            **dict.fromkeys(widths, config.head_width),
            "rope.freq_base": float(config.rope_base),
        }
        values |= {
            SOFTCAPS[name]: float(cap)
            for name in architecture.softcaps
            if (cap := getattr(config, name))
        }
        values |= _scaling_metadata(config.rope_scaling) | _window_metadata(
            config, architecture.windows
        )
    named = {
        key if key.startswith(OUR_SCALING) else f"{writer.arch}.{key}": value
        for key, value in values.items()
    }
    add_metadata(writer, named)


def add_metadata(writer: gguf.GGUFWriter, metadata: Mapping[str, object]) -> None:
    """Floats as float32, but those of OUR_SCALING."""
    writers = {
        bool: writer.add_bool,
        int: writer.add_uint32,
        float: writer.add_float32,
        str: writer.add_string,
    }
    for key, value in metadata.items():
        write = writers.get(type(value), writer.add_array)
        if key.startswith(OUR_SCALING) and isinstance(value, float):
            write = writer.add_float64
        write(key, value)


def _window_metadata(config: ModelConfig, windows: GGUFWindows | None) -> dict[str, object]:
    if windows is None or not (config.window_tokens or windows.always):
        return {}
    if not config.window_tokens:
        return {WINDOW: config.context_tokens, PATTERN: windows.full_every}
    values: dict[str, object] = {WINDOW: config.window_tokens, PATTERN: config.full_every}
    if windows.own_base:
        values[BASE] = float(config.window_rope_base or config.rope_base)
    return values


def _scaling_metadata(scaling: RopeScaling | None) -> dict[str, object]:
    """Of linear scaling and YaRN; of Llama 3's kind only our parameters, since `rope_factors` is
    its tensor.
    """
    if scaling is None:
        return {}
    if scaling.kind == "llama3":
        factors = {OUR_SCALING + name: float(getattr(scaling, name)) for name in LLAMA3[:3]}
        return {**factors, OUR_SCALING + LLAMA3[3]: scaling.original_context_tokens}
    values: dict[str, object] = {
        "rope.scaling.type": scaling.kind,
        "rope.scaling.factor": float(scaling.factor),
    }
    values["rope.scaling.original_context_length"] = scaling.original_context_tokens
    if scaling.kind == "yarn":
        betas = {"fast": float(scaling.beta_fast), "slow": float(scaling.beta_slow)}
        values |= {f"rope.scaling.yarn_beta_{name}": beta for name, beta in betas.items()}
        if scaling.attention_factor:
            multiplier = scaling.attention_factor / attention_factor(
                replace(scaling, attention_factor=0.0)
            )
            values |= {
                "rope.scaling.attn_factor": multiplier,
                OUR_SCALING + "attention_factor": float(scaling.attention_factor),
            }
    return values


def rope_factors(config: ModelConfig) -> Tensor | None:
    """`rope_freqs.weight`, the divisor of each of the D/2 frequencies; None: no such tensor."""
    scaling = config.rope_scaling
    if scaling is None or scaling.kind != "llama3":
        return None
    return _factors(config, scaling)


def _factors(config: ModelConfig, scaling: RopeScaling) -> Tensor:
    unscaled = rotary_frequencies(config.head_width, config.rope_base)
    return unscaled / rotary_frequencies(config.head_width, config.rope_base, scaling)


def read_factors(
    ours: Mapping[str, Any], factors: Tensor, config: ModelConfig, source: object
) -> RopeScaling:
    """The parameters with these factors; `ours`: the entries under OUR_SCALING. Raises
    FormatError.
    """
    scalings = KNOWN_SCALINGS
    if ours:
        scalings = (_named_scaling(Fields(ours, source)),)
    for scaling in scalings:
        expected = _factors(config, scaling)
        if expected.shape == factors.shape and torch.allclose(expected, factors, rtol=1e-4):
            return scaling
    raise FormatError(
        source,
        f"tensor {ROPE_FACTORS!r}",
        "has other factors than Llama 3.1, Llama 3.2 or the metadata",
    )


def _named_scaling(fields: Fields) -> RopeScaling:
    try:
        values: dict[str, Any] = {name: fields.number(name) for name in LLAMA3[:3]}
        return RopeScaling(**values, original_context_tokens=fields.integer(LLAMA3[3]))
    except ConfigError as error:
        raise FormatError(fields.source, "metadata", error.message) from error
