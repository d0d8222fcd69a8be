"""GGUF metadata <-> ModelConfig, and Llama 3's stretched positions, which a GGUF holds as a tensor.

llama.cpp takes the stretching as D/2 factors in `rope_freqs.weight`: plain frequency divided by stretched one. The four parameters
can't be read back from the factors in general, so a file of ours names them too, under `groundup.rope_scaling.*`, which other programs pass over;
in another's file the factors must be those of a published model (Llama 3.1, 3.2). Either way the factors are compared with what
the parameters give, and a file whose factors say something else is refused.

Metadata hold float32; a number read back is the shortest decimal that gives the same float32 (1e-05, not 9.999999747378752e-06).
"""

from collections.abc import Mapping
from typing import Any

import gguf
import numpy as np
import torch
from torch import Tensor

from groundup.errors import ConfigError, FormatError
from groundup.model.config import ModelConfig, RopeScaling
from groundup.model.positions import rotary_frequencies
from groundup.weights.fields import MAX_LAYERS, Fields
from groundup.weights.gguf_header import Header, TensorInfo
from groundup.weights.shape import PARTS

ROPE_FACTORS = "rope_freqs.weight"
EMBEDDING, HEAD = "token_embd.weight", "output.weight"
OUR_SCALING = "groundup.rope_scaling."

# Published parameters: Llama 3.1 (8B, 70B, 405B) and Llama 3.2 (1B, 3B), config.json of meta-llama's repositories.
KNOWN_SCALINGS = (RopeScaling(8.0, 1.0, 4.0, 8192), RopeScaling(32.0, 1.0, 4.0, 8192))

# Metadata that would change what is computed: only this value (or the absence) is supported.
UNSUPPORTED = {"rope.scaling.type": "none", "expert_count": 0, "attention.causal": True, "use_parallel_residual": False}


def read_gguf_config(header: Header, source: object) -> ModelConfig:
    """The shape that metadata and table describe (without stretching, see `read_scaling`). Raises FormatError."""
    fields = Fields(header.metadata, source)
    architecture = fields.text("general.architecture")
    if architecture not in PARTS or architecture == "mistral":
        known = sorted(set(PARTS) - {"mistral"})
        raise fields.error("general.architecture", f"is {architecture[:40]!r}; known are {', '.join(known)}")
    if header.metadata.get("split.count", 0) not in (0, 1):
        raise fields.error("split.count", "the model is split over several files; whole ones are read")
    for key, value in UNSUPPORTED.items():
        fields.require(f"{architecture}.{key}", value, value)
    inner = Fields(_of(header.metadata, architecture), f"{source}: {architecture}")
    try:
        return (_read_gpt2 if architecture == "gpt2" else _read_rotary)(inner, header.tensors, architecture)
    except ConfigError as error:
        raise FormatError(source, "metadata", error.message) from error


def _of(metadata: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """The entries `llama.*` without their prefix, floats as the shortest decimal."""
    prefix = architecture + "."
    return {
        key.removeprefix(prefix): shortest(value) if isinstance(value, float) else value
        for key, value in metadata.items()
        if key.startswith(prefix)
    }


def shortest(value: float) -> float:
    """The shortest decimal with the same float32."""
    with np.errstate(over="ignore"):
        return float(str(np.float32(value)))


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
    return {
        "vocab_size": fields.integer("vocab_size", vocab_size),
        "context_tokens": fields.integer("context_length"),
        "width": fields.integer("embedding_length"),
        "num_layers": num_layers,
        "num_heads": fields.integer("attention.head_count"),
        "feedforward_width": fields.integer("feed_forward_length"),
        "tied_head": HEAD not in tensors,
    }


def _read_rotary(fields: Fields, tensors: Mapping[str, TensorInfo], family: str) -> ModelConfig:
    counts = _counts(fields, tensors)
    head_width = fields.integer("attention.key_length", 0, low=0) or counts["width"] // counts["num_heads"]
    for key in ("attention.value_length", "rope.dimension_count"):
        if fields.integer(key, head_width) != head_width:
            raise fields.error(key, f"is {fields.values[key]}; only the head width, {head_width}, is supported")
    if fields.integer("attention.sliding_window", counts["context_tokens"], low=0) < counts["context_tokens"]:
        raise fields.error("attention.sliding_window", "is shorter than the context; windows are not supported")
    return ModelConfig(
        family=family,  # type: ignore[arg-type]
        num_kv_heads=fields.integer("attention.head_count_kv", counts["num_heads"]),
        head_width=head_width,
        norm_eps=fields.number("attention.layer_norm_rms_epsilon"),
        rope_base=fields.number("rope.freq_base", 10_000.0),
        attention_bias="blk.0.attn_q.bias" in tensors,
        attention_output_bias="blk.0.attn_output.bias" in tensors,
        feedforward_bias="blk.0.ffn_up.bias" in tensors,
        qk_norm="head" if "blk.0.attn_q_norm.weight" in tensors else "none",
        **counts,
    )


def _read_gpt2(fields: Fields, tensors: Mapping[str, TensorInfo], family: str) -> ModelConfig:
    counts = _counts(fields, tensors)
    if fields.integer("attention.head_count_kv", counts["num_heads"]) != counts["num_heads"]:
        raise fields.error("attention.head_count_kv", "differs from attention.head_count, which GPT-2 does not have")
    return ModelConfig(family="gpt2", norm_eps=fields.number("attention.layer_norm_epsilon"), **counts, **PARTS["gpt2"])


def add_config(writer: gguf.GGUFWriter, config: ModelConfig) -> None:
    """Write a config as metadata, as llama.cpp's own converter names them."""
    writer.add_context_length(config.context_tokens)
    writer.add_embedding_length(config.width)
    writer.add_feed_forward_length(config.feedforward_width)
    writer.add_block_count(config.num_layers)
    writer.add_head_count(config.num_heads)
    writer.add_vocab_size(config.vocab_size)
    if config.family == "gpt2":
        writer.add_layer_norm_eps(config.norm_eps)
        return
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_key_length(config.head_width)
    writer.add_value_length(config.head_width)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    if config.rope_scaling is not None:
        writer.add_float64(OUR_SCALING + "factor", config.rope_scaling.factor)
        writer.add_float64(OUR_SCALING + "low_freq_factor", config.rope_scaling.low_freq_factor)
        writer.add_float64(OUR_SCALING + "high_freq_factor", config.rope_scaling.high_freq_factor)
        writer.add_uint32(OUR_SCALING + "original_context_tokens", config.rope_scaling.original_context_tokens)


def rope_factors(config: ModelConfig, scaling: RopeScaling) -> Tensor:
    """`rope_freqs.weight`: by how much each of the D/2 frequencies is divided."""
    plain = rotary_frequencies(config.head_width, config.rope_base)
    return plain / rotary_frequencies(config.head_width, config.rope_base, scaling)


def read_scaling(metadata: Mapping[str, Any], factors: Tensor, config: ModelConfig, source: object) -> RopeScaling:
    """The parameters whose factors these are. Raises FormatError when there are none."""
    named = {key.removeprefix(OUR_SCALING): value for key, value in metadata.items() if key.startswith(OUR_SCALING)}
    for scaling in [_named_scaling(Fields(named, source))] if named else KNOWN_SCALINGS:
        expected = rope_factors(config, scaling)
        if expected.shape == factors.shape and torch.allclose(expected, factors, rtol=1e-4):
            return scaling
    raise FormatError(
        source, f"tensor {ROPE_FACTORS!r}", "has other factors than Llama 3.1, Llama 3.2 or the metadata say"
    )


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
