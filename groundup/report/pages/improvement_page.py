"""The page of `groundup pack improve`: what readers asked in vain, and what to write about it.

render_improvement_page(findings)     the values that `--json` prints
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, foreign, node
from groundup.report.chapter import data_table, facts, html_page, more, note, page_header, section
from groundup.report.values import JsonObject, count, items, number, tables, text


def render_improvement_page(findings: JsonObject) -> str:
    groups = tables(findings, "groups")
    lead = "Questions that found no answer, or one that a reader disliked, the most frequent first."
    figures = facts(
        (count(findings, "unanswered"), "not answered"),
        (count(findings, "disliked"), "disliked"),
        (count(findings, "liked"), "liked"),
        (str(len(groups)), "groups"),
    )
    head = page_header("groundup · pack improve", "What readers asked in vain", lead, figures)
    rows: list[Sequence[Child]] = [_row(each) for each in groups]
    titles: list[Child] = ["question", "times", "not answered", "disliked", "what to write"]
    shown = data_table(
        "A line is a group of questions that ask the same", titles, rows, figures=(1, 2, 3)
    )
    parts: list[Child] = [shown or note("There are none.", kind="good")]
    damaged = number(findings, "damaged")
    if damaged:
        parts.append(note(f"Damaged lines, passed over: {damaged:,.0f}."))
    see = "Answer them with groundup pack improve PACK --ask, or in a file with --out."
    main = node("main", section("groups", "feedback", "Questions", see, parts), id="main")
    return html_page("pack improve", head, main, skip_to="questions")


def _row(group: JsonObject) -> list[Child]:
    also = [node("li", foreign(str(each))) for each in items(group, "also")]
    comments = [node("li", foreign(str(each))) for each in items(group, "comments")]
    question: list[Child] = [foreign(text(group, "question"))]
    if also:
        question.append(more(f"In other words: {len(also)}", node("ul", also)))
    if comments:
        question.append(more(f"Comments: {len(comments)}", node("ul", comments)))
    return [
        node("div", question),
        *(count(group, name) for name in ("asked", "unanswered", "disliked")),
        foreign(text(group, "proposal")),
    ]
