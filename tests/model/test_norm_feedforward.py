"""The library's norms and activations equal the formulas that stand beside them."""

import math

import pytest
import torch
import torch.nn.functional as F

from groundup.model.feedforward import GELU, SwiGLU
from groundup.model.norm import LayerNorm, RMSNorm, layer_norm, rms_norm

X = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0)) * 3 + 1
WEIGHT = torch.rand(16, generator=torch.Generator().manual_seed(1)) + 0.5
BIAS = torch.rand(16, generator=torch.Generator().manual_seed(2))


def test_rms_norm_equals_its_formula_forward_and_backward() -> None:
    norm = RMSNorm(16, eps=1e-3)
    norm.weight.data.copy_(WEIGHT)
    fast, slow = X.clone().requires_grad_(), X.clone().requires_grad_()
    quick, formula = norm(fast), rms_norm(slow, WEIGHT, 1e-3)
    torch.testing.assert_close(quick, formula)
    (quick * BIAS).sum().backward()
    (formula * BIAS).sum().backward()
    torch.testing.assert_close(fast.grad, slow.grad)


def test_layer_norm_equals_its_formula() -> None:
    norm = LayerNorm(16, eps=1e-3)
    norm.weight.data.copy_(WEIGHT)
    norm.bias.data.copy_(BIAS)
    torch.testing.assert_close(norm(X), layer_norm(X, WEIGHT, BIAS, 1e-3))


def test_norms_in_bfloat16_lose_no_more_than_the_format() -> None:
    norm = RMSNorm(16).to(torch.bfloat16)
    exact = rms_norm(X.bfloat16().float(), torch.ones(16), 1e-5)
    assert norm(X.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(norm(X.bfloat16()).float(), exact, atol=0, rtol=2**-7)


@pytest.mark.parametrize("bias", [False, True])
def test_swiglu_equals_its_formula(bias: bool) -> None:
    torch.manual_seed(0)
    part = SwiGLU(16, 24, bias=bias)
    gate, up = (
        F.linear(X, part.gate.weight, part.gate.bias),
        F.linear(X, part.up.weight, part.up.bias),
    )
    expected = F.linear(gate * torch.sigmoid(gate) * up, part.down.weight, part.down.bias)
    torch.testing.assert_close(part(X), expected)


def test_gelu_equals_its_formula() -> None:
    torch.manual_seed(0)
    part = GELU(16, 24)
    up = F.linear(X, part.up.weight, part.up.bias)
    bent = 0.5 * up * (1 + torch.tanh(math.sqrt(2 / math.pi) * (up + 0.044715 * up**3)))
    torch.testing.assert_close(part(X), F.linear(bent, part.down.weight, part.down.bias))


def test_rms_norm_of_bf16_without_gradients_is_llamas_own() -> None:
    norm = RMSNorm(16, eps=1e-5).bfloat16()
    norm.weight.data.copy_(WEIGHT)
    x = X.bfloat16()
    with torch.no_grad():
        inverse = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5)
        torch.testing.assert_close(
            norm(x), norm.weight * (x.float() * inverse).bfloat16(), rtol=0.008, atol=0
        )
