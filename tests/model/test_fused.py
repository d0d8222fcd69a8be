"""The steps with a backward of their own equal the formulas that autograd differentiates, value and gradient."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import gradcheck

from groundup.model.feedforward import SwiGLU
from groundup.model.fused import FusedRMSNorm, FusedRotary, FusedSwiGLU, fused
from groundup.model.norm import RMSNorm, rms_norm
from groundup.model.positions import Rotary, rotate


def draw(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made.to(dtype).requires_grad_()


def same_gradients(
    fast: Tensor, slow: Tensor, inputs: tuple[Tensor, ...], **tolerances: float
) -> None:
    torch.testing.assert_close(fast, slow, **tolerances)
    weights = torch.linspace(-1, 2, fast.numel(), dtype=fast.dtype).view(fast.shape)
    for a, b in zip(
        torch.autograd.grad(fast, inputs, weights),
        torch.autograd.grad(slow, inputs, weights),
        strict=True,
    ):
        torch.testing.assert_close(a, b, **tolerances)


def test_gradients_are_the_derivatives() -> None:
    x, weight = draw(2, 3, 6), draw(6, seed=1)
    assert gradcheck(lambda x, w: FusedRMSNorm.apply(x, w, 1e-3, torch.float64), (x, weight))
    assert gradcheck(FusedSwiGLU.apply, (x, draw(2, 3, 6, seed=2)))
    cosine, sine = Rotary(8)(torch.arange(5)[None])
    assert gradcheck(lambda x: FusedRotary.apply(x, cosine, sine), (draw(2, 5, 3, 8),))


def test_each_equals_its_readable_formula() -> None:
    x, weight, up = (
        draw(4, 7, 16, dtype=torch.float32),
        draw(16, dtype=torch.float32, seed=1),
        draw(4, 7, 16, dtype=torch.float32, seed=2),
    )
    same_gradients(
        FusedRMSNorm.apply(x, weight, 1e-5, torch.float32),
        rms_norm(x, weight, 1e-5),
        (x, weight),
        rtol=1e-4,
        atol=1e-5,
    )
    same_gradients(FusedSwiGLU.apply(x, up), F.silu(x) * up, (x, up), rtol=1e-5, atol=1e-6)
    heads, rotation = draw(2, 7, 4, 16, dtype=torch.float32), Rotary(16)(torch.arange(7)[None])
    same_gradients(
        FusedRotary.apply(heads, *rotation), rotate(heads, rotation), (heads,), rtol=1e-5, atol=1e-6
    )


def test_a_vector_of_zeros_has_a_finite_norm_and_gradient() -> None:
    x = torch.zeros(1, 4, requires_grad=True)
    RMSNorm(4)(x).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("part", [RMSNorm(16), SwiGLU(16, 24)])
def test_under_autocast_gradients_are_within_bf16_of_the_exact(part: nn.Module) -> None:
    x = draw(3, 5, 16, dtype=torch.float32)
    weights = torch.linspace(-1, 2, x.numel()).view(x.shape)
    exact = torch.autograd.grad(part(x), x, weights)[0]
    with torch.autocast("cpu", torch.bfloat16):
        got = part(x)
    assert got.dtype == torch.bfloat16
    rounded = torch.autograd.grad(got, x, weights.bfloat16())[0]
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.03 * float(exact.abs().max()))


def test_shapes_are_known_without_numbers() -> None:
    with torch.device("meta"):
        assert SwiGLU(16, 24)(RMSNorm(16)(torch.empty(2, 3, 16))).shape == (2, 3, 16)
        assert FusedRotary.apply(
            torch.empty(1, 3, 2, 8), torch.empty(1, 3, 1, 8), torch.empty(1, 3, 1, 8)
        ).shape == (
            1,
            3,
            2,
            8,
        )


def test_without_gradients_the_same_bits_come_out() -> None:
    x, weight, up = draw(2, 5, 3, 8).float(), draw(8).float(), draw(2, 5, 3, 8, seed=2).float()
    rotation = Rotary(8)(torch.arange(5)[None])
    for function, inputs in (
        (FusedRMSNorm, (x, weight, 1e-5, torch.float32)),
        (FusedSwiGLU, (x, up)),
        (FusedRotary, (x, *rotation)),
    ):
        with_gradients = fused(function, *inputs)
        with torch.no_grad():
            assert torch.equal(fused(function, *inputs), with_gradients)
