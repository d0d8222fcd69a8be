"""RoPE scaling in a GGUF file: two kinds as metadata, one as a tensor.

linear, yarn   `rope.scaling.*`. llama.cpp multiplies queries and keys by YaRN's 0.1 ln(factor) + 1 and then by `attn_factor`, which is
               therefore our attention factor divided by that.
llama3         D/2 factors in `rope_freqs.weight`: unscaled frequency / scaled one. The four parameters can't be recovered from the factors in
               general, so our files name them too, under `groundup.rope_scaling.*`, which other programs ignore; in other files the
               factors must be those of a published model (Llama 3.1, 3.2). Factors that differ from the parameters are refused.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gguf
import torch
from torch import Tensor

from groundup.errors import ConfigError, FormatError
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.positions import attention_factor, rotary_frequencies
from groundup.weights.fields import Fields

ROPE_FACTORS = "rope_freqs.weight"
OUR_SCALING = "groundup.rope_scaling."

# Published parameters: Llama 3.1 (8B, 70B, 405B) and Llama 3.2 (1B, 3B), config.json of meta-llama's repositories.
KNOWN_SCALINGS = (RopeScaling(8.0, 1.0, 4.0, 8192), RopeScaling(32.0, 1.0, 4.0, 8192))


def read_rope_scaling(fields: Fields, context_tokens: int, ours: Mapping[str, Any]) -> RopeScaling | None:
    """Return the RoPE scaling of the metadata. `ours` are the entries under OUR_SCALING. Raises FormatError for an unsupported kind."""
    factor = fields.number("rope.scaling.factor", 1.0)
    kind = fields.text("rope.scaling.type", "linear")
    original = fields.integer("rope.scaling.original_context_length", context_tokens)
    if kind == "yarn":
        fast, slow = (
            fields.number("rope.scaling.yarn_beta_fast", 32.0),
            fields.number("rope.scaling.yarn_beta_slow", 1.0),
        )
        yarn = RopeScaling(factor, kind="yarn", original_context_tokens=original, beta_fast=fast, beta_slow=slow)
        return _with_attention_factor(yarn, fields.number("rope.scaling.attn_factor", 1.0), ours)
    fields.require("rope.scaling.attn_factor", 1.0, 1.0)
    if kind not in ("none", "linear"):
        raise fields.error("rope.scaling.type", f"is {kind[:40]!r}; none, linear and yarn are read")
    scaled = kind == "linear" and factor != 1
    return RopeScaling(factor, kind="linear", original_context_tokens=original) if scaled else None


def _with_attention_factor(yarn: RopeScaling, multiplier: float, ours: Mapping[str, Any]) -> RopeScaling:
    """Return `yarn` with `multiplier` times the paper's attention factor; the full-precision value of `ours` where the two agree."""
    factor = multiplier * attention_factor(yarn)
    exact = ours.get("attention_factor", factor)
    if isinstance(exact, float) and math.isclose(exact, factor, rel_tol=1e-6):
        factor = exact
    return yarn if multiplier == 1 else replace(yarn, attention_factor=factor)


def add_rope_scaling(writer: gguf.GGUFWriter, scaling: RopeScaling) -> None:
    """Write the metadata; for Llama 3's kind only our parameters, since `rope_factors` is its tensor."""
    if scaling.kind == "llama3":
        writer.add_float64(OUR_SCALING + "factor", scaling.factor)
        writer.add_float64(OUR_SCALING + "low_freq_factor", scaling.low_freq_factor)
        writer.add_float64(OUR_SCALING + "high_freq_factor", scaling.high_freq_factor)
        writer.add_uint32(OUR_SCALING + "original_context_tokens", scaling.original_context_tokens)
        return
    writer.add_rope_scaling_type(gguf.RopeScalingType(scaling.kind))
    writer.add_rope_scaling_factor(scaling.factor)
    writer.add_rope_scaling_orig_ctx_len(scaling.original_context_tokens)
    if scaling.kind == "yarn":
        writer.add_rope_scaling_yarn_beta_fast(scaling.beta_fast)
        writer.add_rope_scaling_yarn_beta_slow(scaling.beta_slow)
        if scaling.attention_factor:
            default = attention_factor(replace(scaling, attention_factor=0.0))
            writer.add_rope_scaling_attn_factors(scaling.attention_factor / default)
            writer.add_float64(OUR_SCALING + "attention_factor", scaling.attention_factor)


def rope_factors(config: ModelConfig) -> Tensor | None:
    """Return `rope_freqs.weight`, the divisor of each of the D/2 frequencies; None where the model needs no such tensor."""
    scaling = config.rope_scaling
    return None if scaling is None or scaling.kind != "llama3" else _factors(config, scaling)


def _factors(config: ModelConfig, scaling: RopeScaling) -> Tensor:
    unscaled = rotary_frequencies(config.head_width, config.rope_base)
    return unscaled / rotary_frequencies(config.head_width, config.rope_base, scaling)


def read_factors(ours: Mapping[str, Any], factors: Tensor, config: ModelConfig, source: object) -> RopeScaling:
    """Return the parameters with these factors. `ours` are the entries under OUR_SCALING. Raises FormatError when none match."""
    for scaling in [_named_scaling(Fields(ours, source))] if ours else KNOWN_SCALINGS:
        expected = _factors(config, scaling)
        if expected.shape == factors.shape and torch.allclose(expected, factors, rtol=1e-4):
            return scaling
    raise FormatError(source, f"tensor {ROPE_FACTORS!r}", "has other factors than Llama 3.1, Llama 3.2 or the metadata")


def _named_scaling(fields: Fields) -> RopeScaling:
    try:
        return RopeScaling(
            fields.number("factor"),
            fields.number("low_freq_factor"),
            fields.number("high_freq_factor"),
            fields.integer("original_context_tokens"),
        )
    except ConfigError as error:
        raise FormatError(fields.source, "metadata", error.message) from error
