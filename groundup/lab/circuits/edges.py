"""The edges of a graph: how much of a part's effect on the prediction comes from each earlier part.

They are taken in the run in which the graph's parts alone are open. There the residual stream that
a part reads is known as a sum: means, and what each earlier part of the graph adds to them. Of the
later part v the direction c in which the prediction depends on its output is held (its gradient,
averaged while the graph's gates open together); its own computation on the stream is run alone, and

    weight(u -> v) = integral over b from 0 to 1 of  d <c, v(stream of b times all parts)> / d b_u

(integrated gradients by the gates of its inputs), queries, keys, values and norms included. The
weights into the prediction, in nats, add up to its log-probability with the graph's parts minus
that with all parts at their means.

The largest edges are tried, each alone, by cutting it in that run: v reads the stream without what
u adds to it beside its mean, all else as it is, and what follows v is computed anew (path patching:
Goldowsky-Dill et al. 2023, arXiv:2304.05969). What the prediction loses is the edge's cut
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from groundup.lab.circuits.gates import (
    ROWS_AT_ONCE,
    GatedModel,
    ModelPart,
    Outputs,
    read_streams,
)
from groundup.lab.hooks import Site, changed

STEPS = 8
# Edges of the largest weights, each of which is cut alone.
MOST_CUT = 60
# Where what a head writes, and what any other part writes, enters the stream.
ENTRIES: tuple[Site, Site] = ("attention", "stream")
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

    def stream(self, reader: int) -> Float[Tensor, "T C"]:
        """The stream as it is at a row of `means`."""
        found = self.means[reader].clone()
        for part, order, added in zip(self.graph, self.orders, self.written, strict=True):
            if order < reader:
                found[part.token] += added
        return found


class FoundEdge(NamedTuple):
    """Between two parts, by their indices."""

    source: int
    target: int | None
    """None: the prediction."""
    weight: float
    cut: float | None = None
    """What the prediction loses without the edge, in nats; None: it was not tried."""


def edges_of(
    gated: GatedModel, ids: Sequence[int], graph: Sequence[ModelPart], read: Read
) -> list[FoundEdge]:
    """All edges, the largest first, of which MOST_CUT are tried."""
    run, slopes = _kept_run(gated, ids, graph, read)
    found: list[FoundEdge] = []
    for target, part in enumerate(graph):
        order = run.orders[target]
        sources = [
            at
            for at, each in enumerate(graph)
            if run.orders[at] < order and each.token <= part.token
        ]
        if sources:
            weights = _weights(run, sources, order, _value_of(gated, part, slopes[target]))
            found += map(FoundEdge, sources, [target] * len(sources), weights)
    weights = _weights(run, range(len(graph)), len(run.means) - 1, read)
    found += map(FoundEdge, range(len(graph)), [None] * len(graph), weights)
    found.sort(key=lambda edge: -abs(edge.weight))
    some, cuts = found[:MOST_CUT], list[float]()
    for start in range(0, len(some), ROWS_AT_ONCE):
        cuts += _cuts(gated, ids, run, some[start : start + ROWS_AT_ONCE], read)
    tried = [edge._replace(cut=cut) for edge, cut in zip(some, cuts, strict=True)]
    return [*tried, *found[MOST_CUT:]]


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
    last = seen.last()
    written = torch.stack([_written(gated, last, part) for part in graph])
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
    return _added(gated, part, _part_of(own[None], part)[0] - _part_of(mean[None], part)[0])


def _added(gated: GatedModel, part: ModelPart, change: Tensor) -> Float[Tensor, " C"]:
    """What a change of a part's output adds to the stream."""
    if part.kind == "feature":
        return change * gated.transcoder.directions[part.number]
    if part.kind == "head":
        width = gated.model.config.head_width
        output = gated.model.transformer.block(part.block).attention.output.weight
        return output[:, part.number * width : (part.number + 1) * width] @ change
    return change


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
    """The part's output on a stream, in the direction in which the prediction depends on it. A
    feature counts although others are larger, since which are among the largest changes by leaps.
    """
    if part.kind == "feature":
        encoder = gated.transcoder.encoder

        def feature(stream: Tensor) -> Tensor:
            inputs = _network_inputs(gated, part, stream)
            return F.relu(inputs @ encoder.weight[part.number] + encoder.bias[part.number]) * slope

        return feature
    return lambda stream: _output(gated, part, stream) @ slope


def _output(gated: GatedModel, part: ModelPart, stream: Float[Tensor, "B T C"]) -> Tensor:
    """The part's own computation on a stream: [B, D] of a head, [B, C] of a network, [B] of a
    feature.
    """
    if part.kind == "head":
        seen: list[Tensor] = []

        def keep(found: Tensor) -> Tensor:
            seen.append(found)
            return found

        with changed(gated.model, "head", part.block + 1, keep):
            gated.model.transformer.run_blocks(stream, part.block, part.block + 1)
        return seen[0][:, part.token, part.number]
    inputs = _network_inputs(gated, part, stream)
    if part.kind == "feature":
        active: Tensor = gated.transcoder(inputs)[0][:, part.number]
        return active
    written: Tensor = gated.model.transformer.block(part.block).feedforward(inputs)
    return written


def _network_inputs(
    gated: GatedModel, part: ModelPart, stream: Float[Tensor, "B T C"]
) -> Float[Tensor, "B C"]:
    block = gated.model.transformer.block(part.block)
    norm = block.feedforward_norm or block.attention_norm
    assert norm is not None
    inputs: Tensor = norm(stream[:, part.token])
    return inputs


@torch.no_grad()
def _cuts(
    gated: GatedModel, ids: Sequence[int], run: _Run, edges: Sequence[FoundEdge], read: Read
) -> list[float]:
    """What the prediction loses without each edge alone, in nats."""
    final = run.stream(len(run.means) - 1)
    gates = gated.gates(len(edges), len(ids), 0.0)
    # What a cut changes in the stream, by where it enters.
    shifts = {
        site: torch.zeros(len(gates.network[0]), len(edges), *final.shape) for site in ENTRIES
    }
    direct = torch.zeros(len(edges), *final.shape)
    for row, edge in enumerate(edges):
        gates.set(row, run.graph, 1.0)
        source = run.graph[edge.source]
        if edge.target is None:
            direct[row, source.token] = run.written[edge.source]
            continue
        target = run.graph[edge.target]
        both = run.stream(run.orders[edge.target]).repeat(2, 1, 1)
        both[1, source.token] -= run.written[edge.source]
        as_it_is, without = _output(gated, target, both)
        site = ENTRIES[target.kind != "head"]
        change = _added(gated, target, without - as_it_is)
        shifts[site][target.block, row, target.token] = change
    with ExitStack() as hooks:
        for site, of_blocks in shifts.items():
            for block, shift in enumerate(of_blocks, start=1):
                hooks.enter_context(changed(gated.model, site, block, shift.add))
        found, _ = gated.run(ids, gates)
    lost: list[float] = (read(final[None]) - read(found - direct)).tolist()
    return lost
