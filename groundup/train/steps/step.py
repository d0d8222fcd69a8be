"""One training step: the gradients of several batches, averaged over all tokens and clipped.

Each loss gives the *sum* over its tokens and their number. Gradients of sums add up, and one
division by the number of all tokens gives the gradient of the mean: 16 batches of 1 weigh every
token as 1 batch of 16 does, however many tokens each batch supervises. (The mean of batch means
does not.)
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.errors import DataError
from groundup.model.matmul_precision import fast_matmul, tensor_core_matmul

# A batch is a dataclass with tensors in it; only its loss reads them.
Batch: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class LossSum:
    """A loss summed over the tokens (or texts) it was taken over."""

    total: Float[Tensor, ""]
    """The sum, in nats; it carries the gradient."""
    count: int
    """Tokens (or texts) summed over."""


Loss: TypeAlias = Callable[[nn.Module, Batch], LossSum]


@dataclasses.dataclass(frozen=True)
class Summed:
    """The loss of a step's batches as plain numbers."""

    nats: float
    count: int

    @property
    def mean(self) -> float:
        """The mean loss a token."""
        return self.nats / self.count


def sum_gradients(
    model: nn.Module,
    batches: Sequence[Batch],
    loss: Loss,
    *,
    device: torch.device,
    bf16: bool,
    exchange: Callable[[bool], AbstractContextManager[Any]] = lambda last: nullcontext(),
) -> Summed:
    """Run the batches forward and backward; gradients accumulate in `parameter.grad`.

    `exchange(whether it is the last)` is a context around each.
    """
    totals, count = [], 0
    for number, batch in enumerate(batches, 1):
        with fast_matmul(device), tensor_core_matmul(device), exchange(number == len(batches)):
            with autocast(device, bf16):
                part = loss(model, to_device(batch, device))
            part.total.backward()
        totals.append(part.total.detach())
        count += part.count
    # read last: one synchronisation with a GPU
    return Summed(sum(total.item() for total in totals), count)


def require_supervised(count: int) -> None:
    """Refuse a step without a token to learn from. Raises DataError."""
    if count == 0:
        raise DataError(
            "No token of this step is supervised: every label is masked, so there is nothing to "
            "learn from.",
            fix="Check that the answers are not cut off by the context length, and that the data "
            "have answers.",
        )


def gradient_norm(parameters: Iterable[nn.Parameter]) -> float:
    """Return the norm of all gradients as one vector; of sharded ones, over all processes."""
    norm: Any = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if hasattr(norm, "full_tensor"):
        norm = norm.full_tensor()
    return float(norm.item())


def average_and_clip(
    parameters: Iterable[nn.Parameter],
    count: int | float,
    clip_norm: float,
    sum_norm: float | None = None,
) -> float:
    """Turn summed gradients (their norm: `sum_norm`) into those of the mean, with a norm of at most
    `clip_norm`. Returns the norm before clipping.
    """
    parameters = list(parameters)
    if sum_norm is None:
        sum_norm = gradient_norm(parameters)
    norm, scale = sum_norm / count, 1.0
    if norm > 0:
        scale = min(1.0, clip_norm / norm)
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(scale / count)
    return norm


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[Any]:
    """A context with matrix products in bf16, or with everything as it is."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with its tensors on `device`; the same object where they are there already.

    Copies to a GPU are asynchronous.
    """
    if all(tensor.device == device for tensor in tensors_of(batch).values()):
        return batch
    return map_tensors(batch, lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))


def tensors_of(batch: Batch) -> dict[str, Tensor]:
    """Return the tensors of a batch by field."""
    values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def map_tensors(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Return the batch with each of its tensors changed."""
    return dataclasses.replace(
        batch, **{name: change(tensor) for name, tensor in tensors_of(batch).items()}
    )
