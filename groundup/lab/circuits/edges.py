"""The edges of a graph: how much of a part's effect on the prediction comes from each earlier part.

They are taken in the run in which the graph's parts alone are open. There the residual stream that
a part reads is known as a sum: means, and what each earlier part of the graph adds to them. Of the
later part v the direction c in which the prediction depends on its output is held (its gradient,
averaged while the graph's gates open together); its own computation on the stream is run alone, and

    weight(u -> v) = integral over b from 0 to 1 of  d <c, v(stream of b times all parts)> / d b_u

(integrated gradients by the gates of its inputs), queries, keys, values and norms included. The
weights into the prediction, in nats, add up to its log-probability with the graph's parts minus
that with all parts at their means
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from groundup.lab.circuits.gates import GatedModel, ModelPart, Outputs, read_streams
from groundup.lab.hooks import changed

STEPS = 8
Read = Callable[[Float[Tensor, "B T C"]], Float[Tensor, " B"]]
"""The residual stream after the last block -> what is explained."""


@dataclass(frozen=True)
class _Run:
    """The run with the graph's parts alone."""

    graph: Sequence[ModelPart]
    orders: Sequence[int]
    """Of each part the row of `means` that it reads; -1: of a token."""
    written: Float[Tensor, "n C"]
    """What each part adds to the stream beside its mean."""
    means: Float[Tensor, "readers T C"]
    """The stream with no part of the graph, as it is read by attention and network of each block
    and then by the head: two rows a block, and one.
    """


def edges_of(
    gated: GatedModel, ids: Sequence[int], graph: Sequence[ModelPart], read: Read
) -> dict[tuple[int, int | None], float]:
    """Weights by the indices of both parts; None: the prediction."""
    run, slopes = _kept_run(gated, ids, graph, read)
    found: dict[tuple[int, int | None], float] = {}
    for target, part in enumerate(graph):
        order = run.orders[target]
        sources = [
            at
            for at, each in enumerate(graph)
            if run.orders[at] < order and each.token <= part.token
        ]
        if sources:
            weights = _weights(run, sources, order, _value_of(gated, part, slopes[target]))
            found |= {(at, target): weight for at, weight in zip(sources, weights, strict=True)}
    everything = list(range(len(graph)))
    weights = _weights(run, everything, len(run.means) - 1, read)
    return found | {(at, None): weight for at, weight in zip(everything, weights, strict=True)}


def _order(gated: GatedModel, part: ModelPart) -> int:
    """The number of the stream that a part reads; of a token -1. In a parallel block heads and
    network read the same one.
    """
    if part.kind == "token":
        return -1
    later = part.kind != "head" and gated.model.config.block == "pre"
    return 2 * part.block + int(later)


def _kept_run(
    gated: GatedModel, ids: Sequence[int], graph: Sequence[ModelPart], read: Read
) -> tuple[_Run, list[Tensor]]:
    """The run, and of each part the gradient of the prediction by its output, over the whole way."""
    gates, orders = gated.gates(STEPS + 1, len(ids), 0.0), [_order(gated, part) for part in graph]
    way = [*((torch.arange(STEPS) + 0.5) / STEPS).tolist(), 1.0]
    for row, share in enumerate(way):
        gates.set(row, graph, share)
    for each in gates.all():
        each.requires_grad_()
    with torch.enable_grad(), read_streams(gated) as streams:
        final, seen = gated.run(ids, gates)
        outputs = [*seen.head, *seen.network, seen.feature]
        slopes = torch.autograd.grad(read(final)[:STEPS].sum(), outputs, materialize_grads=True)
    layers = gated.model.config.num_layers
    of_kind = {"head": slopes[:layers], "network": slopes[layers:-1]}
    held = []
    for part in graph:
        slope = slopes[-1]
        if part.kind in of_kind:
            slope = of_kind[part.kind][part.block]
        # through the gate, which is a factor of the gradient
        own = _part_of(slope, part)[:STEPS] / torch.tensor(way[:STEPS]).view(
            -1, *[1] * (slope[0, 0].ndim - int(part.kind in ("head", "feature")))
        )
        held.append(own.mean(dim=0))
    written = torch.stack([_written(gated, seen.last(), part) for part in graph])
    streams.append(final)
    means = torch.stack([stream[-1].detach() for stream in streams])
    for part, order, added in zip(graph, orders, written, strict=True):
        means[order + 1 :, part.token] -= added
    return _Run(graph, orders, written, means), held


def _part_of(values: Float[Tensor, "B T ..."], part: ModelPart) -> Tensor:
    """The values of one part in those of a block."""
    if part.kind in ("head", "feature"):
        return values[:, part.token, part.number]
    return values[:, part.token]


@torch.no_grad()
def _written(gated: GatedModel, found: Outputs, part: ModelPart) -> Float[Tensor, " C"]:
    """What an open part adds to the stream beside its mean."""
    own, mean = getattr(found, part.kind), getattr(gated.means, part.kind)
    if part.kind in ("head", "network"):
        own, mean = own[part.block], mean[part.block]
    added = _part_of(own[None], part)[0] - _part_of(mean[None], part)[0]
    if part.kind == "feature":
        return added * gated.transcoder.directions[part.number]
    if part.kind == "head":
        width = gated.model.config.head_width
        output = gated.model.transformer.block(part.block).attention.output.weight
        return output[:, part.number * width : (part.number + 1) * width] @ added
    return added


def _weights(run: _Run, sources: Sequence[int], reader: int, value: Read) -> list[float]:
    """The integrated gradient of a value by what each source adds to the stream at a reader."""
    way = ((torch.arange(STEPS) + 0.5) / STEPS)[:, None].expand(-1, len(sources))
    opened = way.clone().requires_grad_()
    places = torch.tensor([run.graph[source].token for source in sources])
    with torch.enable_grad():
        added = opened[..., None] * run.written[list(sources)]  # [STEPS, sources, C]
        stream = run.means[reader].expand(STEPS, -1, -1).index_add(1, places, added)
        (slope,) = torch.autograd.grad(value(stream).sum(), opened)
    weights: list[float] = slope.mean(dim=0).tolist()
    return weights


def _value_of(gated: GatedModel, part: ModelPart, slope: Tensor) -> Read:
    """The part's output on a stream, in the direction in which the prediction depends on it."""
    transformer = gated.model.transformer
    block = transformer.block(part.block)

    def head(stream: Tensor) -> Tensor:
        seen: list[Tensor] = []

        def keep(found: Tensor) -> Tensor:
            seen.append(found)
            return found

        with changed(gated.model, "head", part.block + 1, keep):
            transformer.run_blocks(stream, part.block, part.block + 1)
        value: Tensor = seen[0][:, part.token, part.number] @ slope
        return value

    def network(stream: Tensor) -> Tensor:
        norm = block.feedforward_norm or block.attention_norm
        assert norm is not None
        inputs = norm(stream[:, part.token])
        if part.kind == "network":
            written: Tensor = block.feedforward(inputs) @ slope
            return written
        encoder = gated.transcoder.encoder
        return F.relu(inputs @ encoder.weight[part.number] + encoder.bias[part.number]) * slope

    return {"head": head}.get(part.kind, network)
