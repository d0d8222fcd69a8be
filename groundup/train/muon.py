"""Muon, written to be read (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks").

A matrix of a block turns one vector into another. Its gradient, summed over steps, is as a rule nearly of low rank: a few directions are
very long, most are short and hardly learned. Muon takes of it only the directions: of G = U S V^T it steps along U V^T, in which every
direction is equally long. Singular values are costly; five rounds of an odd polynomial bring them all near to 1 with products of
matrices alone (Newton-Schulz).

`fit()` trains with torch's own (`optimizers.py`), whose products are in bfloat16; `muon_step` is its test. Where the processor has no bf16 and torch
emulates it, 20 times slower, `Float32Muon` takes the same steps in float32: `precision.decide_muon` says which, before the first step. What none
of them does: tables, vectors and stacked experts, which AdamW takes, and the head, whose rows stand for single tokens as a table's do.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.model.matmul_precision import fast_matmul

# a x + b x^3 + c x^5: chosen by Jordan et al. for a steep rise at 0, so that short directions grow fast; it does not settle at 1 but moves about it.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
MIN_LENGTH = 1e-7


def orthogonalised(matrix: Float[Tensor, "M N"], *, dtype: torch.dtype = torch.float32) -> Float[Tensor, "M N"]:
    """About U V^T of U S V^T = `matrix`: singular values between 0.5 and 1.5, where they were not nearly 0. Computed in `dtype`.

    >>> orthogonalised(torch.tensor([[30.0, 0.0], [0.0, 2.0]])).diagonal().round(decimals=1)
    tensor([0.7000, 1.1000])
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(dtype)  # wide: X X^T is the smaller product
    x = x / x.norm().clamp(min=MIN_LENGTH)  # no singular value is above the root of the sum of their squares
    for _ in range(ROUNDS):
        square = x @ x.T
        polynomial = torch.addmm(square, square, square, beta=b, alpha=c)
        x = torch.addmm(x, polynomial, x, beta=a)  # U (a S + b S^3 + c S^5) V^T
    return x.T if tall else x


def muon_step(
    weight: Float[Tensor, "M N"],
    gradient: Float[Tensor, "M N"],
    memory: Float[Tensor, "M N"],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
) -> tuple[Float[Tensor, "M N"], Float[Tensor, "M N"]]:
    """One update: the weight and the memory (the gradient's running mean, first zero) after it."""
    memory = momentum * memory + (1 - momentum) * gradient
    ahead = (
        momentum * memory + (1 - momentum) * gradient
    )  # Nesterov: where the mean would go if the gradient came once more
    rows, columns = weight.shape
    length = math.sqrt(max(1, rows / columns))  # a tall matrix has M outputs and only N directions to move them by
    decayed = weight * (1 - rate * weight_decay)
    return decayed - rate * length * orthogonalised(ahead), memory


class Float32Muon(torch.optim.Muon):
    """torch's Muon with its groups and its memory, orthogonalising in float32: `muon_step` on all matrices, in place."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # torch's also returns what a closure gives
        """One update of every matrix that has a gradient. It takes no closure."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    with fast_matmul(weight.device):
                        self._update(weight, weight.grad, group)

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        memory = state.get("momentum_buffer")
        after, state["momentum_buffer"] = muon_step(
            weight, gradient, torch.zeros_like(gradient) if memory is None else memory,
            rate=group["lr"], momentum=group["momentum"], weight_decay=group["weight_decay"],
        )  # fmt: skip
        weight.copy_(after)
