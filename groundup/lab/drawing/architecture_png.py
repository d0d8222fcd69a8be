"""The architecture as a matplotlib figure, for PNG files and notebooks: the shapes of the SVG in its light colours."""

from typing import Any

from groundup.lab.architecture import Architecture
from groundup.lab.drawing.architecture_layout import SUM_RADIUS, Label, Plus, Rectangle, Shape, layout
from groundup.lab.drawing.architecture_svg import LIGHT, in_order, printable
from groundup.lab.style import closed, pyplot

DOTS_PER_INCH = 96
# Font sizes in points for those of the SVG.
FONTS: dict[str, dict[str, Any]] = {
    "name": {"fontsize": 12.5, "weight": "bold", "color": LIGHT["ink"]},
    "title": {"fontsize": 9.5, "weight": "bold", "color": LIGHT["ink"]},
    "line": {"fontsize": 8.5, "color": LIGHT["ink"]},
    "shape": {"fontsize": 8, "color": LIGHT["soft"]},
}


def draw_architecture(picture: Architecture) -> Any:
    """Draw a picture from `lab.architecture`. Raises MissingExtra."""
    plt = pyplot()
    page = layout(picture)
    figure = plt.figure(figsize=(page.width / DOTS_PER_INCH, page.height / DOTS_PER_INCH), facecolor=LIGHT["paper"])
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, page.width), ylim=(page.height, 0))
    axes.axis("off")
    for shape in in_order(page):
        _draw(axes, shape)
    return closed(figure)


def _draw(axes: Any, shape: Shape) -> None:
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
