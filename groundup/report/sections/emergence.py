"""What the models can do that nobody taught them, beside chance; and how it came while the own
model was trained.
"""

from collections.abc import Mapping, Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import Chapter, data_table, figure, more, note, paired_points
from groundup.report.formatting import count, first_letters, percent
from groundup.report.report_data import ReportData
from groundup.report.sections.emergence_charts import (
    MODELS,
    UNITS,
    SuiteRows,
    curve_chart,
    suites_chart,
)
from groundup.report.values import JsonObject, number, table, tables, text

AT_CHANCE = "not distinguishable from chance"
ITEMS_SHOWN, ITEM_CHARACTERS = 3, 320
TITLES = {"grammar": "Grammar", "copying": "Copying", "text": "Held-out text"}


def parts(report: ReportData) -> Sequence[Child] | str:
    """The suites beside chance, the curves, the figures, items to read."""
    found = report.json("evaluate/suites.json")
    suites = {
        name: suite
        for name in table(found, "suites")
        if (suite := rows_of(table(found, "suites", name))).rows
    }
    if not suites:
        return "its models were not measured on suites"
    return [
        *_verdicts(suites),
        _chart(list(suites.values())),
        *_curves(found),
        _figures(suites),
        _items(table(found, "suites"), suites),
        _overlap(table(found, "suites")),
    ]


def rows_of(suite: JsonObject) -> SuiteRows:
    """Return the figures of a suite's models that have a value."""
    known = {
        model: row
        for model in MODELS
        if number(row := table(suite, "rows", model), "value") is not None
    }
    first = next(iter(known.values()), {})
    return SuiteRows(text(suite, "heading"), number(first, "n"), number(first, "chance"), known)


def _verdicts(suites: Mapping[str, SuiteRows]) -> list[Node]:
    """A sentence for each model: in what it is above chance."""
    sentences = []
    for model, (name, _) in MODELS.items():
        judged = [suite for suite in suites.values() if model in suite.rows]
        above = [
            suite.heading.lower()
            for suite in judged
            if suite.rows[model].get("is_chance") is not True
        ]
        if judged:
            where = (
                f"above chance in {', '.join(above)}" if above else "above chance in none of them"
            )
            rest = (
                f"; {AT_CHANCE} in {len(judged) - len(above)} of {len(judged)}"
                if len(above) < len(judged)
                else ""
            )
            sentences.append(node("li", node("b", f"{name.capitalize()}: "), f"{where}{rest}."))
    return [node("ul", sentences, class_="verdicts")] if sentences else []


def _chart(suites: Sequence[SuiteRows]) -> Node:
    caption = (
        "Accuracy with its 95 % interval, on a random part of each suite: as many items as fit the budget, the same for all models. "
        "The line across each group is what guessing reaches."
    )
    return figure(caption, suites_chart(suites))


def _curves(found: JsonObject) -> list[Node]:
    titled = [
        (curve, TITLES.get(text(curve, "task"), text(curve, "task")))
        for curve in tables(found, "curves")
    ]
    charts = [drawn for curve, title in titled if (drawn := curve_chart(curve, title)) is not None]
    if not charts:
        return []
    caption = (
        "The own model while it was trained, at the snapshots that its run kept; the steps are on a square root. Bands: 95 % intervals. "
        f"Dotted: chance. Bits per byte, the loss that it is trained for, fall first; a hollow point is {AT_CHANCE}."
    )
    changes = [line for curve, title in titled if (line := _change(curve, title))]
    said = (
        node("p", f"From the first to the last snapshot, paired: {'; '.join(changes)}.")
        if changes
        else None
    )
    return [
        figure(caption, node("div", charts, class_="small-charts")),
        *([said] if said is not None else []),
    ]


def _change(curve: JsonObject, title: str) -> str:
    """Return the paired difference of the last point from the first; "" without one."""
    change = table(curve, "change")
    value, low, high = (number(change, name) for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return ""
    meaning = text(change, "verdict").replace("unclear", "no clear difference")
    if text(curve, "metric") == "accuracy":
        return f"{title.lower()} {paired_points(change)} points, {meaning}"
    return f"{title.lower()} {value:+.2f} ({low:+.2f} to {high:+.2f}) {UNITS.get(text(curve, 'metric'), '')}, {meaning}"


def _figures(suites: Mapping[str, SuiteRows]) -> Node:
    rows: list[list[Child]] = []
    for suite in suites.values():
        for model, row in suite.rows.items():
            low, high = number(row, "low"), number(row, "high")
            interval = (
                f"{percent(low)} to {percent(high)}" if low is not None and high is not None else ""
            )
            said = AT_CHANCE if row.get("is_chance") is True else ""
            figures = (
                percent(number(row, "value")),
                interval,
                count(number(row, "n")),
                percent(number(row, "chance")),
                said,
            )
            rows.append([f"{suite.heading}, {MODELS[model][0]}", *figures])
    head = ["suite and model", "accuracy", "95 % interval", "n", "chance", ""]
    return more("The figures", data_table("Accuracy on suites", head, rows, figures=(1, 2, 3, 4)))


def _items(found: JsonObject, suites: Mapping[str, SuiteRows]) -> Node | None:
    """Items of each suite with the answers of all models."""
    shown = []
    for name, suite in suites.items():
        cards = [_card(item) for item in tables(found, name, "items")[:ITEMS_SHOWN]]
        shown += [node("h3", suite.heading), node("div", cards, class_="answers")] if cards else []
    return more("Items to read", shown) if shown else None


def _card(item: JsonObject) -> Node:
    answers = [
        _answer(table(item, "answers", model), MODELS[model][0])
        for model in MODELS
        if table(item, "answers", model)
    ]
    expected = node("span", "expected ", class_="quiet")
    asked = foreign(first_letters(text(item, "asked"), ITEM_CHARACTERS), "p", "input")
    wanted = node(
        "p",
        expected,
        foreign(first_letters(text(item, "expected"), ITEM_CHARACTERS)),
        class_="expected",
    )
    return node(
        "article",
        node("p", foreign(text(item, "group")), class_="step"),
        asked,
        wanted,
        node("ul", answers),
        class_="answer",
    )


def _answer(answer: JsonObject, name: str) -> Node:
    right = answer.get("right")
    verdict = (
        (node("span", "✓ ", class_="yes") if right else node("span", "✗ ", class_="no"))
        if isinstance(right, bool)
        else None
    )
    said = foreign(first_letters(text(answer, "answer"), ITEM_CHARACTERS))
    return node("li", verdict, node("span", f"{name}: ", class_="quiet"), said)


def _overlap(found: JsonObject) -> Node | None:
    """How many items stand in the own model's training text."""
    known = [overlap for name in found if (overlap := table(found, name, "overlap"))]
    if not known:
        return None
    items, seen, long = (
        sum(number(each, key) or 0 for each in known)
        for key in ("items", "overlapping", "long_enough")
    )
    shorter = f" ({count(items - long)} items have fewer words)" if items > long else ""
    line = f"{count(seen)} of these {count(items)} items have eight words in a row that stand in the own model's training text{shorter}."
    return note(line, kind="warning" if seen else "note")


EMERGENCE = Chapter(
    "emergence",
    "",
    "What it can do that nobody taught it",
    "A model learns to predict the next token, and is asked something else: which sentence is right, what comes again, how a text feels. "
    "What is no better than guessing is hollow. Most of it needs a larger model than one trained in minutes.",
    parts,
    stages=["evaluate"],
)
