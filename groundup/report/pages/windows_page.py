"""The page of `groundup data windows`: how a text becomes windows, what stride and packing do,
which token sees which.

write_windows_page(view, out)     the values of data.batches.window_view
"""

from collections.abc import Sequence
from pathlib import Path

from groundup.files import write_text
from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, figure, note, section
from groundup.report.formatting import count, percent, whole_percent
from groundup.report.html_page import html_page
from groundup.report.sections.tokens import show_spaces
from groundup.report.values import JsonObject, at, items, number, numbers, table, tables, text
from groundup.report.window_drawings import COLOURS, mask_drawing, rows_drawing, stride_drawing

END_OF_TEXT = "end of text"
# More documents in a row could not be told apart in the drawing of the mask.
MASK_DOCUMENTS = 6


def write_windows_page(view: JsonObject, out: Path) -> Path:
    """Write the page to `out`. Raises DiskError."""
    write_text(out, render_windows_page(view))
    return out


def render_windows_page(view: JsonObject) -> str:
    """Return the page as HTML text."""
    skip = node("a", "Skip to the pictures", href="#main", class_="skip")
    chapters = [_windows(view), _strides(view), _packing(view), _masks(view)]
    return html_page("data windows", skip, _opening(view), node("main", chapters, id="main"))


def _opening(view: JsonObject) -> Node:
    context, split = count(number(view, "context_tokens")), text(view, "split")
    lead = (
        f"The {split} text has {count(number(view, 'tokens'))} tokens in "
        f"{count(number(view, 'documents'))} documents. A model with a context of {context} "
        f"tokens reads rows of {context} at a time."
    )
    parts: list[Child] = [
        node("p", "groundup · data windows", class_="kicker"),
        node("h1", "How a text becomes batches"),
        node("p", lead, class_="lead"),
    ]
    return node("header", parts, id="top")


def _windows(view: JsonObject) -> Node:
    shown = [_window(window) for window in tables(view, "shown")]
    caption = (
        "Neighbouring windows around the end of a document, a colour for each document. The last "
        "token, outlined, is a label only: with the default stride it is also the first input of "
        "the next window. The middle of long windows is left out."
    )
    return section(
        "windows",
        "1 · windows",
        "A text becomes windows",
        "Each token is the input at its place; the label there is the token after it.",
        [figure(caption, node("ol", shown, class_="window-list"), class_="")],
    )


def _window(window: JsonObject) -> Node:
    pieces = items(window, "pieces")
    chips = [_chip(piece, last=place == len(pieces) - 1) for place, piece in enumerate(pieces)]
    number_, start = (number(window, "number") or 0.0) + 1, number(window, "start")
    head = f"window {count(number_)}, from token {count(start)}"
    return node("li", node("p", head, class_="step"), node("p", chips, class_="pieces"))


def _chip(piece: object, *, last: bool) -> Node:
    if piece is None:
        return node("span", "…", class_="piece gap")
    words = foreign(show_spaces(text(piece, "text")), "bdi", "piece-text")
    if at(piece, "end") is True:
        words = node("span", END_OF_TEXT, class_="piece-id")
    look = f"piece-{int(number(piece, 'document') or 0.0) % COLOURS}"
    if last:
        look = "label-only"
    return node("span", words, class_=f"piece {look}")


def _strides(view: JsonObject) -> Node:
    context = int(number(view, "context_tokens") or 2)
    chosen = int(number(view, "stride") or context)
    strides = sorted({chosen, context, max(1, context // 2), context + context // 2}, reverse=True)
    drawn = [
        figure(_stride_caption(context, stride, chosen), stride_drawing(context, stride))
        for stride in strides
    ]
    see = (
        "The stride is the distance from the start of a window to that of the next. Below the "
        "windows: how often a token is read in an epoch."
    )
    return section("stride", "2 · stride", "What the stride does", see, drawn)


def _stride_caption(context: int, stride: int, chosen: int) -> list[Child]:
    if stride == context:
        words = "the context: every token is read once. The default."
    elif stride < context:
        times = f"{context / stride:.3g} times an epoch"
        words = "below the context: windows overlap, "
        words += f"a token is read {times}, each time after other text."
    else:
        unread = whole_percent(1 - context / stride)
        words = f"above the context: {unread} of the text is never read."
    title = f"Stride {count(stride)}"
    if stride == chosen:
        title += " (this page's)"
    return [node("b", title), f", {words}"]


def _rows_of(view: JsonObject, kind: str) -> list[list[JsonObject]]:
    return [tables(row) for row in items(view, "rows", kind)]


def _packing(view: JsonObject) -> Node:
    context = number(view, "context_tokens") or 1.0
    windows, packed = _rows_of(view, "windows"), _rows_of(view, "packed")
    lost = (
        "A thick edge is a cut: the document goes on in another row, and what stands there was "
        "not seen."
    )
    kept = (
        "Packed: whole documents, the longest first, each in the row with the least room that is "
        "enough (Ding et al. 2024). A document longer than the context is cut into full rows and "
        "a rest; nothing is lost. The dashed rest of a row is padding, which no loss counts."
    )
    return section(
        "packing",
        "3 · packing",
        "What packing does",
        "The same text in rows of windows, and packed. A number is a document.",
        [
            figure(
                [node("b", "Windows"), " follow the text. ", lost],
                rows_drawing(windows, context, "Rows of windows"),
            ),
            figure(kept, rows_drawing(packed, context, "Packed rows")),
            _counts(view),
            _padding(view),
        ],
    )


def _counts(view: JsonObject) -> Node | None:
    windows, packing = table(view, "windows"), table(view, "packing")
    of_windows = numbers(windows, "count", "of_several_documents", "cut_documents", "labels")
    rows, several, cut, labels = map(count, of_windows)
    of_packing = numbers(packing, "rows", "cut_documents", "tokens")
    packed_rows, packed_cut, packed_tokens = map(count, of_packing)
    body: list[Sequence[Child]] = [
        ["rows an epoch", rows, packed_rows],
        ["rows in which a token sees another document", several, "0"],
        ["documents that are cut", cut, packed_cut],
        ["labels an epoch", labels, packed_tokens],
        ["padding", "0 %", percent(number(packing, "padding_share"), 1)],
    ]
    if number(view, "stride") != number(view, "context_tokens"):
        strided = count(number(view, "strided", "count"))
        body.append([f"windows an epoch with stride {count(number(view, 'stride'))}", strided, ""])
    head = [f"context {count(number(view, 'context_tokens'))}", "windows", "packed"]
    return data_table("The whole split, windows a context apart", head, body, figures=(1, 2))


def _padding(view: JsonObject) -> Node | None:
    share = number(view, "packing", "padding_share") or 0.0
    if share <= 0.03:
        return None
    words = "More than 3 % of the rows is padding: a context of several documents has less."
    return note(words, kind="thin")


def _masks(view: JsonObject) -> Node:
    context = number(view, "context_tokens") or 1.0
    pairs = [(_most(_rows_of(view, "windows")), True), (_most(_rows_of(view, "packed")), False)]
    captions = (
        "A window: every token sees all before it in the row (blue: its own document; orange: the "
        "others), and positions count on.",
        "A packed row: a token sees its own document only, and positions begin at 0 with each. "
        "The model computes each as if it were alone.",
    )
    maps = [
        figure(caption, mask_drawing(row, context, crossing=crossing), class_="map")
        for (row, crossing), caption in zip(pairs, captions, strict=True)
    ]
    see = (
        "Rows are queries, columns are keys; numbers above are positions. "
        "No token attends to later ones."
    )
    return section(
        "mask",
        "4 · the mask",
        "Which token sees which",
        see,
        [node("div", maps, class_="maps wide")],
    )


def _most(rows: list[list[JsonObject]]) -> list[JsonObject]:
    """The row to show: of several documents, but not too many to tell apart."""
    return max(rows, key=lambda row: (len(row) <= MASK_DOCUMENTS, len(row)), default=[])
