"""The views as files: still pictures, in parts where the page needs them, and animations.

write_pictures(inside, Path("pictures"), form="svg")   ->  pictures/01-tokens.svg,
                                                           02-embeddings.svg, ...
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from groundup.files import write_bytes
from groundup.lab.values import ModelViews
from groundup.lab.views import VIEWS, function
from groundup.progress import Progress, Silent

Form = Literal["png", "svg"]
PNG_DOTS_PER_INCH = 160
# Of the 256 colours of a GIF's palette: 64 without dithering look the same at half the size. One
# palette for all frames avoids flicker, and lets a frame store only the rectangle that differs from
# the one before.
GIF_DOTS_PER_INCH = 100
PALETTE_COLOURS = 64
# Of 255, in each of red, green and blue.
NEARLY_WHITE = 250
FRAME_MS, FIRST_MS, LAST_MS = 450, 900, 3500


def picture(name: str, values: Mapping[str, Any], form: Form) -> bytes:
    """One view as the bytes of a picture file; the same values give the same bytes.

    Raises MissingExtra without matplotlib.
    """
    return _bytes(function(VIEWS[name].draw)(values), name, form)


def pictures(name: str, values: Mapping[str, Any], form: Form) -> list[bytes]:
    """The same in the parts that the page shows side by side: most views have one."""
    parts = VIEWS[name].parts
    if not parts:
        return [picture(name, values, form)]
    return [_bytes(figure, name, form) for figure in function(parts)(values)]


def _bytes(figure: Any, name: str, form: Form) -> bytes:
    from matplotlib import rc_context  # there, or the drawing had refused

    file = io.BytesIO()
    metadata = None
    if form == "svg":
        metadata = {"Date": None}
    # No date inside, and ids of elements that don't change from run to run.
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format=form, dpi=PNG_DOTS_PER_INCH, metadata=metadata)
    return file.getvalue()


def moving_picture(name: str, values: Mapping[str, Any], progress: Progress | None = None) -> bytes:
    """One view that has a `reel` as the bytes of a GIF; the same values give the same bytes.

    Raises MissingExtra without matplotlib.
    """
    reel = function(VIEWS[name].reel)(values)
    from PIL import Image  # installed with matplotlib

    frames, images = len(values["frames"]), []
    with (progress or Silent()).track("drawing", frames, "frames") as advance:
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
    """The current pixels of a figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(GIF_DOTS_PER_INCH)
    canvas.draw()
    width, height = canvas.get_width_height()
    return Image.frombuffer("RGBA", (width, height), bytes(canvas.buffer_rgba())).convert("RGB")


def _palette(images: Sequence[Any]) -> Any:
    """A palette of the colours of the first, middle and last frame."""
    from PIL import Image

    chosen = [images[0], images[len(images) // 2], images[-1]]
    width, height = images[0].size
    sheet = Image.new("RGB", (width, height * len(chosen)))
    for number, image in enumerate(chosen):
        sheet.paste(image, (0, height * number))
    return sheet.quantize(colors=PALETTE_COLOURS, dither=Image.Dither.NONE)


def _paper_white(palette: Sequence[int]) -> list[int]:
    """The palette with pure white for near white: quantising averages the background with the
    edges of letters.
    """
    white: list[int] = []
    for start in range(0, len(palette), 3):
        colour = palette[start : start + 3]
        if min(colour) >= NEARLY_WHITE:
            colour = (255, 255, 255)
        white.extend(colour)
    return white


def write_film(
    name: str,
    values: Mapping[str, Any],
    path: Path,
    *,
    form: Form,
    progress: Progress | None = None,
) -> tuple[Path, Path]:
    """Write one view that has a `reel` as a GIF, and beside it a still of some of its frames.

    Raises MissingExtra, DiskError.
    """
    still = path.with_suffix(f".{form}")
    write_bytes(path, moving_picture(name, values, progress))
    write_bytes(still, picture(name, values, form))
    return path, still


def write_pictures(inside: ModelViews, folder: Path, *, form: Form) -> list[Path]:
    """Write every view as a file, numbered in the order of the page.

    Raises MissingExtra, DiskError.
    """
    paths = []
    for number, (name, values) in enumerate(inside["views"].items(), start=1):
        path = folder / f"{number:02d}-{name.replace('_', '-')}.{form}"
        write_bytes(path, picture(name, values, form))
        paths.append(path)
    return paths
