"""A square of weights between tokens: row = the token that looks, column = the token looked at.

A cell's weight is the opacity of one ink on the page's ground: a grey-safe scale that works in light, dark and print alike.
"""

from collections.abc import Sequence

from groundup.markup import Node, node
from groundup.report.words import first_letters, percent

CELL = 20
MARGIN = 84
TOP_MARGIN = 74
LABEL_CHARACTERS = 9
SCALE_STEPS = (0, 20, 40, 60, 80, 100)


def heat_map(pieces: Sequence[str], weights: Sequence[Sequence[float]], summary: str) -> Node:
    """The picture of one head. `weights` are shares of 1, T rows of T; cells of no weight are left out."""
    width, height = MARGIN + CELL * len(pieces) + 34, TOP_MARGIN + CELL * len(pieces) + 6
    cells = [
        _cell(pieces, row, column, weight)
        for row, line in enumerate(weights)
        for column, weight in enumerate(line)
        if weight >= 0.005
    ]
    ground = node("polygon", points=_stairs(len(pieces)), class_="heat-ground")
    labels = [
        label for index, piece in enumerate(pieces) for label in _labels(index, first_letters(piece, LABEL_CHARACTERS))
    ]
    return node(
        "svg",
        ground,
        cells,
        labels,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=summary,
        class_="chart heat-map",
    )


def _stairs(size: int) -> str:
    """The outline of the cells on and below the diagonal: a token can't look ahead."""
    corners = [
        (0, 0),
        *[corner for index in range(size) for corner in ((index + 1, index), (index + 1, index + 1))],
        (0, size),
    ]
    return " ".join(f"{MARGIN + CELL * x},{TOP_MARGIN + CELL * y}" for x, y in corners)


def heat_scale() -> Node:
    """The legend of every heat map: how dark which share is."""
    steps = [
        node("rect", x=8 + 40 * index, y=2, width=38, height=14, fill_opacity=share / 100, class_="heat")
        for index, share in enumerate(SCALE_STEPS)
    ]
    labels = [
        node("text", f"{share} %", x=27 + 40 * index, y=32, class_="middle") for index, share in enumerate(SCALE_STEPS)
    ]
    ground = node("rect", x=8, y=2, width=40 * len(SCALE_STEPS) - 2, height=14, class_="heat-ground")
    return node(
        "svg",
        ground,
        steps,
        labels,
        viewBox=f"0 0 {16 + 40 * len(SCALE_STEPS)} 38",
        role="img",
        aria_label="Scale: from the faintest, 0 %, to the fullest, 100 %",
        class_="chart scale-bar",
    )


def _cell(pieces: Sequence[str], row: int, column: int, weight: float) -> Node:
    said = node("title", f"{pieces[row]} → {pieces[column]}: {percent(weight, 0)}")
    place = {"x": MARGIN + CELL * column, "y": TOP_MARGIN + CELL * row}
    return node(
        "rect", said, **place, width=CELL - 1, height=CELL - 1, fill_opacity=round(min(weight, 1.0), 2), class_="heat"
    )


def _labels(index: int, piece: str) -> list[Node]:
    middle = CELL * index + CELL / 2
    left, top = MARGIN + middle, TOP_MARGIN - 6
    row = node("text", piece, x=MARGIN - 7, y=TOP_MARGIN + middle + 4, class_="end")
    return [row, node("text", piece, x=left, y=top, transform=f"rotate(-50 {left:.0f} {top})")]
