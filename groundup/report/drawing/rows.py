"""Drawings that fill one cell of a table, so that the chart is the table: bars against a plan, dots with whiskers.

Positions are percentages of the cell's width: a cell grows and shrinks with the page and nothing in it is distorted. They are hidden
from screen readers, because the same row says the same figures in words.
"""

from groundup.markup import Node, node


def cell(*children: Node | None) -> Node:
    """A drawing as wide as its cell."""
    return node("svg", children, class_="row-drawing", width="100%", height="100%", aria_hidden="true")


def share(value: float, largest: float) -> str:
    """`value` as a percentage of `largest`, kept inside the cell."""
    return f"{100 * min(max(value / largest, 0.0), 1.0) if largest > 0 else 0.0:.2f}%"


def bar(value: float | None, largest: float, planned: float | None = None) -> Node:
    """A bar of `value`; the plan is a mark across it."""
    filled = (
        node("rect", x=0, y="32%", height="36%", width=share(value, largest), class_="bar")
        if value is not None
        else None
    )
    return cell(filled, _upright(planned, largest, "plan") if planned is not None else None)


def _upright(value: float, largest: float, class_: str) -> Node:
    position = share(value, largest)
    return node("line", x1=position, x2=position, y1="14%", y2="86%", class_=class_)


def whisker(value: float, low: float, high: float, chance: float | None, axis: tuple[float, float]) -> Node:
    """A dot at `value` with its interval as a line, and the level of chance as a dotted line through the whole row."""
    start, end = axis

    def place(level: float) -> str:
        return share(level - start, end - start)

    dots = (
        node("line", x1=place(chance), x2=place(chance), y1=0, y2="100%", class_="chance")
        if chance is not None
        else None
    )
    span = node("line", x1=place(low), x2=place(high), y1="50%", y2="50%", class_="whisker")
    return cell(dots, span, node("circle", cx=place(value), cy="50%", r=5, class_="dot"))


def scale_cell(axis: tuple[float, float], values: list[float], labels: list[str]) -> Node:
    """The numbers above a column of `whisker` cells."""
    start, end = axis
    texts = [
        node("text", label, x=share(value - start, end - start), y="74%")
        for value, label in zip(values, labels, strict=True)
    ]
    return node("svg", texts, class_="row-drawing scale", width="100%", height="100%", aria_hidden="true")
