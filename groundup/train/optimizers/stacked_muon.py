"""The arithmetic of Muon (Jordan et al. 2024): matrices made orthogonal, a readable step, and the
one that takes small matrices together.

The gradient of a block's matrix, summed over steps, is nearly of low rank: a few directions have
large singular values, most have small ones and are hardly learned. Of G = U S V^T Muon steps along
U V^T, in which all are equal. Instead of computing singular values, five Newton-Schulz iterations
of an odd polynomial bring them all near 1, with matrix products alone: in bf16, or in float32 where
torch emulates bf16, 20 times slower. On a CPU `StackedMuon` takes the steps, elsewhere torch's own;
the readable `muon_step` is the test of both.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.model.matmul_precision import fast_matmul
from groundup.train.optimizers.muon_variant import MUON, POLYNOMIALS, MuonVariant

MIN_NORM = 1e-7
# Matrices of at most this many numbers are multiplied in one call with others of their shape;
# larger ones are slower that way.
STACKED_NUMBERS = 2**16


def orthogonalise(
    matrix: Float[Tensor, "*S M N"],
    *,
    dtype: torch.dtype = torch.float32,
    polynomial: str = MUON.polynomial,
) -> Float[Tensor, "*S M N"]:
    """About U V^T of U S V^T = `matrix`: singular values between 0.5 and 1.5 ("polar-express": 0.85
    and 1.15), where they were not nearly 0. In `dtype`, of one or a stack.

    >>> orthogonalise(torch.tensor([[30.0, 0.0], [0.0, 2.0]])).diagonal().round(decimals=1)
    tensor([0.7000, 1.1000])
    """
    if matrix.shape[-2] > matrix.shape[-1]:  # of a wide one X X^T is the smaller product
        return orthogonalise(matrix.mT, dtype=dtype, polynomial=polynomial).mT
    chosen, x = POLYNOMIALS[polynomial], matrix.to(dtype)
    # no singular value is above the root of the sum of their squares
    norm = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=MIN_NORM)
    x = x / (norm * chosen.headroom)
    add_product = torch.baddbmm if x.ndim > 2 else torch.addmm
    for a, b, c in chosen.rounds:
        square = x @ x.mT
        factor = add_product(square, square, square, beta=b, alpha=c)
        x = add_product(x, factor, x, beta=a)  # U (a S + b S^3 + c S^5) V^T
    return x


def equalise_rows(matrix: Float[Tensor, "*S M N"]) -> Float[Tensor, "*S M N"]:
    """MuonEq's variant R (Chang et al. 2026): each row over its length, so that a few long rows do
    not leave the polynomials small singular values.
    """
    lengths = torch.linalg.vector_norm(matrix, dim=-1, keepdim=True)
    return matrix / lengths.clamp(min=MIN_NORM)


def rescale_rows(
    direction: Float[Tensor, "*S M N"], row_square: Float[Tensor, "*S M 1"], beta: float
) -> tuple[Float[Tensor, "*S M N"], Float[Tensor, "*S M 1"]]:
    """NorMuon (Li et al. 2025, algorithm 1): each row of a direction over the root of its running
    mean square, the whole as long as before; and that square after this step (at first zero). What
    its first steps lack of the mean is the same factor for all rows, so it cancels.
    """
    row_square = torch.lerp(row_square, direction.square().mean(dim=-1, keepdim=True), 1 - beta)
    rescaled = direction / row_square.sqrt().clamp(min=MIN_NORM)
    norms = [
        torch.linalg.vector_norm(each, dim=(-2, -1), keepdim=True) for each in (direction, rescaled)
    ]
    return rescaled * (norms[0] / norms[1].clamp(min=MIN_NORM)), row_square


def muon_step(
    weight: Float[Tensor, "M N"],
    gradient: Float[Tensor, "M N"],
    state: Mapping[str, Tensor],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
    variant: MuonVariant = MUON,
) -> tuple[Float[Tensor, "M N"], dict[str, Tensor]]:
    """Weight and state after one update: "momentum_buffer", the running mean of the gradient, and
    with `row_beta` "row_square"; both at first zero.
    """
    mean = momentum * state["momentum_buffer"] + (1 - momentum) * gradient
    # Nesterov: the mean after the same gradient once more
    ahead = momentum * mean + (1 - momentum) * gradient
    if variant.equal_rows:
        ahead = equalise_rows(ahead)
    direction, after = (
        orthogonalise(ahead, polynomial=variant.polynomial),
        {"momentum_buffer": mean},
    )
    if variant.row_beta is not None:
        direction, after["row_square"] = rescale_rows(
            direction, state["row_square"], variant.row_beta
        )
    rows, columns = weight.shape
    # a tall matrix has M outputs and only N directions to move them by
    scale = math.sqrt(max(1, rows / columns))
    decay = torch.full_like(weight, rate * weight_decay)
    if variant.cautious_decay:
        decay *= direction * weight > 0
    return weight * (1 - decay) - rate * scale * direction, after


class StackedMuon(torch.optim.Muon):
    """torch's Muon, orthogonalising in `dtype`; small matrices of one shape together: one at a
    time, a step of quickstart's 28 takes 1.5 times as long (docs/log.md).
    """

    def __init__(
        self, groups: Any, *, dtype: torch.dtype, variant: MuonVariant = MUON, **settings: Any
    ) -> None:
        super().__init__(groups, **settings)
        self.dtype, self.variant = dtype, variant

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
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
            ahead.append(gradient.lerp(mean, momentum))
        together = ahead[0]
        if len(ahead) > 1:
            together = torch.stack(ahead)
        if self.variant.equal_rows:
            together = equalise_rows(together)
        directions = orthogonalise(
            together,
            dtype=self.dtype,
            polynomial=self.variant.polynomial,
        )
        length, decay = -group["lr"] * math.sqrt(max(1, rows / columns)), group["lr"]
        decay *= group["weight_decay"]
        for weight, direction in zip(
            weights, directions if len(ahead) > 1 else [directions], strict=True
        ):
            direction = self._with_rows_rescaled(weight, direction)
            if self.variant.cautious_decay:
                weight.sub_(weight * (direction * weight > 0), alpha=decay)
            else:
                weight.mul_(1 - decay)
            weight.add_(direction, alpha=length)

    def _with_rows_rescaled(self, weight: nn.Parameter, direction: Tensor) -> Tensor:
        beta, state = self.variant.row_beta, self.state[weight]
        if beta is None:
            return direction
        direction = direction.float()
        if "row_square" not in state:
            state["row_square"] = torch.zeros_like(direction[:, :1])
        direction, state["row_square"] = rescale_rows(direction, state["row_square"], beta)
        return direction
