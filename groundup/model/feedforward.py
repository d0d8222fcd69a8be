"""The feed-forward network of a block, applied to every token. [.., C] -> [.., F] -> [.., C].

GELU (Hendrycks & Gimpel 2016) is GPT-2's and BERT's: expand, activate, project back. SwiGLU
(Shazeer 2020, eq. 6) is Llama's: of two expanded projections one is activated and multiplies the
other; with three matrices F is usually near 8/3 C instead of 4 C. A new activation needs only a
class in FEEDFORWARDS: config, sizes, memory, experts and the drawing of the architecture read its
attributes.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from groundup.model.fused import FusedSwiGLU, fused
from groundup.model.linear import FastLinear


class FeedForward(nn.Module):
    """Without a gate: down(activation(up(x)))."""

    title: ClassVar[str]
    formula: ClassVar[str]
    saved_tensors: ClassVar[int]
    """Tensors of width F saved for the backward pass."""
    gated: ClassVar[bool] = False

    def __init__(self, width: int, feedforward_width: int, *, bias: bool = False) -> None:
        super().__init__()
        if self.gated:  # first, for the order in which random weights are drawn
            self.gate = FastLinear(width, feedforward_width, bias=bias)
        self.up = FastLinear(width, feedforward_width, bias=bias)
        self.down = FastLinear(feedforward_width, width, bias=bias)

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        return self.down(self.activation(self.up(x)))

    @staticmethod
    def activation(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        raise NotImplementedError


class GatedFeedForward(FeedForward):
    """Three matrices: down(activation(gate(x)) * up(x))."""

    gated = True

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        return self.down(self.apply_gate(self.gate(x), self.up(x)))

    @classmethod
    def apply_gate(
        cls, gate: Float[Tensor, "*N F"], up: Float[Tensor, "*N F"]
    ) -> Float[Tensor, "*N F"]:
        return cls.activation(gate) * up


class SwiGLU(GatedFeedForward):
    title, formula, saved_tensors = "SwiGLU", "down(silu(gate) × up)", 3  # gate, up, their product

    @staticmethod
    def activation(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        return F.silu(x)  # eq. 6: FFN_SwiGLU(x) = (Swish_1(x W) * x V) W_2

    @classmethod
    def apply_gate(
        cls, gate: Float[Tensor, "*N F"], up: Float[Tensor, "*N F"]
    ) -> Float[Tensor, "*N F"]:
        if torch.compiler.is_compiling():  # the compiler fuses the plain formula itself
            return super().apply_gate(gate, up)
        return fused(FusedSwiGLU, gate, up)  # the same, with less saved for the backward pass


class GeGLU(GatedFeedForward):
    """With the tanh form of GELU as Gemma was trained."""

    title, formula, saved_tensors = "GeGLU", "down(gelu(gate) × up)", 4  # also the activated gate

    @staticmethod
    def activation(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        return F.gelu(x, approximate="tanh")  # eq. 6: FFN_GEGLU(x) = (GELU(x W) * x V) W_2


class GELU(FeedForward):
    """With the tanh form as GPT-2 was trained."""

    title, formula, saved_tensors = "GELU", "down(gelu(up))", 2  # before and after the activation

    @staticmethod
    def activation(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        return F.gelu(x, approximate="tanh")  # 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))


class ExactGELU(FeedForward):
    """With the normal distribution itself as BERT was trained."""

    title, formula, saved_tensors = "GELU (exact)", "down(gelu(up))", 2  # as `GELU`

    @staticmethod
    def activation(x: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        return F.gelu(x)  # x Phi(x) = 0.5 x (1 + erf(x / sqrt(2)))


FEEDFORWARDS: dict[str, type[FeedForward]] = {
    "swiglu": SwiGLU,
    "geglu": GeGLU,
    "gelu": GELU,
    "gelu_exact": ExactGELU,
}
