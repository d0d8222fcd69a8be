"""A position scheme: its table on the left, similarity by distance on the right; and several
schemes side by side.
"""

from collections.abc import Sequence
from typing import Any

from groundup.lab.style import (
    LABEL_SIZE,
    SIGNED,
    SMALL_SIZE,
    finish,
    legend,
    name_axes,
    plain,
    pyplot,
    scale_beside,
)
from groundup.lab.values import PositionPicture

TITLES = {
    "none": "No positions: the distance of an earlier token has no effect",
    "sinusoidal": "Sinusoidal positions: similarity decreases with distance",
    "learned": "Learned positions: a row for each position, from training",
    "rope": "Rotary positions: the effect on a score depends on the distance alone",
    "alibi": "ALiBi: a penalty proportional to the distance, with a slope for each head",
}
BACK = "distance, tokens back"
# Distinguishes curves without colour.
DASHES = ("-", "--", "-.", ":")


def draw_positions(picture: PositionPicture) -> Any:
    """Draw the picture of `position_picture` or `model_positions`."""
    figure, (left, right) = pyplot().subplots(1, 2, figsize=(11, 4.2))
    rows, columns = len(picture["table"]), len(picture["table"][0])
    image = left.imshow(
        picture["table"],
        aspect="auto",
        cmap=SIGNED,
        interpolation="nearest",
        # Positions from 0, as in the formulas; columns from 1.
        extent=(0.5, columns + 0.5, rows - 0.5, -0.5),
    )
    down = "position of the token"
    if picture["scheme"] == "alibi":
        down = BACK
    name_axes(left, picture["table_axis"], down)
    left.tick_params(labelsize=SMALL_SIZE)
    scale_beside(left, image, picture["table_value"])
    _draw_curves(right, picture)
    if len(picture["curves"]) > 1:
        beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
        legend(right, **beside)
    return finish(figure, title=TITLES[picture["scheme"]], caption=picture["caption"])


def draw_schemes(pictures: Sequence[PositionPicture]) -> Any:
    """Draw the similarity by distance of several schemes, side by side."""
    size = (3.1 * len(pictures), 3.4)
    figure, grid = pyplot().subplots(1, len(pictures), figsize=size, squeeze=False)
    for axes, picture in zip(grid[0], pictures, strict=True):
        _draw_curves(axes, picture)
        axes.set_title(picture["scheme"], fontsize=LABEL_SIZE)
    caption = (
        "Sinusoidal and learned: cosine similarity of the two rows that are added to the "
        "embeddings. Rotary: the share of the score that is left for a key of the same components "
        "(the same sum of cosines). ALiBi: what is added to the score, a line for each head."
    )
    return finish(figure, title="How each scheme depends on the distance", caption=caption)


def _draw_curves(axes: Any, picture: PositionPicture) -> None:
    curves = picture["curves"]
    last = max(1, len(curves) - 1)
    shades = pyplot().get_cmap(SIGNED)([0.85 * number / last for number in range(len(curves))])
    for number, (curve, shade) in enumerate(zip(curves, shades, strict=True)):
        dash = DASHES[number % len(DASHES)]
        axes.plot(curve["values"], dash, color=shade, linewidth=1.4, label=curve["label"])
    axes.tick_params(labelsize=SMALL_SIZE)
    if picture["scheme"] == "none":
        axes.set_ylim(-1, 1)
    plain(axes, x=BACK, y=picture["value"])
