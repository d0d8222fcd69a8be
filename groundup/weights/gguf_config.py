"""GGUF metadata <-> ModelConfig.

Reading is strict: every entry of the architecture (`llama.*`) must have been asked for by the time the config is complete, or be one that
changes nothing. What is left over would change what is computed, and is refused by name.

Metadata hold float32; a number read back is the shortest decimal that gives the same float32 (1e-05, not 9.999999747378752e-06).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gguf
import numpy as np

from groundup.errors import ConfigError, FormatError, did_you_mean
from groundup.model.config import ModelConfig
from groundup.weights.exportable import gguf_reason
from groundup.weights.fields import MAX_LAYERS, Fields
from groundup.weights.gguf_architectures import ARCHITECTURES, Architecture
from groundup.weights.gguf_header import Header, TensorInfo
from groundup.weights.gguf_scaling import OUR_SCALING, add_stretching, read_stretching
from groundup.weights.gguf_windows import add_windows, read_windows

EMBEDDING, HEAD = "token_embd.weight", "output.weight"
LONG_FACTORS = "rope_factors_long.weight"

# Metadata that would change what is computed: only this value (or the absence) is supported.
NEUTRAL = {
    "attention.causal": True,
    "use_parallel_residual": False,
    "attention.clamp_kqv": 0.0,
    "attention.max_alibi_bias": 0.0,
    "rope.scaling.yarn_log_multiplier": 0.0,
}
# Metadata that change nothing.
IDLE = ("tensor_data_layout", "rope.scaling.finetuned", "rope.scaling.yarn_attn_factor")
SOFTCAPS = {"score_softcap": "attn_logit_softcapping", "logit_softcap": "final_logit_softcapping"}
# A tensor that is there only with the choice that the field names.
BIASES = {
    "attention_bias": "blk.0.attn_q.bias",
    "attention_output_bias": "blk.0.attn_output.bias",
    "feedforward_bias": "blk.0.ffn_up.bias",
}


def read_gguf_config(header: Header, source: object) -> ModelConfig:
    """The shape that metadata and table describe (without Llama 3's stretching, see `gguf_scaling.read_factors`). Raises FormatError."""
    fields = Fields(header.metadata, source)
    name = fields.text("general.architecture")
    if name not in ARCHITECTURES:
        raise _unknown(name, source)
    if header.metadata.get("split.count", 0) not in (0, 1):
        raise fields.error("split.count", "the model is split over several files; whole ones are read")
    inner = Fields(entries(header.metadata, name + "."), f"{source}: {name}")
    for key, value in NEUTRAL.items():
        inner.require(key, value, value)
    try:
        config = _read(inner, header.tensors, name, our_scaling(header.metadata))
    except ConfigError as error:
        raise FormatError(source, "metadata", error.message) from error
    _refuse_rest(inner)
    return config


def _unknown(name: str, source: object) -> FormatError:
    return FormatError(
        source,
        "general.architecture",
        f"is {name[:40]!r}; known are {', '.join(sorted(ARCHITECTURES))}",
        fix=f"{did_you_mean(name[:40], ARCHITECTURES)} To add one whose parts we have: an entry in "
        "groundup/weights/gguf_architectures.py, its tensors in layouts.py, and a parity test.",
    )


def entries(metadata: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The entries that begin so, without the prefix, floats as the shortest decimal."""
    return {
        key.removeprefix(prefix): shortest(value) if isinstance(value, float) else value
        for key, value in metadata.items()
        if key.startswith(prefix)
    }


def our_scaling(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What a file of ours says of the stretching of positions, in full precision."""
    return {key.removeprefix(OUR_SCALING): value for key, value in metadata.items() if key.startswith(OUR_SCALING)}


def shortest(value: float) -> float:
    """The shortest decimal with the same float32."""
    with np.errstate(over="ignore"):
        return float(str(np.float32(value)))


def _refuse_rest(fields: Fields) -> None:
    left = [key for key in fields.values if key not in fields.asked and key not in IDLE]
    if left:
        raise fields.error(left[0][:80], "is not understood, and could change what the model computes")


def _read(fields: Fields, tensors: Mapping[str, TensorInfo], name: str, ours: Mapping[str, Any]) -> ModelConfig:
    architecture = ARCHITECTURES[name]
    values = {
        "family": architecture.family or name,
        **_counts(fields, tensors),
        **_parts(fields, tensors, architecture),
    }
    values |= _experts(fields, architecture, values["feedforward_width"])
    if LONG_FACTORS in tensors:
        raise fields.error(LONG_FACTORS, "stretches positions as longrope does, which is not computed here")
    if values["positions"] == "rope":
        values |= _rotary(fields, values)
        values["rope_scaling"] = read_stretching(fields, values["context_tokens"], ours)
        values |= read_windows(fields, name, values)
    config = ModelConfig(**values)
    if architecture.score_width(config) != config.head_width:
        config = replace(config, score_width=architecture.score_width(config))
    reason = gguf_reason(config)
    if reason:
        raise FormatError(fields.source, "metadata", reason)
    return config


def _counts(fields: Fields, tensors: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """What all architectures say alike."""
    if EMBEDDING not in tensors or len(tensors[EMBEDDING].shape) != 2:
        raise fields.error(EMBEDDING, "is missing or no matrix")
    vocab_size = tensors[EMBEDDING].shape[0]
    if fields.integer("vocab_size", vocab_size) != vocab_size:
        raise fields.error("vocab_size", f"is {fields.values['vocab_size']}, {EMBEDDING} has {vocab_size} rows")
    num_layers = fields.integer("block_count", high=MAX_LAYERS)
    if num_layers > len(tensors):
        raise fields.error("block_count", f"is {num_layers}, but the file has {len(tensors)} tensors in all")
    num_heads = fields.integer("attention.head_count")
    return {
        "vocab_size": fields.integer("vocab_size", vocab_size),
        "context_tokens": fields.integer("context_length"),
        "width": fields.integer("embedding_length"),
        "num_layers": num_layers,
        "num_heads": num_heads,
        "num_kv_heads": fields.integer("attention.head_count_kv", num_heads),
        "feedforward_width": fields.integer("feed_forward_length"),
        "tied_head": HEAD not in tensors,
    }


def _parts(fields: Fields, tensors: Mapping[str, TensorInfo], architecture: Architecture) -> dict[str, Any]:
    """The parts that the architecture is made of, and those of its choices that the file makes."""
    parts = {field: values[0] for field, values in architecture.parts.items() if len(values) == 1}
    biases = {field: tensor in tensors for field, tensor in BIASES.items() if field not in parts}
    softcaps = {field: _softcap(fields, SOFTCAPS[field], usual) for field, usual in architecture.softcaps.items()}
    kind = "layer_norm_rms_epsilon" if parts["norm"] == "rms" else "layer_norm_epsilon"
    return {**parts, **biases, **softcaps, "norm_eps": fields.number(f"attention.{kind}")}


def _softcap(fields: Fields, key: str, usual: float) -> float:
    """0 where there is none, which only an architecture that usually has none can say."""
    none = usual == 0 and not fields.get(key, (int, float), "a number", 0)
    return 0.0 if none else fields.number(key, usual)


def _rotary(fields: Fields, common: Mapping[str, Any]) -> dict[str, Any]:
    head_width = fields.integer("attention.key_length", 0, low=0) or common["width"] // common["num_heads"]
    for key in ("attention.value_length", "rope.dimension_count"):
        if fields.integer(key, head_width) != head_width:
            raise fields.error(key, f"is {fields.values[key]}; only the head width, {head_width}, is supported")
    return {"head_width": head_width, "rope_base": fields.number("rope.freq_base", 10_000.0)}


def _experts(fields: Fields, architecture: Architecture, feedforward_width: int) -> dict[str, Any]:
    """How many there are, and each one's width; feed_forward_length is that of a block without experts."""
    if "num_experts" in architecture.parts:
        for key in ("expert_count", "expert_used_count"):
            fields.require(key, 0, 0)
        return {}
    for key in ("expert_shared_count", "expert_shared_feed_forward_length"):
        fields.require(key, 0, 0)
    used = fields.integer("expert_used_count")
    return {
        "num_experts": fields.integer("expert_count"),
        "experts_per_token": used,
        "feedforward_width": fields.integer("expert_feed_forward_length", feedforward_width // used),
    }


def add_config(writer: gguf.GGUFWriter, config: ModelConfig) -> None:
    """Write a config as metadata, as llama.cpp's own converter names them."""
    architecture = ARCHITECTURES[writer.arch]
    writer.add_context_length(config.context_tokens)
    writer.add_embedding_length(config.width)
    writer.add_feed_forward_length(max(1, config.experts_per_token) * config.feedforward_width)
    if config.num_experts:
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.experts_per_token)
        writer.add_expert_feed_forward_length(config.feedforward_width)
    writer.add_block_count(config.num_layers)
    writer.add_head_count(config.num_heads)
    writer.add_vocab_size(config.vocab_size)
    if config.positions != "rope":
        writer.add_layer_norm_eps(config.norm_eps)
        return
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_key_length(config.head_width)
    writer.add_value_length(config.head_width)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_base)
    for field in (name for name in architecture.softcaps if getattr(config, name)):
        writer.add_float32(f"{writer.arch}.{SOFTCAPS[field]}", getattr(config, field))
    if config.rope_scaling is not None:
        add_stretching(writer, config.rope_scaling)
    if architecture.windows is not None:
        add_windows(writer, config, architecture.windows)
