"""Attention maps as heatmaps (rows are queries, columns are keys), and one head step by step.

Shades of a map are proportional to the square root of a share, so that small ones are visible
"""

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

from groundup.errors import ModelError
from groundup.lab.style import (
    LABEL_SIZE,
    MUTED,
    SHARES,
    SIGNED,
    SMALL_SIZE,
    few_ticks,
    finish,
    ink_on,
    name_axes,
    name_tokens,
    pyplot,
    scale_beside,
    token_labels,
    write_at,
)
from groundup.lab.values import (
    AttentionPicture,
    AttentionRecord,
    FilmHead,
    HeadMap,
    HeadSteps,
    PatternMap,
    Rows,
    StepTable,
    TokenAttention,
    TokenPiece,
)

PATTERNS = {
    "previous": "to the previous token",
    "first": "to the first token",
    "same": "to earlier copies of the token",
    "induction": "to what followed earlier copies",
}
# The largest number of tokens in a map whose numbers can be read.
NUMBERED_TOKENS = 14
BLOCKS = "block (1: the first)"
TITLE_CHARACTERS = 25
KEYS = "key: attended to"
# A share above which black text can't be read.
WHITE_ABOVE = 0.35
CELL_INCHES = 0.42
SMALL_MULTIPLE_INCHES = 0.95
SHARE_TICKS = (0, 0.05, 0.25, 0.5, 1)
# Of the steps of one head: inches of a cell with its number and without, and of a row of a vector.
STEP_CELL_INCHES, SMALL_CELL_INCHES, ROW_INCHES = 0.4, 0.16, 0.19
# A part beside others on a page.
PART_INCHES = 4.7
VECTORS: dict[Literal["queries", "keys", "values", "mixed"], str] = {
    "queries": "queries Q",
    "keys": "keys K",
    "values": "values V",
    "mixed": "output: weights × V",
}
# The quantile at which the shades of a vector's components end, as a few are far larger than all
# others.
SHADED_PART = 0.98
SHADES = (
    "Each table has its own colour scale; in the vectors above, the largest 2 % of the numbers "
    "are beyond the scale."
)


def draw_maps(picture: AttentionPicture) -> Any:
    """Draw all heads of `attention_picture` as small maps, a row for each block."""
    heads = picture["heads"]
    blocks = sorted({head["block"] for head in heads})
    numbers = sorted({head["head"] for head in heads})
    size = (
        max(len(numbers) * SMALL_MULTIPLE_INCHES + 1.3, 4.5),
        len(blocks) * SMALL_MULTIPLE_INCHES + 1.4,
    )
    figure, grid = pyplot().subplots(len(blocks), len(numbers), figsize=size, squeeze=False)
    image = None
    for head in heads:
        axes = grid[blocks.index(head["block"])][head["head"] - 1]
        image = square(axes, head["weights"])
        axes.set(xticks=[], yticks=[])
    beside = {"rotation": 0, "ha": "right", "va": "center"}
    for row, block in zip(grid, blocks, strict=True):
        row[0].set_ylabel(f"block {block}", fontsize=LABEL_SIZE, **beside)
    for axes, number in zip(grid[0], numbers, strict=True):
        axes.set_title(f"head {number}", fontsize=LABEL_SIZE)
    caption = f"{picture['caption']} Tokens: {' '.join(token_labels(picture['pieces']))}"
    title = (
        "Every head has its own pattern: a diagonal is attention to the previous token, "
        "a column to one token always"
    )
    return finish(figure, title=title, caption=caption, colours=_shares(image))


def draw_head(picture: AttentionPicture | AttentionRecord, *, block: int, head: int) -> Any:
    """Draw one head of `attention_picture` (or of a record) large, with tokens on its axes.

    Raises ModelError for one that is not in it.
    """
    weights, pieces = _find(picture["heads"], block, head)["weights"], picture["pieces"]
    side = max(len(pieces) * CELL_INCHES, 2.6)
    figure, axes = pyplot().subplots(figsize=(side + 2.2, side + 2.0))
    image = square(axes, weights)
    token_axes(axes, pieces, LABEL_SIZE)
    name_axes(axes, KEYS, "query: attends")
    if len(pieces) <= NUMBERED_TOKENS:
        for y, row in enumerate(weights):
            for x, share in enumerate(row[: y + 1]):
                write_at(axes, x, y, f"{share:.2f}", color=ink_on(share, WHITE_ABOVE))
    title = f"Block {block}, head {head}: each row is the attention of one token"
    caption = str(picture.get("caption", ""))
    return finish(figure, title=title, caption=caption, colours=_shares(image))


def draw_attention_from(record: TokenAttention) -> Any:
    """Draw a row for each block, a column for each token up to this one."""
    names, shares = token_labels(record["pieces"]), record["shares"]
    size = (max(len(names) * CELL_INCHES + 2.4, 5.0), max(len(shares) * 0.26, 1.5) + 2.0)
    figure, axes = pyplot().subplots(figsize=size)
    image = _shaded(axes, shares, origin="lower", aspect="auto")
    name_tokens(axes, x=names, size=LABEL_SIZE)
    axes.set_yticks(*few_ticks(record["blocks"], 16), fontsize=SMALL_SIZE)
    name_axes(axes, KEYS, BLOCKS)
    title = (
        f"What token {record['token']} ({names[-1]}) attends to, from the first block (bottom) to "
        "the last (top)"
    )
    return finish(figure, title=title, caption=record["caption"], colours=_shares(image))


def square(axes: Any, weights: Sequence[Sequence[float]]) -> Any:
    """Draw the shares of one head and return the image."""
    return _shaded(axes, mask_later(weights))


def mask_later(weights: Sequence[Sequence[float]]) -> list[list[float]]:
    """The rows with NaN (drawn white) for masked keys, which differ from a share of zero."""
    return [[*row[: y + 1], *[float("nan")] * (len(row) - y - 1)] for y, row in enumerate(weights)]


def _shaded(axes: Any, rows: Sequence[Sequence[float]], **how: Any) -> Any:
    from matplotlib.colors import PowerNorm

    return axes.imshow(rows, cmap=SHARES, norm=PowerNorm(0.5, vmin=0, vmax=1), **how)


def _shares(image: Any) -> tuple[Any, str, Sequence[float]]:
    return image, "share of attention", SHARE_TICKS


def token_axes(axes: Any, pieces: Sequence[TokenPiece], size: int) -> None:
    labels = token_labels(pieces)
    name_tokens(axes, x=labels, y=labels, size=size)


def pattern_title(head: PatternMap | FilmHead, score: float) -> str:
    said = f"{100 * score:.0f} % {PATTERNS.get(head['kind'], head['kind'])}"
    return f"block {head['block']}, head {head['head']}\n{textwrap.fill(said, TITLE_CHARACTERS)}"


def _find(heads: Sequence[HeadMap], block: int, head: int) -> HeadMap:
    for found in heads:
        if (found["block"], found["head"]) == (block, head):
            return found
    there = ", ".join(f"{found['block']}.{found['head']}" for found in heads[:8])
    if len(heads) > 8:
        there += " ..."
    raise ModelError(
        f"The picture has no head {head} of block {block}.", fix=f"It has (block.head): {there}"
    )


def draw_head_steps(steps: HeadSteps) -> Any:
    """Draw the vectors above and the tables below.

    Numbers are written where there are few tokens.
    """
    tables, labels = steps["steps"], token_labels(steps["pieces"])
    cell = STEP_CELL_INCHES
    if len(labels) > NUMBERED_TOKENS:
        cell = SMALL_CELL_INCHES
    side, height = max(len(labels) * cell, 2.2), max(len(labels) * ROW_INCHES, 1.2)
    figure = pyplot().figure(figsize=(len(tables) * (side + 1.15), height + side + 3.4))
    above, below = figure.add_gridspec(2, 1, height_ratios=[height + 0.6, side + 0.9])
    rows = labels
    for place, name in zip(above.subgridspec(1, len(VECTORS)), VECTORS, strict=True):
        _vector(figure.add_subplot(place), steps[name], VECTORS[name], rows)
        rows = [""] * len(labels)
    places = below.subgridspec(1, len(tables))
    for number, (place, step) in enumerate(zip(places, tables, strict=True), start=1):
        _table(figure.add_subplot(place), number, step, labels, first=number == 1)
    title = (
        f"Block {steps['block']}, head {steps['head']}, step by step: queries times keys give "
        f"scores (1), softmax gives weights ({len(tables)}), and the output is the weights times "
        "the values"
    )
    return finish(figure, title=title, caption=f"{steps['caption']} {SHADES}")


def draw_step_parts(steps: HeadSteps) -> list[Any]:
    """Draw one figure for each part, in the order of the computation: Q, K, the tables, V, the
    output.
    """
    labels = token_labels(steps["pieces"])
    tables, vectors = [], {}
    for number, step in enumerate(steps["steps"], start=1):
        figure, axes = pyplot().subplots(figsize=(PART_INCHES, PART_INCHES))
        _table(axes, number, step, labels, first=True)
        tables.append(finish(figure))
    height = max(len(labels) * ROW_INCHES, 1.2) + 0.9
    for name, title in VECTORS.items():
        figure, axes = pyplot().subplots(figsize=(PART_INCHES, height))
        _vector(axes, steps[name], title, labels)
        vectors[name] = finish(figure)
    return [vectors["queries"], vectors["keys"], *tables, vectors["values"], vectors["mixed"]]


def _vector(axes: Any, rows: Rows, title: str, labels: Sequence[str]) -> None:
    sizes = sorted(abs(number) for row in rows for number in row)
    largest = sizes[int(SHADED_PART * (len(sizes) - 1))] or 1.0
    image = axes.imshow(
        rows, cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest"
    )
    width = len(rows[0])
    name_tokens(axes, y=labels)
    name_axes(axes, f"component, 1 to {width}", size=SMALL_SIZE)
    axes.set_xticks([0, width - 1], ["1", str(width)], fontsize=SMALL_SIZE)
    axes.set_title(title, fontsize=LABEL_SIZE)
    scale_beside(axes, image, fraction=0.05, pad=0.03, extend="both")


def _table(axes: Any, number: int, step: StepTable, labels: Sequence[str], *, first: bool) -> None:
    rows, weights = step["table"], step["name"] == "weights"
    largest = max(abs(value) for row in rows for value in row if value is not None) or 1.0
    low, high, colours, columns = -largest, largest, SIGNED, "keys"
    if weights:
        low, high, colours, columns = 0.0, 1.0, SHARES, "values"
    axes.imshow(_with_nan(rows), cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    if len(rows) <= NUMBERED_TOKENS:
        _numbers(axes, rows, low, high, light_first=weights)
    queries, names = "", [""] * len(labels)
    if first:
        queries, names = "queries", list(labels)
    name_tokens(axes, x=labels, y=names)
    name_axes(axes, columns, queries, size=SMALL_SIZE)
    axes.set_title(f"{number}. {step['name']}\n{step['done']}", fontsize=LABEL_SIZE)


def _with_nan(rows: Sequence[Sequence[float | None]]) -> Any:
    """The rows with NaN (drawn white) in place of None."""
    import numpy as np

    return np.array(rows, dtype=float)


def _numbers(
    axes: Any, rows: Sequence[Sequence[float | None]], low: float, high: float, *, light_first: bool
) -> None:
    """Write each number into its cell, black or white by the shade below it; -∞ where masked.

    `light_first`: the lowest number has the lightest shade, and 0 is exactly 0, as exp(-∞) is.
    """
    decimals = 1
    if high < 10:
        decimals = 2
    for y, row in enumerate(rows):
        for x, number in enumerate(row):
            if number is None:
                write_at(axes, x, y, "-∞", color=MUTED)
                continue
            share, text = (number - low) / (high - low), f"{number:.{decimals}f}"
            if not light_first:
                colour = ink_on(1 - share, dark=0.5)
            else:
                colour = ink_on(share)
                if number == 0:
                    text = "0"
            write_at(axes, x, y, text, color=colour)
