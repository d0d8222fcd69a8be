"""The architecture of a model as boxes and the shapes between them
(`drawing/architecture_picture.py` draws them), and its parameters, FLOPs and memory, part by part,
from its config alone.

    ids [T] -> embedding -> T x C -> L blocks, each with one or two branches that are added to the
        residual stream -> final norm -> head -> T x V

T is the number of tokens of a text; a batch of B texts has B times as many
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.feedforward import FEEDFORWARDS
from groundup.model.footprint import (
    ENCODINGS,
    Encoding,
    TrainingMemory,
    attention_path,
    cache_bytes,
    kind_bytes,
    needed_cache_bytes,
    training_memory,
)
from groundup.model.positions import ADDED_POSITIONS
from groundup.model.sizes import Flops, active_parameters, flops_per_token, weight_kinds
from groundup.weights.gguf_architectures import gguf_reason
from groundup.weights.hf_config import hf_reason

PartRole = Literal["table", "norm", "attention", "feedforward", "head"]
NORMS = {"rms": "RMSNorm", "layer": "LayerNorm"}


@dataclass(frozen=True)
class Box:
    """A part of the model."""

    role: PartRole
    title: str
    lines: tuple[str, ...] = ()
    """Its components, a line each."""


@dataclass(frozen=True)
class Branch:
    """A branch of the residual stream: the output of `parts` is added to the stream.

    Two parts are parallel.
    """

    before: Box | None
    """The norm of the input of all parts."""
    parts: tuple[Box, ...]
    after: Box | None = None
    """The norm of the output, before it is added."""
    on_sum: Box | None = None
    """The norm of the stream after the addition."""


@dataclass(frozen=True)
class Architecture:
    """The boxes of a model from ids to logits."""

    title: str
    enters: tuple[Box, ...]
    blocks: str
    """Their number, and how they differ."""
    branches: tuple[Branch, ...]
    leaves: tuple[Box, ...]
    ids: str
    """Shapes along the arrows: the input, the residual stream, the output."""
    stream: str
    result: str


def architecture(config: ModelConfig, title: str, labels: tuple[str, ...] = ()) -> Architecture:
    """The boxes of a model.

    `labels`: of a classifier, in place of the head; an encoder has the mean of its tokens there.
    """
    leaves, result = [_head(config)], f"a vector of {config.width:,}"
    if config.causal:
        result = f"T × {config.vocab_size:,} logits"
    if labels:
        leaves, result = [_score(config, labels)], f"{len(labels)} scores"
    if config.block != "post":
        leaves.insert(0, _norm(config, "final"))
    blocks = "1 block"
    if config.num_layers > 1:
        blocks = f"{config.num_layers} blocks"
    return Architecture(
        title=title,
        enters=_enters(config),
        blocks=blocks,
        branches=_branches(config),
        leaves=tuple(leaves),
        ids="T token ids",
        stream=f"T × {config.width:,}",
        result=result,
    )


def _enters(config: ModelConfig) -> tuple[Box, ...]:
    lines = [f"{config.vocab_size:,} × {config.width:,}: a row for each id"]
    if config.scaled_embedding:
        lines.append(f"times √{config.width:,}")
    boxes = [Box("table", "Embedding", tuple(lines))]
    added = ADDED_POSITIONS.get(config.positions)
    if added:
        how = f"{added.formula}, added; not learned"
        if added.has_table:
            how = f"{config.context_tokens:,} × {config.width:,}: added"
        boxes.append(Box("table", added.title, (how,)))
    if config.embedding_norm:
        boxes.append(_norm(config, "embedding"))
    return tuple(boxes)


def _branches(config: ModelConfig) -> tuple[Branch, ...]:
    """The branches as `model/transformer.py` computes them."""
    norm, attention, feedforward = _norm(config), _attention(config), _feedforward(config)
    if config.block == "parallel":
        return (Branch(norm, (attention, feedforward)),)
    before, after, on_sum = {
        "pre": (norm, None, None),
        "sandwich": (norm, norm, None),
        "output": (None, norm, None),
        "post": (None, None, norm),
    }.get(config.block, (None, None, None))
    return tuple(Branch(before, (part,), after, on_sum) for part in (attention, feedforward))


def _norm(config: ModelConfig, which: str = "") -> Box:
    return Box("norm", f"{which.capitalize()} {NORMS[config.norm]}".strip())


def _attention(config: ModelConfig) -> Box:
    heads, shared, width = config.num_heads, config.num_kv_heads, config.head_width
    kind = "Grouped-query"
    shapes = f"queries T × {heads} × {width}, keys and values T × {shared} × {width}"
    if shared == heads:
        kind, shapes = "Multi-head", f"queries, keys and values T × {heads} × {width}"
    elif shared == 1:
        kind = "Multi-query"
    lines = [
        shapes,
        *_scoring(config),
        *_positions(config),
        *_sight(config),
        *_attention_biases(config),
    ]
    return Box("attention", f"{kind} attention", tuple(lines))


def _scoring(config: ModelConfig) -> list[str]:
    lines = []
    if config.qk_norm != "none":
        each = "all heads together"
        if config.qk_norm == "head":
            each = "head by head"
        lines.append(f"queries and keys RMS-normalised, {each}")
    divisor = config.score_width or config.head_width
    scores = f"scores {config.num_heads} × T × T, divided by √{divisor}"
    if config.score_softcap:
        scores += f", soft-capped at ±{config.score_softcap:g}"
    return [*lines, scores]


def _positions(config: ModelConfig) -> list[str]:
    if config.relative_buckets:
        return [f"a learned number for each of {config.relative_buckets} distances is added"]
    if config.positions == "none":
        return ["no positions"]
    if config.positions == "alibi":
        return ["ALiBi: scores decrease with distance"]
    if config.positions != "rope":
        return []
    lines = [f"rotary positions, base {config.rope_base:,.0f}"]
    if config.window_rope_base and config.window_rope_base != config.rope_base:
        lines[0] += f" (with a window: {config.window_rope_base:,.0f})"
    scaling = config.rope_scaling
    if scaling is not None:
        how: str = scaling.kind
        if how != "linear":
            how += f", from {scaling.original_context_tokens:,} tokens"
        lines.append(f"context extended {scaling.factor:g} times ({how})")
    if config.unrotated_every:
        lines.append(f"none in {_every(config.unrotated_every)} block")
    return lines


def _sight(config: ModelConfig) -> list[str]:
    """A line about sliding windows; none where all blocks attend to the whole context."""
    window, every = config.window_tokens, config.full_every
    if not config.causal:
        return ["every token attends to the whole text"]
    if all(config.sees_all(layer) for layer in range(config.num_layers)):
        return []
    if not every:
        return [f"every token attends to the last {window:,}"]
    if every == 2:
        return [f"odd blocks attend to the last {window:,} tokens, even ones to all"]
    return [
        f"blocks 1-{every - 1} of {every} attend to the last {window:,} tokens, the "
        f"{_ordinal(every)} to all"
    ]


def _every(number: int) -> str:
    names = {1: "every", 2: "every other"}
    return names.get(number, f"every {_ordinal(number)}")


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    if number % 100 in (11, 12, 13):
        endings = {}
    return f"{number}{endings.get(number % 10, 'th')}"


def _attention_biases(config: ModelConfig) -> list[str]:
    if config.attention_bias and config.attention_output_bias:
        return ["with biases"]
    if config.attention_bias:
        return ["with biases on queries, keys and values"]
    if config.attention_output_bias:
        return ["with a bias on the output"]
    return []


def _feedforward(config: ModelConfig) -> Box:
    network = FEEDFORWARDS[config.feedforward]
    name, formula = network.title, network.formula
    lines = [f"{config.width:,} → {config.feedforward_width:,} → {config.width:,}: {formula}"]
    title = f"Feed-forward, {name}"
    if config.num_experts:
        title = f"{config.num_experts} experts, {config.experts_per_token} per token, {name}"
        router = f"router {config.width:,} → {config.num_experts}, top {config.experts_per_token}"
        if config.normalised_router:
            router += ", weights normalised"
        lines = [router, f"each {lines[0]}"]
    if config.feedforward_bias:
        lines.append("with biases")
    return Box("feedforward", title, tuple(lines))


def _head(config: ModelConfig) -> Box:
    if not config.causal:
        return Box("head", "Mean", ("of the tokens, normalised to length 1",))
    whose = "its own table"
    if config.tied_head:
        whose = "shared with the embedding (tied)"
    lines = [f"{config.width:,} → {config.vocab_size:,}: {whose}"]
    if config.logit_softcap:
        lines.append(f"logits soft-capped at ±{config.logit_softcap:g}")
    return Box("head", "Head", tuple(lines))


def _score(config: ModelConfig, labels: tuple[str, ...]) -> Box:
    names = ", ".join(labels[:4])
    if len(labels) > 4:
        names += ", ..."
    scores = f"{config.width:,} → {len(labels)}, at the last token"
    return Box("head", "Score", (scores, names[:60]))


PART_NAMES = {"feedforward": "feed-forward"}


@dataclass(frozen=True)
class PartCost:
    part: str
    parameters: int
    share: float
    """Of all parameters."""
    flops: float
    """Of one token, forward pass."""
    bytes: dict[Encoding, int]
    """Size of its weights in each of ENCODINGS."""


@dataclass(frozen=True)
class Anatomy:
    """All figures that `groundup model show` prints."""

    parts: tuple[PartCost, ...]
    total: PartCost
    active_parameters: int
    """Those used for one token: of the experts only the selected ones."""
    flops: Flops
    context_tokens: int
    batch_size: int
    cache_bytes: dict[str, int]
    """For one text of `context_tokens`, in float32 and bf16."""
    needed_cache_bytes: int
    """The same in float32, if blocks with a sliding window dropped keys and values outside of
    it.
    """
    training: TrainingMemory
    """For a step on `batch_size` rows of `context_tokens`, in float32."""
    attention: str
    gguf: str | None
    """Why no GGUF can be written; None: one can be written."""
    hugging_face: str | None


def anatomy(
    config: ModelConfig, *, context_tokens: int = 0, batch_size: int = 1, num_labels: int = 0
) -> Anatomy:
    """Compute all figures. `context_tokens` 0: the whole context. `num_labels`: of a classifier.

    Raises ConfigError for a text beyond the context.
    """
    context_tokens = context_tokens or config.context_tokens
    if context_tokens > config.context_tokens:
        raise ConfigError(
            f"The model's context is {config.context_tokens:,} tokens, {context_tokens:,} were "
            "asked for.",
            fix=f"Use a context of at most {config.context_tokens} tokens.",
        )
    flops = flops_per_token(config, context_tokens=context_tokens, num_labels=num_labels)
    parts = _parts(config, flops, num_labels)
    training = training_memory(config, batch_size=batch_size, context_tokens=context_tokens)
    gguf = gguf_reason(config)
    if num_labels:  # the scores of a text take almost no memory
        training = replace(training, logits=4 * batch_size * num_labels)
        gguf = "llama.cpp has no head for classes."
    return Anatomy(
        parts=parts,
        total=_total(parts),
        active_parameters=active_parameters(config, num_labels=num_labels),
        flops=flops,
        context_tokens=context_tokens,
        batch_size=batch_size,
        cache_bytes={
            name: cache_bytes(config, batch=1, capacity=context_tokens, value_bytes=size)
            for name, size in {"float32": 4, "bf16": 2}.items()
        },
        needed_cache_bytes=needed_cache_bytes(config, batch=1, capacity=context_tokens),
        training=training,
        attention=attention_path(config, context_tokens),
        gguf=gguf,
        hugging_face=hf_reason(config),
    )


def _parts(config: ModelConfig, flops: Flops, num_labels: int) -> tuple[PartCost, ...]:
    """The model's parts in the order of the forward pass; attention scores and their mix are a
    part without weights.
    """
    kinds = list(weight_kinds(config, num_labels=num_labels))
    whole = sum(kind.numbers for kind in kinds)
    work = {"attention": flops.attention, "feedforward": flops.feedforward, "head": flops.head}
    rows = []
    for part in dict.fromkeys(kind.part for kind in kinds):
        own = [kind for kind in kinds if kind.part == part]
        numbers = sum(kind.numbers for kind in own)
        sizes = {
            encoding: sum(kind_bytes(kind, encoding) for kind in own) for encoding in ENCODINGS
        }
        rows.append(
            PartCost(
                PART_NAMES.get(part, part), numbers, numbers / whole, work.get(part, 0.0), sizes
            )
        )
        if part == "attention":
            rows.append(
                PartCost(
                    "scores and mix", 0, 0.0, flops.attention_scores, dict.fromkeys(ENCODINGS, 0)
                )
            )
    return tuple(rows)


def _total(parts: tuple[PartCost, ...]) -> PartCost:
    sizes = {encoding: sum(part.bytes[encoding] for part in parts) for encoding in ENCODINGS}
    return PartCost(
        "all", sum(p.parameters for p in parts), 1.0, sum(p.flops for p in parts), sizes
    )


def to_plain(found: Anatomy, picture: Architecture) -> dict[str, Any]:
    plain = asdict(found)
    plain["flops"] |= {"forward": found.flops.forward, "training": found.flops.training}
    plain["training"]["total"] = found.training.total
    reasons = {name: plain.pop(name) for name in ("gguf", "hugging_face")}
    plain["exportable"] = {
        name: {"possible": reason is None, "reason": reason} for name, reason in reasons.items()
    }
    return plain | {"architecture": asdict(picture)}
