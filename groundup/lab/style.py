"""The style of the lab's pictures: a title that states the finding, axes with units, a caption on
how it was computed.

Colour maps keep the order of values in a grey print, as their lightness is monotonic: `SHARES` (0
to 1) from white to dark, `SIGNED` (around zero) from dark to light

Sizes are those of a page: 96 dots per inch, so that 12 pixels are 9 points, and a column of text
680 pixels wide. `smallest_type` measures a figure in these pixels
"""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from groundup.data.reading.source_files import printable
from groundup.errors import MissingExtra
from groundup.lab.values import CausalTrace, MapPoint, TokenPiece
from groundup.palette import LIGHT

SHARES = "Blues"
SIGNED = "cividis"
# The shapes of groups, to distinguish them without colour.
MARKERS = "osD^vP*X"
ONE, TWO, MUTED = LIGHT["one"], LIGHT["two"], LIGHT["soft"]
DOTS_PER_INCH, COLUMN_PIXELS, LEAST_PIXELS = 96, 680, 12
WIDTH_INCHES = COLUMN_PIXELS / DOTS_PER_INCH
# In points. Nothing is smaller than the last, which is LEAST_PIXELS.
TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 12, 10, 9
# Characters of a caption on an inch of a figure at SMALL_SIZE.
CAPTION_CHARACTERS_PER_INCH = 14
LINE_INCHES, TITLE_LINE_INCHES, SCALE_INCHES = 0.175, 0.22, 0.9
# Of an exponent or an index, as matplotlib sets it.
EXPONENT_SHARE = 0.7


def pyplot() -> Any:
    """Return matplotlib.pyplot, imported for the first picture. Raises MissingExtra."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingExtra("matplotlib", "lab") from error
    return plt


def finish(
    figure: Any,
    *,
    title: str = "",
    caption: str = "",
    colours: tuple[Any, str, Sequence[float]] | None = None,
) -> Any:
    """Lay the figure out with its title on top and its caption below, and close it.

    `colours` (image, name with unit, ticks) draws a scale on the right.
    """
    width, height = figure.get_size_inches()
    columns = int(width * CAPTION_CHARACTERS_PER_INCH)
    lines = textwrap.wrap(caption, columns)
    title_lines = textwrap.wrap(title, int(columns * 0.69))
    below, above, right = 0.0, 0.0, 1.0
    if lines:
        below = (len(lines) * LINE_INCHES + 0.12) / height
    if title:
        above = (len(title_lines) * TITLE_LINE_INCHES + 0.12) / height
    if colours:
        right = 1 - SCALE_INCHES / width
    figure.tight_layout(rect=(0, below, right, 1 - above))
    if colours:
        _draw_scale(figure, *colours, left=right, middle=(1 + below - above) / 2)
    left = 0.1 / width
    if title:
        style = {"va": "top", "fontsize": TITLE_SIZE, "weight": "bold"}
        figure.text(left, 1 - 0.08 / height, "\n".join(title_lines), ha="left", **style)
    if lines:
        style = {"va": "bottom", "fontsize": SMALL_SIZE, "color": MUTED}
        figure.text(left, 0.06 / height, "\n".join(lines), ha="left", **style)
    return close(figure)


def _draw_scale(
    figure: Any, image: Any, name: str, ticks: Sequence[float], *, left: float, middle: float
) -> None:
    width, height = figure.get_size_inches()
    tall = min(2.2 / height, 0.5)
    axes = figure.add_axes((left + 0.08 / width, middle - tall / 2, 0.12 / width, tall))
    bar = figure.colorbar(image, cax=axes, ticks=list(ticks))
    bar.set_label(name, fontsize=LABEL_SIZE)
    axes.set_yticks(list(ticks), [f"{tick:g}" for tick in ticks], fontsize=SMALL_SIZE)


def close(figure: Any) -> Any:
    """Remove a figure from pyplot's list, or a notebook would show it a second time besides the
    value of its cell.
    """
    pyplot().close(figure)
    return figure


def smallest_type(figure: Any) -> float:
    """The height of the smallest type of a figure in pixels, at the size at which a page shows it.

    Exponents and indices count with their own size.
    """
    from matplotlib.text import Text

    figure.draw_without_rendering()  # ticks have no text before
    sizes = []
    for text in figure.findobj(Text):
        words, size = text.get_text(), text.get_fontsize()
        if words.strip() and text.get_visible():
            if "$" in words.replace(r"\$", "") and any(mark in words for mark in "^_"):
                size *= EXPONENT_SHARE
            sizes.append(size)
    return float(min(sizes, default=TITLE_SIZE) * DOTS_PER_INCH / 72)


def plain(axes: Any, *, x: str = "", y: str = "") -> None:
    """Draw only the two spines that have a scale, and name the axes."""
    axes.spines[["top", "right"]].set_visible(False)
    name_axes(axes, x, y)


def name_axes(axes: Any, x: str = "", y: str = "", *, size: float = LABEL_SIZE) -> None:
    """Write what each axis has, with its unit; "" leaves an axis as it is."""
    for name, set_label in ((x, axes.set_xlabel), (y, axes.set_ylabel)):
        if name:
            set_label(name, fontsize=size)


def name_tokens(
    axes: Any,
    *,
    x: Sequence[str] = (),
    y: Sequence[str] = (),
    size: float = SMALL_SIZE,
    rotation: float = 60,
) -> None:
    """Write a token at each place of an axis, in a fixed-width font."""
    letters = {"family": "monospace", "fontsize": size}
    if x:
        style = {"rotation": rotation, "ha": "right", "rotation_mode": "anchor", "va": "center"}
        axes.set_xticks(range(len(x)), x, **style, **letters)
    if y:
        axes.set_yticks(range(len(y)), y, **letters)


def plain_numbers(axis: Any) -> None:
    """Write 0.1 and 100 on a logarithmic axis, not 10 with an exponent, which would be smaller."""
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def few_ticks(numbers: Sequence[int], most: int) -> tuple[list[int], list[str]]:
    """Places and labels of ticks: all numbers where there are at most `most`, else the first and
    every fifth.
    """
    step = 1
    if len(numbers) > most:
        step = 5
    places = [place for place, number in enumerate(numbers) if place == 0 or number % step == 0]
    return places, [str(numbers[place]) for place in places]


def legend(axes: Any, **place: Any) -> None:
    """Name the curves in small letters, without a frame; `place` as matplotlib's `legend`."""
    axes.legend(frameon=False, fontsize=SMALL_SIZE, **place)


def write_at(axes: Any, x: float, y: float, text: str, **style: Any) -> Any:
    centred = {"ha": "center", "va": "center", "fontsize": SMALL_SIZE}
    return axes.text(x, y, text, **{**centred, **style})


def ink_on(shade: float, dark: float = 0.55) -> str:
    """The colour of a text on a shade of SHARES: black can't be read above `dark`."""
    if shade > dark:
        return "white"
    return "black"


def shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…"


def scale_beside(axes: Any, image: Any, unit: str = "", **place: Any) -> None:
    """Draw the colour scale of an image beside its axes; `place` as matplotlib's `colorbar`."""
    bar = axes.figure.colorbar(image, ax=axes, **place)
    bar.set_label(unit, fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE)


def show_spaces(piece: str) -> str:
    """A token with spaces, tabs and line ends made visible, other control characters replaced, and
    `$` escaped for matplotlib.
    """
    shown = piece.replace(" ", "·").replace("\n", "↵").replace("\t", "→").replace("$", r"\$")
    return printable(shown)


def token_labels(pieces: Iterable[TokenPiece | MapPoint]) -> list[str]:
    return [show_spaces(piece["text"]) for piece in pieces]


def pair_labels(trace: CausalTrace) -> list[str]:
    """Each token of the clean text, and that of the corrupted one where it is another."""
    names = []
    for clean, corrupted in zip(trace["pieces"], trace["corrupted_pieces"], strict=True):
        name = show_spaces(clean["text"])
        if clean["id"] != corrupted["id"]:
            name += f" ({show_spaces(corrupted['text'])})"
        names.append(name)
    return names
