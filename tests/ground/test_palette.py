"""The palette: the one place of the colours of pages and pictures."""

import base64
import re
from pathlib import Path

import pytest

import groundup
from groundup.palette import COLOURS, DARK, LIGHT, PRINT, custom_properties, page_style

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
    assert set(re.findall(r"var\(--([a-z0-9-]+)", sheet.read_text())) <= own | set(COLOURS) | {
        "serif"
    }


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", TEXT_COLOURS)
def test_text_has_enough_contrast_with_the_paper(colours: dict[str, str], name: str) -> None:
    assert _contrast(colours[name], colours["paper"]) >= 4.5  # WCAG 2.2, 1.4.3


def test_ink_can_be_read_on_the_most_of_a_colour_behind_it() -> None:
    shares = re.findall(r"--strong: (\d+)%", (ROOT / "serve/web/base.css").read_text())
    for colours, share in zip((LIGHT, DARK), shares, strict=True):
        for name, ground in (("one", "card"), ("one", "paper"), ("two", "card"), ("two", "paper")):
            behind = _mixed(colours[name], colours[ground], int(share) / 100)
            assert _contrast(colours["ink"], behind) >= 4.5, (name, ground, share)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_mixed_colours_of_a_reports_text_can_be_read(colours: dict[str, str]) -> None:
    sheet = (ROOT / "report/page.css").read_text()
    grounds = {
        ".piece-id": [f"piece-{n}" for n in range(4)],
        ".samples blockquote b": ["faint"],
    }
    for rule, behind in grounds.items():
        written = (
            rf"{re.escape(rule)} {{[^}}]*color-mix\(in srgb, var\(--(\w+)\) (\d+)%, var\(--(\w+)"
        )
        name, share, other = re.findall(written, sheet)[0]
        colour = _mixed(colours[name], colours[other], int(share) / 100)
        assert all(_contrast(colour, colours[ground]) >= 4.5 for ground in behind), rule


def test_a_style_sheet_follows_the_readers_setting() -> None:
    light, dark = custom_properties({"ink": "#000"}, {"ink": "#fff"}).splitlines()
    assert light == ":root { --ink: #000; }"
    assert dark == "@media (prefers-color-scheme: dark) { :root { --ink: #fff; } }"


def test_paper_has_no_colour_of_a_dark_setting() -> None:
    assert PRINT.keys() == DARK.keys()
    changed = {name for name in PRINT if DARK[name] != LIGHT[name]}
    assert all(PRINT[name] != DARK[name] for name in changed)


def _contrast(one: str, other: str) -> float:
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _mixed(one: str, other: str, share: float) -> str:
    parts = [(int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in parts)


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_page_has_the_serif_inside_and_none_names_another() -> None:
    style = page_style()
    found = re.findall(r"font-weight: (\d+).*?base64,([\w+/=]+)", style)
    assert [int(weight) for weight, _ in found] == [400, 700]
    assert all(base64.b64decode(font).startswith(b"wOF2") for _, font in found)
    assert style.count("--serif:") == 1
    assert not re.search(r"url\((?!\"data:)", style)
    assert (ROOT / "fonts" / "OFL.txt").read_text().startswith("Source Serif 4")
    sheets = {path.name: path.read_text() for path in ROOT.rglob("*.css")}
    assert not [name for name, text in sheets.items() if re.search("--serif:|Georgia", text)]
