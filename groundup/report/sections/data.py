"""Stage 1: the sources, what was kept, what was dropped and why, what cleaning changed, and samples of the text."""

from groundup.markup import Child, Node, foreign, node
from groundup.report.chapter import Heading, absent, chapter, data_table, facts, more, note, notes_of
from groundup.report.report_data import ReportData
from groundup.report.values import JsonObject, count, first_letters, number, percent, table, tables, text, texts

HEADING = Heading(
    "data",
    "Stage 1 · data",
    "The text, and what was dropped",
    "Everything a language model knows comes from its training text: where it is from, what was dropped, and why.",
)
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


def data(report: ReportData) -> Node:
    """The chapter on the texts."""
    card = report.data
    if not card:
        return absent(HEADING, "no text has been prepared")
    thin = stage.thin if (stage := report.stage("data")) else []
    parts = [_figures(card), _cut(card), _sources(card), _dropped(card), _changed(card), _samples(card)]
    return chapter(HEADING, parts, notes_of(thin))


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
    )


def _cut(card: JsonObject) -> Node | None:
    cut = table(card, "cut")
    if not cut:
        return None
    start = count(number(cut, "at_character"))
    end = f" (from character {start}) was held out, since {text(cut, 'why')}."
    return note("The split is by document, but here the end of ", foreign(text(cut, "name")), end)


def _sources(card: JsonObject) -> Node | None:
    rows = [_source(source) for source in tables(card, "sources")]
    if not rows:
        return None
    head = ["source", "licence", "documents", "characters"]
    return data_table("Where the text comes from", head, rows, figures=(2, 3))


def _source(card: JsonObject) -> list[Child]:
    spec, licence = text(card, "source", "spec"), text(card, "source", "licence") or "not stated"
    kept_figures = (count(number(card, key)) for key in ("kept_documents", "kept_characters"))
    return [foreign(spec), foreign(licence), *kept_figures]


def _dropped(card: JsonObject) -> Node:
    rows = [row for source in tables(card, "sources") for row in _dropped_rows(source)]
    if not rows:
        return note("Nothing was dropped: no document was empty, repeated or unreadable.", kind="good")
    dropped, left = _number_dropped(card), kept(card, "documents") or 0.0
    share = f" ({percent(dropped / (dropped + left))})" if dropped + left else ""
    caption = f"{count(dropped)} of {count(dropped + left)} documents were dropped{share}"
    return data_table(caption, ["reason", "count", "examples"], rows, figures=(1,))


def _number_dropped(card: JsonObject) -> float:
    noted = [entry for source in tables(card, "sources") for entry in table(source, "dropped").values()]
    return sum(number(entry, "count") or 0.0 for entry in noted)


def _dropped_rows(source: JsonObject) -> list[list[Child]]:
    read = table(source, "read")
    noted = [(reason, entry) for reason, entry in table(source, "dropped").items()]
    noted += [(f"file skipped: {reason}", entry) for reason, entry in table(read, "skipped").items()]
    noted += [("invalid line", table(read, "bad_lines")), ("file not in UTF-8", table(read, "invalid_files"))]
    return [_noted(reason, entry) for reason, entry in noted if number(entry, "count")]


def _noted(reason: str, entry: object) -> list[Child]:
    names = [first_letters(name, NAME_CHARACTERS) for name in texts(entry, "examples")[:2]]
    return [foreign(reason), count(number(entry, "count")), [foreign(name, "div", "sample-line") for name in names]]


def _changed(card: JsonObject) -> Node | None:
    totals: dict[str, float] = {}
    for source in tables(card, "sources"):
        for name in table(source, "changed"):
            totals[name] = totals.get(name, 0.0) + (number(source, "changed", name) or 0.0)
    rows: list[list[Child]] = [
        [foreign(CHANGES.get(name, name)), count(value)] for name, value in totals.items() if value
    ]
    if not rows:
        return None
    made = data_table("Changes in the documents kept", ["change", "count"], rows, figures=(1,))
    return more("What cleaning changed", made)


def _samples(card: JsonObject) -> Node | None:
    found = [sample for source in tables(card, "sources") for sample in tables(source, "samples")][:MAX_SAMPLES]
    shown = [(foreign(text(sample, "name"), "h3"), _beginning(text(sample, "text"))) for sample in found]
    return more("Samples of the texts", shown) if shown else None


def _beginning(words: str) -> Node:
    return node("blockquote", first_letters(words.strip(), SAMPLE_CHARACTERS), class_="document", dir="auto")
