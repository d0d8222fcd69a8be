"""The whole step, compiled: each thread runs it from beginning to end on its share, and they meet
at barriers. In numpy: `readable_step.py`.

Each thread has its own copy of the residual stream x; what a thread computes for the others goes
through `SharedBuffers`.
"""

import numpy as np

from groundup.kernels.compiled import compiled
from groundup.kernels.products import BLOCK
from groundup.kernels.step_memory import SharedBuffers, StepCache, ThreadBuffers
from groundup.kernels.step_parts import (
    attend,
    barrier,
    first_of,
    gate,
    keep,
    product,
    rms_norm,
    rotate,
    round_activations,
    soften,
)
from groundup.kernels.step_weights import StepShape, StepWeights

Array = np.ndarray


@compiled
def step(
    thread: int,
    threads: int,
    shape: StepShape,
    weights: StepWeights,
    cache: StepCache,
    hidden: Array,
    cosines: Array,
    sines: Array,
    wanted: Array,
    logits: Array,
    shared: SharedBuffers,
    room: ThreadBuffers,
) -> None:
    """Store keys and values of one new token for each of R rows, with embeddings `hidden` [R, C];
    compute the logits [L, V] after those `wanted` [L].

    Rows may be successive tokens of one text: each attends to the keys up to its own.
    """
    rows, x, normed, x_scales = hidden.shape[0], room.x, room.normed, room.x_scales
    rounded, mixed_rounded, inner_rounded = room.rounded, room.mixed_rounded, room.inner_rounded
    for r in range(rows):
        for i in range(shape.width):
            x[r, i] = hidden[r, i]
    for layer in range(shape.layers):
        matrices, norms = weights.matrices[7 * layer : 7 * layer + 7], weights.norms[layer]
        round_rows(x, norms[0], shape, shape.norms_before, normed, rounded, x_scales)
        product(
            matrices[0], weights.scales, rounded, x_scales, thread, threads, shared.queries, room
        )
        product(matrices[1], weights.scales, rounded, x_scales, thread, threads, shared.keys, room)
        product(
            matrices[2], weights.scales, rounded, x_scales, thread, threads, shared.values, room
        )
        barrier(threads, shared.counter)
        if shape.query_key_norm == 2:
            for r in range(thread, rows, threads):
                rms_norm(
                    shared.queries[r], weights.query_norms[layer], shape.norm_eps, shared.queries[r]
                )
                rms_norm(shared.keys[r], weights.key_norms[layer], shape.norm_eps, shared.keys[r])
            barrier(threads, shared.counter)
        for unit in range(thread, rows * shape.kv_heads, threads):
            store_key_value(
                layer,
                unit // shape.kv_heads,
                unit % shape.kv_heads,
                shape,
                weights,
                cache,
                cosines,
                sines,
                shared,
            )
        barrier(threads, shared.counter)  # rows of one text attend to one another's keys
        for unit in range(thread, rows * shape.heads, threads):
            attention(
                layer, unit // shape.heads, unit % shape.heads, shape, weights, cache, cosines, sines, shared, room
            )  # fmt: skip
        barrier(threads, shared.counter)
        for r in range(rows):
            x_scales[r] = round_activations(shared.mixed[r], mixed_rounded[r])
        product(
            matrices[3],
            weights.scales,
            mixed_rounded,
            x_scales,
            thread,
            threads,
            shared.added,
            room,
        )
        barrier(threads, shared.counter)
        add_rows(x, shared.added, norms[1], shape, normed)
        round_rows(x, norms[2], shape, shape.norms_before, normed, rounded, x_scales)
        product(matrices[4], weights.scales, rounded, x_scales, thread, threads, shared.gates, room)
        product(matrices[5], weights.scales, rounded, x_scales, thread, threads, shared.ups, room)
        blocks = shape.feedforward_width // BLOCK
        begin, end = (
            BLOCK * first_of(blocks, thread, threads),
            BLOCK * first_of(blocks, thread + 1, threads),
        )
        for r in range(rows):
            gate(shared.gates[r, begin:end], shared.ups[r, begin:end], shape.gelu)
        barrier(threads, shared.counter)
        for r in range(rows):
            x_scales[r] = round_activations(shared.gates[r], inner_rounded[r])
        product(
            matrices[6],
            weights.scales,
            inner_rounded,
            x_scales,
            thread,
            threads,
            shared.added,
            room,
        )
        barrier(threads, shared.counter)
        add_rows(x, shared.added, norms[3], shape, normed)
    count = wanted.shape[0]
    for k in range(count):
        rms_norm(x[wanted[k]], weights.final_norm, shape.norm_eps, normed[k])
        x_scales[k] = round_activations(normed[k], rounded[k])
    head = weights.matrices[7 * shape.layers]
    product(head, weights.scales, rounded[:count], x_scales, thread, threads, logits, room)
    if shape.logit_softcap > 0:
        blocks = shape.vocab_size // BLOCK
        begin, end = (
            BLOCK * first_of(blocks, thread, threads),
            BLOCK * first_of(blocks, thread + 1, threads),
        )
        for k in range(count):
            soften(logits[k, begin:end], shape.logit_softcap)
    barrier(threads, shared.counter)


@compiled
def round_rows(
    x: Array,
    weight: Array,
    shape: StepShape,
    norms: int,
    normed: Array,
    rounded: Array,
    x_scales: Array,
) -> None:
    """Normalise the rows (if `norms`) and round them for the products."""
    for r in range(x.shape[0]):
        if norms:
            rms_norm(x[r], weight, shape.norm_eps, normed[r])
            x_scales[r] = round_activations(normed[r], rounded[r])
        else:
            x_scales[r] = round_activations(x[r], rounded[r])


@compiled
def add_rows(x: Array, added: Array, weight: Array, shape: StepShape, normed: Array) -> None:
    """Add the output of a part to the stream, normalised where the model does so."""
    for r in range(x.shape[0]):
        if shape.norms_after:
            rms_norm(added[r], weight, shape.norm_eps, normed[r])
            for i in range(x.shape[1]):
                x[r, i] += normed[r, i]
        else:
            for i in range(x.shape[1]):
                x[r, i] += added[r, i]


@compiled
def store_key_value(
    layer: int,
    r: int,
    head: int,
    shape: StepShape,
    weights: StepWeights,
    cache: StepCache,
    cosines: Array,
    sines: Array,
    shared: SharedBuffers,
) -> None:
    """Normalise and rotate the key of row `r` and key/value head `head`; store it and the value."""
    width, kind = shape.head_width, weights.rotations[layer]
    begin, end = head * width, (head + 1) * width
    key = shared.keys[r, begin:end]
    if shape.query_key_norm == 1:
        rms_norm(key, weights.key_norms[layer, begin:end], shape.norm_eps, key)
    if kind >= 0:
        rotate(key, cosines[kind, r], sines[kind, r])
    place = layer * cache.layer_stride + head * cache.head_stride
    place += cache.slots[r, cache.lengths[r] - 1] * cache.slot_stride
    keep(key, cache.keys, place)
    keep(shared.values[r, begin:end], cache.values, place)


@compiled
def attention(
    layer: int,
    r: int,
    head: int,
    shape: StepShape,
    weights: StepWeights,
    cache: StepCache,
    cosines: Array,
    sines: Array,
    shared: SharedBuffers,
    room: ThreadBuffers,
) -> None:
    """Normalise and rotate query head `head` of row `r`, and let it attend to the stored tokens of
    its row.
    """
    width, kind, end = shape.head_width, weights.rotations[layer], cache.lengths[r]
    query = shared.queries[r, head * width : (head + 1) * width]
    if shape.query_key_norm == 1:
        rms_norm(
            query,
            weights.query_norms[layer, head * width : (head + 1) * width],
            shape.norm_eps,
            query,
        )
    if kind >= 0:
        rotate(query, cosines[kind, r], sines[kind, r])
    window = weights.windows[layer]
    first = end - window if 0 < window < end else 0
    base = layer * cache.layer_stride + head // (shape.heads // shape.kv_heads) * cache.head_stride
    for t in range(first, end):
        room.starts[t - first] = base + cache.slots[r, t] * cache.slot_stride
    out = shared.mixed[r, head * width : (head + 1) * width]
    attend(query, cache.keys, cache.values, room.starts[: end - first], shape, room.scores, out)
