"""The style of the lab's pictures: a title that states the finding, axes with units, a caption on how it was computed.

Colour maps keep the order of values in a grey print, as their lightness is monotonic: `SHARES` (0 to 1) from white to dark, `SIGNED` (around
zero) from dark to light. Raises MissingExtra where matplotlib is missing.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

from groundup.errors import MissingExtra
from groundup.palette import LIGHT

SHARES = "Blues"
SIGNED = "cividis"
ONE, TWO, MUTED = LIGHT["one"], LIGHT["two"], LIGHT["soft"]
TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 11, 9, 7
# Characters of a caption on an inch of a figure at SMALL_SIZE.
CAPTION_CHARACTERS_PER_INCH = 17
LINE_INCHES, TITLE_LINE_INCHES, SCALE_INCHES = 0.145, 0.2, 0.85


def pyplot() -> Any:
    """Return matplotlib.pyplot, imported for the first picture. Raises MissingExtra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingExtra("matplotlib", "lab") from error
    return plt


def finished(
    figure: Any, *, title: str = "", caption: str = "", colours: tuple[Any, str, Sequence[float]] | None = None
) -> Any:
    """Lay the figure out with its title on top and its caption below, and return it `closed`.

    `colours` (image, name with unit, ticks) draws a scale on the right.
    """
    width, height = figure.get_size_inches()
    columns = int(width * CAPTION_CHARACTERS_PER_INCH)
    lines = textwrap.wrap(caption, columns)
    title_lines = textwrap.wrap(title, int(columns * 0.62))
    below = (len(lines) * LINE_INCHES + 0.12) / height if lines else 0.0
    above = (len(title_lines) * TITLE_LINE_INCHES + 0.12) / height if title else 0.0
    right = 1 - SCALE_INCHES / width if colours else 1.0
    figure.tight_layout(rect=(0, below, right, 1 - above))
    if colours:
        _draw_scale(figure, *colours, left=right, middle=(1 + below - above) / 2)
    text = {"x": 0.1 / width, "ha": "left"}
    if title:
        figure.text(y=1 - 0.08 / height, s="\n".join(title_lines), va="top", fontsize=TITLE_SIZE, weight="bold", **text)
    if lines:
        figure.text(y=0.06 / height, s="\n".join(lines), va="bottom", fontsize=SMALL_SIZE, color=MUTED, **text)
    return closed(figure)


def _draw_scale(figure: Any, image: Any, name: str, ticks: Sequence[float], *, left: float, middle: float) -> None:
    width, height = figure.get_size_inches()
    tall = min(2.2 / height, 0.5)
    axes = figure.add_axes((left + 0.08 / width, middle - tall / 2, 0.12 / width, tall))
    bar = figure.colorbar(image, cax=axes, ticks=list(ticks))
    bar.set_label(name, fontsize=LABEL_SIZE)
    axes.set_yticks(list(ticks), [f"{tick:g}" for tick in ticks], fontsize=SMALL_SIZE)


def closed(figure: Any) -> Any:
    """Remove a figure from pyplot's list, or a notebook would show it a second time besides the value of its cell."""
    pyplot().close(figure)
    return figure


def plain(axes: Any) -> None:
    """Draw only the two spines that have a scale."""
    axes.spines[["top", "right"]].set_visible(False)


def show_spaces(piece: str) -> str:
    """Return a token with spaces, tabs and line ends made visible, and `$` escaped for matplotlib."""
    return piece.replace(" ", "·").replace("\n", "↵").replace("\t", "→").replace("$", r"\$")
