"""Direct contributions of heads and feed-forward networks as two grids, of neurons as bars."""

from collections.abc import Sequence
from typing import Any, Literal

from groundup.lab.circuit_values import Contributions, NeuronContribution
from groundup.lab.drawing.attention import BLOCKS
from groundup.lab.style import (
    LABEL_SIZE,
    ONE,
    SIGNED,
    SMALL_SIZE,
    few_ticks,
    finish,
    legend,
    name_axes,
    plain,
    pyplot,
    scale_beside,
    show_spaces,
    write_at,
)
from groundup.palette import PALE_TWO

CELL_INCHES, ROW_INCHES, BAR_INCHES = 0.42, 0.24, 0.2
# A number is written into a cell from this share of the scale on; of many cells fewer have one.
WRITTEN, MANY_CELLS = (0.1, 0.35), 60
# The scale ends at the largest head, or at this share of the largest network, which may be larger.
OF_NETWORKS = 0.25
REMOVED = {"facecolor": PALE_TWO, "edgecolor": "black", "hatch": "////", "linewidth": 0.5}
# On a dark cell (below zero) and on a light one.
INKS = ("white", "black")
LEGEND = (
    " FF: the block's feed-forward network. Dark is below zero; networks may be beyond the end of a "
    "scale, as their numbers say."
)


def draw_contributions(values: Contributions) -> Any:
    """Draw what the heads and networks contribute, what is lost without each, and the neurons with
    the largest contributions.
    """
    grids = [_grid(values, "direct"), _grid(values, "mean")]
    blocks, columns, bars = len(grids[0]), len(grids[0][0]), values["neurons"]
    wide = max(columns * CELL_INCHES, 2.2)
    height = max(blocks * ROW_INCHES, len(bars) * BAR_INCHES * 1.3, 1.6)
    ratios = [wide, wide, 3.2][: 2 + bool(bars)]
    size = (sum(ratios) + 2.6, height + 2.4)
    figure, (grid,) = pyplot().subplots(
        1, len(ratios), figsize=size, width_ratios=ratios, squeeze=False
    )
    titles = "direct contribution", "lost when removed\n(mean of the text)"
    for axes, table, title in zip(grid, grids, titles, strict=False):
        image = _draw_grid(axes, table)
        scale_beside(axes, image, "logits", fraction=0.05, pad=0.04)
        axes.set_title(title, fontsize=LABEL_SIZE)
    name_axes(grid[0], y=BLOCKS)
    if bars:
        _draw_neurons(grid[-1], bars)
    return finish(figure, title=_title(values), caption=values["caption"] + LEGEND)


def _grid(values: Contributions, name: Literal["direct", "mean"]) -> list[list[float]]:
    """[blocks, heads and then the feed-forward network]"""
    pairs = zip(values["heads"][name], values["feedforward"][name], strict=True)
    return [[*heads, *network] for heads, network in pairs]


def _draw_grid(axes: Any, table: Sequence[Sequence[float]]) -> Any:
    heads = [abs(value) for row in table for value in row[:-1]]
    networks = [abs(row[-1]) for row in table]
    largest = max(*heads, OF_NETWORKS * max(networks)) or 1.0
    least = largest * WRITTEN[len(heads) > MANY_CELLS]
    options = {"cmap": SIGNED, "vmin": -largest, "vmax": largest}
    image = axes.imshow(table, aspect="auto", origin="lower", **options)
    for y, row in enumerate(table):
        for x, value in enumerate(row):
            if abs(value) >= least:
                write_at(axes, x, y, f"{value:+.1f}", color=INKS[value > 0])
    count = len(table[0]) - 1
    axes.axvline(count - 0.5, color="white", linewidth=2)
    axes.set_xticks(range(count + 1), [*map(str, range(1, count + 1)), "FF"], fontsize=SMALL_SIZE)
    axes.set_yticks(*few_ticks(range(1, len(table) + 1), 16), fontsize=SMALL_SIZE)
    name_axes(axes, "head")
    return image


def _draw_neurons(axes: Any, neurons: Sequence[NeuronContribution]) -> None:
    places = range(len(neurons))
    direct, lost = ([neuron[name] for neuron in neurons] for name in ("direct", "mean"))
    above, below = ([place + shift for place in places] for shift in (-0.2, 0.2))
    axes.barh(above, direct, height=0.36, color=ONE, label="direct")
    axes.barh(below, lost, height=0.36, label="lost when removed", **REMOVED)
    names = [f"block {neuron['block']}, {neuron['neuron']}" for neuron in neurons]
    axes.set_yticks(range(len(names)), names, fontsize=SMALL_SIZE)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.tick_params(axis="x", labelsize=SMALL_SIZE)
    axes.set_title("neurons", fontsize=LABEL_SIZE)
    plain(axes, x="logits")
    legend(axes, loc="best")


def _title(values: Contributions) -> str:
    said = f'"{show_spaces(values["decision"])}" ({100 * values["probability"]:.0f} % probable)'
    if values["against"]:
        said += f' rather than "{show_spaces(values["against"])}"'
    table = _grid(values, "direct")
    entries = [(x, b, h) for b, row in enumerate(table, 1) for h, x in enumerate(row, 1)]
    value, block, column = max(entries)
    part = f"head {column}"
    if column == len(table[0]):
        part = "feed-forward network"
    lost = _grid(values, "mean")[block - 1][column - 1]
    return (
        f"{said}: most comes directly from block {block}'s {part}, {value:+.1f} of "
        f"{values['score']:+.1f}; without it {_fall(lost)}"
    )


def _fall(lost: float) -> str:
    if lost < 0:
        return f"the logit rises by {-lost:.1f}"
    return f"the logit falls by {lost:.1f}"
