"""Tables for a page: parts of a model with the texts in which they are most active."""

from collections.abc import Iterable

from groundup.html_nodes import Child, Node, node
from groundup.lab.circuit_values import Contributions, TopText

# Percent of the colour behind the token of the largest activation.
DARKEST = 45


def neurons_table(values: Contributions) -> Node | None:
    """The neurons with the largest direct contributions; None where neurons are not told apart."""
    if not values["neurons"]:
        return None
    rows = [
        node(
            "tr",
            node("td", f"block {entry['block']}, {entry['neuron']}", class_="number"),
            [
                node("td", f"{value:+.2f}", class_="number")
                for value in (entry["direct"], entry["mean"], entry["zero"])
            ],
            node("td", top_places(entry["texts"])),
        )
        for entry in values["neurons"]
    ]
    head = ("neuron", "direct", "removed (mean)", "removed (zero)", "most active in these texts")
    return table(head, rows)


def table(head: Iterable[str], rows: Child) -> Node:
    names = node("tr", [node("th", name, scope="col") for name in head])
    whole = node("table", node("thead", names), node("tbody", rows))
    return node("div", whole, class_="wide", tabindex=0)


def top_places(texts: Iterable[TopText]) -> list[Node]:
    """Each place as a line: a token is darker the more active it is there, the peak framed."""
    return [_place(text) for text in texts]


def _place(text: TopText) -> Node:
    largest = text["activations"][text["peak"]] or 1.0
    parts = []
    for index, (piece, value) in enumerate(zip(text["pieces"], text["activations"], strict=True)):
        share = round(DARKEST * max(0.0, min(1.0, value / largest)))
        style = None
        if share:
            style = f"background: color-mix(in srgb, var(--two) {share}%, transparent)"
        peak = "peak" if index == text["peak"] else None
        shown = piece["text"].replace("\n", "↵")
        parts.append(node("span", shown, style=style, class_=peak))
    return node("bdi", parts, class_="place")
