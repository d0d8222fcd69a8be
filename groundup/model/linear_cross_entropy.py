"""Fused linear layer and cross-entropy: logits exist for a few hundred tokens at a time, never for
all.

Logits of a whole batch [B*T, V] would be the largest tensor of a small model's training step, and
autograd holds them four times: logits, log-probabilities, their gradient, the logits' gradient. But
the gradient of the cross-entropy is known as soon as the logits are:

    l = h W^T        loss = log sum_j exp(l_j) - l_label        dloss/dl_j = softmax(l)_j - [j =
                                                                label]
    dloss/dh = dloss/dl W        dloss/dW = (dloss/dl)^T h

so the forward pass turns each chunk's logits into its part of both gradients and discards them; the
backward pass only scales the gradients (as in Liger Kernel, Hsu et al. 2024, and Wijmans et al.
2024). The test is one line with plain logits.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from groundup.model.attention_steps import softcap
from groundup.model.fused import autocast_dtype

# Logits of a chunk: 8 MB in float32 fit in or near the processor's cache. More for a large
# vocabulary, since every chunk adds to all of dW.
CHUNK_LOGITS = 2**21
MIN_CHUNK_TOKENS = 256
# A GPU needs large products and has no such cache: 256 MB in float32.
GPU_CHUNK_LOGITS = 2**26


def chunk_tokens(vocab_size: int, *, on_cpu: bool = True) -> int:
    logits = CHUNK_LOGITS if on_cpu else GPU_CHUNK_LOGITS
    return max(MIN_CHUNK_TOKENS, logits // vocab_size)


def summed_cross_entropy(
    hidden: Float[Tensor, "N C"],
    weight: Float[Tensor, "V C"],
    labels: Int[Tensor, " N"],
    cap: float = 0.0,
    z_weight: float = 0.0,
) -> Float[Tensor, ""]:
    """-log p(label) in nats, summed over N tokens. Under autocast the products have its dtype, all
    else is float32.

    With `z_weight` the gradient, but not the value, is that of each token's loss and z_weight
    times the squared logarithm of its softmax's denominator (Chowdhery et al. 2022, "PaLM",
    section 5).
    """
    if cap:  # soft-capped logits have another gradient, and few models have them
        logits = softcap(F.linear(hidden, weight), cap).float()
        total = F.cross_entropy(logits, labels, reduction="sum")
        if not z_weight:
            return total
        beside = z_weight * logits.logsumexp(dim=-1).square().sum()
        return total + (beside - beside.detach())
    learns = torch.is_grad_enabled()
    needs = learns and hidden.requires_grad, learns and weight.requires_grad
    dtype = autocast_dtype(hidden)
    with torch.autocast(hidden.device.type, enabled=False):
        return _LinearCrossEntropy.apply(hidden, weight, labels, dtype, needs, z_weight)


@torch.no_grad()
def label_cross_entropy(
    hidden: Float[Tensor, "N C"],
    weight: Float[Tensor, "V C"],
    labels: Int[Tensor, " N"],
    cap: float,
) -> Float[Tensor, " N"]:
    """-log p(label) in nats of each token, in float32, without a gradient."""
    size = chunk_tokens(weight.shape[0], on_cpu=hidden.is_cpu)
    losses = []
    for chunk, wanted in zip(hidden.split(size), labels.split(size), strict=True):
        logits = F.linear(chunk, weight)  # [chunk, V]
        if cap:
            logits = softcap(logits, cap)
        losses.append(F.cross_entropy(logits.float(), wanted, reduction="none"))
    return torch.cat(losses)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        labels: Tensor,
        dtype: torch.dtype,
        needs: tuple[bool, bool],
        z_weight: float,
    ) -> Tensor:
        matrix = weight.to(dtype)
        wide = torch.promote_types(torch.float32, dtype)
        total = torch.zeros((), dtype=wide, device=hidden.device)
        by_hidden = torch.empty_like(hidden) if needs[0] else None
        by_weight = torch.zeros_like(weight) if needs[1] else None
        size = chunk_tokens(weight.shape[0], on_cpu=hidden.is_cpu)
        for start in range(0, hidden.shape[0], size):
            chunk = hidden[start : start + size].to(dtype)
            logits = (chunk @ matrix.T).to(total.dtype)  # [chunk, V]
            total += cross_entropy_into_gradient(logits, labels[start : start + size], z_weight)
            by_logits = logits.to(dtype)
            if by_hidden is not None:
                by_hidden[start : start + size] = by_logits @ matrix
            if by_weight is not None and by_weight.dtype == dtype:
                by_weight.addmm_(by_logits.T, chunk)
            elif by_weight is not None:  # summed in its own precision
                by_weight += by_logits.T @ chunk
        ctx.gradients = (by_hidden, by_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        # passed on without a copy: dW is as large as the head
        gradients, ctx.gradients = ctx.gradients, None
        assert gradients is not None, "backward was called twice"
        # elsewhere the product costs less than reading g
        readable = g.is_cpu and not torch.compiler.is_compiling()
        if not readable or g.item() != 1:
            gradients = tuple(None if part is None else part.mul_(g) for part in gradients)
        return *gradients, None, None, None, None


def cross_entropy_into_gradient(
    logits: Float[Tensor, "N V"], labels: Int[Tensor, " N"], z_weight: float = 0.0
) -> Float[Tensor, ""]:
    """Summed; `logits` are overwritten with their gradient, and with `z_weight` with that of the
    z-loss beside it.
    """
    rows = torch.arange(len(labels), device=labels.device)
    top, chosen = logits.amax(dim=-1), logits[rows, labels]
    # a row stays in the cache; finite however large the logits
    torch.softmax(logits, dim=-1, out=logits)
    # the largest probability is exp(top) / sum of exp(l)
    log_sums = top - logits.amax(dim=-1).log()
    if z_weight:  # d (log Z)^2 / dl_j = 2 log Z softmax(l)_j
        logits *= 1 + 2 * z_weight * log_sums[:, None]
    logits[rows, labels] -= 1
    return (log_sums - chosen).sum()
