"""Attention maps as heatmaps (rows are queries, columns are keys), and one head step by step with
the vectors and tables of its computation.

Shades of a map are proportional to the square root of a share, so that small ones are visible; the
scale beside the picture shows it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.errors import ModelError
from groundup.lab.style import (
    LABEL_SIZE,
    MUTED,
    SHARES,
    SIGNED,
    SMALL_SIZE,
    few_ticks,
    finished,
    name_axes,
    name_tokens,
    pyplot,
    scale_beside,
    token_labels,
    write_at,
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
VECTORS = {
    "queries": "queries Q",
    "keys": "keys K",
    "values": "values V",
    "mixed": "output: weights × V",
}
# The quantile at which the shades of a vector's components end, as a few are far larger than all
# others.
SHADED_PART = 0.98
SHADES = "Each table has its own colour scale; in the vectors above, the largest 2 % of the numbers are beyond the scale."


def draw_attention(record: Mapping[str, Any]) -> Any:
    """Draw a map for each head of `attention_record`."""
    heads = record["heads"]
    columns = max(1, len(heads))
    figure, grid = pyplot().subplots(1, columns, figsize=(4.2 * columns, 4.8), squeeze=False)
    for axes, head in zip(grid[0], heads, strict=False):
        square(axes, head["weights"])
        token_axes(axes, record["pieces"], SMALL_SIZE)
        axes.set_title(pattern_title(head), fontsize=LABEL_SIZE)
    if not heads:
        grid[0][0].axis("off")
    return finished(
        figure,
        title="What a few heads attend to: each row is a query, its shades are its attention",
    )


def draw_maps(picture: Mapping[str, Any]) -> Any:
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
    for row, block in zip(grid, blocks, strict=True):
        row[0].set_ylabel(
            f"block {block}", fontsize=LABEL_SIZE, rotation=0, ha="right", va="center"
        )
    for axes, number in zip(grid[0], numbers, strict=True):
        axes.set_title(f"head {number}", fontsize=LABEL_SIZE)
    caption = f"{picture['caption']} Tokens: {' '.join(token_labels(picture['pieces']))}"
    title = "Every head has its own pattern: a diagonal is attention to the previous token, a column to one token always"
    return finished(figure, title=title, caption=caption, colours=_shares(image))


def draw_head(picture: Mapping[str, Any], *, block: int, head: int) -> Any:
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
                write_at(
                    axes, x, y, f"{share:.2f}", color="white" if share > WHITE_ABOVE else "black"
                )
    title = f"Block {block}, head {head}: each row is the attention of one token"
    return finished(figure, title=title, caption=picture.get("caption", ""), colours=_shares(image))


def draw_attention_from(record: Mapping[str, Any]) -> Any:
    """Draw a row for each block, a column for each token up to this one; `record` is from
    `attention_from`.
    """
    names, shares = token_labels(record["pieces"]), record["shares"]
    size = (max(len(names) * CELL_INCHES + 2.4, 5.0), max(len(shares) * 0.26, 1.5) + 2.0)
    figure, axes = pyplot().subplots(figsize=size)
    image = _shaded(axes, shares, origin="lower", aspect="auto")
    name_tokens(axes, x=names, size=LABEL_SIZE)
    axes.set_yticks(*few_ticks(record["blocks"], 16), fontsize=SMALL_SIZE)
    name_axes(axes, KEYS, BLOCKS)
    title = f"What token {record['token']} ({names[-1]}) attends to, from the first block (bottom) to the last (top)"
    return finished(figure, title=title, caption=record["caption"], colours=_shares(image))


def square(axes: Any, weights: Sequence[Sequence[float]]) -> Any:
    """Draw the shares of one head and return the image."""
    return _shaded(axes, seen(weights))


def seen(weights: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the rows with NaN (drawn white) for masked keys, which differ from a share of zero."""
    return [[*row[: y + 1], *[float("nan")] * (len(row) - y - 1)] for y, row in enumerate(weights)]


def _shaded(axes: Any, rows: Sequence[Sequence[float]], **how: Any) -> Any:
    from matplotlib.colors import PowerNorm

    return axes.imshow(rows, cmap=SHARES, norm=PowerNorm(0.5, vmin=0, vmax=1), **how)


def _shares(image: Any) -> tuple[Any, str, Sequence[float]]:
    return image, "share of attention", SHARE_TICKS


def token_axes(axes: Any, pieces: Sequence[Mapping[str, Any]], size: int) -> None:
    labels = token_labels(pieces)
    name_tokens(axes, x=labels, y=labels, size=size)


def pattern_title(head: Mapping[str, Any]) -> str:
    """Return the number of a head, its pattern and its score."""
    pattern = PATTERNS.get(head["kind"], head["kind"])
    return f"block {head['block']}, head {head['head']}\n{100 * head['score']:.0f} % {pattern}"


def _find(heads: Sequence[Mapping[str, Any]], block: int, head: int) -> Mapping[str, Any]:
    for found in heads:
        if (found["block"], found["head"]) == (block, head):
            return found
    there = ", ".join(f"{found['block']}.{found['head']}" for found in heads[:8]) + (
        " ..." if len(heads) > 8 else ""
    )
    raise ModelError(
        f"The picture has no head {head} of block {block}.", fix=f"It has (block.head): {there}"
    )


def draw_head_steps(steps: Mapping[str, Any]) -> Any:
    """Draw the vectors above and the tables below; `steps` is from `head_steps`.

    Numbers are written where there are few tokens.
    """
    tables, labels = steps["steps"], token_labels(steps["pieces"])
    side = max(
        len(labels) * (STEP_CELL_INCHES if len(labels) <= NUMBERED_TOKENS else SMALL_CELL_INCHES),
        2.2,
    )
    height = max(len(labels) * ROW_INCHES, 1.2)
    figure = pyplot().figure(figsize=(len(tables) * (side + 1.15), height + side + 3.4))
    above, below = figure.add_gridspec(2, 1, height_ratios=[height + 0.6, side + 0.9])
    unnamed = [""] * len(labels)
    for place, name in zip(above.subgridspec(1, len(VECTORS)), VECTORS, strict=True):
        _vector(figure.add_subplot(place), steps, name, labels if name == "queries" else unnamed)
    for number, (place, step) in enumerate(
        zip(below.subgridspec(1, len(tables)), tables, strict=True), start=1
    ):
        _table(figure.add_subplot(place), number, step, labels, first=number == 1)
    title = (
        f"Block {steps['block']}, head {steps['head']}, step by step: queries times keys give scores (1), softmax gives weights "
        f"({len(tables)}), and the output is the weights times the values"
    )
    return finished(figure, title=title, caption=f"{steps['caption']} {SHADES}")


def draw_step_parts(steps: Mapping[str, Any]) -> list[Any]:
    """Draw one figure for each part, in the order of the computation: Q, K, the tables, V, the
    output.
    """
    labels = token_labels(steps["pieces"])
    tables, vectors = [], {}
    for number, step in enumerate(steps["steps"], start=1):
        figure, axes = pyplot().subplots(figsize=(PART_INCHES, PART_INCHES))
        _table(axes, number, step, labels, first=True)
        tables.append(finished(figure))
    for name in VECTORS:
        figure, axes = pyplot().subplots(
            figsize=(PART_INCHES, max(len(labels) * ROW_INCHES, 1.2) + 0.9)
        )
        _vector(axes, steps, name, labels)
        vectors[name] = finished(figure)
    return [vectors["queries"], vectors["keys"], *tables, vectors["values"], vectors["mixed"]]


def _vector(axes: Any, steps: Mapping[str, Any], name: str, labels: Sequence[str]) -> None:
    rows = steps[name]
    sizes = sorted(abs(number) for row in rows for number in row)
    largest = sizes[int(SHADED_PART * (len(sizes) - 1))] or 1.0
    image = axes.imshow(
        rows, cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest"
    )
    width = len(rows[0])
    name_tokens(axes, y=labels)
    name_axes(axes, f"component, 1 to {width}", size=SMALL_SIZE)
    axes.set_xticks([0, width - 1], ["1", str(width)], fontsize=SMALL_SIZE)
    axes.set_title(VECTORS[name], fontsize=LABEL_SIZE)
    scale_beside(axes, image, fraction=0.05, pad=0.03, extend="both")


def _table(
    axes: Any, number: int, step: Mapping[str, Any], labels: Sequence[str], *, first: bool
) -> None:
    rows = step["table"]
    weights = step["name"] == "weights"
    largest = max(abs(value) for row in rows for value in row if value is not None) or 1.0
    image = [[float("nan") if value is None else value for value in row] for row in rows]
    low, high, colours = (0.0, 1.0, SHARES) if weights else (-largest, largest, SIGNED)
    axes.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    if len(rows) <= NUMBERED_TOKENS:
        _numbers(axes, rows, low, high, light_first=weights)
    name_tokens(axes, x=labels, y=labels if first else [""] * len(labels))
    name_axes(axes, "values" if weights else "keys", "queries" if first else "", size=SMALL_SIZE)
    axes.set_title(f"{number}. {step['name']}\n{step['done']}", fontsize=LABEL_SIZE)


def _numbers(
    axes: Any, rows: Sequence[Sequence[float | None]], low: float, high: float, *, light_first: bool
) -> None:
    """Write each number into its cell, black or white by the shade below it; -∞ where masked."""
    for y, row in enumerate(rows):
        for x, number in enumerate(row):
            if number is None:
                write_at(axes, x, y, "-∞", color=MUTED)
                continue
            share = (number - low) / (high - low)
            dark = share > 0.55 if light_first else share < 0.5
            text = (
                "0" if light_first and number == 0 else f"{number:.{2 if high < 10 else 1}f}"
            )  # exp(-∞) is a true 0
            write_at(axes, x, y, text, color="white" if dark else "black")
