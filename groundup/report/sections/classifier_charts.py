"""What a classifier's figures look like: precision and recall of each label, ROC, precision and
recall, calibration, coverage, learning curve.
"""

import math

from groundup.html_nodes import Child, Node, foreign
from groundup.report.chapter import data_table, figure, more
from groundup.report.drawing import Point, Series, share_chart
from groundup.report.formatting import count, fixed, percent
from groundup.report.values import JsonObject, at, matrix, number, table, tables, text, texts

# The lowest share on the axis of accuracies is this multiple at or below the lowest value.
AXIS_STEP = 0.1


def by_label(results: JsonObject, model: JsonObject) -> Node | None:
    """Precision, recall and F1 of each label, from the confusion matrix."""
    counts, labels = matrix(model, "confusion"), texts(results, "labels")
    if not counts or len(counts) != len(counts[0]) or len(labels) != len(counts):
        return None
    rows: list[list[Child]] = []
    for place, label in enumerate(labels):
        right, is_it, said = (
            counts[place][place],
            sum(counts[place]),
            sum(row[place] for row in counts),
        )
        f1 = 2 * right / (is_it + said) if is_it + said else None
        precision, recall = (right / all_of if all_of else None for all_of in (said, is_it))
        rows.append(
            [
                foreign(label),
                percent(precision),
                percent(recall),
                fixed(f1, 3),
                count(is_it),
                count(said),
            ]
        )
    head: list[Child] = ["label", "precision", "recall", "F1", "messages of it", "times predicted"]
    return data_table(
        "Precision, recall and F1 of each label on test messages", head, rows, figures=range(1, 6)
    )


def label_charts(results: JsonObject) -> list[Node | None]:
    """ROC, and precision and recall, of the label to detect over all thresholds."""
    found, positive = table(results, "curves"), text(results, "positive")
    roc = share_chart(
        "ROC curve",
        f"recall of {positive}",
        "false positive rate",
        [Series("classifier", points(found, "roc"))],
        diagonal="guessing",
    )
    recall = share_chart(
        "Precision and recall",
        f"precision of {positive}",
        f"recall of {positive}",
        [Series("classifier", points(found, "precision_recall"))],
    )
    area, average = (
        fixed(number(found, "roc_area"), 3),
        fixed(number(found, "average_precision"), 3),
    )
    of, n = count(number(found, "of_label")), count(number(found, "n"))
    captions = (
        f"ROC: recall against false alarms over all thresholds, {of} of {n} test messages are it. Area under the curve: {area}.",
        f"Precision against recall over all thresholds. Average precision: {average}.",
    )
    pairs = zip(captions, (roc, recall), strict=True)
    return [figure(caption, *drawn) if drawn else None for caption, drawn in pairs]


def calibration_chart(calibration: JsonObject) -> Node | None:
    """Accuracy against confidence, in bins."""
    bins = [
        (x, y)
        for each in tables(calibration, "bins")
        if (x := number(each, "confidence")) is not None
        and (y := number(each, "accuracy")) is not None
    ]
    drawn = share_chart(
        "Calibration",
        "accuracy",
        "confidence",
        [Series("classifier", sorted(bins), "marked")],
        diagonal="as sure as right",
    )
    caption = "Calibration: how often it is right, by how sure it is. Below the dotted line it is surer than right."
    return figure(caption, *drawn) if len(bins) > 1 else None


def coverage_chart(coverage: JsonObject) -> Node | None:
    """Accuracy of the answered messages against their share."""
    curve = [
        (x, y)
        for each in tables(coverage, "curve")
        if (x := number(each, "coverage")) is not None
        and (y := number(each, "accuracy")) is not None
    ]
    if len(curve) < 2:
        return None
    drawn = share_chart(
        "Coverage and accuracy",
        "accuracy of the answered",
        "share answered",
        [Series("classifier", sorted(curve))],
        y_low=axis_low([y for _, y in curve]),
    )
    return figure(
        "What abstaining on the least sure messages would bring: fewer answers, more of them right.",
        *drawn,
    )


def learning_chart(results: JsonObject) -> list[Node]:
    """Accuracy on validation by the number of labels, each doubling as wide as the one before, and
    the forecast.
    """
    curve, forecast = table(results, "learning_curve"), table(results, "learning_curve", "forecast")
    rows = [
        (labels, accuracy, each)
        for each in tables(curve, "points")
        if (labels := number(each, "labels"))
        and labels >= 1
        and (accuracy := number(each, "accuracy")) is not None
    ]
    if len(rows) < 2:
        return []
    measured = [(math.log2(labels), accuracy) for labels, accuracy, _ in rows]
    series, marks = (
        [Series("measured", measured, "marked")],
        [(math.log2(n), count(n)) for n, _, _ in rows],
    )
    more_labels, expected = number(forecast, "labels"), number(forecast, "accuracy")
    if more_labels and more_labels > rows[-1][0] and expected is not None:
        series.append(
            Series("forecast", [measured[-1], (math.log2(more_labels), expected)], "marked")
        )
        marks.append((math.log2(more_labels), count(more_labels)))
    drawn = share_chart(
        "Learning curve",
        "accuracy on validation",
        "labels, doubling",
        series,
        x_range=(marks[0][0], marks[-1][0]),
        y_low=axis_low([y for each in series for _, y in each.points]),
        x_marks=[
            mark
            for place, mark in enumerate(marks)
            if place == 0 or mark[0] - marks[place - 1][0] > 0.5
        ],
        x_text=lambda power: count(2**power),
    )
    head: list[Child] = ["labels", "accuracy", "95 % interval"]
    cells: list[list[Child]] = [
        [
            count(labels),
            percent(y),
            f"{percent(number(each, 'low'))} to {percent(number(each, 'high'))}",
        ]
        for labels, y, each in rows
    ]
    caption = (
        f"What more labels bring, on {count(number(curve, 'n'))} validation messages. "
        "The forecast takes the error to fall as a power of their number."
    )
    figures = data_table("Accuracy by labels", head, cells, figures=(1, 2))
    return [figure(caption, *drawn), more("Accuracy by labels", figures)]


def points(value: JsonObject, name: str) -> list[Point]:
    """Return the pairs of numbers in a list."""
    found = at(value, name)
    pairs = (
        [each for each in found if isinstance(each, list) and len(each) == 2]
        if isinstance(found, list)
        else []
    )
    return [
        (x, y) for a, b in pairs if (x := number(a)) is not None and (y := number(b)) is not None
    ]


def axis_low(values: list[float]) -> float:
    """Return where an axis of shares begins.

    >>> axis_low([0.93, 0.99])
    0.9
    """
    return round(max(0.0, math.floor(min([*values, 1 - AXIS_STEP]) / AXIS_STEP) * AXIS_STEP), 1)
