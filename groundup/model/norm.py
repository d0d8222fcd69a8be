"""Normalisation of every token's vector. [.., C] -> [.., C].

RMSNorm (Zhang & Sennrich 2019, eq. 4) divides by the root mean square; LayerNorm (Ba et al. 2016,
eq. 4) also subtracts the mean and adds a bias. The formulas below are the tests of the library
calls in the modules.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from groundup.model.fused import FusedRMSNorm, autocast_dtype, fused


class RMSNorm(nn.Module):
    """x / rms(x) * weight. The weight starts at one."""

    def __init__(self, width: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        weight = at_least(self.weight, x)
        if x.dtype == torch.bfloat16 and weight.dtype == torch.float32:
            # queries and keys under autocast; torch has no kernel for mixed dtypes: it would warn
            # and take many passes
            x = x.float()
        eager_cpu = x.is_cpu and not torch.compiler.is_compiling()
        if eager_cpu and x.dtype == weight.dtype and x.dtype in (torch.float32, torch.float64):
            return fused(FusedRMSNorm, x, weight, self.eps, autocast_dtype(x))
        if eager_cpu and x.dtype == weight.dtype == torch.bfloat16 and not torch.is_grad_enabled():
            return rounded_rms_norm(x, weight, self.eps)
        return F.rms_norm(x, weight.shape, weight, self.eps)


class LayerNorm(nn.LayerNorm):
    """(x - mean(x)) / std(x) * weight + bias. The weight starts at one, the bias at zero."""

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        weight, bias = at_least(self.weight, x), at_least(self.bias, x)
        normed = F.layer_norm(x, weight.shape, weight, bias, self.eps)
        return normed.to(autocast_dtype(x))  # rounded once here, not in every matrix product


def at_least(weight: Float[Tensor, " C"], x: Float[Tensor, "*N C"]) -> Float[Tensor, " C"]:
    """In float32 for a float32 stream (in a sharded run it arrives in bf16)."""
    if x.dtype == torch.float32:
        return weight.float()
    return weight


NORMS: dict[str, type[RMSNorm] | type[LayerNorm]] = {"rms": RMSNorm, "layer": LayerNorm}


def rms_norm(
    x: Float[Tensor, "*N C"], weight: Float[Tensor, " C"], eps: float
) -> Float[Tensor, "*N C"]:
    mean_square = x.pow(2).mean(dim=-1, keepdim=True)
    return x / torch.sqrt(mean_square + eps) * weight  # eq. 4: x_i / RMS(x) * g_i


def rounded_rms_norm(
    x: Float[Tensor, "*N C"], weight: Float[Tensor, " C"], eps: float
) -> Float[Tensor, "*N C"]:
    """For bf16: x / rms(x) in float32, rounded, times the weight, as in Llama's code. torch's
    kernel does not vectorise mixed dtypes: ten times as long (docs/log.md).
    """
    wide = x.float()
    norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    inverse = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return (wide * inverse).to(x.dtype).mul_(weight)


def layer_norm(
    x: Float[Tensor, "*N C"], weight: Float[Tensor, " C"], bias: Float[Tensor, " C"], eps: float
) -> Float[Tensor, "*N C"]:
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = centred.pow(2).mean(dim=-1, keepdim=True)
    return centred / torch.sqrt(variance + eps) * weight + bias  # eq. 4: g / sigma * (a - mu) + b
