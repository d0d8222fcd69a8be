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
)
from groundup.report.formatting import count, first_letters, fixed
from groundup.report.report_data import ReportData
from groundup.report.sections.answers import answer_cards, arm_whiskers
from groundup.report.values import JsonObject, measured, number, numbers, table, tables, text

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
TEXT_CHARACTERS = 900


def parts(stage: str, report: ReportData) -> Sequence[Child] | str:
    """The figures of every way to summarise, and the summaries."""
    found = report.json(f"{stage}/results.json")
    arms = [arm for arm in tables(found, "arms") if measured(arm, "facts")]
    if not arms:
        return "no texts have been summarised"
    return [_facts(arms), _rouge(arms), _items(found, arms)]


def _facts(arms: Sequence[JsonObject]) -> Node | None:
    columns = ["of the key facts", "95 % interval", "difference from the base, paired"]
    made = arm_whiskers("Key facts in the summaries", "facts", columns, arms)
    caption = (
        "Key facts were chosen with the reference summaries; "
        "longer texts have more of them by their length."
    )
    return figure(caption, made)


def _rouge(arms: Sequence[JsonObject]) -> Node | None:
    rows: list[list[Child]] = []
    for arm in arms:
        rouge = table(arm, "rouge_l")
        value, low, high = map(fixed, numbers(rouge, "value", "low", "high"))
        bounds = f"{low} to {high}, n {count(number(rouge, 'n'))}"
        rows.append([foreign(text(arm, "name")), value, bounds])
    head = ["", "ROUGE-L", "95 % interval"]
    made = data_table("ROUGE-L against the reference", head, rows, figures=(1, 2))
    return figure("The longest common sequence of words with a summary that a person wrote.", made)


def _items(found: JsonObject, arms: Sequence[JsonObject]) -> Node | None:
    names = [text(arm, "name") for arm in arms]
    cards = [_item(item, names) for item in tables(found, "items")]
    return answer_cards("Every text with its summaries", cards)


def _item(item: JsonObject, names: Sequence[str]) -> Node:
    said = [
        node(
            "li",
            node("span", foreign(name), ": ", class_="quiet"),
            foreign(text(item, "answers", name)),
        )
        for name in names
    ]
    label, summary = node("span", "reference ", class_="quiet"), foreign(text(item, "summary"))
    asked = foreign(first_letters(text(item, "text"), TEXT_CHARACTERS), "p", "input")
    wanted = node("p", label, summary, class_="expected")
    return node("article", asked, wanted, node("ul", said), class_="answer")


def summaries_chapter(stage: str) -> Chapter:
    """Return the chapter of a stage that has texts summarised."""
    return Chapter(
        stage,
        "",
        "Summaries",
        "The first three sentences of a text are a summary that costs nothing. "
        "A model is worth its cost where it is better than they are.",
        partial(parts, stage),
        cards=[StageCard(stage, "Summaries", "summarises held-out texts")],
    )
