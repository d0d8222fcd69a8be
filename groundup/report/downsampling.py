"""Downsampling of logs of any length to bounded memory, for the report and for the page over runs
in training.

In the report, points of a curve are averaged with their neighbours. On the page, neighbouring steps
share a bucket with mean, minimum and maximum, so that a spike of one step in a million is still
visible. Records are dropped evenly.
"""

from dataclasses import dataclass, field

from groundup.report.values import JsonObject, numbers

Column = list[float | None]
MAX_CURVE_POINTS = 400
MAX_RECORDS = 200
FIGURES = ("loss", "learning_rate", "grad_norm", "tokens_per_s")
AXES = ("step", "tokens", "elapsed_s")
MAX_BUCKETS = 1000
# Significant digits that a curve on a screen needs.
DIGITS = 5


class DownsampledCurve:
    """A curve of fewer than 2 x `limit` points: neighbours are averaged in pairs whenever there
    would be more.
    """

    def __init__(self, limit: int = MAX_CURVE_POINTS) -> None:
        self._limit, self._each = limit, 1
        self._done: list[tuple[float, float]] = []
        self._open: list[tuple[float, float]] = []

    def add(self, x: float, y: float) -> None:
        """Add a point; points come in the order of x."""
        self._open.append((x, y))
        if len(self._open) == self._each:
            self._done.append(_mean(self._open))
            self._open = []
        if len(self._done) == 2 * self._limit:
            self._done = [
                _mean(self._done[index : index + 2]) for index in range(0, len(self._done), 2)
            ]
            self._each *= 2

    def points(self) -> list[tuple[float, float]]:
        """The points so far, each the mean of equally many neighbours (the last of the remaining
        ones).
        """
        if not self._open:
            return list(self._done)
        return [*self._done, _mean(self._open)]


class EvenSample:
    """At most `limit` + 1 evenly spaced records of a log, the first and the last always among
    them.
    """

    def __init__(self, limit: int = MAX_RECORDS) -> None:
        self._limit, self._each, self._seen = limit, 1, 0
        self._kept: list[JsonObject] = []
        self._last: JsonObject = {}

    def add(self, record: JsonObject) -> None:
        if self._seen % self._each == 0:
            self._kept.append(record)
        self._last = record
        self._seen += 1
        if len(self._kept) > self._limit:
            self._kept = self._kept[::2]
            self._each *= 2

    def records(self) -> list[JsonObject]:
        if not self._kept or self._kept[-1] is self._last:
            return self._kept
        return [*self._kept, self._last]


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


@dataclass
class Cell:
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
                cell.join(self.cells[name])
            self.cells[name] = cell


class Curves:
    """All figures of a run over its steps, in bounded memory."""

    def __init__(self, limit: int = MAX_BUCKETS) -> None:
        assert limit >= 2
        self._limit, self._each = limit, 1
        self.buckets: list[Bucket] = []

    def add(self, record: JsonObject) -> None:
        """Add a step, in the order of the log.

        A figure that is missing or non-finite is left out of its mean.
        """
        figures = zip(FIGURES, numbers(record, *FIGURES), strict=True)
        cells = {name: Cell(found, found, found) for name, found in figures if found is not None}
        new = Bucket(1, on_axes(record), cells)
        if self.buckets and self.buckets[-1].steps < self._each:
            self.buckets[-1].join(new)
            return
        if len(self.buckets) == self._limit:
            for first, second in zip(self.buckets[::2], self.buckets[1::2], strict=False):
                first.join(second)
            self.buckets = self.buckets[::2]
            self._each *= 2
        self.buckets.append(new)

    def latest(self, name: str) -> float | None:
        """The mean of a figure in the last bucket."""
        if not self.buckets or name not in self.buckets[-1].cells:
            return None
        return self.buckets[-1].cells[name].mean

    def means(self, name: str) -> list[float]:
        """The means of one figure, bucket by bucket, without buckets that lack it."""
        return [bucket.cells[name].mean for bucket in self.buckets if name in bucket.cells]

    def columns(self) -> dict[str, Column | dict[str, Column]]:
        """{"step": [...], "tokens": [...], "elapsed_s": [...], "loss": {"mean": [...], "low":
        [...], "high": [...]}, ...}; None: missing.
        """
        axes = {name: [bucket.axes.get(name) for bucket in self.buckets] for name in AXES}
        figures = {
            name: {part: self._column(name, part) for part in ("mean", "low", "high")}
            for name in FIGURES
        }
        return {**axes, **figures}

    def _column(self, name: str, part: str) -> Column:
        """The mean, the minimum or the maximum of a figure, bucket by bucket."""
        column: Column = [None] * len(self.buckets)
        for place, bucket in enumerate(self.buckets):
            if name in bucket.cells:
                column[place] = short(getattr(bucket.cells[name], part))
        return column


def on_axes(record: JsonObject) -> dict[str, float | int]:
    """The position of a log record on each axis that it has; steps and tokens are integers."""
    found: dict[str, float | int] = {}
    for name, value in zip(AXES, numbers(record, *AXES), strict=True):
        if value is not None:
            found[name] = value
    return found | {name: round(found[name]) for name in ("step", "tokens") if name in found}


def short(value: float) -> float:
    """Round a number to DIGITS significant digits.

    >>> short(4.443187713623047)
    4.4432"""
    return float(f"{value:.{DIGITS}g}")
