"""Some rows of each batch: what one of several processes reads, or what fits into memory at once.

The batch stays the whole one, whoever reads how much of it: which texts a step learns from is a function of seed and position alone.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from groundup.train.parallel.process_group import ProcessGroup
from groundup.train.step import Batch


class RankSlice:
    """A BatchSource of which this process reads its rows alone."""

    def __init__(self, batches: Any, group: ProcessGroup) -> None:
        self._batches, self._group = batches, group
        self.fingerprint: str = batches.fingerprint
        """That of the whole batches: the data are the same, however many read them."""

    def batch(self, position: int) -> Batch:
        """This process's rows of the batch at `position`."""
        batch = self._batches.batch(position)
        share = num_rows(batch) // self._group.world
        return rows_of(batch, self._group.rank * share, (self._group.rank + 1) * share)


def rank_slice(batches: Any, group: ProcessGroup) -> Any:
    """`batches`, or where there are several processes this one's rows of them."""
    return RankSlice(batches, group) if group.world > 1 else batches


def rows_of(batch: Batch, first: int, last: int) -> Batch:
    """The batch's rows first .. last-1, of every tensor in it."""
    cut = {
        field.name: value[first:last]
        for field in dataclasses.fields(batch)
        if isinstance(value := getattr(batch, field.name), Tensor)
    }
    return dataclasses.replace(batch, **cut)


def in_micro_batches(batch: Batch, rows: int) -> Iterator[Batch]:
    """The batch, at most `rows` rows at a time."""
    count = num_rows(batch)
    for first in range(0, count, rows):
        yield rows_of(batch, first, min(first + rows, count)) if rows < count else batch


def num_rows(batch: Batch) -> int:
    """How many rows it has."""
    tensors = (getattr(batch, field.name) for field in dataclasses.fields(batch))
    return next(len(value) for value in tensors if isinstance(value, Tensor))
