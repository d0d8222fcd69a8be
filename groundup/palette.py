"""The colours of all pages and pictures, by what they are for; style sheets get them as CSS custom
properties (`var(--ink)`).

Text colours have a contrast of at least 4.5 with the paper. The series and the pieces follow one
another in lists of data; they are told apart by more than their colour where a picture may be
printed in grey.
"""

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from importlib import resources

# name -> in a light setting, in a dark one
COLOURS = {
    "paper": ("#fbfaf6", "#16181b"),
    "card": ("#ffffff", "#1e2125"),
    "ink": ("#22252a", "#e7e4dc"),
    "soft": ("#5e646d", "#a3a7ad"),
    "rule": ("#dedbd1", "#363a40"),
    "faint": ("#efece4", "#24282d"),
    "edge": ("#8b8f95", "#747a82"),
    "one": ("#23568f", "#83b4ec"),
    "two": ("#b4531a", "#f0a469"),
    "on-one": ("#ffffff", "#10233a"),
    "good": ("#226b3f", "#7fca98"),
    "bad": ("#a32a2a", "#f08f8a"),
    "care": ("#7d5a00", "#dcb655"),
    "said": ("#e4edf7", "#22344a"),
    "heat": ("#17365c", "#a8ccf5"),
    "frame": ("#f3f1ea", "#202428"),
    "norm": ("#f7efc9", "#4a4420"),
    "piece-0": ("#d9e6f4", "#24405f"),
    "piece-1": ("#f6dfca", "#5a3c22"),
    "piece-2": ("#d7ead9", "#274a32"),
    "piece-3": ("#ece0f0", "#47345a"),
    "series-1": ("#23568f", "#83b4ec"),
    "series-2": ("#b4531a", "#f0a469"),
    "series-3": ("#226b3f", "#7fca98"),
    "series-4": ("#8a3a8f", "#d79be3"),
    "series-5": ("#8f6400", "#dcb655"),
    "series-6": ("#b02a4a", "#f58ba4"),
    "series-7": ("#1f757c", "#76cdd4"),
    "series-8": ("#5e646d", "#b3b7bd"),
}
LIGHT = {name: light for name, (light, _) in COLOURS.items()}
DARK = {name: dark for name, (_, dark) in COLOURS.items()}
# On white paper, whatever the reader's setting.
PRINT = {
    **LIGHT,
    "paper": "#fff",
    "card": "#fff",
    "ink": "#000",
    "soft": "#444",
    "rule": "#bbb",
    "faint": "#f2f2f2",
    "one": "#1d4a7d",
    "two": "#8f3d0d",
    "good": "#184f2e",
    "bad": "#7d1c1c",
    "care": "#5c4200",
    "heat": "#10294a",
}
PIECES = tuple(colour for name, colour in LIGHT.items() if name.startswith("piece-"))
SERIES = tuple(colour for name, colour in LIGHT.items() if name.startswith("series-"))
# matplotlib's "Blues" at 0, 1/4, 1/2, 3/4 and 1, for libraries that lack it or have it reversed.
SHARES = ("#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b")
# A bar against the decision, and a line that joins two dots: paler than what they go with.
PALE_TWO, PALE_LINE = "#e3b08d", "#b9bec6"
FONT_WEIGHTS = (400, 700)
SERIF = '"Source Serif 4", Charter, Cambria, Georgia, "Liberation Serif", serif'


def custom_properties(
    light: Mapping[str, str] = LIGHT,
    dark: Mapping[str, str] = DARK,
    printed: Mapping[str, str] | None = None,
) -> str:
    """Return the colours as CSS: `light`, and where there are others those of a reader's dark
    setting and of print.
    """

    def root(colours: Mapping[str, str]) -> str:
        return f":root {{ {''.join(f'--{name}: {colour}; ' for name, colour in colours.items())}}}"

    media = {"(prefers-color-scheme: dark)": dark, "print": printed}
    return f"{root(light)}\n" + "".join(
        f"@media {name} {{ {root(own)} }}\n" for name, own in media.items() if own
    )


def page_style() -> str:
    """The beginning of a page's style sheet: colours and serif."""
    return custom_properties(printed=PRINT) + serif_style()


@cache
def serif_style() -> str:
    """The serif of all pages, `var(--serif)`. The font is inside, in two weights: a page loads
    nothing, and Linux has none of its kind.
    """
    faces = "".join(
        f'@font-face {{ font-family: "Source Serif 4"; font-weight: {weight}; font-display: block; '
        f'src: url("data:font/woff2;base64,{font(weight)}") format("woff2"); }}\n'
        for weight in FONT_WEIGHTS
    )
    return f"{faces}:root {{ --serif: {SERIF}; }}\n"


def font(weight: int) -> str:
    """Source Serif 4 (OFL, fonts/OFL.txt), the latin part, in base64."""
    file = resources.files("groundup").joinpath("fonts", f"source-serif-4-{weight}.woff2")
    return b64encode(file.read_bytes()).decode()
