"""Attention: every token looks at the tokens up to itself and takes a weighted mix of what it finds there.

Read top to bottom. First the five steps as pure functions (Vaswani et al. 2017, eq. 1), then the same for all heads in one
call (`naive_attention`), its fast twin (`sdpa_attention`, which never holds the table of T x S weights in memory), and last the
module with the projections. Grouped queries as in Ainslie et al. 2023; queries and keys normalised per head as in Qwen3.

A token asks with its query, every token up to it answers with a key, and where the two match its value is taken:

>>> queries = keys = torch.eye(2)                            # two tokens whose keys have nothing in common
>>> weights = softmax(mask(scale(scores(queries, keys), head_width=2), causal_mask(2, 2)))
>>> [[round(w, 2) for w in row] for row in weights.tolist()]  # the first sees itself only, the second mostly itself
[[1.0, 0.0], [0.33, 0.67]]
"""

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from groundup.errors import ConfigError, did_you_mean
from groundup.model.norm import RMSNorm
from groundup.model.positions import Rotation, rotate

# The five steps of eq. 1: Attention(Q, K, V) = softmax(Q K^T / sqrt(D)) V. "*N" stands for any dimensions in front: batch, heads, or none.


def scores(queries: Float[Tensor, "*N T D"], keys: Float[Tensor, "*N S D"]) -> Float[Tensor, "*N T S"]:
    """How well each query matches each key: their dot product."""
    return queries @ keys.mT  # Q K^T


def scale(raw: Float[Tensor, "*N T S"], head_width: int) -> Float[Tensor, "*N T S"]:
    """A dot product of D random terms is about sqrt(D) large; without this the softmax would saturate in wide heads."""
    return raw / math.sqrt(head_width)  # / sqrt(D)


def mask(raw: Float[Tensor, "*N T S"], allowed: Bool[Tensor, "*#N T S"]) -> Float[Tensor, "*N T S"]:
    """Minus infinity where a query must not look, since exp(-inf) = 0."""
    return raw.masked_fill(~allowed, -math.inf)


def softmax(raw: Float[Tensor, "*N T S"]) -> Float[Tensor, "*N T S"]:
    """Scores to weights: positive, and each query's add up to one. In float32, as exponentials lose too much in 16 bits."""
    return raw.softmax(dim=-1, dtype=torch.float32).to(raw.dtype)  # exp(s_j) / sum_k exp(s_k)


def weighted_sum(weights: Float[Tensor, "*N T S"], values: Float[Tensor, "*N S D"]) -> Float[Tensor, "*N T D"]:
    """Each query's mix of the values."""
    return weights @ values  # softmax(...) V


# Who may look where.


def causal_mask(
    num_queries: int, num_keys: int, device: torch.device | None = None
) -> Bool[Tensor, "{num_queries} {num_keys}"]:
    """True where key s is not later than query t; the queries are the last `num_queries` of the `num_keys` tokens.

    >>> causal_mask(2, 3).int().tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    everywhere = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
    return everywhere.tril(diagonal=num_keys - num_queries)


def padded_mask(real: Bool[Tensor, "B S"], num_queries: int) -> Bool[Tensor, "B 1 {num_queries} S"]:
    """The causal mask without padding as keys, for every row of the batch; the 1 is for all heads.

    A padding token may still see itself: a query that sees nothing at all would have no softmax, and its NaN would spread.
    """
    causal = causal_mask(num_queries, real.shape[1], real.device)
    itself = causal & ~causal.tril(diagonal=real.shape[1] - num_queries - 1)
    return (causal & real[:, None, None, :]) | itself


# All heads at once: the obvious way and the fast one, with one signature. `allowed` None: causal, no padding.


def repeat_heads(x: Float[Tensor, "B K S D"], num_heads: int) -> Float[Tensor, "B {num_heads} S D"]:
    """Grouped-query attention: H / K query heads in a row share one key/value head (Ainslie et al. 2023, section 2.2)."""
    return x.repeat_interleave(num_heads // x.shape[1], dim=1)


def naive_weights(
    queries: Float[Tensor, "B H T D"], keys: Float[Tensor, "B K S D"], allowed: Bool[Tensor, "#B 1 T S"] | None = None
) -> Float[Tensor, "B H T S"]:
    """How much each token looks at each: the attention map of every head."""
    if allowed is None:
        allowed = causal_mask(queries.shape[2], keys.shape[2], queries.device)[None, None]
    raw = scores(queries, repeat_heads(keys, queries.shape[1]))
    return softmax(mask(scale(raw, queries.shape[-1]), allowed))


def naive_attention(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K S D"],
    values: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 T S"] | None = None,
) -> Float[Tensor, "B H T D"]:
    """Eq. 1, step by step."""
    return weighted_sum(naive_weights(queries, keys, allowed), repeat_heads(values, queries.shape[1]))


def sdpa_attention(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K S D"],
    values: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 T S"] | None = None,
) -> Float[Tensor, "B H T D"]:
    """Eq. 1 in one fused kernel, forward and backward, on the CPU too (FlashAttention, Dao et al. 2022).

    `is_causal` lets the kernel skip what is masked; it lines queries up with the *first* keys, so that it fits only where T = S.
    One query sees everything and needs no mask. Shared key/value heads are left to the kernel: repeating them would be a copy.
    But where there is one token (decoding), the H / K heads that share keys go in as if they were that many tokens: the kernel then
    reads the keys once for all of them (SmolLM2's shape, 512 stored, bf16: 48 microseconds for 370; float32: 36 for 39).
    """
    num_queries, num_keys = queries.shape[2], keys.shape[2]
    shared = queries.shape[1] != keys.shape[1]
    if shared and num_queries == 1:
        rows = queries.squeeze(2).unflatten(1, (keys.shape[1], -1))  # [B, H, 1, D] -> [B, K, H/K, D]
        return F.scaled_dot_product_attention(rows, keys, values, attn_mask=allowed).flatten(1, 2).unsqueeze(2)
    if allowed is None and 1 < num_queries < num_keys:
        allowed = causal_mask(num_queries, num_keys, queries.device)[None, None]
    causal = allowed is None and num_queries > 1
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed, is_causal=causal, enable_gqa=shared)


IMPLEMENTATIONS: dict[str, Callable[..., Tensor]] = {"sdpa": sdpa_attention, "naive": naive_attention}


@runtime_checkable
class Memory(Protocol):
    """Where one layer's keys and values of earlier tokens are kept: takes those of the new tokens, gives back all."""

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]: ...


class Attention(nn.Module):
    """Projections around `IMPLEMENTATIONS[implementation]`: hidden [B, T, C] -> [B, T, C].

    `query_key_norm_eps` set: queries and keys are RMS-normalised per head before rotation (Qwen3), with this eps.

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
        query_key_norm_eps: float | None = None,
    ) -> None:
        super().__init__()
        self.head_width = head_width
        self.implementation = "sdpa"
        self.query = nn.Linear(width, num_heads * head_width, bias=bias)
        self.key = nn.Linear(width, num_kv_heads * head_width, bias=bias)
        self.value = nn.Linear(width, num_kv_heads * head_width, bias=bias)
        self.output = nn.Linear(num_heads * head_width, width, bias=output_bias)
        eps = query_key_norm_eps
        self.query_norm = None if eps is None else RMSNorm(head_width, eps=eps)
        self.key_norm = None if eps is None else RMSNorm(head_width, eps=eps)

    def forward(
        self,
        hidden: Float[Tensor, "B T C"],
        *,
        rotation: Rotation | None = None,
        allowed: Bool[Tensor, "#B 1 T S"] | None = None,
        memory: Memory | None = None,
    ) -> Float[Tensor, "B T C"]:
        attend = IMPLEMENTATIONS[self.implementation]
        queries, keys = self.queries_and_keys(hidden, rotation)
        values = self.split_heads(self.value(hidden)).transpose(1, 2)  # [B, K, T, D]
        if memory is not None:
            keys, values = memory.extend(keys, values)  # [B, K, S, D]
        mixed = attend(queries, keys, values, allowed)  # [B, H, T, D]
        return self.output(mixed.transpose(1, 2).flatten(2))  # heads side by side again: [B, T, H D] -> [B, T, C]

    def weights(
        self,
        hidden: Float[Tensor, "B T C"],
        *,
        rotation: Rotation | None = None,
        allowed: Bool[Tensor, "#B 1 T T"] | None = None,
    ) -> Float[Tensor, "B H T T"]:
        """The attention maps that `forward` would use, for looking at."""
        queries, keys = self.queries_and_keys(hidden, rotation)
        return naive_weights(queries, keys, allowed)

    def queries_and_keys(
        self, hidden: Float[Tensor, "B T C"], rotation: Rotation | None
    ) -> tuple[Float[Tensor, "B H T D"], Float[Tensor, "B K T D"]]:
        """Projected, normalised and rotated. Rotation comes before the transpose: there each token's heads lie together in memory."""
        queries, keys = (
            self.split_heads(self.query(hidden)),
            self.split_heads(self.key(hidden)),
        )  # [B, T, H, D], [B, T, K, D]
        if self.query_norm is not None and self.key_norm is not None:
            queries, keys = self.query_norm(queries), self.key_norm(keys)
        if rotation is not None:
            queries, keys = rotate(queries, rotation), rotate(keys, rotation)
        return queries.transpose(1, 2), keys.transpose(1, 2)

    def split_heads(self, projected: Float[Tensor, "B T heads_times_D"]) -> Float[Tensor, "B T heads D"]:
        """Cut each token's vector into heads."""
        return projected.unflatten(-1, (-1, self.head_width))


def use_attention(module: nn.Module, implementation: str) -> None:
    """Switch every Attention inside `module` to "sdpa" or "naive". Raises ConfigError."""
    if implementation not in IMPLEMENTATIONS:
        raise ConfigError(
            f"Attention implementation {implementation!r} is unknown.",
            fix=did_you_mean(implementation, IMPLEMENTATIONS),
        )
    for part in module.modules():
        if isinstance(part, Attention):
            part.implementation = implementation
