"""Attention by hand, and every variant against its simpler twin."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from groundup.errors import ConfigError
from groundup.model.attention import Attention, AttentionMetadata, sdpa_attention, use_attention
from groundup.model.attention_steps import (
    causal_mask,
    mask,
    naive_attention,
    naive_weights,
    padded_mask,
    repeat_heads,
    scale,
    scores,
    softmax,
    weighted_sum,
)
from groundup.model.heads import LanguageModel
from groundup.model.positions import Rotary


def test_attention_over_three_words_computed_by_hand() -> None:
    """Three words, "the cat sat", one head of width D = 4 (so that sqrt(D) = 2), queries, keys and values chosen by hand.

        word   query          key            value
        the    (2, 0, 0, 0)   (0, 0, 0, 0)   (1, 0, 0, 0)
        cat    (0, 2, 0, 0)   (0, 0, 1, 0)   (0, 1, 0, 0)
        sat    (0, 0, 2, 0)   (1, 0, 0, 0)   (0, 0, 1, 0)       "sat" asks for what "cat" answers with

    Scores, row = who asks, column = who answers:   the: 0 0 2    cat: 0 0 0    sat: 0 2 0
    Divided by sqrt(4) = 2:                         the: 0 0 1    cat: 0 0 0    sat: 0 1 0
    Masked, nobody sees what follows:               the: 0 - -    cat: 0 0 -    sat: 0 1 0
    Softmax, e^s over the row's sum of e^s:
        the: (1, 0, 0)      cat: (1/2, 1/2, 0)      sat: (1, e, 1) / (2 + e) = (0.2119, 0.5761, 0.2119)
    Weighted sum of the values, here the weights themselves in the first three components, and 0:
        the: (1, 0, 0, 0)   cat: (0.5, 0.5, 0, 0)   sat: (0.2119, 0.5761, 0.2119, 0)   "sat" has mostly taken from "cat"
    """
    queries = torch.tensor([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]])
    keys = torch.tensor([[0.0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]])
    values = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])

    raw = scores(queries, keys)
    assert raw.tolist() == [[0, 0, 2], [0, 0, 0], [0, 2, 0]]
    raw = scale(raw, head_width=4)
    assert raw.tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 0]]
    raw = mask(raw, causal_mask(3, 3))
    assert raw.tolist() == [[0, -math.inf, -math.inf], [0, 0, -math.inf], [0, 1, 0]]
    weights = softmax(raw)
    torch.testing.assert_close(
        weights, torch.tensor([[1, 0, 0], [0.5, 0.5, 0], [0.21194156, 0.57611688, 0.21194156]])
    )
    mixed = weighted_sum(weights, values)
    torch.testing.assert_close(
        mixed,
        torch.tensor([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.21194156, 0.57611688, 0.21194156, 0]]),
    )

    torch.testing.assert_close(
        naive_attention(queries[None, None], keys[None, None], values[None, None])[0, 0], mixed
    )
    torch.testing.assert_close(
        sdpa_attention(queries[None, None], keys[None, None], values[None, None])[0, 0], mixed
    )


def random_heads(
    num_heads: int, num_kv_heads: int, num_queries: int, num_keys: int
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_heads * 100 + num_queries)
    shapes = (
        (2, num_heads, num_queries, 8),
        (2, num_kv_heads, num_keys, 8),
        (2, num_kv_heads, num_keys, 8),
    )
    queries, keys, values = (torch.randn(shape, generator=generator) for shape in shapes)
    return queries, keys, values


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("num_queries", "num_keys"), [(7, 7), (1, 7), (3, 7), (1, 1)])
@pytest.mark.parametrize(("num_heads", "num_kv_heads"), [(4, 4), (4, 2), (4, 1)])
def test_fused_attention_equals_naive_forward_and_backward(
    num_heads: int, num_kv_heads: int, num_queries: int, num_keys: int, padded: bool
) -> None:
    inputs = random_heads(num_heads, num_kv_heads, num_queries, num_keys)
    real = torch.ones(2, num_keys, dtype=torch.bool)
    real[1, : num_keys // 2] = False
    allowed = padded_mask(real, num_queries) if padded else None
    results = []
    for attend in (naive_attention, sdpa_attention):
        leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        mixed = attend(*leaves, allowed)
        (mixed * torch.arange(8)).sum().backward()
        results.append([mixed, *(leaf.grad for leaf in leaves)])
    for naive, fused in zip(*results, strict=True):
        torch.testing.assert_close(fused, naive, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_kv_heads", [4, 2, 1])
def test_grouped_heads_equal_separate_heads_that_repeat(num_kv_heads: int) -> None:
    """Grouped queries (K = H: plain multi-head; K = 1: multi-query) are multi-head attention whose groups share keys and values."""
    queries, keys, values = random_heads(4, num_kv_heads, 6, 6)
    copies = 4 // num_kv_heads
    spread = (
        [keys[:, head // copies] for head in range(4)],
        [values[:, head // copies] for head in range(4)],
    )
    many = naive_attention(queries, torch.stack(spread[0], dim=1), torch.stack(spread[1], dim=1))
    torch.testing.assert_close(naive_attention(queries, keys, values), many)
    assert torch.equal(repeat_heads(keys, 4), torch.stack(spread[0], dim=1))


def test_many_heads_equal_single_heads_side_by_side() -> None:
    queries, keys, values = random_heads(4, 4, 6, 6)
    together = naive_attention(queries, keys, values)
    for head in range(4):
        one = [tensor[0, head] for tensor in (queries, keys, values)]
        raw = mask(scale(scores(one[0], one[1]), 8), causal_mask(6, 6))
        torch.testing.assert_close(together[0, head], weighted_sum(softmax(raw), one[2]))


def test_module_equals_projections_around_the_pure_functions() -> None:
    torch.manual_seed(0)
    attention = Attention(width=12, num_heads=3, num_kv_heads=3, head_width=4)
    hidden = torch.randn(1, 5, 12)
    heads = []
    for head in range(3):
        rows = slice(head * 4, head * 4 + 4)
        query, key, value = (
            hidden[0] @ part.weight[rows].T
            for part in (attention.query, attention.key, attention.value)
        )
        heads.append(
            weighted_sum(softmax(mask(scale(scores(query, key), 4), causal_mask(5, 5))), value)
        )
    torch.testing.assert_close(
        attention(hidden)[0], torch.cat(heads, dim=-1) @ attention.output.weight.T
    )


def test_no_token_sees_what_follows() -> None:
    torch.manual_seed(0)
    attention = Attention(
        width=16, num_heads=4, num_kv_heads=2, head_width=4, query_key_norm="head"
    )
    rotation = Rotary(4)(torch.arange(9)[None])
    hidden = torch.randn(1, 9, 16)
    changed = hidden.clone()
    changed[:, 6:] += 1.0
    before, after = (
        attention(hidden, AttentionMetadata(rotation)),
        attention(changed, AttentionMetadata(rotation)),
    )
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.isclose(before[:, 6:], after[:, 6:]).all(dim=-1).any()


def test_padding_is_seen_by_itself_only() -> None:
    real = torch.tensor([[False, False, True, True], [True, True, True, False]])
    assert padded_mask(real, 4).int().squeeze(1).tolist() == [
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]],
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]],
    ]
    assert (
        padded_mask(real, 2).squeeze(1).tolist() == padded_mask(real, 4).squeeze(1)[:, 2:].tolist()
    )


def test_softmax_in_sixteen_bits_is_computed_in_float32() -> None:
    raw = torch.randn(1, 500, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(softmax(raw), torch.softmax(raw.float(), dim=-1).bfloat16())


def test_attention_maps_are_the_weights_that_forward_uses(
    model_of: Callable[..., LanguageModel], ids: Tensor
) -> None:
    model = model_of()
    maps = model.transformer.attention_maps(ids)
    assert maps.shape == (3, 3, 4, 12, 12)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(3, 3, 4, 12))
    assert maps.triu(diagonal=1).eq(0).all()

    block = model.transformer.blocks[0]
    normed = block.attention_norm(model.transformer.embed(ids))
    rotation = model.transformer.metadata_builder.rotary(torch.arange(12)[None])
    values = block.attention.split_heads(block.attention.value(normed)).transpose(1, 2)
    mixed = weighted_sum(maps[0], repeat_heads(values, 4)).transpose(1, 2).flatten(2)
    torch.testing.assert_close(
        block.attention.output(mixed), block.attention(normed, AttentionMetadata(rotation))
    )


def test_attention_maps_of_a_padded_row_give_padding_no_weight(
    model_of: Callable[..., LanguageModel], ids: Tensor
) -> None:
    transformer = model_of().transformer
    real = torch.arange(12) >= 4
    maps = transformer.attention_maps(ids[:1], mask=real[None])
    assert maps[..., 4:, :4].eq(0).all()
    torch.testing.assert_close(maps[..., 4:, 4:], transformer.attention_maps(ids[:1, 4:]))


def test_whole_model_is_the_same_by_either_implementation(
    model_of: Callable[..., LanguageModel], ids: Tensor
) -> None:
    model = model_of()
    fused = model(ids)
    use_attention(model, "naive")
    torch.testing.assert_close(model(ids), fused, atol=1e-5, rtol=1e-5)
    with pytest.raises(ConfigError, match="flex, naive, sdpa"):
        use_attention(model, "fast")


def test_fused_and_naive_weights_stay_finite_in_a_row_of_padding_alone() -> None:
    queries, keys, values = random_heads(4, 2, 5, 5)
    allowed = padded_mask(torch.zeros(2, 5, dtype=torch.bool), 5)
    assert naive_weights(queries, keys, allowed).isfinite().all()
    assert sdpa_attention(queries, keys, values, allowed).isfinite().all()
