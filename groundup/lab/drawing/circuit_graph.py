"""A graph of a prediction: a column for each token, and upwards the order of computation."""

from collections import defaultdict
from typing import Any

from groundup.lab.circuit_values import CircuitGraph, GraphNode, is_confirmed
from groundup.lab.style import (
    ONE,
    SMALL_SIZE,
    TWO,
    finish,
    pyplot,
    show_spaces,
    write_at,
)
from groundup.palette import PIECES

COLUMN_INCHES, ROW_INCHES = 0.8, 0.6
# Edges that are drawn: those of the largest weights, and none below this share of the largest.
MOST_EDGES, LEAST_SHARE = 60, 0.04
THICKEST, UNCONFIRMED = 3.5, 0.12
SHADES = dict(zip(("token", "head", "network", "feature"), PIECES, strict=True))
LEGEND = (
    "A line goes from what is read to what reads it, thicker for a larger weight, dashed where it "
    "lowers the prediction, and pale where cutting it alone did not confirm it; head 3.2 is block "
    "3's head 2. Numbers: effects on the log-probability, in nats."
)
Place = tuple[float, float]


def draw_graph(values: CircuitGraph) -> Any:
    """Draw the nodes as boxes and the largest edges as lines."""
    nodes = values["nodes"]
    levels = sorted({_level(node) for node in nodes})
    places, columns = _places(nodes, levels)
    top = len(levels)
    width = max(columns.values(), default=0.0) + 1
    size = (max(width * COLUMN_INCHES, 4.5) + 1.2, (top + 1) * ROW_INCHES + 2.2)
    figure, axes = pyplot().subplots(figsize=size)
    end = (max((x for x, _ in places), default=0.0), float(top))
    _draw_edges(axes, values, places, end)
    for node, (x, y) in zip(nodes, places, strict=True):
        _box(axes, x, y, _label(node, values), SHADES[node["kind"]])
    _box(axes, *end, f"→ “{show_spaces(values['decision'])}”", "white")
    axes.set_xlim(-0.6, width - 0.4)
    axes.set_ylim(-0.6, top + 0.5)
    names = [_level_name(level) for level in levels]
    axes.set_yticks(range(top), names, fontsize=SMALL_SIZE)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    return finish(figure, title=_title(values), caption=LEGEND)


def _level(node: GraphNode) -> tuple[int, int]:
    return node["block"], ("token", "head", "network", "feature").index(node["kind"])


def _level_name(level: tuple[int, int]) -> str:
    block, kind = level
    return ("tokens", f"heads of {block}", f"network {block}", f"features of {block}")[kind]


def _places(
    nodes: list[GraphNode], levels: list[tuple[int, int]]
) -> tuple[list[Place], dict[int, float]]:
    """Of each node, and where the last place of each token's column is."""
    counts: dict[int, dict[tuple[int, int], int]] = defaultdict(lambda: defaultdict(int))
    within = []
    for node in nodes:
        cell = counts[node["token"]]
        within.append(cell[_level(node)])
        cell[_level(node)] += 1
    starts, ends, start = {}, {}, 0.0
    for token in sorted(counts):
        wide = max(counts[token].values())
        starts[token], ends[token] = start, start + wide - 1
        start += wide + 0.25
    places = [
        (starts[node["token"]] + offset, float(levels.index(_level(node))))
        for node, offset in zip(nodes, within, strict=True)
    ]
    return places, ends


def _draw_edges(axes: Any, values: CircuitGraph, places: list[Place], end: Place) -> None:
    edges = values["edges"][:MOST_EDGES]
    largest = max((abs(edge["weight"]) for edge in edges), default=0.0)
    for edge in edges:
        share = abs(edge["weight"]) / (largest or 1.0)
        if share < LEAST_SHARE:
            continue
        target = end
        if edge["target"] is not None:
            target = places[edge["target"]]
        (x, y), style = places[edge["source"]], {"color": ONE}
        if edge["weight"] < 0:
            style = {"color": TWO, "linestyle": "dashed"}
        width = 0.4 + THICKEST * share
        points = [x, target[0]], [y + 0.18, target[1] - 0.18]
        alpha = (UNCONFIRMED, 0.55)[is_confirmed(edge)]
        axes.plot(*points, linewidth=width, alpha=alpha, zorder=1, solid_capstyle="butt", **style)


def _box(axes: Any, x: float, y: float, label: str, colour: str) -> None:
    frame = {"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "black"}
    write_at(axes, x, y, label, bbox={**frame, "linewidth": 0.5}, zorder=2)


def _label(node: GraphNode, values: CircuitGraph) -> str:
    """The part; the token stands at the bottom of its column only where it is a node itself."""
    token = show_spaces(values["pieces"][node["token"] - 1]["text"])
    name = node["name"].split(" at ")[0].replace("network", "net")
    if node["kind"] == "token":
        return f"{name}\n{node['effect']:+.1f}"
    return f"{name.replace('feature ', 'f')}\nat “{token}” {node['effect']:+.1f}"


def _title(values: CircuitGraph) -> str:
    said = f"“{show_spaces(values['decision'])}” ({100 * values['probability']:.0f} % probable)"
    if not values["explained"]:
        return f"{said}: not explained, faithfulness {values['faithfulness']:.2f}"
    count = len(values["nodes"])
    return f"{said}: {count} parts explain it, faithfulness {values['faithfulness']:.2f}"
