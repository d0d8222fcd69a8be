"""The whole step, compiled: each thread runs it from beginning to end on its share, and they meet
at barriers. In numpy: `readable_step.py`.

Each thread has its own copy of the residual stream x; what a thread computes for the others goes
through `SharedBuffers`.
"""

import numpy as np

from groundup.kernels.products import compiled
from groundup.kernels.step_attention import attend, keep, together
from groundup.kernels.step_memory import NewTokens, SharedBuffers, StepCache, ThreadBuffers
from groundup.kernels.step_parts import (
    activate,
    as_input,
    barrier,
    multiply,
    normalise,
    rms_norm,
    rotate,
    share,
    softcap,
)
from groundup.kernels.step_shape import StepShape, StepWeights

Array = np.ndarray


@compiled
def step(
    shape: StepShape,
    weights: StepWeights,
    cache: StepCache,
    tokens: NewTokens,
    logits: Array,
    shared: SharedBuffers,
    own: ThreadBuffers,
) -> None:
    """Store keys and values of one new token for each of R rows; compute the logits [L, V] after
    those that are `wanted`. Rows may be successive tokens of one text: each attends to the keys up
    to its own.
    """
    rows = tokens.hidden.shape[0]
    for r in range(rows):
        for i in range(shape.width):
            own.x[r, i] = tokens.hidden[r, i]
    for layer in range(shape.layers):
        attention_part(layer, shape, weights, cache, tokens, shared, own)
        feedforward_part(layer, shape, weights, shared, own)
    head(shape, weights, tokens.wanted, logits, own)
    barrier(own.threads, shared.counter)


@compiled
def attention_part(
    layer: int,
    shape: StepShape,
    weights: StepWeights,
    cache: StepCache,
    tokens: NewTokens,
    shared: SharedBuffers,
    own: ThreadBuffers,
) -> None:
    rows, first = tokens.hidden.shape[0], 7 * layer
    norms, biases = weights.norms[layer], weights.norm_biases[layer]
    enter_rows(norms[0], biases[0], shape, own)
    multiply(first, weights, own.rounded, shared.queries, own)
    multiply(first + 1, weights, own.rounded, shared.keys, own)
    multiply(first + 2, weights, own.rounded, shared.values, own)
    barrier(own.threads, shared.counter)
    if shape.query_key_norm == 2:
        for r in range(own.thread, rows, own.threads):
            queries, keys = shared.queries[r], shared.keys[r]
            rms_norm(queries, weights.query_norms[layer], shape.norm_eps, queries)
            rms_norm(keys, weights.key_norms[layer], shape.norm_eps, keys)
        barrier(own.threads, shared.counter)
    for unit in range(own.thread, rows * shape.kv_heads, own.threads):
        store_key_value(layer, unit, shape, weights, cache, tokens, shared)
    barrier(own.threads, shared.counter)  # rows of one text attend to one another's keys
    count = together(shape, rows, own.threads)
    for unit in range(own.thread, rows * shape.heads // count, own.threads):
        attention(layer, unit, count, shape, weights, cache, tokens, shared, own)
    barrier(own.threads, shared.counter)
    for r in range(rows):
        own.x_scales[r] = as_input(shared.mixed[r], own.mixed_rounded[r])
    multiply(first + 3, weights, own.mixed_rounded, shared.added, own)
    barrier(own.threads, shared.counter)
    add_rows(shared.added, norms[1], biases[1], shape, own)


@compiled
def feedforward_part(
    layer: int,
    shape: StepShape,
    weights: StepWeights,
    shared: SharedBuffers,
    own: ThreadBuffers,
) -> None:
    rows, first = own.x.shape[0], 7 * layer + 4
    norms, biases = weights.norms[layer], weights.norm_biases[layer]
    enter_rows(norms[2], biases[2], shape, own)
    multiply(first, weights, own.rounded, shared.gates, own)
    if shape.activation < 2:
        multiply(first + 1, weights, own.rounded, shared.ups, own)
    begin, end = share(shape.feedforward_width, own.thread, own.threads)
    for r in range(rows):
        activate(shared.gates[r, begin:end], shared.ups[r, begin:end], shape.activation)
    barrier(own.threads, shared.counter)
    for r in range(rows):
        own.x_scales[r] = as_input(shared.gates[r], own.inner_rounded[r])
    multiply(first + 2, weights, own.inner_rounded, shared.added, own)
    barrier(own.threads, shared.counter)
    add_rows(shared.added, norms[3], biases[3], shape, own)


@compiled
def head(
    shape: StepShape, weights: StepWeights, wanted: Array, logits: Array, own: ThreadBuffers
) -> None:
    """The thread's share of the logits [L, V] after the rows `wanted` [L]."""
    count = wanted.shape[0]
    for k in range(count):
        weight, bias = weights.final_norm[0], weights.final_norm[1]
        normalise(own.x[wanted[k]], weight, bias, shape, own.normed[k])
        own.x_scales[k] = as_input(own.normed[k], own.rounded[k])
    multiply(7 * shape.layers, weights, own.rounded[:count], logits, own)
    if shape.logit_softcap > 0:
        begin, end = share(shape.vocab_size, own.thread, own.threads)
        for k in range(count):
            softcap(logits[k, begin:end], shape.logit_softcap)


@compiled
def enter_rows(weight: Array, bias: Array, shape: StepShape, own: ThreadBuffers) -> None:
    """The rows of the stream as inputs of a matrix, normalised where the model does."""
    for r in range(own.x.shape[0]):
        if shape.norms_before:
            normalise(own.x[r], weight, bias, shape, own.normed[r])
            own.x_scales[r] = as_input(own.normed[r], own.rounded[r])
        else:
            own.x_scales[r] = as_input(own.x[r], own.rounded[r])


@compiled
def add_rows(
    added: Array, weight: Array, bias: Array, shape: StepShape, own: ThreadBuffers
) -> None:
    """Add a part's output to the stream, normalised where the model does."""
    x, normed = own.x, own.normed
    for r in range(x.shape[0]):
        if shape.norms_after:
            normalise(added[r], weight, bias, shape, normed[r])
            for i in range(x.shape[1]):
                x[r, i] += normed[r, i]
        else:
            for i in range(x.shape[1]):
                x[r, i] += added[r, i]


@compiled
def store_key_value(
    layer: int,
    unit: int,
    shape: StepShape,
    weights: StepWeights,
    cache: StepCache,
    tokens: NewTokens,
    shared: SharedBuffers,
) -> None:
    """Of a unit, one key/value head of one row."""
    r, head = unit // shape.kv_heads, unit % shape.kv_heads
    width, kind = shape.head_width, weights.rotations[layer]
    begin, end = head * width, (head + 1) * width
    key = shared.keys[r, begin:end]
    if shape.query_key_norm == 1:
        rms_norm(key, weights.key_norms[layer, begin:end], shape.norm_eps, key)
    if kind >= 0:
        rotate(key, tokens.cosines[kind, r], tokens.sines[kind, r])
    place = layer * cache.layer_stride + head * cache.head_stride
    place += cache.slots[r, cache.lengths[r] - 1] * cache.slot_stride
    keep(key, cache.keys, place)
    keep(shared.values[r, begin:end], cache.values, place)


@compiled
def attention(
    layer: int,
    unit: int,
    count: int,
    shape: StepShape,
    weights: StepWeights,
    cache: StepCache,
    tokens: NewTokens,
    shared: SharedBuffers,
    own: ThreadBuffers,
) -> None:
    """Of a unit, `count` query heads of one row that share keys."""
    r, head = unit * count // shape.heads, unit * count % shape.heads
    width, kind = shape.head_width, weights.rotations[layer]
    begin, end = head * width, (head + count) * width
    queries = shared.queries[r, begin:end]
    for h in range(0, end - begin, width):
        query = queries[h : h + width]
        if shape.query_key_norm == 1:
            norm = weights.query_norms[layer, begin + h : begin + h + width]
            rms_norm(query, norm, shape.norm_eps, query)
        if kind >= 0:
            rotate(query, tokens.cosines[kind, r], tokens.sines[kind, r])
    stop, first = cache.lengths[r], 0
    if weights.windows[layer] > 0:
        first = max(stop - weights.windows[layer], 0)
    base = layer * cache.layer_stride + head // (shape.heads // shape.kv_heads) * cache.head_stride
    for t in range(first, stop):
        own.starts[t - first] = base + cache.slots[r, t] * cache.slot_stride
    attend(
        queries,
        own.mixed_rounded[r, begin:end],  # free until the heads are mixed
        cache.keys,
        cache.values,
        own.starts[: stop - first],
        shape,
        own.scores[:count],
        shared.mixed[r, begin:end],
    )
