"""The parts of the compiled step but for attention (`step_attention.py`): norm, rounding of
activations, product, rotation, gate; their twins are in `readable_step.py`.

Arrays are float32 of one row or of R rows; a thread does its share of the rows of a matrix, or of
the pairs of row and key/value head. What depends on the kind of weights is chosen by the types of
arrays when the step is compiled.
"""

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from groundup.kernels.float_products import float_rows, largest
from groundup.kernels.int4_products import int4_block_to_bf16, int4_rows, split_groups
from groundup.kernels.products import (
    BLOCK,
    GROUP,
    PORTABLE,
    add_one,
    best_form,
    bf16_of_float,
    compiled,
    int8_row_to_bf16,
    int8_rows,
    power_of_two,
    read_counter,
    yield_core,
)
from groundup.kernels.step_memory import ABANDONED, ThreadBuffers
from groundup.kernels.step_shape import StepShape, StepWeights

Array = np.ndarray
Number = Any
"""A float32 number: `float` would be one of 64 bits."""
F = np.float32
FORM = best_form()
# Of one, two and four rows of activations.
int8_one, int8_two, int8_four = (int8_rows(FORM, vectors) for vectors in (1, 2, 4))
int4_one, int4_two, int4_four = (int4_rows(FORM, vectors) for vectors in (1, 2, 4))
float_one, float_two, float_four = (float_rows(vectors) for vectors in (1, 2, 4))
largest_size = largest(of_sizes=True)
# The largest activation as an integer: 256 * 127 + 127, so that both its bytes are signed ones.
MOST = 32639
# Looks at the counter of a barrier before the core is given to another thread.
SPINS = 2_000


@compiled
def barrier(threads: int, counter: Array) -> None:
    """Wait until all threads are here, or the step is abandoned."""
    if threads == 1:
        return
    place = counter.ctypes.data
    goal = min((add_one(place) // threads + 1) * threads, ABANDONED)
    spins = 0
    while read_counter(place) < goal:
        spins += 1
        if spins > SPINS:
            yield_core()


@compiled
def exponential(x: Number) -> Number:
    """2^n 2^f with n whole and f in -1/2 .. 1/2, by a polynomial of degree 6: relative error below
    1e-6; -87 .. 87.
    """
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
def layer_norm(x: Array, weight: Array, bias: Array, eps: float, out: Array) -> None:
    """out = (x - mean(x)) / std(x) * weight + bias."""
    total, squares = F(0.0), F(0.0)
    for i in range(x.shape[0]):
        total += x[i]
    mean = total / F(x.shape[0])
    for i in range(x.shape[0]):
        squares += (x[i] - mean) * (x[i] - mean)
    inverse = F(1.0) / np.sqrt(squares / F(x.shape[0]) + F(eps))
    for i in range(x.shape[0]):
        out[i] = (x[i] - mean) * inverse * weight[i] + bias[i]


@compiled
def normalise(x: Array, weight: Array, bias: Array, shape: StepShape, out: Array) -> None:
    """As the model does."""
    if shape.layer_norm:
        layer_norm(x, weight, bias, shape.norm_eps, out)
    else:
        rms_norm(x, weight, shape.norm_eps, out)


@compiled
def round_activations(x: Array, out: Array) -> Number:
    """To int16; return the scale. As many steps as fit: at most MOST, and no sum of 127 |out| may
    exceed 31 bits.
    """
    largest, total = max(largest_size(x.ctypes.data, x.shape[0]), F(1e-30)), F(0.0)
    for i in range(x.shape[0]):
        total += abs(x[i])
    if not total < F(3e38):  # NaN or infinite (`isfinite` is optimised away)
        out[:] = 0  # integers can't say so, the scale can: the logits become NaN
        return F(np.nan)
    # half a step for each number may be added by rounding
    limit = F(2**31 - 1) / F(127) - F(x.shape[0])
    inverse = min(F(MOST) / largest, limit / max(total * F(1.001), F(1e-30)))
    for i in range(x.shape[0]):
        out[i] = np.int16(np.rint(x[i] * inverse))
    return F(1.0) / inverse


@compiled
def first_of(parts: int, thread: int, threads: int) -> int:
    """A thread's share ends where the next thread's begins."""
    return parts * thread // threads


@compiled
def rows_together(rows: int, least: int) -> int:
    """Of the next product: 4 where there are at least `least`, 2 or 1. Four may be one more than
    there are; what lies behind the last row is multiplied in vain (`MULTIPLE_OF_ROWS`).
    """
    if rows >= least:
        return 4
    return min(rows, 2)


@compiled
def product_int4(matrix: Array, scales: Array, x: Array, out: Array, own: ThreadBuffers) -> None:
    numbers, rows, columns, bias_start = matrix[0], matrix[1], matrix[2], matrix[4]
    pairs, groups, blocks, count = matrix[5], columns // GROUP, rows // BLOCK, x.shape[0]
    totals, split = np.uint64(own.totals.ctypes.data), np.uint64(own.split.ctypes.data)
    totals_bytes, distance = np.uint64(groups * 4), np.uint64(groups * 2 * GROUP)
    for r in range(count):
        row, start_of_row = np.uint64(r), np.uint64(x[r].ctypes.data)
        split_of_row, totals_of_row = split + row * distance, totals + row * totals_bytes
        split_groups(start_of_row, np.uint64(groups), split_of_row, totals_of_row)
    sums, x_scales = own.sums, own.x_scales
    first, place = split, sums.ctypes.data
    if FORM == PORTABLE:
        first, distance = np.uint64(x.ctypes.data), np.uint64(x.strides[0])
    begin = first_of(blocks, own.thread, own.threads)
    end = first_of(blocks, own.thread + 1, own.threads)
    for block in range(begin, end):
        start, r = block * BLOCK, 0
        weights = np.uint64(numbers + start * columns // 2)
        scaling = np.uint64(pairs + start * groups * 4)
        while r < count:
            take, row = rows_together(count - r, 4), first + np.uint64(r) * distance
            totals_of = totals + np.uint64(r) * totals_bytes
            if take == 4:
                int4_four(weights, scaling, row, distance, totals_of, groups, place)
            elif take == 2:
                int4_two(weights, scaling, row, distance, totals_of, groups, place)
            else:
                int4_one(weights, scaling, row, distance, totals_of, groups, place)
            for each in range(take):
                for k in range(BLOCK):
                    out[r + each, start + k] = sums[each, k] * x_scales[r + each]
                if bias_start >= 0:
                    for k in range(BLOCK):
                        out[r + each, start + k] += scales[bias_start + start + k]
            r += take


@compiled
def product(matrix: Array, scales: Array, x: Array, out: Array, own: ThreadBuffers) -> None:
    """out[r, o] = sum over c of W[o, c] x[r, c], + bias: the thread's share of the rows o. x [R, C]
    is int16, with the scales `own.x_scales` [R]. A block is read from memory once for all rows r.
    """
    if matrix[5]:
        product_int4(matrix, scales, x, out, own)
        return
    numbers, rows, columns = matrix[0], matrix[1], matrix[2]
    scale_start, bias_start = matrix[3], matrix[4]
    blocks, distance, count = rows // BLOCK, np.uint64(x.strides[0]), x.shape[0]
    sums, x_scales, place = own.whole_sums, own.x_scales, own.whole_sums.ctypes.data
    begin = first_of(blocks, own.thread, own.threads)
    end = first_of(blocks, own.thread + 1, own.threads)
    for block in range(begin, end):
        start, weights, r = block * BLOCK, np.uint64(numbers + block * BLOCK * columns), 0
        while r < count:
            take, row = rows_together(count - r, 3), x[r].ctypes.data
            if take == 4:
                int8_four(weights, columns, row, distance, columns, place)
            elif take == 2:
                int8_two(weights, columns, row, distance, columns, place)
            else:
                int8_one(weights, columns, row, distance, columns, place)
            for each in range(min(take, count - r)):
                for k in range(BLOCK):
                    scale = scales[scale_start + start + k] * x_scales[r + each]
                    out[r + each, start + k] = F(sums[each, k]) * scale
                if bias_start >= 0:
                    for k in range(BLOCK):
                        out[r + each, start + k] += scales[bias_start + start + k]
            r += take


@compiled
def share(rows: int, thread: int, threads: int) -> tuple[int, int]:
    """The rows of a matrix that are a thread's: whole blocks, the last thread's also what is
    left.
    """
    blocks = rows // BLOCK
    begin, end = first_of(blocks, thread, threads), first_of(blocks, thread + 1, threads)
    if thread == threads - 1:
        return BLOCK * begin, rows
    return BLOCK * begin, BLOCK * end


@compiled
def product_float(
    matrix: Array, kind: Array, biases: Array, x: Array, out: Array, own: ThreadBuffers
) -> None:
    """As `product`, of weights in float32 or 16 bits (`kind`) and x in float32. What is left of the
    rows is computed with some of the block before it.
    """
    numbers, rows, columns, bias_start = matrix[0], matrix[1], matrix[2], matrix[4]
    distance, count, sums = np.uint64(x.strides[0]), x.shape[0], own.sums
    place, row_bytes = sums.ctypes.data, columns * kind.itemsize
    begin, end = share(rows, own.thread, own.threads)
    for block in range(begin, end, BLOCK):
        start, r = min(block, rows - BLOCK), 0
        weights = np.uint64(numbers + start * row_bytes)
        while r < count:
            take, row = rows_together(count - r, 3), x[r].ctypes.data
            if take == 4:
                float_four(kind, weights, columns, row, distance, place)
            elif take == 2:
                float_two(kind, weights, columns, row, distance, place)
            else:
                float_one(kind, weights, columns, row, distance, place)
            for each in range(min(take, count - r)):
                for k in range(BLOCK):
                    out[r + each, start + k] = sums[each, k]
                if bias_start >= 0:
                    for k in range(BLOCK):
                        out[r + each, start + k] += biases[bias_start + start + k]
            r += take


@compiled
def copy_row(x: Array, out: Array) -> Number:
    for i in range(x.shape[0]):
        out[i] = x[i]
    return F(1.0)


def as_input(x: Array, out: Array) -> Number:
    """A row as the input of a matrix, and its scale: int16 for weights in 8 or 4 bits."""
    raise NotImplementedError


@overload(as_input, strict=False)
def _as_input(x: Any, out: Any) -> Any:
    if out.dtype == types.int16:
        return lambda x, out: round_activations(x, out)
    return lambda x, out: copy_row(x, out)


def multiply(index: int, weights: StepWeights, x: Array, out: Array, own: ThreadBuffers) -> None:
    """`product` with matrix `index`, or `product_float`."""
    raise NotImplementedError


@overload(multiply, strict=False)
def _multiply(index: Any, weights: Any, x: Any, out: Any, own: Any) -> Any:
    if x.dtype == types.int16:
        return lambda index, weights, x, out, own: product(
            weights.matrices[index], weights.scales, x, out, own
        )
    return lambda index, weights, x, out, own: product_float(
        weights.matrices[index], weights.kind, weights.scales, x, out, own
    )


@compiled
def rotate(head: Array, cosine: Array, sine: Array) -> None:
    """Each pair (i, i + D/2), in place."""
    half = head.shape[0] // 2
    for i in range(half):
        first, second = head[i], head[i + half]
        head[i] = first * cosine[i] - second * sine[i]
        head[i + half] = second * cosine[i] + first * sine[i]


@compiled
def activate(gates: Array, ups: Array, activation: int) -> None:
    """gates = activation(gates) * ups, in place: SiLU, or GELU in its tanh form; or GELU alone
    (`ACTIVATIONS`).
    """
    for i in range(gates.shape[0]):
        x = gates[i]
        if activation > 0:
            inner = F(0.7978845608) * (x + F(0.044715) * x * x * x)
            gates[i] = F(0.5) * x * (F(1.0) + hyperbolic_tangent(inner))
        else:
            gates[i] = x / (F(1.0) + exponential(-x))
    if activation < 2:
        for i in range(gates.shape[0]):
            gates[i] *= ups[i]


@compiled
def softcap(logits: Array, cap: float) -> None:
    """logits = cap tanh(logits / cap), in place."""
    for i in range(logits.shape[0]):
        logits[i] = F(cap) * hyperbolic_tangent(logits[i] / F(cap))


@compiled
def unpack_int8(numbers: Array, scales: Array, out: Array) -> None:
    """W = s q, rounded to bf16."""
    rows, columns = out.shape
    for o in range(rows):
        if columns % GROUP == 0:
            row, unpacked = np.uint64(numbers[o].ctypes.data), np.uint64(out[o].ctypes.data)
            int8_row_to_bf16(row, scales[o], np.uint64(columns), unpacked)
        else:
            for c in range(columns):
                out[o, c] = bf16_of_float(F(numbers[o, c]) * scales[o])


@compiled
def unpack_int4(numbers: Array, pairs: Array, out: Array) -> None:
    """W = s (q - 8) + z, rounded to bf16; `numbers` and `pairs` as `Int4Linear` has them."""
    row_bytes, groups = np.uint64(out.strides[0]), np.uint64(pairs.shape[1])
    for block in range(pairs.shape[0]):
        weights = np.uint64(numbers[block].ctypes.data)
        scaling = np.uint64(pairs[block].ctypes.data)
        unpacked = np.uint64(out[block * BLOCK].ctypes.data)
        int4_block_to_bf16(weights, scaling, groups, unpacked, row_bytes)
