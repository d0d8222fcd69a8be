"""The page of `groundup learn --certificate`: what of the course's exercises a reader has computed,
with the answers.

render_certificate(done)     the values that `learn --progress --json` prints, with a `name`
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.language.page_texts import say
from groundup.report.chapter import (
    data_table,
    facts,
    html_page,
    note,
    page_header,
    section,
    sentence,
)
from groundup.report.values import JsonObject, count, number, tables, text

# It says what is known, and no more.
HONEST = (
    "The course's own check compared each answer. Nobody watched: the right answers are in the "
    "package, and this page was made by the reader's own program."
)


def render_certificate(done: JsonObject) -> str:
    begun = [each for each in tables(done, "notebooks") if tables(each, "solved")]
    whole = sum(len(tables(each, "solved")) == number(each, "exercises") for each in begun)
    days = [text(one, "right_at")[:10] for each in begun for one in tables(each, "solved")]
    figures = facts(
        (count(done, "right"), say("of {count} exercises right", count=count(done, "exercises"))),
        (str(whole), say("of {count} notebooks whole", count=len(tables(done, "notebooks")))),
        (max(days, default="-"), "last right answer"),
    )
    lead: Child = "The exercises of the course that were solved."
    if text(done, "name"):
        words = "The exercises of the course that {name} has solved."
        lead = sentence(words, name=foreign(text(done, "name")))
    head = page_header("groundup · learn", "How language models work", lead, figures)
    see = "Each question with the answer that was right."
    parts = [*map(_notebook, begun), note(HONEST)]
    made = section("computed", "Exercises", "What was computed", see, parts)
    return html_page("certificate", head, node("main", made, id="main"), skip_to="exercises")


def _notebook(notebook: JsonObject) -> Node | None:
    title = f"{count(notebook, 'number')}. {say(text(notebook, 'title'))}"
    rows: list[Sequence[Child]] = [_row(each) for each in tables(notebook, "solved")]
    share = say("{right} of {exercises}", right=len(rows), exercises=count(notebook, "exercises"))
    head = ["", "question", "answer", "tries"]
    return data_table(f"{title} ({share})", head, rows, figures=(3,))


def _row(solved: JsonObject) -> list[Child]:
    """A function stands below its question, as wide as the page has room."""
    question: Child = text(solved, "question")
    answer: Child = foreign(text(solved, "answer"), "code")
    if "\n" in text(solved, "answer"):
        question, answer = (
            [question, foreign(text(solved, "answer"), "p", "changed-text")],
            say("a function"),
        )
    return [text(solved, "number"), question, answer, count(solved, "tries")]
