"""A curve in a line of text: as many bars as there are columns, each an eighth of a line high at least.

What is kept is bounded: when there are too many points, neighbours are put together, so the curve always shows the whole way.
"""

from collections.abc import Sequence
from itertools import pairwise

BARS = " ▁▂▃▄▅▆▇█"
# Where only ASCII can be written.
ASCII_BARS = " .:-=+*%#"
MAX_POINTS = 512


class Sparkline:
    """Values over time, thinned to at most 512 points."""

    def __init__(self) -> None:
        self.points: list[float] = []
        self._stride = 1
        self._waiting: list[float] = []

    def add(self, value: float) -> None:
        """The next value."""
        self._waiting.append(value)
        if len(self._waiting) < self._stride:
            return
        self.points.append(_mean(self._waiting))
        self._waiting = []
        if len(self.points) >= MAX_POINTS:
            self.points = [_mean(self.points[at : at + 2]) for at in range(0, len(self.points), 2)]
            self._stride *= 2

    def columns(self, width: int) -> list[float]:
        """The points as at most `width` means of neighbours."""
        count = min(width, len(self.points))
        edges = [round(k * len(self.points) / count) for k in range(count + 1)] if count else []
        return [_mean(self.points[a:b]) for a, b in pairwise(edges)]


def bars(values: Sequence[float], lines: int = 1, *, ascii_only: bool = False) -> list[str]:
    """The values as `lines` lines of bars, the lowest value an eighth of a line high, the highest all of them.

    >>> bars([3.0, 2.0, 1.0])
    ['█▅▁']
    """
    marks = ASCII_BARS if ascii_only else BARS
    if not values:
        return [""] * lines
    low, high = min(values), max(values)
    eighths = 8 * lines
    heights = [1 + round((value - low) / ((high - low) or 1) * (eighths - 1)) for value in values]
    return [
        "".join(marks[max(0, min(8, height - 8 * below))] for height in heights) for below in reversed(range(lines))
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
