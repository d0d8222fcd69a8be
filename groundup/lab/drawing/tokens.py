"""The tokens of a text, coloured, with their ids."""

from collections.abc import Sequence
from typing import Any

from groundup.lab.style import MUTED, close, pyplot, token_labels, write_at
from groundup.lab.values import TokenPicture
from groundup.palette import PIECES

LINE_CHARACTERS = 64


def draw_tokens(picture: TokenPicture) -> Any:
    """Draw the tokens of a text in alternating colours with their ids below."""
    plt, pieces = pyplot(), picture["pieces"]
    ids = [str(piece["id"]) for piece in pieces]
    labels = [
        f" {name} ".center(len(id) + 1) for name, id in zip(token_labels(pieces), ids, strict=True)
    ]
    lines = in_lines(labels, LINE_CHARACTERS)
    figure, axes = plt.subplots(figsize=(9, 0.62 * len(lines) + 0.2))
    for row, line in enumerate(lines):
        for left, index in line:
            width, colour = len(labels[index]), PIECES[index % len(PIECES)]
            corner, middle = (left + 0.08, -row - 0.42), left + width / 2
            axes.add_patch(plt.Rectangle(corner, width - 0.16, 0.84, color=colour))
            write_at(axes, middle, -row + 0.1, labels[index], family="monospace", fontsize=10)
            write_at(axes, middle, -row - 0.27, ids[index], color=MUTED)
    axes.set(xlim=(0, LINE_CHARACTERS), ylim=(-len(lines) + 0.45, 0.55))
    axes.axis("off")
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.99)
    return close(figure)


def in_lines(
    labels: Sequence[str], most: int, *, ends: Sequence[int] = ()
) -> list[list[tuple[int, int]]]:
    """Labels in lines of at most `most` characters, at least one line: (left edge in characters,
    index of the label).

    A new line begins after each index of `ends`, too.
    """
    lines: list[list[tuple[int, int]]] = [[]]
    left = 0
    for index, label in enumerate(labels):
        if left and left + len(label) > most:
            lines.append([])
            left = 0
        lines[-1].append((left, index))
        left += len(label)
        if index in ends:
            lines.append([])
            left = 0
    return [line for line in lines if line] or [[]]
