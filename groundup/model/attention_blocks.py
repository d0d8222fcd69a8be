"""Causal attention on a CPU, one block of queries at a time: the naive formula on tiles that fit in
the processor's cache.

torch's fused kernel (`F.scaled_dot_product_attention`) works in blocks of 32 to 64 queries of one
head. Up to about a thousand tokens larger tiles are faster: blocks of several heads in one matrix
product and one softmax (measured, docs/log.md). Keys after the last query of a block are skipped,
which saves half of the work. The backward pass recomputes each block's weights from queries and
keys instead of storing T x T numbers (as in FlashAttention, Dao et al. 2022, section 3.1).

With A = softmax(q Q K^T), O = A V, and g the gradient by O (Dao et al. 2022, appendix B.2):

    dL/dV = A^T g        dL/dA = g V^T        dL/dS = A (dL/dA - sum over keys of A dL/dA)
                         dL/dQ = q dL/dS K        dL/dK = q dL/dS^T Q
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from groundup.model.fused import autocast_dtype

# Numbers of a tile of the T x T scores: 2 MB in float32, so that it, its softmax and its gradient
# fit in or near a core's cache.
TILE = 2**19
SMALLEST_BLOCK, LARGEST_BLOCK = 64, 256
# For longer texts the fused kernel is as fast: its blocks grow, and it needs no second softmax.
BLOCKS_UP_TO_TOKENS = 1024


def causal_attention(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K T D"],
    values: Float[Tensor, "B K T D"],
    factor: float,
) -> Float[Tensor, "B H T D"]:
    """softmax(factor Q K^T) V with a causal mask, by the faster of two implementations. Under bf16
    autocast both compute in float32: more exact, and on a CPU faster than torch's bf16 kernel,
    which spends its time on conversions.
    """
    widened = in_float32(queries) and autocast_dtype(queries) != torch.float32
    if in_float32(queries) and 1 < queries.shape[2] <= BLOCKS_UP_TO_TOKENS:
        return _Blocks.apply(queries, keys, values, factor)
    if not widened:
        return _kernel(queries, keys, values, factor)
    with torch.autocast("cpu", enabled=False):
        return _kernel(queries.float(), keys.float(), values.float(), factor).to(torch.bfloat16)


def in_float32(queries: Tensor) -> bool:
    """Whether attention is computed in float32 on the CPU: its dtype, or under bf16 autocast."""
    dtype = autocast_dtype(queries)
    widened = dtype == torch.bfloat16 and torch.is_autocast_enabled("cpu")
    return queries.is_cpu and (widened or dtype == torch.float32)


def masked_attention(
    queries: Float[Tensor, "B H T D"],
    keys: Float[Tensor, "B K T D"],
    values: Float[Tensor, "B K T D"],
    factor: float,
    allowed: Bool[Tensor, "B 1 T T"],
) -> Float[Tensor, "B H T D"]:
    """softmax(factor Q K^T) V with a mask of each row, which is causal; keys that no query of a
    block sees are skipped: in packed rows of short documents most of them.
    """
    return _Blocks.apply(queries, keys, values, factor, allowed[:, 0])


def _kernel(queries: Tensor, keys: Tensor, values: Tensor, factor: float) -> Tensor:
    """About 4 % faster on a CPU when each key/value head is contiguous."""
    if queries.is_cpu:
        keys, values = keys.contiguous(), values.contiguous()
    shared = queries.shape[1] != keys.shape[1]
    return F.scaled_dot_product_attention(
        queries, keys, values, is_causal=True, scale=factor, enable_gqa=shared
    )


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        factor: float,
        allowed: Tensor | None = None,
    ) -> Tensor:
        # [B K, H/K, T, D] and [B K, T, D]: query heads that share keys are more rows of the same
        # product
        dtypes = tuple(x.dtype for x in (queries, keys, values))
        shared, mixed = queries.shape[1] // keys.shape[1], empty_token_major(queries)
        queries, keys, values = (contiguous_heads(x).flatten(0, 1) for x in (queries, keys, values))
        queries = queries.unflatten(0, (-1, shared))
        blocks = torch.empty_like(queries)
        with torch.autocast("cpu", enabled=False):
            for tile in tiles(queries, allowed):
                heads, rows, seen = tile
                weights = block_weights(queries, keys, tile, factor, allowed)
                blocks[heads, :, rows] = torch.bmm(weights, values[heads, seen]).unflatten(
                    1, (shared, -1)
                )
        ctx.save_for_backward(queries, keys, values, allowed)
        ctx.factor, ctx.batch, ctx.dtypes = factor, mixed.shape[0], dtypes
        return mixed.copy_(blocks.view(mixed.shape))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, allowed = ctx.saved_tensors
        g = contiguous_heads(g).view(queries.shape)
        by_queries, by_keys, by_values = (
            torch.empty_like(queries),
            torch.zeros_like(keys),
            torch.zeros_like(values),
        )
        with torch.autocast(
            "cpu", enabled=False
        ):  # a compiler traces this inside the forward pass, under its autocast
            for tile in tiles(queries, allowed):
                (heads, rows, seen), shared = tile, queries.shape[1]
                weights = block_weights(queries, keys, tile, ctx.factor, allowed)  # A
                g_block = g[heads, :, rows].flatten(1, 2)  # [heads, H/K rows, D]
                by_values[heads, seen].baddbmm_(weights.mT, g_block)  # A^T g
                by_weights = torch.bmm(g_block, values[heads, seen].mT)  # g V^T
                by_scores = torch._softmax_backward_data(
                    by_weights, weights, -1, weights.dtype
                ).mul_(ctx.factor)
                by_queries[heads, :, rows] = torch.bmm(by_scores, keys[heads, seen]).unflatten(
                    1, (shared, -1)
                )
                by_keys[heads, seen].baddbmm_(by_scores.mT, queries[heads, :, rows].flatten(1, 2))
        split = (by.view(ctx.batch, -1, *by.shape[-2:]) for by in (by_queries, by_keys, by_values))
        given = (
            empty_token_major(by, dtype).copy_(by)
            for by, dtype in zip(split, ctx.dtypes, strict=True)
        )
        return *given, None, None


def contiguous_heads(x: Float[Tensor, "B heads T D"]) -> Float[Tensor, "B heads T D"]:
    """In float32 (float64 stays), in one pass."""
    wide = torch.promote_types(x.dtype, torch.float32)
    return x.to(wide, memory_format=torch.contiguous_format).contiguous()


def empty_token_major(
    like: Float[Tensor, "B heads T D"], dtype: torch.dtype | None = None
) -> Float[Tensor, "B heads T D"]:
    """Of the same shape in the memory layout of the projections: [B, T, heads, D]."""
    batch, heads, tokens, width = like.shape
    return torch.empty(
        batch, tokens, heads, width, dtype=dtype or like.dtype, device=like.device
    ).transpose(1, 2)


class Tile(NamedTuple):
    """A part of the scores of all heads."""

    heads: slice
    rows: slice
    """The queries."""
    seen: slice
    """The keys, from the first that any of them sees."""


def tiles(
    queries: Float[Tensor, "N shared T D"], allowed: Bool[Tensor, "B T T"] | None = None
) -> Iterator[Tile]:
    """All rows in blocks, and for each block as many heads as fit in a tile."""
    num_heads, shared, num_tokens, _ = queries.shape
    block = min(max(num_tokens // 8, SMALLEST_BLOCK), LARGEST_BLOCK)
    for start in range(0, num_tokens, block):
        rows = slice(start, min(start + block, num_tokens))
        tile_heads = max(1, TILE // (shared * block * rows.stop))
        for head in range(0, num_heads, tile_heads):
            heads = slice(head, min(head + tile_heads, num_heads))
            yield Tile(heads, rows, slice(first_seen(allowed, heads, rows, num_heads), rows.stop))


def first_seen(
    allowed: Bool[Tensor, "B T T"] | None, heads: slice, rows: slice, num_heads: int
) -> int:
    """The first key that any of the rows sees; a compiled step, which can't depend on values, takes
    all.
    """
    if allowed is None or torch.compiler.is_compiling():
        return 0
    texts = mask_rows(allowed, heads, num_heads)
    return int(allowed[texts[0] : texts[-1] + 1, rows].flatten(0, 1).any(dim=0).byte().argmax())


def mask_rows(
    allowed: Bool[Tensor, "B T T"], heads: slice, num_heads: int
) -> Int[Tensor, " heads"]:
    """The row of the batch that each head belongs to."""
    return torch.arange(heads.start, heads.stop, device=allowed.device) // (
        num_heads // allowed.shape[0]
    )


def block_weights(
    queries: Float[Tensor, "N shared T D"],
    keys: Float[Tensor, "N T D"],
    tile: Tile,
    factor: float,
    allowed: Bool[Tensor, "B T T"] | None = None,
) -> Float[Tensor, "heads rows seen"]:
    """A: the attention weights of the tile's queries over its keys."""
    heads, rows, seen = tile
    block = queries[heads, :, rows]  # [heads, H/K, rows, D]
    scores = torch.bmm(block.flatten(1, 2), keys[heads, seen].mT).mul_(factor)
    size = rows.stop - rows.start
    if allowed is not None:
        hidden = ~allowed[mask_rows(allowed, heads, len(keys)), rows, seen]  # [heads, rows, seen]
        scores.unflatten(1, (block.shape[1], size)).masked_fill_(hidden[:, None], -math.inf)
        return scores.softmax(dim=-1)
    later = torch.full((size, size), -math.inf, dtype=scores.dtype, device=scores.device).triu_(
        diagonal=1
    )
    scores.unflatten(1, (block.shape[1], size))[..., rows.start :].add_(later)
    return scores.softmax(dim=-1)
