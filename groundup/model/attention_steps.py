"""Attention step by step, as small pure functions.

First the five steps of eq. 1 of Vaswani et al. 2017, then the masks, then attention of growing
complexity, without batch or projections, where the tests compare each function with the previous
one:

    single_head                every token attends to every token         Vaswani et al. 2017, eq. 1
    masked_head                ... up to itself                           section 3.2.3
    multi_head                 several heads in parallel                  section 3.2.2
    masked_multi_head          both: GPT-2's attention                    Radford et al. 2018
    grouped_query_heads        groups of heads share keys and values      Ainslie et al. 2023
    multi_query_heads          all heads share them                       Shazeer 2019
    sliding_window_heads       only the last few tokens                   Beltagy et al. 2020
    cached_heads               token by token, with a KV cache            Pope et al. 2022

Last all heads of a batch in one call (`naive_attention`), which is the test of every faster
implementation.

A token's query is compared with the keys of all tokens up to it; the better they match, the larger
the weight of that token's value:

>>> queries = keys = torch.eye(2)                            # two tokens with orthogonal keys
>>> weights = softmax(mask(scale(scores(queries, keys), head_width=2), causal_mask(2, 2)))
>>> [[round(w, 2) for w in row] for row in weights.tolist()]  # the second mostly to itself
[[1.0, 0.0], [0.33, 0.67]]
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# The five steps of eq. 1: Attention(Q, K, V) = softmax(Q K^T / sqrt(D)) V. "*N" stands for any
# dimensions in front: batch, heads, or none.


def scores(
    queries: Float[Tensor, "*N T D"], keys: Float[Tensor, "*N S D"]
) -> Float[Tensor, "*N T S"]:
    """The dot product of each query with each key."""
    return queries @ keys.mT  # Q K^T


def scale(raw: Float[Tensor, "*N T S"], head_width: int) -> Float[Tensor, "*N T S"]:
    """By sqrt(D), the standard deviation of a dot product of D random terms: else the softmax
    saturates in wide heads.
    """
    return raw / math.sqrt(head_width)  # / sqrt(D)


def mask(raw: Float[Tensor, "*N T S"], allowed: Bool[Tensor, "*#N T S"]) -> Float[Tensor, "*N T S"]:
    """Set the scores of masked keys to minus infinity, since exp(-inf) = 0."""
    return raw.masked_fill(~allowed, -math.inf)


def softmax(raw: Float[Tensor, "*N T S"]) -> Float[Tensor, "*N T S"]:
    """Weights that are positive and sum to one for each query; in float32: exponentials are too
    inexact in 16 bits.
    """
    return raw.softmax(dim=-1, dtype=torch.float32).to(raw.dtype)  # exp(s_j) / sum_k exp(s_k)


def weighted_sum(
    weights: Float[Tensor, "*N T S"], values: Float[Tensor, "*N S D"]
) -> Float[Tensor, "*N T D"]:
    return weights @ values  # softmax(...) V


def softcap(raw: Float[Tensor, "*N"], cap: float) -> Float[Tensor, "*N"]:
    """Soft-cap numbers to -cap .. cap (Gemma 2 report 2024, section 2); 0: no cap."""
    if cap == 0:
        return raw
    return cap * torch.tanh(raw / cap)


# Masks: which keys a query may attend to.


def causal_mask(
    num_queries: int, num_keys: int, device: torch.device | None = None
) -> Bool[Tensor, "{num_queries} {num_keys}"]:
    """True where key s is not later than query t; the queries are the last `num_queries` of the
    `num_keys` tokens.

    >>> causal_mask(2, 3).int().tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    everywhere = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device)
    return everywhere.tril(diagonal=num_keys - num_queries)


def window_mask(
    num_queries: int, num_keys: int, window_tokens: int, device: torch.device | None = None
) -> Bool[Tensor, "{num_queries} {num_keys}"]:
    """The causal mask without keys `window_tokens` or more tokens before the query (Beltagy et al.
    2020; Mistral 7B); 0: no window.

    >>> window_mask(3, 3, 2).int().tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    causal = causal_mask(num_queries, num_keys, device)
    if not window_tokens:
        return causal
    return causal & ~causal.tril(diagonal=num_keys - num_queries - window_tokens)


def padded_mask(
    real: Bool[Tensor, "B S"], num_queries: int, window_tokens: int = 0, *, causal: bool = True
) -> Bool[Tensor, "B 1 {num_queries} S"]:
    """The causal (or windowed) mask without padding keys, for every row of the batch; the 1 is for
    all heads. Not `causal`: all real keys.

    A padding token may attend to itself: the softmax over no keys is NaN, and that would spread.
    """
    itself = window_mask(num_queries, real.shape[1], 1, real.device)
    seen = real[:, None, None, :]
    if causal:
        seen = seen & window_mask(num_queries, real.shape[1], window_tokens, real.device)
    return seen | itself


# One head, several heads, shared keys, a window, a cache.


def single_head(
    queries: Float[Tensor, "T D"], keys: Float[Tensor, "S D"], values: Float[Tensor, "S D"]
) -> Float[Tensor, "T D"]:
    """Eq. 1: softmax(Q K^T / sqrt(D)) V. Every query attends to every key.

    >>> one = torch.ones(1, 4)
    >>> single_head(one, one, 7 * one).tolist()  # a single key has weight 1
    [[7.0, 7.0, 7.0, 7.0]]
    """
    return weighted_sum(softmax(scale(scores(queries, keys), queries.shape[-1])), values)


def masked_head(
    queries: Float[Tensor, "T D"], keys: Float[Tensor, "S D"], values: Float[Tensor, "S D"]
) -> Float[Tensor, "T D"]:
    """The same with a causal mask: a model that learns to predict the next token must not see it.

    The queries are the last T of the S tokens.
    """
    raw = scale(scores(queries, keys), queries.shape[-1])
    return weighted_sum(softmax(mask(raw, causal_mask(*raw.shape))), values)


def multi_head(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "H S D"], values: Float[Tensor, "H S D"]
) -> Float[Tensor, "H T D"]:
    """H independent heads: one softmax can attend to one kind of token at a time, H of them to
    several.
    """
    return torch.stack([single_head(*head) for head in zip(queries, keys, values, strict=True)])


def masked_multi_head(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "H S D"], values: Float[Tensor, "H S D"]
) -> Float[Tensor, "H T D"]:
    return torch.stack([masked_head(*head) for head in zip(queries, keys, values, strict=True)])


def grouped_query_heads(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "K S D"], values: Float[Tensor, "K S D"]
) -> Float[Tensor, "H T D"]:
    """H / K adjacent query heads share a key head and a value head: the KV cache is H / K times
    smaller.
    """
    shared = (repeat_heads(x[None], len(queries))[0] for x in (keys, values))  # [H, S, D]
    return masked_multi_head(queries, *shared)


def multi_query_heads(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "S D"], values: Float[Tensor, "S D"]
) -> Float[Tensor, "H T D"]:
    return grouped_query_heads(queries, keys[None], values[None])


def sliding_window_heads(
    queries: Float[Tensor, "H T D"],
    keys: Float[Tensor, "K S D"],
    values: Float[Tensor, "K S D"],
    *,
    window_tokens: int,
) -> Float[Tensor, "H T D"]:
    """Each query attends to itself and the `window_tokens` - 1 tokens before it (0: no window), so
    the cost grows linearly with the length.

    Through L such blocks information still travels L (window_tokens - 1) tokens.
    """
    keys, values = (repeat_heads(x[None], len(queries))[0] for x in (keys, values))  # [H, S, D]
    raw = scale(scores(queries, keys), queries.shape[-1])  # [H, T, S]
    allowed = window_mask(queries.shape[1], keys.shape[1], window_tokens)[None]
    return weighted_sum(softmax(mask(raw, allowed)), values)


def cached_heads(
    queries: Float[Tensor, "H T D"],
    keys: Float[Tensor, "K T D"],
    values: Float[Tensor, "K T D"],
    *,
    window_tokens: int,
) -> Float[Tensor, "H T D"]:
    """Decoding: each token adds one query, key and value; those of earlier tokens are kept, since
    they don't depend on later ones.
    """
    kept_keys, kept_values, mixed = keys[:, :0], values[:, :0], []
    for t in range(queries.shape[1]):
        kept_keys = torch.cat([kept_keys, keys[:, t : t + 1]], dim=1)  # [K, t + 1, D]
        kept_values = torch.cat([kept_values, values[:, t : t + 1]], dim=1)
        query = queries[:, t : t + 1]
        mixed.append(
            sliding_window_heads(query, kept_keys, kept_values, window_tokens=window_tokens)
        )
    return torch.cat(mixed, dim=1)


def repeat_heads(x: Float[Tensor, "B K S D"], num_heads: int) -> Float[Tensor, "B {num_heads} S D"]:
    """For the H / K adjacent query heads that share each (Ainslie et al. 2023, section 2.2)."""
    return x.repeat_interleave(num_heads // x.shape[1], dim=1)


# All heads of a batch at once, without optimisation.


@dataclass(frozen=True)
class Scoring:
    """Scale and soft cap of the scores, and the window."""

    width: int
    """Scores are divided by its square root: D, unless a config has another value."""
    softcap: float = 0.0
    window_tokens: int = 0
    causal: bool = True
    """Queries attend to keys up to themselves; false: to all (an encoder)."""


def naive_weights(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K S D"],
    allowed: Bool[Tensor, "#B 1 T S"] | None = None,
    bias: Float[Tensor, "#B H T S"] | None = None,
    scoring: Scoring | None = None,
) -> Float[Tensor, "B H T S"]:
    """`allowed` None: causal, within the window; all if `scoring` is not. `bias` is added to the
    scaled scores (ALiBi).
    """
    scoring = scoring or Scoring(queries.shape[-1])
    num_queries, num_keys = queries.shape[2], keys.shape[2]
    if allowed is None and scoring.causal:
        seen = window_mask(num_queries, num_keys, scoring.window_tokens, queries.device)
        allowed = seen[None, None]
    raw = scale(scores(queries, repeat_heads(keys, queries.shape[1])), scoring.width)
    raw = softcap(raw, scoring.softcap)
    if bias is not None:
        raw = raw + bias
    if allowed is not None:
        raw = mask(raw, allowed)
    return softmax(raw)


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
