"""A reel as a GIF: one palette for all frames, a rest at the first and a longer one at the last, for ever.

GIF has 256 colours a palette. The pictures here have few, so 64 without dithering look the same and take half the bytes; one palette
for all keeps colours from flickering, and lets a frame store only the rectangle that differs from the one before.
"""

import io
from collections.abc import Sequence
from typing import Any

from groundup.lab.drawing.film import Reel
from groundup.progress import Advance

DOTS_PER_INCH = 100
COLOURS = 64
# Of 255, in each of red, green and blue.
NEARLY_WHITE = 250
FRAME_MS, FIRST_MS, LAST_MS = 450, 900, 3500


def gif_bytes(reel: Reel, frames: int, advance: Advance = lambda amount=1, note="", total=None: None) -> bytes:
    """The file's bytes; the same reel gives the same ones."""
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
    """The figure's pixels now. Pillow is there, since matplotlib needs it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DOTS_PER_INCH)
    canvas.draw()
    width, height = canvas.get_width_height()
    return Image.frombuffer("RGBA", (width, height), bytes(canvas.buffer_rgba())).convert("RGB")


def _palette(images: Sequence[Any]) -> Any:
    """The colours of the first, middle and last frame together."""
    from PIL import Image

    chosen = [images[0], images[len(images) // 2], images[-1]]
    width, height = images[0].size
    sheet = Image.new("RGB", (width, height * len(chosen)))
    for number, image in enumerate(chosen):
        sheet.paste(image, (0, height * number))
    return sheet.quantize(colors=COLOURS, dither=Image.Dither.NONE)


def _paper_white(palette: Sequence[int]) -> list[int]:
    """The palette with white for what is nearly white: the paper came out as the mean of itself and the edges of letters."""
    colours = [palette[start : start + 3] for start in range(0, len(palette), 3)]
    return [part for colour in colours for part in ((255, 255, 255) if min(colour) >= NEARLY_WHITE else colour)]
