"""A classifier against its baselines, with intervals, chance level and confusion matrix."""

from collections.abc import Sequence
from functools import partial

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import (
    Chapter,
    StageCard,
    data_table,
    facts,
    figure,
    more,
    note,
    paired_points,
    whisker_table,
)
from groundup.report.formatting import count, first_letters, fixed, percent, ticks
from groundup.report.report_data import ReportData
from groundup.report.sections.classifier_charts import (
    by_label,
    calibration_chart,
    coverage_chart,
    label_charts,
    learning_chart,
)
from groundup.report.sections.classifier_label_sets import label_set_parts
from groundup.report.sections.pretraining_ablation import pretraining_parts
from groundup.report.values import (
    JsonObject,
    MeasuredFraction,
    matrix,
    measured,
    number,
    table,
    tables,
    text,
    texts,
)

HEAT_LEVELS = 8
MAX_EXAMPLES = 12
MAX_SUSPECTS = 15
MESSAGE_CHARACTERS = 200
ROOM_BELOW_CHANCE = 0.06


def parts(stage: str, report: ReportData) -> Sequence[Child] | str:
    """The classifier against its baselines."""
    results = report.run(stage).results
    if results.get("multi_label") is True:
        return label_set_parts(results)
    models = _scored(results, "models")
    if not models:
        return "no classifier has been trained"
    return [
        _figures(results),
        _comparison(results, models),
        _verdict(models),
        *_how_trained(results),
        *pretraining_parts(table(results, "pretraining")),
        _confusion(results, models[0][0]),
        by_label(results, models[0][0]),
        *_put_to_work(results),
        *label_charts(results),
        *learning_chart(results),
        _same_messages(results),
        _examples(results),
        _wrong_labels(results),
    ]


def _figures(results: JsonObject) -> list[Node | None]:
    splits, repeats = table(results, "splits"), number(results, "source", "repeats")
    uses = (
        ("train", "for training"),
        ("validation", "for model selection"),
        ("test", "for testing"),
    )
    shown = facts(*[(count(split_count(splits, name)), f"messages {use}") for name, use in uses])
    why = "repeated messages were removed before the split, so that no test message was trained on."
    return [shown, node("p", f"{count(repeats)} {why}", class_="see") if repeats else None]


def split_count(splits: JsonObject, name: str) -> float | None:
    """Return a split's size, recorded as a number or as a number for each label."""
    by_label = [
        value for label in table(splits, name) if (value := number(splits, name, label)) is not None
    ]
    return sum(by_label) if by_label else number(splits, name)


def _scored(results: JsonObject, name: str) -> list[tuple[JsonObject, MeasuredFraction]]:
    """Return the methods of a list that have an accuracy, each with it."""
    return [
        (model, found) for model in tables(results, name) if (found := measured(model, "accuracy"))
    ]


def _comparison(results: JsonObject, models: list[tuple[JsonObject, MeasuredFraction]]) -> Node:
    chance = number(results, "majority", "value") or number(results, "majority")
    lows = [found.low for _, found in models] + ([] if chance is None else [chance])
    low = max(0.0, min(lows) - ROOM_BELOW_CHANCE)
    rows = [
        (_name(m), found._replace(chance=chance), [*_cells(m, found), _lead(m)])
        for m, found in models
    ]
    columns = ["accuracy", "95 % interval", "F1", "classifier minus it, paired"]
    made = whisker_table(
        "Classifiers on test messages", columns, rows, low=low, levels=ticks(low, 1.0, 4)
    )
    dotted = (
        f" Dotted: always predicting the most frequent label ({percent(chance)})."
        if chance is not None
        else ""
    )
    return figure(f"Accuracy on held-out messages.{dotted}", made)


def _same_messages(results: JsonObject) -> Node | None:
    """All methods on the messages that the base model was asked about (zero-shot)."""
    models, asked = _scored(results, "same_messages"), number(results, "zero_shot", "asked")
    if not models or asked is None:
        return None
    question = node("p", "The prompt: ", foreign(text(results, "zero_shot", "question"), "q"))
    rows = [[_name(model), *_cells(model, found), _lead(model)] for model, found in models]
    head = ["model", "accuracy", "95 % interval", "F1", "classifier minus it, paired"]
    made = data_table("Every method on these messages", head, rows, figures=(1, 2, 3, 4))
    shots, tried = number(results, "few_shot", "shots"), tables(results, "few_shot", "tried")
    of_each = ", ".join(
        f"{count(number(e, 'shots'))}: {percent(number(e, 'accuracy'))}" for e in tried
    )
    chosen = (
        f" (accuracy on {count(number(tried[0], 'n'))} validation messages by their number: {of_each})"
        if tried
        else ""
    )
    shown = (
        node(
            "p",
            f"Few-shot: it was shown {count(shots)} training messages of each label before.{chosen}",
        )
        if shots
        else None
    )
    return more(
        f"The {count(asked)} messages that the base model was asked about (zero-shot)",
        question,
        shown,
        made,
    )


def _name(model: JsonObject) -> Node:
    return foreign(text(model, "name"))


def _cells(model: JsonObject, found: MeasuredFraction) -> list[Child]:
    """Accuracy, its interval with the number of messages, and F1, as text."""
    tested = f", n {count(found.items)}" if found.items is not None else ""
    interval = f"{percent(found.low)} to {percent(found.high)}{tested}"
    return [percent(found.value), interval, fixed(number(model, "f1"), 3)]


def _lead(model: JsonObject) -> str:
    """How far the classifier is ahead of a method on the same messages, in points, with the
    interval.
    """
    return paired_points(table(model, "lead", "accuracy"))


def _verdict(models: list[tuple[JsonObject, MeasuredFraction]]) -> Node | None:
    """The best of the methods measured on the same messages, and whether the paired difference
    excludes 0.
    """
    ours = models[0][1]
    others = [(model, found) for model, found in models[1:] if found.items == ours.items]
    if not others:
        return None
    model, best = max(others, key=lambda other: other[1].value)
    name, figures = _name(model), f"{percent(best.value)} against {percent(ours.value)}"
    verdict, simpler = (
        text(model, "lead", "accuracy", "verdict"),
        "If a simpler method is as good, use it.",
    )
    if verdict == "worse":
        return note("A baseline is better: ", name, f", {figures}. {simpler}", kind="warning")
    if verdict == "better":
        return note("Better than the best baseline: ", name, f", {figures}.", kind="good")
    if not verdict:  # a build of an older version
        return note(
            "The best baseline: ",
            name,
            f", {figures}; whether that is chance was not measured. {simpler}",
        )
    chance = "the interval of the paired difference contains 0, so it may be chance"
    return note(
        "No clear difference from the best baseline: ", name, f", {figures}: {chance}. {simpler}"
    )


def _how_trained(results: JsonObject) -> list[Node]:
    """What was tried on validation, and what a stacked classifier is made of; nothing where there
    was no choice.
    """
    said: list[Node] = []
    if tried := tables(results, "tried"):
        rows: list[list[Child]] = [
            [text(each, "train"), fixed(number(each, "validation_loss"), 4)] for each in tried
        ]
        made = data_table("What was tried", ["trained", "loss on validation"], rows, figures=(1,))
        said.append(figure(f"Chosen: {text(results, 'trained')}.", made, class_=""))
    found = table(results, "stacked")
    if blocks := [count(number(each, "block")) for each in tables(found, "blocks")]:
        letters = count(number(found, "letters", "ngrams"))
        plain = percent(number(results, "plain_head", "value"))
        of_vectors = table(found, "vectors")
        share = fixed(number(of_vectors, "share"), 2)
        encoder: list[Child] = (
            [
                ", and on vectors of ",
                foreign(text(of_vectors, "encoder")),
                f" with a share of {share}",
            ]
            if of_vectors
            else []
        )
        said.append(
            note(
                f"Stacked: regressions on the mean hidden states after blocks {', '.join(blocks)} and on {letters} n-grams of letters, "
                f"of which the latter have a share of {fixed(number(found, 'letters_share'), 2)}",
                *encoder,
                f". Other programs read the plain head alone: {plain} on the test messages.",
            )
        )
    return said


def _confusion(results: JsonObject, model: JsonObject) -> Node | None:
    counts, labels = matrix(model, "confusion"), texts(results, "labels")
    if not counts or len(counts) != len(counts[0]) or len(labels) != len(counts):
        return None
    lines = zip(labels, counts, strict=True)
    rows = [
        [foreign(label), *[_count_cell(value, sum(line)) for value in line]]
        for label, line in lines
    ]
    head: list[Child] = [
        node("span", "true · predicted", class_="quiet"),
        *[foreign(label) for label in labels],
    ]
    caption = (
        "Rows: true label. Columns: predicted label. Correct predictions are on the diagonal; "
        "which mistake costs more is for you to say."
    )
    made = data_table(
        f"Confusion matrix of {text(model, 'name') or 'the classifier'}",
        head,
        rows,
        class_="confusion",
    )
    return figure(caption, made, class_="")


def _count_cell(value: float, of_row: float) -> Node:
    share = value / of_row if of_row else 0.0
    level = round(share * HEAT_LEVELS)
    return node(
        "div", node("b", count(value)), node("small", percent(share)), class_=f"heat-{level}"
    )


def _put_to_work(results: JsonObject) -> list[Node | None]:
    """How far its probabilities can be trusted, what costs and abstaining come to, and the curve of
    coverage against accuracy.
    """
    calibration, costs, coverage = (
        table(results, name) for name in ("calibration", "costs", "coverage")
    )
    if not calibration:
        return []
    chance = number(calibration, "by_chance")
    by_chance = "" if chance is None else f" ({fixed(chance, 3)} is chance with so many messages)"
    error = f"calibration error on test: how far confidence is from accuracy{by_chance}"
    shown = facts(
        (fixed(number(calibration, "error"), 3), error),
        (
            fixed(number(calibration, "before"), 3),
            "before the temperature was fitted on validation",
        ),
        (
            count(number(costs, "false_alarms")),
            f"false alarms: {text(results, 'positive')} that is none",
        ),
        (count(number(costs, "misses")), f"misses of {text(results, 'positive')}"),
        (
            percent(number(coverage, "answered")),
            "of the test messages answered, the others are for a person",
        ),
        (percent(number(coverage, "accuracy")), "of the answered ones right"),
    )
    rows: list[list[Child]] = [
        [
            fixed(number(each, "confidence"), 3),
            percent(number(each, "coverage")),
            percent(number(each, "accuracy")),
        ]
        for each in tables(coverage, "curve")
    ]
    head: list[Child] = ["answered from a confidence of", "messages answered", "of these right"]
    made = data_table("Coverage and accuracy on test messages", head, rows, figures=(0, 1, 2))
    table_of_it = more("What abstaining would bring", made) if rows else None
    return [shown, calibration_chart(calibration), coverage_chart(coverage), table_of_it]


def _examples(results: JsonObject) -> Node | None:
    rows: list[list[Child]] = []
    for example in tables(results, "examples")[:MAX_EXAMPLES]:
        label, predicted = text(example, "label"), text(example, "predicted")
        mark = "right" if label == predicted else node("strong", "wrong", class_="no")
        message = first_letters(text(example, "text"), MESSAGE_CHARACTERS)
        sure = percent(number(example, "probability"))
        rows.append([foreign(message), foreign(label), foreign(predicted), sure, mark])
    head = ["message", "label", "prediction", "how sure", ""]
    made = data_table("Test messages", head, rows, figures=(3,))
    return more("Some messages with their predictions, errors first", made) if rows else None


def _wrong_labels(results: JsonObject) -> Node | None:
    """The labels that are probably wrong, to be read."""
    found = table(results, "wrong_labels")
    listed = [each for each in tables(found, "list") if each.get("suspected") is True][
        :MAX_SUSPECTS
    ]
    rows: list[list[Child]] = [
        [
            foreign(first_letters(text(each, "text"), MESSAGE_CHARACTERS)),
            foreign(text(each, "label")),
            foreign(text(each, "suggested")),
            percent(number(each, "suggested_probability")),
        ]
        for each in listed
    ]
    if not rows:
        return None
    suspected, of = (count(number(found, name)) for name in ("suspected", "n"))
    made = data_table(
        "Labels that are probably wrong",
        ["message", "label", "perhaps", "how sure"],
        rows,
        figures=(3,),
    )
    said = f"{suspected} of {of}. Classifiers that did not learn from a message confidently say another label (confident learning). "
    return more(
        "Labels to read: probably wrong",
        node("p", said, "Nothing was changed by this; the whole list is in results.json."),
        made,
        is_open=True,
    )


def classifier_chapter(stage: str) -> Chapter:
    """Return the chapter of a classifier."""
    title = f"{stage.capitalize()} classifier" if stage != "classifier" else "Classifier"
    return Chapter(
        stage,
        "",
        "A classifier against simple baselines",
        "A language model is worth its cost only where it is better than simpler methods. "
        "Dots are measurements, lines are 95 % intervals. Two methods are compared message by message: "
        "one is better only where the interval of that difference excludes 0.",
        partial(parts, stage),
        cards=[StageCard(stage, title, "fine-tunes the pulled model to classify")],
        runs=["classifier"],
    )
