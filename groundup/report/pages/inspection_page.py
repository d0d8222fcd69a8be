"""The page about sources of texts before anything is built from them: a table of all, and a chapter
for each.

render_inspection_page([inspection, ...])     the JSON values of `groundup data inspect`
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, facts, html_page, page_header, section
from groundup.report.source_parts import (
    kept,
    languages_missing,
    process_parts,
    rule_parts,
    source_parts,
)
from groundup.report.values import JsonObject, count, number, numbers, parameters, table, text

STEPS_SEE = (
    "Compared with one another after the steps over single documents; the evidence for each "
    "document that would be dropped."
)
SEE = "As a build would read it: what is kept, dropped and changed, with examples."


def render_inspection_page(inspections: Sequence[JsonObject]) -> str:
    chapters = [
        _chapter(each, place, len(inspections)) for place, each in enumerate(inspections, 1)
    ]
    steps = process_parts(table(inspections[0], "steps"), is_open=True)
    if steps:
        title = "Steps over all documents"
        chapters.append(section("steps", "All sources", title, STEPS_SEE, steps))
    what = f"{len(inspections)} sources"
    if len(inspections) == 1:
        what = _spec(inspections[0])
    main = node("main", chapters, id="main")
    return html_page(f"data inspect {what}", _opening(inspections), main, skip_to="sources")


def _spec(inspection: JsonObject) -> str:
    return text(inspection, "source", "spec")


def _licence(inspection: JsonObject) -> str:
    return text(inspection, "source", "licence") or "not stated"


def _opening(inspections: Sequence[JsonObject]) -> Node:
    documents, characters = (
        sum(number(each, name) or 0.0 for each in inspections)
        for name in ("documents", "characters")
    )
    left = kept(inspections, "documents") or 0.0
    where, dropped, found = "This source has", "", f"{count(documents)} documents"
    if documents == 1:
        found = "1 document"
    if len(inspections) > 1:
        where = f"{len(inspections)} sources have"
    if documents > left:
        dropped = f"; a build would drop {count(documents - left)} of them"
    lead = f"{where} {found} with {parameters(characters)} characters{dropped}."
    shown = [_all(inspections), languages_missing(inspections)]
    return page_header("groundup · data inspect", "What these texts hold", lead, shown)


def _all(inspections: Sequence[JsonObject]) -> Node | None:
    """The table of several sources; None for one."""
    if len(inspections) == 1:
        return None
    rows: list[list[Child]] = []
    for place, each in enumerate(inspections, 1):
        link = node("a", foreign(_spec(each)), href=f"#source-{place}")
        figures = map(count, numbers(each, "documents", "kept_documents", "characters"))
        rows.append([link, foreign(_licence(each)), *figures])
    head = ["source", "licence", "documents", "kept", "characters"]
    return data_table("Sources", head, rows, figures=(2, 3, 4))


def _chapter(inspection: JsonObject, place: int, of: int) -> Node:
    kicker = "Source"
    if of > 1:
        kicker = f"Source {place} of {of}"
    dropped = sum(number(entry, "count") or 0.0 for entry in table(inspection, "dropped").values())
    figures = facts(
        (count(inspection, "read", "files"), "files"),
        (count(inspection, "documents"), "documents"),
        (count(dropped), "of them dropped"),
        (count(inspection, "characters"), "characters"),
        (count(inspection, "words"), "words"),
        (count(inspection, "longest", "characters"), "characters in the longest document"),
        (_licence(inspection), "licence"),
    )
    parts = [figures, *source_parts([inspection], is_open=of == 1), *rule_parts([inspection])]
    return section(f"source-{place}", kicker, foreign(_spec(inspection)), SEE, parts)
