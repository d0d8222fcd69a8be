"""The similarity of words: a matrix of cosines, with lines between groups."""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.lab.style import LABEL_SIZE, SHARES, SMALL_SIZE, finished, pyplot

CELL_INCHES = 0.19
NUMBERED_WORDS = 12
DARK = 0.55
LABEL_CHARACTERS = 34


def draw_similarity(matrix: Mapping[str, Any]) -> Any:
    """Draw the cosines, darker for larger ones. `matrix` is from `similarity` or `similarity_in_texts`."""
    words, groups, values = matrix["words"], matrix["groups"], matrix["values"]
    side = max(len(words) * CELL_INCHES, 3.0)
    labels = [word if len(word) <= LABEL_CHARACTERS else "…" + word[-LABEL_CHARACTERS + 1 :] for word in words]
    room = 0.075 * max(map(len, labels))
    figure, axes = pyplot().subplots(figsize=(side + room + 1.6, side + 0.8 * room + 1.1))
    lowest = min(0.0, min(map(min, values)))
    image = axes.imshow(values, cmap=SHARES, vmin=lowest, vmax=1)
    axes.set_xticks(
        range(len(words)),
        labels,
        rotation=90 if len(words) > 8 else 60,
        ha="center" if len(words) > 8 else "right",
        fontsize=SMALL_SIZE,
    )
    axes.set_yticks(range(len(words)), labels, fontsize=SMALL_SIZE)
    if len(words) <= NUMBERED_WORDS:
        _numbers(axes, values, lowest)
    for place in _borders(groups):
        axes.axhline(place, color="black", linewidth=0.8)
        axes.axvline(place, color="black", linewidth=0.8)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("cosine (1: the same direction)", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE)
    return finished(
        figure,
        title=_title(matrix),
        caption=f"{matrix['caption']} Groups, in order: {', '.join(dict.fromkeys(groups))}.",
    )


def _numbers(axes: Any, values: Sequence[Sequence[float]], lowest: float) -> None:
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            colour = "white" if value - lowest > DARK * (1 - lowest) else "black"
            axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=SMALL_SIZE, color=colour)


def _borders(groups: Sequence[str]) -> list[float]:
    """Return the positions between the last of one group and the first of the next."""
    return [place - 0.5 for place in range(1, len(groups)) if groups[place] != groups[place - 1]]


def _title(matrix: Mapping[str, Any]) -> str:
    within, between = matrix["within"], matrix["between"]
    where = f"layer {matrix['layer']}"
    if within is None or between is None:
        return f"Similarity of the words ({where})"
    return f"Mean cosine within groups {within:.2f}, between them {between:.2f} ({where})"
