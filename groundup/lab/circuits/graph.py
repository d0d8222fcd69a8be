"""The graph of one prediction: tokens, heads, feed-forward networks and features that made it, the
edges between them, and the intervention that tells how far the graph explains it.

What is explained is the log-probability of the most probable token: of the model as it is (full)
against that with every part at its mean over other texts (ablated). The effect of a part is its
share of that difference: the gradient by its gate, integrated along the way on which all gates open
together (Aumann & Shapley 1974; integrated gradients: Sundararajan et al. 2017, arXiv:1703.01365;
for parts of a model: Hanna et al. 2024, arXiv:2403.17806). The effects of all parts add up to it. A
graph is the fewest parts, the largest effects first, for which

    faithfulness = (with these parts alone - ablated) / (full - ablated)

is within LIMIT of 1, tried by intervention (Wang et al. 2022, arXiv:2211.00593); where MOST parts
are not enough, the prediction is not explained, and the numbers say how far it is. What the
features leave unexplained is never part of a graph
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.device import generator
from groundup.errors import DataError
from groundup.lab.circuit_values import CircuitGraph, GraphEdge, GraphNode
from groundup.lab.circuits.edges import edges_of
from groundup.lab.circuits.gates import GatedModel, Gates, ModelPart
from groundup.lab.stream import require_tokenizer
from groundup.lab.style import show_spaces
from groundup.lab.tokens import pieces_of, token_text
from groundup.tokenizer.fast import Tokenizer

# Faithfulness is accepted from 1 - LIMIT to 1 + LIMIT.
LIMIT = 0.2
# Numbers of parts that are tried; the last is the most that a reader can follow.
LADDER = (2, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32, 40)
MOST = LADDER[-1]
# Nats between the whole model and all parts at their means; below it there is nothing to explain.
LEAST_DIFFERENCE = 0.5
# On the way from all gates closed to all open; draws of random parts.
STEPS, DRAWS = 16, 8
DECIMALS = 4
CAPTION = (
    "Of {parts:,} parts of the model at these tokens the {count} with the largest effects. The "
    "log-probability of {decision!r} is {full:.2f}; with every part at its mean over other texts "
    "it is {ablated:.2f}, with these parts alone {kept:.2f}: faithfulness {faithfulness:.2f}, of as "
    "many random parts {chance:.2f}. Without these parts {left:.2f} of the difference is left. "
    "What the features leave unexplained has an effect of {errors:+.2f}."
)
NOTHING = (
    "the model predicts it nearly as much with every part at its mean over other texts: there is "
    "little that this text made"
)
NOT_ENOUGH = "the {count} largest parts alone give {faithfulness:.2f} of the difference"


@dataclass(frozen=True)
class _Explained:
    """A text, and the token that is explained."""

    gated: GatedModel
    ids: Sequence[int]
    decision: int
    """The token that is explained."""

    def score(self, gates: Gates) -> Float[Tensor, " B"]:
        final, _ = self.gated.run(self.ids, gates)
        return self.read(final)

    def read(self, final: Float[Tensor, "B T C"]) -> Float[Tensor, " B"]:
        model = self.gated.model
        logits = model.logits(model.transformer.final_norm(final[:, -1])).float()
        return logits.log_softmax(dim=-1)[:, self.decision]


def graph_of(
    gated: GatedModel,
    tokenizer: Tokenizer | None,
    ids: Sequence[int],
    names: dict[int, str],
    *,
    with_edges: bool = True,
) -> CircuitGraph:
    """The graph of the most probable next token after `ids`, which begin with the token that begins
    every text. `names`: of features, by index. Raises DataError for a text that is too long.
    """
    tokenizer = require_tokenizer(tokenizer)
    require_length(ids, gated.means.token.shape[0])
    with torch.no_grad():
        logits = gated.model(torch.tensor([list(ids)]))[0, -1].float()
    decision = int(logits.argmax())
    explained = _Explained(gated, ids, decision)
    effects = part_effects(explained)
    ranked = sorted(effects, key=lambda part: -abs(effects[part]))
    parts = [part for part in ranked if part.kind != "error"]
    full, ablated, tried = _tried(explained, parts)
    count, kept = _smallest(tried, full, ablated)
    graph = parts[:count]
    removed, random_kept = _checked(explained, graph, parts)

    def share(value: float) -> float:
        return round((value - ablated) / ((full - ablated) or math.inf), DECIMALS)

    why = _why_not(full - ablated, share(kept), count)
    found = {
        "decision": token_text(tokenizer, decision),
        "full": round(full, DECIMALS),
        "ablated": round(ablated, DECIMALS),
        "kept": round(kept, DECIMALS),
        "faithfulness": share(kept),
        "left": share(removed),
        "chance": share(random_kept),
        "parts": len(parts),
        "errors": round(sum(effects[part] for part in ranked if part.kind == "error"), DECIMALS),
    }
    pieces = pieces_of(tokenizer, ids)
    labels = [piece["text"] for piece in pieces]
    return CircuitGraph(
        **found,  # type: ignore[typeddict-item]
        text=tokenizer.decode(list(ids[1:])),
        pieces=pieces,
        probability=round(float(logits.softmax(dim=-1)[decision]), 6),
        removed=round(removed, DECIMALS),
        explained=not why,
        why=why,
        nodes=[_node(part, effects[part], labels, names) for part in graph],
        edges=_edges(explained, graph[: len(graph) * with_edges]),
        caption=CAPTION.format(count=count, **found),
    )


def require_length(ids: Sequence[int], most: int) -> None:
    """Raise DataError for a text that is too short or too long for a graph."""
    if not 2 <= len(ids) <= most:
        message = f"A graph is of 1 to {most - 1} tokens, the text has {len(ids) - 1}."
        raise DataError(message, fix="Give another text.")


def _why_not(difference: float, faithfulness: float, count: int) -> str:
    """Why a prediction is not explained; "" where it is."""
    if difference < LEAST_DIFFERENCE:
        return NOTHING
    if abs(faithfulness - 1) > LIMIT:
        return NOT_ENOUGH.format(count=count, faithfulness=faithfulness)
    return ""


def part_effects(explained: _Explained) -> dict[ModelPart, float]:
    """The effect of every part but those at the first token, which is the same in all texts."""
    gated, length = explained.gated, len(explained.ids)
    gates = gated.gates(STEPS, length, 1.0)
    way = (torch.arange(STEPS) + 0.5) / STEPS
    for each in gates.all():
        each.mul_(way.view(-1, *[1] * (each.ndim - 1))).requires_grad_()
    with torch.enable_grad():
        total = explained.score(gates).sum()
        found = torch.autograd.grad(total, gates.all(), materialize_grads=True)
    token, head, network, feature, error = (slope.mean(dim=0) for slope in found)
    effects: dict[ModelPart, float] = {}
    for place in range(1, length):
        effects[ModelPart("token", 0, 0, place)] = float(token[place])
        effects[ModelPart("error", gated.block, 0, place)] = float(error[place])
        for block in range(gated.model.config.num_layers):
            for number, value in enumerate(head[block, place].tolist()):
                effects[ModelPart("head", block, number, place)] = value
            if block != gated.block:
                effects[ModelPart("network", block, 0, place)] = float(network[block, place])
        for number in feature[place].nonzero().flatten().tolist():
            effects[ModelPart("feature", gated.block, number, place)] = float(
                feature[place, number]
            )
    return effects


@torch.no_grad()
def _tried(
    explained: _Explained, parts: Sequence[ModelPart]
) -> tuple[float, float, dict[int, float]]:
    """The log-probability of the whole model, with all parts at their means, and with the first
    parts alone, by their number.
    """
    counts = [count for count in LADDER if count <= len(parts)] or [len(parts)]
    gates = explained.gated.gates(2 + len(counts), len(explained.ids), 0.0)
    for each in gates.all():
        each[0] = 1.0
    for row, count in enumerate(counts, start=2):
        gates.set(row, parts[:count], 1.0)
    full, ablated, *kept = explained.score(gates).tolist()
    return full, ablated, dict(zip(counts, kept, strict=True))


def _smallest(tried: dict[int, float], full: float, ablated: float) -> tuple[int, float]:
    """The fewest parts that are faithful, or the most that were tried."""
    for count, kept in tried.items():
        if abs(kept - full) <= LIMIT * abs(full - ablated):
            return count, kept
    return list(tried.items())[-1]


@torch.no_grad()
def _checked(
    explained: _Explained, graph: Sequence[ModelPart], parts: Sequence[ModelPart]
) -> tuple[float, float]:
    """The log-probability without the graph's parts, and in the mean with as many random ones."""
    length, draw = len(explained.ids), generator(0, f"random parts {list(explained.ids)}")
    gates = explained.gated.gates(1 + DRAWS, length, 0.0)
    for each in gates.all():
        each[0] = 1.0
    gates.set(0, graph, 0.0)
    for row in range(1, 1 + DRAWS):
        chosen = torch.randperm(len(parts), generator=draw)[: len(graph)].tolist()
        gates.set(row, [parts[number] for number in chosen], 1.0)
    removed, *random = explained.score(gates).tolist()
    return removed, sum(random) / DRAWS


def _edges(explained: _Explained, graph: Sequence[ModelPart]) -> list[GraphEdge]:
    if not graph:
        return []
    found = edges_of(explained.gated, explained.ids, graph, explained.read)
    edges: list[GraphEdge] = []
    for source, target, weight, cut in found:
        if cut is not None:
            cut = round(cut, DECIMALS)
        weight = round(weight, DECIMALS)
        edges.append({"source": source, "target": target, "weight": weight, "cut": cut})
    return edges


def _node(
    part: ModelPart, effect: float, labels: Sequence[str], names: dict[int, str]
) -> GraphNode:
    where = f"“{show_spaces(labels[part.token])}”"
    name = where
    number = 0
    if part.kind == "head":
        name, number = f"head {part.block + 1}.{part.number + 1} at {where}", part.number + 1
    elif part.kind == "network":
        name = f"network {part.block + 1} at {where}"
    elif part.kind == "feature":
        of = show_spaces(names.get(part.number, "?"))
        name, number = f"feature {part.number + 1} “{of}” at {where}", part.number + 1
    return {
        "kind": part.kind,
        "block": (part.block + 1) * (part.kind != "token"),
        "number": number,
        "token": part.token + 1,
        "name": name,
        "effect": round(effect, DECIMALS),
    }
