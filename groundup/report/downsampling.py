"""Downsampling of logs of any length to bounded memory: neighbouring points of a curve are averaged, records are dropped evenly."""

from groundup.report.values import JsonObject

MAX_CURVE_POINTS = 400
MAX_RECORDS = 200


class DownsampledCurve:
    """A curve of fewer than 2 x `limit` points: neighbours are averaged in pairs whenever there would be more."""

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
            self._done = [_mean(self._done[index : index + 2]) for index in range(0, len(self._done), 2)]
            self._each *= 2

    def points(self) -> list[tuple[float, float]]:
        """Return the points so far, each the mean of equally many neighbours (the last of the remaining ones)."""
        return self._done + ([_mean(self._open)] if self._open else [])


class EvenSample:
    """At most `limit` + 1 evenly spaced records of a log, the first and the last always among them."""

    def __init__(self, limit: int = MAX_RECORDS) -> None:
        self._limit, self._each, self._seen = limit, 1, 0
        self._kept: list[JsonObject] = []
        self._last: JsonObject = {}

    def add(self, record: JsonObject) -> None:
        """Add a record."""
        if self._seen % self._each == 0:
            self._kept.append(record)
        self._last = record
        self._seen += 1
        if len(self._kept) > self._limit:
            self._kept = self._kept[::2]
            self._each *= 2

    def records(self) -> list[JsonObject]:
        """Return the records kept."""
        return self._kept if not self._kept or self._kept[-1] is self._last else [*self._kept, self._last]


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
