"""Packed documents: rows that hold whole documents instead of windows across them (Ding et al.
2024, "Fewer Truncations Improve Language Modeling"; docs/processing.md).

    document of n tokens    -> n - 1 (token, next token) pairs: every token is a label exactly once
                            an epoch, except the first of each document
    longer than the context -> pieces of T pairs, which are whole rows, and a rest; a piece begins
        with the label that ended the one before
    all pieces              -> rows of at most T pairs, by best fit decreasing: the longest first,
                            each into the fullest row that has room
    what is left of a row   -> padding: label -100, document -1

Where each piece lies is planned once from the places of the end-of-text tokens, in sections of
SECTION_TOKENS, so that memory does not grow with the text; of a long text it is kept in the cache.
"""

import json
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from groundup.data.batches.loader import IGNORED_LABEL, Batch, Windows
from groundup.data.batches.shards import ShardSet
from groundup.errors import DataError, FormatError
from groundup.files import MANIFEST, atomic_folder, cache_folder, sha256_text, verify_folder
from groundup.locks import hold
from groundup.progress import Progress, Silent

PADDING = -1
SECTION_TOKENS = 2**24
# The plan of a longer text takes more than about two seconds, and is kept.
KEPT_FROM_TOKENS = 32 * SECTION_TOKENS
# Text of which more is padding would be read faster in a longer context.
MUCH_PADDING = 0.03


class PackingPlan(NamedTuple):
    """The pieces of all rows, row by row; its columns lie in files of their names and
    PLAN_TYPES.
    """

    starts: np.ndarray
    """The place of each piece's first token in the token file."""
    lengths: np.ndarray
    """Its labels; it reads one token more."""
    ends: np.ndarray
    """For each row, the number of pieces up to its end."""


PLAN_TYPES: tuple[np.dtype[Any], ...] = tuple(np.dtype(name) for name in ("<i8", "<i4", "<i8"))


@dataclass(frozen=True)
class PackingFigures:
    rows: int
    pieces: int
    tokens: int
    """Labels of an epoch."""
    padding_share: float
    """Of all places in the rows."""

    def line(self) -> str:
        line = (
            f"Packed: {self.pieces:,} documents or parts of them in {self.rows:,} rows, "
            f"{self.padding_share:.1%} padding"
        )
        if self.padding_share > MUCH_PADDING:
            line += "; a longer context, of several documents, has less"
        return f"{line}."


class PackedWindows(Windows):
    """Batches of packed rows over one split, by position: `Windows` with another content of the
    rows.

    >>> packed = PackedWindows(shards, "train", context_tokens=128, batch_size=8, seed=0)
    >>> packed.batch(0).documents.shape
    torch.Size([8, 128])
    """

    def __init__(
        self,
        shards: ShardSet,
        split: str,
        context_tokens: int,
        batch_size: int,
        seed: int,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Raises DataError when no document of the split has two tokens."""
        assert context_tokens > 0 and batch_size > 0
        self.tokens = shards.tokens(split)
        self.context_tokens, self.batch_size, self.seed = context_tokens, batch_size, seed
        parts = [shards.fingerprint, split, context_tokens]
        self.plan = plan_of(
            self.tokens, context_tokens, sha256_text(json.dumps(parts)), progress or Silent()
        )
        self.num_windows = len(self.plan.ends)
        if self.num_windows == 0:
            raise DataError(
                f"No document of the {split} text has two tokens.", fix="Add texts to learn from."
            )
        self.fingerprint = sha256_text(json.dumps([*parts, batch_size, seed, "packed"]))
        self._labels = int(self.plan.lengths.sum(dtype=np.int64))

    @property
    def epoch_tokens(self) -> int:
        return self._labels

    @property
    def figures(self) -> PackingFigures:
        places = self.num_windows * self.context_tokens
        return PackingFigures(
            self.num_windows, len(self.plan.starts), self._labels, 1 - self._labels / places
        )

    def in_order(self) -> Iterator[Batch]:
        """Yield all rows once in order, for evaluation; the last batch may have fewer."""
        for first in range(0, self.num_windows, self.batch_size):
            yield self._windows(range(first, min(first + self.batch_size, self.num_windows)))

    def pieces_of(self, row: int) -> list[tuple[int, int]]:
        """Return (place of the first token, labels) of each piece of a row."""
        first, last = 0, int(self.plan.ends[row])
        if row:
            first = int(self.plan.ends[row - 1])
        starts, lengths = self.plan.starts[first:last], self.plan.lengths[first:last]
        return list(zip(starts.tolist(), lengths.tolist(), strict=True))

    def _windows(self, windows: Sequence[int]) -> Batch:
        context, pieces = self.context_tokens, [self.pieces_of(row) for row in windows]
        starts, lengths = (np.array([piece[i] for row in pieces for piece in row]) for i in (0, 1))
        numbers = np.array([number for row in pieces for number in range(len(row))])
        in_row = [sum(length for _, length in row) for row in pieces]
        before = np.cumsum(lengths) - lengths  # labels in the batch before each piece
        each = np.arange(sum(in_row))
        source = np.repeat(starts - before, lengths) + each  # the place of each token in the file
        # padding in the batch before each row
        skipped = np.cumsum([0, *(context - used for used in in_row[:-1])])
        place = each + np.repeat(skipped, in_row)
        ids, labels, documents = (
            np.full(len(windows) * context, fill) for fill in (0, IGNORED_LABEL, PADDING)
        )
        ids[place], labels[place] = self.tokens[source], self.tokens[source + 1]
        documents[place] = np.repeat(numbers, lengths)
        whole = (torch.from_numpy(flat.reshape(-1, context)) for flat in (ids, labels, documents))
        return Batch(
            next(whole), next(whole), all_count=len(each) == len(ids), documents=next(whole)
        )


def plan_of(tokens: np.ndarray, context_tokens: int, key: str, progress: Progress) -> PackingPlan:
    """Return the plan for a token file; that of a long one is read from the cache, or written
    there. `key` names file and context.
    """
    if len(tokens) < KEPT_FROM_TOKENS:
        sections = list(plan_sections(tokens, context_tokens))
        columns: Any = zip(*sections, strict=True)
        if not sections:
            columns = ((), (), ())
        typed = zip(PLAN_TYPES, columns, strict=True)
        return PackingPlan(*(np.concatenate([np.zeros(0, t), *c]) for t, c in typed))
    folder = cache_folder("packing") / key[:32]
    if not (hold(folder) and _is_whole(folder)):
        _write_plan(tokens, context_tokens, folder, progress)
        hold(folder)
    named = zip(PackingPlan._fields, PLAN_TYPES, strict=True)
    return PackingPlan(*(np.memmap(folder / name, t, mode="r") for name, t in named))


def _is_whole(folder: Path) -> bool:
    try:
        return (folder / MANIFEST).exists() and bool(verify_folder(folder, hashes=False))
    except FormatError:  # it is made again
        return False


def _write_plan(tokens: np.ndarray, context_tokens: int, folder: Path, progress: Progress) -> None:
    with (
        atomic_folder(folder) as made,
        progress.track("packing documents", len(tokens) / 1e6, "million tokens") as advance,
    ):
        handles = [(made / name).open("wb") for name in PackingPlan._fields]
        try:
            for section in plan_sections(tokens, context_tokens):
                for handle, column, kind in zip(handles, section, PLAN_TYPES, strict=True):
                    handle.write(np.ascontiguousarray(column, kind).tobytes())
                advance(SECTION_TOKENS / 1e6)
        finally:
            for handle in handles:
                handle.close()


def plan_sections(tokens: np.ndarray, context_tokens: int) -> Iterator[PackingPlan]:
    """Yield the plan of one section of the text after the other: of the documents ending in it."""
    earlier = 0
    for starts, ends in document_places(tokens, SECTION_TOKENS):
        starts, lengths = split_documents(starts, ends - starts, context_tokens)
        rows, num_rows = best_fit(lengths, context_tokens)
        order = np.lexsort((starts, rows))
        pieces = np.cumsum(np.bincount(rows, minlength=num_rows))
        yield PackingPlan(starts[order], lengths[order].astype(np.int32), earlier + pieces)
        earlier += len(starts)


def document_places(tokens: np.ndarray, step: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the places of the first tokens and of the ends of the documents that end in one section
    of `step` tokens after the other. Every token file ends with end-of-text.
    """
    begin = 0
    for first in range(0, len(tokens), step):
        is_end = np.asarray(tokens[first : first + step]) == end_of_text(tokens)
        ends = first + np.flatnonzero(is_end)
        yield np.concatenate([[begin], ends[:-1] + 1])[: len(ends)], ends
        if len(ends):
            begin = int(ends[-1]) + 1


def end_of_text(tokens: np.ndarray) -> int:
    """Return the id that ends every document of a token file, and so the file."""
    return int(tokens[len(tokens) - 1])


def split_documents(
    starts: np.ndarray, lengths: np.ndarray, context_tokens: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return starts and labels of the pieces of documents that begin at `starts` and have `lengths`
    labels.

    >>> [part.tolist() for part in split_documents(np.array([0, 8]), np.array([7, 2]), 3)]
    [[0, 3, 6, 8], [3, 3, 1, 2]]
    """
    counts = -(-lengths // context_tokens)
    # of each piece in its document
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    left = np.repeat(lengths, counts) - number * context_tokens
    return np.repeat(starts, counts) + number * context_tokens, np.minimum(left, context_tokens)


def best_fit(lengths: np.ndarray, capacity: int) -> tuple[np.ndarray, int]:
    """Return a row for each length, and the number of rows: the longest first, each into the row
    with the least room that is enough.

    All pieces of a length are placed together and rows are grouped by their room, so that the time
    depends on the number of different lengths.

    >>> best_fit(np.array([5, 3, 6, 2]), 8)  # 6 + 2 and 5 + 3
    (array([1, 1, 0, 0]), 2)
    """
    rows, num_rows = np.zeros(len(lengths), np.int64), 0
    by_room: dict[int, list[np.ndarray]] = {}
    rooms: list[int] = []  # the keys of by_room, sorted

    def keep(room: int, some: np.ndarray) -> None:
        if room and len(some):
            if room not in by_room:
                insort(rooms, room)
            by_room.setdefault(room, []).append(some)

    if not len(lengths):
        return rows, 0
    order = np.argsort(-lengths, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        length = int(lengths[group[0]])
        while len(group):
            at = bisect_left(rooms, length)
            if at < len(rooms):
                room = rooms[at]
                found = by_room[room].pop()
                if not by_room[room]:
                    del by_room[rooms.pop(at)]
            else:
                room = capacity
                found = num_rows + np.arange(-(-len(group) // (room // length)))
                num_rows += len(found)
            each = room // length  # a row that was chosen is filled first: its room is the least
            full = min(len(found), len(group) // each)
            rows[group[: full * each]] = np.repeat(found[:full], each)
            group, left = group[full * each :], found[full:]
            keep(room - each * length, found[:full])
            if len(left) and len(group):  # fewer than fill a row
                rows[group] = left[0]
                keep(room - len(group) * length, left[:1])
                group, left = group[:0], left[1:]
            keep(room, left)
    return rows, num_rows
