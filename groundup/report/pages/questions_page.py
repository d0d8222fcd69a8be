"""The page of `groundup data make-questions`: each question with its answer, to be kept, dropped or
edited; what is kept is saved by the browser as JSON lines.

render_questions_page(made)     the values that `--json` prints
"""

import json
from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node, read_asset, verbatim
from groundup.report.chapter import data_table, facts, html_page, more, page_header, section
from groundup.report.values import JsonObject, count, tables, text, whole_percent

LEAD = (
    "Read each pair: is the question one that somebody would ask, and does the answer answer it? "
    "Clear the tick of those that are not good, or mend the wording. The answer must stay words of "
    "its document."
)


def render_questions_page(made: JsonObject) -> str:
    pairs = tables(made, "questions")
    figures = facts(
        (count(made, "count"), "questions"),
        (count(made, "documents"), "documents"),
        (count(made, "not_found"), "left out: answer not found again"),
        (count(made, "repeats"), "left out: near-repeats"),
    )
    title = "Questions made from your documents"
    head = page_header("groundup · data make-questions", title, LEAD, figures, _kinds(made))
    rows = [_pair(place, each) for place, each in enumerate(pairs)]
    parts: list[Child] = [
        _tools(made),
        node(
            "noscript",
            "To save what is ticked, this page needs JavaScript; without it, edit the file.",
        ),
        node("ol", rows, class_="pairs", id="pairs"),
    ]
    see = "The passage below each shows what stands around the answer."
    main = node("main", section("questions", "Approval", "Pairs", see, parts), id="main")
    script = read_asset("groundup.report", "questions.js")
    data = verbatim("script", _safe_json(pairs), type="application/json", id="data")
    return html_page("made questions", head, main, data, skip_to="questions", script=script)


def _kinds(made: JsonObject) -> Node | None:
    rows: list[Sequence[Child]] = [
        [
            text(each, "kind"),
            text(each, "about"),
            count(each, "count"),
            whole_percent(each, "share"),
        ]
        for each in tables(made, "kinds")
    ]
    heads: list[Child] = ["kind", "made of", "questions", "share"]
    shown = data_table("What each kind is made of", heads, rows, figures=(2, 3))
    return more("Kinds of questions", shown)


def _tools(made: JsonObject) -> Node:
    names = [text(each, "kind") for each in tables(made, "kinds")]
    options = [node("option", "all kinds", value=""), *(node("option", name) for name in names)]
    return node(
        "p",
        node("label", "Show ", node("select", options, id="kind")),
        node("button", "Save the ticked ones", id="save", type="button"),
        node("span", id="state", role="status"),
        class_="tools",
    )


def _pair(place: int, pair: JsonObject) -> Node:
    name = f"pair-{place}"
    kept = node("input", type="checkbox", checked="", id=f"{name}-keep", class_="keep")
    where = f"{text(pair, 'document')}, found as number {count(pair, 'rank')}"
    return node(
        "li",
        node("label", kept, f" keep: {text(pair, 'kind')}"),
        node("span", foreign(where), class_="quiet"),
        _field(f"{name}-question", "question", text(pair, "question"), 1),
        _field(f"{name}-answer", "answer", text(pair, "answer"), 3),
        node("p", class_="fault", role="alert"),
        node("details", node("summary", "passage"), foreign(text(pair, "context"), "blockquote")),
        data_place=str(place),
        data_kind=text(pair, "kind"),
    )


def _field(name: str, label: str, content: str, rows: int) -> Node:
    area = node("textarea", content, id=name, class_=label, rows=rows, dir="auto")
    return node("label", label, area, class_="field")


def _safe_json(pairs: Sequence[JsonObject]) -> str:
    """Return JSON that can't close its own element."""
    return json.dumps(list(pairs), ensure_ascii=True).replace("<", "\\u003c")
