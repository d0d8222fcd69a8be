"""The log of a run of any length as curves of at most 1,000 points, each with mean, minimum and maximum.

Neighbouring steps share a bucket; whenever there are too many, buckets are merged in pairs. With the minimum and maximum of each figure a
spike of one step in a million is still visible.
"""

from dataclasses import dataclass, field
from typing import Any

from groundup.report.values import JsonObject, number

FIGURES = ("loss", "lr", "grad_norm", "tokens_per_s")
AXES = ("step", "tokens", "elapsed_s")
MAX_POINTS = 1000
# Significant digits that a curve on a screen needs.
DIGITS = 5


@dataclass
class Cell:
    """One figure over the steps of a bucket."""

    total: float
    low: float
    high: float
    count: int = 1

    def join(self, other: "Cell") -> None:
        self.total += other.total
        self.count += other.count
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    @property
    def mean(self) -> float:
        return self.total / self.count


@dataclass
class Bucket:
    """Neighbouring steps: the position of the last of them on each axis, and their figures."""

    steps: int
    axes: dict[str, float | int]
    cells: dict[str, Cell] = field(default_factory=dict)

    def join(self, later: "Bucket") -> None:
        self.steps += later.steps
        self.axes = later.axes
        for name, cell in later.cells.items():
            if name in self.cells:
                self.cells[name].join(cell)
            else:
                self.cells[name] = cell


class Curves:
    """All figures of a run over its steps, in bounded memory."""

    def __init__(self, limit: int = MAX_POINTS) -> None:
        assert limit >= 2
        self._limit, self._each = limit, 1
        self.buckets: list[Bucket] = []

    def add(self, record: JsonObject) -> None:
        """Add a step, in the order of the log. A figure that is missing or non-finite is left out of its mean."""
        cells = {name: Cell(found, found, found) for name in FIGURES if (found := number(record, name)) is not None}
        new = Bucket(1, on_axes(record), cells)
        if self.buckets and self.buckets[-1].steps < self._each:
            self.buckets[-1].join(new)
        else:
            if len(self.buckets) == self._limit:
                for first, second in zip(self.buckets[::2], self.buckets[1::2], strict=False):
                    first.join(second)
                self.buckets = self.buckets[::2]
                self._each *= 2
            self.buckets.append(new)

    def latest(self, name: str) -> float | None:
        """The mean of a figure in the last bucket."""
        cell = self.buckets[-1].cells.get(name) if self.buckets else None
        return cell.mean if cell else None

    def means(self, name: str) -> list[float]:
        """The means of one figure, bucket by bucket, without buckets that lack it."""
        return [bucket.cells[name].mean for bucket in self.buckets if name in bucket.cells]

    def columns(self) -> dict[str, Any]:
        """{"step": [...], "tokens": [...], "elapsed_s": [...], "loss": {"mean": [...], "low": [...], "high": [...]}, ...}; None: missing."""
        axes = {name: [bucket.axes.get(name) for bucket in self.buckets] for name in AXES}
        return {**axes, **{name: self._figure(name) for name in FIGURES}}

    def _figure(self, name: str) -> dict[str, list[float | None]]:
        cells = [bucket.cells.get(name) for bucket in self.buckets]
        return {key: [short(getattr(cell, key)) if cell else None for cell in cells] for key in ("mean", "low", "high")}


def on_axes(record: JsonObject) -> dict[str, float | int]:
    """Return the position of a log record on each axis that it has; steps and tokens are integers."""
    found = {name: value for name in AXES if (value := number(record, name)) is not None}
    return {name: value if name == "elapsed_s" else round(value) for name, value in found.items()}


def short(value: float) -> float:
    """Round a number to DIGITS significant digits.

    >>> short(4.443187713623047)
    4.4432
    """
    return float(f"{value:.{DIGITS}g}")
