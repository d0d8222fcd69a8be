"""Charts as inline SVG: values in, nodes out. Curves over training steps; drawings of one table
cell: bars, whiskers.

A line chart is drawn twice, wide and narrow, and the style sheet shows one of them: scaled to a
phone, one drawing would have unreadable labels. In a table cell, positions are percentages of its
width, so that nothing is distorted when the page is resized; screen readers skip such a drawing,
since its row has the figures as text.

Why not a library: the page's content security policy allows one style sheet, named by its hash, and
no `style` attribute. matplotlib, pygal and the renderers of Vega and Plotly put a style attribute
on nearly every element or a style sheet into every picture, which the policy blocks. These charts
carry class names instead: one style sheet serves text and charts (light, dark, print), text stays
selectable, and a page of fifteen charts takes milliseconds and no dependency.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from groundup.html_nodes import Child, Node, node
from groundup.language.page_texts import say
from groundup.report.values import (
    MeasuredFraction,
    count,
    fixed,
    percent,
    span,
    three_decimals,
    tick_label,
    ticks,
    whole_percent,
)

Point = tuple[float, float]
# The room above and below the lines: a fraction of their range; for a constant line an absolute
# value.
MARGIN, FLAT_MARGIN = 0.06, 0.5
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 30, 44
SIGN_RADIUS = 9
X_LABEL = "training step"


class Size(NamedTuple):
    """Width and height of a drawing in pixels, and its CSS class."""

    width: int
    height: int
    name: str
    x_ticks: int = 4
    """About this many ticks on the x axis."""


SIZES = WIDE, NARROW = Size(760, 320, "wide-drawing", 6), Size(350, 270, "narrow-drawing")


class Scale(NamedTuple):
    """A linear scale from values (low, high) to pixels (start, end)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if self.high <= self.low:
            return self.start + 0.5 * (self.end - self.start)
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


class Frame:
    """A chart's size, and the scales of two ranges of values inside its margins (y grows
    upwards).
    """

    def __init__(self, size: Size, x_range: Point, y_range: Point) -> None:
        self.size = size
        self.x = Scale(*x_range, LEFT, size.width - RIGHT)
        self.y = Scale(*y_range, size.height - BOTTOM, TOP)


Marks = Sequence[tuple[float, str]]


def axes(
    box: Frame,
    y_label: str,
    x_label: str = X_LABEL,
    *,
    x_marks: Marks | None = None,
    y_marks: Marks | None = None,
) -> Node:
    """Grid lines with their numbers; the labels are at the ends of the axes, unrotated.

    `x_marks` and `y_marks` replace round numbers.
    """
    if x_marks is None:
        x_marks = _marks(ticks(box.x.low, box.x.high, box.size.x_ticks))
    if y_marks is None:
        y_marks = _marks(ticks(box.y.low, box.y.high, 5))
    left, right, bottom = box.x.start, box.x.end, box.y.start
    group = node("g", class_="axes")
    for value, label in y_marks:
        height = box.y(value)
        group.append(node("line", x1=left, x2=right, y1=height, y2=height, class_="grid"))
        group.append(node("text", label, x=left - 8, y=height + 4, class_="end"))
    for value, label in x_marks:
        place = box.x(value)
        group.append(node("line", x1=place, x2=place, y1=bottom, y2=bottom + 5, class_="tick"))
        group.append(node("text", label, x=place, y=bottom + 20, class_="middle"))
    group.append(node("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="base"))
    group.append(node("text", say(y_label), x=4, y=14, class_="label"))
    group.append(node("text", say(x_label), x=right, y=box.size.height - 6, class_="label end"))
    return group


def _marks(values: list[float]) -> list[tuple[float, str]]:
    step = 1.0
    if len(values) > 1:
        step = values[1] - values[0]
    return [(value, tick_label(value, step)) for value in values]


class Series(NamedTuple):
    """A named line.

    `look` is "line" (dense points) or "marked" (few points, each with a dot and its value as
    tooltip).
    """

    name: str
    points: Sequence[Point]
    look: str = "line"


def line_chart(
    title: str,
    y_label: str,
    series: Sequence[Series],
    *,
    reference: tuple[float, str] | None = None,
    along: Marks = (),
) -> list[Node]:
    """The legend and the chart in both sizes; [] without points.

    `reference` is a horizontal line: (value, name). `along` are places of the x axis with a sign.
    """
    drawn = [each for each in series if each.points]
    if not drawn:
        return []
    values = [y for each in drawn for _, y in each.points]
    if reference:
        values.append(reference[0])
    low, high = min(values), max(values)
    margin = MARGIN * (high - low) or FLAT_MARGIN
    last = max(x for each in drawn for x, _ in each.points)
    ends = [
        say(
            "{name} from {first} to {last}",
            name=say(each.name),
            first=fixed(each.points[0][1]),
            last=fixed(each.points[-1][1]),
        )
        for each in drawn
    ]
    label = f"{say(title)}: {'; '.join(ends)}."

    def draw(size: Size) -> Node:
        box = Frame(size, (0.0, last), (low - margin, high + margin))
        lines = [_line(box, each, number) for number, each in enumerate(drawn, 1)]
        signs = [_sign(box, *mark) for mark in along if mark[0] <= last]
        return chart(box, label, [axes(box, y_label), _reference(box, reference), signs, lines])

    return [_legend(drawn), *map(draw, SIZES)]


class ShareAxis(NamedTuple):
    """The x axis of a chart of shares."""

    label: str
    low: float = 0.0
    high: float = 1.0
    marks: Marks | None = None
    """Ticks in place of round percentages."""
    form: Callable[[float], str] = percent
    """How a dot says its place."""


def share_chart(
    title: str,
    y_label: str,
    x: ShareAxis,
    series: Sequence[Series],
    *,
    diagonal: str = "",
    y_low: float = 0.0,
) -> list[Node]:
    """A chart of shares, from `y_low` to 1, in both sizes, with a legend of several lines; []
    without points.

    `diagonal` is the name of a dotted line y = x.
    """
    drawn = [each for each in series if each.points]
    if not drawn:
        return []
    y_marks = _share_marks(y_low, 1.0)
    x_marks = x.marks or _share_marks(x.low, x.high)
    points = ", ".join(
        say("{name}, {count} points", name=say(each.name), count=len(each.points)) for each in drawn
    )
    label = say(
        "{title}: {what} by {by}; {points}.",
        title=say(title),
        what=say(y_label),
        by=say(x.label),
        points=points,
    )
    # room for half of the last label, and for a line at 1
    x_high, y_high = x.high + MARGIN / 2 * (x.high - x.low), 1.0 + MARGIN * (1.0 - y_low)

    def draw(size: Size) -> Node:
        box = Frame(size, (x.low, x_high), (y_low, y_high))
        grid = axes(box, y_label, x.label, x_marks=x_marks, y_marks=y_marks)
        lines = [_line(box, each, number, x.form) for number, each in enumerate(drawn, 1)]
        return chart(box, label, [grid, _diagonal(box, diagonal), lines])

    charts = [draw(size) for size in SIZES]
    if len(drawn) == 1:
        return charts
    return [_legend(drawn), *charts]


def _share_marks(low: float, high: float) -> Marks:
    return [(value, whole_percent(value)) for value in ticks(low, high, 5)]


def _diagonal(box: Frame, name: str) -> Node | None:
    """The part of y = x inside the chart; None without a name."""
    if not name:
        return None
    low, high = max(box.x.low, box.y.low), 1.0
    middle = (low + high) / 2
    line = node("line", x1=box.x(low), y1=box.y(low), x2=box.x(high), y2=box.y(high))
    label = node("text", say(name), x=box.x(middle) + 10, y=box.y(middle) + 15)
    return node("g", line, label, class_="reference")


def chart(box: Frame, label: str, parts: Child) -> Node:
    return svg(box.size.width, box.size.height, label, box.size.name, parts)


def svg(width: float, height: float, label: str, look: str, *parts: Child) -> Node:
    """A drawing; `label` says what it shows to those who do not see it."""
    view = f"0 0 {width} {height}"
    return node("svg", parts, viewBox=view, role="img", aria_label=label, class_=f"chart {look}")


def path(points: Iterable[Point]) -> str:
    """The points of a line or polygon, in pixels."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _line(box: Frame, series: Series, number: int, x_text: Callable[[float], str] = count) -> Node:
    pixels = [(box.x(x), box.y(y)) for x, y in series.points]
    group = node("g", class_=f"series series-{number} {series.look}")
    group.append(node("polyline", points=path(pixels)))
    if series.look == "marked" or len(pixels) == 1:
        for (left, top), (x, y) in zip(pixels, series.points, strict=True):
            at = say("{name} at {x}", name=say(series.name), x=x_text(x))
            title = node("title", f"{at}: {three_decimals(y)}")
            group.append(node("circle", title, cx=left, cy=top, r=3.5))
    return group


def _sign(box: Frame, value: float, sign: str) -> Node:
    """A vertical line with a sign in a circle at its foot, inside the frame."""
    x, foot = box.x(value), box.y.start
    at = max(x, box.x.start + SIGN_RADIUS + 1)
    line = node("line", x1=x, x2=x, y1=box.y.end, y2=foot)
    words = node("text", sign, x=at, y=foot - 6, class_="middle")
    circle = node("circle", cx=at, cy=foot - 10, r=SIGN_RADIUS)
    return node("g", line, circle, words, class_="along")


def _reference(box: Frame, reference: tuple[float, str] | None) -> Node | None:
    if reference is None:
        return None
    value, name = reference
    height = box.y(value)
    line = node("line", x1=box.x.start, x2=box.x.end, y1=height, y2=height)
    label = node("text", name, x=box.x.end, y=height + 15, class_="end")
    return node("g", line, label, class_="reference")


def _legend(drawn: Sequence[Series]) -> Node:
    items = []
    for number, series in enumerate(drawn, 1):
        group = node("g", node("line", x1=1, x2=27, y1=6, y2=6))
        if series.look == "marked":
            group.append(node("circle", cx=14, cy=6, r=3.5))
        group.set("class", f"series series-{number} {series.look}")
        last = node("b", fixed(series.points[-1][1]))
        ends = say("{name}, at the end ", name=say(series.name))
        items.append(node("li", swatch(group, 12), ends, last))
    return node("ul", items, class_="legend")


def swatch(drawing: Node, height: int) -> Node:
    view = f"0 0 28 {height}"
    return node("svg", drawing, viewBox=view, class_="swatch", aria_hidden="true")


def cell(*children: Node | None, class_: str = "row-drawing") -> Node:
    size = {"width": "100%", "height": "100%"}
    drawing = node("svg", children, class_=class_, **size, aria_hidden="true")
    return node("div", drawing, class_="drawn")


def share(value: float, largest: float) -> str:
    """`value` as a percentage of `largest`, clamped to 0 .. 100 %."""
    if largest <= 0:
        return "0.00%"
    return f"{100 * min(max(value / largest, 0.0), 1.0):.2f}%"


def bar(value: float | None, largest: float, planned: float | None = None) -> Node:
    """A bar of length `value`, with a vertical mark at `planned`."""
    filled = mark = None
    if value is not None:
        filled = node("rect", x=0, y="32%", height="36%", width=share(value, largest), class_="bar")
    if planned is not None:
        position = share(planned, largest)
        mark = node("line", x1=position, x2=position, y1="14%", y2="86%", class_="plan")
    return cell(filled, mark)


def whisker(found: MeasuredFraction, axis: Point) -> Node:
    """A dot at the value with its interval as a line, and the chance level as a dotted line over
    the row's height.
    """
    value, low, high = (share(level - axis[0], axis[1] - axis[0]) for level in found[:3])
    dotted = None
    if found.chance is not None:
        chance = share(found.chance - axis[0], axis[1] - axis[0])
        dotted = node("line", x1=chance, x2=chance, y1=0, y2="100%", class_="chance")
    interval = node("line", x1=low, x2=high, y1="50%", y2="50%", class_="whisker")
    return cell(dotted, interval, node("circle", cx=value, cy="50%", r=5, class_="dot"))


def scale_cell(axis: Point, values: Sequence[float], labels: Iterable[str]) -> Node:
    """The axis labels above a column of `whisker` cells."""
    start, end = axis
    texts = [
        node("text", label, x=share(value - start, end - start), y="74%")
        for value, label in zip(values, labels, strict=True)
    ]
    return cell(*texts, class_="row-drawing scale")


BAR_MARGIN = 1.08
GAP_PIXELS, MAX_BAR_PIXELS = 2, 48
LENGTH_LABEL, Y_LABEL = "characters in a document", "documents"


def length_histogram(lengths: Sequence[float]) -> list[Node]:
    """The documents by length, on a logarithmic scale: each bar stands for lengths from a power
    of two to the next. `lengths`: documents of 0 characters, of 1, of 2 to 3, ...; [] without
    documents.
    """
    filled = [place for place, found in enumerate(lengths) if found > 0 and place > 0]
    if not filled:
        return []
    first, last = filled[0], filled[-1]
    highest = max(lengths[first : last + 1])
    label = say(
        "Lengths of the documents: from {first} to {last} characters.",
        first=_range(first)[0],
        last=_range(last)[1],
    )
    y_marks = _y_marks(highest)

    def draw(size: Size) -> Node:
        low, high = _around(
            first, last + 1, math.ceil((size.width - LEFT - RIGHT) / MAX_BAR_PIXELS)
        )
        box = Frame(size, (float(low), float(high)), (0.0, highest * BAR_MARGIN))
        grid = axes(box, Y_LABEL, LENGTH_LABEL, x_marks=_x_marks(low, high), y_marks=y_marks)
        return chart(box, label, [grid, [_bar(box, place, lengths[place]) for place in filled]])

    return [draw(size) for size in SIZES]


def median_length(lengths: Sequence[float]) -> float | None:
    """The median length to within some 10 %, interpolated within its bar; None without
    documents.
    """
    half = sum(lengths) / 2
    passed = 0.0
    for place, found in enumerate(lengths):
        if found and passed + found >= half:
            if place == 0:
                return 0.0
            return 2.0 ** (place - 1 + (half - passed) / found)
        passed += found
    return None


def _bar(box: Frame, place: int, found: float) -> Node:
    width = say("1 character")
    if place > 1:
        width = say("{count} characters", count=span(*_range(place)))
    left, right = box.x(place) + GAP_PIXELS / 2, box.x(place + 1) - GAP_PIXELS / 2
    top, height = box.y(found), box.y.start - box.y(found)
    title = node("title", f"{width}: {say('{count} documents', count=count(found))}")
    return node("rect", title, x=left, y=top, width=right - left, height=height, class_="bar")


def _range(place: int) -> tuple[str, str]:
    return count(2 ** (place - 1)), count(2**place - 1)


def _around(low: int, high: int, places: int) -> tuple[int, int]:
    """The range with at least so many places, those before it half of those added.

    >>> _around(10, 12, 8)
    (7, 15)"""
    missing = max(0, places - (high - low))
    start = max(1, low - missing // 2)
    return start, max(high, start + places)


def _x_marks(low: int, high: int) -> list[tuple[float, str]]:
    """Powers of ten."""
    powers = [(1 + math.log2(10**power), _round_number(10**power)) for power in range(13)]
    return [mark for mark in powers if low <= mark[0] <= high]


def _round_number(value: int) -> str:
    """1,000 as "1k", 1,000,000 as "1M"."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{value // unit}{name}"
    return str(value)


def _y_marks(highest: float) -> list[tuple[float, str]]:
    """Whole numbers."""
    values = [value for value in ticks(0.0, highest, 4) if value == int(value)]
    if len(values) < 2:
        return [(0.0, "0")]
    return [(value, tick_label(value, values[1] - values[0])) for value in values]
