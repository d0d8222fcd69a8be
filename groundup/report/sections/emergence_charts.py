"""The charts of what nobody taught the models: their accuracy in each suite beside chance, and
curves over the own model's training.

Models differ by colour and by shape; a hollow mark is not distinguishable from chance.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from groundup.html_nodes import Node, node
from groundup.report.drawing import Frame, Scale, Size, axes, chart, swatch
from groundup.report.formatting import (
    Format,
    count,
    fill,
    fixed,
    interval,
    percent,
    three_decimals,
    ticks,
    whole_percent,
)
from groundup.report.values import JsonObject, number, numbers, tables, text

# model -> (what the page calls it, number of its colour)
MODELS = {"own": ("own model", 1), "base": ("pulled model", 3), "chat": ("chat model", 2)}
ROW, GAP, HEAD, FOOT = 17, 16, 22, 26
# Width, margin at the left, CSS class.
BAND_SIZES = ((760, 16, "wide-drawing"), (350, 15, "narrow-drawing"))
AT_CHANCE = "not distinguishable from chance"
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
    return [_legend(shown), *[_suites(suites, shown, size, f"{said}.") for size in BAND_SIZES]]


def _said(model: str, row: JsonObject) -> str:
    return f"{MODELS[model][0]} {whole_percent(number(row, 'value'))}"


def is_chance(row: JsonObject) -> bool:
    """Whether a figure is not distinguishable from chance."""
    return row.get("is_chance") is True


def _suites(
    suites: Sequence[SuiteRows], shown: Sequence[str], size: tuple[int, int, str], label: str
) -> Node:
    width, left, name = size
    band = HEAD + ROW * len(shown) + GAP
    height = band * len(suites) + FOOT
    x = Scale(0.0, 1.0, left, width - left - 8)
    grid = node("g", class_="axes")
    for level in LEVELS:
        grid.append(node("line", x1=x(level), x2=x(level), y1=4, y2=height - FOOT, class_="grid"))
        grid.append(node("text", whole_percent(level), x=x(level), y=height - 8, class_="middle"))
    parts = [_band(suite, shown, x, number * band) for number, suite in enumerate(suites)]
    view, class_ = f"0 0 {width} {height}", f"chart suites {name}"
    return node("svg", grid, parts, viewBox=view, role="img", aria_label=label, class_=class_)


def _band(suite: SuiteRows, shown: Sequence[str], x: Scale, top: float) -> Node:
    group = node("g")
    if suite.chance is not None:
        place, above, below = x(suite.chance), top + HEAD - 1, top + HEAD + ROW * len(shown) + 2
        group.append(node("line", x1=place, x2=place, y1=above, y2=below, class_="chance-line"))
    words = f"  n = {count(suite.n)}{fill(', chance {}', suite.chance, whole_percent)}"
    quiet = node("tspan", words, class_="quiet-text")
    group.append(node("text", suite.heading, quiet, x=x.start, y=top + 15, class_="suite-name"))
    for row, model in enumerate(shown):
        if model in suite.rows:
            group.append(_mark(suite.rows[model], model, x, top + HEAD + ROW * (row + 0.5)))
    return group


def _mark(row: JsonObject, model: str, x: Scale, y: float) -> Node:
    value, low, high = numbers(row, "value", "low", "high")
    name, colour = MODELS[model]
    look, title = f"mark mark-{colour}", f"{name}: {percent(value)}"
    if low is not None and high is not None:
        title += f" ({interval(low, high, whole_percent)})"
    if is_chance(row):
        look += " hollow"
        title += f" – {AT_CHANCE}"
    group = node("g", class_=look)
    if value is None:
        return group
    if low is not None and high is not None:
        group.append(node("line", x1=x(low), x2=x(high), y1=y, y2=y))
    group.append(shape(model, x(value), y, node("title", title)))
    return group


def shape(model: str, x: float, y: float, *children: Node) -> Node:
    """Return the mark of a model: a circle, a square or a diamond."""
    if model == "own":
        return node("circle", *children, cx=x, cy=y, r=MARK)
    if model == "base":
        corner, side = MARK - 0.5, 2 * MARK - 1
        return node("rect", *children, x=x - corner, y=y - corner, width=side, height=side)
    arm = MARK + 1
    path = f"M{x:.1f} {y - arm:.1f}l{arm} {arm}l-{arm} {arm}l-{arm} -{arm}z"
    return node("path", *children, d=path)


def _legend(shown: Sequence[str]) -> Node:
    entries = []
    for model in shown:
        name, colour = MODELS[model]
        line = node("line", x1=1, x2=27, y1=7, y2=7)
        drawing = node("g", line, shape(model, 14, 7), class_=f"mark mark-{colour}")
        entries.append((drawing, name))
    chance = node("line", x1=14, x2=14, y1=0, y2=14, class_="chance-line")
    hollow = node("g", shape("own", 14, 7), class_="mark mark-8 hollow")
    entries += [(chance, "chance"), (hollow, f"hollow: {AT_CHANCE}")]
    items = [node("li", swatch(drawing, 14), name) for drawing, name in entries]
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
    chance, form, y_form = number(curve, "chance"), fixed, three_decimals
    bounds = [numbers(point, "value", "low", "high") for point in points]
    values = [value for each in [*bounds, [chance]] for value in each if value is not None]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05
    last = number(points[-1], "x") or 1.0
    box = Frame(SMALL, (0.0, math.sqrt(last) * 1.03), (max(low - margin, -0.005), high + margin))
    x_marks, y_marks = [(math.sqrt(step), count(step)) for step in _steps(last)], None
    if text(curve, "metric") == "accuracy":
        form = y_form = percent
        decimals = int(high - low < 0.04)
        y_marks = [(level, percent(level, decimals)) for level in ticks(box.y.low, box.y.high)]
    unit = UNITS.get(text(curve, "metric"), "")
    parts = [
        axes(box, f"{title}: {unit}", x_marks=x_marks, y_marks=y_marks),
        _band_of(box, points),
        _chance(box, chance),
        _line(box, points, y_form),
    ]
    first, final = (form(number(point, "value")) for point in (points[0], points[-1]))
    return chart(box, f"{title}, {unit} over training steps: from {first} to {final}.", parts)


def _place(point: JsonObject) -> float | None:
    """Return the place of a point on the x axis; None where its value or its step is missing."""
    x, value = numbers(point, "x", "value")
    if x is None or x < 0 or value is None:
        return None
    return math.sqrt(x)


def _steps(last: float) -> list[float]:
    """Round steps whose places on a square root are about evenly apart."""
    found = [0.0]
    for part in (0.1, 0.4, 1.0):
        power = 10 ** math.floor(math.log10(max(last * part, 1)))
        found.append(math.floor(last * part / power) * power)
    return list(dict.fromkeys(found))


def _band_of(box: Frame, points: Sequence[JsonObject]) -> Node | None:
    upper, lower = [], []
    for point in points:
        x, low, high = numbers(point, "x", "low", "high")
        if low is not None and high is not None:
            place = box.x(math.sqrt(x or 0))
            upper.append((place, box.y(high)))
            lower.append((place, box.y(low)))
    if len(upper) < 2:
        return None
    around = [*upper, *reversed(lower)]
    return node("polygon", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in around), class_="band")


def _chance(box: Frame, chance: float | None) -> Node | None:
    if chance is None:
        return None
    y = box.y(chance)
    return node("line", x1=box.x.start, x2=box.x.end, y1=y, y2=y, class_="chance-line")


def _line(box: Frame, points: Sequence[JsonObject], form: Format) -> Node:
    places = [(box.x(_place(p) or 0), box.y(number(p, "value") or 0)) for p in points]
    line = node("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places))
    group = node("g", line, class_="mark mark-1")
    for (x, y), point in zip(places, points, strict=True):
        class_, title = None, f"step {count(number(point, 'x'))}: {form(number(point, 'value'))}"
        if is_chance(point):
            class_, title = "hollow", f"{title}, {AT_CHANCE}"
        group.append(node("circle", node("title", title), cx=x, cy=y, r=3.5, class_=class_))
    return group
