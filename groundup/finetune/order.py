"""In which order examples of different length are trained on: a pure function of (seed, epoch), with little padding.

Shuffled, cut into pools of a few batches, sorted by length within each pool, cut into batches, and the batches shuffled: neighbours in
length share a batch, yet every epoch has other batches in another order.
"""

from collections.abc import Sequence

import torch

from groundup.device import generator

POOL_BATCHES = 8


def epoch_batches(lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """All indices once, in batches of at most `batch_size`; their number is the same in every epoch."""
    random = generator(seed, f"order of epoch {epoch}")
    order = torch.randperm(len(lengths), generator=random).tolist()
    pool = POOL_BATCHES * batch_size
    batches = []
    for start in range(0, len(order), pool):
        alike = sorted(order[start : start + pool], key=lambda i: lengths[i])
        batches += [alike[at : at + batch_size] for at in range(0, len(alike), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=random).tolist()]


class EpochOrder:
    """Position 0, 1, 2, ... -> the indices of that batch, epoch after epoch. Remembers the epoch it was last asked about."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed = list(lengths), batch_size, seed
        self._epoch = -1
        self._batches: list[list[int]] = []
        self.batches_per_epoch = len(epoch_batches(self._lengths, batch_size, seed=seed, epoch=0))

    def indices(self, position: int) -> list[int]:
        """The examples of batch number `position`."""
        epoch, place = divmod(position, self.batches_per_epoch)
        if epoch != self._epoch:
            self._batches = epoch_batches(self._lengths, self._batch_size, seed=self._seed, epoch=epoch)
            self._epoch = epoch
        return self._batches[place]
