"""Line charts over training steps: sizes, scales, axes, series.

A chart is drawn twice, wide and narrow, and the style sheet shows one of them: one drawing scaled to a phone would have unreadable labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.markup import Node, node
from groundup.report.values import count, fixed, tick_label, ticks

Point = tuple[float, float]
MARGIN, FLAT_MARGIN = (
    0.06,
    0.5,
)  # above and below the lines: a share of their range; for a constant line an absolute value
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 30, 44


@dataclass(frozen=True)
class Size:
    """Width and height of a drawing in pixels, and its CSS class."""

    width: int
    height: int
    name: str


WIDE = Size(760, 320, "wide-drawing")
NARROW = Size(350, 270, "narrow-drawing")


@dataclass(frozen=True)
class Scale:
    """A linear scale from values (low, high) to pixels (start, end)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Frame:
    """A chart's size and its two scales."""

    size: Size
    x: Scale
    y: Scale


def frame(size: Size, x_range: tuple[float, float], y_range: tuple[float, float]) -> Frame:
    """Return the scales for these ranges of values inside a chart's margins (y grows upwards)."""
    x = Scale(*x_range, LEFT, size.width - RIGHT)
    y = Scale(*y_range, size.height - BOTTOM, TOP)
    return Frame(size, x, y)


def axes(box: Frame, x_label: str, y_label: str) -> Node:
    """Grid lines with their numbers; the labels are at the ends of the axes, unrotated."""
    group = node("g", class_="axes")
    y_ticks = ticks(box.y.low, box.y.high, 5)
    x_ticks = ticks(box.x.low, box.x.high, 6 if box.size is WIDE else 4)
    for value in y_ticks:
        height = box.y(value)
        group.append(node("line", x1=box.x.start, x2=box.x.end, y1=height, y2=height, class_="grid"))
        group.append(node("text", tick_label(value, _step(y_ticks)), x=box.x.start - 8, y=height + 4, class_="end"))
    for value in x_ticks:
        left = box.x(value)
        group.append(node("line", x1=left, x2=left, y1=box.y.start, y2=box.y.start + 5, class_="tick"))
        group.append(node("text", tick_label(value, _step(x_ticks)), x=left, y=box.y.start + 20, class_="middle"))
    group.append(node("line", x1=box.x.start, x2=box.x.end, y1=box.y.start, y2=box.y.start, class_="base"))
    group.append(node("text", y_label, x=4, y=14, class_="label"))
    group.append(node("text", x_label, x=box.x.end, y=box.size.height - 6, class_="label end"))
    return group


def _step(values: list[float]) -> float:
    return values[1] - values[0] if len(values) > 1 else 1.0


@dataclass(frozen=True)
class Series:
    """A named line. `look` is "line" (dense points) or "marked" (few points, each with a dot and its value as tooltip)."""

    name: str
    points: Sequence[Point]
    look: str = "line"


@dataclass(frozen=True)
class LineChart:
    """Series over a common x axis from 0; `reference` is a horizontal line, as (value, name)."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    reference: tuple[float, str] | None = None


def line_chart(chart: LineChart) -> list[Node]:
    """Return the legend and the chart in both sizes; [] where no series has points."""
    drawn = [series for series in chart.series if series.points]
    return [_legend(drawn), *(_draw(chart, drawn, size) for size in (WIDE, NARROW))] if drawn else []


def _draw(chart: LineChart, drawn: Sequence[Series], size: Size) -> Node:
    box = frame(size, (0.0, max(x for series in drawn for x, _ in series.points)), _y_range(chart, drawn))
    lines = [_line(box, series, number) for number, series in enumerate(drawn, 1)]
    extra = [_reference(box, *chart.reference)] if chart.reference else []
    parts = [f"{series.name} from {fixed(series.points[0][1])} to {fixed(series.points[-1][1])}" for series in drawn]
    return node(
        "svg",
        axes(box, chart.x_label, chart.y_label),
        *extra,
        *lines,
        viewBox=f"0 0 {size.width} {size.height}",
        role="img",
        aria_label=f"{chart.title}: {'; '.join(parts)}.",
        class_=f"chart {size.name}",
    )


def _y_range(chart: LineChart, drawn: Sequence[Series]) -> Point:
    values = [y for series in drawn for _, y in series.points]
    values += [chart.reference[0]] if chart.reference else []
    low, high = min(values), max(values)
    margin = MARGIN * (high - low) or FLAT_MARGIN
    return low - margin, high + margin


def _line(box: Frame, series: Series, number: int) -> Node:
    pixels = [(box.x(x), box.y(y)) for x, y in series.points]
    group = node("g", class_=f"series series-{number} {series.look}")
    group.append(node("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)))
    if series.look == "marked" or len(pixels) == 1:
        for (left, top), (x, y) in zip(pixels, series.points, strict=True):
            group.append(
                node("circle", node("title", f"{series.name} at {count(x)}: {fixed(y, 3)}"), cx=left, cy=top, r=3.5)
            )
    return group


def _reference(box: Frame, value: float, name: str) -> Node:
    height = box.y(value)
    line = node("line", x1=box.x.start, x2=box.x.end, y1=height, y2=height)
    return node("g", line, node("text", name, x=box.x.end, y=height + 15, class_="end"), class_="reference")


def _legend(drawn: Sequence[Series]) -> Node:
    items = []
    for number, series in enumerate(drawn, 1):
        stroke = node("line", x1=1, x2=27, y1=6, y2=6)
        dot = node("circle", cx=14, cy=6, r=3.5) if series.look == "marked" else None
        swatch = node(
            "svg",
            node("g", stroke, dot, class_=f"series series-{number} {series.look}"),
            viewBox="0 0 28 12",
            class_="swatch",
            aria_hidden="true",
        )
        items.append(node("li", swatch, f"{series.name}, at the end ", node("b", fixed(series.points[-1][1]))))
    return node("ul", items, class_="legend")
