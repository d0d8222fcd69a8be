"""Parameters and FLOPs of a model, from its config (memory: `footprint.py`). The tests count the
same on real modules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import prod
from typing import Literal

from groundup.model.config import NORM_NAMES, ModelConfig

Part = Literal["embedding", "positions", "attention", "feedforward", "norms", "head"]


@dataclass(frozen=True)
class WeightKind:
    """A weight that a model has once, or once per block."""

    part: Part
    name: str
    """As in the state_dict, without the block's index: "attention.query.weight"."""
    shape: tuple[int, ...]
    count: int
    """Copies in the model; 0: a tied head."""
    used: int = 0
    """Matrices that one token is multiplied with; 0: it is looked up or added."""

    @property
    def numbers(self) -> int:
        return self.count * prod(self.shape)

    @property
    def flops(self) -> int:
        """Per token: a matrix of n numbers takes n multiplications and n additions."""
        if not self.used:
            return 0
        return 2 * self.used * self.shape[-1] * self.shape[-2]


def weight_kinds(config: ModelConfig, *, num_labels: int = 0) -> Iterator[WeightKind]:
    """In their order, of a LanguageModel, of a Classifier if `num_labels` is above 0, or of an
    Encoder (not causal).
    """
    table = (config.vocab_size, config.width)
    yield WeightKind("embedding", "embedding.weight", table, 1)
    if config.has_position_table:
        rows = (config.context_tokens, config.width)
        yield WeightKind("positions", "position_embedding.weight", rows, 1)
    if config.relative_buckets:
        buckets = (config.relative_buckets, config.num_heads)
        yield WeightKind("positions", "relative_bias.weight", buckets, 1)
    yield from (*_attention(config), *_feedforward(config), *_norms(config))
    if num_labels:  # applied to one token of a text only
        yield WeightKind("head", "score.weight", (num_labels, config.width), 1)
    elif config.causal:
        yield WeightKind("head", "head.weight", table, int(not config.tied_head), used=1)


def _attention(config: ModelConfig) -> Iterator[WeightKind]:
    heads, kv_heads = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    for name, rows in (("query", heads), ("key", kv_heads), ("value", kv_heads)):
        shape = (rows, config.width)
        yield from _linear(config, "attention", name, shape, biased=config.attention_bias)
    shape, biased = (config.width, heads), config.attention_output_bias
    yield from _linear(config, "attention", "output", shape, biased=biased)


def _feedforward(config: ModelConfig) -> Iterator[WeightKind]:
    wide = (config.feedforward_width, config.width)
    matrices = [("up", wide), ("down", wide[::-1])]
    if config.gated:
        matrices.insert(0, ("gate", wide))
    if not config.num_experts:
        for name, shape in matrices:
            yield from _linear(config, "feedforward", name, shape, biased=config.feedforward_bias)
        return
    yield from _linear(config, "feedforward", "router", (config.num_experts, config.width))
    used = config.num_layers * config.experts_per_token
    for name, shape in matrices:
        stacked = (config.num_experts, *shape)
        name = f"feedforward.{name}.weight"
        yield WeightKind("feedforward", name, stacked, config.num_layers, used)


def _linear(
    config: ModelConfig, part: Part, name: str, shape: tuple[int, int], *, biased: bool = False
) -> Iterator[WeightKind]:
    layers = config.num_layers
    yield WeightKind(part, f"{part}.{name}.weight", shape, layers, used=layers)
    if biased:
        yield WeightKind(part, f"{part}.{name}.bias", shape[:1], layers)


def _norms(config: ModelConfig) -> Iterator[WeightKind]:
    """LayerNorm has a bias; "post" blocks end with a norm, so that their model has no final one."""
    counts = [(name, config.num_layers) for name in NORM_NAMES[config.block]]
    if config.embedding_norm:
        counts.insert(0, ("embedding_norm", 1))
    if config.block != "post":
        counts.append(("final_norm", 1))
    ends = {"rms": ("weight",), "layer": ("weight", "bias")}[config.norm]
    for name, count in counts:
        for end in ends:
            yield WeightKind("norms", f"{name}.{end}", (config.width,), count)
    heads = {
        "none": (),
        "head": (("query_norm", 1), ("key_norm", 1)),
        "projection": (("query_norm", config.num_heads), ("key_norm", config.num_kv_heads)),
    }[config.qk_norm]
    for name, count in heads:
        shape = (count * config.head_width,)
        yield WeightKind("norms", f"attention.{name}.weight", shape, config.num_layers)


@dataclass(frozen=True)
class ParameterCount:
    embedding: int
    positions: int
    attention: int
    feedforward: int
    norms: int
    head: int
    """0 where it is tied."""

    @property
    def total(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))


def parameter_count(config: ModelConfig, *, num_labels: int = 0) -> ParameterCount:
    counted = {field.name: 0 for field in fields(ParameterCount)}
    for kind in weight_kinds(config, num_labels=num_labels):
        counted[kind.part] += kind.numbers
    return ParameterCount(**counted)


def active_parameters(config: ModelConfig, *, num_labels: int = 0) -> int:
    """Of the experts only the chosen ones."""
    unused = config.num_experts - config.experts_per_token
    stacked = (kind for kind in weight_kinds(config) if len(kind.shape) == 3)
    inactive = sum(kind.numbers // config.num_experts * unused for kind in stacked)
    return parameter_count(config, num_labels=num_labels).total - inactive


@dataclass(frozen=True)
class Flops:
    """Of one token, multiplications plus additions, without norms, softmax and the like (about 1
    %).
    """

    attention: float
    attention_scores: float
    """Scores and the weighted sum of values: grows with the length of the text."""
    feedforward: float
    head: float

    @property
    def forward(self) -> float:
        return self.attention + self.attention_scores + self.feedforward + self.head

    @property
    def training(self) -> float:
        """Forward and backward: every product has two gradients. A kernel that recomputes the
        attention weights adds half of the forward FLOPs of `attention_scores`.
        """
        return 3 * self.forward


def flops_per_token(config: ModelConfig, *, context_tokens: int, num_labels: int = 0) -> Flops:
    """The mean over a text, with the causal mask: token t attends to t tokens, (T + 1) / 2 on
    average, at most the window. Papers that count the full square (Chowdhery et al. 2022, appendix
    B) take T.
    """
    seen = [seen_tokens(config, layer, context_tokens) for layer in range(config.num_layers)]
    return _flops(config, sum(seen), num_labels)


def forward_flops_per_token(config: ModelConfig, *, seen_tokens: float) -> float:
    """Of one token's logits when it attends to `seen_tokens` (itself included)."""
    windows = [config.window_of(layer) or seen_tokens for layer in range(config.num_layers)]
    return _flops(config, sum(min(seen_tokens, window) for window in windows), 0).forward


def _flops(config: ModelConfig, total_seen: float, num_labels: int) -> Flops:
    """`total_seen`: attended tokens, summed over the blocks: 2 H D for a score and 2 H D for a
    value.
    """
    counted: dict[str, float] = {"attention": 0.0, "feedforward": 0.0, "head": 0.0}
    for kind in weight_kinds(config, num_labels=num_labels):
        if kind.used:
            counted[kind.part] += kind.flops
    return Flops(attention_scores=4 * config.num_heads * config.head_width * total_seen, **counted)


def seen_tokens(config: ModelConfig, layer: int, context_tokens: int) -> float:
    """To how many tokens (itself included) a token attends in block `layer`, on average.

    >>> tiny = ModelConfig(
    ...     vocab_size=8, context_tokens=4, width=8, num_layers=1, num_heads=2,
    ...     feedforward_width=16, window_tokens=2,
    ... )
    >>> seen_tokens(tiny, 0, context_tokens=4)  # (1 + 2 + 2 + 2) / 4
    1.75
    """
    if not config.causal:
        return float(context_tokens)
    window = min(config.window_of(layer) or context_tokens, context_tokens)
    growing = window * (window + 1) / 2  # 1 + 2 + ... + window
    return (growing + (context_tokens - window) * window) / context_tokens
