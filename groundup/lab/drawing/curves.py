"""Curves of evaluation suites over steps, sizes or shots: one small chart a task, with the 95 %
band of each curve and the line of chance.

draw_curves(results["curves"]) -> a figure      of `groundup evaluate --over`
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.lab.style import LABEL_SIZE, MUTED, SMALL_SIZE, finish, plain, pyplot
from groundup.palette import SERIES

COLUMNS = 3
WIDTH_INCHES, HEIGHT_INCHES = 3.1, 2.5
X_LABELS = {"steps": "training step", "sizes": "parameters", "shots": "worked examples (shots)"}
TITLES = {"steps": "over training", "sizes": "by size", "shots": "by number of worked examples"}
MARKERS = "osD^vP*X"
# Values of metrics that are proportions but not shown in percent are left as they are.
PERCENT = ("accuracy",)
CAPTION = (
    "Bands: 95 % intervals over the items. Dotted: the value of guessing. Hollow: not "
    "distinguishable from it. All points of a chart are measured on the same items."
)


def draw_curves(curves: Sequence[Mapping[str, Any]]) -> Any:
    """A figure of all curves. Raises MissingExtra (matplotlib)."""
    panels = list(dict.fromkeys((curve["task"], curve["metric"]) for curve in curves))
    models = list(dict.fromkeys(curve["model"] for curve in curves))
    columns = min(COLUMNS, len(panels))
    if len(panels) == 4:
        columns = 2
    rows = -(-len(panels) // columns)
    size = (max(4.6, WIDTH_INCHES * columns), HEIGHT_INCHES * rows + 0.9)
    figure, grid = pyplot().subplots(rows, columns, figsize=size, squeeze=False)
    places = [axes for line in grid for axes in line]
    for axes, panel in zip(places, panels, strict=False):
        own = [curve for curve in curves if (curve["task"], curve["metric"]) == panel]
        _panel(axes, own, models)
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    name = "/".join(Path(models[0]).parts[-2:]).replace("$", r"\$")
    if len(models) > 1:
        name = f"{len(models)} models"
        places[0].legend(frameon=False, fontsize=SMALL_SIZE)
    title = f"What nobody taught it, {TITLES[curves[0]['over']]}: {name}"
    return finish(figure, title=title, caption=CAPTION)


def _panel(axes: Any, curves: Sequence[Mapping[str, Any]], models: Sequence[str]) -> None:
    first = curves[0]
    scale, unit = 1, first["metric"].replace("_", " ")
    if first["metric"] in PERCENT:
        scale, unit = 100, f"{unit}, %"
    for curve in curves:
        number = models.index(curve["model"]) % len(SERIES)
        _draw(axes, curve, scale, SERIES[number], MARKERS[number])
    if first["chance"] is not None:
        axes.axhline(scale * first["chance"], color=MUTED, linestyle=":", linewidth=1.2)
    _x_axis(axes, curves)
    axes.tick_params(labelsize=SMALL_SIZE)
    title = f"{first['task']} (n = {first['points'][0]['n']:,})"
    axes.set_title(title, fontsize=LABEL_SIZE, loc="left")
    plain(axes, x=X_LABELS[first["over"]], y=unit)


def _draw(axes: Any, curve: Mapping[str, Any], scale: float, colour: str, marker: str) -> None:
    points = curve["points"]
    x, values = [point["x"] for point in points], [scale * point["value"] for point in points]
    bounds = [(p["x"], scale * p["low"], scale * p["high"]) for p in points if p["low"] is not None]
    if bounds:
        axes.fill_between(*zip(*bounds, strict=True), color=colour, alpha=0.16, linewidth=0)
    axes.plot(x, values, color=colour, linewidth=1.4, label=curve["model"])
    faces = [colour] * len(points)
    for place, point in enumerate(points):
        if point["is_chance"]:
            faces[place] = "white"
    look = {"s": 20, "edgecolors": colour, "linewidths": 1.1, "marker": marker, "zorder": 3}
    axes.scatter(x, values, c=faces, **look)


def _x_axis(axes: Any, curves: Sequence[Mapping[str, Any]]) -> None:
    """Steps on a square root, as the first ones are closer together; sizes on a logarithm; a
    tick for each number of shots.
    """
    over = curves[0]["over"]
    x = sorted({point["x"] for curve in curves for point in curve["points"]})
    if over == "steps":
        axes.set_xscale("function", functions=(lambda v: abs(v) ** 0.5, lambda v: v**2))
        axes.set_xlim(left=0)
    elif over == "sizes":
        axes.set_xscale("log")
        axes.set_xticks(x, [short(value) for value in x])
        axes.minorticks_off()
    else:
        axes.set_xticks(x, [f"{value:g}" for value in x])


def short(value: float) -> str:
    """A count with three digits and its unit.

    >>> short(134_515_008), short(934_000), short(12)
    ('135M', '934k', '12')"""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"
