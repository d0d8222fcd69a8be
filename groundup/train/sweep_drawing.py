"""A sweep as a picture: loss against text read, a line of the law for each size, a dot for each run. Needs matplotlib (extra `lab`)."""

import math
from typing import Any

from groundup.lab.style import LABEL_SIZE, MUTED, SMALL_SIZE, finished, plain, pyplot
from groundup.train.law import Law, Point
from groundup.train.sweep import Sweep

DRAWN_POINTS = 80
# The lines go on so many times beyond the longest run, dashed: that is foretold.
AHEAD = 8.0


def draw_sweep(found: Sweep) -> Any:
    """The figure, to be saved as PNG or SVG. Raises MissingExtra."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7.4, 4.6))
    sizes = sorted({point.parameters for point in found.points})
    shades = plt.get_cmap("viridis")
    for number, parameters in enumerate(sizes):
        colour = shades(0.82 * number / max(1, len(sizes) - 1))
        _draw_size(axes, found.law, [p for p in found.points if p.parameters == parameters], colour)
    axes.axhline(found.law.floor, color=MUTED, linewidth=0.8, linestyle=":")
    axes.annotate("floor of the law", (1, found.law.floor), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                  fontsize=SMALL_SIZE, color=MUTED)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("text read, megabytes (repeats counted)", fontsize=LABEL_SIZE)
    axes.set_ylabel("bits per byte of held-out text", fontsize=LABEL_SIZE)
    axes.set_ylim(bottom=min(found.law.floor, min(p.bits_per_byte for p in found.points)) - 0.1)
    axes.legend(frameon=False, fontsize=SMALL_SIZE, title="parameters", title_fontsize=SMALL_SIZE)
    plain(axes)
    return finished(figure, title="Larger models and more text, on this text", caption=_caption(found))


def _draw_size(axes: Any, law: Law, points: list[Point], colour: Any) -> None:
    read = [point.read_bytes for point in points]
    low, high = 0.8 * min(read), max(read)
    inside, ahead = _curve(law, points[0], low, high), _curve(law, points[0], high, AHEAD * high)
    axes.plot(*inside, color=colour, linewidth=1.3)
    axes.plot(*ahead, color=colour, linewidth=1.0, linestyle="--")
    losses = [point.bits_per_byte for point in points]
    axes.plot([b / 1e6 for b in read], losses, "o", color=colour, markersize=4.5, label=f"{points[0].parameters:,}")


def _curve(law: Law, point: Point, low: float, high: float) -> tuple[list[float], list[float]]:
    """Megabytes and expected loss of one size, evenly on the logarithm."""
    way = [low * (high / low) ** (i / (DRAWN_POINTS - 1)) for i in range(DRAWN_POINTS)]
    losses = [
        law.loss(point.parameters, read, unique_bytes=point.unique_bytes, batch_bytes=point.batch_bytes) for read in way
    ]
    return [read / 1e6 for read in way], losses


def _caption(found: Sweep) -> str:
    within = 100 * math.expm1(2 * found.law.spread)
    return (
        f"Dots: {len(found.points)} runs, each trained to its end. Lines: the law fitted to them, {found.law.words()} (Hoffmann et al. 2022), "
        f"dashed beyond the longest run. A run is foretold by the others within {within:.0f} % (two spreads)."
    )
