"""The arithmetic of Muon (Jordan et al. 2024): matrices made orthogonal, a readable step, and the one
that takes small matrices together.

The gradient of a block's matrix, summed over steps, is nearly of low rank: a few directions have
large singular values, most have small ones and are hardly learned. Of G = U S V^T Muon steps along
U V^T, in which all are equal. Instead of computing singular values, five Newton-Schulz iterations
of an odd polynomial bring them all near 1, with matrix products alone: in bf16, or in float32 where
torch emulates bf16, 20 times slower. On a CPU `StackedMuon` takes the steps, elsewhere torch's own;
the readable `muon_step` is the test of both.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.model.matmul_precision import fast_matmul

# a x + b x^3 + c x^5: chosen by Jordan et al. for a steep rise at 0, so that small singular values
# grow fast; it oscillates about 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
MIN_NORM = 1e-7
# Matrices of at most this many numbers are multiplied in one call with others of their shape;
# larger ones are slower that way.
STACKED_NUMBERS = 2**16


def orthogonalise(
    matrix: Float[Tensor, "*S M N"], *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*S M N"]:
    """About U V^T of U S V^T = `matrix`: singular values between 0.5 and 1.5, where they were not
    nearly 0. In `dtype`, of one or a stack.

    >>> orthogonalise(torch.tensor([[30.0, 0.0], [0.0, 2.0]])).diagonal().round(decimals=1)
    tensor([0.7000, 1.1000])
    """
    a, b, c = COEFFICIENTS
    if matrix.shape[-2] > matrix.shape[-1]:  # of a wide one X X^T is the smaller product
        return orthogonalise(matrix.mT, dtype=dtype).mT
    x = matrix.to(dtype)
    # no singular value is above the root of the sum of their squares
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=MIN_NORM)
    add_product = torch.baddbmm if x.ndim > 2 else torch.addmm
    for _ in range(ROUNDS):
        square = x @ x.mT
        polynomial = add_product(square, square, square, beta=b, alpha=c)
        x = add_product(x, polynomial, x, beta=a)  # U (a S + b S^3 + c S^5) V^T
    return x


def muon_step(
    weight: Float[Tensor, "M N"],
    gradient: Float[Tensor, "M N"],
    mean: Float[Tensor, "M N"],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
) -> tuple[Float[Tensor, "M N"], Float[Tensor, "M N"]]:
    """Weight and running mean of the gradient (at first zero) after one update."""
    mean = momentum * mean + (1 - momentum) * gradient
    # Nesterov: the mean after the same gradient once more
    ahead = momentum * mean + (1 - momentum) * gradient
    rows, columns = weight.shape
    # a tall matrix has M outputs and only N directions to move them by
    scale = math.sqrt(max(1, rows / columns))
    decayed = weight * (1 - rate * weight_decay)
    return decayed - rate * scale * orthogonalise(ahead), mean


class StackedMuon(torch.optim.Muon):
    """torch's Muon, orthogonalising in `dtype`; small matrices of one shape together: one at a
    time, a step of quickstart's 28 takes 1.5 times as long (docs/log.md).
    """

    def __init__(self, groups: Any, *, dtype: torch.dtype, **settings: Any) -> None:
        super().__init__(groups, **settings)
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # torch's also returns what a closure gives
        """As `muon_step`, in place; without a closure."""
        assert closure is None
        for group in self.param_groups:
            stacks: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for number, weight in enumerate(group["params"]):
                if weight.grad is not None:
                    alone = (
                        weight.numel() > STACKED_NUMBERS or type(weight) is not nn.Parameter
                    )  # large, or sharded
                    stacks.setdefault((*weight.shape, number if alone else -1), []).append(weight)
            for weights in stacks.values():
                with fast_matmul(weights[0].device):
                    self._update(weights, group)

    def _update(self, weights: Sequence[nn.Parameter], group: dict[str, Any]) -> None:
        """Matrices of one shape."""
        momentum, (rows, columns) = group["momentum"], weights[0].shape
        ahead = []
        for weight in weights:
            state, gradient = self.state[weight], weight.grad
            assert gradient is not None
            if not state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
            ahead.append(gradient.lerp(mean, momentum))
        directions = orthogonalise(
            torch.stack(ahead) if len(ahead) > 1 else ahead[0], dtype=self.dtype
        )
        length = -group["lr"] * math.sqrt(max(1, rows / columns))
        for weight, direction in zip(
            weights, directions if len(ahead) > 1 else [directions], strict=True
        ):
            weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=length)
