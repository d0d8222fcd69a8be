"""Where heads look: squares of shares, row = the token that looks, column = where."""

from collections.abc import Mapping
from typing import Any

from groundup.lab.style import SHARES, closed, pyplot, show_spaces

HABITS = {
    "previous": "to the token just before",
    "first": "to the first token",
    "same": "to earlier copies of itself",
}


def draw_attention(record: Mapping[str, Any]) -> Any:
    """A square for each head of `attention_record`: row = the token that looks, column = where."""
    plt = pyplot()
    labels = [show_spaces(piece["text"]) for piece in record["pieces"]]
    heads = record["heads"]
    figure, grid = plt.subplots(1, max(1, len(heads)), figsize=(4.2 * max(1, len(heads)), 4.4), squeeze=False)
    for axes, head in zip(grid[0], heads, strict=False):
        axes.imshow(head["weights"], cmap=SHARES, vmin=0, vmax=1)
        axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", family="monospace", fontsize=7)
        axes.set_yticks(range(len(labels)), labels, family="monospace", fontsize=7)
        axes.set_title(_habit(head), fontsize=9)
    if not heads:
        grid[0][0].axis("off")
    figure.tight_layout()
    return closed(figure)


def _habit(head: Mapping[str, Any]) -> str:
    """What a head does most, and how much."""
    habit = HABITS.get(head["kind"], head["kind"])
    return f"block {head['block']}, head {head['head']}\n{100 * head['score']:.0f} % {habit}"
