"""Mixture of experts: many feed-forward parts in one block, and a router that sends every token through a few of them. [.., C] -> [.., C].

    scores p = softmax(x W_r)  over all E experts;   y = sum over the A largest of  p_e expert_e(x)      (Shazeer et al. 2017, eq. 1;
                                                                                                    Fedus et al. 2021, eq. 1 and 2)

A model so holds the parameters of E experts and computes with those of A. Qwen3-MoE (Yang et al. 2025) divides the A shares by
their sum (`normalised`), so that they add up to 1; Qwen1.5-MoE did not.

Every token goes through all of its experts, however many tokens want the same one: there is no capacity that some are dropped from
(Fedus et al. 2021 had one), so a text gives in a batch what it gives alone. An expert that no token of a batch chose gets no gradient.

    route                           who goes where, and with which share
    mix_one_by_one, mix_grouped     the readable way; and all tokens of an expert at once, which is what `Experts` does
    balance_loss, router_scores     what keeps experts evenly used while they train

Left out: noise on the scores, capacity, shared experts (DeepSeek), groups of experts.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from groundup.model.feedforward import GatedFeedForward, SwiGLU

RouterScores = Callable[[Tensor, Tensor], Tensor]
"""What the bent gate lets through of the other copy: `GatedFeedForward.passed`."""


@dataclass(frozen=True)
class Routing:
    """Where N tokens go."""

    experts: Int[Tensor, "N A"]
    """The chosen experts of each token, the largest share first."""
    shares: Float[Tensor, "N A"]
    """How much of each one's answer the token takes."""


def route(scores: Float[Tensor, "N E"], experts_per_token: int, *, normalised: bool) -> Routing:
    """The `experts_per_token` experts with the highest scores, and their shares, in float32.

    >>> route(torch.tensor([[0.0, 2.0, 1.0]]), 2, normalised=True).experts.tolist()
    [[1, 2]]
    """
    probabilities = scores.float().softmax(dim=-1)  # eq. 1: over all experts, before any is left out
    shares, experts = probabilities.topk(experts_per_token, dim=-1)
    return Routing(experts, shares / shares.sum(dim=-1, keepdim=True) if normalised else shares)


@dataclass(frozen=True)
class ExpertMatrices:
    """Those of all experts, stacked; `gate[e]`, `up[e]` and `down[e]` are a gated feed-forward part."""

    gate: Float[Tensor, "E F C"]
    up: Float[Tensor, "E F C"]
    down: Float[Tensor, "E C F"]


def mix_one_by_one(
    x: Float[Tensor, "N C"], routing: Routing, matrices: ExpertMatrices, passed: RouterScores
) -> Float[Tensor, "N C"]:
    """Each token's experts, one after the other: what is meant, and the test of `mix_grouped`."""
    rows = []
    for token, experts, shares in zip(x, routing.experts.tolist(), routing.shares, strict=True):
        answers = [_expert(token, matrices.gate[e], matrices.up[e], matrices.down[e], passed) for e in experts]
        rows.append(sum(share * answer for share, answer in zip(shares, answers, strict=True)))  # eq. 2
    return torch.stack(rows).to(x.dtype)


def mix_grouped(
    x: Float[Tensor, "N C"], routing: Routing, matrices: ExpertMatrices, passed: RouterScores
) -> Float[Tensor, "N C"]:
    """The same, with the N A places sorted by expert, so that each expert's matrices are read once for all of its tokens."""
    places = routing.experts.flatten()  # [N A]
    order = places.argsort(stable=True)
    tokens = order // routing.experts.shape[1]  # [N A], whose place it is
    counts = places.bincount(minlength=len(matrices.gate)).tolist()
    used = [expert for expert, count in enumerate(counts) if count]
    groups = x.index_select(0, tokens).split([counts[expert] for expert in used])
    gate, up, down = (_one_by_one(stack) for stack in (matrices.gate, matrices.up, matrices.down))
    pairs = zip(used, groups, strict=True)
    answers = torch.cat([_expert(group, gate[e], up[e], down[e], passed) for e, group in pairs])  # [N A, C]
    shares = routing.shares.flatten()[order].to(x.dtype)
    return torch.zeros_like(x).index_add(0, tokens, (shares[:, None] * answers).to(x.dtype))


def _one_by_one(stack: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Something that [e] takes a matrix out of: unbound where gradients are wanted, as that of stack[e] is as large as the whole stack."""
    return stack.unbind() if torch.is_grad_enabled() and stack.requires_grad else stack


def _expert(x: Tensor, gate: Tensor, up: Tensor, down: Tensor, passed: RouterScores) -> Tensor:
    return F.linear(passed(F.linear(x, gate), F.linear(x, up)), down)


class StackedExperts(nn.Module):
    """One matrix of every expert: `weight[e]` is the weight of a Linear."""

    def __init__(self, num_experts: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_experts, outputs, inputs))
        nn.init.uniform_(self.weight, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))  # as nn.Linear


class Experts(nn.Module):
    """E gated feed-forward parts of width F and their router, in the place of one.

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
        self.experts_per_token, self.normalised, self.passed = experts_per_token, normalised, kind.passed
        self.router = nn.Linear(width, num_experts, bias=False)
        self.gate = StackedExperts(num_experts, width, feedforward_width)
        self.up = StackedExperts(num_experts, width, feedforward_width)
        self.down = StackedExperts(num_experts, feedforward_width, width)

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        flat = x.flatten(0, -2)
        routing = route(self.router(flat), self.experts_per_token, normalised=self.normalised)
        return mix_grouped(flat, routing, self.matrices(), self.passed).view_as(x)

    def matrices(self) -> ExpertMatrices:
        return ExpertMatrices(self.gate.weight, self.up.weight, self.down.weight)


def balance_loss(
    scores: Float[Tensor, "N E"], experts_per_token: int, real: Bool[Tensor, " N"] | None = None
) -> Float[Tensor, ""]:
    """How unevenly one router uses its experts: A when all are used alike, up to E where the same A always win.

    Without it the experts that happen to be chosen first learn first, and are chosen ever more. Only the probabilities carry a
    gradient: those of experts with many tokens are pushed down. `real`: the tokens that count (None: all).
    """
    probabilities = scores.float().softmax(dim=-1)  # [N, E]
    chosen = torch.zeros_like(probabilities).scatter(1, probabilities.topk(experts_per_token).indices, 1.0)
    if real is not None:
        probabilities, chosen = probabilities[real], chosen[real]
    share_of_tokens = chosen.mean(dim=0)  # eq. 5: f_e
    share_of_probability = probabilities.mean(dim=0)  # eq. 6: P_e
    return (
        scores.shape[1] * (share_of_tokens * share_of_probability).sum()
    )  # eq. 4: N sum_e f_e P_e, times alpha where it is added


@contextmanager
def router_scores(model: nn.Module) -> Iterator[list[Float[Tensor, "N E"]]]:
    """The scores of every router of `model`, first block first, as its forward passes in here make them."""
    seen: list[Tensor] = []
    routers = [part.router for part in model.modules() if isinstance(part, Experts)]
    hooks = [router.register_forward_hook(lambda _module, _inputs, scores: seen.append(scores)) for router in routers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
