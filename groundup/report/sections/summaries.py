"""Summaries by the base and the chat model beside the first three sentences: ROUGE, key facts, and
the summaries to read.
"""

from collections.abc import Sequence
from functools import partial

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import (
    Chapter,
    StageCard,
    data_table,
    figure,
    more,
    paired_points,
    whisker_table,
)
from groundup.report.formatting import count, first_letters, fixed, percent
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, measured, number, table, tables, text

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
TEXT_CHARACTERS = 900


def parts(stage: str, report: ReportData) -> Sequence[Child] | str:
    """The figures of every way to summarise, and the summaries."""
    found = report.json(f"{stage}/results.json")
    arms = [arm for arm in tables(found, "arms") if measured(arm, "facts")]
    if not arms:
        return "no texts have been summarised"
    return [_facts(arms), _rouge(arms), _items(found, arms)]


def _facts(arms: Sequence[JsonObject]) -> Node:
    rows = []
    for arm in arms:
        shown = measured(arm, "facts")
        assert shown is not None
        change = "" if text(arm, "name") == "base" else paired_points(table(arm, "facts", "change"))
        cells: list[Child] = [
            percent(shown.value, 0),
            f"{percent(shown.low, 0)} to {percent(shown.high, 0)}",
            change,
        ]
        rows.append((foreign(text(arm, "name")), shown, cells))
    columns = ["of the key facts", "95 % interval", "minus the base, paired"]
    made = whisker_table("Key facts in the summaries", columns, rows, low=0.0, levels=LEVELS)
    return figure(
        "Key facts were chosen with the reference summaries; longer texts have more of them by their length.",
        made,
    )


def _rouge(arms: Sequence[JsonObject]) -> Node:
    rows: list[list[Child]] = []
    for arm in arms:
        rouge = table(arm, "rouge_l")
        value, low, high = (fixed(number(rouge, name), 2) for name in ("value", "low", "high"))
        rows.append(
            [foreign(text(arm, "name")), value, f"{low} to {high}, n {count(number(rouge, 'n'))}"]
        )
    made = data_table(
        "ROUGE-L against the reference", ["", "ROUGE-L", "95 % interval"], rows, figures=(1, 2)
    )
    return figure("The longest common sequence of words with a summary that a person wrote.", made)


def _items(found: JsonObject, arms: Sequence[JsonObject]) -> Node | None:
    shown = [_item(item, [text(arm, "name") for arm in arms]) for item in tables(found, "items")]
    return (
        more("Every text with its summaries", node("div", shown, class_="answers"))
        if shown
        else None
    )


def _item(item: JsonObject, names: Sequence[str]) -> Node:
    said = [
        node(
            "li",
            node("span", foreign(name), ": ", class_="quiet"),
            foreign(text(item, "answers", name)),
        )
        for name in names
    ]
    wanted = node(
        "p",
        node("span", "reference ", class_="quiet"),
        foreign(text(item, "summary")),
        class_="expected",
    )
    asked = foreign(first_letters(text(item, "text"), TEXT_CHARACTERS), "p", "input")
    return node("article", asked, wanted, node("ul", said), class_="answer")


def summaries_chapter(stage: str) -> Chapter:
    """Return the chapter of a stage that has texts summarised."""
    return Chapter(
        stage,
        "",
        "Summaries",
        "The first three sentences of a text are a summary that costs nothing. A model is worth its cost where it is better than they are.",
        partial(parts, stage),
        cards=[StageCard(stage, "Summaries", "summarises held-out texts")],
    )
