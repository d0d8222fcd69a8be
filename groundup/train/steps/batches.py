"""The batches of a run: a source gives them by position; one is made ahead for a GPU, and several
processes share the rows of each.

A position gives the same batch in any thread and process, so neither changes order or results:
which texts a step learns from is a function of seed and position alone. While a GPU works on one
batch, a thread makes the next in pinned memory, from which the GPU copies asynchronously. On a CPU,
whose cores are busy with the step, nothing is prefetched: a batch takes 0.05 % of the quickstart's
step.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, runtime_checkable

from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import Batch, map_tensors, tensors_of


@runtime_checkable
class BatchSource(Protocol):
    """Batches by number: the same position gives the same batch, today and after a restart."""

    @property
    def fingerprint(self) -> str:
        """Identifies the data, their order and the batch size."""

    def batch(self, position: int) -> Batch:
        """The batch at `position` (0, 1, 2, ... without end)."""


class Prefetcher:
    """Batches by position, as `make` makes them. `ahead`: the next one is made early; `pinned`: in
    pinned memory.
    """

    def __init__(self, make: Callable[[int], Batch], *, ahead: bool, pinned: bool) -> None:
        self._make, self._pinned = make, pinned
        self._thread = ThreadPoolExecutor(1, "batches") if ahead else None
        self._next: tuple[int, Future[Batch]] | None = None

    def batch(self, position: int) -> Batch:
        """Return the batch at `position`; an error in making it is raised here."""
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
        """End the thread, after the batch that it is making."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)


def rank_slices(make: Callable[[int], Batch], group: ProcessGroup) -> Callable[[int], Batch]:
    """Return `make` (position -> batch), or with several processes the same with this one's rows
    only.
    """
    if group.world == 1:
        return make

    def make_slice(position: int) -> Batch:
        batch = make(position)
        share = num_rows(batch) // group.world
        return rows_of(batch, group.rank * share, (group.rank + 1) * share)

    return make_slice


def rows_of(batch: Batch, first: int, last: int) -> Batch:
    """Return rows first .. last-1 of every tensor of a batch."""
    return map_tensors(batch, lambda tensor: tensor[first:last])


def in_micro_batches(batch: Batch, rows: int) -> Iterator[Batch]:
    """Yield the batch, at most `rows` rows at a time."""
    count = num_rows(batch)
    if count <= rows:
        yield batch
        return
    for first in range(0, count, rows):
        yield rows_of(batch, first, min(first + rows, count))


def num_rows(batch: Batch) -> int:
    """Return the number of rows of a batch."""
    return len(next(iter(tensors_of(batch).values())))
