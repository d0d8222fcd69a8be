"""A language model as the compiled step needs it: shapes, numbers, addresses. Matrices stay where
torch has them; small weights are float32 copies.

    described = StepModel.of(model)          # or why not: UnsupportedModel

Supported: RMSNorm or LayerNorm, rotary, added or no positions, feed-forward networks with a gate or
without, matrices in float32, bf16, float16, or in 8 or 4 bits (model/quantised.py): all presets but
those with experts. Shared key/value heads, norms of
queries and keys, biases, scaled rotations, windows, soft caps, norms before and after the parts.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import nn

from groundup.errors import GroundupError
from groundup.model.block import AFTER, BEFORE, Block
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.model.linear import FastLinear
from groundup.model.positions import ADDED_POSITIONS, Rotary, attention_factor
from groundup.model.quantised import BLOCK, MULTIPLE, Bits, Int4Linear, Int8Linear

Array = np.ndarray
# Matrices of a block, in the order of `StepWeights.matrices`; the head follows after the last
# block.
MATRICES = ("query", "key", "value", "output", "gate", "up", "down")
NORMS = (BEFORE[0], AFTER[0], BEFORE[1], AFTER[1])
ACTIVATIONS = ("swiglu", "geglu", "gelu")
"""GELU in its tanh form; the last is without a gate."""
QUERY_KEY_NORMS = ("none", "head", "projection")
Kind = Literal["float32", "bf16", "float16", "int8", "int4"]
"""Of a model's matrices."""
FLOATS: dict[torch.dtype, Kind] = {
    torch.float32: "float32",
    torch.bfloat16: "bf16",
    torch.float16: "float16",
}
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
    `memory_of` has them. For each the step is compiled by itself.
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


@dataclass(frozen=True)
class StepModel:
    shape: StepShape
    weights: StepWeights
    numbers: tuple[Array, ...]
    """In the order of `weights.matrices`: int8 [O, C], uint8 [O/8, G, 4, 8, 4] as
    `Int4Linear.by_block`, or [O, C] as `memory_of` has them.
    """
    pairs: tuple[Array, ...]
    """Of 4 bits scales and offsets, bf16 as int16 [O/8, G, 8, 2]. The addresses are those of these
    arrays.
    """
    frequencies: Array
    """[2, D/2]: angle per token of the two kinds of rotation."""
    rotation_factors: tuple[float, float]
    """Of cosines and sines (YaRN)."""
    kind: Kind

    @classmethod
    def of(cls, model: LanguageModel) -> "StepModel":
        """Raises UnsupportedModel."""
        require_supported(model)
        found = list(linears(model))
        numbers = tuple(_numbers(each) for each in found)
        pairs = tuple(_pairs(each) for each in found)
        matrices, scales = _tables(found, pairs)
        blocks = [model.transformer.block(layer) for layer in range(model.config.num_layers)]
        weights = StepWeights(
            np.empty(0, np.int8 if _is_packed(found[0]) else numbers[0].dtype),
            matrices,
            scales,
            *_norms(blocks, model.config.width),
            np.stack(_weight_bias(model.transformer.final_norm)),
            *_head_norms(blocks),
            *_kinds(model.config),
        )
        frequencies, factors = _frequencies(model)
        shape = _shape(model.config)
        return cls(shape, weights, numbers, pairs, frequencies, factors, kind_of(model))

    @property
    def cache_dtype(self) -> torch.dtype:
        """Of keys and values: the model's own, bf16 with weights in 8 or 4 bits."""
        return next((dtype for dtype, kind in FLOATS.items() if kind == self.kind), torch.bfloat16)

    def angles(self, positions: Array) -> tuple[Array, Array]:
        """Cosines and sines [2, R, D/2] of positions [R]."""
        angles = positions.astype(np.float32)[None, :, None] * self.frequencies[:, None]
        factors = np.array(self.rotation_factors, np.float32)[:, None, None]
        return np.cos(angles) * factors, np.sin(angles) * factors


def unsupported_part(config: ModelConfig) -> str:
    """The first part of an architecture that the step does not know; "": it knows all."""
    wrong = {
        f"{config.block} blocks": config.block not in ("pre", "output", "sandwich"),
        f"{config.positions} positions": config.positions not in ("rope", "none", *ADDED_POSITIONS),
        f"{config.feedforward} networks": config.feedforward not in ACTIVATIONS,
        "experts": config.num_experts > 0,
        "an embedding norm": config.embedding_norm,
    }
    return next((name for name, holds in wrong.items() if holds), "")


def is_packed_whole(config: ModelConfig, bits: Bits) -> bool:
    """Every matrix is of a size that is packed."""
    heads = (config.num_heads * config.head_width, config.num_kv_heads * config.head_width)
    sizes = (config.width, config.feedforward_width, config.vocab_size, *heads)
    return all(size % MULTIPLE[bits] == 0 for size in sizes)


def unsupported_model(model: LanguageModel) -> str:
    """As `unsupported_part`, or the kind of matrix that it does not know."""
    found = unsupported_part(model.config)
    return found or _unsupported_matrix(list(linears(model)))


def require_supported(model: LanguageModel) -> None:
    found = unsupported_model(model)
    if found:
        raise UnsupportedModel(f"The compiled step does not know {found}.")


def linears(model: LanguageModel) -> Iterator[Any]:
    """In the order of `StepWeights.matrices`; without a gate the matrix `up` is in its place,
    too.
    """
    for layer in range(model.config.num_layers):
        block = model.transformer.block(layer)
        for name in MATRICES:
            part = block.attention if hasattr(block.attention, name) else block.feedforward
            yield getattr(part, name, None) or block.feedforward.up
    yield model.head or model.transformer.embedding


def _unsupported_matrix(linears: list[Any]) -> str:
    if any(_is_packed(each) for each in linears):
        if all(_is_packed(each) and _stored(each).is_cpu for each in linears):
            return ""
        return "a matrix that is not in 8 or 4 bits"
    for linear in linears:
        if type(linear) not in (nn.Linear, FastLinear, nn.Embedding):
            return "a matrix with an adapter"
        weight = linear.weight
        if not (weight.is_cpu and weight.is_contiguous() and weight.dtype in FLOATS):
            return f"a matrix of {weight.dtype} on {weight.device}"
        if weight.dtype != linears[0].weight.dtype:
            return "matrices of several dtypes"
        if weight.shape[0] < BLOCK:
            return f"a matrix of fewer than {BLOCK} rows"
    return ""


def _is_packed(linear: Any) -> bool:
    return isinstance(linear, Int4Linear | Int8Linear)


def kind_of(model: LanguageModel) -> Kind:
    """Of a supported model."""
    found = list(linears(model))
    if any(isinstance(each, Int4Linear) for each in found):
        return "int4"
    return "int8" if _is_packed(found[0]) else FLOATS[found[0].weight.dtype]


def _stored(linear: Any) -> Any:
    if isinstance(linear, Int8Linear):
        return linear.numbers
    return linear.by_block if isinstance(linear, Int4Linear) else linear.weight


def _numbers(linear: Any) -> Array:
    stored = _stored(linear)
    packed: Array = stored.numpy() if _is_packed(linear) else memory_of(stored)
    return packed


def memory_of(tensor: Any) -> Array:
    """A tensor's own memory: float32, bf16 as uint16, float16 as int16."""
    if tensor.dtype == torch.float32:
        numbers: Array = tensor.detach().numpy()
        return numbers
    bits: Array = tensor.detach().view(torch.int16).numpy()
    return bits.view(np.uint16) if tensor.dtype == torch.bfloat16 else bits


def _rows_columns(linear: Any) -> tuple[int, int]:
    shape: tuple[int, int] = linear.shape if _is_packed(linear) else tuple(linear.weight.shape)
    return shape


def _pairs(linear: Any) -> Array:
    if not isinstance(linear, Int4Linear):
        return np.empty(0, np.int16)
    pairs: Array = linear.pairs.view(torch.int16).numpy()
    return pairs


def _tables(linears: list[Any], pairs: tuple[Array, ...]) -> tuple[Array, Array]:
    """The rows of `StepWeights.matrices`, and the scales and biases that they point into."""
    rows, pieces, end = [], [np.empty(0, np.float32)], 0
    for linear, pair in zip(linears, pairs, strict=True):
        here, (outputs, inputs) = end, _rows_columns(linear)
        if isinstance(linear, Int8Linear):
            pieces.append(_float(linear.scales))
            end += outputs
        bias_start = -1
        if getattr(linear, "bias", None) is not None:
            bias_start = end
            pieces.append(_float(linear.bias))
            end += outputs
        pairs_address = pair.ctypes.data if len(pair) else 0
        address = _stored(linear).data_ptr()
        rows.append((address, outputs, inputs, here, bias_start, pairs_address))
    return np.array(rows, np.int64), np.concatenate(pieces)


def _float(tensor: Any) -> Array:
    return np.ascontiguousarray(tensor.detach().float().numpy())


def _norms(blocks: list[Block], width: int) -> tuple[Array, Array]:
    """Weights and biases."""
    weights = np.ones((len(blocks), len(NORMS), width), np.float32)
    biases = np.zeros_like(weights)
    for layer, block in enumerate(blocks):
        for index, name in enumerate(NORMS):
            norm = getattr(block, name)
            if norm is not None:
                weights[layer, index], biases[layer, index] = _weight_bias(norm)
    return weights, biases


def _weight_bias(norm: nn.Module) -> tuple[Array, Array]:
    weight, bias = _float(norm.weight), getattr(norm, "bias", None)
    return weight, np.zeros_like(weight) if bias is None else _float(bias)


def _head_norms(blocks: list[Block]) -> tuple[Array, Array]:
    """Of queries and keys, repeated for every head where heads have them in common."""
    attentions = [block.attention for block in blocks]
    if attentions[0].query_key_norm == "none":
        return np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)
    queries = [_repeat_heads(each.query_norm, each.query) for each in attentions]
    return np.stack(queries), np.stack(
        [_repeat_heads(each.key_norm, each.key) for each in attentions]
    )


def _repeat_heads(norm: nn.Module, projection: Any) -> Array:
    weight = _float(norm.weight)
    return np.tile(weight, _rows_columns(projection)[0] // len(weight))


def _kinds(config: ModelConfig) -> tuple[Array, Array]:
    layers = range(config.num_layers)
    windows = np.array([config.window_of(layer) for layer in layers], np.int64)
    rotates = np.array([config.rotates(layer) for layer in layers])
    return windows, np.where(rotates, windows > 0, -1).astype(np.int64)


def _frequencies(model: LanguageModel) -> tuple[Array, tuple[float, float]]:
    builder, half = model.transformer.metadata_builder, model.config.head_width // 2
    rotaries: list[Rotary | None] = [builder.rotary, builder.window_rotary]
    numbers = [torch.zeros(half) if each is None else each.frequencies for each in rotaries]
    first, second = (1.0 if each is None else attention_factor(each.scaling) for each in rotaries)
    return np.stack([_float(each) for each in numbers]), (first, second)


def _shape(config: ModelConfig) -> StepShape:
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
