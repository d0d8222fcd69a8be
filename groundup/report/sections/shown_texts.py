"""What the models of a build write, at the head of its page: the own model at the first and the
last evaluation, answers before and after, a question of a pack with what was quoted. None of it is
chosen by hand."""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.formatting import count, first_letters
from groundup.report.report_data import ReportData
from groundup.report.sections.pretrain import evenly, written_samples
from groundup.report.values import JsonObject, number, table, tables, text

CHARACTERS, QUESTION_CHARACTERS = 80, 80
MOST = 2


def shown_texts(report: ReportData) -> Node | None:
    """Return at most two examples as one card; None where the models have written nothing yet."""
    found = [part for part in (_own(report), _asked(report), _answered(report)) if part is not None]
    if not found:
        return None
    return node("div", found[:MOST], class_="shown-texts")


def _own(report: ReportData) -> Node | None:
    _, samples = written_samples(report.run("pretrain"))
    if not samples:
        return None
    title: list[Child] = ["The own model goes on from ", _quoted(text(samples[0], "prompt"))]
    rows = [
        (f"step {count(number(sample, 'step'))}", _cut(text(sample, "text")))
        for sample in evenly(samples, 2)
    ]
    return _example(title, rows)


def _asked(report: ReportData) -> Node | None:
    """The first answer that became right, else the first that is right after, else the first."""
    answers = tables(report.evaluation, "answers")
    answers = [answer for answer in answers if text(answer, "after").strip()]
    if not answers:
        return None
    right = [each for each in answers if each.get("after_right") is True]
    mended = [each for each in right if each.get("before_right") is False]
    chosen = (mended or right or answers)[0]
    rows = [
        (f"{name}{_mark(chosen, name)}", _cut(text(chosen, name))) for name in ("before", "after")
    ]
    asked = " ".join(part for part in (text(chosen, "instruction"), text(chosen, "input")) if part)
    return _example(
        ["The chat model is asked ", _quoted(first_letters(asked, QUESTION_CHARACTERS))], rows
    )


def _answered(report: ReportData) -> Node | None:
    for stage in report.of_kind("answers"):
        for item in tables(report.json(f"{stage}/results.json"), "items"):
            said = text(table(item, "answers", "quotations"), "text")
            if said.strip() and text(item, "answer"):
                question = first_letters(text(item, "question"), QUESTION_CHARACTERS)
                return _example(
                    ["The documents are asked ", _quoted(question)], [("quoted", _cut(said))]
                )
    return None


def _mark(answer: JsonObject, name: str) -> str:
    match answer.get(f"{name}_right"):
        case True:
            return " ✓"
        case False:
            return " ✗"
    return ""


def _cut(words: str) -> str:
    return first_letters(" ".join(words.split()), CHARACTERS)


def _quoted(words: str) -> Child:
    return "“", foreign(words), "”"


def _example(title: Sequence[Child], rows: Sequence[tuple[str, str]]) -> Node:
    said = [(node("dt", name), node("dd", foreign(words))) for name, words in rows]
    return node("article", node("h2", title), node("dl", said))
