"""Pictures of the documents that matplotlib draws: as wide as a page's column at most, type of 12 pixels and more."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from groundup.errors import ConfigError
from groundup.lab.style import COLUMN_PIXELS, LEAST_PIXELS, WIDTH_INCHES, pyplot, smallest_type
from tests.test_docs import ROOT, script

PICTURES = sorted((ROOT / "docs").rglob("*.png"))


def written(picture: Path) -> dict[str, str]:
    """What the program that drew a picture wrote into it."""
    with Image.open(picture) as image:
        image.load()
        return {name: str(value) for name, value in image.info.items()}


DRAWN = [each for each in PICTURES if "Matplotlib" in written(each).get("Software", "")]


@pytest.fixture
def pictures() -> ModuleType:
    return script("pictures", "docs/concepts")


def figure(points: float, width: float = WIDTH_INCHES, words: str = "word") -> Any:
    drawn, axes = pyplot().subplots(figsize=(width, 2))
    axes.text(0.5, 0.5, words, fontsize=points)
    pyplot().close(drawn)
    return drawn


@pytest.mark.parametrize("picture", DRAWN, ids=lambda picture: picture.stem)
def test_a_picture_fits_the_column_and_its_smallest_type_can_be_read(
    picture: Path, pictures: ModuleType
) -> None:
    with Image.open(picture) as image:
        assert image.width <= COLUMN_PIXELS
    recorded = written(picture)
    assert pictures.SMALLEST_TYPE in recorded, "not drawn by docs/concepts/pictures.py"
    assert float(recorded[pictures.SMALLEST_TYPE].split()[0]) >= LEAST_PIXELS


def test_films_fit_the_column() -> None:
    films = [*(ROOT / "docs/images").glob("*-forming.gif")]
    assert len(films) == 2
    for film in films:
        with Image.open(film) as image:
            assert image.width <= COLUMN_PIXELS, film.name


def test_a_picture_with_type_of_11_pixels_or_wider_than_the_column_is_refused(
    pictures: ModuleType, tmp_path: Path
) -> None:
    pictures.IMAGES = tmp_path
    pictures.save(figure(9), "good")
    assert written(tmp_path / "good.png")[pictures.SMALLEST_TYPE] == "12.0 pixels"
    for bad in (figure(8.25), figure(9, WIDTH_INCHES + 0.1)):
        with pytest.raises(ConfigError, match="pixels"):
            pictures.save(bad, "bad")
    assert [file.name for file in tmp_path.iterdir()] == ["good.png"]


@pytest.mark.parametrize(
    ("points", "words", "pixels"),
    [(9, "word", 12), (8.25, "word", 11), (9, " ", 13.3), (10, "$10^{-1}$", 9.3), (9, r"\$5^", 12)],
)
def test_the_smallest_type_is_measured_exponents_with_it(
    points: float, words: str, pixels: float
) -> None:
    assert smallest_type(figure(points, words=words)) == pytest.approx(pixels, abs=0.05)


def test_hidden_text_does_not_count_and_tick_labels_do() -> None:
    drawn = figure(6)
    drawn.axes[0].texts[0].set_visible(False)
    assert smallest_type(drawn) > LEAST_PIXELS
    drawn.axes[0].tick_params(labelsize=8)
    assert smallest_type(drawn) == pytest.approx(8 / 0.75)
