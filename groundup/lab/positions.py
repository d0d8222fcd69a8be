"""Position schemes: their tables of numbers, and the similarity of two positions by the distance
between them.

sinusoidal    cosine similarity of two rows of the table    falls with distance
learned       the same for learned rows, mean over positions
rope          mean over the pairs of cos(distance x angle per token): the part of the score that is
              left for a query and a key of equal components    falls and oscillates
alibi         the bias of the score, one curve for each head    straight lines
none          nothing: order is known from the causal mask only
"""

from typing import Any

import torch
from torch import Tensor

from groundup.errors import ConfigError, did_you_mean
from groundup.lab.values import PositionCurve, PositionPicture
from groundup.model.config import RopeScaling
from groundup.model.positions import SinusoidalPositions, alibi_slopes, rotary_frequencies
from groundup.weights.assemble import Model

SCHEMES = ("none", "sinusoidal", "learned", "rope", "alibi")
DECIMALS = 4
MAX_TOKENS = 512
LINES_OF_HEADS = 8


def position_picture(
    scheme: str,
    *,
    head_width: int = 64,
    num_heads: int = 8,
    num_tokens: int = 128,
    rope_base: float = 10_000.0,
    rope_scaling: RopeScaling | None = None,
) -> PositionPicture:
    """A scheme by its formula ("learned" has none: see `model_positions`). `head_width` is the
    width of sinusoidal rows too.

    Raises ConfigError for an unknown scheme.
    """
    if scheme not in SCHEMES or scheme == "learned":
        known = [name for name in SCHEMES if name != "learned"]
        raise ConfigError(
            f"Position scheme {scheme!r} has no formula to draw.", fix=did_you_mean(scheme, known)
        )
    if scheme == "sinusoidal":
        return _added(
            scheme, SinusoidalPositions(head_width, num_tokens)(torch.arange(num_tokens)[None])[0]
        )
    if scheme == "rope":
        return _rotary(head_width, rope_base, rope_scaling, num_tokens)
    if scheme == "alibi":
        return _alibi(num_heads, num_tokens)
    return _nothing(num_tokens)


@torch.no_grad()
def model_positions(model: Model, *, max_tokens: int = MAX_TOKENS) -> PositionPicture:
    """The scheme of a model over the first `max_tokens` of its context, from its own numbers."""
    config, width = model.config, model.config.head_width
    num_tokens = min(config.context_tokens, max_tokens)
    if config.positions == "learned":
        assert model.transformer.position_embedding is not None
        places = torch.arange(num_tokens, device=model.transformer.embedding.weight.device)
        rows = model.transformer.position_embedding(places[None])[0]
        return _added("learned", rows.float().cpu())
    if config.positions == "sinusoidal":
        width = config.width
    return position_picture(
        config.positions,
        head_width=width,
        num_heads=config.num_heads,
        num_tokens=num_tokens,
        rope_base=config.rope_base,
        rope_scaling=config.rope_scaling,
    )


def _added(scheme: str, rows: Tensor) -> PositionPicture:
    """A scheme whose rows [T, C] are added to the embedding."""
    unit = torch.nn.functional.normalize(rows, dim=-1)
    cosines = unit @ unit.T  # [T, T]
    by_distance = torch.stack([cosines.diagonal(distance).mean() for distance in range(len(rows))])
    caption = (
        "Above: the row that is added to the embedding of a token at each position. Below: the "
        "cosine similarity of two such rows, mean over all pairs of positions at that "
        "distance."
    )
    return {
        "scheme": scheme,
        "table": _rounded(rows),
        "table_axis": "component",
        "table_value": "value added",
        "curves": [_curve("mean over all positions", by_distance)],
        "value": "cosine similarity",
        "caption": caption,
    }


def _rotary(
    head_width: int, base: float, scaling: RopeScaling | None, num_tokens: int
) -> PositionPicture:
    distances = torch.arange(num_tokens, dtype=torch.float32)[:, None]
    table = torch.cos(distances * rotary_frequencies(head_width, base))  # [T, D/2]
    curves = [_curve("as trained first", table.mean(dim=-1))]
    if scaling is not None:
        table = torch.cos(distances * rotary_frequencies(head_width, base, scaling))
        curves.append(
            _curve(f"stretched ({scaling.kind}, {scaling.factor:g} times)", table.mean(dim=-1))
        )
    caption = (
        f"Above: the cosine of the angle by which each of the {head_width // 2} pairs of a "
        f"head is rotated at each position (base {base:,.0f}). Below: their mean, which is "
        "the share of the score that is left for a key of the same components at that "
        "distance."
    )
    return {
        "scheme": "rope",
        "table": _rounded(table),
        "table_axis": "pair of components, fastest first",
        "table_value": "cosine of the angle",
        "curves": curves,
        "value": "score kept, of 1",
        "caption": caption,
    }


def _alibi(num_heads: int, num_tokens: int) -> PositionPicture:
    slopes = alibi_slopes(num_heads)
    penalties = (-torch.arange(num_tokens, dtype=torch.float32)[:, None] * slopes).clamp(
        min=-20
    )  # [T, H]
    shown = range(0, num_heads, max(1, num_heads // LINES_OF_HEADS))
    caption = (
        "What is added to the score of a key at that distance, a slope for each head; below "
        "-5 the weight of a key is less than a hundredth of its weight without it."
    )
    return {
        "scheme": "alibi",
        "table": _rounded(penalties),
        "table_axis": "head",
        "table_value": "added to the score, cut at -20",
        "curves": [
            _curve(f"head {head + 1}, slope 1/{1 / slopes[head]:g}", penalties[:, head])
            for head in shown
        ],
        "value": "added to the score",
        "caption": caption,
    }


def _nothing(num_tokens: int) -> PositionPicture:
    caption = "No scheme: nothing is added or rotated; order is known from the causal mask only."
    return {
        "scheme": "none",
        "table": _rounded(torch.zeros(num_tokens, 1)),
        "table_axis": "component",
        "table_value": "value added",
        "curves": [_curve("all positions", torch.zeros(num_tokens))],
        "value": "added to the score",
        "caption": caption,
    }


def _curve(label: str, values: Tensor) -> PositionCurve:
    return {"label": label, "values": _rounded(values)}


def _rounded(values: Tensor) -> Any:
    """Nested lists of rounded numbers."""
    return (
        (values * 10**DECIMALS).round().div(10**DECIMALS).double().round(decimals=DECIMALS).tolist()
    )
