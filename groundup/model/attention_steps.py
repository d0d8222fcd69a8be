"""Attention step by step, as small pure functions.

First the five steps of eq. 1 of Vaswani et al. 2017, then the masks, last all heads in one call (`naive_attention`), which is the test of
every faster implementation. Grouped queries as in Ainslie et al. 2023.

A token's query is compared with the keys of all tokens up to it; the better they match, the larger the weight of that token's value:

>>> queries = keys = torch.eye(2)                            # two tokens with orthogonal keys
>>> weights = softmax(mask(scale(scores(queries, keys), head_width=2), causal_mask(2, 2)))
>>> [[round(w, 2) for w in row] for row in weights.tolist()]  # the first attends only to itself, the second mostly
[[1.0, 0.0], [0.33, 0.67]]
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# The five steps of eq. 1: Attention(Q, K, V) = softmax(Q K^T / sqrt(D)) V. "*N" stands for any dimensions in front: batch, heads, or none.


def scores(queries: Float[Tensor, "*N T D"], keys: Float[Tensor, "*N S D"]) -> Float[Tensor, "*N T S"]:
    """Return the dot product of each query with each key."""
    return queries @ keys.mT  # Q K^T


def scale(raw: Float[Tensor, "*N T S"], head_width: int) -> Float[Tensor, "*N T S"]:
    """Divide by sqrt(D), the standard deviation of a dot product of D random terms: otherwise the softmax saturates in wide heads."""
    return raw / math.sqrt(head_width)  # / sqrt(D)


def mask(raw: Float[Tensor, "*N T S"], allowed: Bool[Tensor, "*#N T S"]) -> Float[Tensor, "*N T S"]:
    """Set the scores of masked keys to minus infinity, since exp(-inf) = 0."""
    return raw.masked_fill(~allowed, -math.inf)


def softmax(raw: Float[Tensor, "*N T S"]) -> Float[Tensor, "*N T S"]:
    """Turn scores into weights that are positive and sum to one for each query. In float32: exponentials are too inexact in 16 bits."""
    return raw.softmax(dim=-1, dtype=torch.float32).to(raw.dtype)  # exp(s_j) / sum_k exp(s_k)


def weighted_sum(weights: Float[Tensor, "*N T S"], values: Float[Tensor, "*N S D"]) -> Float[Tensor, "*N T D"]:
    """Return the weighted sum of the values for each query."""
    return weights @ values  # softmax(...) V


def softcap(raw: Float[Tensor, "*N"], cap: float) -> Float[Tensor, "*N"]:
    """Soft-cap numbers to -cap .. cap (Gemma 2 report 2024, section 2); 0: no cap."""
    return cap * torch.tanh(raw / cap) if cap else raw


# Masks: which keys a query may attend to.


def causal_mask(
    num_queries: int, num_keys: int, device: torch.device | None = None
) -> Bool[Tensor, "{num_queries} {num_keys}"]:
    """True where key s is not later than query t; the queries are the last `num_queries` of the `num_keys` tokens.

    >>> causal_mask(2, 3).int().tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    everywhere = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
    return everywhere.tril(diagonal=num_keys - num_queries)


def window_mask(
    num_queries: int, num_keys: int, window_tokens: int, device: torch.device | None = None
) -> Bool[Tensor, "{num_queries} {num_keys}"]:
    """The causal mask without keys `window_tokens` or more tokens before the query (Beltagy et al. 2020; Mistral 7B); 0: no window.

    >>> window_mask(3, 3, 2).int().tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    causal = causal_mask(num_queries, num_keys, device)
    return causal & ~causal.tril(diagonal=num_keys - num_queries - window_tokens) if window_tokens else causal


def padded_mask(
    real: Bool[Tensor, "B S"], num_queries: int, window_tokens: int = 0
) -> Bool[Tensor, "B 1 {num_queries} S"]:
    """The causal (or windowed) mask without padding keys, for every row of the batch; the 1 is for all heads.

    A padding token may attend to itself: the softmax over no keys is NaN, and that would spread.
    """
    seen = window_mask(num_queries, real.shape[1], window_tokens, real.device)
    itself = window_mask(num_queries, real.shape[1], 1, real.device)
    return (seen & real[:, None, None, :]) | itself


# All heads at once, without optimisation.


@dataclass(frozen=True)
class Scoring:
    """Scale and soft cap of the scores, and the window."""

    width: int
    """Scores are divided by the square root of this: D, unless a config has another value."""
    softcap: float = 0.0
    """See `softcap`; 0: none."""
    window_tokens: int = 0
    """See `window_mask`; 0: no window."""


def repeat_heads(x: Float[Tensor, "B K S D"], num_heads: int) -> Float[Tensor, "B {num_heads} S D"]:
    """Repeat each key/value head for the H / K adjacent query heads that share it (Ainslie et al. 2023, section 2.2)."""
    return x.repeat_interleave(num_heads // x.shape[1], dim=1)


def naive_weights(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 T S"] | None = None,
    bias: Float[Tensor, "#B H T S"] | None = None,
    scoring: Scoring | None = None,
) -> Float[Tensor, "B H T S"]:
    """Return the attention weights of every head.

    `allowed` None: causal, within the window. `bias` is added to the scaled scores (ALiBi). `scoring` None: that of eq. 1.
    """
    scoring = scoring or Scoring(queries.shape[-1])
    if allowed is None:
        allowed = window_mask(queries.shape[2], keys.shape[2], scoring.window_tokens, queries.device)[None, None]
    raw = scale(scores(queries, repeat_heads(keys, queries.shape[1])), scoring.width)
    raw = softcap(raw, scoring.softcap)
    return softmax(mask(raw if bias is None else raw + bias, allowed))


def naive_attention(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K S D"],
    values: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 T S"] | None = None,
    bias: Float[Tensor, "#B H T S"] | None = None,
    scoring: Scoring | None = None,
) -> Float[Tensor, "B H T D"]:
    """Return eq. 1, step by step."""
    weights = naive_weights(queries, keys, allowed, bias, scoring)
    return weighted_sum(weights, repeat_heads(values, queries.shape[1]))
