"""The surprise at the next tokens, straight from hidden states: logits exist for a few hundred tokens at a time, never for all.

Logits of a whole batch [B*T, V] are the largest thing a small model's training step would hold, and autograd holds them four times: logits,
log-probabilities, their gradient, the logits' gradient. But the gradient of a sum of surprises is known as soon as the logits are:

    l = h W^T        loss = log sum_j exp(l_j) - l_label        dloss/dl_j = softmax(l)_j - [j = label]
    dloss/dh = dloss/dl W        dloss/dW = (dloss/dl)^T h

so each piece's logits are turned into its part of both gradients at once and discarded; the backward pass only scales them (the idea is that of
Liger Kernel, Hsu et al. 2024, and Wijmans et al. 2024). The test is the one line with plain logits.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from groundup.model.attention_steps import softcap
from groundup.model.fused import autocast_dtype

# Logits at a time: 8 MB in float32 stay in or near the processor's cache. With a large vocabulary rather more, since every piece adds to all of dW.
PIECE_LOGITS = 2**21
MIN_PIECE = 256
# A GPU wants large products and has no such cache: 256 MB in float32.
GPU_PIECE_LOGITS = 2**26


def piece_places(vocab_size: int, *, on_cpu: bool = True) -> int:
    """For how many places logits exist at a time."""
    return max(MIN_PIECE, (PIECE_LOGITS if on_cpu else GPU_PIECE_LOGITS) // vocab_size)


def summed_cross_entropy(
    hidden: Float[Tensor, "N C"], weight: Float[Tensor, "V C"], labels: Int[Tensor, " N"], cap: float = 0.0
) -> Float[Tensor, ""]:
    """-log p(label) in nats, summed over N places; `weight` is the head's. Under autocast the products are made in its dtype, all else in float32."""
    if cap:  # bent logits have another gradient, and few models have them
        return F.cross_entropy(softcap(F.linear(hidden, weight), cap).float(), labels, reduction="sum")
    needs = torch.is_grad_enabled() and hidden.requires_grad, torch.is_grad_enabled() and weight.requires_grad
    dtype = autocast_dtype(hidden)
    with torch.autocast(hidden.device.type, enabled=False):
        total: Tensor = _LinearCrossEntropy.apply(hidden, weight, labels, dtype, needs)
    return total


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, dtype: torch.dtype, needs: tuple[bool, bool]
    ) -> Tensor:
        matrix = weight.to(dtype)
        total = torch.zeros((), dtype=torch.promote_types(torch.float32, dtype), device=hidden.device)
        by_hidden = torch.empty_like(hidden) if needs[0] else None
        by_weight = torch.zeros_like(weight) if needs[1] else None
        size = piece_places(weight.shape[0], on_cpu=hidden.is_cpu)
        for start in range(0, hidden.shape[0], size):
            piece = hidden[start : start + size].to(dtype)
            logits = (piece @ matrix.T).to(total.dtype)  # [piece, V]
            total += cross_entropy_into_gradient(logits, labels[start : start + size])
            by_logits = logits.to(dtype)
            if by_hidden is not None:
                by_hidden[start : start + size] = by_logits @ matrix
            if by_weight is not None:
                _add_product(by_weight, by_logits, piece)
        ctx.gradients = (by_hidden, by_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None  # handed on, not copied: dW is as large as the head
        assert gradients is not None, "the surprise was differentiated before"
        looks = g.is_cpu and not torch.compiler.is_compiling()  # elsewhere the product costs less than the answer
        if not looks or g.item() != 1:
            gradients = tuple(None if part is None else part.mul_(g) for part in gradients)
        return *gradients, None, None, None


def cross_entropy_into_gradient(logits: Float[Tensor, "N V"], labels: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """The summed surprise; `logits` are overwritten with its gradient by them."""
    places = torch.arange(len(labels), device=labels.device)
    top, chosen = logits.amax(dim=-1, keepdim=True), logits[places, labels]
    sums = logits.sub_(top).exp_().sum(dim=-1, keepdim=True)  # of exp(l - top): finite however large the logits
    logits.div_(sums)[places, labels] -= 1
    return (top + sums.log()).sum() - chosen.sum()


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left^T right, summed in the precision of `total`."""
    if total.dtype == left.dtype:
        total.addmm_(left.T, right)
    else:
        total += left.T @ right
