"""The page of `groundup data windows`: how a text becomes windows, what stride and packing do,
which token sees which.

render_windows_page(view)     the values of data.batches.window_view
"""

from collections.abc import Sequence
from itertools import groupby, pairwise

from groundup.html_nodes import Child, Node, foreign, node
from groundup.report.chapter import data_table, figure, html_page, note, page_header, section
from groundup.report.drawing import SIZES, Frame, Size, chart, path, svg
from groundup.report.sections.tokens import show_spaces
from groundup.report.values import (
    JsonObject,
    at,
    count,
    items,
    number,
    numbers,
    percent,
    table,
    tables,
    text,
    whole_percent,
)

END_OF_TEXT = "end of text"
# More documents in a row could not be told apart in the drawing of the mask.
MASK_DOCUMENTS = 6


def render_windows_page(view: JsonObject) -> str:
    chapters = [_windows(view), _strides(view), _packing(view), _masks(view)]
    main = node("main", chapters, id="main")
    return html_page("data windows", _opening(view), main, skip_to="pictures")


def _opening(view: JsonObject) -> Node:
    context = count(view, "context_tokens")
    lead = (
        f"The {text(view, 'split')} text has {count(view, 'tokens')} tokens in "
        f"{count(view, 'documents')} documents. A model with a context of {context} "
        f"tokens reads rows of {context} at a time."
    )
    return page_header("groundup · data windows", "How a text becomes batches", lead)


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
        ["padding", "0 %", percent(packing, "padding_share", decimals=1)],
    ]
    if number(view, "stride") != number(view, "context_tokens"):
        strided = count(view, "strided", "count")
        body.append([f"windows an epoch with stride {count(view, 'stride')}", strided, ""])
    head = [f"context {count(view, 'context_tokens')}", "windows", "packed"]
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


COLOURS = 4
# What a segment has of its document, by whether it begins there and whether it ends there.
PARTS = {
    (True, True): "whole",
    (False, True): "its end",
    (True, False): "its beginning",
    (False, False): "a part of it",
}
ROW, GAP, TOP = 20, 6, 8
LEFT, RIGHT = 40, 10
# A segment narrower than this has no number in it.
MIN_LABEL_PIXELS = 22
# Of the mask: a side of the square, and the band of documents above it.
SIDE, BAND, MASK_MARGIN = 300, 16, 26
MAX_STRIDE_WINDOWS = 12
STRIDE_CONTEXTS = 4


def rows_drawing(rows: Sequence[Sequence[JsonObject]], context: float, label: str) -> list[Node]:
    """Return rows as segments of documents, in both sizes."""
    height = 2 * TOP + len(rows) * (ROW + GAP)
    return [_draw_rows(rows, context, Size(size.width, height, size.name), label) for size in SIZES]


def _draw_rows(
    rows: Sequence[Sequence[JsonObject]], context: float, size: Size, label: str
) -> Node:
    scale, parts = (size.width - LEFT - RIGHT) / context, node("g")
    for at_row, row in enumerate(rows):
        top, left = TOP + at_row * (ROW + GAP), float(LEFT)
        parts.append(node("text", count(at_row + 1), x=LEFT - 8, y=top + 14, class_="end"))
        for piece in row:
            width = (number(piece, "tokens") or 0.0) * scale
            parts.append(_segment(piece, left, top, width))
            left += width
        rest = size.width - RIGHT - left
        if rest > 0.01:
            title = node("title", f"padding: {count(rest / scale)} places")
            place = {"x": left, "y": top + 0.5, "width": rest, "height": ROW - 1}
            parts.append(node("rect", title, **place, class_="padding"))
    return _svg(size, label, parts)


def _segment(piece: JsonObject, left: float, top: float, width: float) -> Node:
    document, tokens = number(piece, "document") or 0.0, number(piece, "tokens")
    begins, ends = at(piece, "begins") is True, at(piece, "ends") is True
    said = f"document {count(document)}: {count(tokens)} tokens, {PARTS[begins, ends]}"
    box = node(
        "rect", x=left, y=top, width=width, height=ROW, class_=f"{_colour(document)} segment"
    )
    group = node("g", node("title", said), box)
    for is_cut, edge in ((not begins, left + 1), (not ends, left + width - 1)):
        if is_cut:
            group.append(node("line", x1=edge, x2=edge, y1=top, y2=top + ROW, class_="cut-edge"))
    if width >= max(MIN_LABEL_PIXELS, 8 * len(count(document)) + 8):
        group.append(node("text", count(document), x=left + width / 2, y=top + 14, class_="middle"))
    return group


def _colour(document: float) -> str:
    return f"piece-{int(document) % COLOURS}"


def _svg(size: Size, label: str, parts: Child) -> Node:
    return chart(Frame(size, (0.0, 1.0), (0.0, 1.0)), label, parts)


def stride_drawing(context: int, stride: int) -> list[Node]:
    """Return windows that begin `stride` tokens apart, and below how often each token is a
    label, in both sizes.
    """
    return [_stride(context, stride, size) for size in SIZES]


def _stride(context: int, stride: int, size: Size) -> Node:
    span, bar = STRIDE_CONTEXTS * context, 9
    scale = (size.width - LEFT - RIGHT) / span
    starts = list(range(0, span, stride))
    drawn = starts[:MAX_STRIDE_WINDOWS]
    parts = node("g")
    for at_row, start in enumerate(drawn):
        width = (min(start + context, span) - start) * scale
        place = {"x": LEFT + start * scale, "y": TOP + at_row * (bar + 3), "width": width}
        title = node("title", f"window at token {count(start)}")
        parts.append(node("rect", title, **place, height=bar, class_="window"))
    top = TOP + len(drawn) * (bar + 3) + 8
    for first, last, times in read_counts(context, starts, span):
        width = (last - first) * scale
        place = {"x": LEFT + first * scale, "y": top, "width": width, "height": ROW}
        if times:
            level = min(1.0, 0.2 * times)
            parts.append(node("rect", **place, fill_opacity=level, class_="heat"))
        else:
            parts.append(node("rect", **place, class_="padding"))
        if width >= MIN_LABEL_PIXELS:
            middle, look = LEFT + (first + last) / 2 * scale, "middle label"
            if times >= 4:
                look = "middle on-heat"
            parts.append(node("text", f"{times}×", x=middle, y=top + 14, class_=look))
    parts.append(node("text", "read", x=LEFT - 8, y=top + 14, class_="end"))
    label = f"Windows of {context} tokens, each {stride} tokens after the one before"
    return _svg(Size(size.width, top + ROW + TOP, size.name), label, parts)


def read_counts(context: int, starts: Sequence[int], span: int) -> list[tuple[int, int, int]]:
    """Return (first, last, how often these tokens are read) of the stretches of `span` tokens that
    windows at `starts` make.

    >>> read_counts(4, [0, 2, 4], 8)
    [(0, 2, 1), (2, 6, 2), (6, 8, 1)]"""
    marks = sorted(
        {0, span, *starts, *(start + context for start in starts if start + context < span)}
    )
    counts = [
        (sum(start <= first < start + context for start in starts), first, last)
        for first, last in pairwise(marks)
    ]
    groups = [list(same) for _, same in groupby(counts, key=lambda each: each[0])]
    return [(same[0][1], same[-1][2], same[0][0]) for same in groups]


def mask_drawing(row: Sequence[JsonObject], context: float, *, crossing: bool) -> Node:
    """Which token attends to which in a row: queries from the top down, keys from left to right.
    `crossing`: the mask is causal alone.
    """
    scale, margin = SIDE / context, MASK_MARGIN
    top, start, words = margin + BAND, 0.0, "every token sees its own document only"
    parts = node("g")
    parts.append(node("rect", x=margin, y=top, width=SIDE, height=SIDE, class_="heat-ground"))
    last = 0.0
    if crossing:
        words, last = "every token sees all before it in the row", context
        used = scale * sum(number(piece, "tokens") or 0.0 for piece in row)
        points = f"{margin},{top} {margin},{top + used:.1f} {margin + used:.1f},{top + used:.1f}"
        title = node("title", "tokens of other documents are seen")
        parts.append(node("polygon", title, points=points, class_="crossing"))
    elif row:
        last = number(row[-1], "tokens") or 0.0
    for piece in row:
        side, document = (number(piece, "tokens") or 0.0) * scale, number(piece, "document") or 0.0
        left, upper = margin + start, top + start
        corners = [(left, upper), (left, upper + side), (left + side, upper + side)]
        tooltip = node("title", f"document {count(document)} sees itself")
        parts.append(node("polygon", tooltip, points=path(corners), class_="heat"))
        colour = _colour(document)
        parts.append(node("rect", x=left, y=margin, width=side, height=BAND - 3, class_=colour))
        parts.append(node("rect", x=margin - 13, y=upper, width=10, height=side, class_=colour))
        if (start == 0 and crossing) or (not crossing and side >= 14):
            parts.append(node("text", "0", x=left + 1, y=margin - 6))
        start += side
    if last * scale > 40:
        parts.append(node("text", count(last - 1), x=margin + start, y=margin - 6, class_="end"))
    return svg(margin + SIDE + 4, top + SIDE + 4, f"Mask: {words}.", "heat-map", parts)
