"""The films of `training_animation.py` as reels, of which `page` makes animated GIFs, and as still
pictures of some frames side by side. The timeline below each frame is on a square root of the
steps, as the first frames are closer together
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from groundup.lab.drawing.attention import PATTERNS, mask_later, pattern_title, square, token_axes
from groundup.lab.drawing.embeddings import label_places, set_map_limits
from groundup.lab.style import (
    LABEL_SIZE,
    MARKERS,
    MUTED,
    ONE,
    SMALL_SIZE,
    TITLE_SIZE,
    TWO,
    WIDTH_INCHES,
    close,
    finish,
    legend,
    name_axes,
    plain,
    pyplot,
    token_labels,
    write_at,
)
from groundup.lab.values import AttentionFilm, EmbeddingsFilm, EmbeddingsFrame, FilmFrame
from groundup.palette import SERIES

Frame = TypeVar("Frame", bound=FilmFrame)
SCORE_LINES = ((ONE, "-"), (TWO, "--"), (MUTED, ":"))
STRIP_FRAMES = 5
# Names are hidden while the points are closer than this part of their final distance, as they would
# overlap.
READABLE = 1 / 3


@dataclass(frozen=True)
class Animation:
    """A figure, and a function that changes its content to frame n, counted from 0."""

    figure: Any
    show: Callable[[int], None]


def attention_reel(film: AttentionFilm) -> Animation:
    """The maps of the film's heads, and below them the score of each at every step."""
    heads, frames = film["heads"], film["frames"]
    figure = pyplot().figure(figsize=(WIDTH_INCHES, 5.2))
    rows = figure.add_gridspec(
        2, 1, height_ratios=(3.4, 1), left=0.14, right=0.98, bottom=0.1, top=0.82, hspace=0.55
    )
    squares = rows[0].subgridspec(1, len(heads), wspace=0.1).subplots(squeeze=False)[0]
    images = []
    for axes, weights in zip(squares, frames[-1]["weights"], strict=True):
        images.append(square(axes, weights))
        token_axes(axes, film["pieces"], SMALL_SIZE)
        if axes is not squares[0]:
            axes.set_yticks([])
    timeline = figure.add_subplot(rows[1])
    for number, head in enumerate(heads):
        colour, line = SCORE_LINES[number % len(SCORE_LINES)]
        scores = [frame["scores"][number] for frame in frames]
        name = f"head {head['block']}.{head['head']}"
        timeline.plot(_steps(frames), scores, line, color=colour, linewidth=1.2, label=name)
    timeline.set_ylim(0, 1)
    legend(timeline, loc="upper left", ncols=len(heads))
    move = _timeline(figure, timeline, frames, "Attention forming", "score of\nits pattern")

    def show(number: int) -> None:
        frame = frames[number]
        for image, axes, head, score, weights in zip(
            images, squares, heads, frame["scores"], frame["weights"], strict=True
        ):
            image.set_data(mask_later(weights))
            axes.set_title(pattern_title(head, score), fontsize=LABEL_SIZE)
        move(frame)

    return Animation(close(figure), show)


def embeddings_reel(film: EmbeddingsFilm) -> Animation:
    """The map of the film's tokens, and below it the variance between its groups at every step."""
    frames = film["frames"]
    figure = pyplot().figure(figsize=(WIDTH_INCHES, 6.2))
    rows = figure.add_gridspec(
        2, 1, height_ratios=(5.2, 1), left=0.11, right=0.97, bottom=0.08, top=0.92, hspace=0.3
    )
    axes, timeline = figure.add_subplot(rows[0]), figure.add_subplot(rows[1])
    groups = _map_axes(axes, film)
    places, labels = frames[-1]["places"], token_labels(film["tokens"])
    middles = label_places(axes, places, labels)
    offsets = [
        (x - place[0], y - place[1]) for (x, y, _), place in zip(middles, places, strict=True)
    ]
    texts = [write_at(axes, 0, 0, label, family="monospace") for label in labels]
    legend(axes, loc="upper left")
    apart = [100 * frame["apart"] for frame in frames]
    timeline.plot(_steps(frames), apart, color=ONE, linewidth=1.2)
    timeline.set_ylim(0, None)
    move = _timeline(figure, timeline, frames, "Embeddings forming", "apart, %")

    def show(number: int) -> None:
        frame = frames[number]
        _place(groups, frame["places"])
        readable = _width(frame) > READABLE * _width(frames[-1])
        for text, (x, y), (right, up) in zip(texts, frame["places"], offsets, strict=True):
            text.set_position((x + right, y + up))
            text.set_visible(readable)
        move(frame)

    return Animation(close(figure), show)


def attention_strip(film: AttentionFilm) -> Any:
    """Draw some steps side by side, a row of maps for each head."""
    heads, chosen = film["heads"], _strip_frames(film["frames"])
    size = (2.4 * len(chosen) + 1.1, 2.4 * len(heads) + 1.6)
    figure, grid = pyplot().subplots(len(heads), len(chosen), figsize=size, squeeze=False)
    corner = {"ha": "right", "va": "top", "fontsize": LABEL_SIZE}
    for row, head in enumerate(heads):
        for column, frame in enumerate(chosen):
            axes = grid[row][column]
            square(axes, frame["weights"][row])
            token_axes(axes, film["pieces"], SMALL_SIZE)
            if column:
                axes.set_yticks([])
            if row < len(heads) - 1:
                axes.set_xticks([])
            share = f"{100 * frame['scores'][row]:.0f} %"
            axes.text(0.95, 0.95, share, transform=axes.transAxes, **corner)
            if row == 0:
                axes.set_title(f"step {frame['step']:,}", fontsize=LABEL_SIZE)
        pattern = textwrap.fill(PATTERNS.get(head["kind"], head["kind"]), 18)
        name = f"block {head['block']}, head {head['head']}\n{pattern}"
        grid[row][0].set_ylabel(name, fontsize=SMALL_SIZE)
    title = "Attention forming: the same heads after more and more steps of training"
    return finish(figure, title=title, caption=film["caption"])


def embeddings_strip(film: EmbeddingsFilm) -> Any:
    chosen = _strip_frames(film["frames"])
    figure, grid = pyplot().subplots(
        1, len(chosen), figsize=(2.3 * len(chosen), 3.6), sharex=True, sharey=True
    )
    for axes, frame in zip(grid, chosen, strict=True):
        _place(_map_axes(axes, film), frame["places"])
        title = f"step {frame['step']:,}\n{100 * frame['apart']:.0f} % apart"
        axes.set_title(title, fontsize=SMALL_SIZE)
        axes.label_outer()
    legend(grid[0], loc="upper left", handletextpad=0.1)
    title = "Embeddings forming: the same tokens on the same axes, after more and more steps"
    return finish(figure, title=title, caption=film["caption"])


def _strip_frames(frames: Sequence[Frame]) -> list[Frame]:
    """Return five frames at most, evenly spaced, with the first and the last."""
    count = min(STRIP_FRAMES, len(frames))
    return [frames[round(number * (len(frames) - 1) / (count - 1))] for number in range(count)]


def _map_axes(axes: Any, film: EmbeddingsFilm) -> list[tuple[Any, list[int]]]:
    """Set limits for every frame; return the markers of each group with the numbers of their
    tokens.
    """
    set_map_limits(axes, [place for frame in film["frames"] for place in frame["places"]], 0.07)
    axes.tick_params(labelsize=SMALL_SIZE, colors=MUTED)
    plain(axes)
    name_axes(axes, "principal component 1", "principal component 2", size=SMALL_SIZE)
    groups = []
    for number, group in enumerate(dict.fromkeys(token["group"] for token in film["tokens"])):
        members = [place for place, token in enumerate(film["tokens"]) if token["group"] == group]
        (marks,) = axes.plot(
            [], [], MARKERS[number], color=SERIES[number], markersize=4, linestyle="", label=group
        )
        groups.append((marks, members))
    return groups


def _width(frame: EmbeddingsFrame) -> float:
    across = [x for x, _ in frame["places"]]
    return float(max(across) - min(across))


def _place(groups: Sequence[tuple[Any, list[int]]], places: Sequence[Sequence[float]]) -> None:
    for marks, members in groups:
        marks.set_data(
            [places[member][0] for member in members], [places[member][1] for member in members]
        )


def _timeline(
    figure: Any, axes: Any, frames: Sequence[FilmFrame], what: str, unit: str
) -> Callable[[FilmFrame], None]:
    """Draw the axis of steps and a title, and return a function that moves the mark on this axis
    to a frame and names it in the title.
    """
    steps = _steps(frames)
    axes.set_xscale("function", functions=(_root, lambda root: root**2))
    axes.set_xlim(steps[0], steps[-1])
    ticks = sorted({steps[round(number * (len(steps) - 1) / 6)] for number in range(7)})
    axes.set_xticks(ticks, [f"{step:,}" for step in ticks], fontsize=SMALL_SIZE)
    axes.tick_params(axis="y", labelsize=SMALL_SIZE)
    plain(axes)
    name_axes(axes, "step", unit, size=SMALL_SIZE)
    cursor = axes.axvline(steps[-1], color="black", linewidth=1.2, clip_on=False)
    title = figure.text(0.012, 0.985, "", va="top", ha="left", fontsize=TITLE_SIZE, weight="bold")

    def move(frame: FilmFrame) -> None:
        step, loss = frame["step"], frame["training_loss"]
        cursor.set_xdata([step, step])
        words = f"{what}: step {step:,} of {steps[-1]:,}"
        if loss is not None:
            words += f", training loss {loss:.2f}"
        title.set_text(words)

    return move


def _root(step: Any) -> Any:
    import numpy as np

    return np.sqrt(np.maximum(step, 0))


def _steps(frames: Sequence[FilmFrame]) -> list[int]:
    return [frame["step"] for frame in frames]
