"""A language model as the compiled step needs it: shapes, numbers, addresses. Matrices stay where
they are; small weights are float32 copies.

    described = StepModel.of(model)                  # a torch model, or why not: UnsupportedModel
    described = StepModel.of_arrays(config, arrays)  # the same without torch: its state dict, whose
                                                     # 16-bit floats are integers (`FLOAT_KINDS`)

Supported: RMSNorm or LayerNorm, rotary, added or no positions, feed-forward networks with a gate or
without, matrices in float32, bf16, float16, or in 8 or 4 bits (model/quantised.py): all presets but
those with experts. Shared key/value heads, norms of
queries and keys, biases, scaled rotations, windows, soft caps, norms before and after the parts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groundup.kernels.step_shape import (
    MATRICES,
    NORMS,
    PARTS,
    Array,
    Kind,
    StepShape,
    StepWeights,
    kind_of,
    shape_of,
)
from groundup.model.config import ModelConfig
from groundup.model.packing import BLOCK, GROUP
from groundup.model.rope_scaling import RopeScaling, attention_factor

if TYPE_CHECKING:
    from groundup.model.heads import LanguageModel

Arrays = Mapping[str, Array]
SINUSOID_BASE = 10_000.0


@dataclass(frozen=True)
class StepModel:
    shape: StepShape
    weights: StepWeights
    numbers: tuple[Array, ...]
    """In the order of `weights.matrices`: int8 [O, C], uint8 [O/8, G, 4, 8, 4] as
    `Int4Linear.by_block`, or [O, C] as `FLOAT_KINDS` has them.
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
    embedding: Array
    """[V, C]."""
    embedding_scale: float
    """The embedding is multiplied by it; 1: it is not."""
    added_positions: Array | None
    """float32 [context, C], added to the embedding."""

    @classmethod
    def of(cls, model: "LanguageModel") -> "StepModel":
        """Raises UnsupportedModel."""
        from groundup.kernels.module_arrays import arrays_of

        return cls.of_arrays(model.config, arrays_of(model))

    @classmethod
    def of_arrays(cls, config: ModelConfig, arrays: Arrays) -> "StepModel":
        """Of a supported model. Raises KeyError where an array is missing."""
        names = list(matrix_names(config, arrays))
        numbers = tuple(_numbers(arrays, name) for name in names)
        pairs = tuple(_pairs(arrays, name) for name in names)
        matrices, scales = _tables(arrays, names, numbers, pairs)
        kind = kind_of(numbers)
        weights = StepWeights(
            np.empty(0, np.int8 if kind.startswith("int") else numbers[0].dtype),
            matrices,
            scales,
            *_norms(config, arrays),
            np.stack(_weight_bias(arrays, "transformer.final_norm")),
            *_head_norms(config, arrays, matrices),
            *_kinds(config),
        )
        embedding, scale = arrays["transformer.embedding.weight"], 1.0
        if config.scaled_embedding:
            scale = float(rounded_as(np.array([config.width**0.5], np.float32), embedding)[0])
        frequencies, factors = _frequencies(config)
        return cls(
            shape_of(config),
            weights,
            numbers,
            pairs,
            frequencies,
            factors,
            kind,
            embedding,
            scale,
            _added_positions(config, arrays),
        )

    def fits(self, config: ModelConfig) -> bool:
        """Whether the arrays have the sizes of the config: machine code checks none."""
        heads, kv_heads = (
            count * config.head_width for count in (config.num_heads, config.num_kv_heads)
        )
        width, inner, vocab = config.width, config.feedforward_width, config.vocab_size
        block = [(heads, width), (kv_heads, width), (kv_heads, width), (width, heads)]
        block += [(inner, width), (inner, width), (width, inner)]
        sizes = np.array([*(block * config.num_layers), (vocab, width)])
        packed = len(sizes) * [self.kind.startswith("int")]
        scales = sum(rows for (rows, _), has in zip(sizes, packed, strict=True) if has)
        return (
            np.array_equal(self.weights.matrices[:, 1:3], sizes)
            and self.embedding.shape == (vocab, width)
            and len(self.weights.scales) >= scales
        )

    def embed(self, ids: Array, positions: Array) -> Array:
        """The input [R, C] of the first block, rounded after each operation as the embedding is."""
        hidden = as_float32(self.embedding[ids])
        if self.embedding_scale != 1:
            hidden = rounded_as(hidden * np.float32(self.embedding_scale), self.embedding)
        if self.added_positions is not None:
            added = rounded_as(self.added_positions[positions], self.embedding)
            hidden = rounded_as(hidden + added, self.embedding)
        return hidden

    def angles(self, positions: Array) -> tuple[Array, Array]:
        """Cosines and sines [2, R, D/2] of positions [R]."""
        angles = positions.astype(np.float32)[None, :, None] * self.frequencies[:, None]
        factors = np.array(self.rotation_factors, np.float32)[:, None, None]
        return np.cos(angles) * factors, np.sin(angles) * factors


def as_float32(numbers: Array) -> Array:
    """Of floats as `FLOAT_KINDS` has them."""
    if numbers.dtype == np.uint16:
        return (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers.view(np.float16).astype(np.float32) if numbers.dtype == np.int16 else numbers


def round_to_bf16(x: Array) -> Array:
    """To nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)).view(np.float32)


def rounded_as(x: Array, numbers: Array) -> Array:
    """float32, to the nearest that can be one of `numbers`."""
    if numbers.dtype == np.uint16:
        return round_to_bf16(x)
    return x.astype(np.float16).astype(np.float32) if numbers.dtype == np.int16 else x


def matrix_names(config: ModelConfig, arrays: Arrays) -> Iterator[str]:
    """In the order of `StepWeights.matrices`; without a gate the matrix `up` is in its place,
    too.
    """
    for layer in range(config.num_layers):
        block = f"transformer.blocks.{layer}"
        gate = f"{block}.feedforward.gate."
        gated = any(gate + name in arrays for name in ("numbers", "by_block", "weight"))
        for name in MATRICES:
            own = name
            if name == "gate" and not gated:
                own = "up"
            yield f"{block}.{PARTS[name]}.{own}"
    names = ("head", "transformer.embedding")  # tied
    yield next(name for name in names if arrays.keys() & {f"{name}.numbers", f"{name}.weight"})


def _numbers(arrays: Arrays, name: str) -> Array:
    for kind in ("numbers", "by_block"):
        if f"{name}.{kind}" in arrays:
            return arrays[f"{name}.{kind}"]
    return arrays[f"{name}.weight"]


def _pairs(arrays: Arrays, name: str) -> Array:
    return arrays.get(f"{name}.pairs", np.empty(0, np.int16)).view(np.int16)


def _tables(
    arrays: Arrays, names: list[str], numbers: tuple[Array, ...], pairs: tuple[Array, ...]
) -> tuple[Array, Array]:
    """The rows of `StepWeights.matrices`, and the scales and biases that they point into."""
    rows, pieces, end = [], [np.empty(0, np.float32)], 0
    for name, number, pair in zip(names, numbers, pairs, strict=True):
        here, (outputs, inputs) = end, number.shape[:2]
        if number.dtype == np.uint8:
            outputs, inputs = BLOCK * outputs, GROUP * inputs
        if f"{name}.scales" in arrays:
            pieces.append(_float(arrays[f"{name}.scales"]))
            end += outputs
        bias_start = -1
        if f"{name}.bias" in arrays:
            bias_start = end
            pieces.append(_float(arrays[f"{name}.bias"]))
            end += outputs
        pairs_address = pair.ctypes.data if len(pair) else 0
        rows.append((number.ctypes.data, outputs, inputs, here, bias_start, pairs_address))
    return np.array(rows, np.int64), np.concatenate(pieces)


def _float(numbers: Array) -> Array:
    return np.ascontiguousarray(as_float32(numbers))


def _norms(config: ModelConfig, arrays: Arrays) -> tuple[Array, Array]:
    """Weights and biases."""
    weights = np.ones((config.num_layers, len(NORMS), config.width), np.float32)
    biases = np.zeros_like(weights)
    for layer in range(config.num_layers):
        for index, name in enumerate(NORMS):
            norm = f"transformer.blocks.{layer}.{name}"
            if f"{norm}.weight" in arrays:
                weights[layer, index], biases[layer, index] = _weight_bias(arrays, norm)
    return weights, biases


def _weight_bias(arrays: Arrays, norm: str) -> tuple[Array, Array]:
    weight, bias = _float(arrays[f"{norm}.weight"]), arrays.get(f"{norm}.bias")
    return weight, np.zeros_like(weight) if bias is None else _float(bias)


def _head_norms(config: ModelConfig, arrays: Arrays, matrices: Array) -> tuple[Array, Array]:
    """Of queries and keys, repeated for every head where heads have them in common."""
    if config.qk_norm == "none":
        return np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)
    found = []
    for index, name in enumerate(("query", "key")):
        width = matrices[index, 1]
        norms = [
            _float(arrays[f"transformer.blocks.{layer}.attention.{name}_norm.weight"])
            for layer in range(config.num_layers)
        ]
        found.append(np.stack([np.tile(norm, width // len(norm)) for norm in norms]))
    return found[0], found[1]


def _kinds(config: ModelConfig) -> tuple[Array, Array]:
    layers = range(config.num_layers)
    windows = np.array([config.window_of(layer) for layer in layers], np.int64)
    rotates = np.array([config.rotates(layer) for layer in layers])
    return windows, np.where(rotates, windows > 0, -1).astype(np.int64)


def _frequencies(config: ModelConfig) -> tuple[Array, tuple[float, float]]:
    """Of blocks without a window and with one (`model.metadata.build_window_rotary`)."""
    both = [(config.rope_base, config.rope_scaling)] * 2
    if config.window_rope_base > 0:
        both[1] = (config.window_rope_base, None)
    if config.positions != "rope":
        return np.zeros((2, config.head_width // 2), np.float32), (1.0, 1.0)
    found = [rotary_frequencies(config.head_width, base, scaling) for base, scaling in both]
    first, second = (attention_factor(scaling) for _, scaling in both)
    return np.stack(found), (first, second)


def rotary_frequencies(head_width: int, base: float, scaling: RopeScaling | None) -> Array:
    """As `model.positions.rotary_frequencies`, which is asked for those that are scaled."""
    if scaling is not None:
        from groundup.model import positions

        scaled: Array = positions.rotary_frequencies(head_width, base, scaling).numpy()
        return scaled
    exponents = np.arange(0, head_width, 2, dtype=np.float32) / np.float32(head_width)
    return np.float32(1) / np.float32(base) ** exponents


def _added_positions(config: ModelConfig, arrays: Arrays) -> Array | None:
    table = arrays.get("transformer.position_embedding.weight")
    if table is not None:
        return as_float32(table)
    if config.positions != "sinusoidal":
        return None
    places = np.arange(config.context_tokens, dtype=np.float32)[:, None]
    angles = places * rotary_frequencies(config.width, SINUSOID_BASE, None)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(places), -1)
