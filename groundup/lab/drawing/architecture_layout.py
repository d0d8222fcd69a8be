"""The layout of an architecture's picture, in pixels: shapes that `architecture_picture` draws as SVG and as a figure.

The residual stream runs down the left; each branch leaves it to the right and returns at a plus sign.
"""

from dataclasses import dataclass, field
from typing import Literal

from groundup.lab.architecture import Architecture, Box, Branch, Role

Point = tuple[float, float]
MARGIN, STREAM, BRANCH = 20, 64, 128
ONE_PART, SIDE_BY_SIDE = 470, 400
TITLE_LINE, LINE, PADDING = 19, 17, 9
GAP, SUM_RADIUS = 32, 9


@dataclass(frozen=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float
    role: Role | Literal["frame"]


@dataclass(frozen=True)
class Label:
    x: float
    y: float
    """Of the text's baseline."""
    text: str
    style: Literal["name", "title", "line", "shape"]


@dataclass(frozen=True)
class Arrow:
    points: tuple[Point, ...]
    headed: bool = True


@dataclass(frozen=True)
class Plus:
    """The sign where a branch is added to the stream."""

    x: float
    y: float


Shape = Rectangle | Label | Arrow | Plus


@dataclass
class Layout:
    """A picture of `width` times `height` pixels; its height grows while it is laid out."""

    width: float
    height: float = 0.0
    shapes: list[Shape] = field(default_factory=list)

    def label(self, x: float, y: float, text: str, style: Literal["name", "title", "line", "shape"]) -> None:
        self.shapes.append(Label(x, y, text, style))

    def arrow(self, *points: Point, headed: bool = True) -> None:
        self.shapes.append(Arrow(points, headed))


def layout(picture: Architecture) -> Layout:
    """Return all shapes of a picture from `lab.architecture`."""
    columns = max(len(branch.parts) for branch in picture.branches)
    inner = ONE_PART if columns == 1 else columns * SIDE_BY_SIDE + (columns - 1) * MARGIN
    page = Layout(width=BRANCH + inner + 2 * MARGIN)
    page.label(MARGIN, 30, picture.title, "name")
    page.label(STREAM - 4, 62, picture.ids, "shape")
    page.height = 68
    for box in picture.enters:
        _down(page, "" if box is picture.enters[0] else picture.stream)
        _on_stream(page, box)
    _down(page, picture.stream)
    _blocks(page, picture)
    for box in picture.leaves:
        _down(page, picture.stream)
        _on_stream(page, box)
    _down(page)
    page.label(STREAM - 4, page.height + 14, picture.result, "shape")
    page.height += 34
    return page


def _down(page: Layout, shape: str = "") -> None:
    """Draw the stream downwards, with its shape beside it."""
    page.arrow((STREAM, page.height), (STREAM, page.height + GAP))
    if shape:
        page.label(STREAM + 10, page.height + GAP / 2 + 4, shape, "shape")
    page.height += GAP


def _on_stream(page: Layout, box: Box) -> None:
    page.height += _box(page, box, MARGIN, page.height, page.width - 2 * MARGIN)


def _box(page: Layout, box: Box, x: float, y: float, width: float, *, num_lines: int = 0) -> float:
    """Draw a box and its text, as tall as for at least `num_lines`, and return its height."""
    height = 2 * PADDING + TITLE_LINE + LINE * max(len(box.lines), num_lines) - 4
    page.shapes.append(Rectangle(x, y, width, height, box.role))
    baseline = y + PADDING + 13
    page.label(x + 14, baseline, box.title, "title")
    for number, line in enumerate(box.lines, start=1):
        page.label(x + 14, baseline + 2 + LINE * number, line, "line")
    return height


def _blocks(page: Layout, picture: Architecture) -> None:
    """Draw the blocks and their frame, which comes first in the list, below what it contains."""
    top, place = page.height, len(page.shapes)
    page.label(BRANCH, top + 22, picture.blocks, "title")
    begin = top
    page.height += 40
    for branch in picture.branches:
        begin = _branch(page, branch, picture.stream, begin)
    page.height += 12
    page.arrow((STREAM, begin), (STREAM, page.height), headed=False)
    frame = Rectangle(MARGIN / 2, top, page.width - MARGIN, page.height - top, "frame")
    page.shapes.insert(place, frame)


def _branch(page: Layout, branch: Branch, stream: str, begin: float) -> float:
    """Draw one branch; `begin` is how far the stream has been drawn. Return how far it is drawn now."""
    width = page.width - BRANCH - 2 * MARGIN
    columns = len(branch.parts)
    each = (width - (columns - 1) * MARGIN) / columns
    lefts = [BRANCH + column * (each + MARGIN) for column in range(columns)]
    turn = BRANCH + width / 2
    page.arrow((STREAM, page.height), (turn, page.height), (turn, page.height + GAP - 12))
    page.height += GAP - 12
    if branch.before is not None:
        page.height += _box(page, branch.before, BRANCH, page.height, width)
        _into_parts(page, [left + each / 2 for left in lefts], stream)
    lines = max(len(part.lines) for part in branch.parts)
    for part, left in zip(branch.parts, lefts, strict=True):
        tall = _box(page, part, left, page.height, each, num_lines=lines)
    page.height += tall
    if branch.after is not None:
        _into_parts(page, [turn], stream)
        page.height += _box(page, branch.after, BRANCH, page.height, width)
    return _sum(page, branch, [left + each / 2 for left in lefts], stream, begin)


def _into_parts(page: Layout, turns: list[float], stream: str) -> None:
    for turn in turns:
        page.arrow((turn, page.height), (turn, page.height + GAP))
        page.label(turn + 10, page.height + GAP / 2 + 4, stream, "shape")
    page.height += GAP


def _sum(page: Layout, branch: Branch, turns: list[float], stream: str, begin: float) -> float:
    """Return to the stream, and draw its norm where the block has one there."""
    y = page.height + 22
    for turn in turns:
        page.arrow((turn, page.height), (turn, y), (STREAM + SUM_RADIUS, y))
    page.label(turns[0] - 74, y - 6, stream, "shape")
    page.arrow((STREAM, begin), (STREAM, y - SUM_RADIUS))
    page.shapes.append(Plus(STREAM, y))
    page.height = y + SUM_RADIUS
    if branch.on_sum is not None:
        _down(page)
        page.height += _box(page, branch.on_sum, MARGIN, page.height, page.width - 2 * MARGIN)
    drawn_to = page.height
    page.height += 18
    return drawn_to
