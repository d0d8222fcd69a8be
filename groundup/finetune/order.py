"""The order of training examples of different lengths: a pure function of (seed, epoch), with
little padding.

They are shuffled, divided into pools of a few batches, sorted by length within each pool, divided
into batches, and the batches shuffled: a batch has examples of similar length, yet every epoch has
other batches in another order.
"""

from collections.abc import Sequence
from typing import Any

import torch

from groundup.device import generator

POOL_BATCHES = 8


def epoch_batches(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """Return all indices once, in batches of at most `batch_size`; their number is the same in
    every epoch.
    """
    random = generator(seed, f"order of epoch {epoch}")
    order = torch.randperm(len(lengths), generator=random).tolist()
    pool = POOL_BATCHES * batch_size
    batches = []
    for start in range(0, len(order), pool):
        alike = sorted(order[start : start + pool], key=lambda i: lengths[i])
        batches += [alike[at : at + batch_size] for at in range(0, len(alike), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=random).tolist()]


class EpochBatches:
    """Batches of examples of known lengths in tokens, epoch after epoch in the order of (seed,
    epoch); what a batch holds is made by a subclass.
    """

    fingerprint: str
    """SHA-256 of all that the batches hold and of their order."""

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed = list(lengths), batch_size, seed
        self._epoch = 0
        self._batches = self._of_epoch(0)  # of the epoch that was asked for last
        self.batches_per_epoch = len(self._batches)

    def _of_epoch(self, epoch: int) -> list[list[int]]:
        return epoch_batches(self._lengths, self._batch_size, seed=self._seed, epoch=epoch)

    def indices(self, position: int) -> list[int]:
        """Return the examples of batch number `position`."""
        epoch, place = divmod(position, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._of_epoch(epoch)
        return self._batches[place]

    @property
    def mean_tokens(self) -> float:
        """Tokens of a batch in the mean, padding not counted."""
        return sum(self._lengths) / self.batches_per_epoch

    def num_tokens(self, position: int) -> int:
        """Return the tokens in one batch, padding not counted."""
        return sum(self._lengths[i] for i in self.indices(position))

    def batch(self, position: int) -> Any:
        """Return batch number `position`."""
        raise NotImplementedError

    def steps_for(self, tokens: int) -> int:
        """Return how many batches from the first on have `tokens` tokens, padding not counted; at
        least one.
        """
        steps, read = 0, 0
        while read < tokens:
            read += self.num_tokens(steps)
            steps += 1
        return steps

    def steps(self, epochs: float, tokens: int | None) -> int:
        """Return the steps of the epochs, or those that a budget of tokens allows."""
        steps = max(1, round(epochs * self.batches_per_epoch))
        return steps if tokens is None else min(steps, self.steps_for(tokens))

    def line(self, epochs: float, tokens: int | None) -> str:
        """Return how much is read as one line: epochs, and where the budget ends them."""
        steps, whole = self.steps(epochs, tokens), self.batches_per_epoch
        read = (
            f"An epoch has {sum(self._lengths):,} tokens in {whole:,} steps; "
            f"epochs read: {steps / whole:.3g}, {steps:,} steps"
        )
        if tokens is None or steps == max(1, round(epochs * whole)):
            return f"{read}."
        return f"{read} (of {epochs:g} epochs: the budget of {tokens:,} tokens is a cap)."
