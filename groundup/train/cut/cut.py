"""The cut: of a trained Llama-shaped model the most important blocks, heads and feed-forward units,
and the main directions of its residual stream, as a model of a smaller shape.

    width    x' = Q^T x, with the C' main directions Q [C, C'] of the normalised stream (Ashkboos et
             al. 2024, "SliceGPT", eq. 2): a matrix W that reads the stream becomes W diag(g) Q with
             the weight g of its norm, one that writes it Q^T W
    sizes    x' / rms(x') is longer than Q^T x / rms(x) by sqrt(C' / (C r)), where r is the share of
             the stream's square that Q keeps: the norm's new weight, sqrt(C r / C'), takes it back
    heads    whole ones, with their key/value head, so that every rotary pair keeps its frequency
    head     the final norm's weight moves into the output matrix, so that it is not the embedding's
             any more (where the width is not cut, it stays)
    tokens   the mean of the vectors of the pieces that an own token splits into

With nothing cut and the same vocabulary the function is the same, bit for bit. What is left of the
rest's function is little: a model of a tenth of the blocks has to be trained.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from groundup.errors import ConfigError
from groundup.model.attention import Attention
from groundup.model.block import Block
from groundup.model.config import ModelConfig
from groundup.model.feedforward import GatedFeedForward
from groundup.model.heads import LanguageModel, initial_deviation
from groundup.model.norm import RMSNorm
from groundup.model.presets import ideal_width, nearest_shape, round_width, shape_of
from groundup.model.sizes import parameter_count
from groundup.train.cut.importance import Importance
from groundup.train.cut.vocabulary import Pieces

# What a model must have to be cut, by fields of its config.
LLAMA_LIKE = {
    "norm": "rms",
    "block": "pre",
    "causal": True,
    "positions": "rope",
    "feedforward": "swiglu",
    "qk_norm": "none",
    "attention_bias": False,
    "attention_output_bias": False,
    "feedforward_bias": False,
    "scaled_embedding": False,
    "embedding_norm": False,
    "num_experts": 0,
    "unrotated_every": 0,
    "window_tokens": 0,
    "score_width": 0,
    "score_softcap": 0.0,
    "logit_softcap": 0.0,
}
# Of a shape that is chosen by its size: the narrowest, and the largest factor between its width and
# the family's for the depth.
LEAST_WIDTH, WIDTH_SPREAD = 32, 2
# Fields of a shape that can only be as large as the source's.
SMALLER = ("width", "num_layers", "num_heads", "num_kv_heads", "feedforward_width")


@dataclass(frozen=True)
class CutParts:
    """What of the source the cut model is made of."""

    blocks: tuple[int, ...]
    heads: tuple[tuple[int, ...], ...]
    """Query heads of each block that stays."""
    stream_share: float
    """Of the square of the normalised stream, the mean over all norms that stay."""


def require_cuttable(source: ModelConfig, name: str) -> None:
    """Raises ConfigError where the model is not of Llama's shape."""
    for field, needed in LLAMA_LIKE.items():
        found = getattr(source, field)
        if found != needed:
            raise ConfigError(
                f"{name} can't be cut: its {field} is {found!r}, and only models of Llama's shape "
                f"({field} {needed!r}) can.",
                fix="Name another model, such as smollm2-135m-instruct.",
            )


def cut_shape(
    asked: ModelConfig, source: ModelConfig, given: Mapping[str, Any], name: str
) -> ModelConfig:
    """The asked shape, with what must be as in the source: the width of a head, the rotary base,
    the norms' epsilon. `given`: the fields that were set. Raises ConfigError where one of them is
    otherwise, or the shape is larger than the source.
    """
    shape = _with_parts_of(source, asked)
    for field in given:
        if getattr(shape, field) != getattr(asked, field):
            raise ConfigError(
                f"model.{field} can't be {getattr(asked, field)!r} in a model of width "
                f"{asked.width} that is cut from {name}: it is {getattr(shape, field)!r}.",
                fix="Leave it out.",
            )
    for field in SMALLER:
        value, most = getattr(shape, field), getattr(source, field)
        if value > most:
            raise ConfigError(
                f"{field} {value} is larger than that of {name} ({most}), from which it is cut.",
                fix="Choose a smaller size, or a larger model.",
            )
    return shape


def cut_shape_of_size(
    parameters: int, source: ModelConfig, vocab_size: int, name: str
) -> ModelConfig:
    """The shape that has about so many parameters as it is cut, with a head of its own and heads of
    the source's width. Raises ConfigError.
    """
    most = parameter_count(source).total
    if parameters > most:
        raise ConfigError(
            f"A model of {parameters:,} parameters can't be cut from {name}, which has {most:,}.",
            fix="Choose a smaller size, or a larger model.",
        )
    shapes = [
        _with_parts_of(source, shape_of(depth, width, vocab_size))
        for depth in range(1, source.num_layers + 1)
        for width in _widths(source.width, ideal_width(depth))
    ]
    within = [
        replace(each, feedforward_width=min(each.feedforward_width, source.feedforward_width))
        for each in shapes
    ]
    if not within:
        raise ConfigError(
            f"{name} can't be cut: its width is {source.width}, and the least is {LEAST_WIDTH}.",
            fix="Name another model, such as smollm2-135m-instruct.",
        )
    return nearest_shape(parameters, within)


def _widths(most: int, ideal: float) -> list[int]:
    """The whole width of the source, where only blocks are left out, and narrower ones near the
    rule for the depth.
    """
    low, high = ideal / WIDTH_SPREAD, max(LEAST_WIDTH, ideal * WIDTH_SPREAD)
    widths = (each for each in range(LEAST_WIDTH, most + 1, 32) if each == round_width(float(each)))
    return [each for each in widths if each == most or low <= each <= high]


def _with_parts_of(source: ModelConfig, asked: ModelConfig) -> ModelConfig:
    """The shape with what a cut can't change."""
    width, head_width = asked.width, source.head_width
    groups = source.num_heads // source.num_kv_heads
    kv_heads = min(source.num_kv_heads, max(1, round(width / head_width / groups)))
    shared = min(groups, max(1, round(width / head_width / kv_heads)))
    return replace(
        asked,
        head_width=head_width,
        num_heads=kv_heads * shared,
        num_kv_heads=kv_heads,
        rope_base=source.rope_base,
        rope_scaling=source.rope_scaling,
        norm_eps=source.norm_eps,
        tied_head=source.tied_head and width == source.width,
    )


def cut_model(
    source: LanguageModel,
    shape: ModelConfig,
    importance: Importance,
    pieces: Pieces,
    counts: Int[Tensor, " V"] | None = None,
) -> tuple[LanguageModel, CutParts]:
    """A model of `shape` (as of `cut_shape`). `pieces`: of each own token the source's; `counts`:
    how often each own token occurs in the texts, for the directions that stay.
    """
    blocks = choose_blocks(importance.blocks, shape.num_layers)
    with torch.no_grad():
        vectors = _mean_of_pieces(source.transformer.embedding.weight, pieces)
        norms = [2 * layer + part for layer in blocks for part in (0, 1)]
        moments = torch.stack([importance.stream[index] for index in [*norms, -1]])
        stream = _Stream.of(moments, vectors, counts, shape.width)
        made = LanguageModel(shape)
        heads = []
        for place, layer in enumerate(blocks):
            kept = choose_heads(importance.heads[layer], source.config, shape)
            units = _largest(importance.units[layer], shape.feedforward_width)
            shares = stream.shares[2 * place : 2 * place + 2]
            parts = _BlockCut(kept, units, stream, shares)
            parts.copy(source.transformer.block(layer), made.transformer.block(place))
            heads.append(tuple(kept))
        _copy_ends(source, made, vectors, pieces, stream)
    return made, CutParts(tuple(blocks), tuple(heads), sum(stream.shares) / len(stream.shares))


def choose_blocks(importance: Float[Tensor, " L"], count: int) -> list[int]:
    """The `count` blocks that change the stream most, in their order."""
    return _largest(importance, count)


def choose_heads(
    importance: Float[Tensor, " H"], source: ModelConfig, shape: ModelConfig
) -> list[int]:
    """Of the key/value heads with the most important query heads, those query heads."""
    shared = source.num_heads // source.num_kv_heads
    kept = shape.num_heads // shape.num_kv_heads
    groups = importance.unflatten(0, (source.num_kv_heads, shared))
    best = groups.topk(kept, dim=1).values.sum(dim=1)
    return [
        group * shared + head
        for group in _largest(best, shape.num_kv_heads)
        for head in _largest(groups[group], kept)
    ]


def _largest(values: Float[Tensor, " N"], count: int) -> list[int]:
    """Positions of the `count` largest, the first first."""
    order = torch.argsort(values, descending=True, stable=True)[:count]
    return sorted(order.tolist())


def _mean_of_pieces(table: Float[Tensor, "W C"], pieces: Pieces) -> Float[Tensor, "V C"]:
    return torch.stack([table[each].float().mean(dim=0) for each in pieces])


@dataclass(frozen=True)
class _Stream:
    """The directions of the residual stream that stay."""

    basis: Float[Tensor, "C N"] | None
    """Q; None: the width is not cut."""
    shares: list[float]
    """r, at each norm that stays and at the final one."""
    scale: float
    """Of all that is written to the stream, which no norm sees: its first vectors have the size of
    random ones, for which the learning rates are.
    """

    @classmethod
    def of(
        cls,
        moments: Float[Tensor, "norms C C"],
        vectors: Float[Tensor, "V C"],
        counts: Int[Tensor, " V"] | None,
        width: int,
    ) -> "_Stream":
        if width == vectors.shape[1]:
            return cls(None, [1.0] * len(moments), 1.0)
        weights = torch.ones(len(vectors)) if counts is None else counts.float()
        lengths = vectors.pow(2).mean(dim=-1, keepdim=True).sqrt().clamp_min(1e-12)
        normed = vectors / lengths
        of_tokens = (normed * weights[:, None]).T @ normed / weights.sum()
        # the embedding and the head count as one norm together
        total = moments[:-1].mean(dim=0) + (moments[-1] + of_tokens) / 2
        basis = torch.linalg.eigh(total.double()).eigenvectors[:, -width:].flip(1).float()
        kept = torch.einsum("ci,ncd,di->n", basis, moments, basis)
        shares = (kept / torch.einsum("ncc->n", moments)).tolist()
        size = (vectors @ basis).pow(2).mean().sqrt().item()
        return cls(basis, shares, initial_deviation(width) / max(size, 1e-12))

    def reads(self, weight: Tensor, norm: Tensor) -> Tensor:
        """A matrix that reads the stream behind a norm of these weights."""
        if self.basis is None:
            return weight
        return weight * norm @ self.basis

    def writes(self, weight: Tensor) -> Tensor:
        if self.basis is None:
            return weight
        return self.scale * (self.basis.T @ weight)

    def norm(self, norm: Tensor, share: float) -> Tensor:
        if self.basis is None:
            return norm
        width, narrow = self.basis.shape
        return torch.full((narrow,), math.sqrt(width * share / narrow))


@dataclass(frozen=True)
class _BlockCut:
    heads: Sequence[int]
    units: Sequence[int]
    stream: _Stream
    shares: Sequence[float]
    """Of the two norms."""

    def copy(self, source: Block, made: Block) -> None:
        self._copy_norm(source.attention_norm, made.attention_norm, self.shares[0])
        self._copy_norm(source.feedforward_norm, made.feedforward_norm, self.shares[1])
        assert source.attention_norm is not None and source.feedforward_norm is not None
        self._copy_attention(source.attention, made.attention, source.attention_norm.weight)
        assert isinstance(source.feedforward, GatedFeedForward)
        assert isinstance(made.feedforward, GatedFeedForward)
        norm = source.feedforward_norm.weight
        for name in ("gate", "up"):
            rows = getattr(source.feedforward, name).weight[self.units]
            getattr(made.feedforward, name).weight.copy_(self.stream.reads(rows, norm))
        columns = source.feedforward.down.weight[:, self.units]
        made.feedforward.down.weight.copy_(self.stream.writes(columns))

    def _copy_norm(self, source: nn.Module | None, made: nn.Module | None, share: float) -> None:
        assert isinstance(source, RMSNorm) and isinstance(made, RMSNorm)
        made.weight.copy_(self.stream.norm(source.weight, share))

    def _copy_attention(self, source: Attention, made: Attention, norm: Tensor) -> None:
        shared = source.query.weight.shape[0] // source.key.weight.shape[0]
        groups = sorted({head // shared for head in self.heads})
        for name, heads in (("query", self.heads), ("key", groups), ("value", groups)):
            rows = getattr(source, name).weight[_rows_of(heads, source.head_width)]
            getattr(made, name).weight.copy_(self.stream.reads(rows, norm))
        columns = source.output.weight[:, _rows_of(self.heads, source.head_width)]
        made.output.weight.copy_(self.stream.writes(columns))
        if self.stream.basis is not None:
            _balance(made.value.weight, made.output.weight)


def _balance(value: Tensor, output: Tensor) -> None:
    """Make both equally large; their product, all that matters, stays. Muon's steps are as long for
    each, and would replace a small one at once.
    """
    ratio = (output.pow(2).mean() / value.pow(2).mean().clamp_min(1e-24)) ** 0.25
    value.mul_(ratio)
    output.div_(ratio.clamp_min(1e-12))


def _rows_of(heads: Sequence[int], head_width: int) -> list[int]:
    return [head * head_width + at for head in heads for at in range(head_width)]


def _copy_ends(
    source: LanguageModel,
    made: LanguageModel,
    vectors: Float[Tensor, "V C"],
    pieces: Pieces,
    stream: _Stream,
) -> None:
    """Embedding, final norm and head."""
    made.transformer.embedding.weight.copy_(stream.writes(vectors.T).T)
    known, final = source.transformer.final_norm, made.transformer.final_norm
    assert isinstance(known, RMSNorm) and isinstance(final, RMSNorm)
    norm = known.weight
    if made.head is None:
        final.weight.copy_(norm)
        return
    rows = _mean_of_pieces(source.head_weight, pieces)
    gain = stream.norm(norm, stream.shares[-1])
    assert isinstance(made.head.weight, Tensor)
    if stream.basis is None:
        final.weight.copy_(norm)
        made.head.weight.copy_(rows)
    else:  # the gain stands in the matrix: its updates are made for a norm of weight 1
        final.weight.fill_(1.0)
        made.head.weight.copy_(stream.reads(rows, norm) * gain[0])
