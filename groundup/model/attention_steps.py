"""Attention step by step: what one head does, as pure functions small enough to work out by hand.

Read top to bottom. First the five steps of eq. 1 of Vaswani et al. 2017, then who may look where, last the same for all heads in one
call (`naive_attention`): the test of every faster way in `attention.py`. Grouped queries as in Ainslie et al. 2023.

A token asks with its query, every token up to it answers with a key, and where the two match its value is taken:

>>> queries = keys = torch.eye(2)                            # two tokens whose keys have nothing in common
>>> weights = softmax(mask(scale(scores(queries, keys), head_width=2), causal_mask(2, 2)))
>>> [[round(w, 2) for w in row] for row in weights.tolist()]  # the first sees itself only, the second mostly itself
[[1.0, 0.0], [0.33, 0.67]]
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

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


def softcap(raw: Float[Tensor, "*N"], cap: float) -> Float[Tensor, "*N"]:
    """Bend numbers into -cap .. cap, so that none runs away (Gemma 2 report 2024, section 2); 0 leaves them alone."""
    return cap * torch.tanh(raw / cap) if cap else raw


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


def window_mask(
    num_queries: int, num_keys: int, window_tokens: int, device: torch.device | None = None
) -> Bool[Tensor, "{num_queries} {num_keys}"]:
    """The causal mask without keys that stand `window_tokens` or more before the query (Beltagy et al. 2020; Mistral 7B); 0: all of it.

    >>> window_mask(3, 3, 2).int().tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    causal = causal_mask(num_queries, num_keys, device)
    return causal & ~causal.tril(diagonal=num_keys - num_queries - window_tokens) if window_tokens else causal


def padded_mask(
    real: Bool[Tensor, "B S"], num_queries: int, window_tokens: int = 0
) -> Bool[Tensor, "B 1 {num_queries} S"]:
    """The causal (or windowed) mask without padding as keys, for every row of the batch; the 1 is for all heads.

    A padding token may still see itself: a query that sees nothing at all would have no softmax, and its NaN would spread.
    """
    seen = window_mask(num_queries, real.shape[1], window_tokens, real.device)
    itself = window_mask(num_queries, real.shape[1], 1, real.device)
    return (seen & real[:, None, None, :]) | itself


# All heads at once, the obvious way.


@dataclass(frozen=True)
class Scoring:
    """What becomes of a dot product before the softmax, and how far back a query looks."""

    width: int
    """Scores are divided by the root of this: D, unless a model says otherwise."""
    softcap: float = 0.0
    """See `softcap`; 0: none."""
    window_tokens: int = 0
    """See `window_mask`; 0: no window."""


def repeat_heads(x: Float[Tensor, "B K S D"], num_heads: int) -> Float[Tensor, "B {num_heads} S D"]:
    """Grouped-query attention: H / K query heads in a row share one key/value head (Ainslie et al. 2023, section 2.2)."""
    return x.repeat_interleave(num_heads // x.shape[1], dim=1)


def naive_weights(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 T S"] | None = None,
    bias: Float[Tensor, "#B H T S"] | None = None,
    scoring: Scoring | None = None,
) -> Float[Tensor, "B H T S"]:
    """How much each token looks at each: the attention map of every head.

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
    """Eq. 1, step by step."""
    weights = naive_weights(queries, keys, allowed, bias, scoring)
    return weighted_sum(weights, repeat_heads(values, queries.shape[1]))
