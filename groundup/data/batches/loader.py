"""Token shards -> batches, in an order that is a pure function of (seed, epoch, position).

Window w of a split holds tokens w*S to w*S + T (T + 1 of them): the first T are the input, the last
T the labels. With the stride S = T, the default, consecutive windows share one token and every
token except the first is a label once; with a smaller stride windows overlap, and a token is a
label in T / S windows; with a larger one S - T tokens between windows are left out. An epoch visits
every window once. The rows of all batches form one endless sequence (epoch 0, epoch 1, ...), of
which batch p is the rows p*B to p*B + B - 1: an epoch that ends inside a batch is followed by the
next one's first windows, without gaps or repeats. Tokens after the last full window are not trained
on. `packing.py` has rows of whole documents.

The order is a keyed permutation (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"):
a Feistel network on the smallest even number of bits that holds the window's number, iterated until
the result is in range (cycle walking). It needs no memory, a run resumes anywhere at once, and
unlike a library's shuffle it never changes with a version.
"""

import copy
import hashlib
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from groundup.data.batches.shards import ShardSet
from groundup.errors import DataError
from groundup.files import sha256_text

IGNORED_LABEL = -100
FEISTEL_ROUNDS = 4
# Of a number's half: up to here (4 billion windows) its rounds are kept in tables, of at most 0.5
# MB for each epoch.
MAX_TABLE_BITS = 16


@dataclass(frozen=True)
class Batch:
    """The input of a step of training or evaluation."""

    ids: Int[Tensor, "B T"]
    labels: Int[Tensor, "B T"]
    """The id that should follow each position; -100 where the loss does not count."""
    mask: Bool[Tensor, "B T"] | None = None
    """True for real tokens; None: all are."""
    all_count: bool = False
    """Whether no label is -100; set by the creator, since checking would synchronise a GPU."""
    documents: Int[Tensor, "B T"] | None = None
    """In packed rows the number of each token's document in its row, -1 at padding; None: a row is
    one text.
    """


class Windows:
    """Batches of windows over one split, by position.

    >>> windows = Windows(shards, "train", context_tokens=128, batch_size=8, seed=0)
    >>> windows.batch(0).ids.shape
    torch.Size([8, 128])
    """

    def __init__(
        self,
        shards: ShardSet,
        split: str,
        context_tokens: int,
        batch_size: int,
        seed: int,
        stride: int | None = None,
    ) -> None:
        """`stride` None: `context_tokens`.

        Raises DataError when the split is too short for one window.
        """
        assert context_tokens > 0 and batch_size > 0 and (stride is None or stride > 0)
        self.tokens = shards.tokens(split)
        self.context_tokens, self.batch_size, self.seed = context_tokens, batch_size, seed
        self.stride = stride or context_tokens
        require_tokens(len(self.tokens), context_tokens, split)
        self.num_windows = (len(self.tokens) - 1 - context_tokens) // self.stride + 1
        parts = [shards.fingerprint, split, context_tokens, batch_size, seed]
        if self.stride != context_tokens:
            parts.append({"stride": self.stride})
        self.fingerprint = sha256_text(json.dumps(parts))

    def batch(self, position: int) -> Batch:
        """Return batch number `position` of the endless sequence; always `batch_size` rows."""
        first = position * self.batch_size
        return self.rows(range(first, first + self.batch_size))

    def rows(self, numbers: Sequence[int]) -> Batch:
        """Return the rows of these numbers of the endless sequence, whatever the batch size."""
        return self._windows([self._window_at(row) for row in numbers])

    @property
    def epoch_tokens(self) -> int:
        """The number of label tokens of an epoch; one that is a label in two windows counts
        twice.
        """
        return self.num_windows * self.context_tokens

    def over(self, values: Any) -> "Windows":
        """Return the same windows over other values, one for each token: an array, or something
        indexed like one.
        """
        assert len(values) == len(self.tokens)
        other = copy.copy(self)
        other.tokens = values
        return other

    def in_order(self) -> Iterator[Batch]:
        """Yield the split once in order, for evaluation: every token except the first is a label
        exactly once, whatever the stride.

        The last batch of full windows may have fewer rows, and a final batch of one shorter row
        holds the tokens after the last window.
        """
        starts = np.arange(0, len(self.tokens) - self.context_tokens, self.context_tokens)
        for first in range(0, len(starts), self.batch_size):
            yield self._stack(starts[first : first + self.batch_size], self.context_tokens)
        end = len(starts) * self.context_tokens
        if left := len(self.tokens) - 1 - end:
            yield self._stack(np.array([end]), left)

    def _window_at(self, row: int) -> int:
        epoch, place = divmod(row, self.num_windows)
        return self._permutation(epoch).at(place)

    @cached_property
    def _permutation(self) -> Callable[[int], "Permutation"]:
        """The order of an epoch; a batch has two of them at most. Without `self` in it, which would
        be a cycle: the file of the tokens stayed mapped, and Windows would not remove it.
        """
        num_windows, seed = self.num_windows, self.seed
        return lru_cache(2)(lambda epoch: Permutation(num_windows, f"{seed}/{epoch}"))

    def _windows(self, windows: Sequence[int]) -> Batch:
        return self._stack(np.array(windows) * self.stride, self.context_tokens)

    def _stack(self, starts: np.ndarray, length: int) -> Batch:
        rows = self.tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64)
        both = torch.from_numpy(rows)
        return Batch(ids=both[:, :-1].contiguous(), labels=both[:, 1:].contiguous(), all_count=True)


def require_tokens(num_tokens: int, context_tokens: int, split: str) -> None:
    """Raise DataError, with the number of missing tokens, for a split shorter than one window."""
    needed = context_tokens + 1
    if num_tokens < needed:
        raise DataError(
            f"The {split} text has {num_tokens} tokens, one window of context {context_tokens} needs {needed}: "
            f"{needed - num_tokens} are missing.",
            fix="Add more text, or choose a shorter context (context_tokens).",
        )


class Permutation:
    """The permutation of `permute` for many places: a value of a round is hashed once, when the
    permutation is made.
    """

    def __init__(self, count: int, key: str) -> None:
        self.count, self.key, self.half_bits = count, key, half_bits_of(count)
        self.low = (1 << self.half_bits) - 1
        self._tables: list[array[int]] = []
        if self.half_bits <= MAX_TABLE_BITS:
            values = range(1 << self.half_bits)
            for number in range(FEISTEL_ROUNDS):
                mixed = [_mix(key, number, value) & self.low for value in values]
                self._tables.append(array("H", mixed))

    def at(self, place: int) -> int:
        if not self._tables:
            return permute(place, self.count, self.key)
        while True:
            left, right = place >> self.half_bits, place & self.low
            for table in self._tables:
                left, right = right, left ^ table[right]
            place = left << self.half_bits | right
            if place < self.count:
                return place


def half_bits_of(count: int) -> int:
    """Return half of the smallest even number of bits that holds the numbers below `count`."""
    return max(1, (max(1, count - 1).bit_length() + 1) // 2)


def permute(place: int, count: int, key: str) -> int:
    """Return the image of `place` (0..count-1) in the permutation of these numbers that `key`
    determines.
    """
    half_bits = half_bits_of(count)
    low = (1 << half_bits) - 1
    while True:
        left, right = place >> half_bits, place & low
        for number in range(FEISTEL_ROUNDS):
            left, right = right, left ^ (_mix(key, number, right) & low)
        place = left << half_bits | right
        # else continue: the walk is a cycle through its start, so it returns into range
        if place < count:
            return place


def _mix(key: str, number: int, value: int) -> int:
    digest = hashlib.blake2b(f"{key}/{number}/{value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
