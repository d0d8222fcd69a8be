"""One head's computation: its queries, keys and values as heatmaps, the tables between them, and the output."""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.lab.drawing.attention import NUMBERED_TOKENS
from groundup.lab.style import LABEL_SIZE, MUTED, SHARES, SIGNED, SMALL_SIZE, finished, pyplot, show_spaces

# Inches of a cell with its number and without, and of a row of a vector.
CELL_INCHES, SMALL_CELL_INCHES, ROW_INCHES = 0.4, 0.16, 0.19
# A part beside others on a page.
PART_INCHES = 4.7
VECTORS = {
    "queries": "queries Q",
    "keys": "keys K",
    "values": "values V",
    "mixed": "output: weights × V",
}
# The quantile at which the shades of a vector's components end, as a few are far larger than all others.
SHADED_PART = 0.98
SHADES = (
    "Each table has its own colour scale; in the vectors above, the largest 2 % of the numbers are beyond the scale."
)


def draw_head_steps(steps: Mapping[str, Any]) -> Any:
    """Draw the vectors above and the tables below; `steps` is from `head_steps`. Numbers are written where there are few tokens."""
    tables, labels = steps["steps"], [show_spaces(piece["text"]) for piece in steps["pieces"]]
    side = max(len(labels) * (CELL_INCHES if len(labels) <= NUMBERED_TOKENS else SMALL_CELL_INCHES), 2.2)
    height = max(len(labels) * ROW_INCHES, 1.2)
    columns = len(tables)
    figure = pyplot().figure(figsize=(columns * (side + 1.15), height + side + 3.4))
    above, below = figure.add_gridspec(2, 1, height_ratios=[height + 0.6, side + 0.9])
    _vectors(figure, above.subgridspec(1, 4), steps, labels)
    grid = below.subgridspec(1, columns)
    for column, step in enumerate(tables):
        _table(figure.add_subplot(grid[column]), f"{column + 1}", step, labels, first=column == 0)
    title = (
        f"Block {steps['block']}, head {steps['head']}, step by step: queries times keys give scores (1), softmax gives weights "
        f"({len(tables)}), and the output is the weights times the values"
    )
    return finished(figure, title=title, caption=f"{steps['caption']} {SHADES}")


def draw_step_parts(steps: Mapping[str, Any]) -> list[Any]:
    """Draw one figure for each part, in the order of the computation: Q, K, the tables, V, the output."""
    labels = [show_spaces(piece["text"]) for piece in steps["pieces"]]
    tables = [_table_part(f"{number}", step, labels) for number, step in enumerate(steps["steps"], start=1)]
    vectors = {name: _vector_part(steps, name, labels) for name in VECTORS}
    return [vectors["queries"], vectors["keys"], *tables, vectors["values"], vectors["mixed"]]


def _vector_part(steps: Mapping[str, Any], name: str, labels: Sequence[str]) -> Any:
    figure, axes = pyplot().subplots(figsize=(PART_INCHES, max(len(labels) * ROW_INCHES, 1.2) + 0.9))
    _vector(figure, axes, name, steps[name], labels)
    return finished(figure)


def _table_part(number: str, step: Mapping[str, Any], labels: Sequence[str]) -> Any:
    figure, axes = pyplot().subplots(figsize=(PART_INCHES, PART_INCHES))
    _table(axes, number, step, labels, first=True)
    return finished(figure)


def _vectors(figure: Any, grid: Any, steps: Mapping[str, Any], labels: Sequence[str]) -> None:
    for column, name in enumerate(VECTORS):
        shown = labels if column == 0 else [""] * len(labels)
        _vector(figure, figure.add_subplot(grid[column]), name, steps[name], shown)


def _vector(figure: Any, axes: Any, name: str, rows: Sequence[Sequence[float]], labels: Sequence[str]) -> None:
    largest = _shaded_up_to(rows)
    image = axes.imshow(rows, cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(labels)), labels, family="monospace", fontsize=SMALL_SIZE)
    axes.set_xlabel(f"component, 1 to {len(rows[0])}", fontsize=SMALL_SIZE)
    axes.set_xticks([0, len(rows[0]) - 1], ["1", str(len(rows[0]))], fontsize=SMALL_SIZE)
    axes.set_title(VECTORS[name], fontsize=LABEL_SIZE)
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.03, extend="both").ax.tick_params(labelsize=SMALL_SIZE)


def _shaded_up_to(rows: Sequence[Sequence[float]]) -> float:
    sizes = sorted(abs(number) for row in rows for number in row)
    return sizes[int(SHADED_PART * (len(sizes) - 1))] or 1.0


def _table(axes: Any, number: str, step: Mapping[str, Any], labels: Sequence[str], *, first: bool) -> None:
    rows = step["table"]
    weights = step["name"] == "weights"
    seen = [value for row in rows for value in row if value is not None]
    largest = max(map(abs, seen)) or 1.0
    image = [[float("nan") if value is None else value for value in row] for row in rows]
    low, high, colours = (0.0, 1.0, SHARES) if weights else (-largest, largest, SIGNED)
    axes.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    if len(rows) <= NUMBERED_TOKENS:
        _numbers(axes, rows, low, high, light_first=weights)
    axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", family="monospace", fontsize=SMALL_SIZE)
    axes.set_yticks(
        range(len(labels)), labels if first else [""] * len(labels), family="monospace", fontsize=SMALL_SIZE
    )
    axes.set_xlabel("keys" if not weights else "values", fontsize=SMALL_SIZE)
    if first:
        axes.set_ylabel("queries", fontsize=SMALL_SIZE)
    axes.set_title(f"{number}. {step['name']}\n{step['done']}", fontsize=LABEL_SIZE)


def _numbers(axes: Any, rows: Sequence[Sequence[float | None]], low: float, high: float, *, light_first: bool) -> None:
    """Write each number into its cell, black or white by the shade below it; -∞ where masked."""
    for y, row in enumerate(rows):
        for x, number in enumerate(row):
            if number is None:
                axes.text(x, y, "-∞", ha="center", va="center", fontsize=SMALL_SIZE, color=MUTED)
                continue
            share = (number - low) / (high - low)
            dark = share > 0.55 if light_first else share < 0.5
            text = "0" if light_first and number == 0 else f"{number:.{2 if high < 10 else 1}f}"  # exp(-∞) is a true 0
            axes.text(x, y, text, ha="center", va="center", fontsize=SMALL_SIZE, color="white" if dark else "black")
