"""The parts every chapter of the page is made of: a title with one line on what to see, facts, tables, quotes, notes."""

from collections.abc import Sequence

from groundup.markup import Child, Node, node

Cell = Child


def chapter(key: str, kicker: str, title: str, see: str, *children: Child) -> Node:
    """A section of the page: small line above the title, the title, and one line that says what to see here."""
    heading = node("h2", title, id=f"{key}-title")
    return node(
        "section",
        node("p", kicker, class_="kicker"),
        heading,
        node("p", see, class_="see"),
        *children,
        id=key,
        aria_labelledby=f"{key}-title",
    )


def absent(key: str, kicker: str, title: str, what: str) -> Node:
    """The same for a stage that has left nothing: one line instead of a chapter."""
    return chapter(key, kicker, title, f"Not in this build: {what}.")


def facts(*pairs: tuple[str, str]) -> Node | None:
    """A row of figures, each with what it counts; figures that are missing are left out."""
    items = [node("div", node("dt", name), node("dd", value)) for value, name in pairs if value and value != "–"]
    return node("dl", items, class_="facts") if items else None


def data_table(
    caption: str,
    head: Sequence[Cell],
    rows: Sequence[Sequence[Cell]],
    *,
    figures: Sequence[int] = (),
    class_: str = "stacked",
) -> Node:
    """A table whose first column names the row; `figures` are the columns of numbers, set to the right.

    On a phone the style sheet lays a row out as a block, each cell under its column's title (`data-label`); the roles are written
    out because a browser forgets that a table is one when its layout changes.
    """
    titles = [
        node("th", title, scope="col", role="columnheader", class_=_kind(column, figures))
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


def _kind(column: int, figures: Sequence[int]) -> str | None:
    return "figure" if column in figures else None


def _cell(content: Cell, column: int, labels: Sequence[str], figures: Sequence[int]) -> Node:
    if column == 0:
        return node("th", content, scope="row", role="rowheader")
    return node("td", content, role="cell", class_=_kind(column, figures), data_label=labels[column] or None)


def figure(caption: Child, *children: Child, class_: str = "wide") -> Node:
    """A picture with its caption below."""
    return node("figure", *children, node("figcaption", caption) if caption else None, class_=class_ or None)


def note(*children: Child, kind: str = "note") -> Node:
    """A remark set apart; `kind` is "note", "thin" (a figure to take with care), "warning" or "good"."""
    label = {"thin": "With care: ", "warning": "Look here: "}.get(kind)
    return node("p", node("strong", label) if label else None, *children, class_=f"remark {kind}")


def more(summary: str, *children: Child) -> Node:
    """Details that open when asked for."""
    return node("details", node("summary", summary), *children)


def notes_of(thin: Sequence[str]) -> list[Node]:
    """One remark for each figure a stage called thin."""
    return [note(sentence, kind="thin") for sentence in thin]
