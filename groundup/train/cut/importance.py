"""The importance of each part of a trained model on given texts, from one forward pass without
gradients (Muralidharan et al. 2024, "Minitron", arXiv:2407.14679, section 2.2, which measures
activations too).

    blocks    1 - cosine of the stream before and after (Men et al. 2024, "ShortGPT", eq. 1)
    heads     length of what a head adds to the stream
    units     activation of a feed-forward unit times the length of its output vector
    stream    the second moments of the normalised stream in front of each norm, whose main
              directions are what a narrower stream should keep (Ashkboos et al. 2024, "SliceGPT",
              section 3.3)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from groundup.model.attention import Attention
from groundup.model.feedforward import GatedFeedForward
from groundup.model.heads import LanguageModel


@dataclass(frozen=True)
class Importance:
    """Means over all tokens of the texts."""

    blocks: Float[Tensor, " L"]
    heads: Float[Tensor, "L H"]
    units: Float[Tensor, "L F"]
    stream: Float[Tensor, "norms C C"]
    """Of the two norms of each block in turn, then of the final norm: 2 L + 1."""


def measure_importance(model: LanguageModel, rows: Sequence[Int[Tensor, " T"]]) -> Importance:
    """Each row is one text; long enough that attention has something to attend to."""
    config = model.config
    blocks = torch.zeros(config.num_layers)
    heads = torch.zeros(config.num_layers, config.num_heads)
    units = torch.zeros(config.num_layers, config.feedforward_width)
    stream = torch.zeros(2 * config.num_layers + 1, config.width, config.width)
    hooks: list[Any] = []

    def watch(module: nn.Module, look: Callable[[Tensor, Tensor], None]) -> None:
        hooks.append(
            module.register_forward_hook(lambda _, given, made: look(given[0].float(), made))
        )

    for layer in range(config.num_layers):
        block = model.transformer.block(layer)
        assert block.attention_norm is not None and block.feedforward_norm is not None
        assert isinstance(block.feedforward, GatedFeedForward)
        watch(block, _add_to(blocks, layer, _change))
        watch(block.attention_norm, _add_to(stream, 2 * layer, _moments))
        watch(block.feedforward_norm, _add_to(stream, 2 * layer + 1, _moments))
        watch(block.attention.output, _add_to(heads, layer, _of_heads(block.attention)))
        watch(block.feedforward.down, _add_to(units, layer, _of_units(block.feedforward)))
    watch(model.transformer.final_norm, _add_to(stream, 2 * config.num_layers, _moments))
    with _removed(hooks), torch.inference_mode():
        for row in rows:
            model.hidden(row[None])
    count = sum(len(row) for row in rows)
    return Importance(*(each / count for each in (blocks, heads, units, stream)))


@contextmanager
def _removed(hooks: Sequence[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _add_to(
    sums: Tensor, index: int, measure: Callable[[Tensor, Tensor], Tensor]
) -> Callable[[Tensor, Tensor], None]:
    def look(given: Tensor, made: Tensor) -> None:
        sums[index] += measure(given, made)

    return look


def _change(before: Tensor, after: Tensor) -> Tensor:
    return (1 - torch.cosine_similarity(before, after.float(), dim=-1)).sum()


def _moments(stream: Float[Tensor, "B T C"], _: Tensor) -> Float[Tensor, "C C"]:
    rows = stream.flatten(0, -2)
    normed = rows / rows.pow(2).mean(dim=-1, keepdim=True).sqrt().clamp_min(1e-12)
    return normed.T @ normed


def _of_heads(attention: Attention) -> Callable[[Tensor, Tensor], Tensor]:
    """|W_h z_h| of each head's part of the output matrix, as sqrt(z (W_h^T W_h) z)."""
    weight = attention.output.weight.detach().float().unflatten(1, (-1, attention.head_width))
    products = torch.einsum("chd,che->hde", weight, weight)  # [H, D, D]

    def measure(given: Tensor, _: Tensor) -> Tensor:
        parts = given.flatten(0, -2).unflatten(1, (-1, attention.head_width))  # [N, H, D]
        squares = torch.einsum("nhd,hde,nhe->nh", parts, products, parts)
        return squares.clamp_min(0).sqrt().sum(dim=0)

    return measure


def _of_units(feedforward: GatedFeedForward) -> Callable[[Tensor, Tensor], Tensor]:
    lengths = feedforward.down.weight.detach().float().norm(dim=0)  # [F]

    def measure(given: Tensor, _: Tensor) -> Tensor:
        return given.flatten(0, -2).abs().sum(dim=0) * lengths

    return measure
