"""What a step reads and writes besides the weights: the cache of keys and values, buffers of all
threads and of each, in named tuples.

The caller allocates them (`shared_buffers`, `thread_buffers`): machine code without numba's library
has no allocator.
"""

import math
from typing import NamedTuple

import numpy as np

from groundup.kernels.step_shape import StepShape
from groundup.model.packing import BLOCK, GROUP

Array = np.ndarray
# A counter from which no thread waits: a thread that failed or was interrupted will not come.
ABANDONED = 2**62
ALIGNMENT = 64
# Rows of a product are multiplied four at a time, the last three too.
MULTIPLE_OF_ROWS = 4


class SharedBuffers(NamedTuple):
    queries: Array
    """[R, H D]; keys and values [R, K D]; mixed [R, H D]; gates and ups [R, F]; added [R, C]."""
    keys: Array
    values: Array
    mixed: Array
    gates: Array
    ups: Array
    added: Array
    counter: Array
    """int64: arrivals at barriers."""


class StepCache(NamedTuple):
    """As `FLOAT_KINDS` has them, and where the tokens of each row are."""

    keys: Array
    values: Array
    slots: Array
    """[R, S] int64; a row's new token is the last of its `lengths`."""
    lengths: Array
    """[R] int64, the new one included."""
    layer_stride: int
    slot_stride: int
    head_stride: int


class NewTokens(NamedTuple):
    hidden: Array
    """[R, C]: their embeddings."""
    cosines: Array
    """[2, R, D/2]: of their positions, for both kinds of rotation; sines too."""
    sines: Array
    wanted: Array
    """[L] int64: the rows after which logits are computed."""


class ThreadBuffers(NamedTuple):
    """F: the widest input of a matrix."""

    thread: int
    threads: int
    x: Array
    """[R, C]: the thread's copy of the residual stream; normed [R, C]; x_scales [R]."""
    normed: Array
    x_scales: Array
    rounded: Array
    """[R, C]; mixed_rounded [R, H D]; inner_rounded [R, F]: inputs of matrices, int16 of weights in
    8 or 4 bits, else float32.
    """
    mixed_rounded: Array
    inner_rounded: Array
    sums: Array
    """[4, BLOCK] of weights in 4 bits and floats, whole_sums (int32) of int8 ones: a block's products with one to
    four rows.
    """
    whole_sums: Array
    totals: Array
    """[R F / GROUP] and split, int8 [R F 2]: rows of activations in halves (`split_groups`)."""
    split: Array
    scores: Array
    """[4, S], and starts, int64 [S]: of attention, of at most four heads at once."""
    starts: Array


def aligned_empty(shape: tuple[int, ...], numbers: type) -> Array:
    """At a multiple of ALIGNMENT, unlike numpy's own: a product of four rows takes 1.7 times as
    long where they are at no multiple of 32, and `store_past_caches` needs it.
    """
    size = math.prod(shape) * np.dtype(numbers).itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(numbers).reshape(shape)


def shared_buffers(shape: StepShape, rows: int) -> SharedBuffers:
    heads, kv_heads = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    inner = shape.feedforward_width
    widths = (heads, kv_heads, kv_heads, heads, inner, inner, shape.width)
    queries, keys, values, mixed, gates, ups, added = (
        np.empty((rows, width), np.float32) for width in widths
    )
    return SharedBuffers(queries, keys, values, mixed, gates, ups, added, np.zeros(8, np.int64))


def thread_buffers(
    shape: StepShape,
    rows: int,
    tokens: int,
    thread: int = 0,
    threads: int = 1,
    *,
    inputs: type = np.int16,
) -> ThreadBuffers:
    """For texts of at most `tokens` tokens; `inputs` of matrices are int16 or float32."""
    widths = (shape.width, shape.heads * shape.head_width, shape.feedforward_width)
    room = -(-rows // MULTIPLE_OF_ROWS) * MULTIPLE_OF_ROWS
    rounded, mixed_rounded, inner_rounded = (
        aligned_empty((room, width), inputs)[:rows] for width in widths
    )
    x, normed = (np.empty((rows, shape.width), np.float32) for _ in range(2))
    widest = rows * max(widths)
    return ThreadBuffers(
        thread,
        threads,
        x,
        normed,
        np.empty(rows, np.float32),
        rounded,
        mixed_rounded,
        inner_rounded,
        np.empty((4, BLOCK), np.float32),
        np.empty((4, BLOCK), np.int32),
        np.empty(widest // GROUP, np.float32),
        np.empty(widest * 2, np.int8),
        np.empty((4, tokens), np.float32),
        np.empty(tokens, np.int64),
    )
