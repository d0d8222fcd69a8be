"""How many labels are needed: the accuracy on the validation messages after learning from 50, 100,
200, ... messages, and what more would bring.

Each size is a run of its own at the chosen learning rate, on features that are cached already. The
smaller sets are parts of the larger ones and have the same shares of labels. The test messages play
no part. The error is taken to fall as a power of the number of labels (Cortes et al. 1993):
log error = a - b log n, fitted to the last points, each with half an error more, so that no error
is not taken for perfection.
"""

import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from groundup.evaluate.metrics import wilson_interval
from groundup.progress import Progress
from groundup.runs import RunFolder

CURVE_FOLDER = "learning-curve"
SMALLEST = 50
FITTED_POINTS = 4


@dataclass(frozen=True)
class LearningCurvePoint:
    """Accuracy on the validation messages after training on some of the labels."""

    labels: int
    accuracy: float
    low: float | None
    high: float | None
    loss: float


@dataclass(frozen=True)
class AccuracyForecast:
    """The accuracy that more labels would probably bring; None with too few points."""

    labels: int
    accuracy: float | None


@dataclass(frozen=True)
class LearningCurve:
    """`ClassifierResults.learning_curve`."""

    points: tuple[LearningCurvePoint, ...]
    forecast: AccuracyForecast
    n: int
    """Validation messages."""

    def line(self) -> str:
        """Return the curve as one line."""
        shown = ", ".join(
            f"{100 * each.accuracy:.1f} % with {each.labels:,}" for each in self.points
        )
        line = f"Accuracy on validation by labels: {shown}"
        if self.forecast.accuracy is None:
            return f"{line}; too few sizes for a forecast."
        likely = f"{100 * self.forecast.accuracy:.1f} %"
        return f"{line}; {self.forecast.labels:,} would probably bring {likely}."


def sizes_up_to(most: int) -> list[int]:
    """Return 50, 100, 200, ... below `most`, and `most`.

    >>> sizes_up_to(1600), sizes_up_to(120)
    ([50, 100, 200, 400, 800, 1600], [50, 100, 120])
    """
    doubled = (SMALLEST * 2**power for power in range(64))
    return [*(size for size in doubled if size < most), most]


def nested_order(rows: Sequence[int], classes: Sequence[int]) -> list[int]:
    """Return the rows so that every beginning has about the same shares of classes as the whole."""
    counts, seen = Counter(classes[row] for row in rows), defaultdict[int, int](int)
    places = []
    for row in rows:
        label = classes[row]
        places.append(((seen[label] + 0.5) / counts[label], row))
        seen[label] += 1
    return [row for _, row in sorted(places)]


def learning_curve(
    measure: Callable[[Sequence[int], RunFolder], Mapping[str, float]],
    rows: Sequence[int],
    classes: Sequence[int],
    measured_on: int,
    run: RunFolder,
    progress: Progress,
) -> LearningCurve:
    """Return the points and the forecast; `measure` trains on some rows and returns the figures of
    the `measured_on` validation messages.
    """
    order, points = nested_order(rows, classes), []
    for size in sizes_up_to(len(order)):
        if len({classes[row] for row in order[:size]}) < len(set(classes)):
            continue  # a label is too rare to be in so few
        figures = measure(sorted(order[:size]), RunFolder(run.path / CURVE_FOLDER / str(size)))
        found = wilson_interval(round(figures["validation_accuracy"] * measured_on), measured_on)
        loss = figures["validation_loss"]
        points.append(LearningCurvePoint(size, found.value, found.low, found.high, loss))
    shutil.rmtree(run.path / CURVE_FOLDER, ignore_errors=True)
    labels = 2 * len(order)
    forecast = AccuracyForecast(labels, forecast_accuracy(points, measured_on, labels))
    curve = LearningCurve(tuple(points), forecast, measured_on)
    progress.say(curve.line())
    return curve


def forecast_accuracy(
    points: Sequence[LearningCurvePoint], measured_on: int, labels: int
) -> float | None:
    """Return the accuracy that this many labels would probably bring; None with fewer than three
    points.
    """
    used = points[-FITTED_POINTS:]
    if len(used) < 3:
        return None
    x = [math.log(each.labels) for each in used]
    y = [math.log(((1 - each.accuracy) * measured_on + 0.5) / (measured_on + 1)) for each in used]
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    slope = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / math.fsum(
        (a - mean_x) ** 2 for a in x
    )
    return 1 - math.exp(mean_y + min(slope, 0.0) * (math.log(labels) - mean_x))
