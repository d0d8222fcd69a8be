"""Slices of batches: the rows of one of several processes, or the rows that fit into memory at once.

Which texts a step learns from is a function of seed and position alone, however the rows of its batch are divided.
"""

from collections.abc import Callable, Iterator

from groundup.train.parallel.process_group import ProcessGroup
from groundup.train.step import Batch, map_tensors, tensors_of


def rank_slices(make: Callable[[int], Batch], group: ProcessGroup) -> Callable[[int], Batch]:
    """Return `make` (position -> batch), or with several processes the same with this one's rows only."""

    def make_slice(position: int) -> Batch:
        batch = make(position)
        share = num_rows(batch) // group.world
        return rows_of(batch, group.rank * share, (group.rank + 1) * share)

    return make_slice if group.world > 1 else make


def rows_of(batch: Batch, first: int, last: int) -> Batch:
    """Return rows first .. last-1 of every tensor of a batch."""
    return map_tensors(batch, lambda tensor: tensor[first:last])


def in_micro_batches(batch: Batch, rows: int) -> Iterator[Batch]:
    """Yield the batch, at most `rows` rows at a time."""
    count = num_rows(batch)
    for first in range(0, count, rows):
        yield rows_of(batch, first, min(first + rows, count)) if rows < count else batch


def num_rows(batch: Batch) -> int:
    """Return the number of rows of a batch."""
    return len(next(iter(tensors_of(batch).values())))
