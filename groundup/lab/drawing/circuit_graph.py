"""A graph of a prediction: a column for each token, and upwards the order of computation."""

import math
from collections import Counter
from typing import Any

from groundup.lab.circuit_values import CircuitGraph, GraphNode, is_confirmed
from groundup.lab.style import (
    ONE,
    SMALL_SIZE,
    TWO,
    WIDTH_INCHES,
    finish,
    pyplot,
    shorten,
    show_spaces,
    write_at,
)
from groundup.palette import PIECES

BOX_INCHES, ROW_INCHES = 0.66, 0.68
# Of a page's column: the names of rows stand left of the boxes.
NAMES_INCHES = 1.3
ROOM_BOXES = (WIDTH_INCHES - NAMES_INCHES) / BOX_INCHES
# The tallest column has at least so many boxes more beside its first, whatever the width.
LEAST_MORE, TOKEN_CHARACTERS = 2, 8
# Between two columns.
LEAST_GAP, LARGEST_GAP = 0.15, 1.0
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
Level = tuple[int, int]


def draw_graph(values: CircuitGraph) -> Any:
    """Draw the nodes as boxes and the largest edges as lines; as wide as a page's column where its
    tokens fit one box each.
    """
    nodes = values["nodes"]
    levels = sorted({_level(node) for node in nodes})
    columns = _Columns(nodes)
    rows = _first_rows(nodes, levels, columns)
    places = _places(nodes, columns, rows)
    top = float(rows[None])
    width = max(columns.width, ROOM_BOXES)
    size = (width * BOX_INCHES + NAMES_INCHES, (top + 1) * ROW_INCHES + 1.6)
    figure, axes = pyplot().subplots(figsize=size)
    end = (max((x for x, _ in places), default=0.0), top)
    _draw_edges(axes, values, places, end)
    for node, (x, y) in zip(nodes, places, strict=True):
        _box(axes, x, y, _label(node, values), SHADES[node["kind"]])
    _box(axes, *end, f"→ “{show_spaces(values['decision'])}”", "white")
    axes.set_xlim(-0.6, width - 0.4)
    axes.set_ylim(-0.6, top + 0.5)
    names = [_level_name(level) for level in levels]
    axes.set_yticks([rows[level] for level in levels], names, fontsize=SMALL_SIZE)
    tokens = [_quoted(show_spaces(values["pieces"][token - 1]["text"])) for token in columns.starts]
    middles = [columns.middle(token) for token in columns.starts]
    axes.set_xticks(middles, tokens, fontsize=SMALL_SIZE)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    return finish(figure, title=_title(values), caption=LEGEND)


class _Columns:
    """One for each token, with as many boxes beside each other as fit a page's column: each has
    one, the tallest gets the next.
    """

    def __init__(self, nodes: list[GraphNode]) -> None:
        cells = Counter((node["token"], _level(node)) for node in nodes)
        most = dict.fromkeys(sorted({token for token, _ in cells}), 0)
        for (token, _), count in cells.items():
            most[token] = max(most[token], count)
        self.abreast = dict.fromkeys(most, 1)
        room = ROOM_BOXES - LEAST_GAP * max(len(most) - 1, 0)
        for _ in range(int(max(room - len(most), LEAST_MORE))):
            tallest = max(most, key=lambda token: most[token] / self.abreast[token], default=None)
            if tallest is None or self.abreast[tallest] == most[tallest]:
                break
            self.abreast[tallest] += 1
        left = ROOM_BOXES - sum(self.abreast.values())
        gap = min(max(left / max(len(most) - 1, 1), LEAST_GAP), LARGEST_GAP)
        self.starts, start = dict[int, float](), 0.0
        for token, count in self.abreast.items():
            self.starts[token] = start
            start += count + gap
        self.width = start - gap

    def middle(self, token: int) -> float:
        return self.starts[token] + (self.abreast[token] - 1) / 2


def _first_rows(
    nodes: list[GraphNode], levels: list[Level], columns: _Columns
) -> dict[Level | None, int]:
    """Of each level the lowest of its rows; of None the row of the prediction, above all."""
    cells = Counter((_level(node), node["token"]) for node in nodes)
    rows, row = dict[Level | None, int](), 0
    for level in levels:
        rows[level] = row
        row += max(
            math.ceil(count / columns.abreast[token])
            for (at, token), count in cells.items()
            if at == level
        )
    return {**rows, None: row}


def _places(
    nodes: list[GraphNode], columns: _Columns, rows: dict[Level | None, int]
) -> list[Place]:
    """Of each node; in a cell from left to right, then upwards, the largest effects first."""
    places, seen = [], Counter[tuple[Level, int]]()
    for node in nodes:
        level, token = _level(node), node["token"]
        up, right = divmod(seen[level, token], columns.abreast[token])
        places.append((columns.starts[token] + right, float(rows[level] + up)))
        seen[level, token] += 1
    return places


def _level(node: GraphNode) -> Level:
    return node["block"], ("token", "head", "network", "feature").index(node["kind"])


def _level_name(level: Level) -> str:
    block, kind = level
    return ("tokens", f"heads of {block}", f"network {block}", f"features of {block}")[kind]


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


def _quoted(piece: str) -> str:
    return f"“{shorten(piece, TOKEN_CHARACTERS)}”"


def _label(node: GraphNode, values: CircuitGraph) -> str:
    """The part and its effect; its token stands below the column."""
    lines = [f"{node['effect']:+.1f}"]
    if node["kind"] == "feature":
        number, piece = node["name"].split(" at ")[0].removeprefix("feature ").split(" ", 1)
        lines = [f"f{number}", _quoted(piece[1:-1]), *lines]
    elif node["kind"] != "token":
        lines.insert(0, node["name"].split(" at ")[0].replace("network", "net"))
    return "\n".join(lines)


def _title(values: CircuitGraph) -> str:
    said = f"“{show_spaces(values['decision'])}” ({100 * values['probability']:.0f} % probable)"
    if not values["explained"]:
        return f"{said}: not explained, faithfulness {values['faithfulness']:.2f}"
    count = len(values["nodes"])
    return f"{said}: {count} parts explain it, faithfulness {values['faithfulness']:.2f}"
