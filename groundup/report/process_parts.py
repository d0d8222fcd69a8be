"""The parts of a page about the steps over documents: what quality rules would drop,
near-duplicates and evaluation items that were found.

In: JSON values of `data.json` and of `data inspect --json`; what they lack is left out.
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, more
from groundup.report.formatting import count, first_letters, fixed, percent
from groundup.report.values import JsonObject, number, numbers, table, tables, text

NEAR_DUPLICATES, DECONTAMINATE = "near-duplicates", "decontaminate"
PASSAGE_CHARACTERS, NAME_CHARACTERS, SHOWN_EXAMPLES = 160, 120, 3


def rule_parts(cards: Sequence[JsonObject]) -> list[Child]:
    """Return a table of the quality rules: what each would drop of these sources, whatever the
    others do.
    """
    found = [entry for card in cards for entry in table(card, "rules").items()]
    rows: list[list[Child]] = []
    for name in dict.fromkeys(name for name, _ in found):
        entries = [entry for other, entry in found if other == name]
        documents, lines = (
            sum(number(entry, what) or 0.0 for entry in entries) for what in ("documents", "lines")
        )
        if not documents and not lines:
            continue
        source = node("span", f" ({text(entries[0], 'source')})", class_="quiet")
        what = node("div", text(entries[0], "drops"), source)
        examples = [each for entry in entries for each in tables(entry, "examples")]
        shown = map(_example, examples[:SHOWN_EXAMPLES])
        rows.append([name, count(documents), count(lines), node("div", what, shown)])
    head = ["rule", "documents", "lines", "what it drops, with examples"]
    caption = "What each of the quality rules would drop alone"
    return [data_table(caption, head, rows, figures=(1, 2))]


def _example(example: JsonObject) -> Node:
    name, words = _name(text(example, "name")), foreign(text(example, "text"), "q")
    return node("div", name, ": ", words, class_="sample-line")


def process_parts(steps: JsonObject, *, is_open: bool = False) -> list[Child]:
    """Return what the steps over all documents found."""
    return [
        *_near_duplicates(table(steps, NEAR_DUPLICATES), is_open),
        *_contamination(table(steps, DECONTAMINATE), is_open),
    ]


def _near_duplicates(found: JsonObject, is_open: bool) -> list[Child]:
    if not found:
        return []
    rows: list[list[Child]] = [
        [foreign(source), *map(count, numbers(entry, "documents", "dropped")), _share(entry)]
        for source, entry in table(found, "sources").items()
    ]
    head = ["source", "documents", "near-duplicates", "share"]
    threshold = fixed(number(found, "config", "threshold"))
    caption = (
        f"Documents with a Jaccard similarity of at least {threshold} to a longer one that is kept"
    )
    clusters = [_cluster(each) for each in tables(found, "clusters")]
    return [
        data_table(caption, head, rows, figures=(1, 2, 3)),
        more("Near-duplicates, the largest groups first", clusters, is_open=is_open),
    ]


def _share(entry: JsonObject) -> str:
    return percent((number(entry, "dropped") or 0.0) / max(1.0, number(entry, "documents") or 0.0))


def _cluster(cluster: JsonObject) -> Node:
    rows: list[list[Child]] = [
        [_name(text(each, "name")), fixed(number(each, "jaccard")), _passage(each)]
        for each in tables(cluster, "first")
    ]
    dropped = number(cluster, "dropped") or 0.0
    caption = f"{count(dropped)} dropped for it"
    if dropped > len(rows):
        caption += f", the first {len(rows)}"
    head = ["document", "Jaccard", "passage of both"]
    made = data_table(f"{caption}:", head, rows, figures=(1,))
    return node("article", node("h3", _name(text(cluster, "kept"))), made, class_="answer")


def _contamination(found: JsonObject, is_open: bool) -> list[Child]:
    if not found:
        return []
    dropped, documents, items = map(count, numbers(found, "dropped", "documents", "items_found"))
    indexed = count(number(found, "items", "indexed"))
    said = (
        f"{dropped} of {documents} documents were dropped, "
        f"since they hold {items} of {indexed} evaluation items."
    )
    rows: list[list[Child]] = [
        [
            _name(text(each, "name")),
            _name(text(each, "item")),
            count(number(each, "ngrams")),
            _passage(each),
        ]
        for each in tables(found, "overlaps")
    ]
    head = ["document", "item", "n-grams of both", "passage of both"]
    shown = data_table("The first of them", head, rows, figures=(2,))
    return [node("p", said), more("Evaluation items in documents", shown, is_open=is_open)]


def _name(name: str) -> Node:
    return foreign(first_letters(name, NAME_CHARACTERS), "bdi")


def _passage(entry: JsonObject) -> Node:
    return foreign(first_letters(text(entry, "passage"), PASSAGE_CHARACTERS), "q")
