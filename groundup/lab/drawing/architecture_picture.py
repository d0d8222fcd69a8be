"""The architecture as an SVG, which follows the reader's light or dark setting, as an HTML page, and as a matplotlib figure in light colours."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

from groundup import palette
from groundup.lab.architecture import Architecture
from groundup.lab.drawing.architecture_layout import SUM_RADIUS, Arrow, Label, Layout, Plus, Rectangle, Shape, layout
from groundup.lab.style import closed, pyplot
from groundup.palette import custom_properties

NO_BREAK = "\u00a0"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif'
# Colours of the parts, by their names in the palette.
PARTS = {"paper": "paper", "ink": "ink", "soft": "soft", "frame": "frame", "table": "piece-3", "norm": "norm"}
PARTS |= {"attention": "piece-0", "feedforward": "piece-1", "head": "piece-2"}
LIGHT, DARK = ({part: colours[name] for part, name in PARTS.items()} for colours in (palette.LIGHT, palette.DARK))
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


def architecture_svg(picture: Architecture) -> str:
    """Return a picture from `lab.architecture` as the text of an SVG file."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(_drawing(picture), encoding="unicode") + "\n"


def architecture_page(picture: Architecture, table: Sequence[Sequence[str]], facts: Sequence[tuple[str, str]]) -> str:
    """Return one HTML page: the drawing, a table (its first row has the headers) and facts (name, value). It makes no requests."""
    page = ET.Element("html", lang="en")
    head = _inside(page, "head")
    _inside(head, "meta", charset="utf-8")
    _inside(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    _inside(head, "title").text = printable(picture.title)
    _inside(head, "style").text = custom_properties(LIGHT, DARK) + PAGE_STYLE.replace("FONT", FONT.replace('"', "'"))
    body = _inside(page, "body")
    body.append(_drawing(picture))
    body.append(_table(table, "costs"))
    body.append(_table([("", ""), *facts], "facts"))
    return "<!DOCTYPE html>\n" + ET.tostring(page, encoding="unicode", method="html") + "\n"


def printable(text: str) -> str:
    """Return the text with control characters, which XML forbids, as escapes."""
    return "".join(c if c.isprintable() or c == NO_BREAK else repr(c)[1:-1] for c in text)


def _inside(parent: ET.Element, tag: str, **attributes: str | float) -> ET.Element:
    return ET.SubElement(
        parent, tag, {name.rstrip("_").replace("_", "-"): _number(v) for name, v in attributes.items()}
    )


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def _table(rows: Sequence[Sequence[str]], kind: str) -> ET.Element:
    table = ET.Element("table", {"class": kind})
    for number, row in enumerate(rows):
        line = _inside(table, "tr")
        for cell in row:
            _inside(line, "td" if number else "th").text = printable(cell)
    return table


def _drawing(picture: Architecture) -> ET.Element:
    page = layout(picture)
    size = {"width": f"{page.width:.0f}", "height": f"{page.height:.0f}"}
    view = {"viewBox": f"0 0 {size['width']} {size['height']}", "role": "img"}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **view, **size})
    _inside(root, "title").text = f"Architecture of {printable(picture.title)}"
    _inside(root, "style").text = custom_properties(LIGHT, DARK) + STYLE.replace("FONT", FONT.replace('"', "'"))
    _inside(root, "rect", width="100%", height="100%", fill="var(--paper)")
    for shape in in_order(page):
        _shape(root, shape)
    return root


def in_order(page: Layout) -> list[Shape]:
    """Return the shapes in drawing order: frames, boxes, arrows, sums, text."""
    layers = (Rectangle, Arrow, Plus, Label)
    frames = [shape for shape in page.shapes if isinstance(shape, Rectangle) and shape.role == "frame"]
    others = [shape for layer in layers for shape in page.shapes if isinstance(shape, layer) and shape not in frames]
    return [*frames, *others]


def _shape(root: ET.Element, shape: Shape) -> None:
    if isinstance(shape, Rectangle):
        place = {"x": shape.x, "y": shape.y, "width": shape.width, "height": shape.height}
        _inside(root, "rect", class_="box", rx="7", fill=f"var(--{shape.role})", **place)
    elif isinstance(shape, Label):
        _inside(root, "text", x=shape.x, y=shape.y, class_=shape.style).text = printable(shape.text)
    elif isinstance(shape, Plus):
        x, y, arm = shape.x, shape.y, SUM_RADIUS - 4
        _inside(root, "circle", cx=x, cy=y, r=SUM_RADIUS, class_="plus")
        _inside(root, "path", d=f"M{x - arm} {y}H{x + arm}M{x} {y - arm}V{y + arm}", class_="way")
    else:
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
        _inside(root, "polyline", points=points, class_="way")
        if shape.headed:
            _inside(root, "polygon", points=_tip(shape), class_="tip")


def _tip(arrow: Arrow) -> str:
    """Return the points of a triangle at the end of an arrow, which points down or to the left."""
    (x0, _), (x, y) = arrow.points[-2:]
    corners = [(x, y), (x - 4, y - 8), (x + 4, y - 8)] if x0 == x else [(x, y), (x + 8, y - 4), (x + 8, y + 4)]
    return " ".join(f"{_number(a)},{_number(b)}" for a, b in corners)


def draw_architecture(picture: Architecture) -> Any:
    """Draw a picture from `lab.architecture`. Raises MissingExtra."""
    plt = pyplot()
    page = layout(picture)
    figure = plt.figure(figsize=(page.width / DOTS_PER_INCH, page.height / DOTS_PER_INCH), facecolor=LIGHT["paper"])
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, page.width), ylim=(page.height, 0))
    axes.axis("off")
    for shape in in_order(page):
        _draw_shape(axes, shape)
    return closed(figure)


def _draw_shape(axes: Any, shape: Shape) -> None:
    plt = pyplot()
    ink = LIGHT["ink"]
    if isinstance(shape, Rectangle):
        rounded = {"boxstyle": "round,pad=0,rounding_size=7", "mutation_aspect": 1}
        corner = (shape.x, shape.y)
        colours = {"facecolor": LIGHT[shape.role], "edgecolor": LIGHT["soft"], "linewidth": 0.8}
        axes.add_patch(plt.matplotlib.patches.FancyBboxPatch(corner, shape.width, shape.height, **rounded, **colours))
    elif isinstance(shape, Label):
        text = printable(shape.text).replace("$", r"\$")
        axes.text(shape.x, shape.y, text, va="baseline", **FONTS[shape.style])
    elif isinstance(shape, Plus):
        axes.add_patch(plt.Circle((shape.x, shape.y), SUM_RADIUS, facecolor=LIGHT["paper"], edgecolor=ink, zorder=3))
        axes.plot(shape.x, shape.y, marker="+", color=ink, markersize=8, zorder=4)
    else:
        xs, ys = zip(*shape.points, strict=True)
        axes.plot(xs, ys, color=ink, linewidth=1.1, solid_capstyle="butt")
        if shape.headed:
            tip = {"arrowstyle": "-|>", "color": ink, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
            axes.annotate("", xy=shape.points[-1], xytext=shape.points[-2], arrowprops=tip)
