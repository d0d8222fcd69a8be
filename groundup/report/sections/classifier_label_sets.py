"""A classifier of several labels a text: the methods by micro F1, and the figures of each label in
place of a confusion matrix.
"""

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, facts, figure, more
from groundup.report.formatting import count, fixed, interval, percent, three_decimals
from groundup.report.sections.classifier_charts import BY_LABEL, calibration_chart
from groundup.report.sections.classifier_parts import (
    BEFORE_TEMPERATURE,
    MAX_EXAMPLES,
    SAME_MESSAGES,
    USES,
    message_of,
    right_or_wrong,
    same_messages,
    size_facts,
)
from groundup.report.values import JsonObject, number, numbers, table, tables, text, texts

NO_LABEL = "no label"


def label_set_parts(results: JsonObject) -> list[Child]:
    """Return the parts of the chapter."""
    return [
        _sizes(results),
        _methods(results),
        _labels(results),
        _calibration(results),
        _same_messages(results),
        _examples(results),
    ]


def _sizes(results: JsonObject) -> Node | None:
    return size_facts({name: number(results, "sizes", name) for name in USES})


def _methods(results: JsonObject) -> Node | None:
    made = _method_table("Methods on test messages", tables(results, "models"))
    caption = (
        "Micro F1 is that of all pairs of a message and a label; exact match: all labels of a "
        "message are predicted and no other. In brackets 95 % intervals, over messages; the last "
        "column is micro F1 on the same messages."
    )
    return figure(caption, made, class_="")


def _method_table(title: str, models: list[JsonObject]) -> Node | None:
    head: list[Child] = ["method", "micro F1", "macro F1", "exact match"]
    head.append("classifier minus it, paired")
    rows: list[list[Child]] = [
        [
            foreign(text(model, "name")),
            f"{three_decimals(number(model, 'micro_f1', 'value'))} "
            f"({_interval(table(model, 'micro_f1'))})",
            three_decimals(number(model, "macro_f1", "value")),
            percent(number(model, "exact_match", "value")),
            _lead(table(model, "lead", "micro_f1")),
        ]
        for model in models
    ]
    return data_table(title, head, rows, figures=range(1, 5))


def _interval(found: JsonObject) -> str:
    low, high = numbers(found, "low", "high")
    return interval(low, high, three_decimals)


def _lead(found: JsonObject) -> str:
    """The lead in micro F1 on the same messages, with its interval."""
    value, bounds = number(found, "value"), _interval(found)
    if value is None or not bounds:
        return ""
    return f"{value:+.3f} ({bounds})"


def _labels(results: JsonObject) -> Node | None:
    """Precision, recall and F1 of each label, and its decision threshold."""
    ours = next(iter(tables(results, "models")), {})
    rows: list[list[Child]] = [
        [
            foreign(text(each, "label")),
            percent(number(each, "precision")),
            percent(number(each, "recall")),
            three_decimals(number(each, "f1")),
            count(number(each, "n")),
            count(number(each, "said")),
            fixed(number(results, "decision", "thresholds", text(each, "label"))),
        ]
        for each in tables(ours, "by_label")
    ]
    head: list[Child] = ["label", "precision", "recall", "F1", "messages of it", "times predicted"]
    return data_table(BY_LABEL, [*head, "threshold"], rows, figures=range(1, 7))


def _calibration(results: JsonObject) -> Node | None:
    calibration = table(results, "calibration")
    if not calibration:
        return None
    said = "calibration error on test, over all pairs of a message and a label"
    error, before = map(three_decimals, numbers(calibration, "error", "before"))
    shown = facts((error, said), (before, BEFORE_TEMPERATURE))
    return node("div", shown, calibration_chart(calibration))


def _same_messages(results: JsonObject) -> Node | None:
    models, asked = tables(results, "same_messages"), number(results, "zero_shot", "asked")
    if not models or asked is None:
        return None
    made = _method_table(SAME_MESSAGES, models)
    return same_messages(asked, "The prompt of each label: ", results, made)


def _examples(results: JsonObject) -> Node | None:
    rows: list[list[Child]] = []
    for each in tables(results, "examples")[:MAX_EXAMPLES]:
        actual, predicted = texts(each, "actual"), texts(each, "predicted")
        judged = right_or_wrong(set(actual) == set(predicted))
        rows.append([message_of(each), _label_set(actual), _label_set(predicted), judged])
    made = data_table("Test messages", ["message", "labels", "prediction", ""], rows)
    return more("Some messages with their predictions, errors first", made)


def _label_set(labels: list[str]) -> Child:
    if not labels:
        return NO_LABEL
    return foreign(", ".join(labels))
