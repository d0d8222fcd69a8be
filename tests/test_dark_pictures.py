"""The site's pictures in dark colours: `docs/site/dark.py`."""

import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from groundup.palette import DARK, LIGHT
from tests.test_docs import script

IMAGES = Path(__file__).parents[1] / "docs" / "images"


@cache
def dark() -> ModuleType:
    sys.path.insert(0, str(IMAGES.parent / "site"))
    try:
        return script("dark")
    finally:
        sys.path.pop(0)


def luminance(colour: tuple[int, ...]) -> float:
    """Relative luminance, as WCAG defines it."""
    shares = [each / 255 for each in colour]
    linear = [
        each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in shares
    ]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    low, high = sorted(luminance(each) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


def turned(colour: str) -> tuple[int, ...]:
    found = dark().dark_image(Image.new("RGB", (1, 1), rgb(colour))).getpixel((0, 0))
    assert isinstance(found, tuple)
    return tuple(map(int, found))


def test_white_becomes_the_dark_paper_and_black_its_ink() -> None:
    assert turned("#ffffff") == pytest.approx(rgb(DARK["paper"]), abs=4)
    assert turned("#000000") == pytest.approx(rgb(DARK["ink"]), abs=8)


@pytest.mark.parametrize("name", ["ink", "soft", "one", "two", "good", "series-4", "series-7"])
def test_a_colour_of_text_and_lines_stays_legible_and_keeps_its_hue(name: str) -> None:
    found = turned(LIGHT[name])
    is_text = name in ("ink", "soft")
    assert contrast(found, rgb(DARK["paper"])) >= (4.5 if is_text else 3)
    if not is_text:
        assert int(np.argmax(found)) == int(np.argmax(rgb(LIGHT[name])))


def test_a_page_shows_each_picture_in_the_colours_of_the_site(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "white").save(tmp_path / "chart.png")
    Image.new("RGB", (4, 4), "black").save(tmp_path / "terminal.png")
    frames = [Image.new("RGB", (4, 4), shade) for shade in ("white", "#ddd")]
    frames[0].save(
        tmp_path / "film.gif", save_all=True, append_images=frames[1:], duration=[70, 90]
    )
    (tmp_path / "own.svg").write_text("<style>@media (prefers-color-scheme: dark) {}</style>")
    (tmp_path / "plain.svg").write_text('<rect fill="#fff" stroke="#1f4e86"/>')
    (tmp_path / "plain-narrow.svg").write_text('<rect fill="#fff"/>')
    names = ["chart.png", "terminal.png", "film.gif", "own.svg", "plain.svg"]
    (tmp_path / "page.md").write_text("\n".join(f"![A {name}]({name})" for name in names))
    assert dark().with_dark_pictures(tmp_path) == 5
    page = (tmp_path / "page.md").read_text()
    assert "![A chart.png](chart.png#only-light)" in page
    assert "![A chart.png](chart-dark.png#only-dark)" in page
    assert "![A terminal.png](terminal.png)" in page
    with Image.open(tmp_path / "film-dark.gif") as film:
        assert (getattr(film, "n_frames", 1), film.info["duration"]) == (2, 70)
    assert "@media all" in (tmp_path / "own-dark.svg").read_text()
    assert "@media not all" in (tmp_path / "own.svg").read_text()
    for kind, name in (("wide", "plain-dark.svg"), ("narrow", "plain-narrow-dark.svg")):
        assert f"({name}#only-dark){{ .{kind} loading=lazy }}" in page
    assert "#fff" not in (tmp_path / "plain-dark.svg").read_text()
