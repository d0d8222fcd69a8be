"""Mixtures: batches whose rows come from several sources by shares that are asked for, by position.

    sources.json -> SourceShards (the tokens of one source) -> a loader of each -> Interleaving: row
        -> source, row of it -> Batch

Row r of the endless sequence of a mixture is row k of one source's own sequence, in which an epoch
of that source visits each of its windows once (`loader`). A window holds tokens of one source only;
what is behind a source's last full window is not read.

Which row of which source is arithmetic on whole numbers: nothing is drawn, nothing is remembered,
and a batch is the same after a restart and for any number of processes. The rows are split in two
(as many to the left as its share says, rounded), and again, along a Huffman tree of the shares; the
k-th row of a node goes to its left child where round(k left / total) rises. Of a node, at most two
thirds of the rows go to a child that is split again, and a split rounds by half a row at most: so
no source is ever two rows away from its share, of however many rows.

A source may have a most of rows. When it is reached, the others share its part in their
proportions: the sequence is a few phases, computed once. Where every source has a most, the
sequence has an end, and then begins again.
"""

import dataclasses
import heapq
import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch

from groundup.data.batches.loader import Batch
from groundup.data.batches.mixture_config import MixtureConfig, short_names
from groundup.data.batches.shards import ShardSet
from groundup.data.batches.spans import read_spans
from groundup.data.split import TRAIN
from groundup.errors import ConfigError, DataError
from groundup.files import sha256_text

WHOLE = "text"
FIELDS = tuple(field.name for field in dataclasses.fields(Batch))
LEAVE_OUT = "Give it the weight 0 to leave it out."
# Shares are rounded to whole numbers of this size, so that the last bit of a logarithm on another
# machine changes no order.
SCALE = 10**9


@runtime_checkable
class Loader(Protocol):
    """Rows by number: `loader.Windows`, and whatever else cuts rows out of tokens."""

    context_tokens: int
    num_windows: int
    """Rows of an epoch."""
    fingerprint: str

    @property
    def epoch_tokens(self) -> int:
        """The number of label tokens of an epoch."""

    def rows(self, numbers: Sequence[int]) -> Batch:
        """Return the rows of these numbers of the endless sequence."""


@dataclass(frozen=True)
class SourceShards(ShardSet):
    """The train split of one source of a shard set, as a shard set of its own."""

    source: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    """First token and number of tokens of each of its spans."""

    def tokens(self, split: str) -> np.ndarray:
        """Return the ids of its train split: mapped where they are in one span, else as they are
        asked for (see `JoinedSpans`).
        """
        # mapped as before; indexing a memmap itself takes twice as long
        whole = np.asarray(super().tokens(split))
        if len(self.spans) == 1:
            first, count = self.spans[0]
            return whole[first : first + count]
        return JoinedSpans(whole, self.spans)  # type: ignore[return-value]

    def num_tokens(self, split: str) -> int:
        if split != TRAIN:
            return super().num_tokens(split)
        return sum(count for _, count in self.spans)


class JoinedSpans:
    """Several spans of an array as one, indexed by an array of places or a slice; nothing is read
    before.
    """

    def __init__(self, whole: np.ndarray, spans: Sequence[tuple[int, int]]) -> None:
        self._whole, self.dtype = whole, whole.dtype
        firsts, counts = np.array(spans).T
        self._ends = np.cumsum(counts)
        self._shifts = firsts - self._ends + counts

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, places: Any) -> np.ndarray:
        if isinstance(places, slice):
            places = np.arange(*places.indices(len(self)))
        return self._whole[places + self._shifts[np.searchsorted(self._ends, places, side="right")]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


class Mixture:
    """Batches of rows of several loaders by shares. `most`: epochs of each source after which it
    stops.

    >>> mixture = Mixture({"letters": letters, "books": books}, [0.25, 0.75], batch_size=8)
    >>> mixture.batch(0).ids.shape, mixture.counts(8)
    (torch.Size([8, 128]), {'letters': 2, 'books': 6})
    """

    def __init__(
        self,
        loaders: dict[str, Loader],
        shares: Sequence[float],
        batch_size: int,
        most: float | None = None,
    ) -> None:
        self.loaders, self._listed = loaders, list(loaders.values())
        self.batch_size, self.context_tokens = batch_size, self._listed[0].context_tokens
        most_rows = None
        if most is not None:
            most_rows = [max(1, int(most * loader.num_windows)) for loader in self._listed]
        self.order = Interleaving(shares, most_rows)
        fingerprints = {source: loader.fingerprint for source, loader in loaders.items()}
        self.fingerprint = sha256_text(
            json.dumps([fingerprints, self.order.weights, most_rows, batch_size])
        )

    @property
    def length(self) -> int | None:
        """The rows until every source has been read as often as it may be; None: without end."""
        return self.order.length

    @property
    def num_windows(self) -> int:
        return sum(loader.num_windows for loader in self._listed)

    @property
    def epoch_tokens(self) -> int:
        """The label tokens of all sources together, each once."""
        return sum(loader.epoch_tokens for loader in self._listed)

    def batch(self, position: int) -> Batch:
        """Return batch number `position` of the endless sequence; always `batch_size` rows."""
        first = position * self.batch_size
        return self.rows(range(first, first + self.batch_size))

    def rows(self, numbers: Sequence[int]) -> Batch:
        """Return the rows of these numbers of the endless sequence, whatever the batch size."""
        rows: dict[int, list[int]] = {}
        places: dict[int, list[int]] = {}
        for place, number in enumerate(numbers):
            source, row = self.order.at(number)
            rows.setdefault(source, []).append(row)
            places.setdefault(source, []).append(place)
        parts = [self._listed[source].rows(numbers) for source, numbers in rows.items()]
        order = [place for found in places.values() for place in found]
        if len(parts) == 1:
            return parts[0]
        return join_batches(parts, order)

    def counts(self, count: int) -> dict[str, int]:
        """Return how many of the first `count` rows are of each source."""
        return dict(zip(self.loaders, self.order.counts(count), strict=True))

    def reading(self, source: str, rows: int) -> tuple[float, float, float]:
        """Return of the first `rows` rows the share that `source` should have, how often it is
        read, and its label tokens; 0 of one left out.
        """
        if source not in self.loaders:
            return 0.0, 0.0, 0.0
        number, loader = list(self.loaders).index(source), self.loaders[source]
        epochs = self.counts(rows)[source] / loader.num_windows
        return (
            self.order.weights[number] / sum(self.order.weights),
            epochs,
            epochs * loader.epoch_tokens,
        )


def join_batches(parts: Sequence[Batch], places: Sequence[int]) -> Batch:
    """Return batches as one, their rows at these places of it."""
    order = torch.from_numpy(np.argsort(places))
    values: dict[str, Any] = {}
    for name in FIELDS:
        found = [getattr(part, name) for part in parts]
        if isinstance(found[0], torch.Tensor):
            values[name] = torch.cat(found).index_select(0, order)
        else:
            values[name] = found[0] and all(found)
    return Batch(**values)


def mixture_of(
    shards: ShardSet, config: MixtureConfig, batch_size: int, make: Callable[[ShardSet], Loader]
) -> Mixture:
    """Return the mixture of the sources of train. `make`: the loader of one of them.

    Where no weights are given, a source that is too short for a row is left out. Raises ConfigError
    (unknown sources, shards that don't tell sources apart) and DataError (a source is too short for
    one window).
    """
    parts: Mapping[str, ShardSet] = source_shards(shards) or {WHOLE: _whole(shards, config)}
    tokens = {source: part.num_tokens(TRAIN) for source, part in parts.items()}
    shares, loaders = _shares(shards, config, tokens), {}
    for source, share in shares.items():
        try:
            loaders[source] = make(parts[source])
        except DataError as error:
            if config.weights or source in config.replay or share == max(shares.values()):
                fix = f"{LEAVE_OUT} {error.fix}"
                raise DataError(
                    f"{short_names(tokens)[source]}: {error.message}", fix=fix
                ) from error
    return Mixture(loaders, [shares[source] for source in loaders], batch_size, config.max_epochs)


def _shares(shards: ShardSet, config: MixtureConfig, tokens: dict[str, int]) -> dict[str, float]:
    """Raises ConfigError."""
    try:
        return {source: share for source, share in config.shares(tokens).items() if share}
    except ConfigError as error:
        held_out = {
            source
            for split in shards.splits
            for source, _ in read_spans(shards.folder, split, shards.num_tokens(split))
        }
        names = {*(held_out - set(tokens)), *short_names(held_out - set(tokens)).values()}
        found = [name for name in config.weights if name in names]
        if found:
            raise DataError(
                f"{found[0]} has no train tokens: all of its documents are held out.", fix=LEAVE_OUT
            ) from error
        raise


def _whole(shards: ShardSet, config: MixtureConfig) -> ShardSet:
    """Return the shards as the only source, which a mixture can limit the epochs of.

    Raises ConfigError for any other mixture.
    """
    if config.weights or config.replay or config.temperature != 1:
        raise ConfigError(
            "There is one source, or shards that do not tell sources apart: nothing can be mixed.",
            fix="Name several sources, or a folder with 2 to 16 folders in it.",
        )
    return shards


def source_shards(shards: ShardSet) -> dict[str, SourceShards]:
    """Return the train split of each source. Raises FormatError."""
    spans = read_spans(shards.folder, TRAIN, shards.num_tokens(TRAIN))
    places: dict[str, list[tuple[int, int]]] = {}
    first = 0
    for source, count in spans:
        places.setdefault(source, []).append((first, count))
        first += count
    same = {field.name: getattr(shards, field.name) for field in dataclasses.fields(ShardSet)}
    return {
        source: SourceShards(**same, source=source, spans=tuple(found))
        for source, found in places.items()
    }


@dataclass(frozen=True)
class SourceReading:
    source: str
    name: str
    """What it is called: the last part of an address."""
    tokens: int
    """In the train split."""
    share: float
    """Of the tokens that are there."""
    wanted: float
    """The share that is asked for of the tokens that are read."""
    read_tokens: int
    """Repeats counted."""
    epochs: float
    """How often it is read."""


def source_readings(
    shards: ShardSet, mixture: Mixture | None, rows: int, tokens: int
) -> tuple[SourceReading, ...]:
    """Return what a run of this number of rows and label tokens reads of each source; none where
    the shards do not tell sources apart.

    `mixture` None: as they come.
    """
    there = {source: part.num_tokens(TRAIN) for source, part in source_shards(shards).items()}
    total, names, found = sum(there.values()), short_names(there), []
    for source, count in there.items():
        share = wanted = count / total
        epochs, read = tokens / total, share * tokens
        if mixture is not None:
            wanted, epochs, read = mixture.reading(source, rows)
        found.append(
            SourceReading(source, names[source], count, share, wanted, round(read), epochs)
        )
    return tuple(found)


class Split(NamedTuple):
    """A node of the tree: `left` of `total` rows go to the first child.

    A child is a Split or the number of a source.
    """

    left: int
    total: int
    children: tuple["Split | int", "Split | int"]

    def to_left(self, rows: int) -> int:
        return (rows * self.left + self.total // 2) // self.total


def split_tree(weights: Sequence[int]) -> Split | int:
    """Return the Huffman tree of positive weights; of one, its number."""
    heap: list[tuple[int, int, Split | int]] = [
        (weight, number, number) for number, weight in enumerate(weights)
    ]
    heapq.heapify(heap)
    while len(heap) > 1:
        (left, _, first), (right, _, second) = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(
            heap,
            (left + right, len(weights) + len(heap), Split(left, left + right, (first, second))),
        )
    return heap[0][2]


def row_of(tree: Split | int, row: int) -> tuple[int, int]:
    """Return the source of a row, and which of its own rows it is."""
    while isinstance(tree, Split):
        before, after = tree.to_left(row), tree.to_left(row + 1)
        if after > before:
            tree, row = tree.children[0], before
        else:
            tree, row = tree.children[1], row - before
    return tree, row


def row_counts(tree: Split | int, rows: int) -> dict[int, int]:
    """Return how many of the first `rows` rows each source has."""
    found, waiting = {}, [(tree, rows)]
    while waiting:
        node, count = waiting.pop()
        if isinstance(node, Split):
            left = node.to_left(count)
            waiting += [(node.children[0], left), (node.children[1], count - left)]
        else:
            found[node] = count
    return found


class Phase(NamedTuple):
    """Rows from `start` on, shared by the same sources: their numbers, the tree of their shares,
    how many rows each source had before.
    """

    start: int
    sources: list[int]
    tree: Split | int
    before: list[int]

    def counts(self, rows: int) -> list[int]:
        """Return how many rows each source has after `rows` rows of this phase."""
        found = list(self.before)
        for number, count in row_counts(self.tree, rows).items():
            found[self.sources[number]] += count
        return found


class Interleaving:
    """The order of the rows of several sources by their shares; `most`: rows of each source after
    which it stops (None: it never does).

    >>> [Interleaving([0.75, 0.25]).at(row) for row in range(4)]
    [(0, 0), (1, 0), (0, 1), (0, 2)]
    """

    def __init__(self, shares: Sequence[float], most: Sequence[int] | None = None) -> None:
        """Shares are above 0; they need not add up to 1."""
        assert shares and min(shares) > 0 and (most is None or min(most) > 0)
        self.weights = [max(1, round(SCALE * share / sum(shares))) for share in shares]
        self.most: list[int] | None = None
        self.length: int | None = None
        if most is not None:
            self.most, self.length = list(most), sum(most)
        self._phases = self._all_phases()
        self._starts = [phase.start for phase in self._phases]

    def at(self, row: int) -> tuple[int, int]:
        """Return the source of a row, and which of its own rows it is."""
        turn, phase, row = self._place(row)
        number, own = row_of(phase.tree, row)
        source = phase.sources[number]
        own += phase.before[source]
        if self.most:
            own += turn * self.most[source]
        return source, own

    def counts(self, rows: int) -> list[int]:
        turn, phase, rows = self._place(rows)
        found = phase.counts(rows)
        if self.most:
            found = [count + turn * most for count, most in zip(found, self.most, strict=True)]
        return found

    def _place(self, row: int) -> tuple[int, Phase, int]:
        """Return how often the sequence has begun again before a row, its phase, and its number in
        that.
        """
        turn = 0
        if self.length:
            turn, row = divmod(row, self.length)
        phase = self._phases[bisect_right(self._starts, row) - 1]
        return turn, phase, row - phase.start

    def _all_phases(self) -> list[Phase]:
        active, start, before = list(range(len(self.weights))), 0, [0] * len(self.weights)
        phases = []
        while active:
            phases.append(
                Phase(start, active, split_tree([self.weights[each] for each in active]), before)
            )
            if self.most is None:
                break
            length = self._length(phases[-1])
            start, before = start + length, phases[-1].counts(length)
            active = [each for each in active if before[each] < self.most[each]]
        return phases

    def _length(self, phase: Phase) -> int:
        """Return the rows until a source would have more than its most: a binary search, as counts
        only rise.
        """
        assert self.most is not None
        left = sum(self.most[each] - phase.before[each] for each in phase.sources)

        def too_many(rows: int) -> bool:
            return any(
                count > most
                for count, most in zip(phase.counts(rows), self.most or (), strict=True)
            )

        return bisect_right(range(left + 1), False, key=too_many) - 1
