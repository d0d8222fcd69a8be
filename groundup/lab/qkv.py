"""One head on one sentence, step by step with its actual numbers.

    head_steps(model, tokenizer, "The cat sat", block=1, head=1)
            ->  {"pieces", "queries", "keys", "values", "steps", "mixed", ...}

Queries, keys and values are rows of D numbers, one for each token, as the head compares and mixes
them: normalised and rotated by position where the model does that. `steps` are the T x T tables
between them, in order, each with its name and operation; steps that the model does not have (a soft
cap, a bias) are left out. The functions are those of the model's naive attention
(`model/attention_steps.py`); `mixed` is the head's part of the input of the output projection.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.lab.attention import MAX_PICTURE_TOKENS, round_matrix
from groundup.lab.head_patterns import search_heads
from groundup.lab.request import block_index, head_index, ids_of, require_tokenizer
from groundup.lab.tokens import beginning, pieces_of
from groundup.lab.values import HeadSearch, HeadSteps
from groundup.model.attention import Attention, AttentionMetadata
from groundup.model.attention_steps import (
    mask,
    repeat_heads,
    scale,
    scores,
    softcap,
    softmax,
    weighted_sum,
    window_mask,
)
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

STEP_TOKENS = 8


@dataclass(frozen=True)
class Steps:
    """One head's numbers. `tables` are (name, operation, T x T)."""

    queries: Float[Tensor, "T D"]
    keys: Float[Tensor, "T D"]
    values: Float[Tensor, "T D"]
    tables: list[tuple[str, str, Float[Tensor, "T T"]]]
    mixed: Float[Tensor, "T D"]


def head_steps(
    model: Model, tokenizer: Tokenizer | None, text: str, *, block: int, head: int
) -> HeadSteps:
    """The steps of head `head` of block `block` (both from 1) on a text, as plain values; masked
    scores are None.

    Raises ModelError (no tokenizer, unknown block or head, a text beyond the context), DataError
    (no text, or more than `MAX_PICTURE_TOKENS` tokens).
    """
    layer, number = block_index(model, block), head_index(model, head)
    ids = ids_of(model, tokenizer, text, most=MAX_PICTURE_TOKENS)
    attention, steps = steps_of(model, ids, layer, number)
    return {
        "text": text,
        "pieces": pieces_of(require_tokenizer(tokenizer), ids),
        "block": block,
        "head": head,
        "head_width": attention.head_width,
        "kv_head": number // (model.config.num_heads // model.config.num_kv_heads) + 1,
        "queries": round_matrix(steps.queries),
        "keys": round_matrix(steps.keys),
        "values": round_matrix(steps.values),
        "steps": [
            {"name": name, "done": done, "table": _finite(table)}
            for name, done, table in steps.tables
        ],
        "mixed": round_matrix(steps.mixed),
        "caption": _caption(model, attention, len(ids), block, head),
    }


def _finite(table: Float[Tensor, "T T"]) -> list[list[float | None]]:
    """A table with None for masked scores: JSON can't represent their minus infinity."""
    rows: list[list[float | None]] = []
    for row in round_matrix(table):
        rows.append([None] * len(row))
        for place, score in enumerate(row):
            if not math.isinf(score):
                rows[-1][place] = score
    return rows


def clearest_head_steps(
    model: Model, tokenizer: Tokenizer, text: str, views: Mapping[str, Any]
) -> HeadSteps:
    """The steps of the head with the clearest pattern except attention to the first token, on the
    beginning of a text.

    The search is that of `views["heads"]` where it is there. Raises as `search_heads` and
    `head_steps`.
    """
    found: HeadSearch = views.get("heads") or search_heads(model, tokenizer)
    best = max(
        (kind["best"][0] for kind in found["kinds"] if kind["kind"] != "first"),
        key=lambda head: head["score"],
    )
    few = beginning(tokenizer, text, STEP_TOKENS)
    return head_steps(model, tokenizer, few, block=best["block"], head=best["head"])


@torch.no_grad()
def steps_of(model: Model, ids: list[int], layer: int, head: int) -> tuple[Attention, Steps]:
    """The same as tensors (float32, on the CPU), layers and heads from 0, with their attention
    module.
    """
    transformer = model.transformer
    tokens = torch.tensor([ids], device=transformer.embedding.weight.device)
    hidden = transformer.run_blocks(transformer.embed(tokens), 0, layer)
    block = transformer.block(layer)
    place = transformer.metadata(tokens, None, None).by_block[layer]
    read, attention = block.attention_input(hidden), block.attention
    every_query, keys = attention.queries_and_keys(read, place.rotation)  # [1, H/K, T, D]
    values = attention.split_heads(attention.value(read)).transpose(1, 2)  # [1, K, T, D]
    heads = every_query.shape[1]
    queries, keys, values = (
        part[0, head].float().cpu()
        for part in (every_query, repeat_heads(keys, heads), repeat_heads(values, heads))
    )
    tables = _tables(attention, place, head, queries, keys)
    return attention, Steps(queries, keys, values, tables, weighted_sum(tables[-1][2], values))


def _tables(
    attention: Attention,
    place: AttentionMetadata,
    head: int,
    queries: Float[Tensor, "T D"],
    keys: Float[Tensor, "T D"],
) -> list[tuple[str, str, Float[Tensor, "T T"]]]:
    """Compute the same steps in the same order as `naive_weights`."""
    scoring, size = attention.scoring, queries.shape[0]
    raw = scores(queries, keys)
    tables = [("scores", "each query times each key: q · k", raw)]
    raw = scale(raw, scoring.width)
    tables.append(("scaled", f"divided by √{scoring.width}", raw))
    if scoring.softcap:
        raw = softcap(raw, scoring.softcap)
        tables.append(("capped", f"soft-capped at ±{scoring.softcap:g}", raw))
    if place.bias is not None:
        raw = raw + place.bias[0, head].float().cpu()
        tables.append(("biased", "minus slope × distance (ALiBi)", raw))
    if place.allowed is None:
        allowed = window_mask(size, size, scoring.window_tokens)
    else:
        allowed = place.allowed[0, 0].cpu()
    raw = mask(raw, allowed)
    masked = "no attention to later tokens"
    if 0 < scoring.window_tokens < size:
        masked += f" or those {scoring.window_tokens} or more back"
    tables.append(("masked", masked, raw))
    tables.append(("weights", "softmax: each row sums to 1", softmax(raw)))
    return tables


def _caption(model: Model, attention: Attention, tokens: int, block: int, head: int) -> str:
    config, done = model.config, []
    width = attention.head_width
    caption = (
        f"Head {head} of block {block}, D = {width}, in one forward pass over {tokens} tokens."
    )
    if attention.query_key_norm != "none":
        done.append("RMS-normalised")
    if config.rotates(block - 1):
        done.append("rotated by position")
    if done:
        caption += f" Queries and keys are shown as they are compared: {' and '.join(done)}."
    shared = config.num_heads // config.num_kv_heads
    if shared > 1:
        caption += f" Its keys and values are shared by {shared} heads."
    return caption
