"""A map of tokens or words: points with their names, placed so that none overlaps another.

Each name takes the nearest free place around its point, with a line to the point where that is far.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from groundup.lab.style import LABEL_SIZE, MUTED, SMALL_SIZE, finished, plain, pyplot, show_spaces
from groundup.palette import SERIES

# The shapes of groups, to distinguish them without colour.
MARKERS = "osD^vP*X"
# A letter of a fixed-width font, in parts of its size; inches per point.
LETTER_WIDTH, LETTER_HEIGHT, INCHES = 0.62, 1.15, 1 / 72
STEP_INCHES, RINGS = 0.075, 14
FAR_INCHES = 0.2

Box = tuple[float, float, float, float]


def draw_embeddings(map: Mapping[str, Any]) -> Any:
    """Draw the points of `embedding_map`, or of `word_map` with a marker for each group."""
    figure, axes = pyplot().subplots(figsize=(7.5, 6.2))
    groups = list(dict.fromkeys(point["group"] for point in map["points"] if "group" in point))
    for number, group in enumerate(groups):
        points = [point for point in map["points"] if point["group"] == group]
        marker, colour = MARKERS[number % len(MARKERS)], SERIES[number % len(SERIES)]
        axes.plot([p["x"] for p in points], [p["y"] for p in points], marker, color=colour, markersize=4, label=group)
    for set_limits, name in ((axes.set_xlim, "x"), (axes.set_ylim, "y")):
        values = [point[name] for point in map["points"]]
        margin = 0.08 * (max(values) - min(values)) + 1e-6
        set_limits(min(values) - margin, max(values) + margin)
    if groups:
        axes.legend(frameon=False, fontsize=LABEL_SIZE)
    else:
        axes.plot([p["x"] for p in map["points"]], [p["y"] for p in map["points"]], ".", color=MUTED, markersize=2)
    labels = [show_spaces(point["text"]) for point in map["points"]]
    draw_labels(axes, [(point["x"], point["y"]) for point in map["points"]], labels)
    _name_axes(axes, map)
    plain(axes)
    return finished(figure, title=_title(map), caption=map.get("caption", ""))


def _title(map: Mapping[str, Any]) -> str:
    if map.get("method", "pca") == "umap":
        return "Points that are close on this map are close in the model"
    return f"The two directions of largest variance ({100 * map['explained']:.0f} % of it)"


def _name_axes(axes: Any, map: Mapping[str, Any]) -> None:
    axes.tick_params(labelsize=SMALL_SIZE, colors=MUTED)
    umap = map.get("method", "pca") == "umap"
    for set_label, number in ((axes.set_xlabel, "1"), (axes.set_ylabel, "2")):
        set_label(f"UMAP {number} (no unit)" if umap else f"principal component {number}", fontsize=LABEL_SIZE)


def draw_labels(axes: Any, points: Sequence[tuple[float, float]], labels: Sequence[str]) -> None:
    """Write each label near its point; the limits of `axes` must be final."""
    for (x, y), (place_x, place_y, far), label in zip(points, label_places(axes, points, labels), labels, strict=True):
        axes.text(place_x, place_y, label, ha="center", va="center", family="monospace", fontsize=SMALL_SIZE)
        if far:
            axes.plot([x, place_x], [y, place_y], color=MUTED, linewidth=0.4, alpha=0.6, zorder=0)


def label_places(
    axes: Any, points: Sequence[tuple[float, float]], labels: Sequence[str]
) -> list[tuple[float, float, bool]]:
    """Return the centre of each label, and whether it is so far from its point that a line should connect them."""
    width, height = axes.figure.get_size_inches()
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    across, upward = 0.85 * width / (right - left), 0.8 * height / (high - low)  # about inches per unit
    inches = [(x * across, y * upward) for x, y in points]
    taken = [(x - 0.03, y - 0.03, x + 0.03, y + 0.03) for x, y in inches]
    places = []
    for (x, y), label in zip(inches, labels, strict=True):
        place_x, place_y, box = _free_place(x, y, label, taken)
        taken.append(box)
        far = math.hypot(place_x - x, place_y - y) > FAR_INCHES + (box[2] - box[0]) / 2
        places.append((place_x / across, place_y / upward, far))
    return places


def _free_place(x: float, y: float, label: str, taken: Sequence[Box]) -> tuple[float, float, Box]:
    """Return the nearest centre for a label whose box overlaps no other; just above the point where none is free."""
    wide = len(label) * LETTER_WIDTH * SMALL_SIZE * INCHES / 2
    tall = LETTER_HEIGHT * SMALL_SIZE * INCHES / 2
    for place_x, place_y in _around(x, y, wide, tall):
        box = (place_x - wide, place_y - tall, place_x + wide, place_y + tall)
        if not any(_meet(box, other) for other in taken):
            return place_x, place_y, box
    return x, y + 0.1, (x - wide, y + 0.1 - tall, x + wide, y + 0.1 + tall)


def _around(x: float, y: float, wide: float, tall: float) -> Iterator[tuple[float, float]]:
    """Yield positions on rings around a point, the nearest first; on each: above, below, right, left, then between."""
    for ring in range(RINGS):
        reach = 0.04 + ring * STEP_INCHES
        for turn in (2, 6, 0, 4, 1, 3, 5, 7):
            angle = turn * math.pi / 4
            yield x + (reach + wide) * math.cos(angle), y + (reach + tall) * math.sin(angle)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
