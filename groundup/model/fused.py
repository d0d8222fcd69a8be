"""Four steps of a block in fewer passes over memory, each with a backward written by hand that keeps less than autograd would.

A training step of a small model is bound by memory as much as by arithmetic: torch computes x * cos + swap(x) * sin in four passes and
RMSNorm in six. Each function here is an `autograd.Function`: the forward formula, what it keeps, and the gradient derived in its docstring.
The readable formulas stay where they were (`norm.rms_norm`, `feedforward`, `positions.rotate`) and are the tests of these.

g is always the gradient of the loss by the result; gradients of gradients are not offered.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def autocast_dtype(x: Tensor) -> torch.dtype:
    """What a matrix product would make of `x`: autocast's dtype where it is on (and x no float64), else its own."""
    on = torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64
    return torch.get_autocast_dtype(x.device.type) if on else x.dtype


class _NoBackwardContext:
    """In the place of a function's context where there will be no backward pass."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        pass


def fused(function: type[torch.autograd.Function], *inputs: Any) -> Tensor:
    """The result of one of the functions below. Where no gradient is wanted autograd is not asked at all: one token is decoded some 5 % sooner."""
    if torch.is_grad_enabled():
        result: Tensor = function.apply(*inputs)
        return result
    result = function.forward(_NoBackwardContext(), *inputs)
    return result


class FusedRMSNorm(torch.autograd.Function):
    """y = x r w with r = 1 / sqrt(mean(x^2) + eps): keeps x, r and w.

    Since dr/dx_j = -r^3 x_j / C, with n = x r (what the weight multiplies):
        dL/dw_i = sum over tokens of g_i n_i
        dL/dx_j = r (g_j w_j - n_j mean_i(g_i w_i n_i))
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # one pass, nothing as large as x in between
        inverse = torch.rsqrt(length.square_().div_(x.shape[-1]).add_(eps))
        ctx.save_for_backward(x, inverse, weight)
        return (x * inverse).mul_(weight).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, inverse, weight = ctx.saved_tensors
        g, normed = g.to(x.dtype), x * inverse
        products = (g * normed).flatten(0, -2)  # [tokens, C]
        shared = (products @ weight).div_(-x.shape[-1]).view(inverse.shape)  # -mean(g w n) of every token
        return normed.mul_(shared).addcmul_(g, weight).mul_(inverse), products.sum(0), None, None


class FusedSwiGLU(torch.autograd.Function):
    """h = silu(a) b, with silu(a) = a s and s = 1 / (1 + exp(-a)): keeps a and b, and computes silu(a) again.

    dL/db = g silu(a)          dL/da = g b silu'(a), where silu'(a) = s (1 + a (1 - s))
    """

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        by_bent = g * up
        return torch.ops.aten.silu_backward(by_bent, gate), F.silu(gate).mul_(g)


class FusedRotary(torch.autograd.Function):
    """Rotary positions: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin), half by half, written where they belong. Keeps the angles only.

    A rotation's gradient is turned back: the same with -sin. The tables are those of `positions.Rotation`, [.., D]: cos twice, -sin and sin.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        cosine, sine = cosine[..., :half].to(x.dtype), sine[..., half:].to(x.dtype)
        ctx.save_for_backward(cosine, sine)
        return rotate_half(x, cosine, sine)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        cosine, sine = ctx.saved_tensors
        return rotate_half(g, cosine, -sine), None, None


def rotate_half(
    x: Float[Tensor, "B T heads D"], cosine: Float[Tensor, "#B T 1 half"], sine: Float[Tensor, "#B T 1 half"]
) -> Float[Tensor, "B T heads D"]:
    """Turn every pair (i, i + D/2) by its angle."""
    turned = torch.empty_like(x)
    first, second = x.chunk(2, dim=-1)
    into_first, into_second = turned.chunk(2, dim=-1)
    torch.mul(first, cosine, out=into_first).addcmul_(second, sine, value=-1)
    torch.mul(second, cosine, out=into_second).addcmul_(first, sine)
    return turned
