"""One training step: batches by position, their gradients averaged over all tokens and clipped.

Each loss gives the *sum* over its tokens and their number. Gradients of sums add up, and one
division by the number of all tokens gives the gradient of the mean: 16 batches of 1 weigh every
token as 1 batch of 16 does, however many tokens each supervises. (The mean of batch means does
not.) Which texts a step learns from is a function of seed and position alone.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.errors import DataError
from groundup.model.matmul_precision import fast_matmul, tensor_core_matmul
from groundup.train.steps.process_group import ProcessGroup

# A batch is a dataclass with tensors in it; only its loss reads them.
Batch: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class LossSum:
    total: Float[Tensor, ""]
    """In nats; it carries the gradient."""
    count: int
    """Tokens (or texts) summed over."""
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Further figures of the batch, for the step's line in the log."""


Loss: TypeAlias = Callable[[nn.Module, Batch], LossSum]


@dataclasses.dataclass(frozen=True)
class Summed:
    """The loss of a step's batches as plain numbers."""

    nats: float
    count: int
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Those of the last batch."""

    @property
    def mean(self) -> float:
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
    """Forward and backward; gradients accumulate in `parameter.grad`. `exchange(whether it is the
    last)` is a context around each.
    """
    totals, count = [], 0
    figures: Mapping[str, float] = {}
    for number, batch in enumerate(batches, 1):
        with fast_matmul(device), tensor_core_matmul(device), exchange(number == len(batches)):
            with autocast(device, bf16):
                part = loss(model, to_device(batch, device))
            part.total.backward()
        totals.append(part.total.detach())
        count += part.count
        figures = part.figures
    # read last: one synchronisation with a GPU
    return Summed(sum(total.item() for total in totals), count, figures)


def require_supervised(count: int) -> None:
    """Raises DataError."""
    if count == 0:
        raise DataError(
            "No token of this step is supervised: every label is masked, so there is nothing to "
            "learn from.",
            fix="Check that the answers are not cut off by the context length, and that the data "
            "have answers.",
        )


def gradient_norm(parameters: Iterable[nn.Parameter]) -> float:
    """Of all gradients as one vector; of sharded ones, over all processes."""
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
    """Turn summed gradients (their norm: `sum_norm`) into those of the mean, clipped. Returns the
    norm before.
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
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same object where they are there already. Copies to a GPU are asynchronous."""
    if all(tensor.device == device for tensor in tensors_of(batch).values()):
        return batch
    return map_tensors(batch, lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))


def tensors_of(batch: Batch) -> dict[str, Tensor]:
    """By field."""
    values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def map_tensors(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    return dataclasses.replace(
        batch, **{name: change(tensor) for name, tensor in tensors_of(batch).items()}
    )


@runtime_checkable
class BatchSource(Protocol):
    """The same position gives the same batch, today and after a restart."""

    @property
    def fingerprint(self) -> str:
        """Identifies the data, their order and the batch size."""

    def batch(self, position: int) -> Batch:
        """Without end."""


class Prefetcher:
    """`ahead`: the next batch is made early; `pinned`: in pinned memory."""

    def __init__(self, make: Callable[[int], Batch], *, ahead: bool, pinned: bool) -> None:
        self._make, self._pinned = make, pinned
        self._thread = ThreadPoolExecutor(1, "batches") if ahead else None
        self._next: tuple[int, Future[Batch]] | None = None

    def batch(self, position: int) -> Batch:
        if self._thread is None:
            return self._make_pinned(position)
        if self._next is not None and self._next[0] == position:
            batch = self._next[1].result()
        else:
            batch = self._make_pinned(position)
        self._next = position + 1, self._thread.submit(self._make_pinned, position + 1)
        return batch

    def _make_pinned(self, position: int) -> Batch:
        batch = self._make(position)
        if not self._pinned:
            return batch
        return map_tensors(batch, lambda tensor: tensor.pin_memory() if tensor.is_cpu else tensor)

    def close(self) -> None:
        """After the batch that it is making."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)


def rank_slices(make: Callable[[int], Batch], group: ProcessGroup) -> Callable[[int], Batch]:
    """With several processes only this one's rows."""
    if group.world == 1:
        return make

    def make_slice(position: int) -> Batch:
        batch = make(position)
        share = num_rows(batch) // group.world
        return rows_of(batch, group.rank * share, (group.rank + 1) * share)

    return make_slice


def rows_of(batch: Batch, first: int, last: int) -> Batch:
    return map_tensors(batch, lambda tensor: tensor[first:last])


def in_micro_batches(batch: Batch, rows: int) -> Iterator[Batch]:
    """At most `rows` rows at a time."""
    count = num_rows(batch)
    if count <= rows:
        yield batch
        return
    for first in range(0, count, rows):
        yield rows_of(batch, first, min(first + rows, count))


def num_rows(batch: Batch) -> int:
    return len(next(iter(tensors_of(batch).values())))
