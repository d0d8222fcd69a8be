"""The histogram of document lengths, on a logarithmic scale: each bar stands for lengths from a
power of two to the next.

In: [documents of 0 characters, of 1, of 2 to 3, of 4 to 7, ...], as the data card has them.
"""

import math
from collections.abc import Sequence

from groundup.html_nodes import Node, node
from groundup.report.drawing import SIZES, Frame, Size, axes, chart
from groundup.report.formatting import count, tick_label, ticks

MARGIN = 1.08
GAP_PIXELS = 2
X_LABEL, Y_LABEL = "characters in a document", "documents"


def length_histogram(lengths: Sequence[float]) -> list[Node]:
    """Return the chart in both sizes; [] without documents."""
    filled = [place for place, found in enumerate(lengths) if found > 0 and place > 0]
    if not filled:
        return []
    first, last = filled[0], filled[-1]
    highest = max(lengths[first : last + 1])
    label = f"Lengths of the documents: from {_range(first)[0]} to {_range(last)[1]} characters."
    x_marks, y_marks = _x_marks(first, last), _y_marks(highest)

    def draw(size: Size) -> Node:
        box = Frame(size, (float(first), float(last + 1)), (0.0, highest * MARGIN))
        bars = [_bar(box, place, lengths[place]) for place in filled]
        return chart(
            box, label, [axes(box, Y_LABEL, X_LABEL, x_marks=x_marks, y_marks=y_marks), bars]
        )

    return [draw(size) for size in SIZES]


def median_length(lengths: Sequence[float]) -> float | None:
    """Return the median length to within some 10 %, interpolated within its bar; None without
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
    span = "1 character"
    if place > 1:
        span = f"{' to '.join(_range(place))} characters"
    left, right = box.x(place) + GAP_PIXELS / 2, box.x(place + 1) - GAP_PIXELS / 2
    top, height = box.y(found), box.y.start - box.y(found)
    title = node("title", f"{span}: {count(found)} documents")
    return node("rect", title, x=left, y=top, width=right - left, height=height, class_="bar")


def _range(place: int) -> tuple[str, str]:
    return count(2 ** (place - 1)), count(2**place - 1)


def _x_marks(first: int, last: int) -> list[tuple[float, str]]:
    """Powers of ten; for a narrow range the ends of its bars."""
    powers = [(1 + math.log2(10**power), _short(10**power)) for power in range(13)]
    shown = [mark for mark in powers if first <= mark[0] <= last + 1]
    if len(shown) > 1:
        return shown
    return [(place, count(2 ** (place - 1))) for place in (first, last + 1)]


def _short(value: int) -> str:
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
