"""One number for every head of a model: a field of squares, a row for each block, a column for each head."""

from collections.abc import Iterable, Mapping
from typing import Any

from groundup.lab.style import LABEL_SIZE, SHARES, SMALL_SIZE, pyplot

# Inches of a square, and of what stands around a field that has a scale of its own and one that has none.
SQUARE, AROUND, AROUND_WITHOUT_SCALE = 0.24, 1.5, 0.5
NARROWEST, LOWEST = 2.3, 1.8
BLOCKS = "block (1: the first)"


def by_head_figure(heads: Iterable[Mapping[str, Any]], fields: int, *, scales: bool) -> tuple[Any, list[Any]]:
    """A figure with `fields` axes side by side, each with room for a square for every head, and (`scales`) a scale beside it."""
    blocks, most = _shape(heads)
    around = AROUND if scales else AROUND_WITHOUT_SCALE
    size = (fields * max(most * SQUARE + around, NARROWEST) + 0.6, max(blocks * SQUARE, LOWEST) + 1.9)
    figure, grid = pyplot().subplots(1, fields, figsize=size, squeeze=False)
    grid[0][0].set_ylabel(BLOCKS, fontsize=LABEL_SIZE)
    return figure, list(grid[0])


def draw_by_head(
    axes: Any, heads: Iterable[Mapping[str, Any]], values: Iterable[float], *, unit: str = "", top: float | None = None
) -> Any:
    """The field of one measure; `top` is the value that is darkest (None: the largest), `unit` the name of a scale beside it ("": none)."""
    heads = list(heads)
    blocks, most = _shape(heads)
    field = [[float("nan")] * most for _ in range(blocks)]
    for head, value in zip(heads, values, strict=True):
        field[head["block"] - 1][head["head"] - 1] = value
    image = axes.imshow(field, cmap=SHARES, vmin=0, vmax=top, aspect="equal", origin="lower")
    axes.set_xticks(*_ticks(most), fontsize=SMALL_SIZE)
    axes.set_yticks(*_ticks(blocks), fontsize=SMALL_SIZE)
    axes.set_xlabel("head", fontsize=LABEL_SIZE)
    if unit:
        _draw_bar(axes, image, unit)
    return image


def _draw_bar(axes: Any, image: Any, unit: str) -> None:
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.08, pad=0.06)
    bar.set_label(unit, fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE)


def mark_head(axes: Any, head: Mapping[str, Any]) -> None:
    """A frame around one head's square."""
    left, below = head["head"] - 1.5, head["block"] - 1.5
    axes.add_patch(pyplot().Rectangle((left, below), 1, 1, fill=False, edgecolor="black", linewidth=1.3))


def _shape(heads: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    heads = list(heads)
    return max(head["block"] for head in heads), max(head["head"] for head in heads)


def _ticks(count: int) -> tuple[list[int], list[str]]:
    """Places and names, every one of a few, and of many every fifth."""
    step = 1 if count <= 12 else 5
    numbers = [number for number in range(1, count + 1) if number == 1 or number % step == 0]
    return [number - 1 for number in numbers], [str(number) for number in numbers]
