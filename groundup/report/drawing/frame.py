"""What every chart on axes shares: its size, the scale from values to pixels, the axes.

A chart with axes is drawn twice, wide and narrow, and the style sheet shows one of them: scaling one drawing down to a phone would
make its letters unreadable.
"""

from collections.abc import Callable
from dataclasses import dataclass

from groundup.markup import Node, node
from groundup.report.words import tick_label, ticks

LEFT, RIGHT, TOP, BOTTOM = 46, 14, 30, 44


@dataclass(frozen=True)
class Size:
    """Pixels of a drawing, and the class by which the style sheet shows or hides it."""

    width: int
    height: int
    name: str


WIDE = Size(760, 320, "wide-drawing")
NARROW = Size(350, 270, "narrow-drawing")


@dataclass(frozen=True)
class Scale:
    """A straight line from values (low, high) to pixels (start, end)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Frame:
    """The inner rectangle of a chart and its two scales."""

    size: Size
    x: Scale
    y: Scale


def frame(size: Size, x_range: tuple[float, float], y_range: tuple[float, float]) -> Frame:
    """Scales for values of these ranges inside a chart's margins (y grows upwards)."""
    x = Scale(*x_range, LEFT, size.width - RIGHT)
    y = Scale(*y_range, size.height - BOTTOM, TOP)
    return Frame(size, x, y)


def axes(box: Frame, x_label: str, y_label: str) -> Node:
    """Grid lines with their numbers; the labels stand at the axes' ends, unrotated."""
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


def picture(size: Size, summary: str, *children: Node) -> Node:
    """An SVG that a screen reader announces as one image with `summary`."""
    view = f"0 0 {size.width} {size.height}"
    return node("svg", children, viewBox=view, role="img", aria_label=summary, class_=f"chart {size.name}")


def both_sizes(draw: Callable[[Size], Node]) -> list[Node]:
    """The drawing for wide and for narrow screens."""
    return [draw(WIDE), draw(NARROW)]
