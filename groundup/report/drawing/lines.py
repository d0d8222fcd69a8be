"""Lines over steps: training and validation loss, bits per byte."""

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.markup import Node, node
from groundup.report.drawing.frame import Frame, Size, axes, both_sizes, frame, picture
from groundup.report.words import count, fixed

Point = tuple[float, float]
FLAT_MARGIN = 0.5  # half the height of the chart of a line that does not move


@dataclass(frozen=True)
class Series:
    """A named line. `look` is "line" (dense points) or "marked" (few points, each with a dot and its value when pointed at)."""

    name: str
    points: Sequence[Point]
    look: str = "line"


@dataclass(frozen=True)
class LineChart:
    """Series over a common x axis that begins at 0; `reference` is a level worth comparing with, as (value, name)."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    reference: tuple[float, str] | None = None


def line_chart(chart: LineChart) -> list[Node]:
    """The legend and the chart in both sizes; [] where no series has points."""
    drawn = [series for series in chart.series if series.points]
    if not drawn:
        return []
    return [_legend(drawn), *both_sizes(lambda size: _draw(chart, drawn, size))]


def _draw(chart: LineChart, drawn: Sequence[Series], size: Size) -> Node:
    box = frame(size, (0.0, max(x for series in drawn for x, _ in series.points)), _y_range(chart, drawn))
    lines = [_line(box, series, number) for number, series in enumerate(drawn, 1)]
    extra = [_reference(box, *chart.reference)] if chart.reference else []
    return picture(size, _summary(chart.title, drawn), axes(box, chart.x_label, chart.y_label), *extra, *lines)


def _y_range(chart: LineChart, drawn: Sequence[Series]) -> Point:
    values = [y for series in drawn for _, y in series.points]
    return _range(values + ([chart.reference[0]] if chart.reference else []), 0.06)


def _range(values: Sequence[float], margin: float) -> Point:
    low, high = min(values), max(values)
    if high == low:
        return low - FLAT_MARGIN, high + FLAT_MARGIN
    return low - margin * (high - low), high + margin * (high - low)


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


def _summary(title: str, drawn: Sequence[Series]) -> str:
    parts = [f"{series.name} from {fixed(series.points[0][1])} to {fixed(series.points[-1][1])}" for series in drawn]
    return f"{title}: {'; '.join(parts)}."
