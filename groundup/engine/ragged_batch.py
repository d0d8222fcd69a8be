"""Rows of ids -> lines for `model/paged.py`: one row after the other without padding, and what several begin with in common only once.

    (1 2 3 4 5)     in one line          ids     9 9 1 2 3 4 5 6 7         places   2 3 4 5 6
    (1 2 3 6 7)     (three tokens were   spans   (0, 2), (0, 5), (3, 2)             2 3 4 7 8
    (9 9)           worth sharing)               (start, count)                     0 1

A page of the store is one token, and its number the token's place in the line. In every block all keys and values are stored before any query looks
at them, so a row finds those of its beginning wherever they stand, and all goes through the model in one call.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from groundup.engine.padding import BATCH_TOKENS
from groundup.model.paged import TokenSpan

Row = list[int]

# A shorter beginning is computed again: rows that start alike are attended to together, and sharing makes them start elsewhere.
MIN_SHARED_TOKENS = 16


@dataclass(frozen=True)
class RaggedBatch:
    """Rows that go through the model in one call."""

    rows: list[int]
    """Which ones, by their indices."""
    places: list[list[int]]
    """Of each of them, where in the line its tokens stand."""
    ids: list[int]
    spans: list[TokenSpan]
    """What each row adds, in the order of `ids`; nothing for a row that others hold whole."""


def ragged_batches(rows: Sequence[Row], most_tokens: int = BATCH_TOKENS) -> Iterator[RaggedBatch]:
    """All rows, in lines of at most `most_tokens` (a longer row stands alone). The longest rows come first, with those that begin like them.

    Longest first, so that what does not fit into memory fails at once and not at the end.
    """
    members: list[tuple[int, int]] = []
    taken = 0
    for family in families(rows):
        for index, shared in family:
            if members and taken + len(rows[index]) - shared > most_tokens:
                yield _line(rows, members)
                members, taken, shared = [], 0, 0
            members.append((index, shared))
            taken += len(rows[index]) - shared
    if members:
        yield _line(rows, members)


def families(rows: Sequence[Row]) -> list[list[tuple[int, int]]]:
    """Rows that begin alike, by index, each with how many tokens it has in common with the one before it: no earlier one has more.

    >>> families([[7], [1] * 20 + [2], [7], [1] * 18])
    [[(3, 0), (1, 18)], [(0, 0), (2, 1)]]
    """
    found: list[list[tuple[int, int]]] = []
    before: Row = []
    for index in sorted(range(len(rows)), key=rows.__getitem__):
        shared = shared_tokens(before, rows[index])
        if not shared:
            found.append([])
        found[-1].append((index, shared))
        before = rows[index]
    return sorted(found, key=lambda family: -max(len(rows[index]) for index, _ in family))


def shared_tokens(before: Row, row: Row) -> int:
    """How many tokens both begin with; 0 where that is less than the whole row and too few to be worth it."""
    differing = (place for place, pair in enumerate(zip(before, row, strict=False)) if pair[0] != pair[1])
    count = next(differing, min(len(before), len(row)))
    return count if count >= MIN_SHARED_TOKENS or count == len(row) else 0


def _line(rows: Sequence[Row], members: Sequence[tuple[int, int]]) -> RaggedBatch:
    """Rows that start alike stand together, by length: so the store can attend to them in one call."""
    counts = [len(rows[index]) - shared for index, shared in members]
    order = sorted(range(len(members)), key=lambda member: (members[member][1], counts[member]))
    ids: list[int] = []
    begins: dict[int, int] = {}
    for member in order:
        index, shared = members[member]
        begins[member] = len(ids)
        ids += rows[index][shared:]
    places: list[list[int]] = []
    for member, (_, shared) in enumerate(members):
        before = places[-1][:shared] if shared else []
        places.append([*before, *range(begins[member], begins[member] + counts[member])])
    spans = [TokenSpan(places[member], members[member][1], counts[member]) for member in order if counts[member]]
    return RaggedBatch([index for index, _ in members], places, ids, spans)
