"""The surprise in pieces equals cross-entropy on all logits at once, value and gradient."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from groundup.model import linear_cross_entropy
from groundup.model.linear_cross_entropy import summed_cross_entropy


def given(places: int = 23, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(places, 6, generator=draw, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(11, 6, generator=draw, dtype=torch.float64).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(11, (places,), generator=draw)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_cross_entropy, "MIN_CHUNK_TOKENS", 5)
    monkeypatch.setattr(linear_cross_entropy, "CHUNK_LOGITS", 0)


def test_gradients_are_the_derivatives() -> None:
    hidden, weight, labels = given()
    assert gradcheck(
        lambda h, w: F.cross_entropy(h @ w.T, labels, reduction="sum"), (hidden, weight)
    )
    expected = torch.autograd.grad(
        F.cross_entropy(hidden @ weight.T, labels, reduction="sum"), (hidden, weight)
    )
    for a, b in zip(
        torch.autograd.grad(summed_cross_entropy(hidden, weight, labels), (hidden, weight)),
        expected,
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    frozen = torch.autograd.grad(summed_cross_entropy(hidden, weight.detach(), labels), hidden)[0]
    torch.testing.assert_close(frozen, expected[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cap", [0.0, 3.0])
@pytest.mark.parametrize("places", [0, 1, 5, 23])
def test_equals_cross_entropy_of_all_logits(cap: float, places: int) -> None:
    hidden, weight, labels = given(places, torch.float32)
    logits = F.linear(hidden, weight)
    plain = F.cross_entropy(
        cap * torch.tanh(logits / cap) if cap else logits, labels, reduction="sum"
    )
    pieces = summed_cross_entropy(hidden, weight, labels, cap)
    torch.testing.assert_close(pieces, plain)
    expected = torch.autograd.grad(3 * plain, (hidden, weight))
    for a, b in zip(torch.autograd.grad(3 * pieces, (hidden, weight)), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cap", [0.0, 3.0])
def test_a_z_loss_is_in_the_gradient_and_not_in_the_value(cap: float) -> None:
    hidden, weight, labels = given()
    logits = F.linear(hidden, weight)
    if cap:
        logits = (cap * torch.tanh(logits / cap)).float()
    plain = F.cross_entropy(logits, labels, reduction="sum")
    beside = 0.1 * logits.logsumexp(dim=-1).square().sum()
    pieces = summed_cross_entropy(hidden, weight, labels, cap, z_weight=0.1)
    torch.testing.assert_close(pieces, plain)
    expected = torch.autograd.grad(plain + beside, (hidden, weight))
    for a, b in zip(torch.autograd.grad(pieces, (hidden, weight)), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_huge_logits_give_a_finite_surprise() -> None:
    hidden, weight, labels = given(dtype=torch.float32)
    large = summed_cross_entropy(1000 * hidden, weight, labels)
    large.backward()
    torch.testing.assert_close(
        large, F.cross_entropy(1000 * F.linear(hidden, weight), labels, reduction="sum")
    )
    assert hidden.grad is not None and hidden.grad.isfinite().all()


def test_without_gradients_it_only_counts() -> None:
    hidden, weight, labels = given(dtype=torch.float32)
    with torch.no_grad():
        alone = summed_cross_entropy(hidden, weight, labels)
    assert not alone.requires_grad
    torch.testing.assert_close(alone, summed_cross_entropy(hidden, weight, labels))


def test_under_autocast_gradients_are_within_bf16_of_the_exact() -> None:
    hidden, weight, labels = given(dtype=torch.float32)
    exact = torch.autograd.grad(summed_cross_entropy(hidden, weight, labels), (hidden, weight))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = summed_cross_entropy(hidden, weight, labels)
    assert rounded.dtype == torch.float32
    for a, b in zip(torch.autograd.grad(rounded, (hidden, weight)), exact, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.02 * float(b.abs().max()))
