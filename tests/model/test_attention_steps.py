"""Each rung of the ladder is the test of the next, and the last rungs equal what models run."""

import pytest
import torch
from torch import Tensor

from groundup.model.attention import EMPTY_METADATA, sdpa_attention
from groundup.model.attention_steps import (
    Scoring,
    cached_heads,
    grouped_query_heads,
    masked_head,
    masked_multi_head,
    multi_head,
    multi_query_heads,
    naive_attention,
    repeat_heads,
    single_head,
    sliding_window_heads,
)
from groundup.model.cache import KVCache
from groundup.model.config import ModelConfig

TOKENS, WIDTH = 9, 8


def heads(num_heads: int, num_kv_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_heads * 10 + num_kv_heads)
    shapes = [(count, TOKENS, WIDTH) for count in (num_heads, num_kv_heads, num_kv_heads)]
    queries, keys, values = (torch.randn(shape, generator=generator) for shape in shapes)
    return queries, keys, values


def test_a_masked_head_is_a_single_head_on_every_beginning_of_the_text() -> None:
    queries, keys, values = (x[0] for x in heads(1, 1))
    masked = masked_head(queries, keys, values)
    for t in range(TOKENS):
        alone = single_head(queries[t : t + 1], keys[: t + 1], values[: t + 1])
        torch.testing.assert_close(masked[t : t + 1], alone)


def test_one_head_of_many_is_a_head_alone() -> None:
    queries, keys, values = heads(4, 4)
    for head in range(4):
        one = queries[head], keys[head], values[head]
        torch.testing.assert_close(multi_head(queries, keys, values)[head], single_head(*one))
        torch.testing.assert_close(
            masked_multi_head(queries, keys, values)[head], masked_head(*one)
        )


@pytest.mark.parametrize("num_kv_heads", [4, 2, 1])
def test_grouped_queries_are_many_heads_whose_keys_are_copies(num_kv_heads: int) -> None:
    queries, keys, values = heads(4, num_kv_heads)
    copied = (repeat_heads(x[None], 4)[0] for x in (keys, values))
    torch.testing.assert_close(
        grouped_query_heads(queries, keys, values), masked_multi_head(queries, *copied)
    )


def test_multi_query_is_grouped_query_with_one_group() -> None:
    queries, keys, values = heads(4, 1)
    torch.testing.assert_close(
        multi_query_heads(queries, keys[0], values[0]), grouped_query_heads(queries, keys, values)
    )


def test_a_window_as_long_as_the_text_is_none() -> None:
    queries, keys, values = heads(4, 2)
    for window_tokens in (0, TOKENS, 100):
        windowed = sliding_window_heads(queries, keys, values, window_tokens=window_tokens)
        torch.testing.assert_close(windowed, grouped_query_heads(queries, keys, values))


def test_a_window_is_the_whole_attention_on_the_tokens_in_it() -> None:
    queries, keys, values = heads(4, 2)
    windowed = sliding_window_heads(queries, keys, values, window_tokens=3)
    for t in range(TOKENS):
        seen = slice(max(0, t - 2), t + 1)
        alone = grouped_query_heads(queries[:, t : t + 1], keys[:, seen], values[:, seen])
        torch.testing.assert_close(windowed[:, t : t + 1], alone)


@pytest.mark.parametrize("window_tokens", [0, 1, 3])
def test_token_by_token_with_what_is_kept_equals_all_at_once(window_tokens: int) -> None:
    queries, keys, values = heads(4, 2)
    at_once = sliding_window_heads(queries, keys, values, window_tokens=window_tokens)
    torch.testing.assert_close(
        cached_heads(queries, keys, values, window_tokens=window_tokens), at_once
    )


@pytest.mark.parametrize("window_tokens", [0, 1, 3])
@pytest.mark.parametrize("num_kv_heads", [4, 2, 1])
def test_what_models_run_equals_the_top_of_the_ladder(
    num_kv_heads: int, window_tokens: int
) -> None:
    inputs = heads(4, num_kv_heads)
    batch = [x[None] for x in inputs]
    expected = cached_heads(*inputs, window_tokens=window_tokens)
    for attend in (naive_attention, sdpa_attention):
        mixed = attend(*batch, None, None, Scoring(WIDTH, window_tokens=window_tokens))
        torch.testing.assert_close(mixed[0], expected)


def test_the_cache_of_models_keeps_what_the_ladder_keeps() -> None:
    queries, keys, values = heads(4, 2)
    shape = ModelConfig(
        vocab_size=5,
        context_tokens=TOKENS,
        width=32,
        num_layers=1,
        num_heads=4,
        num_kv_heads=2,
        feedforward_width=8,
    )
    cache, mixed = KVCache(shape), []
    for t in range(TOKENS):
        now = slice(t, t + 1)
        new = (x[None, :, now] for x in (queries, keys, values))
        mixed.append(cache.layer(0)(sdpa_attention, *new, EMPTY_METADATA))
        cache.advance(1)
    torch.testing.assert_close(
        torch.cat(mixed, dim=2)[0], cached_heads(queries, keys, values, window_tokens=0)
    )
