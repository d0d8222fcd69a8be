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
from groundup.report.values import JsonObject, number, numbers, table, tables, text


def parts(report: ReportData) -> Sequence[Child] | str:
    """The texts: sources, what was dropped, what was changed, samples."""
    card = report.data_card
    if not card:
        return "no text has been prepared"
    sources = tables(card, "sources")
    return [
        _figures(card),
        *[_cut(cut) for cut in tables(card, "cuts")],
        _sources(card),
        *source_parts(sources),
        *process_parts(table(card, "steps")),
        languages_missing(sources),
    ]


def _figures(card: JsonObject) -> Node | None:
    sources, splits = tables(card, "sources"), table(card, "splits")
    sizes = (number(splits, name, "characters") for name in ("train", "validation", "test"))
    train, validation, test = sizes
    return facts(
        (count(kept(sources, "documents")), "documents kept"),
        (count(kept(sources, "characters")), "characters"),
        (count(train), "of them for training"),
        (count(validation), "held out for validation"),
        (count(test or None), "held out for test"),
    )


def _cut(cut: JsonObject) -> Node:
    """A note on a document whose end went to another split."""
    start, split = count(number(cut, "at_character")), text(cut, "split") or "validation"
    end = f" (from character {start}) was held out for {split}, since {text(cut, 'why')}."
    return note("The split is by document, but here the end of ", foreign(text(cut, "name")), end)


def _sources(card: JsonObject) -> Node | None:
    rows: list[list[Child]] = []
    for source in tables(card, "sources"):
        spec = foreign(text(source, "source", "spec"))
        licence = foreign(text(source, "source", "licence") or "not stated")
        kept_figures = map(count, numbers(source, "kept_documents", "kept_characters"))
        rows.append([spec, licence, *kept_figures])
    head = ["source", "licence", "documents", "characters"]
    return data_table("Where the text comes from", head, rows, figures=(2, 3))


DATA = Chapter(
    "data",
    "",
    "The text, and what was dropped",
    "Everything a language model knows comes from its training text: "
    "where it is from, what was dropped, and why.",
    parts,
    cards=[StageCard("data", "Text", "cleans raw files into documents")],
)
