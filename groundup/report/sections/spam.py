"""Stage 5: the spam classifier against its baselines, with intervals, chance level and confusion matrix."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import Heading, absent, chapter, data_table, facts, figure, more, note, notes_of
from groundup.report.drawing.rows import scale_cell, whisker
from groundup.report.report_data import ReportData
from groundup.report.values import (
    JsonObject,
    count,
    first_letters,
    fixed,
    matrix,
    number,
    percent,
    table,
    tables,
    text,
    texts,
    ticks,
)

HEADING = Heading(
    "spam",
    "Stage 5 · spam",
    "A classifier against simple baselines",
    "A model is worth its cost only where it beats the simplest method that works. "
    "Dots are measurements, lines are 95 % intervals: where lines overlap, the difference may be chance.",
)
HEAT_LEVELS = 8
MAX_EXAMPLES = 6
MESSAGE_CHARACTERS = 200
ROOM_BELOW_CHANCE = 0.06


def spam(report: ReportData) -> Node:
    """The chapter on the spam classifier."""
    results = report.spam.results
    models = [model for model in tables(results, "models") if number(model, "accuracy", "value") is not None]
    if not models:
        return absent(HEADING, "no classifier has been trained")
    stage = report.stage("spam")
    parts: list[Child] = [
        _figures(report),
        _comparison(results, models),
        _verdict(models),
        _confusion(results, models[0]),
        _same_messages(results),
        _examples(results),
    ]
    return chapter(HEADING, parts, notes_of(stage.thin if stage else []))


def _figures(report: ReportData) -> list[Node | None]:
    splits, source = table(report.spam.results, "splits"), table(report.spam.results, "source")
    uses = (("train", "for training"), ("validation", "for model selection"), ("test", "for testing"))
    repeats = number(source, "repeats")
    before = (
        f"{count(repeats)} repeated messages were removed before the split, so that no test message was trained on."
    )
    shown = facts(*[(count(split_count(splits, name)), f"messages {use}") for name, use in uses])
    return [shown, node("p", before, class_="see") if repeats else None]


def split_count(splits: JsonObject, name: str) -> float | None:
    """Return a split's size, recorded as a number or as a number for each label."""
    by_label = [value for label in table(splits, name) if (value := number(splits, name, label)) is not None]
    return sum(by_label) if by_label else number(splits, name)


def _comparison(results: JsonObject, models: list[JsonObject]) -> Node:
    chance = number(results, "majority", "value") or number(results, "majority")
    axis = _axis(models, chance)
    shown = ticks(*axis, 4)
    scale = node("div", scale_cell(axis, shown, [percent(value, 0) for value in shown]), class_="drawn")
    head: list[Child] = ["model", scale, "accuracy", "95 % interval", "F1"]
    rows = [_row(model, chance, axis) for model in models]
    dotted = f" Dotted: always predicting the most frequent label ({percent(chance)})." if chance is not None else ""
    made = data_table("Classifiers on test messages", head, rows, figures=(2, 3, 4), class_="bars whiskers")
    return figure(f"Accuracy on held-out messages.{dotted}", made)


def _same_messages(results: JsonObject) -> Node | None:
    """All methods on the messages that the base model was asked about (zero-shot)."""
    models = [model for model in tables(results, "same_messages") if number(model, "accuracy", "value") is not None]
    asked = number(results, "zero_shot", "asked")
    if not models or asked is None:
        return None
    question = node("p", "The prompt: ", foreign(text(results, "zero_shot", "question"), "q"))
    rows = [[foreign(text(model, "name")), *_figures_of(model)] for model in models]
    head = ["model", "accuracy", "95 % interval", "F1"]
    made = data_table("Every method on these messages", head, rows, figures=(1, 2, 3))
    return more(f"The {count(asked)} messages that the base model was asked about (zero-shot)", question, made)


def _axis(models: list[JsonObject], chance: float | None) -> tuple[float, float]:
    lows = [value for model in models if (value := number(model, "accuracy", "low")) is not None]
    lows += [value for model in models if (value := number(model, "accuracy", "value")) is not None]
    return max(0.0, min([*lows, *([chance] if chance is not None else [])]) - ROOM_BELOW_CHANCE), 1.0


def _row(model: JsonObject, chance: float | None, axis: tuple[float, float]) -> list[Child]:
    value, low, high = bounds(model)
    drawing = node("div", whisker(value, low, high, chance, axis), class_="drawn")
    return [foreign(text(model, "name")), drawing, *_figures_of(model)]


def _figures_of(model: JsonObject) -> list[Child]:
    """Accuracy, its interval with the number of messages, and F1, as text."""
    value, low, high = bounds(model)
    tested = number(model, "accuracy", "n")
    interval = f"{percent(low)} to {percent(high)}" + (f", n {count(tested)}" if tested is not None else "")
    return [percent(value), interval, fixed(number(model, "f1"), 3)]


def bounds(model: JsonObject) -> tuple[float, float, float]:
    """Return a model's accuracy and its interval."""
    value, low, high = (number(model, "accuracy", key) for key in ("value", "low", "high"))
    assert value is not None
    return value, value if low is None else low, value if high is None else high


def _verdict(models: list[JsonObject]) -> Node | None:
    """The best of the methods measured on the same messages, and whether the difference is beyond chance."""
    ours = models[0]
    others = [each for each in models[1:] if number(each, "accuracy", "n") == number(ours, "accuracy", "n")]
    if not others:
        return None
    best = max(others, key=lambda model: number(model, "accuracy", "value") or 0.0)
    value, best_value = (number(model, "accuracy", "value") or 0.0 for model in (ours, best))
    lower, higher = sorted((ours, best), key=lambda model: number(model, "accuracy", "value") or 0.0)
    overlap = (number(lower, "accuracy", "high") or 0.0) >= (number(higher, "accuracy", "low") or 0.0)
    name, figures = foreign(text(best, "name")), f"{percent(best_value)} against {percent(value)}"
    chance = " The intervals overlap: with this many messages the difference may be chance." if overlap else ""
    simpler = "If a simpler method is as good, use it."
    if best_value > value:
        return note("A baseline is better: ", name, f", {figures}.{chance} {simpler}", kind="warning")
    if best_value == value:
        return note("A baseline is as good: ", name, f" ({percent(value)}). {simpler}", kind="warning")
    if overlap:
        return note("Slightly better than the best baseline: ", name, f", {figures}.{chance}")
    return note("Clearly better than the best baseline: ", name, f", {figures}.", kind="good")


def _confusion(results: JsonObject, model: JsonObject) -> Node | None:
    counts, labels = matrix(model, "confusion"), texts(results, "labels")
    if not counts or len(counts) != len(counts[0]) or len(labels) != len(counts):
        return None
    lines = zip(labels, counts, strict=True)
    rows = [[foreign(label), *[_count_cell(value, sum(line)) for value in line]] for label, line in lines]
    head: list[Child] = [node("span", "true · predicted", class_="quiet"), *[foreign(label) for label in labels]]
    caption = (
        "Rows: true label. Columns: predicted label. Correct predictions are on the diagonal; "
        "a legitimate message classified as spam is the costlier mistake."
    )
    made = data_table(f"Confusion matrix of {text(model, 'name') or 'the classifier'}", head, rows, class_="confusion")
    return figure(caption, made, class_="")


def _count_cell(value: float, of_row: float) -> Node:
    share = value / of_row if of_row else 0.0
    level = round(share * HEAT_LEVELS)
    return node("div", node("b", count(value)), node("small", percent(share)), class_=f"heat-{level}")


def _examples(results: JsonObject) -> Node | None:
    rows = [_example(example) for example in tables(results, "examples")[:MAX_EXAMPLES]]
    head = ["message", "label", "prediction", ""]
    return more("Some messages with their predictions", data_table("Test messages", head, rows)) if rows else None


def _example(example: JsonObject) -> list[Child]:
    label, predicted = text(example, "label"), text(example, "predicted")
    mark = "right" if label == predicted else node("strong", "wrong", class_="no")
    message = first_letters(text(example, "text"), MESSAGE_CHARACTERS)
    return [foreign(message), foreign(label), foreign(predicted), mark]
