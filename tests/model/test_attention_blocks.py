"""Attention block by block equals the naive formula, at every length around a block's edge."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from groundup.model import attention_blocks
from groundup.model.attention_blocks import BLOCKS_UP_TO_TOKENS, causal_attention
from groundup.model.attention_steps import Scoring, naive_attention
from groundup.model.matmul_precision import fast_matmul, fast_matmul_is_exact

CPU = torch.device("cpu")


def draw(
    batch: int, heads: int, tokens: int, width: int, seed: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    made = torch.randn(
        batch,
        tokens,
        heads,
        width,
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.float64,
    )
    return made.to(dtype).transpose(1, 2).requires_grad_()  # as it comes from the projections


def inputs(
    tokens: int, dtype: torch.dtype = torch.float32, batch: int = 3, width: int = 8
) -> tuple[Tensor, Tensor, Tensor]:
    """4 query heads that share 2 key/value heads."""
    shapes = ((4, 0), (2, 1), (2, 2))
    queries, keys, values = (
        draw(batch, heads, tokens, width, seed, dtype) for heads, seed in shapes
    )
    return queries, keys, values


@pytest.mark.parametrize("tokens", [2, 63, 64, 65, 200, BLOCKS_UP_TO_TOKENS + 1])
def test_equals_the_naive_formula_forward_and_backward(tokens: int) -> None:
    given = inputs(tokens)
    fast, slow = causal_attention(*given, 0.25), naive_attention(*given, scoring=Scoring(16))
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)
    weights = torch.linspace(-1, 1, fast.numel()).view(fast.shape)
    for a, b in zip(
        torch.autograd.grad(fast, given, weights),
        torch.autograd.grad(slow, given, weights),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_gradients_are_the_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_blocks, "SMALLEST_BLOCK", 2)
    monkeypatch.setattr(attention_blocks, "TILE", 30)  # several heads at once, but not all
    given = inputs(5, torch.float64, batch=2, width=2)
    assert gradcheck(
        lambda *each: attention_blocks._Blocks.apply(*each, 0.3), given, fast_mode=True
    )


@pytest.mark.skipif(
    not fast_matmul_is_exact(), reason="this processor has no faster float32 products"
)
@pytest.mark.parametrize("tokens", [40, BLOCKS_UP_TO_TOKENS + 1])
def test_under_autocast_it_is_at_least_as_exact_as_the_bf16_kernel(tokens: int) -> None:
    given = inputs(tokens, torch.bfloat16)
    exact = F.scaled_dot_product_attention(
        *(x.double() for x in given), is_causal=True, scale=0.3, enable_gqa=True
    )
    with torch.autocast("cpu", torch.bfloat16):
        kernel = F.scaled_dot_product_attention(*given, is_causal=True, scale=0.3, enable_gqa=True)
        with fast_matmul(CPU):
            blocks = causal_attention(*given, 0.3)
    assert blocks.dtype == kernel.dtype == torch.bfloat16
    assert (blocks - exact).norm() <= 1.01 * (kernel - exact).norm()
    blocks.float().sum().backward()
    assert all(x.grad is not None and x.grad.dtype == torch.bfloat16 for x in given)


def test_other_precisions_take_the_fused_kernel() -> None:
    given = tuple(x.detach().bfloat16() for x in inputs(9))
    kernel = F.scaled_dot_product_attention(*given, is_causal=True, scale=0.3, enable_gqa=True)
    assert torch.equal(causal_attention(*given, 0.3), kernel)
