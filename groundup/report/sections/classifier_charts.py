"""What a classifier's figures look like (precision and recall of each label, ROC, calibration,
coverage, learning curve), and what the chapters on one and on several labels a text share
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import data_table, facts, figure, more
from groundup.report.drawing import Point, Series, ShareAxis, share_chart
from groundup.report.values import (
    JsonObject,
    MeasuredFraction,
    count,
    fill,
    first_letters,
    interval,
    items,
    matrix,
    number,
    numbers,
    pairs,
    percent,
    table,
    tables,
    text,
    texts,
    three_decimals,
)

# The lowest share on the axis of accuracies is this multiple at or below the lowest value.
AXIS_STEP = 0.1
BY_LABEL = "Precision, recall and F1 of each label on test messages"


def by_label(results: JsonObject, model: JsonObject) -> Node | None:
    """Precision, recall and F1 of each label, from the confusion matrix."""
    counts, labels = confusion(results, model)
    rows: list[list[Child]] = []
    for place, label in enumerate(labels):
        right, is_it = counts[place][place], sum(counts[place])
        said = sum(row[place] for row in counts)
        shares = [_ratio(right, said), _ratio(right, is_it)]
        f1 = three_decimals(_ratio(2 * right, is_it + said))
        rows.append([foreign(label), *map(percent, shares), f1, count(is_it), count(said)])
    return label_table(rows)


def label_table(rows: Sequence[Sequence[Child]], *further: Child) -> Node | None:
    """The table of the figures of each label."""
    head = ["label", "precision", "recall", "F1", "messages of it", "times predicted", *further]
    return data_table(BY_LABEL, head, rows, figures=range(1, len(head)))


def _ratio(part: float, whole: float) -> float | None:
    if not whole:
        return None
    return part / whole


def label_charts(results: JsonObject) -> list[Node | None]:
    """ROC, and precision and recall, of the label to detect over all thresholds."""
    found, positive = table(results, "curves"), text(results, "positive")
    recall = say("recall of {label}", label=positive)
    precision = say("precision of {label}", label=positive)
    rates = [Series("classifier", points(found, "roc"))]
    rate = ShareAxis("false positive rate")
    roc = share_chart("ROC curve", recall, rate, rates, diagonal="guessing")
    values = [Series("classifier", points(found, "precision_recall"))]
    both = share_chart("Precision and recall", precision, ShareAxis(recall), values)
    about_roc = say(
        "ROC: recall against false alarms over all thresholds, {positives} of {count} test "
        "messages are it. Area under the curve: {area}.",
        positives=count(found, "of_label"),
        count=count(found, "n"),
        area=three_decimals(found, "roc_area"),
    )
    about_both = say(
        "Precision against recall over all thresholds. Average precision: {average}.",
        average=three_decimals(found, "average_precision"),
    )
    return [figure(about_roc, roc), figure(about_both, both)]


def calibration_chart(calibration: JsonObject) -> Node | None:
    """Accuracy against confidence, in bins."""
    bins = sorted(pairs(calibration, "bins", "confidence", "accuracy"))
    if len(bins) < 2:
        return None
    drawn = share_chart(
        "Calibration",
        "accuracy",
        ShareAxis("confidence"),
        [Series("classifier", bins, "marked")],
        diagonal="perfectly calibrated",
    )
    caption = (
        "Calibration: accuracy by confidence. "
        "Below the dotted line the classifier is overconfident."
    )
    return figure(caption, drawn)


def coverage_chart(coverage: JsonObject) -> Node | None:
    """Accuracy of the answered messages against their share."""
    curve = sorted(pairs(coverage, "curve", "coverage", "accuracy"))
    if len(curve) < 2:
        return None
    drawn = share_chart(
        "Coverage and accuracy",
        "accuracy of the answered",
        ShareAxis("share answered"),
        [Series("classifier", curve)],
        y_low=axis_low([y for _, y in curve]),
    )
    caption = (
        "What abstaining on the least sure messages would bring: fewer answers, more of them right."
    )
    return figure(caption, drawn)


def learning_chart(results: JsonObject) -> list[Node | None]:
    """Accuracy on validation by the number of labels, each doubling as wide as the one before,
    and the forecast.
    """
    curve = table(results, "learning_curve")
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
    series = [Series("measured", measured, "marked")]
    marks = [(math.log2(labels), count(labels)) for labels, _, _ in rows]
    labels, accuracy = numbers(table(curve, "forecast"), "labels", "accuracy")
    if labels and labels > rows[-1][0] and accuracy is not None:
        power = math.log2(labels)
        series.append(Series("forecast", [measured[-1], (power, accuracy)], "marked"))
        marks.append((power, count(labels)))
    wide_apart = marks[:1]
    wide_apart += [mark for before, mark in pairwise(marks) if mark[0] - before[0] > 0.5]
    axis = ShareAxis(
        "labels, doubling", marks[0][0], marks[-1][0], wide_apart, lambda power: count(2**power)
    )
    low = axis_low([y for each in series for _, y in each.points])
    drawn = share_chart("Learning curve", "accuracy on validation", axis, series, y_low=low)
    caption = say(
        "What more labels bring, on {count} validation messages. "
        "The forecast takes the error to fall as a power of their number.",
        count=count(curve, "n"),
    )
    if band := interval(table(curve, "forecast"), percent):
        caption += " " + say(
            "Forecast with {labels} labels: {accuracy} ({bounds}).",
            labels=count(labels),
            accuracy=percent(accuracy),
            bounds=band,
        )
    cells: list[list[Child]] = [
        [
            count(labels),
            percent(y),
            interval(each, percent),
        ]
        for labels, y, each in rows
    ]
    head = ["labels", "accuracy", "95 % interval"]
    figures = data_table("Accuracy by labels", head, cells, figures=(1, 2))
    return [figure(caption, drawn), more("Accuracy by labels", figures)]


def points(value: JsonObject, name: str) -> list[Point]:
    rows = [each for each in items(value, name) if isinstance(each, list) and len(each) == 2]
    found = [(number(x), number(y)) for x, y in rows]
    return [(x, y) for x, y in found if x is not None and y is not None]


def axis_low(values: list[float]) -> float:
    """Return where an axis of shares begins.

    >>> axis_low([0.93, 0.99])
    0.9"""
    return round(max(0.0, math.floor(min([*values, 1 - AXIS_STEP]) / AXIS_STEP) * AXIS_STEP), 1)


MAX_EXAMPLES = 12
MAX_SUSPECTS = 15
MESSAGE_CHARACTERS = 200
SAME_MESSAGES = "Every method on these messages"
BEFORE_TEMPERATURE = "before the temperature was fitted on validation"
# The splits, and what each is for.
USES = {
    "train": "messages for training",
    "validation": "messages for model selection",
    "calibration": "messages for the promised error rate",
    "test": "messages for testing",
}


def size_facts(sizes: Mapping[str, float | None]) -> Node | None:
    return facts(*[(count(sizes[name]), use) for name, use in USES.items()])


def accuracy_cells(model: JsonObject, found: MeasuredFraction) -> list[Child]:
    """Accuracy, its interval with the number of messages, and F1."""
    bounds = found.bounds(percent) + fill(", n {}", found.items)
    return [percent(found.value), bounds, three_decimals(model, "f1")]


def same_messages(
    results: JsonObject, made: Node | None, prompt: str, *before: Child
) -> Node | None:
    """The details about the messages that the base model was asked about; None without them."""
    asked = number(results, "zero_shot", "asked")
    if made is None or asked is None:
        return None
    question = node("p", say(prompt), foreign(text(results, "zero_shot", "question"), "q"))
    title = say(
        "The {count} messages that the base model was asked about (zero-shot)", count=count(asked)
    )
    return more(title, question, before, made)


def message_of(example: JsonObject) -> Node:
    return foreign(first_letters(text(example, "text"), MESSAGE_CHARACTERS))


def right_or_wrong(right: bool) -> Child:
    if right:
        return say("right")
    return node("strong", say("wrong"), class_="no")


def confusion(results: JsonObject, model: JsonObject) -> tuple[list[list[float]], list[str]]:
    counts, labels = matrix(model, "confusion"), texts(results, "labels")
    if not counts or len(counts) != len(counts[0]) or len(labels) != len(counts):
        return [], []
    return counts, labels


def wrong_labels(results: JsonObject) -> Node | None:
    """The labels that other classifiers doubt."""
    found = table(results, "wrong_labels")
    listed = [each for each in tables(found, "list") if each.get("suspected") is True]
    rows: list[list[Child]] = [
        [
            message_of(each),
            foreign(text(each, "label")),
            foreign(text(each, "suggested")),
            percent(each, "suggested_probability"),
        ]
        for each in listed[:MAX_SUSPECTS]
    ]
    if not rows:
        return None
    head = ["message", "label", "suggested label", "confidence"]
    made = data_table("Labels that are probably wrong", head, rows, figures=(3,))
    said = say(
        "{suspected} of {count}. Classifiers that did not learn from a message confidently say "
        "another label (confident learning). Nothing was changed by this; the whole list is in "
        "results.json.",
        suspected=count(found, "suspected"),
        count=count(found, "n"),
    )
    return more("Probable label errors", node("p", said), made, is_open=True)
