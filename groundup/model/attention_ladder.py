"""Attention in steps of growing complexity: one head, several heads, shared keys, sliding window, cache.

Each function is a few lines on top of the previous one, without batch or projections. The tests compare each with the previous one, and the
last ones with what models run (`attention_steps.naive_attention`, `attention.sdpa_attention`).

    single_head                every token attends to every token         Vaswani et al. 2017, eq. 1
    masked_head                ... up to itself                           section 3.2.3
    multi_head                 several heads in parallel                  section 3.2.2
    masked_multi_head          both: GPT-2's attention                    Radford et al. 2018
    grouped_query_heads        groups of heads share keys and values      Ainslie et al. 2023
    multi_query_heads          all heads share them                       Shazeer 2019
    sliding_window_heads       only the last few tokens                   Beltagy et al. 2020; Mistral 7B
    cached_heads               token by token, with a KV cache            Pope et al. 2022
"""

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.model.attention_steps import (
    causal_mask,
    mask,
    repeat_heads,
    scale,
    scores,
    softmax,
    weighted_sum,
    window_mask,
)


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
    """The same with a causal mask: a model that learns to predict the next token must not see it. The queries are the last T of the S tokens."""
    raw = scale(scores(queries, keys), queries.shape[-1])
    return weighted_sum(softmax(mask(raw, causal_mask(*raw.shape))), values)


def multi_head(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "H S D"], values: Float[Tensor, "H S D"]
) -> Float[Tensor, "H T D"]:
    """H independent heads: one softmax can attend to one kind of token at a time, H of them to several."""
    return torch.stack([single_head(*head) for head in zip(queries, keys, values, strict=True)])


def masked_multi_head(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "H S D"], values: Float[Tensor, "H S D"]
) -> Float[Tensor, "H T D"]:
    """H independent masked heads."""
    return torch.stack([masked_head(*head) for head in zip(queries, keys, values, strict=True)])


def grouped_query_heads(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "K S D"], values: Float[Tensor, "K S D"]
) -> Float[Tensor, "H T D"]:
    """H / K adjacent query heads share a key head and a value head, so the KV cache is H / K times smaller. K = H: masked multi-head."""
    shared = (repeat_heads(x[None], len(queries))[0] for x in (keys, values))  # [H, S, D]
    return masked_multi_head(queries, *shared)


def multi_query_heads(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "S D"], values: Float[Tensor, "S D"]
) -> Float[Tensor, "H T D"]:
    """One key head and one value head for all query heads."""
    return grouped_query_heads(queries, keys[None], values[None])


def sliding_window_heads(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "K S D"], values: Float[Tensor, "K S D"], *, window_tokens: int
) -> Float[Tensor, "H T D"]:
    """Each query attends to itself and the `window_tokens` - 1 tokens before it (0: no window), so the cost grows linearly with the length.

    Through L such blocks information still travels L (window_tokens - 1) tokens.
    """
    keys, values = (repeat_heads(x[None], len(queries))[0] for x in (keys, values))  # [H, S, D]
    raw = scale(scores(queries, keys), queries.shape[-1])  # [H, T, S]
    allowed = window_mask(queries.shape[1], keys.shape[1], window_tokens)[None]
    return weighted_sum(softmax(mask(raw, allowed)), values)


def cached_heads(
    queries: Float[Tensor, "H T D"], keys: Float[Tensor, "K T D"], values: Float[Tensor, "K T D"], *, window_tokens: int
) -> Float[Tensor, "H T D"]:
    """Decoding: each token adds one query, key and value; those of earlier tokens are kept, since they don't depend on later ones."""
    kept_keys, kept_values, mixed = keys[:, :0], values[:, :0], []
    for t in range(queries.shape[1]):
        kept_keys = torch.cat([kept_keys, keys[:, t : t + 1]], dim=1)  # [K, t + 1, D]
        kept_values = torch.cat([kept_values, values[:, t : t + 1]], dim=1)
        mixed.append(sliding_window_heads(queries[:, t : t + 1], kept_keys, kept_values, window_tokens=window_tokens))
    return torch.cat(mixed, dim=1)
