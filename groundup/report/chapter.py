"""The parts of a chapter of the page: heading, facts, tables, figures, notes."""

from collections.abc import Sequence
from typing import NamedTuple

from groundup.markup import Child, Node, node


class Heading(NamedTuple):
    """The head of a chapter: its id, the small line above the title, the title, and one line on what to look for."""

    key: str
    kicker: str
    title: str
    see: str


def chapter(heading: Heading, *children: Child) -> Node:
    """A section of the page."""
    key, kicker, title, see = heading
    head = (node("p", kicker, class_="kicker"), node("h2", title, id=f"{key}-title"), node("p", see, class_="see"))
    return node("section", *head, *children, id=key, aria_labelledby=f"{key}-title")


def absent(heading: Heading, what: str) -> Node:
    """A chapter of one line, for a stage that wrote no files."""
    return chapter(heading._replace(see=f"Not in this build: {what}."))


def facts(*pairs: tuple[str, str]) -> Node | None:
    """A row of (figure, label) pairs; missing figures are left out."""
    items = [node("div", node("dt", name), node("dd", value)) for value, name in pairs if value and value != "–"]
    return node("dl", items, class_="facts") if items else None


def data_table(
    caption: str,
    head: Sequence[Child],
    rows: Sequence[Sequence[Child]],
    *,
    figures: Sequence[int] = (),
    class_: str = "stacked",
) -> Node:
    """A table whose first column names the row; `figures` are the numeric columns, aligned right.

    On a phone the style sheet shows a row as a block, each cell under its column's title (`data-label`). The ARIA roles are explicit
    because browsers drop the table semantics when the layout changes.
    """
    titles = [
        node("th", title, scope="col", role="columnheader", class_="figure" if column in figures else None)
        for column, title in enumerate(head)
    ]
    labels = ["".join(title.itertext()) for title in titles]
    body = [
        node("tr", [_cell(cell, column, labels, figures) for column, cell in enumerate(row)], role="row")
        for row in rows
    ]
    parts = [
        node("caption", caption),
        node("thead", node("tr", titles, role="row"), role="rowgroup"),
        node("tbody", body, role="rowgroup"),
    ]
    made = node("table", parts, class_=class_ or None, role="table")
    return node("div", made, class_="table", role="region", aria_label=caption, tabindex="0")


def _cell(content: Child, column: int, labels: Sequence[str], figures: Sequence[int]) -> Node:
    if column == 0:
        return node("th", content, scope="row", role="rowheader")
    class_ = "figure" if column in figures else None
    return node("td", content, role="cell", class_=class_, data_label=labels[column] or None)


def figure(caption: Child, *children: Child, class_: str = "wide") -> Node:
    """A figure with its caption below."""
    return node("figure", *children, node("figcaption", caption) if caption else None, class_=class_ or None)


def note(*children: Child, kind: str = "note") -> Node:
    """A remark; `kind` is "note", "thin" (a figure from little data), "warning" or "good"."""
    label = {"thin": "Caution: ", "warning": "Warning: "}.get(kind)
    return node("p", node("strong", label) if label else None, *children, class_=f"remark {kind}")


def more(summary: str, *children: Child) -> Node:
    """Details, closed until clicked."""
    return node("details", node("summary", summary), *children)


def notes_of(thin: Sequence[str]) -> list[Node]:
    """One remark for each figure that a stage reports as thin (measured on little data)."""
    return [note(sentence, kind="thin") for sentence in thin]
