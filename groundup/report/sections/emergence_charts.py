"""The charts of what nobody taught the models: their accuracy in each suite beside chance, and
curves over the own model's training.

Models differ by colour and by shape; a hollow mark is not distinguishable from chance.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from groundup.html_nodes import Node, node
from groundup.report.drawing import Frame, Scale, Size, axes, chart
from groundup.report.formatting import count, fixed, percent, ticks
from groundup.report.values import JsonObject, number, tables, text

# model -> (what the page calls it, number of its colour)
MODELS = {"own": ("own model", 1), "base": ("pulled model", 3), "chat": ("chat model", 2)}
ROW, GAP, HEAD, FOOT = 17, 16, 22, 26
WIDE_ROWS, NARROW_ROWS = (760, 16, "wide-drawing"), (350, 15, "narrow-drawing")
SMALL = Size(350, 230, "small-drawing")
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
MARK = 5


class SuiteRows(NamedTuple):
    """The accuracy of each model in a suite."""

    heading: str
    n: float | None
    chance: float | None
    rows: dict[str, JsonObject]


def suites_chart(suites: Sequence[SuiteRows]) -> list[Node]:
    """Return the legend and the chart in both sizes: a band for each suite, a mark with its
    interval for each model, chance as a line.
    """
    shown = [model for model in MODELS if any(model in suite.rows for suite in suites)]
    said = "; ".join(
        f"{suite.heading}: {', '.join(_said(m, suite.rows[m]) for m in shown if m in suite.rows)}"
        for suite in suites
    )
    return [
        _legend(shown),
        *(_suites(suites, shown, *size, label=f"{said}.") for size in (WIDE_ROWS, NARROW_ROWS)),
    ]


def _said(model: str, row: JsonObject) -> str:
    return f"{MODELS[model][0]} {percent(number(row, 'value'), 0)}"


def _suites(
    suites: Sequence[SuiteRows],
    shown: Sequence[str],
    width: int,
    left: int,
    name: str,
    *,
    label: str,
) -> Node:
    band = HEAD + ROW * len(shown) + GAP
    height = band * len(suites) + FOOT
    x = Scale(0.0, 1.0, left, width - left - 8)
    grid = node("g", class_="axes")
    for level in LEVELS:
        grid.append(node("line", x1=x(level), x2=x(level), y1=4, y2=height - FOOT, class_="grid"))
        grid.append(node("text", percent(level, 0), x=x(level), y=height - 8, class_="middle"))
    parts = [_band(suite, shown, x, number * band) for number, suite in enumerate(suites)]
    view, class_ = f"0 0 {width} {height}", f"chart suites {name}"
    return node("svg", grid, parts, viewBox=view, role="img", aria_label=label, class_=class_)


def _band(suite: SuiteRows, shown: Sequence[str], x: Scale, top: float) -> Node:
    group = node("g")
    if suite.chance is not None:
        place, bottom = x(suite.chance), top + HEAD + ROW * len(shown) + 2
        group.append(
            node("line", x1=place, x2=place, y1=top + HEAD - 1, y2=bottom, class_="chance-line")
        )
    guessed = f", chance {percent(suite.chance, 0)}" if suite.chance is not None else ""
    quiet = node("tspan", f"  n = {count(suite.n)}{guessed}", class_="quiet-text")
    group.append(node("text", suite.heading, quiet, x=x.start, y=top + 15, class_="suite-name"))
    for place, model in enumerate(shown):
        if model in suite.rows:
            group.append(_mark(suite.rows[model], model, x, top + HEAD + ROW * (place + 0.5)))
    return group


def _mark(row: JsonObject, model: str, x: Scale, y: float) -> Node:
    value, low, high = (number(row, name) for name in ("value", "low", "high"))
    name, colour = MODELS[model]
    hollow = " hollow" if row.get("is_chance") is True else ""
    group = node("g", class_=f"mark mark-{colour}{hollow}")
    if value is None:
        return group
    if low is not None and high is not None:
        group.append(node("line", x1=x(low), x2=x(high), y1=y, y2=y))
    said = " – not distinguishable from chance" if hollow else ""
    interval = (
        f" ({percent(low, 0)} to {percent(high, 0)})"
        if low is not None and high is not None
        else ""
    )
    group.append(
        shape(model, x(value), y, node("title", f"{name}: {percent(value)}{interval}{said}"))
    )
    return group


def shape(model: str, x: float, y: float, *children: Node) -> Node:
    """Return the mark of a model: a circle, a square or a diamond."""
    if model == "own":
        return node("circle", *children, cx=x, cy=y, r=MARK)
    if model == "base":
        return node(
            "rect",
            *children,
            x=x - MARK + 0.5,
            y=y - MARK + 0.5,
            width=2 * MARK - 1,
            height=2 * MARK - 1,
        )
    return node(
        "path",
        *children,
        d=f"M{x:.1f} {y - MARK - 1:.1f}l{MARK + 1} {MARK + 1}l-{MARK + 1} {MARK + 1}l-{MARK + 1} -{MARK + 1}z",
    )


def _legend(shown: Sequence[str]) -> Node:
    items = []
    for model in shown:
        name, colour = MODELS[model]
        drawing = node(
            "g",
            node("line", x1=1, x2=27, y1=7, y2=7),
            shape(model, 14, 7),
            class_=f"mark mark-{colour}",
        )
        items.append(
            node(
                "li",
                node("svg", drawing, viewBox="0 0 28 14", class_="swatch", aria_hidden="true"),
                name,
            )
        )
    line = node("line", x1=14, x2=14, y1=0, y2=14, class_="chance-line")
    items.append(
        node(
            "li",
            node("svg", line, viewBox="0 0 28 14", class_="swatch", aria_hidden="true"),
            "chance",
        )
    )
    hollow = node("g", shape("own", 14, 7), class_="mark mark-8 hollow")
    drawn = node("svg", hollow, viewBox="0 0 28 14", class_="swatch", aria_hidden="true")
    items.append(node("li", drawn, "hollow: not distinguishable from chance"))
    return node("ul", items, class_="legend")


UNITS = {
    "accuracy": "accuracy",
    "bits_per_byte": "bits per byte",
    "bits_per_byte_control": "bits per byte after another item's prompt",
}


def curve_chart(curve: JsonObject, title: str) -> Node | None:
    """Return a small chart of a curve over training steps with its 95 % band and the line of
    chance; None without two points.
    """
    points = [point for point in tables(curve, "points") if _place(point) is not None]
    if len(points) < 2:
        return None
    share, chance = text(curve, "metric") == "accuracy", number(curve, "chance")
    found = [
        n for p in points for key in ("value", "low", "high") if (n := number(p, key)) is not None
    ]
    values = [*found, *([chance] if chance is not None else [])]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05
    last = number(points[-1], "x") or 1.0
    box = Frame(SMALL, (0.0, math.sqrt(last) * 1.03), (max(low - margin, -0.005), high + margin))
    marks = [(math.sqrt(step), count(step)) for step in _steps(last)]
    y_marks = (
        [(v, percent(v, int(high - low < 0.04))) for v in ticks(box.y.low, box.y.high)]
        if share
        else None
    )
    unit = UNITS.get(text(curve, "metric"), "")
    parts = [
        axes(box, f"{title}: {unit}", x_marks=marks, y_marks=y_marks),
        _band_of(box, points),
        _chance(box, chance),
        _line(box, points, share),
    ]
    ends = [
        percent(number(p, "value")) if share else fixed(number(p, "value"))
        for p in (points[0], points[-1])
    ]
    return chart(box, f"{title}, {unit} over training steps: from {ends[0]} to {ends[1]}.", parts)


def _place(point: JsonObject) -> float | None:
    x, value = number(point, "x"), number(point, "value")
    return math.sqrt(x) if x is not None and x >= 0 and value is not None else None


def _steps(last: float) -> list[float]:
    """Round steps whose places on a square root are about evenly apart."""
    found = [0.0]
    for part in (0.1, 0.4, 1.0):
        power = 10 ** math.floor(math.log10(max(last * part, 1)))
        found.append(math.floor(last * part / power) * power)
    return list(dict.fromkeys(found))


def _band_of(box: Frame, points: Sequence[JsonObject]) -> Node | None:
    bounds = [
        (box.x(math.sqrt(number(p, "x") or 0)), number(p, "low"), number(p, "high")) for p in points
    ]
    known = [
        (x, box.y(low), box.y(high))
        for x, low, high in bounds
        if low is not None and high is not None
    ]
    if len(known) < 2:
        return None
    around = [(x, high) for x, _, high in known] + [(x, low) for x, low, _ in reversed(known)]
    return node("polygon", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in around), class_="band")


def _chance(box: Frame, chance: float | None) -> Node | None:
    if chance is None:
        return None
    y = box.y(chance)
    return node("line", x1=box.x.start, x2=box.x.end, y1=y, y2=y, class_="chance-line")


def _line(box: Frame, points: Sequence[JsonObject], share: bool) -> Node:
    places = [(box.x(_place(p) or 0), box.y(number(p, "value") or 0)) for p in points]
    group = node(
        "g",
        node("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places)),
        class_="mark mark-1",
    )
    for (x, y), point in zip(places, points, strict=True):
        value = percent(number(point, "value")) if share else fixed(number(point, "value"), 3)
        hollow = point.get("is_chance") is True
        title = node(
            "title",
            f"step {count(number(point, 'x'))}: {value}{', not distinguishable from chance' if hollow else ''}",
        )
        group.append(node("circle", title, cx=x, cy=y, r=3.5, class_="hollow" if hollow else None))
    return group
