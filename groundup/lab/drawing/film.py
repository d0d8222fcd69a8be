"""The films of `film.py` as animated GIFs and as still pictures of some frames side by side.

    attention_reel(film)    -> Reel: a figure and show(n); `gif_bytes` makes it a GIF
    attention_strip(film)   -> a figure

Below each frame is a timeline of the training; its axis is a square root of the steps, as the first frames are closer together.
"""

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundup.lab.drawing.attention import PATTERNS, pattern_title, seen, square, token_axes
from groundup.lab.drawing.embeddings import MARKERS, label_places
from groundup.lab.style import (
    LABEL_SIZE,
    MUTED,
    ONE,
    SMALL_SIZE,
    TITLE_SIZE,
    TWO,
    closed,
    finished,
    plain,
    pyplot,
    show_spaces,
)
from groundup.palette import SERIES
from groundup.progress import Advance

SCORE_LINES = ((ONE, "-", "o"), (TWO, "--", "s"), (MUTED, ":", "^"))
STRIP_FRAMES = 5
# Width of the title.
MIN_INCHES = 6.2
# Names are hidden while the points are closer than this part of their final distance, as they would overlap.
READABLE = 1 / 3

# Of the 256 colours of a GIF's palette: 64 without dithering look the same at half the size. One palette for all frames avoids flicker, and
# lets a frame store only the rectangle that differs from the one before.
DOTS_PER_INCH = 100
PALETTE_COLOURS = 64
# Of 255, in each of red, green and blue.
NEARLY_WHITE = 250
FRAME_MS, FIRST_MS, LAST_MS = 450, 900, 3500


@dataclass(frozen=True)
class Reel:
    """A figure, and a function that changes its content to frame n, counted from 0."""

    figure: Any
    show: Callable[[int], None]


def attention_reel(film: Mapping[str, Any]) -> Reel:
    """Return the maps of the film's heads, and below them the score of each at every step."""
    heads, frames = film["heads"], film["frames"]
    figure = pyplot().figure(figsize=(max(3.1 * len(heads), MIN_INCHES), 4.9))
    rows = figure.add_gridspec(2, 1, height_ratios=(3.4, 1), left=0.09, right=0.98, bottom=0.1, top=0.84, hspace=0.42)
    squares = rows[0].subgridspec(1, len(heads), wspace=0.28).subplots(squeeze=False)[0]
    images = []
    for number, axes in enumerate(squares):
        images.append(square(axes, frames[-1]["weights"][number]))
        token_axes(axes, film["pieces"], SMALL_SIZE)
    timeline = figure.add_subplot(rows[1])
    for number, head in enumerate(heads):
        colour, line, _ = SCORE_LINES[number % len(SCORE_LINES)]
        scores = [frame["scores"][number] for frame in frames]
        timeline.plot(_steps(film), scores, line, color=colour, linewidth=1.2, label=f"head {_name(head)}")
    timeline.set_ylim(0, 1)
    timeline.set_ylabel("score of\nits pattern", fontsize=SMALL_SIZE)
    timeline.legend(frameon=False, fontsize=SMALL_SIZE, loc="upper left", ncols=len(heads))
    cursor, title = _timeline(timeline, film), _title(figure)

    def show(number: int) -> None:
        frame = frames[number]
        for image, axes, head, score, weights in zip(
            images, squares, heads, frame["scores"], frame["weights"], strict=True
        ):
            image.set_data(seen(weights))
            axes.set_title(pattern_title({**head, "score": score}), fontsize=LABEL_SIZE)
        cursor.set_xdata([frame["step"], frame["step"]])
        title.set_text(f"Attention forming: {_where(film, frame)}")

    return Reel(closed(figure), show)


def embeddings_reel(film: Mapping[str, Any]) -> Reel:
    """Return the map of the film's tokens, and below it the variance between its groups at every step."""
    frames = film["frames"]
    figure = pyplot().figure(figsize=(8.4, 6.2))
    rows = figure.add_gridspec(2, 1, height_ratios=(5.2, 1), left=0.08, right=0.98, bottom=0.08, top=0.92, hspace=0.28)
    axes, timeline = figure.add_subplot(rows[0]), figure.add_subplot(rows[1])
    groups = _map_axes(axes, film)
    places, labels = frames[-1]["places"], [show_spaces(token["text"]) for token in film["tokens"]]
    middles = label_places(axes, [(x, y) for x, y in places], labels)
    offsets = [(x - place[0], y - place[1]) for (x, y, _), place in zip(middles, places, strict=True)]
    texts = [axes.text(0, 0, label, **LABELLED) for label in labels]
    axes.legend(frameon=False, fontsize=SMALL_SIZE, loc="upper left")
    timeline.plot(_steps(film), [100 * frame["apart"] for frame in frames], color=ONE, linewidth=1.2)
    timeline.set_ylabel("apart, %", fontsize=SMALL_SIZE)
    timeline.set_ylim(0, None)
    cursor, title = _timeline(timeline, film), _title(figure)

    def show(number: int) -> None:
        frame = frames[number]
        _place(groups, frame["places"])
        for text, (x, y), (right, up) in zip(texts, frame["places"], offsets, strict=True):
            text.set_position((x + right, y + up))
            text.set_visible(_width(frame) > READABLE * _width(frames[-1]))
        cursor.set_xdata([frame["step"], frame["step"]])
        title.set_text(f"Embeddings forming: {_where(film, frame)}")

    return Reel(closed(figure), show)


def attention_strip(film: Mapping[str, Any]) -> Any:
    """Draw some steps side by side, a row of maps for each head."""
    heads, chosen = film["heads"], strip_frames(film)
    figure, grid = pyplot().subplots(
        len(heads), len(chosen), figsize=(2.0 * len(chosen) + 0.9, 2.0 * len(heads) + 1.3), squeeze=False
    )
    for row, head in enumerate(heads):
        for column, frame in enumerate(chosen):
            axes = grid[row][column]
            square(axes, frame["weights"][row])
            token_axes(axes, film["pieces"], SMALL_SIZE - 1)
            if column:
                axes.set_yticks([])
            if row < len(heads) - 1:
                axes.set_xticks([])
            axes.text(0.95, 0.95, f"{100 * frame['scores'][row]:.0f} %", **WRITTEN, transform=axes.transAxes)
            if row == 0:
                axes.set_title(f"step {frame['step']:,}", fontsize=LABEL_SIZE)
        pattern = textwrap.fill(PATTERNS.get(head["kind"], head["kind"]), 18)
        grid[row][0].set_ylabel(f"block {head['block']}, head {head['head']}\n{pattern}", fontsize=SMALL_SIZE)
    title = "Attention forming: the same heads after more and more steps of training"
    return finished(figure, title=title, caption=film["caption"])


def embeddings_strip(film: Mapping[str, Any]) -> Any:
    """Draw some steps side by side on the same axes."""
    chosen = strip_frames(film)
    figure, grid = pyplot().subplots(1, len(chosen), figsize=(2.3 * len(chosen), 3.6), sharex=True, sharey=True)
    for axes, frame in zip(grid, chosen, strict=True):
        _place(_map_axes(axes, film), frame["places"])
        axes.set_title(f"step {frame['step']:,}\n{100 * frame['apart']:.0f} % apart", fontsize=SMALL_SIZE)
        axes.label_outer()
    grid[0].legend(frameon=False, fontsize=SMALL_SIZE, loc="upper left", handletextpad=0.1)
    title = "Embeddings forming: the same tokens on the same axes, after more and more steps"
    return finished(figure, title=title, caption=film["caption"])


WRITTEN: dict[str, Any] = {"ha": "right", "va": "top", "fontsize": LABEL_SIZE}
LABELLED: dict[str, Any] = {"ha": "center", "va": "center", "family": "monospace", "fontsize": SMALL_SIZE}


def strip_frames(film: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return five frames at most, evenly spaced, with the first and the last."""
    frames = film["frames"]
    count = min(STRIP_FRAMES, len(frames))
    return [frames[round(number * (len(frames) - 1) / (count - 1))] for number in range(count)]


def _map_axes(axes: Any, film: Mapping[str, Any]) -> list[tuple[Any, list[int]]]:
    """Set limits for every frame; return the markers of each group with the numbers of their tokens."""
    for number, set_limits in enumerate((axes.set_xlim, axes.set_ylim)):
        values = [place[number] for frame in film["frames"] for place in frame["places"]]
        margin = 0.07 * (max(values) - min(values)) + 1e-6
        set_limits(min(values) - margin, max(values) + margin)
    axes.tick_params(labelsize=SMALL_SIZE, colors=MUTED)
    axes.set_xlabel("principal component 1", fontsize=SMALL_SIZE)
    axes.set_ylabel("principal component 2", fontsize=SMALL_SIZE)
    plain(axes)
    groups = []
    for number, group in enumerate(dict.fromkeys(token["group"] for token in film["tokens"])):
        members = [place for place, token in enumerate(film["tokens"]) if token["group"] == group]
        (marks,) = axes.plot([], [], MARKERS[number], color=SERIES[number], markersize=4, linestyle="", label=group)
        groups.append((marks, members))
    return groups


def _width(frame: Mapping[str, Any]) -> float:
    """Return the horizontal extent of the points."""
    across = [x for x, _ in frame["places"]]
    return float(max(across) - min(across))


def _place(groups: Sequence[tuple[Any, list[int]]], places: Sequence[Sequence[float]]) -> None:
    for marks, members in groups:
        marks.set_data([places[member][0] for member in members], [places[member][1] for member in members])


def _timeline(axes: Any, film: Mapping[str, Any]) -> Any:
    """Draw the axis of steps, and return the line that marks the current one."""
    steps = _steps(film)
    axes.set_xscale("function", functions=(_root, lambda root: root**2))
    axes.set_xlim(steps[0], steps[-1])
    few = [steps[round(number * (len(steps) - 1) / 6)] for number in range(7)]
    ticks = sorted(set(few))
    axes.set_xticks(ticks, [f"{step:,}" for step in ticks], fontsize=SMALL_SIZE)
    axes.tick_params(axis="y", labelsize=SMALL_SIZE)
    axes.set_xlabel("step", fontsize=SMALL_SIZE)
    plain(axes)
    return axes.axvline(steps[-1], color="black", linewidth=1.2, clip_on=False)


def _root(step: Any) -> Any:
    import numpy as np

    return np.sqrt(np.maximum(step, 0))


def _title(figure: Any) -> Any:
    return figure.text(0.012, 0.985, "", va="top", ha="left", fontsize=TITLE_SIZE, weight="bold")


def _steps(film: Mapping[str, Any]) -> list[int]:
    return [frame["step"] for frame in film["frames"]]


def _where(film: Mapping[str, Any], frame: Mapping[str, Any]) -> str:
    loss = frame["training_loss"]
    said = "" if loss is None else f", training loss {loss:.2f}"
    return f"step {frame['step']:,} of {film['frames'][-1]['step']:,}{said}"


def _name(head: Mapping[str, Any]) -> str:
    return f"{head['block']}.{head['head']}"


def gif_bytes(reel: Reel, frames: int, advance: Advance = lambda amount=1, note="", total=None: None) -> bytes:
    """Return the bytes of a GIF, which are the same for the same reel."""
    from PIL import Image

    images = []
    for number in range(frames):
        reel.show(number)
        images.append(_image(reel.figure))
        advance(1, f"frame {number + 1}")
    palette = _palette(images)
    drawn = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    for image in drawn:
        image.putpalette(_paper_white(image.getpalette() or []))
    times = [FIRST_MS, *[FRAME_MS] * (frames - 2), LAST_MS]
    file = io.BytesIO()
    drawn[0].save(file, "GIF", save_all=True, append_images=drawn[1:], duration=times, loop=0)
    return file.getvalue()


def _image(figure: Any) -> Any:
    """Return the current pixels of a figure. Pillow is installed with matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DOTS_PER_INCH)
    canvas.draw()
    width, height = canvas.get_width_height()
    return Image.frombuffer("RGBA", (width, height), bytes(canvas.buffer_rgba())).convert("RGB")


def _palette(images: Sequence[Any]) -> Any:
    """Return a palette of the colours of the first, middle and last frame."""
    from PIL import Image

    chosen = [images[0], images[len(images) // 2], images[-1]]
    width, height = images[0].size
    sheet = Image.new("RGB", (width, height * len(chosen)))
    for number, image in enumerate(chosen):
        sheet.paste(image, (0, height * number))
    return sheet.quantize(colors=PALETTE_COLOURS, dither=Image.Dither.NONE)


def _paper_white(palette: Sequence[int]) -> list[int]:
    """Return the palette with pure white for near white: quantising averages the background with the edges of letters."""
    colours = [palette[start : start + 3] for start in range(0, len(palette), 3)]
    return [part for colour in colours for part in ((255, 255, 255) if min(colour) >= NEARLY_WHITE else colour)]
