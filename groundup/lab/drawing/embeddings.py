"""Tokens as points of a map."""

from collections.abc import Mapping
from typing import Any

from groundup.lab.style import closed, plain, pyplot, show_spaces


def draw_embeddings(map: Mapping[str, Any]) -> Any:
    """Tokens on their first two principal components; `map` is from `embedding_map`."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7, 5.2))
    for point in map["points"]:
        axes.text(
            point["x"], point["y"], show_spaces(point["text"]), ha="center", va="center", family="monospace", fontsize=8
        )
    for set_limits, name in ((axes.set_xlim, "x"), (axes.set_ylim, "y")):
        values = [point[name] for point in map["points"]]
        margin = 0.08 * (max(values) - min(values)) + 1e-6
        set_limits(min(values) - margin, max(values) + margin)
    axes.set_title(
        f"The two directions along which these tokens differ most ({100 * map['explained']:.0f} % of it)", fontsize=9
    )
    plain(axes)
    figure.tight_layout()
    return closed(figure)
