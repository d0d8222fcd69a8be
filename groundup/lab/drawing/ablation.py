"""The change of the loss without each head, as a heatmap, and without each block, as bars."""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.lab.drawing.attention import BLOCKS
from groundup.lab.style import LABEL_SIZE, ONE, SHARES, SMALL_SIZE, TWO, finished, plain, pyplot

CELL_INCHES, ROW_INCHES = 0.46, 0.22
# A change is written into its cell where it is this many standard errors from zero.
CLEAR_ERRORS = 2.0
DARK = 0.55


def draw_ablation(table: Mapping[str, Any]) -> Any:
    """Draw blocks upwards and heads to the right, darker for a larger change. `table` is from `ablation`."""
    heads, errors = table["heads"], table["heads_error"]
    size = (len(heads[0]) * CELL_INCHES + 4.2, max(len(heads) * ROW_INCHES, 1.4) + 2.2)
    ratios = [len(heads[0]) * CELL_INCHES, 2.6]
    figure, (field, side) = pyplot().subplots(1, 2, figsize=size, width_ratios=ratios, sharey=True)
    largest = max(max(map(max, heads)), 1e-6)
    field.imshow(heads, cmap=SHARES, vmin=0, vmax=largest, aspect="auto", origin="lower")
    for y, (row, row_errors) in enumerate(zip(heads, errors, strict=True)):
        for x, (change, error) in enumerate(zip(row, row_errors, strict=True)):
            _cell(field, x, y, change, error, largest)
    _axes(field, len(heads), len(heads[0]))
    _blocks(side, table["blocks"])
    best = table["most"][0]
    title = (
        f"Without block {best['block']}'s head {best['head']} the text is predicted worst: "
        f"+{best['change']:.2f} to a loss of {table['loss']:.2f} nats per token"
    )
    return finished(figure, title=title, caption=table["caption"] + LEGEND)


LEGEND = f" Numbers: changes of more than {CLEAR_ERRORS:.0f} standard errors; white: no loss. Blocks: logarithmic beyond 0.1."


def _cell(axes: Any, x: int, y: int, change: float, error: float, largest: float) -> None:
    if abs(change) > CLEAR_ERRORS * error and abs(change) >= 0.005:
        colour = "white" if change > DARK * largest else "black"
        axes.text(x, y, f"{change:+.2f}", ha="center", va="center", fontsize=SMALL_SIZE - 1, color=colour)


def _axes(axes: Any, blocks: int, heads: int) -> None:
    axes.set_xticks(range(heads), [str(head) for head in range(1, heads + 1)], fontsize=SMALL_SIZE)
    step = 1 if blocks <= 16 else 5
    numbers = [number for number in range(1, blocks + 1) if number == 1 or number % step == 0]
    axes.set_yticks([number - 1 for number in numbers], [str(number) for number in numbers], fontsize=SMALL_SIZE)
    axes.set_xlabel("head removed", fontsize=LABEL_SIZE)
    axes.set_ylabel(BLOCKS, fontsize=LABEL_SIZE)


def _blocks(axes: Any, changes: Sequence[float]) -> None:
    colours = [ONE if change >= 0 else TWO for change in changes]
    axes.barh(range(len(changes)), changes, color=colours, height=0.7)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set_xlabel("whole block skipped:\nchange, nats per token", fontsize=LABEL_SIZE)
    axes.tick_params(labelsize=SMALL_SIZE)
    plain(axes)
