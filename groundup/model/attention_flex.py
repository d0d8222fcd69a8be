"""FlexAttention: one fused GPU kernel for windows, soft caps, ALiBi and padding, which the SDPA kernel does not support without a T x S mask.

Two small functions are compiled into the kernel: `mask_mod` (fully masked blocks are skipped) and `score_mod` (Dong et al. 2024,
arXiv:2412.05496). `attention.py` chooses it on CUDA; on the CPU only the forward pass runs, uncompiled, to be tested against `naive_attention`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groundup.model.attention_steps import Scoring


def flex_attention(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K S D"],
    values: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 T S"] | None = None,
    bias: Float[Tensor, "#B H T S"] | None = None,
    scoring: Scoring | None = None,
) -> Float[Tensor, "B H T D"]:
    """`naive_attention` with FlexAttention; on the CPU without gradients."""
    from torch.nn.attention.flex_attention import create_block_mask

    scoring = scoring or Scoring(queries.shape[-1])
    rows, num_queries, num_keys = queries.shape[0], queries.shape[2], keys.shape[2]
    per_row = None if allowed is None or allowed.shape[0] == 1 else rows
    mask_mod = _mask_mod(allowed, num_keys - num_queries, scoring.window_tokens)
    blocks = create_block_mask(mask_mod, per_row, None, num_queries, num_keys, device=str(queries.device))
    mixed: Tensor = _kernel(queries.device.type)(
        queries,
        keys,
        values,
        score_mod=_score_mod(bias, scoring.softcap),
        block_mask=blocks,
        scale=scoring.width**-0.5,
        enable_gqa=queries.shape[1] != keys.shape[1],
    )
    return mixed


@lru_cache(maxsize=2)
def _kernel(device_type: str) -> Callable[..., Any]:
    """The kernel, compiled on GPUs: uncompiled it would hold the T x S scores that it is meant to avoid."""
    from torch.nn.attention.flex_attention import flex_attention as kernel

    plain: Callable[..., Any] = kernel
    return torch.compile(plain) if device_type == "cuda" else plain


# The kernel counts the parameters of these functions, so they are lambdas: the tests' shape checker would wrap functions and hide the parameters.


def _mask_mod(allowed: Tensor | None, earlier: int, window_tokens: int) -> Callable[[Any, Any, Any, Any], Tensor]:
    """Whether a query may attend to a key. The queries are the last T of the S tokens, after `earlier` others."""
    if allowed is not None:
        shared = allowed.shape[0] == 1
        return lambda row, head, query, key: allowed[0 if shared else row, 0, query, key]
    if not window_tokens:
        return lambda row, head, query, key: key <= query + earlier
    return lambda row, head, query, key: (key <= query + earlier) & (query + earlier - key < window_tokens)


def _score_mod(bias: Tensor | None, softcap: float) -> Callable[[Any, Any, Any, Any, Any], Tensor] | None:
    """The change of a scaled score: soft cap or bias. No family has both (`naive_weights` would cap first)."""
    if softcap:
        assert bias is None
        return lambda score, row, head, query, key: softcap * torch.tanh(score / softcap)
    if bias is None:
        return None
    shared = bias.shape[0] == 1
    return lambda score, row, head, query, key: score + bias[0 if shared else row, head, query, key]
