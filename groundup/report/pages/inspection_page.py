"""The page about sources of texts before anything is built from them: a table of all, and a chapter
for each.

write_inspection_page([inspection, ...], out)     the JSON values of `groundup data inspect`
"""

from collections.abc import Sequence
from pathlib import Path

from groundup.files import write_text
from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, facts, html_page, section
from groundup.report.formatting import count, parameters
from groundup.report.source_parts import (
    kept,
    languages_missing,
    process_parts,
    rule_parts,
    source_parts,
)
from groundup.report.values import JsonObject, number, numbers, table, text

STEPS_SEE = (
    "Compared with one another after the steps over single documents; the evidence for each "
    "document that would be dropped."
)
SEE = "As a build would read it: what is kept, dropped and changed, with examples."


def write_inspection_page(inspections: Sequence[JsonObject], out: Path) -> Path:
    """Write the page to `out`. Raises DiskError."""
    write_text(out, render_inspection_page(inspections))
    return out


def render_inspection_page(inspections: Sequence[JsonObject]) -> str:
    chapters = [
        _chapter(each, number, len(inspections)) for number, each in enumerate(inspections, 1)
    ]
    steps = process_parts(table(inspections[0], "steps"), is_open=True)
    if steps:
        title = "Steps over all documents"
        chapters.append(section("steps", "All sources", title, STEPS_SEE, steps))
    skip = node("a", "Skip to the sources", href="#main", class_="skip")
    what = f"{len(inspections)} sources"
    if len(inspections) == 1:
        what = _spec(inspections[0])
    main = node("main", chapters, id="main")
    return html_page(f"data inspect {what}", skip, _opening(inspections), main)


def _spec(inspection: JsonObject) -> str:
    return text(inspection, "source", "spec")


def _licence(inspection: JsonObject) -> str:
    return text(inspection, "source", "licence") or "not stated"


def _opening(inspections: Sequence[JsonObject]) -> Node:
    documents, characters = (_total(inspections, name) for name in ("documents", "characters"))
    left = kept(inspections, "documents") or 0.0
    where, dropped = "This source has", ""
    if len(inspections) > 1:
        where = f"{len(inspections)} sources have"
    if documents > left:
        dropped = f"; a build would drop {count(documents - left)} of them"
    lead = f"{where} {_documents(documents)} with {parameters(characters)} characters{dropped}."
    parts: list[Child] = [
        node("p", "groundup · data inspect", class_="kicker"),
        node("h1", "What these texts hold"),
        node("p", lead, class_="lead"),
        _all(inspections),
        languages_missing(inspections),
    ]
    return node("header", parts, id="top")


def _documents(found: float) -> str:
    if found == 1:
        return "1 document"
    return f"{count(found)} documents"


def _total(inspections: Sequence[JsonObject], name: str) -> float:
    return sum(number(each, name) or 0.0 for each in inspections)


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
    parts = [
        _figures(inspection),
        *source_parts([inspection], is_open=of == 1),
        *rule_parts([inspection]),
    ]
    return section(f"source-{place}", kicker, foreign(_spec(inspection)), SEE, parts)


def _figures(inspection: JsonObject) -> Node | None:
    longest = count(inspection, "longest", "characters")
    dropped = sum(number(entry, "count") or 0.0 for entry in table(inspection, "dropped").values())
    return facts(
        (count(inspection, "read", "files"), "files"),
        (count(inspection, "documents"), "documents"),
        (count(dropped), "of them dropped"),
        (count(inspection, "characters"), "characters"),
        (count(inspection, "words"), "words"),
        (longest, "characters in the longest document"),
        (_licence(inspection), "licence"),
    )
