"""A mixture of experts: the grouped way is the readable way, every token is served, and nothing hangs on its neighbours."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.experts import (
    ExpertMatrices,
    Experts,
    Routing,
    balance_loss,
    mix_grouped,
    mix_one_by_one,
    route,
    router_scores,
)
from groundup.model.feedforward import FEEDFORWARDS, GatedFeedForward, SwiGLU
from groundup.model.heads import LanguageModel, initialise

E, A, C, F, N = 5, 2, 8, 12, 17
SOME = {"num_experts": E, "experts_per_token": A}
ModelOf = Callable[..., LanguageModel]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parts() -> tuple[Tensor, Tensor, ExpertMatrices]:
    """Tokens, a router's scores, and matrices, all with gradients."""
    x, scores = random(N, C).requires_grad_(), random(N, E, seed=1).requires_grad_()
    gate, up, down = (
        random(E, *shape, seed=seed).requires_grad_()
        for seed, shape in enumerate([(F, C), (F, C), (C, F)])
    )
    return x, scores, ExpertMatrices(gate, up, down)


def test_a_worked_example_of_routing() -> None:
    """Scores 0, ln 2, ln 5 over three experts: probabilities 1/8, 2/8, 5/8; the two largest, divided by 7/8: 5/7 and 2/7."""
    scores = torch.tensor([[1.0, 2.0, 5.0]]).log()
    chosen = route(scores, 2, normalised=False)
    assert chosen.experts.tolist() == [[2, 1]]
    torch.testing.assert_close(chosen.shares, torch.tensor([[5 / 8, 2 / 8]]))
    torch.testing.assert_close(
        route(scores, 2, normalised=True).shares, torch.tensor([[5 / 7, 2 / 7]])
    )


@pytest.mark.parametrize("kind", [kind for kind in FEEDFORWARDS.values() if kind.gated])
@pytest.mark.parametrize("normalised", [True, False])
def test_grouped_equals_one_by_one_forward_and_backward(
    kind: type[GatedFeedForward], normalised: bool
) -> None:
    results = []
    for mix in (mix_one_by_one, mix_grouped):
        x, scores, matrices = parts()
        mixed = mix(x, route(scores, A, normalised=normalised), matrices, kind.apply_gate)
        mixed.mul(random(N, C, seed=9)).sum().backward()
        results.append(
            [
                mixed.detach(),
                x.grad,
                scores.grad,
                matrices.gate.grad,
                matrices.up.grad,
                matrices.down.grad,
            ]
        )
    for slow, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)  # the shares are float32


def test_gradients_equal_differences() -> None:
    x, _, matrices = parts()
    routing = Routing(
        torch.tensor([[0, 3], [3, 1], [4, 3]]), random(3, A, seed=4).abs().requires_grad_()
    )

    def mixed(*parameters: Tensor) -> Tensor:
        shares, tokens, gate, up, down = parameters
        return mix_grouped(
            tokens,
            Routing(routing.experts, shares),
            ExpertMatrices(gate, up, down),
            SwiGLU.apply_gate,
        )

    own = (matrices.gate, matrices.up, matrices.down)
    given = (routing.shares, x[:3].detach().requires_grad_(), *own)
    assert torch.autograd.gradcheck(mixed, given, fast_mode=True)


def test_an_expert_without_tokens_gets_no_gradient() -> None:
    x, _, matrices = parts()
    routing = Routing(torch.tensor([[0, 3]]).expand(N, A), torch.full((N, A), 0.5))
    mix_grouped(x, routing, matrices, SwiGLU.apply_gate).sum().backward()
    for stack in (matrices.gate, matrices.up, matrices.down):
        assert stack.grad is not None
        used = stack.grad.abs().sum(dim=(1, 2)) > 0
        assert used.tolist() == [True, False, False, True, False]


def test_no_token_is_dropped_when_all_want_the_same_expert() -> None:
    part = Experts(C, F, num_experts=E, experts_per_token=1)
    with torch.no_grad():
        part.router.weight.zero_()
        part.router.weight[2] = 100.0
        x = torch.rand(3, 50, C) + 0.1
        alone = SwiGLU(C, F)
        for name in ("gate", "up", "down"):
            getattr(alone, name).weight.copy_(getattr(part, name).weight[2])
        torch.testing.assert_close(part(x), alone(x))


def test_one_expert_is_a_plain_feedforward_part() -> None:
    part, plain = Experts(C, F, num_experts=1, experts_per_token=1), SwiGLU(C, F)
    plain.load_state_dict({name: part.state_dict()[name][0] for name in plain.state_dict()})
    x = random(2, 3, C).float()
    torch.testing.assert_close(part(x), plain(x))


def test_a_text_gives_in_a_batch_what_it_gives_alone(model_of: ModelOf, ids: Tensor) -> None:
    model = model_of(**SOME)
    mask = torch.arange(12) < torch.tensor([12, 5, 9])[:, None]
    with torch.no_grad():
        together = model(ids, mask=mask)
        for row, length in enumerate((12, 5, 9)):
            torch.testing.assert_close(
                together[row, :length], model(ids[row : row + 1, :length])[0]
            )


def test_router_scores_are_those_of_every_block(model_of: ModelOf, ids: Tensor) -> None:
    model = model_of(**SOME)
    with router_scores(model) as scores:
        model(ids)
    assert [tuple(layer.shape) for layer in scores] == [(36, E)] * 3
    model(ids)
    assert len(scores) == 3


@pytest.mark.parametrize("padded", [False, True])
def test_balance_loss_equals_transformers(padded: bool) -> None:
    from transformers.models.qwen3_moe.modeling_qwen3_moe import load_balancing_loss_func

    scores = random(N, E).float()
    real = torch.arange(N) < 11 if padded else None
    expected = load_balancing_loss_func(
        (scores,), E, A, None if real is None else real[None].long()
    )
    torch.testing.assert_close(balance_loss(scores, A, real), expected)


def test_balance_loss_is_least_when_experts_are_used_alike() -> None:
    """Every token sure of one expert, another for each: 4 * sum(1/4 * 1/4) = 1; all sure of the same one: 4 * 1 * 1 = 4."""
    even, uneven = 100.0 * torch.eye(4), 100.0 * torch.eye(4)[:1].expand(4, 4)
    assert float(balance_loss(even, 1)) == pytest.approx(1.0)
    assert float(balance_loss(uneven, 1)) == pytest.approx(4.0)


def test_balance_loss_spreads_tokens_over_the_experts() -> None:
    x, router = (
        random(200, C).float() + 1,
        torch.randn(E, C, generator=torch.Generator().manual_seed(3)).requires_grad_(),
    )
    before = float(balance_loss(x @ router.T, A).detach())
    optimizer = torch.optim.Adam([router], lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        balance_loss(x @ router.T, A).backward()
        optimizer.step()
    after = float(balance_loss(x @ router.T, A).detach())
    assert before > 1.25 * A and after < 1.05 * A
    counts = (
        route((x @ router.T).detach(), A, normalised=True).experts.flatten().bincount(minlength=E)
    )
    assert int(counts.min()) > 40  # 80 each would be even


def test_initial_weights_of_experts_are_those_of_plain_parts(
    config_of: Callable[..., ModelConfig],
) -> None:
    model = LanguageModel(config_of(num_experts=8, experts_per_token=2))
    initialise(model, torch.Generator().manual_seed(0))
    part: Any = model.transformer.block(0).feedforward
    for matrix, deviation in (
        (part.router, 0.02),
        (part.gate, 0.02),
        (part.up, 0.02),
        (part.down, 0.02 / 6**0.5),
    ):
        assert float(matrix.weight.std().detach()) == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize(
    "choices",
    [
        {"num_experts": 4},
        {"num_experts": 2, "experts_per_token": 3},
        {"experts_per_token": 1},
        {**SOME, "feedforward": "gelu"},
    ],
)
def test_experts_that_can_not_be_are_refused(
    config_of: Callable[..., ModelConfig], choices: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="xperts"):
        config_of(**choices)
