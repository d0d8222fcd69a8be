"""The feed-forward part of a block: the same small network for every token alone. [.., C] -> [.., F] -> [.., C].

GELU (Hendrycks & Gimpel 2016) is GPT-2's: widen, bend, narrow. SwiGLU (Shazeer 2020, eq. 6) is Llama's: one of two
widened copies, bent, decides how much of the other passes; with three matrices F is usually near 8/3 C instead of 4 C.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from groundup.model.fused import FusedSwiGLU, fused


class GatedFeedForward(nn.Module):
    """Three matrices; the subclass says how the gate is bent."""

    def __init__(self, width: int, feedforward_width: int, *, bias: bool = False) -> None:
        super().__init__()
        self.gate = nn.Linear(width, feedforward_width, bias=bias)
        self.up = nn.Linear(width, feedforward_width, bias=bias)
        self.down = nn.Linear(feedforward_width, width, bias=bias)

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        narrowed: Tensor = self.down(self.passed(self.gate(x), self.up(x)))
        return narrowed

    @classmethod
    def passed(cls, gate: Float[Tensor, "*N F"], up: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        """What the bent gate lets through."""
        return cls.activation(gate) * up

    @staticmethod
    def activation(gate: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        raise NotImplementedError


class SwiGLU(GatedFeedForward):
    """down(silu(gate(x)) * up(x))."""

    @staticmethod
    def activation(gate: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        return F.silu(gate)  # eq. 6: FFN_SwiGLU(x) = (Swish_1(x W) * x V) W_2

    @classmethod
    def passed(cls, gate: Float[Tensor, "*N F"], up: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        if torch.compiler.is_compiling():  # which merges the plain formula by itself
            return super().passed(gate, up)
        return fused(FusedSwiGLU, gate, up)  # the same, keeping less for the backward pass


class GeGLU(GatedFeedForward):
    """down(gelu(gate(x)) * up(x)), with the tanh form of GELU as Gemma was trained."""

    @staticmethod
    def activation(gate: Float[Tensor, "*N F"]) -> Float[Tensor, "*N F"]:
        return F.gelu(gate, approximate="tanh")  # eq. 6: FFN_GEGLU(x) = (GELU(x W) * x V) W_2


class GELU(nn.Module):
    """down(gelu(up(x))), with the tanh form of GELU as GPT-2 was trained."""

    def __init__(self, width: int, feedforward_width: int, *, bias: bool = True) -> None:
        super().__init__()
        self.up = nn.Linear(width, feedforward_width, bias=bias)
        self.down = nn.Linear(feedforward_width, width, bias=bias)

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N C"]:
        return self.down(F.gelu(self.up(x), approximate="tanh"))  # 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))


GATED: dict[str, type[GatedFeedForward]] = {"swiglu": SwiGLU, "geglu": GeGLU}
FEEDFORWARDS: dict[str, type[GatedFeedForward] | type[GELU]] = {**GATED, "gelu": GELU}
