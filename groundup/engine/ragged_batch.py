"""Rows of ids -> ragged batches for `model/paged.py`: rows are concatenated without padding, and a prefix that several share is included once.

    (1 2 3 4 5)     in one batch         ids     9 9 1 2 3 4 5 6 7         positions   2 3 4 5 6
    (1 2 3 6 7)     (three shared        spans   (0, 2), (0, 5), (3, 2)                2 3 4 7 8
    (9 9)           tokens)                      (start, count)                        0 1

A page of the store is one token, and its number the token's position in the batch. In every block all keys and values are stored before any query
attends to them, so a row can read those of its prefix anywhere in the batch, and one call of the model is enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from groundup.engine.padded_batch import BATCH_TOKENS
from groundup.model.paged import TokenSpan

Row = list[int]

# A shorter prefix is computed again: attention groups rows with equal start positions, and sharing changes the start.
MIN_SHARED_TOKENS = 16


@dataclass(frozen=True)
class RaggedBatch:
    """Rows that run through the model in one call."""

    rows: list[int]
    """The indices of the rows."""
    positions: list[list[int]]
    """For each row, the positions of its tokens in `ids`."""
    ids: list[int]
    spans: list[TokenSpan]
    """The tokens that each row adds, in the order of `ids`; none for a row that others contain."""


def ragged_batches(rows: Sequence[Row], max_tokens: int = BATCH_TOKENS) -> Iterator[RaggedBatch]:
    """Yield all rows in batches of at most `max_tokens` (a longer row is alone). The longest rows come first, with those that share their prefix,
    so that running out of memory happens at once and not at the end.
    """
    members: list[tuple[int, int]] = []
    taken = 0
    for family in families(rows):
        for index, shared in family:
            if members and taken + len(rows[index]) - shared > max_tokens:
                yield _ragged_batch(rows, members)
                members, taken, shared = [], 0, 0
            members.append((index, shared))
            taken += len(rows[index]) - shared
    if members:
        yield _ragged_batch(rows, members)


def families(rows: Sequence[Row]) -> list[list[tuple[int, int]]]:
    """Return groups of rows with a common prefix: each row's index, and how many tokens it shares with the row before it.

    >>> families([[7], [1] * 20 + [2], [7], [1] * 18])
    [[(3, 0), (1, 18)], [(0, 0), (2, 1)]]
    """
    found: list[list[tuple[int, int]]] = []
    previous: Row = []
    for index in sorted(range(len(rows)), key=rows.__getitem__):
        shared = shared_tokens(previous, rows[index])
        if not shared:
            found.append([])
        found[-1].append((index, shared))
        previous = rows[index]
    return sorted(found, key=lambda family: -max(len(rows[index]) for index, _ in family))


def shared_tokens(previous: Row, row: Row) -> int:
    """Return the length of the common prefix; 0 where it is not the entire row and too short to share."""
    differing = (position for position, pair in enumerate(zip(previous, row, strict=False)) if pair[0] != pair[1])
    count = next(differing, min(len(previous), len(row)))
    return count if count >= MIN_SHARED_TOKENS or count == len(row) else 0


def _ragged_batch(rows: Sequence[Row], members: Sequence[tuple[int, int]]) -> RaggedBatch:
    """Return one batch; rows with equal start positions are adjacent, by length, so that attention handles them in one call."""
    counts = [len(rows[index]) - shared for index, shared in members]
    order = sorted(range(len(members)), key=lambda member: (members[member][1], counts[member]))
    ids: list[int] = []
    begins: dict[int, int] = {}
    for member in order:
        index, shared = members[member]
        begins[member] = len(ids)
        ids += rows[index][shared:]
    positions: list[list[int]] = []
    for member, (_, shared) in enumerate(members):
        previous = positions[-1][:shared] if shared else []
        positions.append([*previous, *range(begins[member], begins[member] + counts[member])])
    spans = [TokenSpan(positions[member], members[member][1], counts[member]) for member in order if counts[member]]
    return RaggedBatch([index for index, _ in members], positions, ids, spans)
