"""Stage 1: the sources, what was kept, what was dropped and why, what cleaning changed, and samples
of the text.
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign
from groundup.report.chapter import Chapter, StageCard, data_table, facts, note
from groundup.report.formatting import count
from groundup.report.process_parts import process_parts
from groundup.report.report_data import ReportData
from groundup.report.source_parts import kept, languages_missing, source_parts
from groundup.report.values import JsonObject, number, table, tables, text

DATA_CARD = "data/data.json"


def parts(report: ReportData) -> Sequence[Child] | str:
    """The texts: sources, what was dropped, what was changed, samples."""
    card = report.json(DATA_CARD)
    if not card:
        return "no text has been prepared"
    sources = tables(card, "sources")
    steps = process_parts(table(card, "steps"))
    return [
        _figures(card),
        *_cuts(card),
        _sources(card),
        *source_parts(sources),
        *steps,
        languages_missing(sources),
    ]


def _figures(card: JsonObject) -> Node | None:
    sources = tables(card, "sources")
    return facts(
        (count(kept(sources, "documents")), "documents kept"),
        (count(kept(sources, "characters")), "characters"),
        (count(number(card, "splits", "train", "characters")), "of them for training"),
        (count(number(card, "splits", "validation", "characters")), "held out for validation"),
        *(
            [(count(test), "held out for test")]
            if (test := number(card, "splits", "test", "characters"))
            else []
        ),
    )


def _cuts(card: JsonObject) -> list[Node]:
    """A note for each document that was cut; older data cards have one of them at most, and it gave
    its end to validation.
    """
    older = table(card, "cut")
    return [_cut(cut) for cut in tables(card, "cuts") or ([older] if older else [])]


def _cut(cut: JsonObject) -> Node:
    start, split = count(number(cut, "at_character")), text(cut, "split") or "validation"
    end = f" (from character {start}) was held out for {split}, since {text(cut, 'why')}."
    return note("The split is by document, but here the end of ", foreign(text(cut, "name")), end)


def _sources(card: JsonObject) -> Node | None:
    rows: list[list[Child]] = []
    for source in tables(card, "sources"):
        spec, licence = (
            text(source, "source", "spec"),
            text(source, "source", "licence") or "not stated",
        )
        kept_figures = (count(number(source, key)) for key in ("kept_documents", "kept_characters"))
        rows.append([foreign(spec), foreign(licence), *kept_figures])
    head = ["source", "licence", "documents", "characters"]
    return data_table("Where the text comes from", head, rows, figures=(2, 3)) if rows else None


DATA = Chapter(
    "data",
    "",
    "The text, and what was dropped",
    "Everything a language model knows comes from its training text: where it is from, what was dropped, and why.",
    parts,
    cards=[StageCard("data", "Text", "cleans raw files into documents")],
)
