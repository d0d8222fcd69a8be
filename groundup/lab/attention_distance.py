"""The distance and the entropy of each head's attention: how far back, and how widely.

    distance    sum_s weight(t, s) (t - s), in tokens: 0 for attention to the query's own token, 1 to the one before
    entropy     -sum_s weight(t, s) log2 weight(t, s), in bits: 0 for one token, log2(t) for even attention to t tokens

Both are means over the tokens from the second on. Many heads attend to the first token when no other is relevant ("attention sinks",
Xiao et al. 2023, arXiv:2309.17453), which makes the distance large. So the share of that token is given too, and the distance without it.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from groundup.lab.attention import DECIMALS, attention_maps
from groundup.lab.request import ids_of
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.assemble import Model

MIN_COUNT = 3


def head_distances(model: Model, tokenizer: Tokenizer | None, text: str) -> dict[str, Any]:
    """Return distance, entropy and share of the first token for every head on a text, and the same for uniform attention.

    Raises ModelError (no tokenizer, a text beyond the context), DataError (fewer than three tokens, or too many for memory).
    """
    ids = ids_of(model, tokenizer, text, fewest=MIN_COUNT)
    maps = attention_maps(model, ids)
    measured = {name: measure(maps) for name, measure in MEASURES.items()}
    uniform = uniform_maps(len(ids))
    heads = [
        {"block": layer + 1, "head": head + 1}
        | {name: round(float(values[layer, head]), DECIMALS) for name, values in measured.items()}
        for layer in range(maps.shape[0])
        for head in range(maps.shape[1])
    ]
    return {
        "tokens": len(ids),
        "heads": heads,
        "uniform": {name: round(float(measure(uniform)[0, 0]), DECIMALS) for name, measure in MEASURES.items()},
        "caption": f"Means over the tokens 2 to {len(ids)} of one text, in one forward pass. Distance: the sum of weight times tokens back, "
        "once with all tokens and once without the first (the other weights normalised to 1). Entropy: -Σ w log₂ w.",
    }


def mean_distance(maps: Float[Tensor, "L H T T"]) -> Float[Tensor, "L H"]:
    """Return the mean number of tokens back, weighted by attention."""
    return (maps * _tokens_back(maps.shape[-1])).sum(dim=-1)[..., 1:].mean(dim=-1)


def distance_beyond_first(maps: Float[Tensor, "L H T T"]) -> Float[Tensor, "L H"]:
    """Return the same without the first token, the weights of the others normalised to a sum of one."""
    others = maps.clone()
    others[..., 0] = 0
    back = (others * _tokens_back(maps.shape[-1])).sum(dim=-1) / others.sum(dim=-1).clamp(min=1e-9)
    return back[..., 1:].mean(dim=-1)


def entropy_bits(maps: Float[Tensor, "L H T T"]) -> Float[Tensor, "L H"]:
    """Return the entropy; 2 to this power is the number of tokens under uniform attention of the same entropy."""
    bits = -torch.xlogy(maps, maps).sum(dim=-1) / torch.log(torch.tensor(2.0))  # 0 log 0 = 0
    return bits[..., 1:].mean(dim=-1)


def first_share(maps: Float[Tensor, "L H T T"]) -> Float[Tensor, "L H"]:
    """Return the share of attention to the first token."""
    return maps[..., 1:, 0].mean(dim=-1)


def uniform_maps(size: int) -> Float[Tensor, "1 1 T T"]:
    """Return the map of uniform attention, which gives the scores by chance."""
    return (torch.ones(size, size).tril() / torch.arange(1, size + 1)[:, None])[None, None]


def _tokens_back(size: int) -> Float[Tensor, "T T"]:
    return (torch.arange(size)[:, None] - torch.arange(size)[None]).clamp(min=0).float()


MEASURES = {
    "distance_tokens": mean_distance,
    "distance_beyond_first_tokens": distance_beyond_first,
    "entropy_bits": entropy_bits,
    "first_share": first_share,
}
