"""Stage 1: the sources, what was kept, what was dropped and why, what cleaning changed, and samples of the text."""

from collections import Counter
from collections.abc import Sequence

from groundup.markup import Child, Node, foreign
from groundup.report.chapter import Chapter, StageCard, data_table, facts, more, note
from groundup.report.formatting import count, first_letters, percent
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, number, table, tables, text, texts

DATA_CARD = "data/data.json"
SAMPLE_CHARACTERS = 600
NAME_CHARACTERS = 120
MAX_SAMPLES = 3

# Labels of what cleaning counts (data/clean.py).
CHANGES = {
    "newlines": "line ends normalised",
    "control_characters": "control characters removed",
    "lone_surrogates": "lone surrogates replaced",
    "trailing_spaces": "spaces at line ends removed",
    "outer_newlines": "empty lines around the text removed",
    "composed": "texts normalised to composed Unicode (NFC)",
}


def parts(report: ReportData) -> Sequence[Child] | str:
    """The texts: sources, what was dropped, what was changed, samples."""
    card = report.json(DATA_CARD)
    if not card:
        return "no text has been prepared"
    return [_figures(card), *_cuts(card), _sources(card), _dropped(card), _changed(card), _samples(card)]


def kept(card: JsonObject, what: str) -> float | None:
    """Return the documents or characters kept, summed over all sources; None where no source has the figure."""
    found = [value for source in tables(card, "sources") if (value := number(source, f"kept_{what}")) is not None]
    return sum(found) if found else None


def _figures(card: JsonObject) -> Node | None:
    return facts(
        (count(kept(card, "documents")), "documents kept"),
        (count(kept(card, "characters")), "characters"),
        (count(number(card, "splits", "train", "characters")), "of them for training"),
        (count(number(card, "splits", "validation", "characters")), "held out for validation"),
        *([(count(test), "held out for test")] if (test := number(card, "splits", "test", "characters")) else []),
    )


def _cuts(card: JsonObject) -> list[Node]:
    """A note for each document that was cut; older data cards have one of them at most, and it gave its end to validation."""
    older = table(card, "cut")
    return [_cut(cut) for cut in tables(card, "cuts") or ([older] if older else [])]


def _cut(cut: JsonObject) -> Node:
    start, split = count(number(cut, "at_character")), text(cut, "split") or "validation"
    end = f" (from character {start}) was held out for {split}, since {text(cut, 'why')}."
    return note("The split is by document, but here the end of ", foreign(text(cut, "name")), end)


def _sources(card: JsonObject) -> Node | None:
    rows: list[list[Child]] = []
    for source in tables(card, "sources"):
        spec, licence = text(source, "source", "spec"), text(source, "source", "licence") or "not stated"
        kept_figures = (count(number(source, key)) for key in ("kept_documents", "kept_characters"))
        rows.append([foreign(spec), foreign(licence), *kept_figures])
    head = ["source", "licence", "documents", "characters"]
    return data_table("Where the text comes from", head, rows, figures=(2, 3)) if rows else None


def _dropped(card: JsonObject) -> Node:
    rows = [row for source in tables(card, "sources") for row in _dropped_rows(source)]
    if not rows:
        return note("Nothing was dropped: no document was empty, repeated or unreadable.", kind="good")
    entries = [entry for source in tables(card, "sources") for entry in table(source, "dropped").values()]
    dropped, left = sum(number(entry, "count") or 0.0 for entry in entries), kept(card, "documents") or 0.0
    share = f" ({percent(dropped / (dropped + left))})" if dropped + left else ""
    caption = f"{count(dropped)} of {count(dropped + left)} documents were dropped{share}"
    return data_table(caption, ["reason", "count", "examples"], rows, figures=(1,))


def _dropped_rows(source: JsonObject) -> list[list[Child]]:
    read = table(source, "read")
    noted = [(reason, entry) for reason, entry in table(source, "dropped").items()]
    noted += [(f"file skipped: {reason}", entry) for reason, entry in table(read, "skipped").items()]
    noted += [("invalid line", table(read, "bad_lines")), ("file not in UTF-8", table(read, "invalid_files"))]
    rows: list[list[Child]] = []
    for reason, entry in noted:
        if found := number(entry, "count"):
            names = [first_letters(name, NAME_CHARACTERS) for name in texts(entry, "examples")[:2]]
            rows.append([foreign(reason), count(found), [foreign(name, "div", "sample-line") for name in names]])
    return rows


def _changed(card: JsonObject) -> Node | None:
    totals: Counter[str] = Counter()
    for source in tables(card, "sources"):
        totals.update({name: number(source, "changed", name) or 0 for name in table(source, "changed")})
    found = [(CHANGES.get(name, name), value) for name, value in totals.items() if value]
    rows: list[list[Child]] = [[foreign(change), count(value)] for change, value in found]
    made = data_table("Changes in the documents kept", ["change", "count"], rows, figures=(1,))
    return more("What cleaning changed", made) if rows else None


def _samples(card: JsonObject) -> Node | None:
    found = [sample for source in tables(card, "sources") for sample in tables(source, "samples")][:MAX_SAMPLES]
    shown = []
    for sample in found:
        beginning = first_letters(text(sample, "text").strip(), SAMPLE_CHARACTERS)
        shown += [foreign(text(sample, "name"), "h3"), foreign(beginning, "blockquote", "document")]
    return more("Samples of the texts", shown) if shown else None


DATA = Chapter(
    "data",
    "Stage 1 · data",
    "The text, and what was dropped",
    "Everything a language model knows comes from its training text: where it is from, what was dropped, and why.",
    parts,
    cards=[StageCard("data", "Text", "cleans raw files into documents", "own", "M6 10H34 M6 17H30 M6 24H33 M6 31H22")],
)
