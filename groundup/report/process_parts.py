"""The parts of a page about the steps over documents: what quality rules would drop,
near-duplicates and evaluation items that were found.

In: JSON values of `data.json` and of `data inspect --json`; what they lack is left out.
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, more
from groundup.report.formatting import count, first_letters, fixed, percent
from groundup.report.values import JsonObject, number, table, tables, text

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
        if documents or lines:
            what = node(
                "div",
                text(entries[0], "drops"),
                node("span", f" ({text(entries[0], 'source')})", class_="quiet"),
            )
            shown = [_example(each) for entry in entries for each in tables(entry, "examples")][
                :SHOWN_EXAMPLES
            ]
            rows.append([name, count(documents), count(lines), node("div", what, shown)])
    if not rows:
        return []
    head = ["rule", "documents", "lines", "what it drops, with examples"]
    return [
        data_table("What each of the quality rules would drop alone", head, rows, figures=(1, 2))
    ]


def _example(example: JsonObject) -> Node:
    return node(
        "div",
        _name(text(example, "name")),
        ": ",
        foreign(text(example, "text"), "q"),
        class_="sample-line",
    )


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
        [
            foreign(source),
            count(number(entry, "documents")),
            count(number(entry, "dropped")),
            _share(entry),
        ]
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
        more("Near-duplicates, the largest groups first", *clusters, is_open=is_open)
        if clusters
        else None,
    ]


def _share(entry: JsonObject) -> str:
    return percent((number(entry, "dropped") or 0.0) / max(1.0, number(entry, "documents") or 0.0))


def _cluster(cluster: JsonObject) -> Node:
    rows: list[list[Child]] = [
        [_name(text(each, "name")), fixed(number(each, "jaccard")), _passage(each)]
        for each in tables(cluster, "first")
    ]
    kept, dropped = text(cluster, "kept"), number(cluster, "dropped") or 0.0
    others = f"{count(dropped)} dropped for it" + (
        f", the first {len(rows)}:" if dropped > len(rows) else ":"
    )
    made = data_table(others, ["document", "Jaccard", "passage of both"], rows, figures=(1,))
    return node("article", node("h3", _name(kept)), made, class_="answer")


def _contamination(found: JsonObject, is_open: bool) -> list[Child]:
    if not found:
        return []
    documents = f"{count(number(found, 'dropped'))} of {count(number(found, 'documents'))} documents were dropped"
    items = f"{count(number(found, 'items_found'))} of {count(number(found, 'items', 'indexed'))} evaluation items"
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
    shown = data_table("The first of them", head, rows, figures=(2,)) if rows else None
    return [
        node("p", f"{documents}, since they hold {items}."),
        more("Evaluation items in documents", shown, is_open=is_open) if shown else None,
    ]


def _name(name: str) -> Node:
    return foreign(first_letters(name, NAME_CHARACTERS), "bdi")


def _passage(entry: JsonObject) -> Node:
    return foreign(first_letters(text(entry, "passage"), PASSAGE_CHARACTERS), "q")
