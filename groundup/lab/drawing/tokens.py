"""The tokens of a text, coloured, with their ids."""

from collections.abc import Iterable, Mapping
from typing import Any

from groundup.lab.style import MUTED, SMALL_SIZE, closed, pyplot, show_spaces
from groundup.palette import PIECES

LINE_CHARACTERS = 64


def draw_tokens(picture: Mapping[str, Any]) -> Any:
    """Draw the tokens of a text in alternating colours with their ids below; `picture` is from `token_picture`."""
    plt = pyplot()
    lines = _token_lines(picture["pieces"])
    figure, axes = plt.subplots(figsize=(9, 0.62 * len(lines) + 0.2))
    for row, line in enumerate(lines):
        for left, index, piece, label in line:
            middle = left + len(label) / 2
            box = plt.Rectangle((left + 0.08, -row - 0.42), len(label) - 0.16, 0.84, color=PIECES[index % len(PIECES)])
            axes.add_patch(box)
            axes.text(middle, -row + 0.1, label, ha="center", va="center", family="monospace", fontsize=10)
            axes.text(middle, -row - 0.27, str(piece["id"]), ha="center", va="center", fontsize=SMALL_SIZE, color=MUTED)
    axes.set_xlim(0, LINE_CHARACTERS)
    axes.set_ylim(-len(lines) + 0.45, 0.55)
    axes.axis("off")
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.99)
    return closed(figure)


def _token_lines(pieces: Iterable[Mapping[str, Any]]) -> list[list[tuple[float, int, Mapping[str, Any], str]]]:
    """Return tokens in lines: (left edge in characters, number, piece, label); at least one line."""
    lines: list[list[tuple[float, int, Mapping[str, Any], str]]] = [[]]
    left = 0.0
    for index, piece in enumerate(pieces):
        label = f" {show_spaces(piece['text'])} ".center(len(str(piece["id"])) + 1)
        if left and left + len(label) > LINE_CHARACTERS:
            lines.append([])
            left = 0.0
        lines[-1].append((left, index, piece, label))
        left += len(label)
    return lines
