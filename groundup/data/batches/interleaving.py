"""Interleaving: row number -> (source, row of that source), so that every source has its share of
any stretch of rows.

    row -> split in two (as many rows to the left as its share says, rounded) -> ... -> source and
        its own row number

The splits are a Huffman tree of the shares, and the k-th row of a node goes to its left child where
round(k left / total) rises. It is arithmetic on whole numbers: nothing is drawn, nothing is
remembered, and a run goes on at any row at once. Of a node, at most two thirds of the rows go to a
child that is split again, and a split rounds by half a row at most: so no source is ever two rows
away from its share, of however many rows.

A source may have a most of rows. When it is reached, the others share its part in their
proportions: the sequence is a few phases, computed once. Where every source has a most, the
sequence has an end, and then begins again.
"""

import heapq
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

# Shares are rounded to whole numbers of this size, so that the last bit of a logarithm on another
# machine changes no order.
SCALE = 10**9


class Split(NamedTuple):
    """A node of the tree: `left` of `total` rows go to the first child.

    A child is a Split or the number of a source.
    """

    left: int
    total: int
    children: tuple["Split | int", "Split | int"]

    def to_left(self, rows: int) -> int:
        """Return how many of the first `rows` rows go to the first child."""
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
        """Return how many of the first `rows` rows each source has."""
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
