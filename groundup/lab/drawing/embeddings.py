"""What goes into a model: the tokens of a text, coloured, with their ids; position schemes, each with
its table and the similarity by distance; a map of tokens or words, the nearest neighbours of a word,
and the share of neighbours of the same category.

On a map each name takes the nearest free place around its point, so that none overlaps another,
with a line to the point where that is far.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from groundup.lab.style import (
    LABEL_SIZE,
    MARKERS,
    MUTED,
    ONE,
    SIGNED,
    SMALL_SIZE,
    TWO,
    WIDTH_INCHES,
    close,
    finish,
    legend,
    name_axes,
    name_tokens,
    plain,
    pyplot,
    scale_beside,
    token_labels,
    write_at,
)
from groundup.lab.values import (
    CategoryScore,
    CategoryScores,
    EmbeddingMap,
    KindScore,
    PositionPicture,
    TokenPicture,
    WordNeighbours,
)
from groundup.palette import PIECES, SERIES

LINE_CHARACTERS = 64


def draw_tokens(picture: TokenPicture) -> Any:
    """Draw the tokens of a text in alternating colours with their ids below."""
    plt, pieces = pyplot(), picture["pieces"]
    ids = [str(piece["id"]) for piece in pieces]
    labels = [
        f" {name} ".center(len(id) + 1) for name, id in zip(token_labels(pieces), ids, strict=True)
    ]
    lines = in_lines(labels, LINE_CHARACTERS)
    figure, axes = plt.subplots(figsize=(WIDTH_INCHES, 0.62 * len(lines) + 0.2))
    for row, line in enumerate(lines):
        for left, index in line:
            width, colour = len(labels[index]), PIECES[index % len(PIECES)]
            corner, middle = (left + 0.08, -row - 0.42), left + width / 2
            axes.add_patch(plt.Rectangle(corner, width - 0.16, 0.84, color=colour))
            write_at(
                axes, middle, -row + 0.1, labels[index], family="monospace", fontsize=LABEL_SIZE
            )
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
    figure, (above, below) = pyplot().subplots(2, 1, figsize=(WIDTH_INCHES, 7.2))
    rows, columns = len(picture["table"]), len(picture["table"][0])
    image = above.imshow(
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
    name_axes(above, picture["table_axis"], down)
    above.tick_params(labelsize=SMALL_SIZE)
    scale_beside(above, image, picture["table_value"])
    _draw_curves(below, picture)
    if len(picture["curves"]) > 1:
        beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
        legend(below, **beside)
    return finish(figure, title=TITLES[picture["scheme"]], caption=picture["caption"])


def draw_schemes(pictures: Sequence[PositionPicture]) -> Any:
    """Draw the similarity by distance of several schemes, two in a row."""
    rows = -(-len(pictures) // 2)
    size = (WIDTH_INCHES, 2.6 * rows + 1.1)
    figure, grid = pyplot().subplots(rows, 2, figsize=size, squeeze=False)
    for axes in grid.flat[len(pictures) :]:
        axes.set_visible(False)
    for axes, picture in zip(grid.flat, pictures, strict=False):
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


# A letter of a fixed-width font, in parts of its size; inches per point.
LETTER_WIDTH, LETTER_HEIGHT, INCHES = 0.62, 1.15, 1 / 72
STEP_INCHES, RINGS = 0.075, 14
FAR_INCHES = 0.2
# Of a bar.
ROW_INCHES = 0.29

Box = tuple[float, float, float, float]


def draw_embeddings(map: EmbeddingMap) -> Any:
    """Draw the points of `embedding_map`, or of `word_map` with a marker for each group."""
    figure, axes = pyplot().subplots(figsize=(WIDTH_INCHES, 6.2))
    points = [(point["x"], point["y"]) for point in map["points"]]
    groups = [point.get("group", "") for point in map["points"]]
    named = [group for group in dict.fromkeys(groups) if group]
    for number, group in enumerate(named):
        own = [point for point, name in zip(points, groups, strict=True) if name == group]
        marker, colour = MARKERS[number % len(MARKERS)], SERIES[number % len(SERIES)]
        axes.plot(*zip(*own, strict=True), marker, color=colour, markersize=4, label=group)
    set_map_limits(axes, points, 0.08)
    if named:
        axes.legend(frameon=False, fontsize=LABEL_SIZE)
    else:
        axes.plot(*zip(*points, strict=True), ".", color=MUTED, markersize=2)
    labels = token_labels(map["points"])
    for (x, y), (left, up, far), label in zip(
        points, label_places(axes, points, labels), labels, strict=True
    ):
        write_at(axes, left, up, label, family="monospace")
        if far:
            axes.plot([x, left], [y, up], color=MUTED, linewidth=0.4, alpha=0.6, zorder=0)
    axes.tick_params(labelsize=SMALL_SIZE, colors=MUTED)
    if map["explained"] is None:
        plain(axes, x="UMAP 1 (no unit)", y="UMAP 2 (no unit)")
        title = "Points that are close on this map are close in the model"
    else:
        plain(axes, x="principal component 1", y="principal component 2")
        title = f"The two directions of largest variance ({100 * map['explained']:.0f} % of it)"
    return finish(figure, title=title, caption=map["caption"])


def set_map_limits(axes: Any, points: Sequence[Sequence[float]], margin: float) -> None:
    """Set both axes to the extent of the points, with `margin` of it on each side."""
    for values, set_limits in zip(
        zip(*points, strict=True), (axes.set_xlim, axes.set_ylim), strict=True
    ):
        around = margin * (max(values) - min(values)) + 1e-6
        set_limits(min(values) - around, max(values) + around)


def label_places(
    axes: Any, points: Sequence[Sequence[float]], labels: Sequence[str]
) -> list[tuple[float, float, bool]]:
    """The centre of each label, and whether it is so far from its point that a line should connect
    them.

    The limits of `axes` must be final.
    """
    width, height = axes.figure.get_size_inches()
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    # About inches per unit.
    across, upward = 0.85 * width / (right - left), 0.8 * height / (high - low)
    inches = [(x * across, y * upward) for x, y in points]
    taken = [(x - 0.03, y - 0.03, x + 0.03, y + 0.03) for x, y in inches]
    places = []
    for (x, y), label in zip(inches, labels, strict=True):
        place_x, place_y, box = _free_place(x, y, label, taken)
        taken.append(box)
        far = math.hypot(place_x - x, place_y - y) > FAR_INCHES + (box[2] - box[0]) / 2
        places.append((place_x / across, place_y / upward, far))
    return places


def _free_place(x: float, y: float, label: str, taken: Sequence[Box]) -> tuple[float, float, Box]:
    """The nearest centre for a label whose box overlaps no other; just above the point where
    none is free.
    """
    wide = len(label) * LETTER_WIDTH * SMALL_SIZE * INCHES / 2
    tall = LETTER_HEIGHT * SMALL_SIZE * INCHES / 2
    for place_x, place_y in _around(x, y, wide, tall):
        box = (place_x - wide, place_y - tall, place_x + wide, place_y + tall)
        if not any(_meet(box, other) for other in taken):
            return place_x, place_y, box
    return x, y + 0.1, (x - wide, y + 0.1 - tall, x + wide, y + 0.1 + tall)


def _around(x: float, y: float, wide: float, tall: float) -> Iterator[tuple[float, float]]:
    """Yield positions on rings around a point, the nearest first; on each: above, below, right,
    left, then between.
    """
    for ring in range(RINGS):
        reach = 0.04 + ring * STEP_INCHES
        for turn in (2, 6, 0, 4, 1, 3, 5, 7):
            angle = turn * math.pi / 4
            yield x + (reach + wide) * math.cos(angle), y + (reach + tall) * math.sin(angle)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def draw_neighbours(found: WordNeighbours) -> Any:
    """Draw the nearest words as bars of cosine, the nearest on top."""
    near = found["neighbours"]
    figure, axes = pyplot().subplots(figsize=(WIDTH_INCHES, len(near) * ROW_INCHES + 1.9))
    axes.barh(range(len(near)), [entry["cosine"] for entry in near], color=ONE, height=0.7)
    for place, entry in enumerate(near):
        label = f" {entry['cosine']:.2f}"
        axes.text(entry["cosine"], place, label, va="center", fontsize=SMALL_SIZE)
    names = token_labels(near)
    name_tokens(axes, y=names, size=LABEL_SIZE)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.tick_params(axis="x", labelsize=SMALL_SIZE)
    plain(axes, x="cosine (1: the same direction)")
    first = next(iter(names), "nothing").strip("·")
    return finish(figure, title=f"Nearest to {found['word']}: {first}", caption=found["caption"])


def draw_kinds(score: KindScore) -> Any:
    """Draw the shares of neighbours of the same category, with chance as a mark."""
    figure, grid = pyplot().subplots(1, 2, figsize=(WIDTH_INCHES, 3.9), sharey=True)
    kinds = list(score["vocabulary"]["kinds"])
    parts = (
        (score["vocabulary"], "among all words of the vocabulary"),
        (score["listed"], "among the listed words only"),
    )
    for axes, (part, title) in zip(grid, parts, strict=True):
        _draw_shares(axes, [part["kinds"][kind] for kind in kinds])
        axes.set_title(title, fontsize=LABEL_SIZE)
    grid[0].set_yticks(range(len(kinds)), kinds, fontsize=LABEL_SIZE)
    grid[0].invert_yaxis()
    return finish(figure, title=_kinds_title(score["vocabulary"]), caption=score["caption"])


def _draw_shares(axes: Any, scores: Sequence[CategoryScore]) -> None:
    places = [place for place, score in enumerate(scores) if score["judged"]]
    shares = [100 * (score["share"] or 0.0) for score in scores]
    chances = [100 * (scores[place]["chance"] or 0.0) for place in places]
    axes.barh(places, [shares[place] for place in places], color=ONE, height=0.55)
    axes.plot(chances, places, "D", color=TWO, clip_on=False, zorder=3)
    for place, (score, share) in enumerate(zip(scores, shares, strict=True)):
        text, colour = f"  too few words ({score['words']})", MUTED
        if score["judged"]:
            text, colour = f" {share:.0f} % of {score['judged']}", "black"
        axes.text(max(share, 3), place, text, va="center", fontsize=SMALL_SIZE, color=colour)
    axes.set_xlim(0, 130)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.tick_params(labelsize=SMALL_SIZE)
    plain(axes, x="neighbours of the same category, %\n(diamond: chance)")


def _kinds_title(score: CategoryScores) -> str:
    share, chance = score["share"], score["chance"]
    if share is None or chance is None:
        return "No category has three words that are one token each"
    return (
        f"{100 * share:.0f} % of a word's neighbours are of its category, "
        f"{100 * chance:.2g} % by chance"
    )
