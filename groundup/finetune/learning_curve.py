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
from typing import Any

from groundup.evaluate.metrics import wilson_interval
from groundup.progress import Progress
from groundup.runs import RunFolder

CURVE_FOLDER = "learning-curve"
SMALLEST = 50
FITTED_POINTS = 4


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
) -> dict[str, Any]:
    """Return the points and the forecast; `measure` trains on some rows and returns the figures of
    the `measured_on` validation messages.
    """
    order, points = nested_order(rows, classes), []
    for size in sizes_up_to(len(order)):
        if len({classes[row] for row in order[:size]}) < len(set(classes)):
            continue  # a label is too rare to be in so few
        figures = measure(sorted(order[:size]), RunFolder(run.path / CURVE_FOLDER / str(size)))
        found = wilson_interval(round(figures["validation_accuracy"] * measured_on), measured_on)
        points.append(
            {
                "labels": size,
                "accuracy": found.value,
                "low": found.low,
                "high": found.high,
                "loss": figures["validation_loss"],
            }
        )
    shutil.rmtree(run.path / CURVE_FOLDER, ignore_errors=True)
    forecast = {
        "labels": 2 * len(order),
        "accuracy": forecast_accuracy(points, measured_on, 2 * len(order)),
    }
    progress.say(curve_line(points, forecast))
    return {"points": points, "forecast": forecast, "n": measured_on}


def forecast_accuracy(
    points: Sequence[Mapping[str, Any]], measured_on: int, labels: int
) -> float | None:
    """Return the accuracy that so many labels would probably bring; None with fewer than three
    points.
    """
    used = points[-FITTED_POINTS:]
    if len(used) < 3:
        return None
    x = [math.log(each["labels"]) for each in used]
    y = [
        math.log(((1 - each["accuracy"]) * measured_on + 0.5) / (measured_on + 1)) for each in used
    ]
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    slope = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / math.fsum(
        (a - mean_x) ** 2 for a in x
    )
    return 1 - math.exp(mean_y + min(slope, 0.0) * (math.log(labels) - mean_x))


def curve_line(points: Sequence[Mapping[str, Any]], forecast: Mapping[str, Any]) -> str:
    """Return the curve as one line."""
    shown = ", ".join(f"{100 * each['accuracy']:.1f} % with {each['labels']:,}" for each in points)
    line = f"Accuracy on validation by labels: {shown}"
    if forecast["accuracy"] is None:
        return f"{line}; too few sizes for a forecast."
    return (
        f"{line}; {forecast['labels']:,} would probably bring {100 * forecast['accuracy']:.1f} %."
    )
