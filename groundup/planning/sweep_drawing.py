"""A sweep as a picture: loss against text read, a line of the law for each size, a dot for each run. Needs matplotlib (extra `lab`)."""

import math
from dataclasses import replace
from typing import Any

from groundup.lab.style import LABEL_SIZE, SMALL_SIZE, finished, plain, pyplot
from groundup.planning.law import Law, LossPoint
from groundup.planning.sweep import Sweep

DRAWN_POINTS = 80
# The lines go on so many times beyond the longest run.
AHEAD = 8.0


def draw_sweep(found: Sweep) -> Any:
    """The figure, to be saved as PNG or SVG. Raises MissingExtra."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7.4, 4.6))
    sizes = sorted({point.parameters for point in found.points})
    end = AHEAD * max(point.read_bytes for point in found.points)
    shades = plt.get_cmap("viridis")
    for number, parameters in enumerate(sizes):
        colour = shades(0.82 * number / max(1, len(sizes) - 1))
        _draw_size(axes, found.law, [p for p in found.points if p.parameters == parameters], end, colour)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.tick_params(axis="x", which="both", labelsize=SMALL_SIZE)
    axes.set_xlabel("text read, megabytes (repeats counted)", fontsize=LABEL_SIZE)
    axes.set_ylabel("bits per byte of held-out text", fontsize=LABEL_SIZE)
    axes.legend(frameon=False, fontsize=SMALL_SIZE, title="parameters", title_fontsize=SMALL_SIZE)
    plain(axes)
    return finished(figure, title="What a larger model and more reading bring on this text", caption=_caption(found))


def _draw_size(axes: Any, law: Law, points: list[LossPoint], end: float, colour: Any) -> None:
    """Dots for runs; the law among them, and dashed up to `end` bytes."""
    read = [point.read_bytes for point in points]
    inside, ahead = _curve(law, points[0], 0.9 * min(read), max(read)), _curve(law, points[0], max(read), end)
    axes.plot(*inside, color=colour, linewidth=1.3)
    axes.plot(*ahead, color=colour, linewidth=1.0, linestyle="--")
    losses = [point.bits_per_byte for point in points]
    axes.plot([b / 1e6 for b in read], losses, "o", color=colour, markersize=4.5, label=f"{points[0].parameters:,}")


def _curve(law: Law, point: LossPoint, low: float, high: float) -> tuple[list[float], list[float]]:
    """Megabytes and expected loss of one size, evenly on the logarithm."""
    way = [low * (high / low) ** (i / (DRAWN_POINTS - 1)) for i in range(DRAWN_POINTS)]
    losses = [law.expected(replace(point, read_bytes=read)) for read in way]
    return [read / 1e6 for read in way], losses


def _caption(found: Sweep) -> str:
    within = 100 * math.expm1(2 * found.law.spread)
    return (
        f"Dots: {len(found.points)} runs, each trained to its end. Lines: the law fitted to them, {found.law.words()} (Hoffmann et al. 2022), "
        f"dashed beyond the longest run. A run is foretold by the others within {within:.0f} % (two spreads)."
    )
