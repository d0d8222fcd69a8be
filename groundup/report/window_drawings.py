"""Drawings of windows, stride, packing and the attention mask, as inline SVG: lengths of documents
in, nodes out.

A document is a colour (one of four, by its number); an edge at which it is cut is a thick line,
padding an empty dashed box.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise

from groundup.html_nodes import Child, Node, node
from groundup.report.drawing import SIZES, Frame, Size, chart
from groundup.report.formatting import count
from groundup.report.values import JsonObject, at, number

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
    return [_rows(rows, context, Size(size.width, height, size.name), label) for size in SIZES]


def _rows(rows: Sequence[Sequence[JsonObject]], context: float, size: Size, label: str) -> Node:
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
    """Return windows that begin `stride` tokens apart, and below how often each token is a label,
    in both sizes.
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
    [(0, 2, 1), (2, 6, 2), (6, 8, 1)]
    """
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
    """Return which token attends to which in a row: queries from the top down, keys from left to
    right. `crossing`: the mask is causal alone.
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
        right, lower = left + side, upper + side
        points = f"{left:.1f},{upper:.1f} {left:.1f},{lower:.1f} {right:.1f},{lower:.1f}"
        tooltip = node("title", f"document {count(document)} sees itself")
        parts.append(node("polygon", tooltip, points=points, class_="heat"))
        colour = _colour(document)
        parts.append(node("rect", x=left, y=margin, width=side, height=BAND - 3, class_=colour))
        parts.append(node("rect", x=margin - 13, y=upper, width=10, height=side, class_=colour))
        if (start == 0 and crossing) or (not crossing and side >= 14):
            parts.append(node("text", "0", x=left + 1, y=margin - 6))
        start += side
    if last * scale > 40:
        parts.append(node("text", count(last - 1), x=margin + start, y=margin - 6, class_="end"))
    view = f"0 0 {margin + SIDE + 4} {top + SIDE + 4}"
    label = f"Mask: {words}."
    return node("svg", parts, viewBox=view, role="img", aria_label=label, class_="chart heat-map")
