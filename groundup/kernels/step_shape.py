"""What the compiled step knows of a model: its kinds of parts, sizes and tables. Without torch."""

import math
from typing import Literal, NamedTuple

import numpy as np

from groundup.errors import GroundupError
from groundup.model.config import AFTER, BEFORE, ModelConfig
from groundup.model.packing import MULTIPLE, Bits

Array = np.ndarray
# Matrices of a block, in the order of `StepWeights.matrices`, each with the part that it is of; the
# head follows after the last block.
PARTS = dict.fromkeys(("query", "key", "value", "output"), "attention")
PARTS |= dict.fromkeys(("gate", "up", "down"), "feedforward")
MATRICES = tuple(PARTS)
NORMS = (BEFORE[0], AFTER[0], BEFORE[1], AFTER[1])
ACTIVATIONS = ("swiglu", "geglu", "gelu")
"""GELU in its tanh form; the last is without a gate."""
QUERY_KEY_NORMS = ("none", "head", "projection")
Kind = Literal["float32", "bf16", "float16", "int8", "int4"]
"""Of a model's matrices."""
CacheKind = Literal["auto", "int8"]
"""Of keys and values: as `cache_numbers` says, or int8 with a scale for each key and value."""
FLOAT_KINDS: dict[type, Kind] = {np.float32: "float32", np.uint16: "bf16", np.int16: "float16"}
"""By the numbers of an array: what numpy has no name for is kept as integers of its size."""
# Numbers of a head that a product takes at once, where keys are int8.
HEAD_MULTIPLE = 16
# Tokens of one step: with more torch's products are as fast (docs/log.md).
MAX_ROWS: dict[Kind, int] = {"float32": 32, "bf16": 32, "float16": 32, "int8": 32, "int4": 32}


class UnsupportedModel(GroundupError):
    """The compiled step does not know this kind of model."""


class StepShape(NamedTuple):
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    feedforward_width: int
    vocab_size: int
    layer_norm: int
    activation: int
    """An index of `ACTIVATIONS`."""
    query_key_norm: int
    norms_before: int
    norms_after: int
    norm_eps: float
    score_factor: float
    score_softcap: float
    logit_softcap: float


class StepWeights(NamedTuple):
    kind: Array
    """Empty; its dtype tells the numbers of the matrices: int8, also of 4 bits, or as
    `FLOAT_KINDS` has them. For each the step is compiled by itself.
    """
    matrices: Array
    """[7 L + 1, 6] int64: address of the numbers, rows, columns, where the scales and the bias (or
    -1) begin in `scales`; of a matrix in 4 bits the address of the scales and offsets (bf16 [O/8,
    G, 8, 2]), else 0."""
    scales: Array
    """float32, of 8 bits, and biases."""
    norms: Array
    """[L, 4, C], in the order of `NORMS`."""
    norm_biases: Array
    final_norm: Array
    """[2, C]: weight and bias."""
    query_norms: Array
    """[L, H D]."""
    key_norms: Array
    """[L, K D]."""
    windows: Array
    """[L] int64: tokens that are seen; 0: all."""
    rotations: Array
    """[L] int64: 0 as blocks without a window, 1 as blocks with one, -1: none."""


def kind_of(numbers: tuple[Array, ...]) -> Kind:
    """By the arrays of the matrices."""
    if any(each.dtype == np.uint8 for each in numbers):
        return "int4"
    return "int8" if numbers[0].dtype == np.int8 else FLOAT_KINDS[numbers[0].dtype.type]


def cache_numbers(kind: Kind, kv_cache_dtype: CacheKind = "auto") -> type:
    """Of keys and values: as the model's own, bf16 with weights in 8 or 4 bits; or int8."""
    if kv_cache_dtype == "int8":
        assert kind.startswith("int"), kind  # the query is rounded where activations are
        return np.int8
    return next((numbers for numbers, name in FLOAT_KINDS.items() if name == kind), np.uint16)


def unsupported_part(config: ModelConfig) -> str:
    """The first part of an architecture that the step does not know; "": it knows all."""
    wrong = {
        f"{config.block} blocks": config.block not in ("pre", "output", "sandwich"),
        f"{config.positions} positions": config.positions == "alibi",
        f"{config.feedforward} networks": config.feedforward not in ACTIVATIONS,
        "experts": config.num_experts > 0,
        "an embedding norm": config.embedding_norm,
    }
    return next((name for name, holds in wrong.items() if holds), "")


def unsupported_cache(config: ModelConfig) -> str:
    """Why keys and values are not kept in int8; "": they can be."""
    if config.head_width % HEAD_MULTIPLE == 0:
        return ""
    return f"a head has {config.head_width} numbers, no multiple of {HEAD_MULTIPLE}"


def is_packed_whole(config: ModelConfig, bits: Bits) -> bool:
    """Every matrix is of a size that is packed."""
    heads = (config.num_heads * config.head_width, config.num_kv_heads * config.head_width)
    sizes = (config.width, config.feedforward_width, config.vocab_size, *heads)
    return all(size % MULTIPLE[bits] == 0 for size in sizes)


def shape_of(config: ModelConfig) -> StepShape:
    return StepShape(
        layers=config.num_layers,
        width=config.width,
        heads=config.num_heads,
        kv_heads=config.num_kv_heads,
        head_width=config.head_width,
        feedforward_width=config.feedforward_width,
        vocab_size=config.vocab_size,
        layer_norm=int(config.norm == "layer"),
        activation=ACTIVATIONS.index(config.feedforward),
        query_key_norm=QUERY_KEY_NORMS.index(config.qk_norm),
        norms_before=int(config.block != "output"),
        norms_after=int(config.block != "pre"),
        norm_eps=config.norm_eps,
        score_factor=1 / math.sqrt(config.score_width or config.head_width),
        score_softcap=float(config.score_softcap),
        logit_softcap=float(config.logit_softcap),
    )
