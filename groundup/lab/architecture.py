"""The architecture of a model as boxes and the shapes between them, from its config alone;
`drawing/architecture_*.py` draw it.

    ids [T] -> embedding -> T x C -> L blocks, each with one or two branches that are added to the
        residual stream -> final norm -> head -> T x V

T is the number of tokens of a text; a batch of B texts has B times as many.
"""

from dataclasses import dataclass
from typing import Literal

from groundup.model.config import ModelConfig
from groundup.model.feedforward import FEEDFORWARDS
from groundup.model.positions import ADDED_POSITIONS

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
    """Return the boxes of a model.

    `labels`: of a classifier, in place of the head; an encoder has the mean of its tokens there.
    """
    final = () if config.block == "post" else (_norm(config, "final"),)
    logits = (
        f"T × {config.vocab_size:,} logits" if config.causal else f"a vector of {config.width:,}"
    )
    return Architecture(
        title=title,
        enters=_enters(config),
        blocks=f"{config.num_layers} block{'s' if config.num_layers > 1 else ''}",
        branches=_branches(config),
        leaves=(*final, _score(config, labels) if labels else _head(config)),
        ids="T token ids",
        stream=f"T × {config.width:,}",
        result=f"{len(labels)} scores" if labels else logits,
    )


def _enters(config: ModelConfig) -> tuple[Box, ...]:
    lines = [f"{config.vocab_size:,} × {config.width:,}: a row for each id"]
    if config.scaled_embedding:
        lines.append(f"times √{config.width:,}")
    boxes = [Box("table", "Embedding", tuple(lines))]
    added = ADDED_POSITIONS.get(config.positions)
    if added:
        table = f"{config.context_tokens:,} × {config.width:,}: added"
        boxes.append(
            Box(
                "table",
                added.title,
                (table if added.has_table else f"{added.formula}, added; not learned",),
            )
        )
    return (*boxes, _norm(config, "embedding")) if config.embedding_norm else tuple(boxes)


def _branches(config: ModelConfig) -> tuple[Branch, ...]:
    """Return the branches as `model/transformer.py` computes them."""
    norm, attention, feedforward = _norm(config), _attention(config), _feedforward(config)
    if config.block == "parallel":
        return (Branch(norm, (attention, feedforward)),)
    before = norm if config.block in ("pre", "sandwich") else None
    after = norm if config.block in ("output", "sandwich") else None
    on_sum = norm if config.block == "post" else None
    return tuple(Branch(before, (part,), after, on_sum) for part in (attention, feedforward))


def _norm(config: ModelConfig, which: str = "") -> Box:
    return Box("norm", f"{which.capitalize()} {NORMS[config.norm]}".strip())


def _attention(config: ModelConfig) -> Box:
    heads, shared, width = config.num_heads, config.num_kv_heads, config.head_width
    kind = "Multi-head" if shared == heads else "Multi-query" if shared == 1 else "Grouped-query"
    if shared == heads:
        shapes = f"queries, keys and values T × {heads} × {width}"
    else:
        shapes = f"queries T × {heads} × {width}, keys and values T × {shared} × {width}"
    lines = [
        shapes,
        *_scoring(config),
        *_positions(config),
        *_sight(config),
        *_attention_biases(config),
    ]
    return Box("attention", f"{kind} attention", tuple(lines))


def _scoring(config: ModelConfig) -> list[str]:
    """Return how queries, keys and scores are transformed."""
    lines = []
    if config.qk_norm != "none":
        each = "head by head" if config.qk_norm == "head" else "all heads together"
        lines.append(f"queries and keys RMS-normalised, {each}")
    divisor = config.score_width or config.head_width
    capped = f", soft-capped at ±{config.score_softcap:g}" if config.score_softcap else ""
    lines.append(f"scores {config.num_heads} × T × T, divided by √{divisor}{capped}")
    return lines


def _positions(config: ModelConfig) -> list[str]:
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
        since = (
            "" if scaling.kind == "linear" else f", from {scaling.original_context_tokens:,} tokens"
        )
        lines.append(f"context extended {scaling.factor:g} times ({scaling.kind}{since})")
    if config.unrotated_every:
        lines.append(f"none in {_every(config.unrotated_every)} block")
    return lines


def _sight(config: ModelConfig) -> list[str]:
    """Return a line about sliding windows; none where all blocks attend to the whole context."""
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
        f"blocks 1-{every - 1} of {every} attend to the last {window:,} tokens, the {_ordinal(every)} to all"
    ]


def _every(number: int) -> str:
    return "every" if number == 1 else "every other" if number == 2 else f"every {_ordinal(number)}"


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if number % 100 in (11, 12, 13) else endings.get(number % 10, "th")
    return f"{number}{ending}"


def _attention_biases(config: ModelConfig) -> list[str]:
    if config.attention_bias and config.attention_output_bias:
        return ["with biases"]
    if config.attention_bias:
        return ["with biases on queries, keys and values"]
    return ["with a bias on the output"] if config.attention_output_bias else []


def _feedforward(config: ModelConfig) -> Box:
    network = FEEDFORWARDS[config.feedforward]
    name, formula = network.title, network.formula
    widths = f"{config.width:,} → {config.feedforward_width:,} → {config.width:,}"
    biases = ("with biases",) if config.feedforward_bias else ()
    if not config.num_experts:
        return Box("feedforward", f"Feed-forward, {name}", (f"{widths}: {formula}", *biases))
    shares = ", weights normalised" if config.normalised_router else ""
    router = (
        f"router {config.width:,} → {config.num_experts}, top {config.experts_per_token}{shares}"
    )
    title = f"{config.num_experts} experts, {config.experts_per_token} per token, {name}"
    return Box("feedforward", title, (router, f"each {widths}: {formula}", *biases))


def _head(config: ModelConfig) -> Box:
    if not config.causal:
        return Box("head", "Mean", ("of the tokens, normalised to length 1",))
    whose = "shared with the embedding (tied)" if config.tied_head else "its own table"
    capped = (f"logits soft-capped at ±{config.logit_softcap:g}",) if config.logit_softcap else ()
    return Box("head", "Head", (f"{config.width:,} → {config.vocab_size:,}: {whose}", *capped))


def _score(config: ModelConfig, labels: tuple[str, ...]) -> Box:
    named = ", ".join(labels[:4]) + (", ..." if len(labels) > 4 else "")
    return Box(
        "head", "Score", (f"{config.width:,} → {len(labels)}, at the last token", named[:60])
    )
