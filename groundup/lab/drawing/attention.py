"""Attention maps as heatmaps: rows are queries, columns are keys.

Shades are proportional to the square root of a share, so that small ones are visible; the scale beside the picture shows it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.errors import ModelError
from groundup.lab.style import LABEL_SIZE, SHARES, SMALL_SIZE, finished, pyplot, show_spaces

PATTERNS = {
    "previous": "to the token before",
    "first": "to the first token",
    "same": "to earlier copies of the token",
    "induction": "to what followed earlier copies",
}
# Most tokens of a map whose numbers can be read.
NUMBERED_TOKENS = 14
BLOCKS = "block (1: the first)"
# A share above which black text can't be read.
WHITE_ABOVE = 0.35
CELL_INCHES = 0.42
SMALL_MULTIPLE_INCHES = 0.95
SHARE_TICKS = (0, 0.05, 0.25, 0.5, 1)


def draw_attention(record: Mapping[str, Any]) -> Any:
    """Draw a map for each head of `attention_record`."""
    plt = pyplot()
    heads = record["heads"]
    figure, grid = plt.subplots(1, max(1, len(heads)), figsize=(4.2 * max(1, len(heads)), 4.8), squeeze=False)
    for axes, head in zip(grid[0], heads, strict=False):
        square(axes, head["weights"])
        token_axes(axes, record["pieces"], SMALL_SIZE)
        axes.set_title(pattern_title(head), fontsize=LABEL_SIZE)
    if not heads:
        grid[0][0].axis("off")
    return finished(figure, title="What a few heads attend to: each row is a query, its shades are its attention")


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
        axes.set_xticks([])
        axes.set_yticks([])
    for row, block in zip(grid, blocks, strict=True):
        row[0].set_ylabel(f"block {block}", fontsize=LABEL_SIZE, rotation=0, ha="right", va="center")
    for axes, number in zip(grid[0], numbers, strict=True):
        axes.set_title(f"head {number}", fontsize=LABEL_SIZE)
    tokens = " ".join(show_spaces(piece["text"]) for piece in picture["pieces"])
    title = (
        "Every head has its own pattern: a diagonal is attention to the previous token, a column to one token always"
    )
    return finished(figure, title=title, caption=f"{picture['caption']} Tokens: {tokens}", colours=_shares(image))


def draw_head(picture: Mapping[str, Any], *, block: int, head: int) -> Any:
    """Draw one head of `attention_picture` (or of a record) large, with tokens on its axes. Raises ModelError for one that is not in it."""
    found = _find(picture["heads"], block, head)
    pieces = picture["pieces"]
    side = max(len(pieces) * CELL_INCHES, 2.6)
    figure, axes = pyplot().subplots(figsize=(side + 2.2, side + 2.0))
    image = square(axes, found["weights"])
    token_axes(axes, pieces, LABEL_SIZE)
    axes.set_xlabel("key: attended to", fontsize=LABEL_SIZE)
    axes.set_ylabel("query: attends", fontsize=LABEL_SIZE)
    if len(pieces) <= NUMBERED_TOKENS:
        _write_numbers(axes, found["weights"])
    title = f"Block {block}, head {head}: each row is the attention of one token"
    return finished(figure, title=title, caption=picture.get("caption", ""), colours=_shares(image))


def draw_attention_from(looks: Mapping[str, Any]) -> Any:
    """Draw a row for each block, a column for each token up to this one; `looks` is from `attention_from`."""
    pieces, shares = looks["pieces"], looks["shares"]
    size = (max(len(pieces) * CELL_INCHES + 2.4, 5.0), max(len(shares) * 0.26, 1.5) + 2.0)
    figure, axes = pyplot().subplots(figsize=size)
    image = _shaded(axes, shares, origin="lower", aspect="auto")
    axes.set_xticks(
        range(len(pieces)), _labels(pieces), rotation=60, ha="right", family="monospace", fontsize=LABEL_SIZE
    )
    step = 1 if len(shares) <= 16 else 5
    rows = [row for row, block in enumerate(looks["blocks"]) if row == 0 or block % step == 0]
    axes.set_yticks(rows, [str(looks["blocks"][row]) for row in rows], fontsize=SMALL_SIZE)
    axes.set_xlabel("key: attended to", fontsize=LABEL_SIZE)
    axes.set_ylabel(BLOCKS, fontsize=LABEL_SIZE)
    word = show_spaces(pieces[-1]["text"])
    title = f"What token {looks['token']} ({word}) attends to, from the first block (bottom) to the last (top)"
    return finished(figure, title=title, caption=looks["caption"], colours=_shares(image))


def square(axes: Any, weights: Sequence[Sequence[float]]) -> Any:
    """Draw the shares of one head and return the image."""
    return _shaded(axes, seen(weights))


def seen(weights: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the rows with NaN (drawn white) for masked keys, which differ from a share of zero."""
    return [[*row[: y + 1], *[float("nan")] * (len(row) - y - 1)] for y, row in enumerate(weights)]


def _shaded(axes: Any, rows: Sequence[Sequence[float]], **how: Any) -> Any:
    from matplotlib.colors import PowerNorm

    return axes.imshow(rows, cmap=SHARES, norm=PowerNorm(0.5, vmin=0, vmax=1), **how)


def _write_numbers(axes: Any, weights: Sequence[Sequence[float]]) -> None:
    """Write each share into its cell, white on dark ones."""
    for y, row in enumerate(weights):
        for x, share in enumerate(row[: y + 1]):
            colour = "white" if share > WHITE_ABOVE else "black"
            axes.text(x, y, f"{share:.2f}", ha="center", va="center", fontsize=SMALL_SIZE, color=colour)


def _shares(image: Any) -> tuple[Any, str, Sequence[float]]:
    return image, "share of attention", SHARE_TICKS


def _labels(pieces: Sequence[Mapping[str, Any]]) -> list[str]:
    return [show_spaces(piece["text"]) for piece in pieces]


def token_axes(axes: Any, pieces: Sequence[Mapping[str, Any]], size: int) -> None:
    labels = _labels(pieces)
    axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", family="monospace", fontsize=size)
    axes.set_yticks(range(len(labels)), labels, family="monospace", fontsize=size)


def pattern_title(head: Mapping[str, Any]) -> str:
    """Return the number of a head, its pattern and its score."""
    pattern = PATTERNS.get(head["kind"], head["kind"])
    return f"block {head['block']}, head {head['head']}\n{100 * head['score']:.0f} % {pattern}"


def _find(heads: Sequence[Mapping[str, Any]], block: int, head: int) -> Mapping[str, Any]:
    for found in heads:
        if (found["block"], found["head"]) == (block, head):
            return found
    there = ", ".join(f"{found['block']}.{found['head']}" for found in heads[:8]) + (" ..." if len(heads) > 8 else "")
    raise ModelError(f"The picture has no head {head} of block {block}.", fix=f"It has (block.head): {there}")
