"""Attention maps of a few heads on one sentence.

A map is a square of weights between tokens: row = query, column = key. The weight is the opacity of
one colour, a scale that also works in grey, dark mode and print.
"""

from collections.abc import Sequence

from groundup.html_nodes import Child, Node, node
from groundup.language.page_texts import say
from groundup.report.chapter import Chapter, figure
from groundup.report.drawing import svg
from groundup.report.report_data import ReportData
from groundup.report.sections.tokens import show_spaces
from groundup.report.values import (
    JsonObject,
    count,
    fill,
    first_letters,
    matrix,
    number,
    tables,
    text,
    whole_percent,
)

MAX_HEADS = 4
MAX_TOKENS = 32

# The patterns that `lab` looks for in a head: where the attention goes, and what that means.
PATTERNS = {
    "previous": (
        " gives {} of its attention to the previous token",
        "A line beside the diagonal: this head copies from the token before.",
    ),
    "first": (
        " gives {} of its attention to the first token of the text",
        "A filled first column: an attention sink, used when a head has nothing to add.",
    ),
    "same": (
        " gives {} of its attention to earlier copies of the same token",
        "Cells where a token repeats: a first step towards copying repeated text.",
    ),
}
# Below this share a pattern is weak: models that were trained for a minute have such heads.
CLEAR_PATTERN = 0.3


def parts(report: ReportData) -> Sequence[Child] | str:
    record = report.attention
    pieces = [show_spaces(text(piece, "text")) for piece in tables(record, "pieces")]
    pictures = [_picture(head, pieces) for head in tables(record, "heads")[:MAX_HEADS]]
    if not any(picture is not None for picture in pictures):
        return "attention was not recorded"
    return [node("div", pictures, _remark(record), class_="maps wide")]


def _picture(head: JsonObject, pieces: list[str]) -> Node | None:
    weights = matrix(head, "weights")
    if len(weights) != len(pieces) or not weights or len(weights[0]) != len(pieces):
        return None
    where, meaning = PATTERNS.get(text(head, "kind"), ("", ""))
    name = say("Block {block}, head {head}", block=text(head, "block"), head=text(head, "head"))
    score, share = number(head, "score"), ""
    if where:
        share = fill(where, score, whole_percent)
    if score is not None and score < CLEAR_PATTERN:
        meaning = "No clear pattern yet: it needs more training."
    drawing = heat_map(
        pieces[:MAX_TOKENS],
        [row[:MAX_TOKENS] for row in weights[:MAX_TOKENS]],
        say("{head}: heat map.", head=f"{name}{share}"),
    )
    return figure([node("b", name), f"{share}. ", say(meaning)], drawing, class_="map")


def _remark(record: JsonObject) -> Node | None:
    heads = number(record, "heads_in_all")
    said = (
        "These heads show one pattern most clearly; others mix several. "
        "Attention weights show where a model attends, not why."
    )
    if heads is not None:
        said = (
            "Of {count} heads, these show one pattern most clearly; others mix several. "
            "Attention weights show where a model attends, not why."
        )
    words = say(said, count=count(heads))
    return figure(None, heat_scale(), node("p", words, class_="see"), class_="map reading")


CELL = 20
MARGIN = 84
TOP_MARGIN = 74
LABEL_CHARACTERS = 9
SCALE_STEPS = (0, 20, 40, 60, 80, 100)


def heat_map(pieces: Sequence[str], weights: Sequence[Sequence[float]], summary: str) -> Node:
    """The map of one head.

    `weights` are fractions of 1, T rows of T; cells below 0.005 are left out.
    """
    side = CELL * len(pieces)
    cells = [
        _cell(pieces, row, column, weight)
        for row, line in enumerate(weights)
        for column, weight in enumerate(line)
        if weight >= 0.005
    ]
    ground = node("polygon", points=_stairs(len(pieces)), class_="heat-ground")
    labels = [
        _labels(index, first_letters(piece, LABEL_CHARACTERS)) for index, piece in enumerate(pieces)
    ]
    size = (MARGIN + side + 34, TOP_MARGIN + side + 6)
    return svg(*size, summary, "heat-map", ground, cells, labels)


def _stairs(size: int) -> str:
    """The outline of the cells on and below the diagonal (the causal mask)."""
    corners = [(0, 0)]
    for index in range(size):
        corners += [(index + 1, index), (index + 1, index + 1)]
    corners.append((0, size))
    return " ".join(f"{MARGIN + CELL * x},{TOP_MARGIN + CELL * y}" for x, y in corners)


def heat_scale() -> Node:
    marks = [(8 + 40 * index, share) for index, share in enumerate(SCALE_STEPS)]
    width = 40 * len(marks)
    ground = node("rect", x=8, y=2, width=width - 2, height=14, class_="heat-ground")
    steps = [
        node("rect", x=x, y=2, width=38, height=14, fill_opacity=share / 100, class_="heat")
        for x, share in marks
    ]
    labels = [node("text", f"{share} %", x=x + 19, y=32, class_="middle") for x, share in marks]
    label = say("Colour scale from 0 % (transparent) to 100 % (opaque)")
    return svg(width + 16, 38, label, "scale-bar", ground, steps, labels)


def _cell(pieces: Sequence[str], row: int, column: int, weight: float) -> Node:
    return node(
        "rect",
        node("title", f"{pieces[row]} → {pieces[column]}: {whole_percent(weight)}"),
        x=MARGIN + CELL * column,
        y=TOP_MARGIN + CELL * row,
        width=CELL - 1,
        height=CELL - 1,
        fill_opacity=round(min(weight, 1.0), 2),
        class_="heat",
    )


def _labels(index: int, piece: str) -> list[Node]:
    middle = CELL * index + CELL / 2
    left, top = MARGIN + middle, TOP_MARGIN - 6
    row = node("text", piece, x=MARGIN - 7, y=TOP_MARGIN + middle + 4, class_="end")
    return [row, node("text", piece, x=left, y=top, transform=f"rotate(-50 {left:.0f} {top})")]


ATTENTION = Chapter(
    "attention",
    "",
    "Attention maps",
    "Each row is a token. Its cells show how much it attends to each token up to itself: the "
    "stronger the colour, the more. Later tokens are masked, so the upper half is empty.",
    parts,
    stages=["pretrain"],
)
