"""Measures of every head of a model as heatmaps, a row for each block, a column for each head; and
the ablation of each head and each block.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from groundup.lab.drawing.attention import BLOCKS, PATTERNS
from groundup.lab.style import (
    LABEL_SIZE,
    ONE,
    SCALE_INCHES,
    SHARES,
    SMALL_SIZE,
    TWO,
    WIDTH_INCHES,
    few_ticks,
    finish,
    ink_on,
    name_axes,
    plain,
    plain_numbers,
    pyplot,
    scale_beside,
    write_at,
)
from groundup.lab.values import (
    AblationTable,
    HalfLosses,
    HeadDistances,
    HeadNumber,
    HeadScores,
    HeadSearch,
)

# Inches of a cell at most and at least, and of the margin of a heatmap with a colour scale and of
# one without.
SQUARE, SMALLEST_SQUARE, AROUND, AROUND_WITHOUT_SCALE = 0.24, 0.12, 1.2, 0.35
ROW_SQUARES, LOWEST = 1.4, 1.8
# The best of many heads is above chance by luck; it counts as found from this many times chance on.
TIMES_CHANCE = 3
Measure = Literal["distance_beyond_first_tokens", "entropy_bits", "first_share"]
# Measure, title, unit, the darkest value (None: the largest).
FIELDS: tuple[tuple[Measure, str, str, float | None], ...] = (
    (
        "distance_beyond_first_tokens",
        "How far back\n(first token left out)",
        "mean distance, tokens",
        None,
    ),
    ("entropy_bits", "How widely", "entropy, bits", None),
    ("first_share", "Attention to\nthe first token", "share of attention", 1.0),
)
# Of an ablation, whose cells have numbers.
CELL_INCHES, ROW_INCHES = 0.46, 0.22
# A change is written into its cell where it is this many standard errors from zero.
CLEAR_ERRORS = 2.0
LEGEND = (
    f" Numbers: changes of more than {CLEAR_ERRORS:.0f} standard errors; white: no loss. Blocks: "
    "logarithmic beyond 0.1."
)


def draw_head_search(found: HeadSearch) -> Any:
    heads = found["heads"]
    figure, fields = _by_head_figure(heads, len(found["kinds"]), AROUND_WITHOUT_SCALE)
    image = None
    for axes, kind in zip(fields, found["kinds"], strict=True):
        name, best = kind["kind"], kind["best"][0]
        image = _draw_by_head(axes, heads, [head["scores"][name] for head in heads], top=1.0)
        said = "none found"
        if best["score"] > TIMES_CHANCE * kind["chance"]:
            frame = {"fill": False, "edgecolor": "black", "linewidth": 1.3}
            corner = (best["head"] - 1.5, best["block"] - 1.5)
            axes.add_patch(pyplot().Rectangle(corner, 1, 1, **frame))
            said = f"block {best['block']}, head {best['head']}:\n{best['score']:.2f}"
        title = (
            f"{name}:\n{textwrap.fill(PATTERNS[name], 17)}\n{said} (chance {kind['chance']:.2f})"
        )
        axes.set_title(title, fontsize=SMALL_SIZE)
    colours = (image, "share of attention", (0, 0.25, 0.5, 0.75, 1))
    caption = f"{found['caption']}{_losses(found['loss'])}"
    return finish(figure, title=_title(heads), caption=caption, colours=colours)


def _title(heads: Sequence[HeadScores]) -> str:
    counts = Counter(head["named"] for head in heads if head["named"] is not None)
    if not counts:
        return f"None of {len(heads)} heads gives more than half of its attention to one pattern"
    said = ", ".join(f"{count} {PATTERNS[kind]}" for kind, count in counts.most_common())
    return (
        f"{sum(counts.values())} of {len(heads)} heads give most of their attention to one "
        f"pattern: {said}"
    )


def _losses(loss: HalfLosses | None) -> str:
    if loss is None:
        return ""
    return (
        f" Loss: {loss['first_half']:.2f} nats per token in the first half, "
        f"{loss['second_half']:.2f} in the second."
    )


def draw_head_distances(reach: HeadDistances) -> Any:
    """Draw three heatmaps with a cell for each head."""
    heads = reach["heads"]
    figure, fields = _by_head_figure(heads, len(FIELDS), AROUND)
    for axes, (measure, name, unit, top) in zip(fields, FIELDS, strict=True):
        image = _draw_by_head(axes, heads, [head[measure] for head in heads], top=top)
        scale_beside(axes, image, unit, fraction=0.08, pad=0.06)
        axes.set_title(name, fontsize=LABEL_SIZE)
    alike = reach["uniform"]
    evenly = (
        f"Uniform attention would have {alike['distance_beyond_first_tokens']:.1f} tokens, "
        f"{alike['entropy_bits']:.1f} bits and a share of {alike['first_share']:.2f} on the first "
        "token."
    )
    title = f"How far back each head attends: {len(heads)} heads on {reach['tokens']} tokens"
    return finish(figure, title=title, caption=f"{reach['caption']} {evenly}")


def _by_head_figure(
    heads: Iterable[HeadNumber], fields: int, around: float
) -> tuple[Any, list[Any]]:
    """A figure with `fields` axes side by side, each with room for a cell for every head and a
    margin of `around` inches.
    """
    blocks, most = _shape(heads)
    beside = WIDTH_INCHES - SCALE_INCHES - 0.3
    square = max(min((beside / fields - around) / most, SQUARE), SMALLEST_SQUARE)
    width = max(fields * (most * square + around) + SCALE_INCHES + 0.3, WIDTH_INCHES)
    size = (width, max(blocks * square * ROW_SQUARES, LOWEST) + 2.6)
    figure, grid = pyplot().subplots(1, fields, figsize=size, squeeze=False, sharey=True)
    name_axes(grid[0][0], y=BLOCKS)
    return figure, list(grid[0])


def _draw_by_head(
    axes: Any, heads: Sequence[HeadNumber], values: Iterable[float], *, top: float | None
) -> Any:
    """Draw the heatmap of one measure and return its image; `top` is the darkest value (None:
    the largest).
    """
    blocks, most = _shape(heads)
    field = [[float("nan")] * most for _ in range(blocks)]
    for head, value in zip(heads, values, strict=True):
        field[head["block"] - 1][head["head"] - 1] = value
    image = axes.imshow(field, cmap=SHARES, vmin=0, vmax=top, aspect="auto", origin="lower")
    axes.set_xticks(*few_ticks(range(1, most + 1), 12), fontsize=SMALL_SIZE)
    axes.set_yticks(*few_ticks(range(1, blocks + 1), 12), fontsize=SMALL_SIZE)
    name_axes(axes, "head")
    return image


def _shape(heads: Iterable[HeadNumber]) -> tuple[int, int]:
    numbers = [(head["block"], head["head"]) for head in heads]
    return max(block for block, _ in numbers), max(head for _, head in numbers)


def draw_ablation(table: AblationTable) -> Any:
    """Draw the change of the loss without each head as a heatmap, darker for a larger one, and
    without each block as bars.
    """
    heads, best = table["heads"], table["most"][0]
    blocks, most = len(heads), len(heads[0])
    size = (most * CELL_INCHES + 2.9, max(blocks * ROW_INCHES, 1.4) + 2.4)
    figure, (field, side) = pyplot().subplots(
        1, 2, figsize=size, width_ratios=[most * CELL_INCHES, 1.9], sharey=True
    )
    largest = max(max(map(max, heads)), 1e-6)
    field.imshow(heads, cmap=SHARES, vmin=0, vmax=largest, aspect="auto", origin="lower")
    for y, (row, errors) in enumerate(zip(heads, table["heads_error"], strict=True)):
        for x, (change, error) in enumerate(zip(row, errors, strict=True)):
            if abs(change) > CLEAR_ERRORS * error and abs(change) >= 0.005:
                write_at(field, x, y, f"{change:+.2f}", color=ink_on(change / largest))
    field.set_xticks(range(most), [str(head) for head in range(1, most + 1)], fontsize=SMALL_SIZE)
    field.set_yticks(*few_ticks(range(1, blocks + 1), 16), fontsize=SMALL_SIZE)
    name_axes(field, "head removed", BLOCKS)
    _draw_blocks(side, table["blocks"])
    title = (
        f"Without block {best['block']}'s head {best['head']} the text is predicted worst: "
        f"+{best['change']:.2f} to a loss of {table['loss']:.2f} nats per token"
    )
    return finish(figure, title=title, caption=table["caption"] + LEGEND)


def _draw_blocks(axes: Any, changes: Sequence[float]) -> None:
    colours = [{True: ONE, False: TWO}[change >= 0] for change in changes]
    axes.barh(range(len(changes)), changes, color=colours, height=0.7)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xscale("symlog", linthresh=0.1)
    plain_numbers(axes.xaxis)
    axes.tick_params(labelsize=SMALL_SIZE)
    plain(axes, x="whole block skipped:\nchange, nats per token")
