"""The loss of a run over its steps, of a text by the number of context tokens, and of sentences
alone and after those before them; curves of evaluation suites over steps, sizes or shots
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.lab.style import (
    LABEL_SIZE,
    MARKERS,
    MUTED,
    ONE,
    SMALL_SIZE,
    TWO,
    WIDTH_INCHES,
    close,
    finish,
    legend,
    plain,
    pyplot,
    shorten,
)
from groundup.lab.values import ContextLosses, ContextPoint, SentenceLosses
from groundup.palette import PALE_LINE, SERIES

SENTENCE_CHARACTERS = 44
UNIT = "loss, nats per token"


def draw_loss(metrics: Iterable[Mapping[str, Any]]) -> Any:
    """Draw the training loss and, where it was measured, the validation loss; `metrics` are the
    records of a metrics.jsonl.
    """
    records = list(metrics)
    training = [
        (record["step"], record["loss"])
        for record in records
        if "event" not in record and "loss" in record
    ]
    measured = [
        (record["step"], record["validation_loss"])
        for record in records
        if "validation_loss" in record
    ]
    figure, axes = pyplot().subplots(figsize=(WIDTH_INCHES, 3.6))
    width = {"linewidth": 1.4, "markersize": 4}
    if training:
        axes.plot(*zip(*training, strict=True), "-", color=ONE, label="training", **width)
    if measured:
        axes.plot(*zip(*measured, strict=True), "o-", color=TWO, label="validation", **width)
    axes.set(xlabel="training step", ylabel=UNIT)
    if training or measured:
        axes.legend(frameon=False)
    plain(axes)
    figure.tight_layout()
    return close(figure)


def draw_loss_by_context(losses: ContextLosses) -> Any:
    """Draw a line with its error band over a logarithmic axis of context tokens."""
    points = losses["points"]
    middles = [(point["from"] * point["to"]) ** 0.5 for point in points]
    means, errors = [point["loss"] for point in points], [point["error"] for point in points]
    figure, axes = pyplot().subplots(figsize=(WIDTH_INCHES, 4.2))
    axes.plot(middles, means, "o-", color=ONE, linewidth=1.6, markersize=4)
    known = [error for error in errors if error is not None]
    if len(known) == len(points):
        below = [mean - error for mean, error in zip(means, known, strict=True)]
        above = [mean + error for mean, error in zip(means, known, strict=True)]
        axes.fill_between(middles, below, above, color=ONE, alpha=0.2, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(middles, [_span(point) for point in points], fontsize=SMALL_SIZE)
    axes.minorticks_off()
    plain(axes, x="context tokens", y=UNIT)
    return finish(figure, title=_context_title(points), caption=losses["caption"])


def _context_title(points: Sequence[ContextPoint]) -> str:
    """Whether the loss fell by more than two standard errors, or at all where there are none."""
    first, last = points[0], points[-1]
    unsure = 2 * math.hypot(first["error"] or 0.0, last["error"] or 0.0)
    said = "More context does not improve the predictions"
    if first["loss"] - last["loss"] > unsure:
        said = "More context, better predictions"
    return (
        f"{said}: {first['loss']:.1f} nats per token after one token, "
        f"{last['loss']:.1f} after {_span(last)}"
    )


def draw_sentence_losses(losses: SentenceLosses) -> Any:
    """Draw two joined dots for each sentence: alone, and after all before it."""
    rows = losses["sentences"]
    places = range(len(rows))
    alone, after = [row["alone"] for row in rows], [row["after"] for row in rows]
    names = [" ".join(row["text"].split()).replace("$", r"\$") for row in rows]
    figure, axes = pyplot().subplots(figsize=(WIDTH_INCHES, 0.34 * len(rows) + 2.0))
    axes.hlines(places, after, alone, color=PALE_LINE, linewidth=2)
    axes.plot(alone, places, "o", color=TWO, markersize=6, label="the sentence alone")
    axes.plot(after, places, "s", color=ONE, markersize=5, label="after those before it")
    labels = [shorten(name, SENTENCE_CHARACTERS) for name in names]
    axes.set_yticks(places, labels, fontsize=SMALL_SIZE)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2, "borderpad": 0}
    legend(axes, **above)
    plain(axes, x=UNIT)
    return finish(figure, title=_gain_title(losses), caption=losses["caption"])


def _gain_title(losses: SentenceLosses) -> str:
    """The effect of earlier sentences on the loss, if it is more than two standard errors."""
    gain, error, unsure, effect = losses["gain"], losses["error"], "", "raise"
    if gain > 0:
        effect = "lower"
    if error is not None:
        unsure = f" ± {error:.2f}"
        if abs(gain) < 2 * error:
            none = "Earlier sentences make no significant difference"
            return f"{none}: {gain:.2f}{unsure} nats per token"
    return f"Earlier sentences {effect} the loss by {abs(gain):.2f}{unsure} nats per token"


def _span(point: ContextPoint) -> str:
    if point["from"] == point["to"]:
        return str(point["from"])
    return f"{point['from']} to {point['to']}"


COLUMNS, HEIGHT_INCHES = 2, 2.6
X_LABELS = {"steps": "training step", "sizes": "parameters", "shots": "worked examples (shots)"}
TITLES = {"steps": "over training", "sizes": "by size", "shots": "by number of worked examples"}
# Values of metrics that are proportions but not shown in percent are left as they are.
PERCENT = ("accuracy",)
CAPTION = (
    "Bands: 95 % intervals over the items. Dotted: the value of guessing. Hollow: not "
    "distinguishable from it. All points of a chart are measured on the same items."
)
CONTROL = "_control"
OF_CONTROLS = " Dashed: the control, the same answers after another item's prompt."
TICKS = 4


def draw_curves(curves: Sequence[Mapping[str, Any]]) -> Any:
    """A figure of all curves. Raises MissingExtra (matplotlib)."""
    panels = list(dict.fromkeys(map(_panel_of, curves)))
    models = list(dict.fromkeys(curve["model"] for curve in curves))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    size = (WIDTH_INCHES, HEIGHT_INCHES * rows + 1.1)
    figure, grid = pyplot().subplots(rows, columns, figsize=size, squeeze=False)
    places = [axes for line in grid for axes in line]
    for axes, panel in zip(places, panels, strict=False):
        _panel(axes, [curve for curve in curves if _panel_of(curve) == panel], models)
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    name = "/".join(Path(models[0]).parts[-2:]).replace("$", r"\$")
    if len(models) > 1:
        name = f"{len(models)} models"
        legend(places[0])
    title = f"What nobody taught it, {TITLES[curves[0]['over']]}: {name}"
    caption = CAPTION
    if any(curve["metric"].endswith(CONTROL) for curve in curves):
        caption += OF_CONTROLS
    return finish(figure, title=title, caption=caption)


def _panel_of(curve: Mapping[str, Any]) -> tuple[str, str]:
    """Task and metric; a control is drawn beside what it is the control of."""
    return curve["task"], curve["metric"].removesuffix(CONTROL)


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
    if curve["metric"].endswith(CONTROL):
        axes.plot(x, values, color=colour, linewidth=1.2, linestyle="--")
        return
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
        ticks = [float(f"{x[-1] * (number / TICKS) ** 2:.1g}") for number in range(TICKS)]
        axes.set_xticks(ticks, map(short_count, ticks))
    elif over == "sizes":
        axes.set_xscale("log")
        axes.set_xticks(x, [short_count(value) for value in x])
        axes.minorticks_off()
    else:
        axes.set_xticks(x, [f"{value:g}" for value in x])


def short_count(value: float) -> str:
    """A count with three digits and its unit.

    >>> short_count(134_515_008), short_count(934_000), short_count(12)
    ('135M', '934k', '12')"""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"
