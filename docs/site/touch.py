"""The pictures of the concept pages that can be touched: `![words](../images/touch/NAME.svg)` in a page stands for the still
picture, which the site's script (`touch/*.js`) replaces by one with controls.

and for the model that computes in the reader's browser: `<!-- live PART: words -->` becomes a frame around a part of the live page.

    python docs/site/touch.py        draws the still pictures anew (wants node); tests/test_concepts.py compares them
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from translations import LANGUAGES, SOURCE

from groundup.device import select_compute
from groundup.files import write_text
from groundup.lab.live.live_page import write_live_page
from groundup.palette import COLOURS, DARK, LIGHT, custom_properties, serif_style
from groundup.weights.model_io import open_model

HERE = Path(__file__).parent / "touch"
WORDS = HERE / "words"
STILLS = HERE.parents[1] / "images" / "touch"
SCRIPTS = (
    "frame.js",
    "attention.js",
    "recorded.js",
    "training.js",
    "models.js",
    "live.js",
    "scroll.js",
    "languages.js",
)
STILL = re.compile(r"^!\[([^\]]*)\]\(((?:\.\./)+images/touch/([\w-]+)\.svg)\)$", re.MULTILINE)
LIVE = re.compile(r"^<!-- live ([\w-]+): (.+) -->$", re.MULTILINE)
# The model of the concept pages, and the text that it continues at first (docs/concepts/README.md).
MODEL = Path(__file__).parent / "model" / "tiny-shakespeare.gguf"
TEXT = "What is the matter, my good"


def script() -> str:
    """The program of all pictures, with their words in other languages (touch/words)."""
    words = {file.stem: tomllib.loads(file.read_text()) for file in sorted(WORDS.glob("*.toml"))}
    parts = [(HERE / name).read_text() for name in SCRIPTS]
    return "\n".join([*parts, f"const WORDS = {json.dumps(words, ensure_ascii=False)};"])


def style() -> str:
    """The colours of groundup/palette.py by the site's two schemes, its serif, and the style of pictures and frames."""

    def within(selector: str, place: int) -> str:
        named = "".join(f"--{name}: {both[place]}; " for name, both in COLOURS.items())
        return f"{selector} {{ {named}}}\n"

    own = within("[data-md-color-scheme]", 0) + within('[data-md-color-scheme="slate"]', 1)
    return (
        own
        + serif_style()
        + "".join((HERE / name).read_text() for name in ("touch.css", "page.css"))
    )


def with_figures(text: str, up: str = "../", whole: str = LANGUAGES[SOURCE].whole_model) -> str:
    """The page with a frame around each still picture, for the script to fill. `up` leads to the site's first page, `whole` names the
    page of the whole model.
    """

    def framed(found: re.Match[str]) -> str:
        words, source, name = found.groups()
        return f'<figure class="touch" data-picture="{name}"><img src="{source}" alt="{words}"></figure>'

    return LIVE.sub(lambda found: _live(found, up, whole), STILL.sub(framed, text))


def _live(found: re.Match[str], up: str, whole: str) -> str:
    part, words = found[1], re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", found[2])
    page, title = f"{up}assets/model.html", f"A model in this page: {part.removeprefix('at-')}"
    return (
        f'<figure class="live"><figcaption>{words}</figcaption>'
        f'<iframe data-src="{page}" name="{part}" title="{title}"></iframe>'
        "<noscript><p>The model computes in your browser, which needs JavaScript.</p></noscript>"
        f'<p class="live-whole"><a href="{page}#{part}">{whole}</a></p>'
        "</figure>"
    )


def write_model(page: Path) -> None:
    """The live page of MODEL."""
    write_live_page(open_model(str(MODEL), select_compute("cpu")), page, text=TEXT)


def in_node(program: str) -> str:
    """What a program after all pictures' own prints. Raises CalledProcessError."""
    done = subprocess.run(
        ["node", "-"],
        input=f"{script()}\n{program}",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def stills() -> dict[str, str]:
    """Each picture by its name, as it stands before it is touched, with its style inside."""
    program = """console.log(JSON.stringify(Object.fromEntries(Object.entries(PICTURES).map(
        ([name, picture]) => [name, svg(picture, initial(picture))]))))"""
    colours = custom_properties(LIGHT, DARK).replace(":root", "svg")
    inner = f"<style>{colours}{(HERE / 'touch.css').read_text()}</style>"
    drawn: dict[str, str] = json.loads(in_node(program))
    return {
        name: re.sub(r"^(<svg[^>]*>)", rf"\g<1>{backdrop(picture)}", picture).replace(
            "STYLE", inner
        )
        + "\n"
        for name, picture in drawn.items()
    }


def backdrop(picture: str) -> str:
    """A card below a still picture, which may lie on any page."""
    _, _, width, height = re.findall(r'viewBox="([^"]+)"', picture)[0].split()
    return f'STYLE<rect width="{width}" height="{height}" fill="var(--card)"/>'


def main() -> int:
    """Write every still picture; return the exit code."""
    STILLS.mkdir(exist_ok=True)
    for name, picture in stills().items():
        write_text(STILLS / f"{name}.svg", picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
