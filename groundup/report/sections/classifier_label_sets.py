"""A classifier of several labels a text: the methods by micro F1, and the figures of each label in
place of a confusion matrix.
"""

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, facts, figure, more
from groundup.report.formatting import count, first_letters, fixed, percent
from groundup.report.sections.classifier_charts import calibration_chart
from groundup.report.values import JsonObject, number, table, tables, text, texts

MAX_EXAMPLES = 12
MESSAGE_CHARACTERS = 200
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
    uses = (
        ("train", "for training"),
        ("validation", "for model selection"),
        ("test", "for testing"),
    )
    return facts(
        *[(count(number(results, "sizes", name)), f"messages {use}") for name, use in uses]
    )


def _methods(results: JsonObject) -> Node:
    made = _method_table("Methods on test messages", tables(results, "models"))
    caption = (
        "Micro F1 is that of all pairs of a message and a label; a message is all right where its labels are all said and no other. "
        "In brackets 95 % intervals, over messages; the last column is micro F1 on the same messages."
    )
    return figure(caption, made, class_="")


def _method_table(title: str, models: list[JsonObject]) -> Node:
    head: list[Child] = [
        "method",
        "micro F1",
        "macro F1",
        "all right",
        "classifier minus it, paired",
    ]
    rows: list[list[Child]] = [
        [
            foreign(text(model, "name")),
            f"{fixed(number(model, 'micro_f1', 'value'), 3)} ({_interval(table(model, 'micro_f1'))})",
            fixed(number(model, "macro_f1", "value"), 3),
            percent(number(model, "exact_match", "value")),
            _lead(table(model, "lead", "micro_f1")),
        ]
        for model in models
    ]
    return data_table(title, head, rows, figures=range(1, 5))


def _interval(found: JsonObject) -> str:
    low, high = number(found, "low"), number(found, "high")
    return f"{fixed(low, 3)} to {fixed(high, 3)}" if low is not None and high is not None else ""


def _lead(found: JsonObject) -> str:
    """The lead in micro F1 on the same messages, with its interval."""
    value, interval = number(found, "value"), _interval(found)
    return f"{value:+.3f} ({interval})" if value is not None and interval else ""


def _labels(results: JsonObject) -> Node | None:
    """Precision, recall and F1 of each label, and the probability from which it is said."""
    ours = next(iter(tables(results, "models")), {})
    rows: list[list[Child]] = [
        [
            foreign(text(each, "label")),
            percent(number(each, "precision")),
            percent(number(each, "recall")),
            fixed(number(each, "f1"), 3),
            count(number(each, "n")),
            count(number(each, "said")),
            fixed(number(results, "decision", "thresholds", text(each, "label")), 2),
        ]
        for each in tables(ours, "by_label")
    ]
    head: list[Child] = [
        "label",
        "precision",
        "recall",
        "F1",
        "messages of it",
        "times said",
        "said from",
    ]
    if not rows:
        return None
    return data_table(
        "Precision, recall and F1 of each label on test messages", head, rows, figures=range(1, 7)
    )


def _calibration(results: JsonObject) -> Node | None:
    calibration = table(results, "calibration")
    if not calibration:
        return None
    said = "calibration error on test, over all pairs of a message and a label"
    shown = facts(
        (fixed(number(calibration, "error"), 3), said),
        (
            fixed(number(calibration, "before"), 3),
            "before the temperature was fitted on validation",
        ),
    )
    return node("div", shown, calibration_chart(calibration))


def _same_messages(results: JsonObject) -> Node | None:
    models, asked = tables(results, "same_messages"), number(results, "zero_shot", "asked")
    if not models or asked is None:
        return None
    question = node(
        "p", "The prompt of each label: ", foreign(text(results, "zero_shot", "question"), "q")
    )
    made = _method_table("Every method on these messages", models)
    return more(
        f"The {count(asked)} messages that the base model was asked about (zero-shot)",
        question,
        made,
    )


def _examples(results: JsonObject) -> Node | None:
    rows: list[list[Child]] = []
    for each in tables(results, "examples")[:MAX_EXAMPLES]:
        actual, predicted = texts(each, "actual"), texts(each, "predicted")
        mark = "right" if set(actual) == set(predicted) else node("strong", "wrong", class_="no")
        message = first_letters(text(each, "text"), MESSAGE_CHARACTERS)
        named = [
            foreign(", ".join(labels)) if labels else NO_LABEL for labels in (actual, predicted)
        ]
        rows.append([foreign(message), *named, mark])
    made = data_table("Test messages", ["message", "labels", "said", ""], rows)
    return more("Some messages with what was said, errors first", made) if rows else None
