"""Where heads look: squares of shares, row = the token that looks, column = where.

Shades grow with the square root of a share, so that the many small ones are seen; the scale beside the picture says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.errors import ModelError
from groundup.lab.style import LABEL_SIZE, SHARES, SMALL_SIZE, finished, pyplot, show_spaces

HABITS = {
    "previous": "to the token just before",
    "first": "to the first token",
    "same": "to earlier copies of itself",
    "induction": "to what followed earlier copies",
}
# Tokens of a square in which its numbers can still be read.
NUMBERED_TOKENS = 14
BLOCKS = "block (1: the first)"
# A share that is so dark that black on it can't be read.
WHITE_ABOVE = 0.35
CELL_INCHES = 0.42
SMALL_MULTIPLE_INCHES = 0.95
SHARE_TICKS = (0, 0.05, 0.25, 0.5, 1)


def draw_attention(record: Mapping[str, Any]) -> Any:
    """A square for each head of `attention_record`."""
    plt = pyplot()
    heads = record["heads"]
    figure, grid = plt.subplots(1, max(1, len(heads)), figsize=(4.2 * max(1, len(heads)), 4.8), squeeze=False)
    for axes, head in zip(grid[0], heads, strict=False):
        square(axes, head["weights"])
        token_axes(axes, record["pieces"], SMALL_SIZE)
        axes.set_title(habit_title(head), fontsize=LABEL_SIZE)
    if not heads:
        grid[0][0].axis("off")
    return finished(figure, title="Where a few heads look: each row is a token, its shades are where it looks")


def draw_maps(picture: Mapping[str, Any]) -> Any:
    """All heads of `attention_picture` as small squares: a row of them for each block."""
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
    title = "Every head has a pattern of its own: a diagonal looks one back, a column always to the same token"
    return finished(figure, title=title, caption=f"{picture['caption']} Tokens: {tokens}", colours=_shares(image))


def draw_head(picture: Mapping[str, Any], *, block: int, head: int) -> Any:
    """One head of `attention_picture` (or of a record) large, with tokens on its axes. Raises ModelError for one that is not in it."""
    found = _find(picture["heads"], block, head)
    pieces = picture["pieces"]
    side = max(len(pieces) * CELL_INCHES, 2.6)
    figure, axes = pyplot().subplots(figsize=(side + 2.2, side + 2.0))
    image = square(axes, found["weights"])
    token_axes(axes, pieces, LABEL_SIZE)
    axes.set_xlabel("looked at", fontsize=LABEL_SIZE)
    axes.set_ylabel("looking", fontsize=LABEL_SIZE)
    if len(pieces) <= NUMBERED_TOKENS:
        _write_numbers(axes, found["weights"])
    title = f"Block {block}, head {head}: read along a row where that token looks"
    return finished(figure, title=title, caption=picture.get("caption", ""), colours=_shares(image))


def draw_attention_from(looks: Mapping[str, Any]) -> Any:
    """A row for each block, a column for each token that could be seen; `looks` is from `attention_from`."""
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
    axes.set_xlabel("looked at", fontsize=LABEL_SIZE)
    axes.set_ylabel(BLOCKS, fontsize=LABEL_SIZE)
    word = show_spaces(pieces[-1]["text"])
    title = f"Where token {looks['token']} ({word}) looks, from the first block (below) to the last (on top)"
    return finished(figure, title=title, caption=looks["caption"], colours=_shares(image))


def square(axes: Any, weights: Sequence[Sequence[float]]) -> Any:
    """The shares of one head, as an image."""
    return _shaded(axes, seen(weights))


def seen(weights: Sequence[Sequence[float]]) -> list[list[float]]:
    """White where a token may not look, which is not the same as a share of nothing."""
    return [[*row[: y + 1], *[float("nan")] * (len(row) - y - 1)] for y, row in enumerate(weights)]


def _shaded(axes: Any, rows: Sequence[Sequence[float]], **how: Any) -> Any:
    from matplotlib.colors import PowerNorm

    return axes.imshow(rows, cmap=SHARES, norm=PowerNorm(0.5, vmin=0, vmax=1), **how)


def _write_numbers(axes: Any, weights: Sequence[Sequence[float]]) -> None:
    """Each share in its cell, white on the dark ones."""
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


def habit_title(head: Mapping[str, Any]) -> str:
    """What a head does most, and how much."""
    habit = HABITS.get(head["kind"], head["kind"])
    return f"block {head['block']}, head {head['head']}\n{100 * head['score']:.0f} % {habit}"


def _find(heads: Sequence[Mapping[str, Any]], block: int, head: int) -> Mapping[str, Any]:
    for found in heads:
        if (found["block"], found["head"]) == (block, head):
            return found
    there = ", ".join(f"{found['block']}.{found['head']}" for found in heads[:8]) + (" ..." if len(heads) > 8 else "")
    raise ModelError(f"The picture has no head {head} of block {block}.", fix=f"It has (block.head): {there}")
