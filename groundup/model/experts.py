"""Mixture of experts (MoE): E feed-forward networks in one block, and a router that chooses A of
them per token. [.., C] -> [.., C].

    scores p = softmax(x W_r)  over all E experts;   y = sum over the A largest of  p_e expert_e(x)
        (Shazeer et al. 2017, eq. 1; Fedus et al. 2021, eq. 1 and 2)

Qwen3-MoE (Yang et al. 2025) divides the A weights by their sum (`normalised`); Qwen1.5-MoE did not.
There is no capacity limit that drops tokens (Fedus et al. 2021 had one), so a text gives the same
result in a batch as alone. An expert that no token chose gets no gradient.

    route                           the chosen experts of each token and their weights
    mix_one_by_one, mix_grouped     the readable version; and all tokens of an expert at once, which
                                    `Experts` uses
    balance_loss, router_scores     the auxiliary loss that keeps experts evenly used

Left out: noise on the scores, capacity, shared experts (DeepSeek), groups of experts.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.model.feedforward import GatedFeedForward, SwiGLU
from groundup.model.linear import linear

GateFunction = Callable[[Tensor, Tensor], Tensor]
"""`GatedFeedForward.apply_gate`: activation(gate) * up."""


@dataclass(frozen=True)
class Routing:
    experts: Int[Tensor, "N A"]
    """The largest weight first."""
    shares: Float[Tensor, "N A"]
    """The weight of each one's output."""


def route(scores: Float[Tensor, "N E"], experts_per_token: int, *, normalised: bool) -> Routing:
    """The experts with the highest scores and their weights, in float32.

    >>> route(torch.tensor([[0.0, 2.0, 1.0]]), 2, normalised=True).experts.tolist()
    [[1, 2]]
    """
    probabilities = scores.float().softmax(dim=-1)  # eq. 1: over all experts
    shares, experts = probabilities.topk(experts_per_token, dim=-1)
    if normalised:
        shares = shares / shares.sum(dim=-1, keepdim=True)
    return Routing(experts, shares)


@dataclass(frozen=True)
class ExpertMatrices:
    """`gate[e]`, `up[e]` and `down[e]` are one gated feed-forward network."""

    gate: Float[Tensor, "E F C"]
    up: Float[Tensor, "E F C"]
    down: Float[Tensor, "E C F"]


def mix_one_by_one(
    x: Float[Tensor, "N C"], routing: Routing, matrices: ExpertMatrices, apply_gate: GateFunction
) -> Float[Tensor, "N C"]:
    """The readable version and the test of `mix_grouped`."""
    rows = []
    for token, experts, shares in zip(x, routing.experts.tolist(), routing.shares, strict=True):
        outputs = [
            _expert(token, matrices.gate[e], matrices.up[e], matrices.down[e], apply_gate)
            for e in experts
        ]
        weighted = (share * output for share, output in zip(shares, outputs, strict=True))
        rows.append(sum(weighted))  # eq. 2
    return torch.stack(rows).to(x.dtype)


def mix_grouped(
    x: Float[Tensor, "N C"], routing: Routing, matrices: ExpertMatrices, apply_gate: GateFunction
) -> Float[Tensor, "N C"]:
    """The same, with the (token, expert) pairs sorted by expert: each one's matrices are read once
    for all its tokens.
    """
    experts = routing.experts.flatten()  # [N A]
    order = experts.argsort(stable=True)
    tokens = order // routing.experts.shape[1]  # [N A], the token of each pair
    counts = experts.bincount(minlength=len(matrices.gate)).tolist()
    used = [expert for expert, count in enumerate(counts) if count]
    groups = x.index_select(0, tokens).split([counts[expert] for expert in used])
    gate: Sequence[Tensor] | Tensor = matrices.gate
    up: Sequence[Tensor] | Tensor = matrices.up
    down: Sequence[Tensor] | Tensor = matrices.down
    if torch.is_grad_enabled():  # the gradient of stack[e] would be as large as the whole stack
        gate, up, down = matrices.gate.unbind(), matrices.up.unbind(), matrices.down.unbind()
    outputs = [
        _expert(group, gate[e], up[e], down[e], apply_gate)
        for e, group in zip(used, groups, strict=True)
    ]
    shares = routing.shares.flatten()[order].to(x.dtype)
    weighted = (shares[:, None] * torch.cat(outputs)).to(x.dtype)  # [N A, C]
    return torch.zeros_like(x).index_add(0, tokens, weighted)


def _expert(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, apply_gate: GateFunction) -> Tensor:
    return linear(apply_gate(linear(x, gate), linear(x, up)), down)


class StackedExperts(nn.Module):
    """One matrix per expert: `weight[e]` is the weight of a Linear."""

    def __init__(self, num_experts: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_experts, outputs, inputs))
        nn.init.uniform_(self.weight, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))  # as nn.Linear


class Experts(nn.Module):
    """E gated feed-forward networks of width F and their router.

    >>> Experts(8, 16, num_experts=4, experts_per_token=2)(torch.ones(1, 3, 8)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(
        self,
        width: int,
        feedforward_width: int,
        *,
        num_experts: int,
        experts_per_token: int,
        kind: type[GatedFeedForward] = SwiGLU,
        normalised: bool = True,
    ) -> None:
        super().__init__()
        self.experts_per_token, self.normalised = experts_per_token, normalised
        self.apply_gate = kind.apply_gate
        self.router = nn.Linear(width, num_experts, bias=False)
        self.gate = StackedExperts(num_experts, width, feedforward_width)
        self.up = StackedExperts(num_experts, width, feedforward_width)
        self.down = StackedExperts(num_experts, feedforward_width, width)

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        flat = x.flatten(0, -2)
        routing = route(self.router(flat), self.experts_per_token, normalised=self.normalised)
        matrices = ExpertMatrices(self.gate.weight, self.up.weight, self.down.weight)
        return mix_grouped(flat, routing, matrices, self.apply_gate).view_as(x)


def balance_loss(
    scores: Float[Tensor, "N E"], experts_per_token: int, real: Bool[Tensor, " N"] | None = None
) -> Float[Tensor, ""]:
    """Of one router: A when all experts are used equally, up to E when the same A are always
    chosen. Only the probabilities have a gradient, which lowers those of experts with many tokens.
    `real`: the tokens that count.
    """
    probabilities = scores.float().softmax(dim=-1)  # [N, E]
    best = probabilities.topk(experts_per_token).indices
    chosen = torch.zeros_like(probabilities).scatter(1, best, 1.0)
    if real is not None:
        probabilities, chosen = probabilities[real], chosen[real]
    fractions, means = chosen.mean(dim=0), probabilities.mean(dim=0)  # eq. 5: f_e; eq. 6: P_e
    # eq. 4: N sum_e f_e P_e, times alpha where it is added
    return scores.shape[1] * (fractions * means).sum()


@contextmanager
def router_scores(model: nn.Module) -> Iterator[list[Float[Tensor, "N E"]]]:
    """The scores of every router, first block first, from the forward passes inside this
    context.
    """
    seen: list[Tensor] = []
    routers = [part.router for part in model.modules() if isinstance(part, Experts)]
    with ExitStack() as hooks:
        for router in routers:
            hook = router.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
            hooks.enter_context(hook)
        yield seen
