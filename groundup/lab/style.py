"""How every picture of the lab looks: a title that says what to see, axes with units, a caption that says how it was computed.

Colours are to be read on paper too: `SHARES` (0 to 1) goes from white to dark and `SIGNED` (around zero) from dark to light, each
in one direction of lightness, so that a grey print keeps the order of the values. Raises MissingExtra where matplotlib is missing.
"""

import textwrap
from typing import Any

from groundup.errors import MissingExtra

SHARES = "Blues"
SIGNED = "cividis"
ONE, TWO, MUTED = "#23568f", "#b4531a", "#5e646d"
TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 11, 9, 7
# Characters of caption that fit on an inch of a figure at SMALL_SIZE.
CAPTION_CHARACTERS_PER_INCH = 17
LINE_INCHES = 0.145


def pyplot() -> Any:
    """matplotlib.pyplot, imported when the first picture is drawn. Raises MissingExtra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingExtra("matplotlib", "lab") from error
    return plt


def finished(figure: Any, *, title: str = "", caption: str = "") -> Any:
    """The figure with its title on top and its caption below, laid out and `closed`."""
    width, height = figure.get_size_inches()
    columns = int(width * CAPTION_CHARACTERS_PER_INCH)
    lines = textwrap.wrap(caption, columns)
    title_lines = [line for part in title.split("\n") for line in textwrap.wrap(part, int(columns * 0.72)) or [""]]
    below = (len(lines) * LINE_INCHES + 0.12) / height if lines else 0.0
    above = (len(title_lines) * 0.2 + 0.1) / height if title else 0.0
    figure.tight_layout(rect=(0, below, 1, 1 - above))
    if title:
        figure.text(
            0.012, 1 - 0.07 / height, "\n".join(title_lines), ha="left", va="top", fontsize=TITLE_SIZE, weight="bold"
        )
    if lines:
        figure.text(0.012, 0.05 / height, "\n".join(lines), ha="left", va="bottom", fontsize=SMALL_SIZE, color=MUTED)
    return closed(figure)


def closed(figure: Any) -> Any:
    """Taken out of pyplot's list: a notebook would show an open figure a second time, besides the value of its cell."""
    pyplot().close(figure)
    return figure


def plain(axes: Any) -> None:
    """Only the two lines that carry a scale."""
    axes.spines[["top", "right"]].set_visible(False)


def show_spaces(piece: str) -> str:
    """A piece with spaces, tabs and line ends made visible; what a font can't draw stays as it is."""
    return piece.replace(" ", "·").replace("\n", "↵").replace("\t", "→").replace("$", r"\$")
