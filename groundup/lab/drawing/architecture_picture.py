"""The architecture as an SVG, which follows the reader's light or dark setting, as an HTML page, as
a matplotlib figure in light colours, and as lines of text for a terminal.

The residual stream runs down the left; each branch leaves it to the right and returns at a plus
sign. Lengths are in pixels; in text, `RAIL` is the column of the stream, `TURN` that of a branch
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from groundup import palette
from groundup.html_nodes import Node, node, to_html
from groundup.lab.architecture import Architecture, Box, Branch, PartRole
from groundup.lab.style import close, pyplot
from groundup.palette import custom_properties

Point = tuple[float, float]
TextStyle = Literal["name", "title", "line", "shape"]
MARGIN, STREAM, BRANCH = 20, 64, 128
ONE_PART, SIDE_BY_SIDE = 470, 400
TITLE_LINE, LINE, PADDING = 19, 17, 9
GAP, SUM_RADIUS = 32, 9
NO_BREAK = "\u00a0"
FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, '
    "sans-serif"
)
# Colours of the parts, by their names in the palette.
PARTS = {
    "paper": "paper",
    "ink": "ink",
    "soft": "soft",
    "frame": "frame",
    "table": "piece-3",
    "norm": "norm",
}
PARTS |= {"attention": "piece-0", "feedforward": "piece-1", "head": "piece-2"}
LIGHT, DARK = (
    {part: colours[name] for part, name in PARTS.items()}
    for colours in (palette.LIGHT, palette.DARK)
)
STYLE = """
text { font-family: FONT; fill: var(--ink); font-size: 13px; }
.name { font-size: 18px; font-weight: 700; }
.title { font-weight: 650; font-size: 14px; }
.line { fill: var(--ink); }
.shape { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
.box { stroke: var(--soft); stroke-width: 1; }
.way { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.tip { fill: var(--ink); }
.plus { fill: var(--paper); stroke: var(--ink); stroke-width: 1.5; }
"""
PAGE_STYLE = """
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; background: var(--paper); color: var(--ink); font-family: FONT; line-height: 1.5; }
svg { max-width: 100%; height: auto; display: block; }
table { border-collapse: collapse; margin: 1.5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--soft); text-align: right; }
th:first-child, td:first-child, .facts td { text-align: left; }
"""
DOTS_PER_INCH = 96
# Font sizes in points for those of the SVG.
FONTS: dict[str, dict[str, Any]] = {
    "name": {"fontsize": 12.5, "weight": "bold", "color": LIGHT["ink"]},
    "title": {"fontsize": 9.5, "weight": "bold", "color": LIGHT["ink"]},
    "line": {"fontsize": 8.5, "color": LIGHT["ink"]},
    "shape": {"fontsize": 8, "color": LIGHT["soft"]},
}


@dataclass(frozen=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float
    role: PartRole | Literal["frame"]


@dataclass(frozen=True)
class Label:
    x: float
    y: float
    """Of the text's baseline."""
    text: str
    style: TextStyle


@dataclass(frozen=True)
class Arrow:
    points: tuple[Point, ...]
    headed: bool = True


@dataclass
class DiagramLayout:
    """A picture of `width` times `height` pixels, whose height grows while it is laid out.

    Shapes are drawn in the order of the fields.
    """

    width: float
    height: float = 0.0
    boxes: list[Rectangle] = field(default_factory=list)
    """The frame of the blocks first, below what it contains."""
    arrows: list[Arrow] = field(default_factory=list)
    sums: list[Point] = field(default_factory=list)
    """Centres of the signs where a branch is added to the stream."""
    labels: list[Label] = field(default_factory=list)

    def label(self, x: float, y: float, text: str, style: TextStyle) -> None:
        self.labels.append(Label(x, y, text, style))

    def arrow(self, *points: Point, headed: bool = True) -> None:
        self.arrows.append(Arrow(points, headed))


def architecture_svg(picture: Architecture) -> str:
    """A picture from `lab.architecture` as the text of an SVG file."""
    drawing = ET.tostring(_drawing(picture), encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{drawing}\n'


def architecture_page(
    picture: Architecture, table: Sequence[Sequence[str]], facts: Sequence[tuple[str, str]]
) -> str:
    """One HTML page: the drawing, a table (its first row has the headers) and facts (name,
    value). It makes no requests.
    """
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("title", escape_controls(picture.title)),
        node("style", _style(PAGE_STYLE)),
    )
    tables = [_table(table, "costs"), _table([("", ""), *facts], "facts")]
    return to_html(node("html", head, node("body", _drawing(picture), tables), lang="en"))


def _style(rules: str) -> str:
    return custom_properties(LIGHT, DARK) + rules.replace("FONT", FONT.replace('"', "'"))


def escape_controls(text: str) -> str:
    """The text with control characters, which XML forbids, as escapes."""
    return "".join(map(_escape_control, text))


def _escape_control(character: str) -> str:
    if character.isprintable() or character == NO_BREAK:
        return character
    return repr(character)[1:-1]


def _table(rows: Sequence[Sequence[str]], kind: str) -> Node:
    head, *body = [[escape_controls(cell) for cell in row] for row in rows]
    lines = [node("tr", [node("th", cell) for cell in head])]
    lines += [node("tr", [node("td", cell) for cell in row]) for row in body]
    return node("table", lines, class_=kind)


def _drawing(picture: Architecture) -> Node:
    page = layout(picture)
    shapes = [node("rect", width="100%", height="100%", fill="var(--paper)")]
    for box in page.boxes:
        place = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
        shapes.append(node("rect", class_="box", rx=7, fill=f"var(--{box.role})", **place))
    for arrow in page.arrows:
        shapes.append(node("polyline", points=_points(arrow.points), class_="way"))
        if arrow.headed:
            shapes.append(node("polygon", points=_points(_tip(arrow)), class_="tip"))
    for x, y in page.sums:
        arm = SUM_RADIUS - 4
        cross = f"M{x - arm} {y}H{x + arm}M{x} {y - arm}V{y + arm}"
        shapes.append(node("circle", cx=x, cy=y, r=SUM_RADIUS, class_="plus"))
        shapes.append(node("path", d=cross, class_="way"))
    for label in page.labels:
        words = escape_controls(label.text)
        shapes.append(node("text", words, x=label.x, y=label.y, class_=label.style))
    width, height = f"{page.width:.0f}", f"{page.height:.0f}"
    return node(
        "svg",
        node("title", f"Architecture of {escape_controls(picture.title)}"),
        node("style", _style(STYLE)),
        shapes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="img",
        width=width,
        height=height,
    )


def _tip(arrow: Arrow) -> list[Point]:
    """The corners of a triangle at the end of an arrow, which points down or to the left."""
    (x0, _), (x, y) = arrow.points[-2:]
    if x0 == x:
        return [(x, y), (x - 4, y - 8), (x + 4, y - 8)]
    return [(x, y), (x + 8, y - 4), (x + 8, y + 4)]


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def draw_architecture(picture: Architecture) -> Any:
    """Draw a picture from `lab.architecture`. Raises MissingExtra."""
    plt, page, ink = pyplot(), layout(picture), LIGHT["ink"]
    figure = plt.figure(
        figsize=(page.width / DOTS_PER_INCH, page.height / DOTS_PER_INCH), facecolor=LIGHT["paper"]
    )
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, page.width), ylim=(page.height, 0))
    axes.axis("off")
    rounded = {"boxstyle": "round,pad=0,rounding_size=7", "mutation_aspect": 1}
    for box in page.boxes:
        colours = {"facecolor": LIGHT[box.role], "edgecolor": LIGHT["soft"], "linewidth": 0.8}
        corner = (box.x, box.y)
        axes.add_patch(
            plt.matplotlib.patches.FancyBboxPatch(
                corner, box.width, box.height, **rounded, **colours
            )
        )
    tip = {"arrowstyle": "-|>", "color": ink, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    for arrow in page.arrows:
        axes.plot(*zip(*arrow.points, strict=True), color=ink, linewidth=1.1, solid_capstyle="butt")
        if arrow.headed:
            axes.annotate("", xy=arrow.points[-1], xytext=arrow.points[-2], arrowprops=tip)
    for x, y in page.sums:
        axes.add_patch(
            plt.Circle((x, y), SUM_RADIUS, facecolor=LIGHT["paper"], edgecolor=ink, zorder=3)
        )
        axes.plot(x, y, marker="+", color=ink, markersize=8, zorder=4)
    for label in page.labels:
        text = escape_controls(label.text).replace("$", r"\$")
        axes.text(label.x, label.y, text, va="baseline", **FONTS[label.style])
    return close(figure)


def layout(picture: Architecture) -> DiagramLayout:
    columns, inner = max(len(branch.parts) for branch in picture.branches), ONE_PART
    if columns > 1:
        inner = columns * SIDE_BY_SIDE + (columns - 1) * MARGIN
    page = DiagramLayout(width=BRANCH + inner + 2 * MARGIN)
    page.label(MARGIN, 30, picture.title, "name")
    page.label(STREAM - 4, 62, picture.ids, "shape")
    page.height = 68
    shape = ""
    for box in picture.enters:
        _down(page, shape)
        _on_stream(page, box)
        shape = picture.stream
    _down(page, picture.stream)
    _blocks(page, picture)
    for box in picture.leaves:
        _down(page, picture.stream)
        _on_stream(page, box)
    _down(page)
    page.label(STREAM - 4, page.height + 14, picture.result, "shape")
    page.height += 34
    return page


def _down(page: DiagramLayout, shape: str = "") -> None:
    page.arrow((STREAM, page.height), (STREAM, page.height + GAP))
    if shape:
        page.label(STREAM + 10, page.height + GAP / 2 + 4, shape, "shape")
    page.height += GAP


def _on_stream(page: DiagramLayout, box: Box) -> None:
    page.height += _box(page, box, MARGIN, page.height, page.width - 2 * MARGIN)


def _box(
    page: DiagramLayout, box: Box, x: float, y: float, width: float, *, num_lines: int = 0
) -> float:
    """Draw a box and its text, as tall as for at least `num_lines`, and return its height."""
    height = 2 * PADDING + TITLE_LINE + LINE * max(len(box.lines), num_lines) - 4
    page.boxes.append(Rectangle(x, y, width, height, box.role))
    baseline = y + PADDING + 13
    page.label(x + 14, baseline, box.title, "title")
    for number, line in enumerate(box.lines, start=1):
        page.label(x + 14, baseline + 2 + LINE * number, line, "line")
    return height


def _blocks(page: DiagramLayout, picture: Architecture) -> None:
    top = page.height
    page.label(BRANCH, top + 22, picture.blocks, "title")
    begin = top
    page.height += 40
    for branch in picture.branches:
        begin = _branch(page, branch, picture.stream, begin)
    page.height += 12
    page.arrow((STREAM, begin), (STREAM, page.height), headed=False)
    frame = Rectangle(MARGIN / 2, top, page.width - MARGIN, page.height - top, "frame")
    page.boxes.insert(0, frame)


def _branch(page: DiagramLayout, branch: Branch, stream: str, begin: float) -> float:
    """Draw one branch; `begin` is how far the stream has been drawn.

    Return how far it is drawn now.
    """
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


def _into_parts(page: DiagramLayout, turns: list[float], stream: str) -> None:
    for turn in turns:
        page.arrow((turn, page.height), (turn, page.height + GAP))
        page.label(turn + 10, page.height + GAP / 2 + 4, stream, "shape")
    page.height += GAP


def _sum(
    page: DiagramLayout, branch: Branch, turns: list[float], stream: str, begin: float
) -> float:
    """Return to the stream, and draw its norm where the block has one there."""
    y = page.height + 22
    for turn in turns:
        page.arrow((turn, page.height), (turn, y), (STREAM + SUM_RADIUS, y))
    page.label(turns[0] - 74, y - 6, stream, "shape")
    page.arrow((STREAM, begin), (STREAM, y - SUM_RADIUS))
    page.sums.append((STREAM, y))
    page.height = y + SUM_RADIUS
    if branch.on_sum is not None:
        _down(page)
        page.height += _box(page, branch.on_sum, MARGIN, page.height, page.width - 2 * MARGIN)
    drawn_to = page.height
    page.height += 18
    return drawn_to


COLUMNS = 76
RAIL, LEFT, TURN = 4, 7, 14


def architecture_lines(picture: Architecture) -> list[str]:
    """The drawing of a picture from `lab.architecture`, `COLUMNS` columns wide."""
    lines = [" " * RAIL + picture.ids]
    for box in picture.enters:
        lines += [_text_line({RAIL: "│"}), *_box_lines(box, 0, COLUMNS - 6, RAIL)]
    lines.append(_text_line({RAIL: "│"}, picture.stream))
    lines += _frame_lines(picture)
    for box in picture.leaves:
        lines += [_text_line({RAIL: "│"}, picture.stream), *_box_lines(box, 0, COLUMNS - 6, RAIL)]
    return [*lines, _text_line({RAIL: "│"}), " " * RAIL + picture.result]


def _text_line(marks: dict[int, str], note: str = "") -> str:
    """A line with signs in some columns, and a note after the last."""
    line = [" "] * (max(marks) + 1)
    for column, sign in marks.items():
        line[column] = sign
    if note:
        line.append(f" {note}")
    return "".join(line)


def _box_lines(box: Box, left: int, right: int, turn: int) -> list[str]:
    """A box from column `left` to `right`, with its input and output at column `turn`."""
    inner = right - left - 1
    top, bottom = ["─"] * inner, ["─"] * inner
    top[turn - left - 1], bottom[turn - left - 1] = "┴", "┬"
    rows = [box.title, *(f"  {line}" for line in box.lines)]
    sides = [f"│ {row[: inner - 2].ljust(inner - 2)} │" for row in rows]
    return [" " * left + line for line in (f"┌{''.join(top)}┐", *sides, f"└{''.join(bottom)}┘")]


def _frame_lines(picture: Architecture) -> Iterator[str]:
    """Yield all blocks as one, in a frame with their number."""
    head = f"╭───┴─ {picture.blocks} "
    yield head + "─" * (COLUMNS - len(head) - 1) + "╮"
    for branch in picture.branches:
        for line in _branch_lines(branch, picture.stream):
            yield "│" + line[1:].ljust(COLUMNS - 2) + "│"
    yield "╰───┬" + "─" * (COLUMNS - 6) + "╯"


def _branch_lines(branch: Branch, stream: str) -> Iterator[str]:
    yield _text_line({RAIL: "│"})
    yield " " * RAIL + "├" + "─" * (TURN - RAIL - 1) + "┐"
    if branch.before is not None:
        yield from _beside(branch.before, joined=len(branch.parts) > 1)
        if len(branch.parts) == 1:
            yield _text_line({RAIL: "│", TURN: "│"}, stream)
    if len(branch.parts) > 1:
        yield from _both(branch.parts, stream)
    else:
        yield from _beside(branch.parts[0])
        if branch.after is not None:
            yield _text_line({RAIL: "│", TURN: "│"}, stream)
            yield from _beside(branch.after)
        yield _added(stream)
    if branch.on_sum is not None:
        yield from (" " + line[1:] for line in _box_lines(branch.on_sum, 2, COLUMNS - 4, RAIL))


def _beside(box: Box, *, joined: bool = False, narrow: int = 0) -> Iterator[str]:
    """Yield a box of a branch, with the stream at its left.

    `joined`: a second branch leaves at its right end.
    """
    right = COLUMNS - 4 - narrow
    lines = _box_lines(box, LEFT, right, TURN)
    if joined:
        lines[-1] = lines[-1][: right - 2] + "┬" + lines[-1][right - 1 :]
    for line in lines:
        yield line[:RAIL] + "│" + line[RAIL + 1 :]


def _both(parts: tuple[Box, ...], stream: str) -> Iterator[str]:
    """Yield two parts with the same input: the line to the second passes at the right of the
    first.
    """
    rail = COLUMNS - 6
    for line in (*_beside(parts[0], narrow=4), _added(stream)):
        yield line.ljust(rail) + "│"
    yield _text_line({RAIL: "│", TURN: "┌"}) + "─" * (rail - TURN - 1) + "┘"
    yield from _beside(parts[1])
    yield _added(stream)


def _added(stream: str) -> str:
    """The line where a branch is added to the stream."""
    return " " * RAIL + "⊕←" + "─" * (TURN - RAIL - 2) + f"┘ {stream}"
