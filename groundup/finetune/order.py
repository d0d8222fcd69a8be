"""Training examples of different lengths: their order, a pure function of (seed, epoch) with
little padding; and their lengths against the limit in tokens, said before the first step and
written into results.json.

They are shuffled, divided into pools of a few batches, sorted by length within each pool, divided
into batches, and the batches shuffled: a batch has examples of similar length, yet every epoch has
other batches in another order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch

from groundup.device import generator
from groundup.errors import DataError
from groundup.tokenizer.chat import Rendered

POOL_BATCHES = 8


def epoch_batches(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """The number of batches is the same in every epoch."""
    random = generator(seed, f"order of epoch {epoch}")
    order = torch.randperm(len(lengths), generator=random).tolist()
    pool = POOL_BATCHES * batch_size
    batches = []
    for start in range(0, len(order), pool):
        alike = sorted(order[start : start + pool], key=lambda i: lengths[i])
        batches += [alike[at : at + batch_size] for at in range(0, len(alike), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=random).tolist()]


class EpochBatches:
    """Batches of examples of known lengths in tokens, epoch after epoch; what a batch holds is made
    by a subclass.
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
        raise NotImplementedError

    def steps_for(self, tokens: int) -> int:
        """Return how many batches have `tokens` tokens, padding not counted; at least one."""
        steps, read = 0, 0
        while read < tokens:
            read += self.num_tokens(steps)
            steps += 1
        return steps

    def steps(self, epochs: float, tokens: int | None) -> int:
        steps = max(1, round(epochs * self.batches_per_epoch))
        return steps if tokens is None else min(steps, self.steps_for(tokens))

    def line(self, epochs: float, tokens: int | None) -> str:
        steps, whole = self.steps(epochs, tokens), self.batches_per_epoch
        read = (
            f"An epoch has {sum(self._lengths):,} tokens in {whole:,} steps; "
            f"epochs read: {steps / whole:.3g}, {steps:,} steps"
        )
        if tokens is None or steps == max(1, round(epochs * whole)):
            return f"{read}."
        return f"{read} (of {epochs:g} epochs: the budget of {tokens:,} tokens is a cap)."


@dataclass(frozen=True)
class Lengths:
    """How long examples are, in tokens, and how many are cut."""

    limit: int
    """Tokens that are kept of each."""
    examples: int
    median: int
    longest: int
    cut: int
    """Examples that are longer than what is read of them."""
    answers_cut: int = 0
    """Of these, the ones whose answer lost its end (but not all of it)."""
    left_out: int = 0
    """Of these, the ones whose whole answer lies behind the limit: nothing is learned from them."""
    windows: int = 1
    """Windows of `limit` tokens that are read of a longer example."""
    several: int = 0
    """Examples that are read in several windows."""

    @classmethod
    def of_texts(cls, lengths: Sequence[int], limit: int, windows: int = 1) -> "Lengths":
        """Up to `windows` windows of `limit` tokens are read of each."""
        return cls(
            limit,
            len(lengths),
            round(median(lengths)),
            max(lengths),
            cut=sum(each > limit * windows for each in lengths),
            windows=windows,
            several=sum(each > limit for each in lengths) if windows > 1 else 0,
        )

    @classmethod
    def of_answers(cls, rendered: Sequence[Rendered], limit: int) -> "Lengths":
        """Of conversations as they are before they are cut."""
        return replace(
            cls.of_texts([len(each.ids) for each in rendered], limit),
            answers_cut=sum(
                any(each.mask[1:limit]) and any(each.mask[limit:]) for each in rendered
            ),
            left_out=sum(not any(each.mask[1:limit]) for each in rendered),
        )

    def require_whole_answer(self) -> None:
        """Raise DataError where every answer is cut, so that none shows how an answer ends."""
        if self.answers_cut + self.left_out < self.examples:
            return
        cut = f"{self.answers_cut:,} lose their end"
        if self.left_out:
            cut += f", {self.left_out:,} are gone"
        raise DataError(
            f"All answers are cut, of {self.examples:,} texts to learn from: {self.limit:,} tokens "
            f"are read of each, and they have {self.median:,} in the median, {self.longest:,} at "
            f"most ({cut}).",
            fix="Raise max_tokens up to the model's context, use a model with a longer context, or "
            "give shorter examples.",
        )

    def line(self) -> str:
        """Return the lengths as one line, with the field of the config that sets the limit.

        >>> Lengths(64, 100, 24, 310, cut=2).line()
        'Lengths in tokens: median 24, longest 310; 2 of 100 are longer than 64 and are cut
        (max_tokens).'
        """
        line = f"Lengths in tokens: median {self.median:,}, longest {self.longest:,}"
        longer = f"{self.examples:,} are longer than {self.limit:,} and are"
        if self.several:
            line += f"; {self.several:,} of {longer} read in up to {self.windows} windows"
            if self.cut:
                end = self.limit * self.windows
                line += f", {self.cut:,} of them are cut after {end:,} (windows)"
            return f"{line}."
        if not self.cut:
            return f"{line}; none is longer than {self.limit:,}, none is cut."
        line += f"; {self.cut:,} of {longer} cut (max_tokens)"
        if self.answers_cut:
            line += f", {self.answers_cut:,} of their answers lose the end"
        if self.left_out:
            line += f", {self.left_out:,} are left out (the answer lies behind the cut)"
        return f"{line}."


def shortest_limit(lengths: Sequence[int], limits: Sequence[int], share: float = 0.95) -> int:
    """Return the first of the ascending limits that this share of the texts does not exceed; else
    the last.

    >>> shortest_limit([10] * 99 + [300], (64, 128, 256, 512))
    64
    """
    for limit in limits:
        if sum(length <= limit for length in lengths) >= share * len(lengths):
            return limit
    return limits[-1]
