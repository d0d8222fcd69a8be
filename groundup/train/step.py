"""One training step: the gradients of several batches, their mean over all tokens, clipped.

Each loss gives the *sum* over its tokens and their number. Gradients of sums add up, and one division by the number of all
tokens gives the gradient of the mean: 16 batches of 1 weigh every token as 1 batch of 16 does, however many tokens each
batch supervises. (The mean of batch means does not.)
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.errors import DataError
from groundup.model.products import fast_products, tensor_core_products

# A batch is a dataclass with tensors in it; its loss is the only one that looks inside.
Batch: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class LossSum:
    """A loss summed over what it was counted on."""

    total: Float[Tensor, ""]
    """The sum, in nats; it carries the gradient."""
    count: int
    """Tokens (or texts) summed over."""


Loss: TypeAlias = Callable[[nn.Module, Batch], LossSum]


@dataclasses.dataclass(frozen=True)
class Summed:
    """What a step's batches came to, as plain numbers."""

    nats: float
    count: int

    @property
    def mean(self) -> float:
        """The loss a token."""
        return self.nats / self.count


def sum_gradients(
    model: nn.Module, batches: Sequence[Batch], loss: Loss, *, device: torch.device, bf16: bool
) -> Summed:
    """Run the batches forward and backward; gradients add up in `parameter.grad`. Raises DataError when nothing is supervised."""
    totals, count = [], 0
    for batch in batches:
        with fast_products(device), tensor_core_products(device):
            with autocast(device, bf16):
                part = loss(model, to_device(batch, device))
            part.total.backward()
        totals.append(part.total.detach())
        count += part.count
    if count == 0:
        raise DataError(
            "No token of this step is supervised: every label is masked, so there is nothing to learn from.",
            fix="Check that the answers are not cut off by the context length, and that the data have answers.",
        )
    return Summed(sum(total.item() for total in totals), count)  # read last: a GPU is waited for once


def average_and_clip(parameters: Iterable[nn.Parameter], count: int, clip_norm: float) -> float:
    """Turn summed gradients into those of the mean, at most `clip_norm` long. Returns the length before clipping."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients).item() / count
    scale = min(1.0, clip_norm / norm) if norm > 0 else 1.0
    for gradient in gradients:
        gradient.mul_(scale / count)
    return norm


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[Any]:
    """Matrix products in bf16, or everything as it is."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on `device`; the same object where they are there already. A GPU copies from pinned memory by itself."""
    moved = {
        field.name: value.to(device, non_blocking=device.type == "cuda")
        for field in dataclasses.fields(batch)
        if isinstance(value := getattr(batch, field.name), Tensor) and value.device != device
    }
    return dataclasses.replace(batch, **moved) if moved else batch
