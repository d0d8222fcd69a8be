"""The step in numpy, with the compiled one's arithmetic: the test of `step.py` and the place to
read what it does.

    logits = readable_step(StepModel.of(model), embedding_row, position, stored_keys, stored_values)

One token of one row: keys and values are plain arrays of the earlier tokens, rounded as in the
cache.
"""

import numpy as np

from groundup.kernels.step_shape import ACTIVATIONS, QUERY_KEY_NORMS, CacheKind, StepShape
from groundup.kernels.step_weights import StepModel, as_float32, round_to_bf16

Array = np.ndarray


def round_activations(x: Array) -> tuple[Array, np.float32]:
    """Integers and their scale. At most 32639, and no sum of 127 |integers| may exceed 31 bits."""
    room = np.float32(2**31 - 1) / np.float32(127) - np.float32(len(x))
    total = max(np.abs(x).sum(dtype=np.float32) * np.float32(1.001), np.float32(1e-30))
    inverse = min(np.float32(32639) / max(np.abs(x).max(), np.float32(1e-30)), room / total)
    return np.rint(x * inverse).astype(np.int64), np.float32(1) / inverse


def product(model: StepModel, index: int, x: Array) -> Array:
    """W x + bias of matrix `index`: in 8 and 4 bits a sum of integers, times both scales."""
    _, rows, _, scale_start, bias_start, in_4_bits = model.weights.matrices[index]
    integers, scale = round_activations(x)
    if not model.kind.startswith("int"):
        out = as_float32(model.numbers[index]) @ x
    elif in_4_bits:
        out = unpack_int4(model, index) @ integers.astype(np.float32) * scale
    else:
        sums = model.numbers[index].astype(np.int64) @ integers
        assert np.abs(sums).max() < 2**31
        scales = model.weights.scales[scale_start : scale_start + rows]
        out = sums.astype(np.float32) * (scales * scale)
    if bias_start >= 0:
        out = out + model.weights.scales[bias_start : bias_start + rows]
    return out


def unpack_int4(model: StepModel, index: int) -> Array:
    """W = s (q - 8) + z in groups of 32, 8 rows interleaved (`Int4Linear.by_block`)."""
    pairs = (model.pairs[index].view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    scales, offsets = pairs.transpose(3, 0, 2, 1)[..., None]  # [O/8, 8, G, 1] each
    halves = model.numbers[index].transpose(0, 3, 1, 2, 4)  # [O/8, 8, G, 4, 4]
    numbers = np.stack([halves & 15, halves >> 4], axis=3).reshape(*halves.shape[:3], 32)
    weights = (numbers.astype(np.float32) - 8) * scales + offsets
    return weights.reshape(8 * len(pairs), -1)


def rms_norm(x: Array, weight: Array, eps: float) -> Array:
    return x / np.sqrt(np.mean(x * x) + np.float32(eps)) * weight


def layer_norm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    centred = x - x.mean()
    return centred / np.sqrt(np.mean(centred * centred) + np.float32(eps)) * weight + bias


def rotate(heads: Array, cosine: Array, sine: Array) -> Array:
    """Each pair (i, i + D/2)."""
    first, second = np.split(heads, 2, axis=-1)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


def round_as_cache(x: Array, model: StepModel, cache: CacheKind) -> Array:
    """Heads [K, D] as the cache has them."""
    if cache == "int8":
        largest = np.maximum(np.abs(x).max(axis=-1, keepdims=True), np.float32(1e-30))
        scales = round_to_bf16(largest / np.float32(127))
        return np.rint(x * (1 / scales)) * scales
    if model.kind == "float32":
        return x
    if model.kind == "float16":
        return x.astype(np.float16).astype(np.float32)
    return round_to_bf16(x)


def attend(queries: Array, keys: Array, values: Array, shape: StepShape) -> Array:
    """softmax(queries keys^T factor) values: queries [H/K, D], keys and values [S, D]."""
    scores = queries @ keys.T * np.float32(shape.score_factor)
    if shape.score_softcap:
        scores = shape.score_softcap * np.tanh(scores / shape.score_softcap)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True) @ values


def activate(gates: Array, ups: Array, activation: int) -> Array:
    if ACTIVATIONS[activation] == "swiglu":
        return gates / (1 + np.exp(-gates)) * ups
    gelu = 0.5 * gates * (1 + np.tanh(np.sqrt(2 / np.pi) * (gates + 0.044715 * gates**3)))
    return gelu * ups if ACTIVATIONS[activation] == "geglu" else gelu


def readable_step(
    model: StepModel,
    hidden: Array,
    position: int,
    keys: Array,
    values: Array,
    cache: CacheKind = "auto",
) -> Array:
    """The logits [V] of one new token: embedding `hidden` [C], after `position` tokens with keys
    and values [L, S, K, D], into which its own are written, rounded as `cache` says.
    """
    shape, weights, x = model.shape, model.weights, hidden.astype(np.float32)

    def norm(x: Array, weight_bias: tuple[Array, Array], applies: int) -> Array:
        if applies and shape.layer_norm:
            return layer_norm(x, weight_bias[0], weight_bias[1], shape.norm_eps)
        return rms_norm(x, weight_bias[0], shape.norm_eps) if applies else x

    for layer in range(shape.layers):
        norms = list(zip(weights.norms[layer], weights.norm_biases[layer], strict=True))
        first = 7 * layer
        normed = norm(x, norms[0], shape.norms_before)
        mixed = attention(model, layer, normed, position, keys[layer], values[layer], cache)
        x = x + norm(product(model, first + 3, mixed), norms[1], shape.norms_after)
        normed = norm(x, norms[2], shape.norms_before)
        gates, ups = product(model, first + 4, normed), product(model, first + 5, normed)
        inner = activate(gates, ups, shape.activation).astype(np.float32)
        x = x + norm(product(model, first + 6, inner), norms[3], shape.norms_after)
    logits = product(
        model, 7 * shape.layers, norm(x, (weights.final_norm[0], weights.final_norm[1]), 1)
    )
    if shape.logit_softcap:
        logits = shape.logit_softcap * np.tanh(logits / shape.logit_softcap)
    return logits


def attention(
    model: StepModel,
    layer: int,
    x: Array,
    position: int,
    keys: Array,
    values: Array,
    cache: CacheKind,
) -> Array:
    """The mixed values [H D] of one block; keys and values [S, K, D] of its cache."""
    shape, weights, kind = model.shape, model.weights, model.weights.rotations[layer]
    width, eps = shape.head_width, shape.norm_eps
    queries, key, value = (product(model, 7 * layer + index, x) for index in range(3))
    norm = QUERY_KEY_NORMS[shape.query_key_norm]
    if norm == "projection":
        queries = rms_norm(queries, weights.query_norms[layer], eps)
        key = rms_norm(key, weights.key_norms[layer], eps)
    queries, key, value = (each.reshape(-1, width) for each in (queries, key, value))
    if norm == "head":
        query_norm, key_norm = weights.query_norms[layer, :width], weights.key_norms[layer, :width]
        queries = np.stack([rms_norm(head, query_norm, eps) for head in queries])
        key = np.stack([rms_norm(head, key_norm, eps) for head in key])
    if kind >= 0:
        cosines, sines = model.angles(np.array([position]))
        queries, key = (rotate(each, cosines[kind, 0], sines[kind, 0]) for each in (queries, key))
    keys[position], values[position] = (round_as_cache(each, model, cache) for each in (key, value))
    window = weights.windows[layer] or position + 1
    seen = slice(max(0, position + 1 - window), position + 1)
    groups = queries.reshape(shape.kv_heads, -1, width)
    mixed = [
        attend(group, keys[seen, head], values[seen, head], shape)
        for head, group in enumerate(groups)
    ]
    return np.concatenate(mixed).reshape(-1).astype(np.float32)
