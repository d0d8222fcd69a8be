"""Drawings of windows, stride, packing and the attention mask, as inline SVG: lengths of documents
in, nodes out.

A document is a colour (one of four, by its number); an edge at which it is cut is a thick line,
padding an empty dashed box.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise

from groundup.html_nodes import Child, Node, node
from groundup.report.drawing import NARROW, WIDE, Frame, Size, chart
from groundup.report.formatting import count
from groundup.report.values import JsonObject, at, number

COLOURS = 4
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
    return [
        _rows(rows, context, Size(size.width, 2 * TOP + len(rows) * (ROW + GAP), size.name), label)
        for size in (WIDE, NARROW)
    ]


def _rows(rows: Sequence[Sequence[JsonObject]], context: float, size: Size, label: str) -> Node:
    scale, parts = (size.width - LEFT - RIGHT) / context, node("g")
    for at_row, row in enumerate(rows):
        top, left = TOP + at_row * (ROW + GAP), float(LEFT)
        parts.append(node("text", count(at_row + 1), x=LEFT - 8, y=top + 14, class_="end"))
        for piece in row:
            width = (number(piece, "tokens") or 0.0) * scale
            parts.append(_segment(piece, left, top, width))
            left += width
        if left < size.width - RIGHT - 0.01:
            padding = node("title", f"padding: {count((size.width - RIGHT - left) / scale)} places")
            box = {"x": left, "y": top + 0.5, "width": size.width - RIGHT - left, "height": ROW - 1}
            parts.append(node("rect", padding, **box, class_="padding"))
    return _svg(size, label, parts)


def _segment(piece: JsonObject, left: float, top: float, width: float) -> Node:
    document, tokens = number(piece, "document") or 0.0, number(piece, "tokens")
    begins, ends = at(piece, "begins") is True, at(piece, "ends") is True
    said = (
        "whole"
        if begins and ends
        else "its end"
        if ends
        else "its beginning"
        if begins
        else "a part of it"
    )
    tooltip = node("title", f"document {count(document)}: {count(tokens)} tokens, {said}")
    group = node(
        "g",
        tooltip,
        node("rect", x=left, y=top, width=width, height=ROW, class_=f"{_colour(document)} segment"),
    )
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
    span = STRIDE_CONTEXTS * context
    starts = list(range(0, span, stride))
    label = f"Windows of {context} tokens, each {stride} tokens after the one before"
    return [
        _stride(context, starts, span, Size(size.width, 0, size.name), label)
        for size in (WIDE, NARROW)
    ]


def _stride(context: int, starts: Sequence[int], span: int, size: Size, label: str) -> Node:
    scale, bar = (size.width - LEFT - RIGHT) / span, 9
    parts = node("g")
    drawn = starts[:MAX_STRIDE_WINDOWS]
    for at_row, start in enumerate(drawn):
        width = (min(start + context, span) - start) * scale
        place = {
            "x": LEFT + start * scale,
            "y": TOP + at_row * (bar + 3),
            "width": width,
            "height": bar,
        }
        parts.append(
            node("rect", node("title", f"window at token {count(start)}"), **place, class_="window")
        )
    top = TOP + len(drawn) * (bar + 3) + 8
    for first, last, times in read_counts(context, starts, span):
        box = {"x": LEFT + first * scale, "y": top, "width": (last - first) * scale, "height": ROW}
        level = {"fill_opacity": min(1.0, 0.2 * times)} if times else {}
        parts.append(node("rect", **box, **level, class_="heat" if times else "padding"))
        if (last - first) * scale >= MIN_LABEL_PIXELS:
            middle = LEFT + (first + last) / 2 * scale
            parts.append(
                node(
                    "text",
                    f"{times}×",
                    x=middle,
                    y=top + 14,
                    class_="middle label" if times < 4 else "middle on-heat",
                )
            )
    parts.append(node("text", "read", x=LEFT - 8, y=top + 14, class_="end"))
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
    top, parts, start = margin + BAND, node("g"), 0.0
    parts.append(node("rect", x=margin, y=top, width=SIDE, height=SIDE, class_="heat-ground"))
    if crossing:
        used = scale * sum(number(piece, "tokens") or 0.0 for piece in row)
        points = f"{margin},{top} {margin},{top + used:.1f} {margin + used:.1f},{top + used:.1f}"
        parts.append(
            node(
                "polygon",
                node("title", "tokens of other documents are seen"),
                points=points,
                class_="crossing",
            )
        )
    for piece in row:
        tokens, document = (
            (number(piece, "tokens") or 0.0) * scale,
            number(piece, "document") or 0.0,
        )
        left, upper = margin + start, top + start
        points = f"{left:.1f},{upper:.1f} {left:.1f},{upper + tokens:.1f} {left + tokens:.1f},{upper + tokens:.1f}"
        tooltip = node("title", f"document {count(document)} sees itself")
        parts.append(node("polygon", tooltip, points=points, class_="heat"))
        for place in (
            {"x": left, "y": margin, "width": tokens, "height": BAND - 3},
            {"x": margin - 13, "y": upper, "width": 10, "height": tokens},
        ):
            parts.append(node("rect", **place, class_=_colour(document)))
        if (start == 0 and crossing) or (not crossing and tokens >= 14):
            parts.append(node("text", "0", x=left + 1, y=margin - 6))
        start += tokens
    last = context if crossing else (number(row[-1], "tokens") if row else None) or 0.0
    if last * scale > 40:
        parts.append(node("text", count(last - 1), x=margin + start, y=margin - 6, class_="end"))
    words = (
        "every token sees all before it in the row"
        if crossing
        else "every token sees its own document only"
    )
    size = Size(margin + SIDE + 4, top + SIDE + 4, "mask")
    return node(
        "svg",
        parts,
        viewBox=f"0 0 {size.width} {size.height}",
        role="img",
        aria_label=f"Mask: {words}.",
        class_="chart heat-map",
    )
