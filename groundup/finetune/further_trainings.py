"""The trainings of a classifier beside the one that is kept, each in a folder of its own, on
features that are cached already; the test texts play no part. Finished runs of a stopped one are
only read.

Learning rate: a short run at each, chosen by the lowest validation loss.

Learning curve: the accuracy on the validation texts after learning from 50, 100, 200, ... of them,
and what more would bring. The smaller sets are parts of the larger ones and have the same shares
of labels. The error is taken to fall as a power of the number of labels (Cortes et al. 1993): log
error = a - b log n, fitted to the last points, each with half an error more, so that no error is
not taken for perfection. The forecast is no less than what was measured with all labels. Its band:
the same fit to errors that are drawn from what the measured ones leave open (Jeffreys' posterior of
each), 95 of 100 draws; the points are on the same validation texts, which it does not count.

Labels that are probably wrong: confident learning (Northcutt, Jiang & Chuang 2021, JAIR 70,
arXiv:1911.00068) over out-of-fold probabilities, each of FOLDS parts judged by a classifier that
learned from the others. A label is suspected where another one is confidently said: of the labels
whose probability reaches their threshold the most probable is another. The threshold of a label is
the mean probability that texts with this label are given for it (eq. 1-2 of the paper). All texts
are ranked by the margin of their label over the strongest other one ("normalized margin"), the
lowest first, suspects before others. The epoch of each part is chosen on the validation texts,
which at most favours their own labels a little. The classifier of the run learns nothing from the
list: it is to be read.
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from groundup.evaluate.calibration import softmax
from groundup.evaluate.metrics import wilson_interval
from groundup.finetune.messages import Messages
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.train.loop import FitResult

RATES_FOLDER = "learning-rates"


def choose_learning_rate(
    train: Callable[[float, RunFolder], FitResult],
    run: RunFolder,
    progress: Progress,
    rates: Sequence[float],
) -> list[dict[str, Any]]:
    """Return the rates with step and validation loss of their best evaluation, the best first."""
    tried: list[dict[str, Any]] = []
    for rate in rates:
        state = train(rate, RunFolder(run.path / RATES_FOLDER / f"{rate:g}")).state
        tried.append(
            {
                "learning_rate": rate,
                "best_step": state.best_step,
                "validation_loss": state.best_loss,
            }
        )
    tried.sort(key=lambda each: each["validation_loss"])
    listed = ", ".join(
        f"{each['learning_rate']:g} ({each['validation_loss']:.4f})" for each in tried
    )
    progress.say(f"Learning rate chosen by the loss on the validation texts, best first: {listed}.")
    return tried


def remove_runs(run: RunFolder) -> None:
    shutil.rmtree(run.path / RATES_FOLDER, ignore_errors=True)


CURVE_FOLDER = "learning-curve"
SMALLEST = 50
FITTED_POINTS = 4
BAND_DRAWS, BAND = 2000, (2.5, 97.5)


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
    """The accuracy that more labels would probably bring, with a 95 % band; None with too few
    points.
    """

    labels: int
    accuracy: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class LearningCurve:
    """`ClassifierResults.learning_curve`."""

    points: tuple[LearningCurvePoint, ...]
    forecast: AccuracyForecast
    n: int
    """Validation messages."""

    def line(self) -> str:
        shown = ", ".join(
            f"{100 * each.accuracy:.1f} % with {each.labels:,}" for each in self.points
        )
        line = f"Accuracy on validation by labels: {shown}"
        if self.forecast.accuracy is None:
            return f"{line}; too few sizes for a forecast."
        likely = f"{100 * self.forecast.accuracy:.1f} %"
        if self.forecast.low is not None and self.forecast.high is not None:
            likely += f" ({100 * self.forecast.low:.1f} to {100 * self.forecast.high:.1f})"
        return f"{line}; {self.forecast.labels:,} would probably bring {likely}."


def sizes_up_to(most: int) -> list[int]:
    """Return 50, 100, 200, ... below `most`, and `most`.

    >>> sizes_up_to(1600), sizes_up_to(120)
    ([50, 100, 200, 400, 800, 1600], [50, 100, 120])
    """
    doubled = (SMALLEST * 2**power for power in range(64))
    return [*(size for size in doubled if size < most), most]


def nested_order(rows: Sequence[int], classes: Sequence[int]) -> list[int]:
    """Every beginning has about the same shares of classes as the whole."""
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
    """`measure` trains on some rows and returns the figures of the validation messages."""
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
    forecast = forecast_accuracy(points, measured_on, labels)
    curve = LearningCurve(tuple(points), forecast, measured_on)
    progress.say(curve.line())
    return curve


def forecast_accuracy(
    points: Sequence[LearningCurvePoint], measured_on: int, labels: int
) -> AccuracyForecast:
    """Without an accuracy where there are fewer than three points."""
    used = points[-FITTED_POINTS:]
    if len(used) < 3:
        return AccuracyForecast(labels, None)
    x = np.log([each.labels / labels for each in used])  # 0 at `labels`
    errors = np.array([(1 - each.accuracy) * measured_on for each in used])
    rates = np.random.default_rng(0).beta(
        errors + 0.5, measured_on - errors + 0.5, size=(BAND_DRAWS, len(used))
    )
    fitted = (errors + 0.5) / (measured_on + 1)
    value = max(float(power_law(x, fitted)), used[-1].accuracy)
    low, high = np.percentile(power_law(x, rates), BAND)
    return AccuracyForecast(labels, value, min(float(low), value), max(float(high), value))


def power_law(x: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """The accuracy at x = 0 by error rates at x [k], or by each of several draws [n, k]."""
    y, centred = np.log(rates), x - x.mean()
    slope = np.minimum((y @ centred) / (centred @ centred), 0.0)  # more labels never harm
    return np.asarray(1 - np.exp(y.mean(axis=-1) - slope * x.mean()))


FOLDS = 4
FOLDS_FOLDER = "folds"
# Of the rank_labels list, this share is kept, and all suspects; at most so many.
LISTED_SHARE, LISTED = 0.1, 500


@dataclass(frozen=True)
class LabelSuspect:
    text: str
    label: str
    suggested: str
    probability: float
    """Of its label."""
    suggested_probability: float
    suspected: bool
    split: str


@dataclass(frozen=True)
class WrongLabels:
    """`ClassifierResults.wrong_labels`."""

    n: int
    """Texts."""
    suspected: int
    folds: int
    list: tuple[LabelSuspect, ...]

    def line(self) -> str:
        share = self.suspected / self.n
        return (
            f"{self.suspected:,} of {self.n:,} labels ({share:.1%}) are probably wrong, by "
            "classifiers that did not learn from them: read the list."
        )


ScoresOf = Callable[[Sequence[int], Sequence[int], RunFolder], torch.Tensor]


def folds_of(rows: Sequence[int], classes: Sequence[int]) -> list[list[int]]:
    order = nested_order(rows, classes)
    return [sorted(order[place::FOLDS]) for place in range(FOLDS)]


def out_of_fold(scores_of: ScoresOf, classes: Sequence[int], run: RunFolder) -> np.ndarray:
    """`scores_of` trains on rows and returns the scores of others. Returns probabilities [n, N]."""
    folds = folds_of(range(len(classes)), classes)
    found: dict[int, np.ndarray] = {}
    for number, held_out in enumerate(folds):
        rows = sorted(row for fold in folds if fold is not held_out for row in fold)
        scores = scores_of(rows, held_out, RunFolder(run.path / FOLDS_FOLDER / str(number)))
        found |= dict(zip(held_out, softmax(scores.double().numpy()), strict=True))
    shutil.rmtree(run.path / FOLDS_FOLDER, ignore_errors=True)
    return np.stack([found[row] for row in range(len(classes))])


def confident_labels(probabilities: np.ndarray, classes: Sequence[int]) -> list[int | None]:
    """None: no class reaches its threshold."""
    given = np.asarray(classes)
    # t_j = mean of p(j | x) over the texts x with the label j; a class without texts is never said
    thresholds = np.array(
        [
            probabilities[given == label, label].mean() if (given == label).any() else np.inf
            for label in range(probabilities.shape[1])
        ]
    )
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    return [
        int(best) if row[best] >= 0 else None
        for row, best in zip(reached, reached.argmax(axis=1), strict=True)
    ]


def rank_labels(probabilities: np.ndarray, classes: Sequence[int]) -> tuple[list[int], set[int]]:
    """Return all texts, the most suspicious label first, and those that are suspected.

    >>> rank_labels(np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]), [0, 0, 1])[0]
    [1, 0, 2]
    """
    given = np.asarray(classes)
    confident = confident_labels(probabilities, classes)
    suspected = {
        row for row, label in enumerate(confident) if label is not None and label != classes[row]
    }
    rows = np.arange(len(given))
    own, others = probabilities[rows, given], probabilities.copy()
    others[rows, given] = -1.0
    margin = own - others.max(axis=1)
    return sorted(
        range(len(given)), key=lambda row: (row not in suspected, margin[row], row)
    ), suspected


def wrong_labels(
    scores_of: ScoresOf, messages: Messages, run: RunFolder, progress: Progress
) -> WrongLabels:
    examples, labels, classes = messages.examples, messages.labels, messages.classes
    probabilities = out_of_fold(scores_of, classes, run)
    order, suspected = rank_labels(probabilities, classes)
    split_of = {row: split for split, rows in messages.rows.items() for row in rows}
    kept = order[: min(LISTED, max(len(suspected), round(LISTED_SHARE * len(order))))]
    listed = []
    for row in kept:
        other = max(
            (i for i in range(len(labels)) if i != classes[row]),
            key=lambda i: probabilities[row, i],
        )
        listed.append(
            LabelSuspect(
                text=examples[row].text,
                label=examples[row].label,
                suggested=labels[other],
                probability=round(float(probabilities[row, classes[row]]), 4),
                suggested_probability=round(float(probabilities[row, other]), 4),
                suspected=row in suspected,
                split=split_of[row],
            )
        )
    found = WrongLabels(len(examples), len(suspected), FOLDS, tuple(listed))
    progress.say(found.line())
    return found
