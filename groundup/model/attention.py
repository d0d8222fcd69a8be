"""Attention: each token attends to the tokens up to itself (in an encoder to all) and takes a
weighted sum of their values.

`attention_steps.py` has the computation step by step; here are its fused equivalent
(`sdpa_attention`, which never holds the T x S weights in memory) and the module with the
projections. Queries and keys may be normalised: each head (Qwen3, Gemma 3) or the whole projection
(OLMo 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from groundup.errors import ConfigError, did_you_mean
from groundup.model.attention_blocks import causal_attention, in_float32, masked_attention
from groundup.model.attention_steps import Scoring, naive_attention, naive_weights, window_mask
from groundup.model.config import QueryKeyNorm
from groundup.model.fused import FusedRotary, fused
from groundup.model.linear import FastLinear
from groundup.model.matmul_precision import default_matmul
from groundup.model.norm import RMSNorm
from groundup.model.positions import Rotation, rotate


@dataclass(frozen=True)
class AttentionMetadata:
    """Positions and mask of one call, for one block. Empty: no positions, causal, no padding."""

    rotation: Rotation | None = None
    allowed: Bool[Tensor, "#B 1 T S"] | None = None
    """Which stored tokens each query may attend to; None: all up to itself, within the window (of
    an encoder: all).
    """
    bias: Float[Tensor, "#B H T S"] | None = None
    """Added to the scores (ALiBi, relative positions); where it is -inf a token is not seen."""
    rows: tuple["AttentionMetadata", ...] = ()
    """Mask and bias of each group of rows in a ragged batch."""
    packed: bool = False
    """The rows are packed with documents: `allowed` is a mask of T x T for each."""


EMPTY_METADATA = AttentionMetadata()


def sdpa_attention(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K S D"],
    values: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 T S"] | None = None,
    bias: Float[Tensor, "#B H T S"] | None = None,
    scoring: Scoring | None = None,
) -> Float[Tensor, "B H T D"]:
    """Eq. 1 in one fused kernel (FlashAttention, Dao et al. 2022). With a plain causal mask
    `causal_attention` skips the masked half. Shared key/value heads are left to the kernel, since
    repeating them would copy.
    """
    scoring = scoring or Scoring(queries.shape[-1])
    num_queries, num_keys, factor = queries.shape[2], keys.shape[2], scoring.width**-0.5
    if chooses_flex(queries.device, scoring, allowed, bias) and num_queries > 1:
        return flex_attention(queries, keys, values, allowed, bias, scoring)
    if scoring.softcap:  # the kernel has no soft cap
        return naive_attention(queries, keys, values, allowed, bias, scoring)
    if allowed is None and not scoring.causal:
        return _kernel(queries, keys, values, bias, factor)
    if num_queries == 1:
        return _single_query(queries, keys, values, allowed, bias, scoring)
    windowed = 0 < scoring.window_tokens < num_keys
    if allowed is None and (windowed or bias is not None or num_queries < num_keys):
        seen = window_mask(num_queries, num_keys, scoring.window_tokens, queries.device)
        allowed = seen[None, None]
    if allowed is None:
        return causal_attention(queries, keys, values, factor)
    if bias is not None:
        allowed = bias.masked_fill(~allowed, -torch.inf)
    return _kernel(queries, keys, values, allowed, factor)


def _single_query(
    queries: Float[Tensor, "B H 1 D"],
    keys: Float[Tensor, "B K S D"],
    values: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 1 S"] | None,
    bias: Float[Tensor, "#B H 1 S"] | None,
    scoring: Scoring,
) -> Float[Tensor, "B H 1 D"]:
    """Decode one token: the window is a slice. The H / K heads that share keys are passed as that
    many queries: the kernel then reads the keys once for all of them (SmolLM2's shape, 512 stored,
    bf16: 48 microseconds instead of 370).
    """
    factor, window = scoring.width**-0.5, scoring.window_tokens
    if allowed is None and window:
        keys, values = keys[:, :, -window:], values[:, :, -window:]
    if bias is not None:
        bias = bias[..., -keys.shape[2] :]
        mask = bias if allowed is None else bias.masked_fill(~allowed, -torch.inf)
        return _kernel(queries, keys, values, mask, factor)
    if queries.shape[1] == keys.shape[1]:
        return _kernel(queries, keys, values, allowed, factor)
    rows = queries.squeeze(2).unflatten(1, (keys.shape[1], -1))  # [B, H, 1, D] -> [B, K, H/K, D]
    return _kernel(rows, keys, values, allowed, factor).flatten(1, 2).unsqueeze(2)


def packed_attention(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K T D"],
    values: Float[Tensor, "B K T D"],
    allowed: Bool[Tensor, "B 1 T T"],
    bias: Float[Tensor, "#B H T T"] | None = None,
    scoring: Scoring | None = None,
) -> Float[Tensor, "B H T D"]:
    """`sdpa_attention` of packed rows: on a CPU in blocks without the keys that no document of the
    block has.
    """
    scoring = scoring or Scoring(queries.shape[-1])
    if bias is None and not scoring.softcap and in_float32(queries):
        return masked_attention(queries, keys, values, scoring.width**-0.5, allowed)
    return sdpa_attention(queries, keys, values, allowed, bias, scoring)


def _kernel(
    queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None, factor: float
) -> Tensor:
    """Not through oneDNN: one token of 32 rows of SmolLM2's shape took 2.4 ms that way, 0.7 ms
    without (docs/log.md).
    """
    shared = queries.shape[1] != keys.shape[1]
    with default_matmul():
        return F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=allowed, scale=factor, enable_gqa=shared
        )


def chooses_flex(
    device: torch.device, scoring: Scoring, allowed: Tensor | None, bias: Tensor | None
) -> bool:
    """FlexAttention is used on CUDA, for what the SDPA kernel needs a T x S mask for (window,
    padding, ALiBi) or lacks (soft cap).
    """
    plain = allowed is None and bias is None and not scoring.softcap and not scoring.window_tokens
    return device.type == "cuda" and not plain


# FlexAttention: one fused GPU kernel for windows, soft caps, ALiBi and padding, which the SDPA
# kernel does not support without a T x S mask. Two small functions are compiled into the kernel:
# `mask_mod` (fully masked blocks are skipped) and `score_mod` (Dong et al. 2024, arXiv:2412.05496).
# On the CPU only the forward pass runs, uncompiled, to be tested against `naive_attention`.


def flex_attention(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K S D"],
    values: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 T S"] | None = None,
    bias: Float[Tensor, "#B H T S"] | None = None,
    scoring: Scoring | None = None,
) -> Float[Tensor, "B H T D"]:
    """On the CPU without gradients."""
    from torch.nn.attention.flex_attention import create_block_mask

    scoring = scoring or Scoring(queries.shape[-1])
    rows, num_queries, num_keys = queries.shape[0], queries.shape[2], keys.shape[2]
    per_row = None if allowed is None or allowed.shape[0] == 1 else rows
    blocks = None
    if allowed is not None or scoring.causal:
        mask_mod = _mask_mod(allowed, num_keys - num_queries, scoring.window_tokens)
        blocks = create_block_mask(
            mask_mod, per_row, None, num_queries, num_keys, device=str(queries.device)
        )
    return _flex_kernel(queries.device.type)(
        queries,
        keys,
        values,
        score_mod=_score_mod(bias, scoring.softcap),
        block_mask=blocks,
        scale=scoring.width**-0.5,
        enable_gqa=queries.shape[1] != keys.shape[1],
    )


@lru_cache(maxsize=2)
def _flex_kernel(device_type: str) -> Callable[..., Any]:
    """Compiled on GPUs: uncompiled it would hold the T x S scores."""
    from torch.nn.attention.flex_attention import flex_attention as kernel

    plain: Callable[..., Any] = kernel
    return torch.compile(plain) if device_type == "cuda" else plain


# The kernel counts the parameters of these functions, so they are lambdas: the tests' shape checker
# would wrap functions and hide the parameters.


def _mask_mod(
    allowed: Tensor | None, earlier: int, window_tokens: int
) -> Callable[[Any, Any, Any, Any], Tensor]:
    """The queries are the last T of the S tokens, after `earlier` others."""
    if allowed is not None and allowed.shape[0] == 1:
        return lambda row, head, query, key: allowed[0, 0, query, key]
    if allowed is not None:
        return lambda row, head, query, key: allowed[row, 0, query, key]
    if not window_tokens:
        return lambda row, head, query, key: key <= query + earlier
    return lambda row, head, query, key: (
        (key <= query + earlier) & (query + earlier - key < window_tokens)
    )


def _score_mod(
    bias: Tensor | None, softcap: float
) -> Callable[[Any, Any, Any, Any, Any], Tensor] | None:
    """Soft cap or bias; no family has both."""
    if softcap:
        assert bias is None
        return lambda score, row, head, query, key: softcap * torch.tanh(score / softcap)
    if bias is None:
        return None
    if bias.shape[0] == 1:
        return lambda score, row, head, query, key: score + bias[0, head, query, key]
    return lambda score, row, head, query, key: score + bias[row, head, query, key]


IMPLEMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "sdpa": sdpa_attention,
    "flex": flex_attention,
    "naive": naive_attention,
}


AttentionFunction = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
"""One of `IMPLEMENTATIONS`: (queries, keys, values, allowed, bias) -> mixed values."""

LayerCache = Callable[[AttentionFunction, Tensor, Tensor, Tensor, AttentionMetadata], Tensor]
"""The KV cache of one layer: stores new keys and values and lets the queries attend to all stored
ones.
"""


class Attention(nn.Module):
    """Projections around `IMPLEMENTATIONS[implementation]`: hidden [B, T, C] -> [B, T, C].

    >>> Attention(width=8, num_heads=4, num_kv_heads=2, head_width=2)(torch.ones(1, 3, 8)).shape
    torch.Size([1, 3, 8])
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        num_kv_heads: int,
        head_width: int,
        *,
        bias: bool = False,
        output_bias: bool = False,
        query_key_norm: QueryKeyNorm = "none",
        norm_eps: float = 1e-6,
        scoring: Scoring | None = None,
    ) -> None:
        super().__init__()
        self.head_width = head_width
        self.scoring = scoring or Scoring(head_width)
        self.implementation = "sdpa"
        self.query = FastLinear(width, num_heads * head_width, bias=bias)
        self.key = FastLinear(width, num_kv_heads * head_width, bias=bias)
        self.value = FastLinear(width, num_kv_heads * head_width, bias=bias)
        self.output = FastLinear(num_heads * head_width, width, bias=output_bias)
        self.query_key_norm = query_key_norm
        if query_key_norm != "none":
            widths = head_width, head_width
            if query_key_norm == "projection":
                widths = num_heads * head_width, num_kv_heads * head_width
            self.query_norm, self.key_norm = (RMSNorm(width, eps=norm_eps) for width in widths)

    def forward(
        self,
        hidden: Float[Tensor, "B T C"],
        metadata: AttentionMetadata = EMPTY_METADATA,
        *,
        layer_cache: LayerCache | None = None,
    ) -> Float[Tensor, "B T C"]:
        function = IMPLEMENTATIONS[self.implementation]
        if metadata.packed and self.implementation == "sdpa":
            function = packed_attention
        attention = partial(function, scoring=self.scoring)
        queries, keys = self.queries_and_keys(hidden, metadata.rotation)
        values = self.split_heads(self.value(hidden)).transpose(1, 2)  # [B, K, T, D]
        if layer_cache is None:
            mixed = attention(queries, keys, values, metadata.allowed, metadata.bias)
        else:
            mixed = layer_cache(attention, queries, keys, values, metadata)  # [B, H, T, D]
        return self.output(
            mixed.transpose(1, 2).flatten(2)
        )  # heads joined: [B, T, H D] -> [B, T, C]

    def weights(
        self, hidden: Float[Tensor, "B T C"], metadata: AttentionMetadata = EMPTY_METADATA
    ) -> Float[Tensor, "B H T T"]:
        """The attention weights that `forward` would use."""
        queries, keys = self.queries_and_keys(hidden, metadata.rotation)
        return naive_weights(queries, keys, metadata.allowed, metadata.bias, self.scoring)

    def queries_and_keys(
        self, hidden: Float[Tensor, "B T C"], rotation: Rotation | None
    ) -> tuple[Float[Tensor, "B H T D"], Float[Tensor, "B K T D"]]:
        """Projected, normalised and rotated; rotated before the transpose, where a token's heads
        are contiguous.
        """
        queries, keys = self.query(hidden), self.key(hidden)  # [B, T, H D], [B, T, K D]
        if self.query_key_norm == "projection":
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        queries, keys = self.split_heads(queries), self.split_heads(keys)  # [B, T, heads, D]
        if self.query_key_norm == "head":
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        if rotation is not None:
            queries, keys = apply_rotary(queries, rotation), apply_rotary(keys, rotation)
        return queries.transpose(1, 2), keys.transpose(1, 2)

    def split_heads(
        self, projected: Float[Tensor, "B T heads_times_D"]
    ) -> Float[Tensor, "B T heads D"]:
        return projected.unflatten(-1, (-1, self.head_width))


def apply_rotary(
    x: Float[Tensor, "B T heads D"], rotation: Rotation
) -> Float[Tensor, "B T heads D"]:
    """`positions.rotate`, by its fused version outside of torch.compile."""
    if torch.compiler.is_compiling():
        return rotate(x, rotation)
    return fused(FusedRotary, x, rotation.cosine, rotation.sine)


def use_attention(module: nn.Module, implementation: str) -> None:
    """Of every Attention in `module`: "sdpa", "flex" or "naive". Raises ConfigError."""
    if implementation not in IMPLEMENTATIONS:
        raise ConfigError(
            f"Attention implementation {implementation!r} is unknown.",
            fix=did_you_mean(implementation, IMPLEMENTATIONS),
        )
    for part in module.modules():
        if isinstance(part, Attention):
            part.implementation = implementation
