"""A classifier against its baselines, with intervals, chance level and confusion matrix."""

from collections.abc import Sequence
from functools import partial

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import (
    Chapter,
    StageCard,
    data_table,
    facts,
    figure,
    more,
    note,
    paired_points,
    sentence,
    whisker_table,
)
from groundup.report.report_data import ReportData
from groundup.report.sections.classifier_charts import (
    BEFORE_TEMPERATURE,
    MAX_EXAMPLES,
    SAME_MESSAGES,
    USES,
    accuracy_cells,
    by_label,
    calibration_chart,
    confusion,
    coverage_chart,
    label_charts,
    label_table,
    learning_chart,
    message_of,
    right_or_wrong,
    same_messages,
    size_facts,
    wrong_labels,
)
from groundup.report.sections.pretraining_ablation import pretraining_parts
from groundup.report.values import (
    JsonObject,
    MeasuredFraction,
    count,
    fill,
    fixed,
    interval,
    measured,
    number,
    percent,
    signed,
    table,
    tables,
    text,
    texts,
    three_decimals,
    ticks,
)
from groundup.risk import percent_above

COLUMNS = ["accuracy", "95 % interval", "F1", "classifier minus it, paired"]
HEAT_LEVELS = 8
TRIED = [
    "trained",
    "loss on validation",
    "over the lowest",
    "right",
    "95 % interval",
    "seconds",
    "choice",
]
EXAMPLES = "Some messages with their predictions, errors first"
ROOM_BELOW_CHANCE = 0.06


def parts(stage: str, report: ReportData) -> Sequence[Child] | str:
    results = report.run(stage).results
    if results.get("multi_label") is True:
        return label_set_parts(results)
    models = _with_accuracy(results, "models")
    if not models:
        return "no classifier has been trained"
    return [
        _figures(results),
        _comparison(results, models),
        _verdict(models),
        _confusion(results, models[0][0]),
        _put_to_work(results),
        wrong_labels(results),
        _examples(results),
        more("Precision, recall and F1 of each label", by_label(results, models[0][0])),
        more("Calibration: what its probabilities are worth", _calibration(results)),
        more("What abstaining would bring", _abstaining(table(results, "coverage"))),
        more("ROC, and precision against recall, over all thresholds", label_charts(results)),
        more("What more labels would bring", learning_chart(results)),
        more("How it was trained", _how_trained(results)),
        more("What pretraining is worth", pretraining_parts(table(results, "pretraining"))),
        _same_messages(results),
    ]


def _figures(results: JsonObject) -> list[Node | None]:
    splits, repeats = table(results, "splits"), number(results, "source", "repeats")
    shown = size_facts({name: split_count(splits, name) for name in USES})
    if not repeats:
        return [shown]
    why = (
        "{count} repeated messages were removed before the split, "
        "so that no test message was trained on."
    )
    return [shown, node("p", say(why, count=count(repeats)), class_="see")]


def split_count(splits: JsonObject, name: str) -> float | None:
    """A split's size, recorded as a number or as a number for each label."""
    counts = [number(value) for value in table(splits, name).values()]
    known = [value for value in counts if value is not None]
    if not known:
        return number(splits, name)
    return sum(known)


def _with_accuracy(results: JsonObject, name: str) -> list[tuple[JsonObject, MeasuredFraction]]:
    """The methods of a list that have an accuracy, each with it."""
    found = [(model, measured(model, "accuracy")) for model in tables(results, name)]
    return [(model, accuracy) for model, accuracy in found if accuracy]


def _comparison(
    results: JsonObject, models: list[tuple[JsonObject, MeasuredFraction]]
) -> Node | None:
    chance = number(results, "majority", "value") or number(results, "majority")
    lows = [found.low for _, found in models]
    if chance is not None:
        lows.append(chance)
    low = max(0.0, min(lows) - ROOM_BELOW_CHANCE)
    rows = [
        (_name(m), found._replace(chance=chance), [*accuracy_cells(m, found), _lead(m)])
        for m, found in models
    ]
    levels = ticks(low, 1.0, 4)
    made = whisker_table("Classifiers on test messages", COLUMNS, rows, low=low, levels=levels)
    always = " Dotted: the share of the label that is most frequent among them ({})."
    dotted = fill(always, chance, percent)
    return figure(say("Accuracy on held-out messages.") + dotted, made)


def _same_messages(results: JsonObject) -> Node | None:
    """All methods on the messages that the base model was asked about (zero-shot)."""
    models = _with_accuracy(results, "same_messages")
    rows = [[_name(model), *accuracy_cells(model, found), _lead(model)] for model, found in models]
    made = data_table(SAME_MESSAGES, ["model", *COLUMNS], rows, figures=(1, 2, 3, 4))
    return same_messages(results, made, "The prompt: ", _shots(results))


def _shots(results: JsonObject) -> Node | None:
    """How many examples the model was shown before, and how that number was chosen."""
    shots, tried = number(results, "few_shot", "shots"), tables(results, "few_shot", "tried")
    if not shots:
        return None
    said = say(
        "Few-shot: it was shown {count} training messages of each label before.", count=count(shots)
    )
    if tried:
        said += " " + say(
            "(accuracy on {count} validation messages by their number: {accuracies})",
            count=count(tried[0], "n"),
            accuracies=", ".join(f"{count(e, 'shots')}: {percent(e, 'accuracy')}" for e in tried),
        )
    return node("p", said)


def _name(model: JsonObject) -> Node:
    return foreign(say(text(model, "name")))


def _lead(model: JsonObject) -> str:
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
    values = {"best": percent(best.value), "ours": percent(ours.value)}

    def judged(english: str, simpler: str = "", *, kind: str = "note") -> Node:
        words = sentence(english, name=_name(model), **values)
        return note(*words, say(simpler), kind=kind)

    simpler = " If a simpler method is as good, use it."
    match text(model, "lead", "accuracy", "verdict"):
        case "worse":
            worse = "A baseline is better: {name}, {best} against {ours}."
            return judged(worse, simpler, kind="warning")
        case "better":
            better = "Better than the best baseline: {name}, {best} against {ours}."
            return judged(better, kind="good")
        case "":
            unknown = (
                "The best baseline: {name}, {best} against {ours}; "
                "whether that is chance was not measured."
            )
            return judged(unknown, simpler)
    unclear = (
        "No clear difference from the best baseline: {name}, {best} against {ours}: "
        "the interval of the paired difference contains 0, so it may be chance."
    )
    return judged(unclear, simpler)


def _how_trained(results: JsonObject) -> list[Node | None]:
    rows: list[list[Child]] = [
        [
            foreign(text(each, "train")),
            fixed(each, "validation_loss", decimals=3),
            _behind(each),
            percent(each, "right", "value"),
            interval(table(each, "right"), percent),
            fixed(each, "elapsed_s", decimals=1),
            say({True: "chosen"}.get(each.get("chosen") is True, "")),
        ]
        for each in tables(results, "tried")
    ]
    made = data_table("What was tried", TRIED, rows, figures=(1, 2, 3, 4, 5))
    caption = say("Chosen: the simplest whose loss is within a standard error of the lowest.")
    if not table(results, "stacked"):
        caption += " " + say("Other programs open its folder whole.")
    return [figure(caption, made, class_=""), _stacked(results)]


def _behind(tried: JsonObject) -> str:
    behind = number(tried, "behind")
    if behind == 0:
        return say("lowest")
    if behind is None:
        return ""
    return f"+{three_decimals(behind)} ± {three_decimals(number(tried, 'standard_error'))}"


def _stacked(results: JsonObject) -> Node | None:
    """What a stacked classifier is made of, and what its plain head reaches."""
    found = table(results, "stacked")
    blocks = ", ".join(count(each, "block") for each in tables(found, "blocks"))
    if not blocks:
        return None
    values = {
        "blocks": blocks,
        "ngrams": count(found, "letters", "ngrams"),
        "share": fixed(found, "letters_share"),
    }
    said = (
        "Stacked: regressions on the mean hidden states after blocks {blocks} and on {ngrams} "
        "n-grams of letters, of which the latter have a share of {share}."
    )
    vectors = table(found, "vectors")
    if vectors:
        said = (
            "Stacked: regressions on the mean hidden states after blocks {blocks}, on {ngrams} "
            "n-grams of letters, which have a share of {share}, and on vectors of {encoder}, "
            "which have a share of {of_vectors}."
        )
    words = sentence(
        said,
        encoder=foreign(text(vectors, "encoder")),
        of_vectors=fixed(vectors, "share"),
        **values,
    )
    alone = " Other programs read the plain head alone: {share} on the test messages."
    return note(*words, say(alone, share=percent(results, "plain_head", "value")))


def _confusion(results: JsonObject, model: JsonObject) -> Node | None:
    counts, labels = confusion(results, model)
    rows: list[list[Child]] = [
        [foreign(label), *[_count_cell(value, sum(line)) for value in line]]
        for label, line in zip(labels, counts, strict=True)
    ]
    head: list[Child] = [
        node("span", say("true · predicted"), class_="quiet"),
        *map(foreign, labels),
    ]
    caption = (
        "Rows: true label. Columns: predicted label. Correct predictions are on the diagonal; "
        "which mistake costs more is for you to say."
    )
    title = say("Confusion matrix of {name}", name=say(text(model, "name") or "the classifier"))
    return figure(caption, data_table(title, head, rows, class_="confusion"), class_="")


def _count_cell(value: float, of_row: float) -> Node:
    share = value / (of_row or 1.0)
    parts = [node("b", count(value)), node("small", percent(share))]
    return node("div", parts, class_=f"heat-{round(share * HEAT_LEVELS)}")


def _put_to_work(results: JsonObject) -> Node | None:
    """What its mistakes are, and what is left of them where it may abstain."""
    coverage, costs = table(results, "coverage"), table(results, "costs")
    positive = text(results, "positive")
    return facts(
        (
            count(costs, "false_alarms"),
            say("false alarms: {label} that is none", label=positive),
        ),
        (count(costs, "misses"), say("misses of {label}", label=positive)),
        (
            percent(coverage, "answered"),
            "of the test messages answered, the others are left to a person",
        ),
        (percent(coverage, "accuracy"), "of the answered ones right"),
        *_promise_facts(table(results, "decision", "promise")),
    )


def _calibration(results: JsonObject) -> list[Node | None]:
    """How far its probabilities can be trusted."""
    calibration = table(results, "calibration")
    by_chance = fill(
        " ({} is expected by chance for this number of messages)",
        number(calibration, "by_chance"),
        three_decimals,
    )
    error = say("calibration error on test: how far confidence is from accuracy")
    shown = facts(
        (three_decimals(calibration, "error"), error + by_chance),
        (three_decimals(calibration, "before"), BEFORE_TEMPERATURE),
    )
    return [shown, calibration_chart(calibration)]


def _abstaining(coverage: JsonObject) -> list[Node | None]:
    """The curve of coverage against accuracy."""
    rows = [
        [three_decimals(each, "confidence"), percent(each, "coverage"), percent(each, "accuracy")]
        for each in tables(coverage, "curve")
    ]
    head = ["minimum confidence", "messages answered", "of these right"]
    made = data_table("Coverage and accuracy on test messages", head, rows, figures=(0, 1, 2))
    return [coverage_chart(coverage), made]


def _promise_facts(promise: JsonObject) -> list[tuple[str, str]]:
    """The promised error rate, and from how many messages; none where nothing is promised."""
    error = number(promise, "error")
    if error is None:
        return []
    shown, wrong = count(promise, "shown"), count(promise, "wrong")
    confidence = percent(promise, "confidence", decimals=0)
    return [
        (
            percent_above(error),
            say(
                "of the answered ones are wrong at most: promised with {confidence} confidence, "
                "from {count} messages kept for it ({shown} answered, {wrong} wrong)",
                confidence=confidence,
                count=count(promise, "questions"),
                shown=shown,
                wrong=wrong,
            ),
        )
    ]


def _examples(results: JsonObject) -> Node | None:
    rows: list[list[Child]] = []
    for example in tables(results, "examples")[:MAX_EXAMPLES]:
        label, predicted = text(example, "label"), text(example, "predicted")
        judged = right_or_wrong(label == predicted)
        sure = percent(example, "probability")
        rows.append([message_of(example), foreign(label), foreign(predicted), sure, judged])
    head = ["message", "label", "prediction", "confidence", "result"]
    return more(EXAMPLES, data_table("Test messages", head, rows, figures=(3,)))


def classifier_chapter(stage: str) -> Chapter:
    title = "Classifier"
    if stage != "classifier":
        title = say("{name} classifier", name=stage.capitalize())
    return Chapter(
        stage,
        "",
        "A classifier against simple baselines",
        "A language model is worth its cost only where it is better than simpler methods. "
        "Dots are measurements, lines are 95 % intervals. "
        "Two methods are compared message by message: "
        "one is better only where the interval of that difference excludes 0.",
        partial(parts, stage),
        cards=[StageCard(stage, title, "fine-tunes the pulled model to classify")],
        runs=["classifier"],
    )


NO_LABEL = "no label"


def label_set_parts(results: JsonObject) -> list[Child]:
    """The chapter of a classifier of several labels a text: the methods by micro F1, and the
    figures of each label in place of a confusion matrix.
    """
    models = _method_table("Methods on test messages", tables(results, "models"))
    caption = (
        "Micro F1 is that of all pairs of a message and a label; exact match: all labels of a "
        "message are predicted and no other. In brackets 95 % intervals, over messages; the last "
        "column is micro F1 on the same messages."
    )
    asked = _method_table(SAME_MESSAGES, tables(results, "same_messages"))
    return [
        size_facts({name: number(results, "sizes", name) for name in USES}),
        figure(caption, models, class_=""),
        *_how_trained(results),
        _by_label(results),
        _pair_calibration(table(results, "calibration")),
        same_messages(results, asked, "The prompt of each label: "),
        _label_set_examples(results),
    ]


def _method_table(title: str, models: list[JsonObject]) -> Node | None:
    head = ["method", "micro F1", "macro F1", "exact match", "classifier minus it, paired"]
    rows: list[list[Child]] = [
        [
            _name(model),
            f"{three_decimals(model, 'micro_f1', 'value')} "
            f"({interval(table(model, 'micro_f1'), three_decimals)})",
            three_decimals(model, "macro_f1", "value"),
            percent(model, "exact_match", "value"),
            _f1_lead(table(model, "lead", "micro_f1")),
        ]
        for model in models
    ]
    return data_table(title, head, rows, figures=range(1, 5))


def _f1_lead(found: JsonObject) -> str:
    value, bounds = number(found, "value"), interval(found, three_decimals)
    if value is None or not bounds:
        return ""
    return f"{signed(value, 3)} ({bounds})"


def _by_label(results: JsonObject) -> Node | None:
    """With the decision threshold of each label."""
    ours = next(iter(tables(results, "models")), {})
    rows: list[list[Child]] = [
        [
            foreign(text(each, "label")),
            percent(each, "precision"),
            percent(each, "recall"),
            three_decimals(each, "f1"),
            count(each, "n"),
            count(each, "said"),
            fixed(results, "decision", "thresholds", text(each, "label")),
        ]
        for each in tables(ours, "by_label")
    ]
    return label_table(rows, "threshold")


def _pair_calibration(calibration: JsonObject) -> Node | None:
    if not calibration:
        return None
    said = "calibration error on test, over all pairs of a message and a label"
    shown = facts(
        (three_decimals(calibration, "error"), said),
        (three_decimals(calibration, "before"), BEFORE_TEMPERATURE),
    )
    return node("div", shown, calibration_chart(calibration))


def _label_set_examples(results: JsonObject) -> Node | None:
    rows: list[list[Child]] = []
    for each in tables(results, "examples")[:MAX_EXAMPLES]:
        actual, predicted = texts(each, "actual"), texts(each, "predicted")
        judged = right_or_wrong(set(actual) == set(predicted))
        rows.append([message_of(each), _label_set(actual), _label_set(predicted), judged])
    made = data_table("Test messages", ["message", "labels", "prediction", "result"], rows)
    return more(EXAMPLES, made)


def _label_set(labels: list[str]) -> Child:
    if not labels:
        return say(NO_LABEL)
    return foreign(", ".join(labels))
