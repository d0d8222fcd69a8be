"""Attention of the compiled step, and how it keeps keys and values: in the numbers of the model, or
in int8 with a scale for each key and value of a head (`readable_step.py` has the twins).

    row of a head, int8    D integers of at most 127, then their scale in bf16

In int8 a score is a sum of integers, the query rounded to 16 bits as the activations of a product,
times both scales; of the values' shares each is multiplied by its value's scale first.
"""

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from groundup.kernels.float_products import (
    dots,
    int8_dots,
    largest,
    number_at,
    put_number,
    put_scale,
    scale_at,
    weighted_sum,
)
from groundup.kernels.products import compiled
from groundup.kernels.step_parts import FORM, exponential, hyperbolic_tangent, round_activations
from groundup.kernels.step_shape import StepShape

Array = np.ndarray
F = np.float32
# Inner loops: of so many numbers of a head, with one query or several that share its keys.
dots_64, dots_64_of_3, dots_64_of_4, dots_16 = dots(8, 1), dots(8, 3), dots(8, 4), dots(2, 1)
mix_64, mix_32_of_3, mix_32_of_4 = weighted_sum(8, 1), weighted_sum(4, 3), weighted_sum(4, 4)
mix_16 = weighted_sum(2, 1)
eight_dots, eight_dots_of_3 = int8_dots(FORM, 1), int8_dots(FORM, 3)
eight_dots_of_4 = int8_dots(FORM, 4)
largest_number = largest(of_sizes=False)


@compiled
def keep_floats(numbers: Array, cache: Array, start: int) -> None:
    for i in range(numbers.shape[0]):
        put_number(cache, start + i, numbers[i])


@compiled
def keep_int8(numbers: Array, cache: Array, start: int) -> None:
    count, largest, total = numbers.shape[0], F(1e-30), F(0.0)
    for i in range(count):
        size = abs(numbers[i])
        largest = max(largest, size)
        total += size
    put_scale(cache, start + count, largest / F(127.0))
    inverse = F(1.0) / scale_at(cache, start + count)
    if not total < F(3e38):  # NaN or infinite: the scale says so
        put_scale(cache, start + count, F(np.nan))
        inverse = F(0.0)
    for i in range(count):
        cache[start + i] = np.int8(np.rint(numbers[i] * inverse))


def keep(numbers: Array, cache: Array, start: int) -> None:
    """As the cache's numbers."""
    raise NotImplementedError


@overload(keep, strict=False)
def _keep(numbers: Any, cache: Any, start: Any) -> Any:
    if cache.dtype == types.int8:
        return lambda numbers, cache, start: keep_int8(numbers, cache, start)
    return lambda numbers, cache, start: keep_floats(numbers, cache, start)


@compiled
def together(shape: StepShape, rows: int, threads: int) -> int:
    """How many of the query heads that share a head of keys are computed in one loop: 1 where
    threads would have nothing to do.
    """
    for count in (4, 3):
        shared = shape.heads // shape.kv_heads % count == 0
        if shared and rows * shape.heads // count >= threads:
            return count
    return 1


@compiled
def float_scores(queries: Array, rounded: Array, keys: Array, starts: Array, scores: Array) -> None:
    heads, count, room = scores.shape[0], starts.shape[0], 4 * scores.shape[1]
    width = queries.shape[0] // heads
    places, sums, d = starts.ctypes.data, scores.ctypes.data, 0
    for h in range(heads):
        scores[h, :count] = F(0.0)
    while d < width:
        part = queries.ctypes.data + 4 * d
        if d + 64 <= width and heads == 3:
            dots_64_of_3(keys, d, places, part, 4 * width, count, sums, room)
            d += 64
        elif d + 64 <= width and heads == 4:
            dots_64_of_4(keys, d, places, part, 4 * width, count, sums, room)
            d += 64
        elif d + 64 <= width:
            dots_64(keys, d, places, part, 0, count, sums, 0)
            d += 64
        elif d + 16 <= width:
            for h in range(heads):
                dots_16(keys, d, places, part + 4 * width * h, 0, count, sums + room * h, 0)
            d += 16
        else:
            for h in range(heads):
                for t in range(count):
                    scores[h, t] += queries[h * width + d] * number_at(keys, starts[t] + d)
            d += 1


@compiled
def int8_scores(queries: Array, rounded: Array, keys: Array, starts: Array, scores: Array) -> None:
    heads, count, room = scores.shape[0], starts.shape[0], 4 * scores.shape[1]
    width = queries.shape[0] // heads
    places, numbers, sums = starts.ctypes.data, rounded.ctypes.data, scores.ctypes.data
    apart = rounded.itemsize * width
    first = round_head(queries, rounded, 0, width)
    if heads == 1:
        eight_dots(keys, places, numbers, 0, width, count, sums, 0)
        scale_scores(scores[0], first, keys, starts, width)
        return
    second, third = round_head(queries, rounded, 1, width), round_head(queries, rounded, 2, width)
    scales = (first, second, third, round_head(queries, rounded, heads - 1, width))
    if heads == 3:
        eight_dots_of_3(keys, places, numbers, apart, width, count, sums, room)
    else:
        eight_dots_of_4(keys, places, numbers, apart, width, count, sums, room)
    for h in range(heads):
        scale_scores(scores[h], scales[h], keys, starts, width)


@compiled
def round_head(queries: Array, rounded: Array, h: int, width: int) -> Any:
    return round_activations(
        queries[h * width : (h + 1) * width], rounded[h * width : (h + 1) * width]
    )


@compiled
def scale_scores(scores: Array, scale: Any, keys: Array, starts: Array, width: int) -> None:
    for t in range(starts.shape[0]):
        scores[t] *= scale * scale_at(keys, starts[t] + width)


def score(queries: Array, rounded: Array, keys: Array, starts: Array, scores: Array) -> None:
    """scores[h, t] = query_h key_t; `rounded` is room for the queries' numbers in int16."""
    raise NotImplementedError


@overload(score, strict=False)
def _score(queries: Any, rounded: Any, keys: Any, starts: Any, scores: Any) -> Any:
    if keys.dtype == types.int8:
        return lambda queries, rounded, keys, starts, scores: int8_scores(
            queries, rounded, keys, starts, scores
        )
    return lambda queries, rounded, keys, starts, scores: float_scores(
        queries, rounded, keys, starts, scores
    )


@compiled
def multiply_scales(values: Array, width: int, starts: Array, shares: Array) -> None:
    for t in range(starts.shape[0]):
        shares[t] *= scale_at(values, starts[t] + width)


def scale_shares(values: Array, width: int, starts: Array, shares: Array) -> None:
    """Each share times the scale of its value, where there is one."""
    raise NotImplementedError


@overload(scale_shares, strict=False)
def _scale_shares(values: Any, width: Any, starts: Any, shares: Any) -> Any:
    if values.dtype == types.int8:
        return lambda values, width, starts, shares: multiply_scales(values, width, starts, shares)
    return lambda values, width, starts, shares: None


@compiled
def attend(
    queries: Array,
    rounded: Array,
    keys: Array,
    values: Array,
    starts: Array,
    shape: StepShape,
    scores: Array,
    out: Array,
) -> None:
    """Heads [H D] that share keys, `together` of them, over the stored tokens at `starts` [S];
    `scores` [H, a multiple of 8] is room, `rounded` [H D] as `score` has it. Each gets the bits
    that it gets alone.
    """
    count, factor, cap = starts.shape[0], F(shape.score_factor), F(shape.score_softcap)
    score(queries, rounded, keys, starts, scores)
    for h in range(scores.shape[0]):
        of_head = scores[h, :count]
        for t in range(count):
            of_head[t] *= factor
        if cap > 0:
            for t in range(count):
                of_head[t] = cap * hyperbolic_tangent(of_head[t] / cap)
        softmax(of_head)
        scale_shares(values, shape.head_width, starts, of_head)
    mix(values, starts, scores, out)


@compiled
def mix(values: Array, starts: Array, shares: Array, out: Array) -> None:
    """out_h = sum over t of shares[h, t] value_t."""
    heads, count, room = shares.shape[0], starts.shape[0], 4 * shares.shape[1]
    width = out.shape[0] // heads
    places, weights, d = starts.ctypes.data, shares.ctypes.data, 0
    while d < width:
        part = out.ctypes.data + 4 * d
        if d + 32 <= width and heads == 3:
            mix_32_of_3(values, d, places, weights, room, count, part, 4 * width)
            d += 32
        elif d + 32 <= width and heads == 4:
            mix_32_of_4(values, d, places, weights, room, count, part, 4 * width)
            d += 32
        elif d + 64 <= width and heads == 1:
            mix_64(values, d, places, weights, 0, count, part, 0)
            d += 64
        elif d + 16 <= width:
            for h in range(heads):
                mix_16(values, d, places, weights + room * h, 0, count, part + 4 * width * h, 0)
            d += 16
        else:
            for h in range(heads):
                out[h * width + d] = F(0.0)
                for t in range(count):
                    out[h * width + d] += shares[h, t] * number_at(values, starts[t] + d)
            d += 1


@compiled
def softmax(scores: Array) -> None:
    """exp(score) / sum of exp(scores), in place."""
    largest, total = largest_number(scores.ctypes.data, scores.shape[0]), F(0.0)
    for t in range(scores.shape[0]):
        scores[t] = exponential(scores[t] - largest)
        total += scores[t]
    inverse = F(1.0) / total
    for t in range(scores.shape[0]):
        scores[t] *= inverse
