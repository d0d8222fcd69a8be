"""What windows, stride and packing make of a token file, for `groundup data windows` and its page.

A document is its number in the split, counted from 0.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.batches.loader import Windows
from groundup.data.batches.packing import (
    SECTION_TOKENS,
    PackedWindows,
    document_places,
    end_of_text,
)
from groundup.data.batches.shards import TABLE_FILE, ShardSet
from groundup.errors import DataError
from groundup.progress import Progress
from groundup.tokenizer.fast import Tokenizer

# Places of the shards in a run and in a build.
SHARD_FOLDERS = ("", "shards", "tokenizer/shards")
SHOWN_ROWS = 10
SHOWN_WINDOWS = 3
# Rows that are shown are among the first ones, up to here.
LOOKED_AT_ROWS = 2**16
# Of a shown window: tokens at either end, and before and after an end of text inside.
AT_ENDS, AROUND = 5, 3


@dataclasses.dataclass(frozen=True)
class WindowView:
    split: str
    tokens: int
    documents: int
    context_tokens: int
    stride: int
    strided: dict[str, int]
    """`count` and `labels` of the windows with the stride."""
    windows: dict[str, int]
    """The same of windows a context apart; `of_several_documents`; `cut_documents`."""
    packing: dict[str, float]
    """Those of `PackingFigures`, and `cut_documents`."""
    shown: list[dict[str, Any]]
    """Three windows around the end of a document, token by token."""
    rows: dict[str, list[list[dict[str, int]]]]
    """Some `windows` and some `packed` rows, as the documents in them."""


def find_shards(folder: Path) -> Path:
    """Return the folder of the token shards in `folder`: itself, a run's or a build's.

    Raises DataError.
    """
    for name in SHARD_FOLDERS:
        if (folder / name / TABLE_FILE).is_file():
            return folder / name
    others = " nor ".join(f"{folder}/{name}" for name in SHARD_FOLDERS[1:])
    raise DataError(
        f"{folder} has no token shards: neither it nor {others} has {TABLE_FILE}.",
        fix="Name a run, a build or a folder of shards; a dry run of `groundup pretrain` says what "
        "a run would make of texts.",
    )


def window_view(
    shards: ShardSet,
    tokenizer: Tokenizer,
    *,
    context_tokens: int,
    stride: int | None = None,
    split: str = "train",
    progress: Progress | None = None,
) -> WindowView:
    """Raises DataError where the split is too short for one window."""
    windows = Windows(shards, split, context_tokens, 1, 0)
    strided = Windows(shards, split, context_tokens, 1, 0, stride)
    packed = PackedWindows(shards, split, context_tokens, 1, 0, progress=progress)
    ends = _first_ends(windows.tokens)
    mixed, cut = count_cuts(windows.tokens, context_tokens)
    return WindowView(
        split,
        len(windows.tokens),
        shards.splits[split].documents,
        context_tokens,
        strided.stride,
        {"count": strided.num_windows, "labels": strided.epoch_tokens},
        {
            "count": windows.num_windows,
            "labels": windows.epoch_tokens,
            "of_several_documents": mixed,
            "cut_documents": cut,
        },
        {**dataclasses.asdict(packed.figures), "cut_documents": _cut_by_packing(packed)},
        _show_windows(windows.tokens, tokenizer, ends, context_tokens, strided.stride),
        {"windows": _window_rows(windows, ends), "packed": _packed_rows(packed, ends)},
    )


def count_cuts(tokens: np.ndarray, context_tokens: int) -> tuple[int, int]:
    """Return how many windows, a context apart, hold more than one document, and how many documents
    lie in more than one window.
    """
    several = cut = 0
    step = max(1, SECTION_TOKENS // context_tokens) * context_tokens
    for starts, ends in document_places(tokens, step):
        # another document follows in the same window
        inside = ends[ends % context_tokens != context_tokens - 1]
        held = np.unique(inside // context_tokens)
        # not the rest after the last window
        several += int((held < (len(tokens) - 1) // context_tokens).sum())
        last = np.maximum(starts, ends - 1)
        cut += int((starts // context_tokens != last // context_tokens).sum())
    return several, cut


def _cut_by_packing(packed: PackedWindows) -> int:
    stretches = document_places(packed.tokens, SECTION_TOKENS)
    return sum(int((ends - starts > packed.context_tokens).sum()) for starts, ends in stretches)


def _first_ends(tokens: np.ndarray) -> np.ndarray:
    """Return the places of the ends of text in the part of the file that rows are shown of, the
    first at least.
    """
    return next(ends for _, ends in document_places(tokens, SECTION_TOKENS) if len(ends))


def _show_windows(
    tokens: np.ndarray, tokenizer: Tokenizer, ends: np.ndarray, context: int, stride: int
) -> list[dict[str, Any]]:
    """Return three windows, the second with the first end of text; the middle of each is left out
    (None) where it is long.
    """
    count = (len(tokens) - 1 - context) // stride + 1
    middle = min(int(ends[0]) // stride, count - 1)
    first = max(0, min(middle - 1, count - SHOWN_WINDOWS))
    return [
        {
            "number": at,
            "start": at * stride,
            "pieces": _pieces(tokens, tokenizer, ends, at * stride, context),
        }
        for at in range(first, min(first + SHOWN_WINDOWS, count))
    ]


def _pieces(
    tokens: np.ndarray, tokenizer: Tokenizer, ends: np.ndarray, start: int, context: int
) -> list[dict[str, Any] | None]:
    places = range(start, start + context + 1)
    inside = [int(end) for end in ends[(ends >= start) & (ends <= start + context)]][:1]
    kept = [
        place
        for place in places
        if place < start + AT_ENDS
        or place > start + context - AT_ENDS
        or any(abs(place - end) <= AROUND for end in inside)
    ]
    found: list[dict[str, Any] | None] = []
    for before, place in zip([start - 1, *kept], kept, strict=False):
        if place != before + 1:
            found.append(None)
        id, text = int(tokens[place]), ""
        is_end = id == end_of_text(tokens)
        if not is_end:
            text = tokenizer.decode([id])
        document = int(np.searchsorted(ends, place))
        found.append({"text": text, "end": is_end, "document": document, "place": place})
    return found


def _window_rows(windows: Windows, ends: np.ndarray) -> list[list[dict[str, int]]]:
    """Return windows a context apart from the one before the first end of text on, each as its
    documents.
    """
    context, rows = windows.context_tokens, []
    count = (len(windows.tokens) - 1) // context
    first = max(0, min(int(ends[0]) // context - 1, count - SHOWN_ROWS))
    for at in range(first, min(first + SHOWN_ROWS, count)):
        start, row = at * context, []
        while start < (at + 1) * context:
            document, end = int(np.searchsorted(ends, start)), len(windows.tokens)
            if document < len(ends):
                end = int(ends[document])
            stop = min((at + 1) * context, end + 1)
            row.append(
                {
                    "document": document,
                    "tokens": stop - start,
                    "begins": _begins(ends, start, document),
                    "ends": stop == end + 1,
                }
            )
            start = stop
        rows.append(row)
    return rows


def _packed_rows(packed: PackedWindows, ends: np.ndarray) -> list[list[dict[str, int]]]:
    """Return packed rows, evenly spread over those that hold several documents, as most do of short
    ones; else the first.
    """
    several = np.flatnonzero(np.diff(packed.plan.ends[:LOOKED_AT_ROWS], prepend=0) > 1)
    if len(several) > SHOWN_ROWS:
        several = several[np.linspace(0, len(several) - 1, SHOWN_ROWS).astype(int)]
    others = [row for row in range(min(SHOWN_ROWS, packed.num_windows)) if row not in several]
    rows = sorted([*several.tolist(), *others[: SHOWN_ROWS - len(several)]])
    return [
        [_packed_piece(packed, ends, *piece) for piece in packed.pieces_of(row)] for row in rows
    ]


def _packed_piece(
    packed: PackedWindows, ends: np.ndarray, start: int, length: int
) -> dict[str, int]:
    document = int(np.searchsorted(ends, start))
    return {
        "document": document,
        "tokens": length,
        "begins": _begins(ends, start, document),
        "ends": int(packed.tokens[start + length]) == end_of_text(packed.tokens),
    }


def _begins(ends: np.ndarray, start: int, document: int) -> bool:
    return start == 0 or (document > 0 and start == int(ends[document - 1]) + 1)
