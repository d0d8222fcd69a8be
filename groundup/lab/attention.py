"""Attention on one sentence: all maps, what one token attends to, the heads with the clearest
patterns, how far back each head attends.

The score of a pattern is the share of a head's attention that goes to certain keys, averaged over
the queries that have such a key (`head_patterns.py` searches a whole model for them).

    previous   the token before                        (heads that copy the previous token)
    first      the first token of the text             ("attention sinks": Xiao et al. 2023,
                                                       arXiv:2309.17453)
    same       earlier occurrences of the same token   (the first half of an induction head:
                                                       Olsson et al. 2022, arXiv:2209.11895)
    distance   sum_s weight(t, s) (t - s), in tokens: 0 for attention to the query's own token
    entropy    -sum_s weight(t, s) log2 weight(t, s), in bits: log2(t) for even attention

Distance and entropy of a head are means over the tokens from the second on. Many heads attend to
the first token when no other is relevant, which makes the distance large: so the share of that
token is given too, and the distance without it
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from groundup.errors import DataError
from groundup.lab.stream import block_index, ids_of, require_tokenizer, token_index
from groundup.lab.tokens import pieces_of
from groundup.lab.values import (
    AttentionPicture,
    AttentionRecord,
    HeadDistances,
    HeadReach,
    TokenAttention,
)
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

MAX_TOKENS = 18
# Most tokens along an axis of a picture that can be read.
MAX_PICTURE_TOKENS = 64
# Most weights of all maps of a text in memory at once: float32, 256 MiB.
MAX_WEIGHTS = 2**26
MIN_TOKENS = 8
# Fewest tokens of a text whose distances are measured.
MIN_COUNT = 3
# Lines of text searched for a good sentence.
MAX_LINES = 2000
DECIMALS = 4


def attention_record(
    model: Model, tokenizer: Tokenizer, text: str, *, max_tokens: int = MAX_TOKENS
) -> AttentionRecord:
    """The clearest heads of a model on the beginning of a text. Raises ModelError beyond the
    model's context.
    """
    ids = tokenizer.encode(text)[: min(max_tokens, model.config.context_tokens)]
    if not ids:
        return {"text": "", "pieces": [], "heads_in_all": 0, "heads": []}
    maps = attention_maps(model, ids)
    return {
        "text": tokenizer.decode(ids),
        "pieces": pieces_of(tokenizer, ids),
        "heads_in_all": maps.shape[0] * maps.shape[1],
        "heads": [
            {
                "block": layer + 1,
                "head": head + 1,
                "kind": kind,
                "score": round(score, DECIMALS),
                "weights": round_matrix(maps[layer, head]),
            }
            for kind, layer, head, score in clearest_heads(maps, ids)
        ],
    }


def attention_picture(
    model: Model, tokenizer: Tokenizer | None, text: str, *, blocks: Sequence[int] = ()
) -> AttentionPicture:
    """All heads of the given blocks (none given: of all blocks) on a text, as plain values.

    Raises ModelError (no tokenizer, an unknown block, a text beyond the context), DataError (no
    text, or more than `MAX_PICTURE_TOKENS`).
    """
    chosen = [block_index(model, block) for block in blocks] or range(model.config.num_layers)
    ids = ids_of(model, tokenizer, text, most=MAX_PICTURE_TOKENS)
    maps = attention_maps(model, ids)
    caption = (
        f"Attention weights, softmax(QKᵀ/√D), in one forward pass over {len(ids)} tokens. "
        "Row: query; column: key. Each row sums to 1; no token attends to later ones."
    )
    return {
        "text": text,
        "pieces": pieces_of(require_tokenizer(tokenizer), ids),
        "heads_in_all": maps.shape[0] * maps.shape[1],
        "heads": [
            {"block": layer + 1, "head": head + 1, "weights": round_matrix(maps[layer, head])}
            for layer in chosen
            for head in range(maps.shape[1])
        ],
        "caption": caption,
    }


def attention_from(picture: AttentionPicture, token: int) -> TokenAttention:
    """What one token attends to, block by block: shares [blocks, tokens up to it], the mean over
    the heads of each block.

    `picture` is from `attention_picture`; tokens count from 1. Raises DataError for a token that is
    not there.
    """
    index = token_index(len(picture["pieces"]), token)
    blocks = sorted({head["block"] for head in picture["heads"]})
    rows = {
        block: [head["weights"][index] for head in picture["heads"] if head["block"] == block]
        for block in blocks
    }
    shares = [torch.tensor(rows[block]).mean(dim=0)[: index + 1].tolist() for block in blocks]
    caption = (
        f"Attention weights of token {token} in each block, mean of its heads "
        f"({len(rows[blocks[0]])} per block). Each row sums to 1."
    )
    return {
        "pieces": picture["pieces"][: index + 1],
        "token": token,
        "blocks": blocks,
        "shares": [[round(share, DECIMALS) for share in row] for row in shares],
        "caption": caption,
    }


def last_token_attention(
    model: Model, tokenizer: Tokenizer, text: str, views: Mapping[str, Any]
) -> TokenAttention:
    """What the last token of a text attends to, from `views["attention"]` where it was computed.
    Raises as `attention_picture`.
    """
    picture: AttentionPicture = views.get("attention") or attention_picture(model, tokenizer, text)
    return attention_from(picture, len(picture["pieces"]))


@torch.no_grad()
def attention_maps(model: Model, ids: Sequence[int]) -> Float[Tensor, "L H T T"]:
    """Every head's weights on one text, float32 on the CPU; row t are those of query t, and sum to
    1.

    Raises ModelError beyond the model's context, DataError where the maps would not fit in memory
    (`MAX_WEIGHTS`).
    """
    heads = model.config.num_layers * model.config.num_heads
    longest = math.isqrt(MAX_WEIGHTS // heads)
    if len(ids) > longest:
        raise DataError(
            f"The maps of {heads:,} heads over {len(ids):,} tokens are "
            f"{heads * len(ids) ** 2:,} numbers, too many for memory.",
            fix=f"Give at most {longest:,} tokens.",
        )
    tokens = torch.tensor([list(ids)], device=model.transformer.embedding.weight.device)
    maps = model.transformer.attention_maps(tokens)  # [L, 1, H, T, T]
    return maps[:, 0].float().cpu()


def clearest_heads(
    maps: Float[Tensor, "L H T T"], ids: Sequence[int]
) -> list[tuple[str, int, int, float]]:
    """The head with the highest score for each pattern that the text can show: (kind, layer,
    head, score), no head twice.
    """
    taken: set[tuple[int, int]] = set()
    found = []
    for kind, places in patterns(ids).items():
        if not places.any():
            continue
        scores = pattern_scores(maps, places)  # [L, H]
        order = scores.flatten().argsort(descending=True, stable=True).tolist()
        layer, head = next(
            pair for flat in order if (pair := divmod(flat, maps.shape[1])) not in taken
        )
        taken.add((layer, head))
        found.append((kind, layer, head, float(scores[layer, head])))
        if len(taken) == scores.numel():
            break
    return found


def patterns(ids: Sequence[int]) -> dict[str, Bool[Tensor, "T T"]]:
    """The entries [query, key] of each pattern.

    Query 2 is left out of `previous` and `first`: its previous token is the first.
    """
    size = len(ids)
    queries, keys = torch.arange(size)[:, None], torch.arange(size)[None]
    values = torch.tensor(list(ids))
    from_third = queries >= 2
    return {
        "previous": from_third & (keys == queries - 1),
        "first": from_third & (keys == 0),
        "same": (keys < queries) & (values[:, None] == values[None]),
    }


def pattern_scores(
    maps: Float[Tensor, "L H T T"], places: Bool[Tensor, "T T"]
) -> Float[Tensor, "L H"]:
    """The share of attention given to `places`, averaged over the queries that have any."""
    rows = places.any(dim=1)
    return (maps * places).sum(dim=-1)[:, :, rows].mean(dim=-1)


def round_matrix(
    matrix: Float[Tensor, "rows columns"], decimals: int = DECIMALS
) -> list[list[float]]:
    return [[round(number, decimals) for number in row] for row in matrix.tolist()]


def example_sentence(
    tokenizer: Tokenizer, texts: Iterable[str], *, max_tokens: int = MAX_TOKENS
) -> str:
    """The line of the texts with the most repeated tokens, of 8 to `max_tokens` tokens.

    Where no line has that length: the beginning of the longest line; "" where there is no text.
    """
    best, most, longest = "", -1, ""
    lines = (line.strip() for text in texts for line in text.splitlines() if line.strip())
    for line in islice(lines, MAX_LINES):
        ids = tokenizer.encode(line)
        longest = max(longest, line, key=len)
        if MIN_TOKENS <= len(ids) <= max_tokens and len(ids) - len(set(ids)) > most:
            best, most = line, len(ids) - len(set(ids))
    return best or tokenizer.decode(tokenizer.encode(longest)[:max_tokens])


def head_distances(model: Model, tokenizer: Tokenizer | None, text: str) -> HeadDistances:
    """Distance, entropy and share of the first token for every head on a text, and the same for
    uniform attention.

    Raises ModelError (no tokenizer, a text beyond the context), DataError (fewer than three tokens,
    or too many for memory).
    """
    ids = ids_of(model, tokenizer, text, fewest=MIN_COUNT)
    maps = attention_maps(model, ids)
    measured = {name: measure(maps) for name, measure in MEASURES.items()}
    uniform = {name: measure(uniform_maps(len(ids))) for name, measure in MEASURES.items()}
    heads = [
        {"block": layer + 1, "head": head + 1, **_measures_at(measured, layer, head)}
        for layer in range(maps.shape[0])
        for head in range(maps.shape[1])
    ]
    caption = (
        f"Means over the tokens 2 to {len(ids)} of one text, in one forward pass. Distance: "
        "the sum of weight times tokens back, once with all tokens and once without the first "
        "(the other weights normalised to 1). Entropy: -Σ w log₂ w."
    )
    return {
        "tokens": len(ids),
        "heads": cast(list[HeadReach], heads),
        "uniform": _measures_at(uniform, 0, 0),
        "caption": caption,
    }


def _measures_at(
    measured: Mapping[str, Float[Tensor, "L H"]], layer: int, head: int
) -> dict[str, float]:
    return {name: round(float(values[layer, head]), DECIMALS) for name, values in measured.items()}


def mean_distance(maps: Float[Tensor, "L H T T"]) -> Float[Tensor, "L H"]:
    """The mean number of tokens back, weighted by attention."""
    return (maps * _tokens_back(maps.shape[-1])).sum(dim=-1)[..., 1:].mean(dim=-1)


def distance_beyond_first(maps: Float[Tensor, "L H T T"]) -> Float[Tensor, "L H"]:
    """The same without the first token, the weights of the others normalised to a sum of one."""
    others = maps.clone()
    others[..., 0] = 0
    back = (others * _tokens_back(maps.shape[-1])).sum(dim=-1) / others.sum(dim=-1).clamp(min=1e-9)
    return back[..., 1:].mean(dim=-1)


def entropy_bits(maps: Float[Tensor, "L H T T"]) -> Float[Tensor, "L H"]:
    """The entropy; 2 to this power is the number of tokens under uniform attention of the same
    entropy.
    """
    bits = -torch.xlogy(maps, maps).sum(dim=-1) / torch.log(torch.tensor(2.0))  # 0 log 0 = 0
    return bits[..., 1:].mean(dim=-1)


def first_share(maps: Float[Tensor, "L H T T"]) -> Float[Tensor, "L H"]:
    return maps[..., 1:, 0].mean(dim=-1)


def uniform_maps(size: int) -> Float[Tensor, "1 1 T T"]:
    """Uniform attention, which gives the scores by chance."""
    return (torch.ones(size, size).tril() / torch.arange(1, size + 1)[:, None])[None, None]


def _tokens_back(size: int) -> Float[Tensor, "T T"]:
    return (torch.arange(size)[:, None] - torch.arange(size)[None]).clamp(min=0).float()


MEASURES = {
    "distance_tokens": mean_distance,
    "distance_beyond_first_tokens": distance_beyond_first,
    "entropy_bits": entropy_bits,
    "first_share": first_share,
}
