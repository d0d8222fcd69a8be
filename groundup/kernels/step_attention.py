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
# Inner loops, 64 or 16 numbers of a head at a time.
dots_64, dots_16, mix_64, mix_16 = dots(8), dots(2), weighted_sum(8), weighted_sum(2)
eight_dots = int8_dots(FORM)


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
def float_scores(query: Array, rounded: Array, keys: Array, starts: Array, scores: Array) -> None:
    count, width = starts.shape[0], query.shape[0]
    places, sums = starts.ctypes.data, scores.ctypes.data
    scores[:count] = F(0.0)
    d = 0
    while d < width:
        part = query.ctypes.data + 4 * d
        if d + 64 <= width:
            dots_64(keys, d, places, part, count, sums)
            d += 64
        elif d + 16 <= width:
            dots_16(keys, d, places, part, count, sums)
            d += 16
        else:
            for t in range(count):
                scores[t] += query[d] * number_at(keys, starts[t] + d)
            d += 1


@compiled
def int8_scores(query: Array, rounded: Array, keys: Array, starts: Array, scores: Array) -> None:
    count, width = starts.shape[0], query.shape[0]
    scale = round_activations(query, rounded)
    numbers, places = rounded.ctypes.data, starts.ctypes.data
    eight_dots(keys, places, numbers, width, count, scores.ctypes.data)
    for t in range(count):
        scores[t] *= scale * scale_at(keys, starts[t] + width)


def score(query: Array, rounded: Array, keys: Array, starts: Array, scores: Array) -> None:
    """scores[t] = query key_t; `rounded` is room for the query's numbers in int16."""
    raise NotImplementedError


@overload(score, strict=False)
def _score(query: Any, rounded: Any, keys: Any, starts: Any, scores: Any) -> Any:
    if keys.dtype == types.int8:
        return lambda query, rounded, keys, starts, scores: int8_scores(
            query, rounded, keys, starts, scores
        )
    return lambda query, rounded, keys, starts, scores: float_scores(
        query, rounded, keys, starts, scores
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
    query: Array,
    rounded: Array,
    keys: Array,
    values: Array,
    starts: Array,
    shape: StepShape,
    scores: Array,
    out: Array,
) -> None:
    """One head [D] over the stored tokens at `starts` [S]; `scores` is room for a multiple of 8,
    `rounded` [D] as `score` has it.
    """
    count, width = starts.shape[0], query.shape[0]
    factor, cap = F(shape.score_factor), F(shape.score_softcap)
    score(query, rounded, keys, starts, scores)
    for t in range(count):
        scores[t] *= factor
    if cap > 0:
        for t in range(count):
            scores[t] = cap * hyperbolic_tangent(scores[t] / cap)
    softmax(scores[:count])
    scale_shares(values, width, starts, scores)
    places, sums, d = starts.ctypes.data, scores.ctypes.data, 0
    while d < width:
        part = out.ctypes.data + 4 * d
        if d + 64 <= width:
            mix_64(values, d, places, sums, count, part)
            d += 64
        elif d + 16 <= width:
            mix_16(values, d, places, sums, count, part)
            d += 16
        else:
            out[d] = F(0.0)
            for t in range(count):
                out[d] += scores[t] * number_at(values, starts[t] + d)
            d += 1


@compiled
def softmax(scores: Array) -> None:
    """exp(score) / sum of exp(scores), in place."""
    largest, total = scores[0], F(0.0)
    for t in range(scores.shape[0]):
        largest = max(largest, scores[t])
    for t in range(scores.shape[0]):
        scores[t] = exponential(scores[t] - largest)
        total += scores[t]
    inverse = F(1.0) / total
    for t in range(scores.shape[0]):
        scores[t] *= inverse
