"""Heads with a known attention pattern, searched for in a whole model on random repeated tokens;
and one head on one sentence, step by step with its actual numbers.

The text of the search is random tokens, repeated once: [A B C D] [A B C D]. In its second half an
*induction head* attends to the token after the earlier occurrence of the current token, which is
the next one: its score is the prefix matching score of Olsson et al. 2022 (arXiv:2209.11895, "head
activation evaluators"). It depends on a head of an earlier block that attends to the previous
token. The other patterns are those of `attention.patterns`, on the same text. Tokens are random
because in a real text a head could find the token by its meaning; the sequences have different
lengths, so that a head which always attends by a fixed distance does not count. Chance is uniform
attention.

Of one head, queries, keys and values are rows of D numbers, one for each token, as it compares and
mixes them. `steps` are the T x T tables between them, in order, by the functions of the model's
naive attention (`model/attention_steps.py`); `mixed` is the head's part of the input of the output
projection
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groundup.device import Compute, generator
from groundup.engine.score import score
from groundup.errors import ModelError
from groundup.lab.attention import (
    DECIMALS,
    MAX_PICTURE_TOKENS,
    attention_maps,
    pattern_scores,
    patterns,
    round_matrix,
    uniform_maps,
)
from groundup.lab.stream import block_index, first_ids, head_index, ids_of, require_tokenizer
from groundup.lab.tokens import beginning, pieces_of
from groundup.lab.values import BestHead, HalfLosses, HeadScores, HeadSearch, HeadSteps
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
from groundup.model.heads import LanguageModel
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

SEQUENCES = 8
# Tokens of a half: 25 in the paper; more lower the score by chance.
MAX_HALF = 50
MIN_HALF = 4
# A head is named after a pattern with more than half of its attention, which at most one can have.
NAMED = 0.5
BEST = 5


def search_heads(
    model: Model,
    tokenizer: Tokenizer | None = None,
    *,
    ids: Sequence[int] = (),
    seed: int = 0,
    sequences: int = SEQUENCES,
) -> HeadSearch:
    """Every head's scores on repeated random tokens, the best of each kind, chance, and (of a
    language model) the loss in both halves.

    `ids` are those to sample from, where a model was trained on a part of its vocabulary only; none
    given: all except control tokens (without a tokenizer those too). Raises ModelError where the
    context is too short for a repeated sequence.
    """
    texts = repeated_sequences(model, tokenizer, ids=ids, seed=seed, count=sequences)
    scores = mean_scores(model, texts)
    chances = _mean_scores(texts, lambda ids: uniform_maps(len(ids)))
    layers, heads = next(iter(scores.values())).shape
    loss = None
    if isinstance(model, LanguageModel):
        loss = half_losses(model, texts, len(first_ids(tokenizer)))
    caption = (
        f"Mean share of attention on {len(texts)} sequences of {_span(texts)} random tokens, "
        "each repeated once. Induction: from a token of the second half to the token after "
        "its first occurrence (Olsson et al. 2022). Chance: uniform attention to the token "
        "and all before it."
    )
    return {
        "heads": [_head(scores, layer, head) for layer in range(layers) for head in range(heads)],
        "kinds": [
            {
                "kind": kind,
                "chance": round(float(chances[kind]), DECIMALS),
                "best": _best(scores[kind]),
            }
            for kind in scores
        ],
        "loss": loss,
        "sequences": len(texts),
        "caption": caption,
    }


def repeated_sequences(
    model: Model,
    tokenizer: Tokenizer | None = None,
    *,
    ids: Sequence[int] = (),
    seed: int = 0,
    count: int = SEQUENCES,
) -> list[list[int]]:
    """Return sequences of different lengths: random tokens, each once, then all of them again.

    Raises ModelError.
    """
    first, config = first_ids(tokenizer), model.config
    known, control = config.vocab_size, set[int]()
    if tokenizer is not None:
        known, control = tokenizer.vocab_size, set(tokenizer.special.tokens.values())
    pool = torch.tensor(sorted(set(ids or range(known)) - control))
    longest = min(MAX_HALF, (config.context_tokens - len(first)) // 2, len(pool))
    if longest < MIN_HALF:
        raise ModelError(
            f"A random sequence of at least {MIN_HALF} tokens, repeated once, does not fit into "
            f"a context of {config.context_tokens} and a vocabulary of {len(pool)}.",
            fix="Use a model with a longer context.",
        )
    lengths = torch.linspace(longest, max(MIN_HALF, longest // 2), count).round().int().tolist()
    random = generator(seed, "lab/repeated")
    halves = [
        pool[torch.randperm(len(pool), generator=random)[:length]].tolist() for length in lengths
    ]
    return [[*first, *half, *half] for half in halves]


def induction_places(ids: Sequence[int]) -> Bool[Tensor, "T T"]:
    """The entries where the key is the token after an earlier occurrence of the query's
    token (and not the query itself).

    >>> induction_places([5, 7, 5]).nonzero().tolist()      # the second 5 should attend to the 7
    [[2, 1]]"""
    values, places = torch.tensor(list(ids)), torch.arange(len(ids))
    before_key = values.roll(1)  # [T]: the token before each key
    matches = before_key[None] == values[:, None]
    return matches & (places >= 1)[None] & (places[None] < places[:, None])


def mean_scores(model: Model, texts: Sequence[Sequence[int]]) -> dict[str, Float[Tensor, "L H"]]:
    """Each pattern's scores, averaged over the texts."""
    return _mean_scores(texts, lambda ids: attention_maps(model, ids))


def _mean_scores(
    texts: Sequence[Sequence[int]], maps_of: Callable[[Sequence[int]], Float[Tensor, "L H T T"]]
) -> dict[str, Float[Tensor, "L H"]]:
    found: dict[str, list[Tensor]] = {}
    for ids in texts:
        maps = maps_of(ids)
        for kind, places in {**patterns(ids), "induction": induction_places(ids)}.items():
            found.setdefault(kind, []).append(pattern_scores(maps, places))
    return {kind: torch.stack(each).mean(dim=0) for kind, each in found.items()}


def half_losses(model: LanguageModel, texts: Sequence[Sequence[int]], first: int) -> HalfLosses:
    """Nats per token in the first half, which can't be predicted, and in the second, which can,
    without the first token of each.
    """
    compute = Compute(model.transformer.embedding.weight.device)
    scored = score(model, [(ids[:1], ids[1:]) for ids in texts], compute=compute)
    halves: tuple[list[float], list[float]] = ([], [])
    for ids, result in zip(texts, scored, strict=True):
        losses = [0.0, *(-logprob for logprob in result.token_logprobs)]
        middle = first + (len(ids) - first) // 2
        halves[0].extend(losses[first + 1 : middle])
        halves[1].extend(losses[middle + 1 :])
    means = [round(sum(half) / len(half), DECIMALS) for half in halves]
    return {"first_half": means[0], "second_half": means[1]}


def no_clear_head(found: HeadSearch) -> str:
    """A sentence where no head has a pattern other than attention to the first token, else "".
    `found` is from `search_heads`.
    """
    best = {
        kind["kind"]: kind["best"][0]["score"] for kind in found["kinds"] if kind["kind"] != "first"
    }
    if any(score > NAMED for score in best.values()):
        return ""
    shares = ", ".join(f"{kind} {100 * score:.0f} %" for kind, score in best.items())
    return (
        "No head of this model gives half of its attention to the previous token, to copies of "
        f"the same token or to what followed them (the best heads: {shares})."
    )


def _head(scores: Mapping[str, Tensor], layer: int, head: int) -> HeadScores:
    own = {kind: round(float(values[layer, head]), DECIMALS) for kind, values in scores.items()}
    clear = [kind for kind, score in own.items() if score > NAMED]
    named = max(clear, key=lambda kind: own[kind], default=None)
    return {"block": layer + 1, "head": head + 1, "scores": own, "named": named}


def _best(values: Float[Tensor, "L H"]) -> list[BestHead]:
    flat = values.flatten()
    order = flat.argsort(descending=True, stable=True)[:BEST].tolist()
    places = [divmod(place, values.shape[1]) for place in order]
    return [
        {"block": layer + 1, "head": head + 1, "score": round(score, DECIMALS)}
        for (layer, head), score in zip(places, flat[order].tolist(), strict=True)
    ]


def _span(texts: Sequence[Sequence[int]]) -> str:
    lengths = [len(ids) // 2 for ids in texts]
    if min(lengths) == max(lengths):
        return str(lengths[0])
    return f"{min(lengths)} to {max(lengths)}"


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
    return [[None if math.isinf(value) else value for value in row] for row in round_matrix(table)]


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
