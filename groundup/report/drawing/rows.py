"""Drawings that fill one cell of a table: bars with a planned value, dots with whiskers.

Positions are percentages of the cell's width, so that nothing is distorted when the page is resized. Screen readers skip them: the same row
has the figures as text.
"""

from groundup.markup import Node, node


def cell(*children: Node | None, class_: str = "row-drawing") -> Node:
    """A drawing as wide as its table cell."""
    return node("svg", children, class_=class_, width="100%", height="100%", aria_hidden="true")


def share(value: float, largest: float) -> str:
    """`value` as a percentage of `largest`, clamped to 0 .. 100 %."""
    return f"{100 * min(max(value / largest, 0.0), 1.0) if largest > 0 else 0.0:.2f}%"


def bar(value: float | None, largest: float, planned: float | None = None) -> Node:
    """A bar of length `value`, with a vertical mark at `planned`."""
    filled = mark = None
    if value is not None:
        filled = node("rect", x=0, y="32%", height="36%", width=share(value, largest), class_="bar")
    if planned is not None:
        position = share(planned, largest)
        mark = node("line", x1=position, x2=position, y1="14%", y2="86%", class_="plan")
    return cell(filled, mark)


def whisker(value: float, low: float, high: float, chance: float | None, axis: tuple[float, float]) -> Node:
    """A dot at `value` with its interval as a line, and the chance level as a dotted line over the row's height."""
    start, end = axis

    def x(level: float) -> str:
        return share(level - start, end - start)

    dotted = None
    if chance is not None:
        dotted = node("line", x1=x(chance), x2=x(chance), y1=0, y2="100%", class_="chance")
    interval = node("line", x1=x(low), x2=x(high), y1="50%", y2="50%", class_="whisker")
    return cell(dotted, interval, node("circle", cx=x(value), cy="50%", r=5, class_="dot"))


def scale_cell(axis: tuple[float, float], values: list[float], labels: list[str]) -> Node:
    """The axis labels above a column of `whisker` cells."""
    start, end = axis
    marks = zip(values, labels, strict=True)
    texts = [node("text", label, x=share(value - start, end - start), y="74%") for value, label in marks]
    return cell(*texts, class_="row-drawing scale")
