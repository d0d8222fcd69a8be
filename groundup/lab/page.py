"""The views as files: still pictures, animations, and the lab's page, which works offline.

Each view is a section: what to look for, an interactive chart for some (Plotly, whose script is
part of the page), and the still picture. The content security policy allows the page's own two
scripts, by their hashes, and no requests; inline styles are allowed, as Plotly sets them. Texts
from the model or the user are inserted as text; the data of the charts are JSON without any `<`
"""

import base64
import io
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import groundup
from groundup import __version__
from groundup.errors import MissingExtra
from groundup.files import write_bytes, write_text
from groundup.html_nodes import (
    Child,
    Node,
    foreign,
    node,
    read_asset,
    to_html,
    verbatim,
)
from groundup.lab.html_head import html_head
from groundup.lab.style import DOTS_PER_INCH
from groundup.lab.values import ModelFacts, ModelViews
from groundup.lab.views import VIEWS, function
from groundup.palette import custom_properties, page_style
from groundup.progress import Progress, Silent

Form = Literal["png", "svg"]
PNG_DOTS_PER_INCH = 160
# Of the 256 colours of a GIF's palette: 64 without dithering look the same at half the size. One
# palette for all frames avoids flicker, and lets a frame store only the rectangle that differs from
# the one before.
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
    figure.set_dpi(DOTS_PER_INCH)
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


# The stage of a build whose model the lab opens (cli.lab).
OWN_STAGE = "pretrain"
# Large enough to have heads with a clear pattern and words near similar ones; named in
# weights.model_hub.
PUBLIC_MODEL = "smollm2-135m-instruct"
# Longer texts are not repeated in a command.
TYPED_CHARACTERS = 200
REMARK = (
    "Some views show little for this model, as they note: it is small, or was trained for a short "
    "time. A public model shows more: "
)


def write_lab_page(inside: ModelViews, path: Path) -> None:
    """Write the page. Raises MissingExtra without matplotlib or Plotly, DiskError."""
    write_text(path, render(inside, path.parent))


def render(inside: ModelViews, folder: Path | None = None) -> str:
    """The page as text; links to the concept pages are relative to `folder`, where it will be
    written.
    """
    views = inside["views"]
    charts = {
        name: function(VIEWS[name].chart)(values)
        for name, values in views.items()
        if VIEWS[name].chart
    }
    scripts = (plotly_script(), read_asset("groundup.lab", "page.js"))
    body = node(
        "body",
        _opening(inside),
        node("main", [_section(name, inside, charts, folder) for name in views]),
        _footer(inside),
        verbatim("script", safe_json(charts), type="application/json", id="charts"),
        [verbatim("script", script) for script in scripts],
    )
    return to_html(node("html", _head(inside, scripts), body, lang="en"))


def plotly_script() -> str:
    """Return Plotly's own script, from its package. Raises MissingExtra."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtra("plotly", "lab") from error
    script: str = get_plotlyjs()
    return script.replace("\r\n", "\n")


def _head(inside: ModelViews, scripts: Sequence[str]) -> Node:
    figures = custom_properties(dark={}).replace(":root", "figure")
    style = page_style() + figures + read_asset("groundup.lab", "page.css")
    title = f"groundup lab: {inside['model']['name']}"
    return html_head(title, style, scripts, embedded_images=True)


def _opening(inside: ModelViews) -> Node:
    model = inside["model"]
    shape = (
        f"{model['blocks']} blocks of {model['heads']} heads, width {model['width']:,}, "
        f"vocabulary {model['vocabulary']:,}, context {model['context_tokens']:,} tokens."
    )
    links = [node("a", VIEWS[name].heading, href=f"#{name}") for name in inside["views"]]
    parts = [
        node("h1", "Inside ", foreign(model["name"])),
        node("p", shape, f" {len(links)} of the lab's {len(VIEWS)} views.", class_="quiet"),
        _stage(model),
    ]
    if any(_remark(name, values) for name, values in inside["views"].items()):
        parts.append(node("p", REMARK, _command(inside), class_="thin"))
    parts += [
        node("p", "What the model does with this text:"),
        foreign(inside["text"], "blockquote"),
        node("nav", links),
    ]
    return node("header", parts)


def _stage(model: ModelFacts) -> Node | None:
    if not model["build"]:
        return None
    which = (
        "a model that the build fine-tuned from a public one; for a build, groundup lab opens the "
        "build's own"
    )
    if model["stage"] == OWN_STAGE:
        which = "the build's own model, trained on its texts, which groundup lab opens for a build"
    folder = node("code", "BUILD/STAGE")
    return node("p", f"This is {which}. Each is opened by its folder too: ", folder, ".")


def _command(inside: ModelViews) -> Node:
    words = ["groundup", "lab", PUBLIC_MODEL]
    if len(inside["text"]) <= TYPED_CHARACTERS:
        words += ["--text", inside["text"]]
    return node("code", shlex.join(words))


def _section(name: str, inside: ModelViews, charts: Mapping[str, Any], folder: Path | None) -> Node:
    view, values = VIEWS[name], inside["views"][name]
    parts = [node("h2", view.heading), node("p", view.see, class_="see")]
    remark = _remark(name, values)
    still: Child = _stills(name, values)
    if remark:
        parts.append(node("p", remark, class_="thin"))
    if view.reel:
        parts.append(_film(name, values))
    elif name in charts:
        chart = node("div", id=f"chart-{name}", class_="chart")
        parts.append(node("figure", node("div", class_="choose"), chart))
        still = node("details", node("summary", "As a still picture"), still)
    if view.table:
        still = [still, function(view.table)(values)]
    return node("section", parts, still, _concept(view.concept, folder), id=name)


def _remark(name: str, values: Mapping[str, Any]) -> str:
    """A sentence where the model is too small for the view, else ""."""
    path = VIEWS[name].remark
    if not path:
        return ""
    return str(function(path)(values))


def _concept(page: str, folder: Path | None) -> Node:
    """A link to the concept page where groundup's source is at hand, else its file name there."""
    file = f"docs/concepts/{page}.md"
    source = Path(groundup.__file__).parents[1] / file
    where: list[Child] = [node("code", file), " in groundup's source."]
    if folder is not None and source.exists():
        where = [
            node("a", file, href=quote(Path(os.path.relpath(source, folder.resolve())).as_posix()))
        ]
    return node("p", "The concept and its code: ", where, class_="quiet")


def _embedded(kind: str, picture: bytes, alt: str) -> Node:
    source = base64.b64encode(picture).decode()
    return node("img", src=f"data:image/{kind};base64,{source}", alt=alt)


def _film(name: str, values: Mapping[str, Any]) -> Node:
    """The animation, which can be closed; the style sheet hides it from readers with the setting
    for reduced motion.
    """
    alt = f"{VIEWS[name].heading}, as an animation; still pictures follow."
    moving = node("figure", _embedded("gif", moving_picture(name, values), alt))
    summary = node("summary", "The animation (close it to stop it)")
    return node("details", summary, moving, class_="film", open="open")


def _stills(name: str, values: Mapping[str, Any]) -> Node:
    """The still picture, or its parts side by side as the width of the page allows."""
    caption, heading = str(values.get("caption", "")), VIEWS[name].heading
    parts = pictures(name, values, "svg")
    if len(parts) == 1:
        return node("figure", _embedded("svg+xml", parts[0], f"{heading}. {caption}"))
    images = [
        _embedded("svg+xml", part, f"{heading}, part {number} of {len(parts)}. {caption}")
        for number, part in enumerate(parts, start=1)
    ]
    return node("figure", node("div", images, class_="parts"), node("figcaption", caption))


def _footer(inside: ModelViews) -> Node:
    missing = [
        node("p", f"Left out, {VIEWS[name].heading}: {reason}")
        for name, reason in inside["left_out"].items()
    ]
    made = (
        f"Made by groundup {__version__} on this machine; no part of this page is loaded from "
        "elsewhere."
    )
    return node("footer", missing, node("p", made))


def safe_json(value: Any) -> str:
    """Return JSON for a script element: no text in it can end the element or begin a comment."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
