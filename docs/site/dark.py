"""Pictures for the site's dark colours: each still picture of a page gets a twin in which light and dark have changed places.

    python docs/site/dark.py PICTURE...        writes NAME-dark beside each, to look at

Lightness is turned around in OKLab (Ottosson 2020), so that a blue line stays blue: white becomes the paper of the dark
palette, black its ink. What is dark already (a terminal) is left as it is.
"""

import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from groundup.palette import DARK

PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s#]+\.(?:png|gif|svg))\)")
COLOUR = re.compile(r"#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b")
DARK_RULES = "(prefers-color-scheme: dark)"
# Middle colours come out a little lighter than halfway, as those of the dark palette are; a tint of that chroma loses half
# of it, since what warms white paper dyes a dark one.
GAMMA, NEUTRAL = 0.8, 0.01
PAPER = 0.985  # the lightness of the light palette's paper
STEPS = 64  # of each of red, green and blue
# Linear red, green and blue to the responses of the three cones, and their cube roots to lightness and two colour axes.
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
AXES = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def turned(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB colours [N, 3] of 0 to 1 with their lightness turned around, within the dark palette."""
    ground, ink = (_lightness(DARK[name]) for name in ("paper", "ink"))
    lab = _lab(colours)
    lab[:, 0] = ground + (1 - lab[:, 0] / PAPER).clip(0, 1) ** GAMMA * (ink - ground)
    chroma = np.hypot(lab[:, 1:2], lab[:, 2:])
    lab[:, 1:] *= chroma / (chroma + NEUTRAL)
    linear = ((lab @ np.linalg.inv(AXES).T) ** 3 @ np.linalg.inv(CONES).T).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _lab(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = np.cbrt(linear @ CONES.T) @ AXES.T
    return lab


def _lightness(colour: str) -> float:
    return float(_lab(_numbers(colour.removeprefix("#"))[None])[0, 0])


def _numbers(digits: str) -> NDArray[np.float64]:
    whole = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    return np.array([int(whole[place : place + 2], 16) for place in (0, 2, 4)]) / 255


@cache
def _table() -> NDArray[np.uint8]:
    """What becomes of each colour of STEPS x STEPS x STEPS."""
    every = np.indices((STEPS, STEPS, STEPS)).reshape(3, -1).T / (STEPS - 1)
    return np.rint(255 * turned(every)).astype(np.uint8)


def dark_image(image: Image.Image) -> Image.Image:
    """RGB, with what is transparent on white first."""
    white = Image.new("RGBA", image.size, "white")
    pixels = np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))
    places = np.rint(pixels.astype(np.float32) * ((STEPS - 1) / 255)).astype(np.int64)
    red, green, blue = np.moveaxis(places, -1, 0)
    return Image.fromarray(_table()[(red * STEPS + green) * STEPS + blue])


def dark_svg(text: str) -> str:
    """By its own rules for a dark setting, where it has them."""
    if DARK_RULES in text:
        return text.replace(DARK_RULES, "all")

    def other(found: re.Match[str]) -> str:
        red, green, blue = np.rint(255 * turned(_numbers(found[1])[None])[0]).astype(int)
        return f"#{red:02x}{green:02x}{blue:02x}"

    return COLOUR.sub(other, text)


def write_dark(picture: Path) -> Path | None:
    """Write the twin beside the picture and return its path; None: it is dark already."""
    twin = picture.with_stem(f"{picture.stem}-dark")
    if picture.suffix == ".svg":
        text = picture.read_text()
        twin.write_text(dark_svg(text))
        picture.write_text(text.replace(DARK_RULES, "not all"))
        return twin
    with Image.open(picture) as image:
        if np.mean(image.convert("L").getpixel((2, 2))) < 128:
            return None
        frames = [dark_image(frame) for frame in ImageSequence.Iterator(image)]
        lasts = [frame.info.get("duration", 100) for frame in ImageSequence.Iterator(image)]
    if len(frames) == 1:
        frames[0].save(twin)
    else:
        frames[0].save(twin, save_all=True, append_images=frames[1:], duration=lasts, loop=0)
    return twin


def size_of(picture: Path) -> str:
    """As attributes, so that the page keeps the place of a picture that is not loaded yet."""
    if picture.suffix == ".svg":
        return ""
    with Image.open(picture) as image:
        return f" width={image.width} height={image.height}"


def in_both_colours(
    words: str, address: str, picture: Path, written: dict[Path, Path | None], kind: str = ""
) -> str:
    """The picture and its twin, which is written first, as a page has them; "" where it is dark already."""
    if picture not in written:
        written[picture] = write_dark(picture)
    twin = written[picture]
    if twin is None:
        return ""
    shown = {"light": address, "dark": address.removesuffix(picture.name) + twin.name}
    return "".join(
        f"![{words}]({file}#only-{scheme}){{ {kind} loading=lazy{size_of(picture)} }}"
        for scheme, file in shown.items()
    )


def with_dark_pictures(folder: Path) -> int:
    """Give every picture of the pages of a folder its twin, and each page both; return how many there are.

    Where there is a NAME-narrow beside a picture, a phone gets that one.
    """
    written: dict[Path, Path | None] = {}
    for page in sorted(folder.rglob("*.md")):

        def both(found: re.Match[str], page: Path = page) -> str:
            words, address = found.groups()
            picture = (page.parent / address).resolve()
            narrow = picture.with_stem(f"{picture.stem}-narrow")
            if not narrow.exists():
                return in_both_colours(words, address, picture, written) or found[0]
            narrow_address = address.removesuffix(picture.name) + narrow.name
            return in_both_colours(words, address, picture, written, ".wide") + in_both_colours(
                words, narrow_address, narrow, written, ".narrow"
            )

        text = page.read_text()
        changed = PICTURE.sub(both, text)
        if changed != text:
            page.write_text(changed)
    return sum(twin is not None for twin in written.values())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(write_dark(Path(name)))
