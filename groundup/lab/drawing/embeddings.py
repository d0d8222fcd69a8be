"""Tokens or words as points of a map."""

from collections.abc import Mapping
from typing import Any

from groundup.lab.drawing.labels import draw_labels
from groundup.lab.style import LABEL_SIZE, MUTED, SMALL_SIZE, finished, plain, pyplot, show_spaces

# Told apart without colour by their shape.
MARKERS, COLOURS = "osD^vP*X", ("#23568f", "#b4531a", "#4d7d3a", "#7a4a8c", "#8a6d1d", "#2b8a8a", "#a03050", "#555555")


def draw_embeddings(map: Mapping[str, Any]) -> Any:
    """The points of `embedding_map`, or of `word_map` with a mark for each group."""
    figure, axes = pyplot().subplots(figsize=(7.5, 6.2))
    groups = list(dict.fromkeys(point["group"] for point in map["points"] if "group" in point))
    for number, group in enumerate(groups):
        points = [point for point in map["points"] if point["group"] == group]
        marker, colour = MARKERS[number % len(MARKERS)], COLOURS[number % len(COLOURS)]
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
        return "Near on this map, near in the model: who stands together?"
    return f"The two directions along which these differ most ({100 * map['explained']:.0f} % of their spread)"


def _name_axes(axes: Any, map: Mapping[str, Any]) -> None:
    axes.tick_params(labelsize=SMALL_SIZE, colors=MUTED)
    umap = map.get("method", "pca") == "umap"
    for set_label, number in ((axes.set_xlabel, "1"), (axes.set_ylabel, "2")):
        set_label(f"UMAP {number} (no unit)" if umap else f"principal component {number}", fontsize=LABEL_SIZE)
