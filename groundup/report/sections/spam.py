"""Stage 5: the spam classifier beside its baselines, with intervals, the chance line, and its mistakes counted."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import absent, chapter, data_table, facts, figure, more, note, notes_of
from groundup.report.drawing.rows import scale_cell, whisker
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, matrix, number, table, tables, text, texts
from groundup.report.words import count, first_letters, fixed, percent, ticks

KEY, KICKER, TITLE = "spam", "Stage 5 · spam", "A classifier, and whether it was worth it"
SEE = (
    "A model is worth its trouble only where it beats the simplest thing that could work. "
    "Dots are measured, lines are 95 % intervals: "
    "where lines overlap, nothing is decided."
)
HEAT_LEVELS = 8
MAX_EXAMPLES = 6
MESSAGE_CHARACTERS = 200
ROOM_BELOW_CHANCE = 0.06


def spam(story: ReportData) -> Node:
    """The chapter on the spam classifier."""
    results = story.spam.results
    models = [model for model in tables(results, "models") if number(model, "accuracy", "value") is not None]
    if not models:
        return absent(KEY, KICKER, TITLE, "no classifier has been trained")
    stage = story.stage("spam")
    parts: list[Child] = [
        _figures(story),
        _comparison(results, models),
        _verdict(models),
        _confusion(results, models[0]),
        _same_messages(results),
        _examples(results),
    ]
    return chapter(KEY, KICKER, TITLE, SEE, parts, notes_of(stage.thin if stage else []))


def _figures(story: ReportData) -> list[Node | None]:
    splits, source = table(story.spam.results, "splits"), table(story.spam.results, "source")
    meanings = (("train", "to train on"), ("validation", "to choose by"), ("test", "to measure on"))
    pairs = [(split_count(splits, name), meaning) for name, meaning in meanings]
    repeats = number(source, "repeats")
    before = (
        f"{count(repeats)} repeated messages were left out before the split: a message in both parts would be no test."
    )
    shown = facts(*[(count(value), f"messages {meaning}") for value, meaning in pairs])
    return [shown, node("p", before, class_="see") if repeats else None]


def split_count(splits: JsonObject, name: str) -> float | None:
    """A split's size, recorded as a number or as a number for each label."""
    by_label = [value for label in table(splits, name) if (value := number(splits, name, label)) is not None]
    return sum(by_label) if by_label else number(splits, name)


def _comparison(results: JsonObject, models: list[JsonObject]) -> Node:
    chance = number(results, "majority", "value") or number(results, "majority")
    axis = _axis(models, chance)
    shown = ticks(*axis, 4)
    head: list[Child] = [
        "model",
        node("div", scale_cell(axis, shown, [percent(value, 0) for value in shown]), class_="drawn"),
        "accuracy",
        "95 % interval",
        "F1",
    ]
    rows = [_row(model, chance, axis) for model in models]
    told = (
        f"Accuracy on held-out messages. Dotted: always answering the commonest label ({percent(chance)})."
        if chance is not None
        else "Accuracy on held-out messages."
    )
    return figure(
        told, data_table("Classifiers on test messages", head, rows, figures=(2, 3, 4), class_="bars whiskers")
    )


def _same_messages(results: JsonObject) -> Node | None:
    """The base model was asked about the first messages only; here all methods on those."""
    models = [model for model in tables(results, "same_messages") if number(model, "accuracy", "value") is not None]
    asked = number(results, "zero_shot", "asked")
    if not models or asked is None:
        return None
    question = node("p", "It was asked: ", foreign(text(results, "zero_shot", "question"), "q"))
    rows = [[foreign(text(model, "name")), *_figures_of(model)] for model in models]
    table_ = data_table(
        "Every method on those messages", ["model", "accuracy", "95 % interval", "F1"], rows, figures=(1, 2, 3)
    )
    return more(f"The {count(asked)} messages that the base model was asked about", question, table_)


def _axis(models: list[JsonObject], chance: float | None) -> tuple[float, float]:
    lows = [value for model in models if (value := number(model, "accuracy", "low")) is not None]
    lows += [value for model in models if (value := number(model, "accuracy", "value")) is not None]
    return max(0.0, min([*lows, *([chance] if chance is not None else [])]) - ROOM_BELOW_CHANCE), 1.0


def _row(model: JsonObject, chance: float | None, axis: tuple[float, float]) -> list[Child]:
    value, low, high = bounds(model)
    drawing = node("div", whisker(value, low, high, chance, axis), class_="drawn")
    return [foreign(text(model, "name")), drawing, *_figures_of(model)]


def _figures_of(model: JsonObject) -> list[Child]:
    """Accuracy, its interval with the number of messages, F1: as words."""
    value, low, high = bounds(model)
    tested = number(model, "accuracy", "n")
    interval = f"{percent(low)} to {percent(high)}" + (f", n {count(tested)}" if tested is not None else "")
    return [percent(value), interval, fixed(number(model, "f1"), 3)]


def bounds(model: JsonObject) -> tuple[float, float, float]:
    """A model's accuracy and its interval; models without an accuracy were left out before."""
    value, low, high = (number(model, "accuracy", key) for key in ("value", "low", "high"))
    assert value is not None
    return value, value if low is None else low, value if high is None else high


def _verdict(models: list[JsonObject]) -> Node | None:
    """Who wins of those that were measured on the same messages, and whether the difference is more than luck can make."""
    ours = models[0]
    others = [each for each in models[1:] if number(each, "accuracy", "n") == number(ours, "accuracy", "n")]
    if not others:
        return None
    best = max(others, key=lambda model: number(model, "accuracy", "value") or 0.0)
    value, best_value = (number(model, "accuracy", "value") or 0.0 for model in (ours, best))
    lower, higher = sorted((ours, best), key=lambda model: number(model, "accuracy", "value") or 0.0)
    overlap = (number(lower, "accuracy", "high") or 0.0) >= (number(higher, "accuracy", "low") or 0.0)
    name, figures = foreign(text(best, "name")), f"{percent(best_value)} against {percent(value)}"
    luck = " The intervals overlap: on this many messages the difference may be luck." if overlap else ""
    if best_value > value:
        return note(
            "A baseline wins here: ",
            name,
            f", {figures}.{luck} Where a simpler method does as well, take it.",
            kind="warning",
        )
    if best_value == value:
        return note(
            "A draw: ", name, f" does as well ({percent(value)}). Where a simpler method does, take it.", kind="warning"
        )
    if overlap:
        return note("A little ahead of the best baseline: ", name, f", {figures}.{luck}")
    return note("Clearly ahead of the best baseline: ", name, f", {figures}.", kind="good")


def _confusion(results: JsonObject, model: JsonObject) -> Node | None:
    counts, labels = matrix(model, "confusion"), texts(results, "labels")
    if not counts or len(counts) != len(counts[0]) or len(labels) != len(counts):
        return None
    rows = [
        [foreign(label), *[_count_cell(value, sum(line)) for value in line]]
        for label, line in zip(labels, counts, strict=True)
    ]
    head: list[Child] = [node("span", "really · said", class_="quiet"), *[foreign(label) for label in labels]]
    caption = (
        "Rows: what a message is. Columns: what the classifier said. Right answers stand on the diagonal; "
        "a legitimate message called spam is the costlier mistake."
    )
    made = data_table(f"Confusion matrix of {text(model, 'name') or 'the classifier'}", head, rows, class_="confusion")
    return figure(caption, made, class_="")


def _count_cell(value: float, of_row: float) -> Node:
    share = value / of_row if of_row else 0.0
    level = round(share * HEAT_LEVELS)
    return node("div", node("b", count(value)), node("small", percent(share)), class_=f"heat-{level}")


def _examples(results: JsonObject) -> Node | None:
    rows = [_example(example) for example in tables(results, "examples")[:MAX_EXAMPLES]]
    return (
        more("Some messages and what it said", data_table("Test messages", ["message", "is", "said", ""], rows))
        if rows
        else None
    )


def _example(example: JsonObject) -> list[Child]:
    label, said = text(example, "label"), text(example, "predicted")
    mark = "right" if label == said else node("strong", "wrong", class_="no")
    return [foreign(first_letters(text(example, "text"), MESSAGE_CHARACTERS)), foreign(label), foreign(said), mark]
