"""The parts of the compiled step: norm, rounding of activations, product, rotation, attention, gate; their twins are in `readable_step.py`.

Arrays are float32 of one row or of R rows; a thread does its share of the rows of a matrix, or of the pairs of row and key/value head.
"""

from typing import Any

import numpy as np

from groundup.engine.compiled_step.compiled import compiled
from groundup.engine.compiled_step.products import (
    BLOCK,
    GROUP,
    add_one,
    bf16_of_float,
    float_of_bf16,
    has_avx2,
    int4_rows,
    int8_rows,
    power_of_two,
    read_counter,
    yield_core,
)
from groundup.engine.compiled_step.step_weights import StepShape

Array = np.ndarray
Number = Any
"""A float32 number: `float` would be one of 64 bits."""
F = np.float32
int8_block = int8_rows(has_avx2())
portable_int8_block = int8_rows(False)
int4_block, portable_int4_block = int4_rows(has_avx2()), int4_rows(False)
# Looks at the counter of a barrier before the core is given to another thread.
SPINS = 2_000


@compiled
def barrier(threads: int, counter: Array) -> None:
    """Wait until all threads are here."""
    if threads == 1:
        return
    place = counter.ctypes.data
    goal = (add_one(place) // threads + 1) * threads
    spins = 0
    while read_counter(place) < goal:
        spins += 1
        if spins > SPINS:
            yield_core()


@compiled
def exponential(x: Number) -> Number:
    """exp(x) = 2^n 2^f with n whole and f in -1/2 .. 1/2, by a polynomial of degree 6: relative error below 1e-6; -87 .. 87."""
    scaled = min(max(F(x) * F(1.4426950408889634), F(-126.0)), F(126.0))
    whole = np.floor(scaled + F(0.5))
    f = scaled - whole
    total = F(1.5403530e-4)
    total = total * f + F(1.3333558e-3)
    total = total * f + F(9.6181291e-3)
    total = total * f + F(5.5504109e-2)
    total = total * f + F(0.24022651)
    total = total * f + F(0.69314718)
    total = total * f + F(1.0)
    return total * power_of_two(np.int32(whole))


@compiled
def hyperbolic_tangent(x: Number) -> Number:
    """tanh(x) = 1 - 2 / (exp(2 x) + 1)."""
    return F(1.0) - F(2.0) / (exponential(F(2.0) * x) + F(1.0))


@compiled
def rms_norm(x: Array, weight: Array, eps: float, out: Array) -> None:
    """out = x / rms(x) * weight."""
    squares = F(0.0)
    for i in range(x.shape[0]):
        squares += x[i] * x[i]
    inverse = F(1.0) / np.sqrt(squares / F(x.shape[0]) + F(eps))
    for i in range(x.shape[0]):
        out[i] = x[i] * inverse * weight[i]


@compiled
def round_activations(x: Array, out: Array) -> Number:
    """Round a row to int16; return the scale. As many steps as fit: at most 32767, and no sum of 127 |out| may exceed 31 bits."""
    largest, total = F(1e-30), F(0.0)
    for i in range(x.shape[0]):
        size = abs(x[i])
        largest = max(largest, size)
        total += size
    if not total < F(
        3e38
    ):  # NaN or infinite (`isfinite` is optimised away). Integers can't say so, the scale can: the logits become NaN
        out[:] = 0
        return F(np.nan)
    room = F(2**31 - 1) / F(127) - F(x.shape[0])  # half a step for each number may be added by rounding
    inverse = min(F(32767) / largest, room / max(total * F(1.001), F(1e-30)))
    for i in range(x.shape[0]):
        out[i] = np.int16(np.rint(x[i] * inverse))
    return F(1.0) / inverse


@compiled
def first_of(parts: int, thread: int, threads: int) -> int:
    """The first part of a thread's share; the share ends where the next thread's begins."""
    return parts * thread // threads


@compiled
def product_int4(
    matrix: Array, scales: Array, x: Array, x_scales: Array, thread: int, threads: int, out: Array, portable: bool
) -> None:
    """The same for a matrix in 4 bits."""
    numbers, rows, columns, bias_start, pairs = matrix[0], matrix[1], matrix[2], matrix[4], matrix[5]
    groups, blocks, sums = columns // GROUP, rows // BLOCK, np.empty(BLOCK, np.float32)
    group_sums = np.zeros((x.shape[0], groups, 2, 8), np.float32)
    for r in range(x.shape[0]):
        for group in range(groups):
            total = np.int32(0)
            for c in range(group * GROUP, group * GROUP + GROUP):
                total += x[r, c]
            group_sums[r, group, 0, 0], group_sums[r, group, 1, 0] = F(-8 * total), F(total)
    for block in range(first_of(blocks, thread, threads), first_of(blocks, thread + 1, threads)):
        start = block * BLOCK
        weights, scaling = np.uint64(numbers + start * columns // 2), np.uint64(pairs + start * groups * 4)
        for r in range(x.shape[0]):
            row, totals = x[r].ctypes.data, group_sums[r].ctypes.data
            if portable:
                portable_int4_block(weights, scaling, row, totals, groups, sums.ctypes.data)
            else:
                int4_block(weights, scaling, row, totals, groups, sums.ctypes.data)
            for k in range(BLOCK):
                out[r, start + k] = sums[k] * x_scales[r]
            if bias_start >= 0:
                for k in range(BLOCK):
                    out[r, start + k] += scales[bias_start + k + start]


@compiled
def product(
    matrix: Array, scales: Array, x: Array, x_scales: Array, thread: int, threads: int, out: Array, portable: bool
) -> None:
    """out[r, o] = sum over c of W[o, c] x[r, c], + bias: the thread's share of the rows o. A block is read from memory once for all rows r."""
    if matrix[5]:
        product_int4(matrix, scales, x, x_scales, thread, threads, out, portable)
        return
    numbers, rows, columns, scale_start, bias_start = matrix[0], matrix[1], matrix[2], matrix[3], matrix[4]
    blocks, sums = rows // BLOCK, np.empty(BLOCK, np.int32)
    for block in range(first_of(blocks, thread, threads), first_of(blocks, thread + 1, threads)):
        start, weights = block * BLOCK, np.uint64(numbers + block * BLOCK * columns)
        for r in range(x.shape[0]):
            if portable:
                portable_int8_block(weights, columns, x[r].ctypes.data, columns, sums.ctypes.data)
            else:
                int8_block(weights, columns, x[r].ctypes.data, columns, sums.ctypes.data)
            for k in range(BLOCK):
                out[r, start + k] = F(sums[k]) * (scales[scale_start + start + k] * x_scales[r])
            if bias_start >= 0:
                for k in range(BLOCK):
                    out[r, start + k] += scales[bias_start + start + k]


@compiled
def rotate(head: Array, cosine: Array, sine: Array) -> None:
    """Rotate each pair (i, i + D/2), in place."""
    half = head.shape[0] // 2
    for i in range(half):
        first, second = head[i], head[i + half]
        head[i] = first * cosine[i] - second * sine[i]
        head[i + half] = second * cosine[i] + first * sine[i]


@compiled
def keep(numbers: Array, cache: Array, start: int) -> None:
    """Store a key or a value in the cache, in bf16."""
    for i in range(numbers.shape[0]):
        cache[start + i] = bf16_of_float(numbers[i])


@compiled
def attend(
    queries: Array, keys: Array, values: Array, starts: Array, shape: StepShape, scores: Array, out: Array
) -> None:
    """Let the queries [H/K, D] of one key/value head attend to the stored tokens, whose keys and values begin at `starts` [S]."""
    heads, width, row = queries.shape[0], queries.shape[1], np.empty(queries.shape[1], np.float32)
    factor, cap = F(shape.score_factor), F(shape.score_softcap)
    for t in range(starts.shape[0]):
        for d in range(width):
            row[d] = float_of_bf16(keys[starts[t] + d])
        for h in range(heads):
            dot = F(0.0)
            for d in range(width):
                dot += queries[h, d] * row[d]
            scores[h, t] = dot * factor
            if cap > 0:
                scores[h, t] = cap * hyperbolic_tangent(dot * factor / cap)
    for h in range(heads):
        softmax(scores[h, : starts.shape[0]])
        for d in range(width):
            out[h, d] = F(0.0)
    for t in range(starts.shape[0]):
        for d in range(width):
            row[d] = float_of_bf16(values[starts[t] + d])
        for h in range(heads):
            share = scores[h, t]
            for d in range(width):
                out[h, d] += share * row[d]


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


@compiled
def gate(gates: Array, ups: Array, gelu: int) -> None:
    """gates = activation(gates) * ups, in place: SiLU, or GELU in its tanh form."""
    for i in range(gates.shape[0]):
        x = gates[i]
        if gelu:
            inner = F(0.7978845608) * (x + F(0.044715) * x * x * x)
            gates[i] = F(0.5) * x * (F(1.0) + hyperbolic_tangent(inner)) * ups[i]
        else:
            gates[i] = x / (F(1.0) + exponential(-x)) * ups[i]


@compiled
def soften(logits: Array, cap: float) -> None:
    """logits = cap tanh(logits / cap), in place."""
    for i in range(logits.shape[0]):
        logits[i] = F(cap) * hyperbolic_tangent(logits[i] / F(cap))


@compiled
def norm_heads(numbers: Array, weights: Array, head: int, shape: StepShape) -> None:
    """Normalise queries or keys of one row in place, head `head` by itself."""
    part = slice(head * shape.head_width, (head + 1) * shape.head_width)
    rms_norm(numbers[part], weights[part], shape.norm_eps, numbers[part])
