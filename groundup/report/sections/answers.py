"""Answers to held-out questions: the base and the chat model, alone and with documents; what was
refused, what was cited.
"""

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
    notes_of,
    paired_points,
    whisker_table,
)
from groundup.report.formatting import count, first_letters, fixed, percent
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, measured, number, table, tables, text, texts

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
ITEMS_SHOWN, ANSWER_CHARACTERS = 60, 300


def parts(stage: str, report: ReportData) -> Sequence[Child] | str:
    """The figures of every way to answer, and the answers."""
    found = report.json(f"{stage}/results.json")
    arms = [arm for arm in tables(found, "arms") if measured(arm, "contains")]
    if not arms:
        return "no questions have been answered"
    said = [
        sentence
        for name in report.of_kind("index")
        if (made := report.stage(name))
        for sentence in made.thin
    ]
    shown = [_counts(found), _right(arms), _figures(arms), _refusals(arms), _checks(arms)]
    return [*shown, *notes_of(said), _items(found, arms)]


def _counts(found: JsonObject) -> Node | None:
    asked = table(found, "questions")
    return facts(
        (count(number(asked, "answerable")), "held-out questions that a document answers"),
        (count(number(asked, "unanswerable")), "that none answers"),
    )


def _right(arms: Sequence[JsonObject]) -> Node:
    """How often the answer stands in what was said, drawn with intervals, and the paired difference
    from the base alone.
    """
    rows = []
    for arm in arms:
        shown = measured(arm, "contains")
        assert shown is not None
        interval = f"{percent(shown.low, 0)} to {percent(shown.high, 0)}, n {count(shown.items)}"
        change = table(arm, "contains", "change")
        cells: list[Child] = [
            percent(shown.value, 0),
            interval,
            "" if text(arm, "name") == "base" else paired_points(change),
        ]
        rows.append((foreign(text(arm, "name")), shown, cells))
    columns = ["answer stands in it", "95 % interval", "minus the base alone, paired"]
    made = whisker_table(
        "Questions whose answer stands in what was said", columns, rows, low=0.0, levels=LEVELS
    )
    caption = (
        "Whether the expected words stand in what was said, by a rule. Quotations are sentences of the documents, found without a model: "
        "what a model adds to them is the question."
    )
    return figure(caption, made)


def _figures(arms: Sequence[JsonObject]) -> Node:
    rows: list[list[Child]] = []
    for arm in arms:
        f1, exact = table(arm, "f1"), table(arm, "exact")
        low, high = number(f1, "low"), number(f1, "high")
        interval = (
            f"{fixed(max(0.0, low), 2)} to {fixed(high, 2)}"
            if low is not None and high is not None
            else ""
        )
        rows.append(
            [
                foreign(text(arm, "name")),
                percent(number(exact, "value"), 0),
                fixed(number(f1, "value"), 2),
                interval,
            ]
        )
    head = ["", "exact match", "F1 of words", "95 % interval"]
    made = data_table("Exact match and F1, as in SQuAD", head, rows, figures=(1, 2, 3))
    caption = "The expected answers are a few words, which whole sentences can't match exactly; F1 counts all other words against it."
    return figure(caption, made)


def _refusals(arms: Sequence[JsonObject]) -> Node | None:
    rows: list[list[Child]] = []
    for arm in arms:
        refused, silent = measured(arm, "refused"), measured(arm, "silent")
        if refused and silent:
            bounds = (
                f"{percent(refused.low, 0)} to {percent(refused.high, 0)}, n {count(refused.items)}"
            )
            rows.append(
                [
                    foreign(text(arm, "name")),
                    percent(refused.value, 0),
                    bounds,
                    percent(silent.value, 0),
                ]
            )
    head = ["", "unanswerable refused", "95 % interval", "answerable refused, too"]
    made = data_table("Questions that no document answers", head, rows, figures=(1, 2, 3))
    caption = "Refused: nothing was said, no sentence passed the checks, or it was said that there is no answer (found by a rule)."
    return figure(caption, made) if rows else None


def _checks(arms: Sequence[JsonObject]) -> Node | None:
    """What the checks left out, and how often the right document was cited."""
    said: list[Child] = []
    for arm in arms:
        cited, written = measured(arm, "cited"), number(arm, "written")
        if cited is None:
            continue
        left = (
            f"; {count(number(arm, 'left_out'))} of {count(written)} sentences failed a check and were left out"
            if written
            else ""
        )
        of = f"{percent(cited.value, 0)} ({percent(cited.low, 0)} to {percent(cited.high, 0)}) of {count(cited.items)} answers"
        said.append(
            node("li", foreign(text(arm, "name")), f": the right document is cited in {of}{left}.")
        )
    return (
        node("div", node("p", "Citations, each checked in code:"), node("ul", said))
        if said
        else None
    )


def _items(found: JsonObject, arms: Sequence[JsonObject]) -> Node | None:
    shown = [
        _item(item, [text(arm, "name") for arm in arms])
        for item in tables(found, "items")[:ITEMS_SHOWN]
    ]
    return (
        more("Every question with its answers", node("div", shown, class_="answers"))
        if shown
        else None
    )


def _item(item: JsonObject, names: Sequence[str]) -> Node:
    expected = (
        foreign(text(item, "answer")) if text(item, "answer") else "that the documents do not say"
    )
    answers = []
    for name in names:
        answer = table(item, "answers", name)
        if not answer:  # it was not asked
            continue
        cited = ", ".join(dict.fromkeys(texts(answer, "cited")))
        said = (
            foreign(first_letters(text(answer, "text"), ANSWER_CHARACTERS))
            if text(answer, "text")
            else "(no answer)"
        )
        source = node("span", " ", foreign(cited), class_="quiet") if cited else None
        answers.append(node("li", node("span", foreign(name), ": ", class_="quiet"), said, source))
    asked = foreign(text(item, "question"), "p", "input")
    wanted = node("p", node("span", "expected ", class_="quiet"), expected, class_="expected")
    return node("article", asked, wanted, node("ul", answers), class_="answer")


def answers_chapter(stage: str, report: ReportData) -> Chapter:
    """Return the chapter of a stage that answers questions, with the cards of the indexes."""
    indexes = report.of_kind("index")
    return Chapter(
        stage,
        "",
        "Answers from documents",
        "The same held-out questions, answered by the public and by the fine-tuned model, from memory and with passages found by search.",
        partial(parts, stage),
        stages=[stage],
        cards=[
            *(
                StageCard(name, f"Documents: {name}", "makes the documents searchable")
                for name in indexes
            ),
            StageCard(stage, "Answers", "answers held-out questions, with and without documents"),
        ],
    )
