"""What the models can do that nobody taught them, beside chance; and how it came while the own
model was trained.
"""

from collections.abc import Mapping, Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import (
    Chapter,
    data_table,
    figure,
    mark,
    meaning,
    more,
    note,
    paired_figure,
    paired_points,
)
from groundup.report.formatting import count, first_letters, interval, percent
from groundup.report.report_data import ReportData
from groundup.report.sections.emergence_charts import (
    AT_CHANCE,
    MODELS,
    UNITS,
    SuiteRows,
    curve_chart,
    is_chance,
    suites_chart,
)
from groundup.report.values import JsonObject, number, numbers, table, tables, text

ITEMS_SHOWN, ITEM_CHARACTERS = 3, 320
TITLES = {"grammar": "Grammar", "copying": "Copying", "text": "Held-out text"}


def parts(report: ReportData) -> Sequence[Child] | str:
    """The suites beside chance, the curves, the figures, items to read."""
    found = table(report.suites, "suites")
    suites = {name: rows_of(suite) for name, suite in found.items()}
    suites = {name: suite for name, suite in suites.items() if suite.rows}
    if not suites:
        return "its models were not measured on suites"
    return [
        _verdicts(suites),
        _chart(list(suites.values())),
        *_curves(report.suites),
        _figures(suites),
        _items(found, suites),
        _overlap(found),
    ]


def rows_of(suite: JsonObject) -> SuiteRows:
    """Return the figures of a suite's models that have a value."""
    rows = {model: table(suite, "rows", model) for model in MODELS}
    known = {model: row for model, row in rows.items() if number(row, "value") is not None}
    first = next(iter(known.values()), {})
    return SuiteRows(text(suite, "heading"), number(first, "n"), number(first, "chance"), known)


def _verdicts(suites: Mapping[str, SuiteRows]) -> Node:
    """A sentence for each model: in what it is above chance."""
    sentences = []
    for model, (name, _) in MODELS.items():
        judged = [suite for suite in suites.values() if model in suite.rows]
        if not judged:
            continue
        above = [suite.heading.lower() for suite in judged if not is_chance(suite.rows[model])]
        said = f"above chance in {', '.join(above) or 'none of them'}"
        if len(above) < len(judged):
            said += f"; {AT_CHANCE} in {len(judged) - len(above)} of {len(judged)}"
        sentences.append(node("li", node("b", f"{name.capitalize()}: "), f"{said}."))
    return node("ul", sentences, class_="verdicts")


def _chart(suites: Sequence[SuiteRows]) -> Node | None:
    caption = (
        "Accuracy with its 95 % interval, on a random part of each suite: as many items as fit "
        "the budget, the same for all models. The line across each group is what guessing reaches."
    )
    return figure(caption, suites_chart(suites))


def _curves(found: JsonObject) -> list[Node | None]:
    titled = [
        (curve, TITLES.get(text(curve, "task"), text(curve, "task")))
        for curve in tables(found, "curves")
    ]
    drawn = [curve_chart(curve, title) for curve, title in titled]
    charts = [each for each in drawn if each is not None]
    if not charts:
        return []
    caption = (
        "The own model while it was trained, at the snapshots that its run kept; the steps are on "
        "a square root. Bands: 95 % intervals. Dotted: chance. Bits per byte, the loss that it is "
        f"trained for, fall first; a hollow point is {AT_CHANCE}."
    )
    made = figure(caption, node("div", charts, class_="small-charts"))
    changes = [_change(curve, title) for curve, title in titled]
    said = "; ".join(change for change in changes if change)
    if not said:
        return [made]
    return [made, node("p", f"From the first to the last snapshot, paired: {said}.")]


def _change(curve: JsonObject, title: str) -> str:
    """Return the paired difference of the last point from the first; "" without one."""
    change, metric = table(curve, "change"), text(curve, "metric")
    unit, said = UNITS.get(metric, ""), paired_figure(change, lambda figure: f"{figure:+.2f}")
    if metric == "accuracy":
        unit, said = "points", paired_points(change)
    if not said:
        return ""
    return f"{title.lower()} {said} {unit}, {meaning(change)}"


def _figures(suites: Mapping[str, SuiteRows]) -> Node | None:
    rows: list[list[Child]] = []
    for suite in suites.values():
        for model, row in suite.rows.items():
            value, low, high, chance = numbers(row, "value", "low", "high", "chance")
            said = ""
            if is_chance(row):
                said = AT_CHANCE
            bounds, n = interval(low, high, percent), count(number(row, "n"))
            name = f"{suite.heading}, {MODELS[model][0]}"
            rows.append([name, percent(value), bounds, n, percent(chance), said])
    head = ["suite and model", "accuracy", "95 % interval", "n", "chance", ""]
    return more("The figures", data_table("Accuracy on suites", head, rows, figures=(1, 2, 3, 4)))


def _items(found: JsonObject, suites: Mapping[str, SuiteRows]) -> Node | None:
    """Items of each suite with the answers of all models."""
    shown = []
    for name, suite in suites.items():
        cards = [_card(item) for item in tables(found, name, "items")[:ITEMS_SHOWN]]
        if cards:
            shown += [node("h3", suite.heading), node("div", cards, class_="answers")]
    return more("Items to read", shown)


def _card(item: JsonObject) -> Node:
    given = {model: table(item, "answers", model) for model in MODELS}
    answers = [_answer(answer, MODELS[model][0]) for model, answer in given.items() if answer]
    label, expected = node("span", "expected ", class_="quiet"), _cut(text(item, "expected"))
    parts = [
        node("p", foreign(text(item, "group")), class_="step"),
        foreign(_cut(text(item, "asked")), "p", "input"),
        node("p", label, foreign(expected), class_="expected"),
        node("ul", answers),
    ]
    return node("article", parts, class_="answer")


def _cut(words: str) -> str:
    return first_letters(words, ITEM_CHARACTERS)


def _answer(answer: JsonObject, name: str) -> Node:
    right, verdict = answer.get("right"), None
    if isinstance(right, bool):
        verdict = mark(right)
    said = foreign(_cut(text(answer, "answer")))
    return node("li", verdict, node("span", f"{name}: ", class_="quiet"), said)


def _overlap(found: JsonObject) -> Node | None:
    """How many items stand in the own model's training text."""
    overlaps = [table(suite, "overlap") for suite in found.values()]
    known = [overlap for overlap in overlaps if overlap]
    if not known:
        return None
    items, seen, long = (
        sum(number(each, key) or 0 for each in known)
        for key in ("items", "overlapping", "long_enough")
    )
    kind, shorter = "note", ""
    if seen:
        kind = "warning"
    if items > long:
        shorter = f" ({count(items - long)} items have fewer words)"
    line = (
        f"{count(seen)} of these {count(items)} items have eight words in a row that stand in "
        f"the own model's training text{shorter}."
    )
    return note(line, kind=kind)


EMERGENCE = Chapter(
    "emergence",
    "",
    "What it can do that nobody taught it",
    "A model learns to predict the next token, and is asked something else: which sentence is "
    "right, what comes again, how a text feels. What is no better than guessing is hollow. "
    "Most of it needs a larger model than one trained in minutes.",
    parts,
    stages=["evaluate"],
)
