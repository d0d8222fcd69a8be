"""The activations of a model: read while it reads a text, and changed while it runs.

    site           what it is, for each token                                          numbered
    stream         the residual stream [C] after n blocks; 0: what enters block 1      0 .. L
    attention      what the attention of a block gives [C], before any norm of it      1 .. L
    feedforward    what its feed-forward network gives [C], before any norm of it      1 .. L
    head           what one head of it mixes [D], before the output projection         1 .. L

    with changed(model, "stream", 3, lambda x: x + direction): ...

The neurons [F] of a feed-forward network have `neurons_changed`. Hooks as PyTorch has them
(`register_forward_hook`), removed when the `with` ends
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.errors import DataError, ModelError, did_you_mean
from groundup.lab.stream import block_index, require_layer
from groundup.model.feedforward import FeedForward
from groundup.weights.assemble import Model

Site = Literal["stream", "attention", "feedforward", "head"]
SITES: tuple[Site, ...] = get_args(Site)
Change = Callable[[Tensor], Tensor]
"""[B, T, C] -> the same shape; of the site "head" [B, T, H, D]."""


@dataclass(frozen=True)
class Activations:
    """Of one text, at every layer."""

    stream: Float[Tensor, "layers T C"]
    """L + 1 layers."""
    attention: Float[Tensor, "L T C"]
    feedforward: Float[Tensor, "L T C"]
    head: Float[Tensor, "L T H D"]

    def at(self, site: Site, number: int) -> Tensor:
        """One layer of a site, numbered as above: [T, C], of "head" [T, H, D]."""
        found: Tensor = getattr(self, site)
        return found[number - (site != "stream")]


@torch.no_grad()
def read_activations(model: Model, ids: Sequence[int]) -> Activations:
    """All activations while the model reads `ids`, in one pass."""
    found: dict[Site, list[Tensor]] = {site: [] for site in SITES}

    def keep(site: Site) -> Change:
        def seen(values: Tensor) -> Tensor:
            found[site].append(values[0])
            return values

        return seen

    with ExitStack() as hooks:
        for site in SITES:
            for number in range(site != "stream", model.config.num_layers + 1):
                hooks.enter_context(changed(model, site, number, keep(site)))
        rows = torch.tensor([list(ids)], device=model.transformer.embedding.weight.device)
        model.transformer(rows)
    return Activations(**{site: torch.stack(found[site]) for site in SITES})


@contextmanager
def changed(model: Model, site: Site, number: int, change: Change) -> Iterator[Model]:
    """Apply `change` to the activations of one site, at a layer or block numbered as above, until
    the `with` ends.

    It is given the tokens of the call: with a cache the new ones only. Raises DataError (an unknown
    site), ModelError (no such layer or block).
    """
    if site not in SITES:
        raise DataError(f"A model has no site {site!r}.", fix=did_you_mean(site, SITES))
    handle, step = _register(model, site, number, change), getattr(model, "decode_step", None)
    if step is not None:
        model.decode_step = None  # it runs past the modules, and so past the hooks
    try:
        yield model
    finally:
        handle.remove()
        if step is not None:
            model.decode_step = step


@contextmanager
def neurons_changed(model: Model, number: int, change: Change) -> Iterator[Model]:
    """Apply `change` to the neurons [B, T, F] of a block's feed-forward network, which its last
    matrix reads, until the `with` ends; blocks from 1. Without a cache. Raises ModelError, also for
    a mixture of experts.
    """
    part = model.transformer.block(block_index(model, number)).feedforward
    if not isinstance(part, FeedForward):
        message = f"The feed-forward network of block {number} is a mixture of experts."
        raise ModelError(message, fix="Take its output as a whole: the site 'feedforward'.")

    def before(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (change(inputs[0]),)

    handle = part.down.register_forward_pre_hook(before)
    try:
        yield model
    finally:
        handle.remove()


@contextmanager
def read_neurons(model: Model) -> Iterator[list[Float[Tensor, "B T F"]]]:
    """The neurons of every block, first block first, from a forward pass inside the `with`; none of
    a model with mixtures of experts.
    """
    seen: list[Tensor] = []

    def keep(values: Tensor) -> Tensor:
        seen.append(values)
        return values

    numbers = range(1, model.config.num_layers + 1)
    if model.config.num_experts:
        numbers = range(0)
    with ExitStack() as hooks:
        for number in numbers:
            hooks.enter_context(neurons_changed(model, number, keep))
        yield seen


def _register(model: Model, site: Site, number: int, change: Change) -> Any:
    def after(_: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return change(output)

    def before(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return change(inputs[0]), *inputs[1:]

    if site == "stream":
        if require_layer(model, number) == 0:
            return model.transformer.block(0).register_forward_pre_hook(before)
        return model.transformer.block(number - 1).register_forward_hook(after)
    block = model.transformer.block(block_index(model, number))
    if site == "attention":
        return block.attention.register_forward_hook(after)
    if site == "feedforward":
        return block.feedforward.register_forward_hook(after)
    width = block.attention.head_width

    def by_head(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (change(inputs[0].unflatten(-1, (-1, width))).flatten(2),)

    return block.attention.output.register_forward_pre_hook(by_head)
