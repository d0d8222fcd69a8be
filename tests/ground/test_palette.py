"""The palette: the one place of the colours of pages and pictures."""

import re
from pathlib import Path

import pytest

import groundup
from groundup.palette import COLOURS, DARK, LIGHT, custom_properties

ROOT = Path(groundup.__file__).parent
SHEETS = sorted(ROOT.rglob("*.css"))
TEXT_COLOURS = ("ink", "soft", "one", "two", "good", "bad", "care")


def test_no_other_file_has_colours_of_its_own() -> None:
    for path in [*SHEETS, *ROOT.rglob("*.py")]:
        if path.name != "palette.py":
            assert not re.findall(r"#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b", path.read_text()), path


@pytest.mark.parametrize(
    "sheet", SHEETS, ids=lambda path: path.parent.parent.name + "/" + path.name
)
def test_every_property_of_a_style_sheet_is_in_the_palette_or_set_in_a_sheet(sheet: Path) -> None:
    together = "".join(
        path.read_text() for path in (*sheet.parent.glob("*.css"), *sheet.parent.glob("*.js"))
    )
    own = set(re.findall(r"--([a-z0-9-]+)[:\"]", together))
    assert set(re.findall(r"var\(--([a-z0-9-]+)", sheet.read_text())) <= own | set(COLOURS)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", TEXT_COLOURS)
def test_text_has_enough_contrast_with_the_paper(colours: dict[str, str], name: str) -> None:
    bright, dim = sorted((_luminance(colours[name]), _luminance(colours["paper"])), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_a_style_sheet_follows_the_readers_setting() -> None:
    light, dark = custom_properties({"ink": "#000"}, {"ink": "#fff"}).splitlines()
    assert light == ":root { --ink: #000; }"
    assert dark == "@media (prefers-color-scheme: dark) { :root { --ink: #fff; } }"


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
