"""The site: pages of docs/, the course's notebooks, and a reference from docstrings, in build/site/html. `make docs`.

docs/**/*.md and images        copied; a link to a notebook leads to its page, a `>>>` example is shown as code, and a
                               still picture of images/touch becomes one with controls (touch.py)
groundup/course/notebooks      -> course/*.md by nbconvert, with the committed outputs; nothing is run
a room of the code             -> reference/ROOM.md, one `:::` of mkdocstrings for each module
MathJax                        from a package archive (groundup/fetch.py), so that the site asks no other host for anything
zensical build --strict        -> HTML
dark.py                        each picture also in dark colours
translations.py                links between a page and its translations
typesetting.py                 where lines break, figures in columns
links.py                       no dead link or anchor, nothing loaded from elsewhere
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import tomli_w
from booklet import MARK
from booklet import write as write_booklets
from dark import with_dark_pictures
from links import faults_of_site
from markdown_text import fenced_examples, plain_brackets
from nbconvert import MarkdownExporter
from touch import script, style, with_figures, write_model
from translations import LANGUAGES, SOURCE, mark_language, with_languages
from typesetting import typeset

from groundup.course.notebook import notebooks
from groundup.errors import GroundupError
from groundup.fetch import fetch_package, members

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
OUT = ROOT / "build" / "site"
PAGES = OUT / "pages"
CODE = ROOT / "groundup"
# MathJax 3.2.2 (Apache-2.0) as a wheel, of which one script and the fonts are taken.
MATHJAX = "django-static-mathjax==3.2.2.1"
MATHJAX_SHA256 = "05ad109fd9e5d9d380c76389689b7f523e9ccb7f7a85c1eb962c7564eac7601d"
MATHJAX_FILES = (
    "es5/tex-chtml.js",
    "es5/output/chtml/fonts/woff-v2/*.woff",
    "static/mathjax/LICENSE",
)
# Rooms with a page in the reference, in the order of a text's way through them; the others serve commands and pages.
ROOMS = (
    *(
        "api",
        "data",
        "tokenizer",
        "model",
        "train",
        "planning",
        "finetune",
        "engine",
        "evaluate",
        "lab",
        "retrieve",
    ),
    *("weights", "integrations", "course", "runs", "config", "device", "fetch", "errors"),
)
NOTEBOOK_LINK = re.compile(r"\]\((?:\.\./)+groundup/course/notebooks/([\w.-]+)\.ipynb\)")


def main() -> int:
    """Build the site and look for faults in it; return the exit code."""
    began = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    copy_pages()
    course, reference = write_course(), write_reference()
    with_dark_pictures(PAGES)
    write_assets()
    write_configuration({"COURSE": course, "REFERENCE": reference})
    zensical = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*zensical, "--config-file", str(OUT / "zensical.toml")],
        cwd=OUT,
        env={**os.environ, "PYTHONPATH": paths},
    )
    if done.returncode:
        return done.returncode
    mark_language(OUT / "html")
    shorten_search(OUT / "html" / "search.json")
    write_booklets()
    typeset(OUT / "html")
    faults = faults_of_site(OUT / "html")
    for fault in faults:
        print(fault, file=sys.stderr)
    pages, elapsed_s = len(list((OUT / "html").rglob("*.html"))), time.monotonic() - began
    print(f"build/site/html/index.html: {pages} pages in {elapsed_s:.0f} s, {len(faults)} faults")
    return 1 if faults else 0


def copy_pages() -> None:
    """Copy docs/ without its scripts; links to notebooks become links to their pages."""
    for path in sorted(DOCS.rglob("*")):
        place = path.relative_to(DOCS)
        if (
            path.is_dir()
            or place.parts[0] == "site"
            or path.suffix == ".py"
            or "__pycache__" in place.parts
        ):
            continue
        target = PAGES / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(page_text(path.read_text(), place))
        else:
            shutil.copyfile(path, target)


def page_text(text: str, place: Path) -> str:
    """A page of docs/ as the site has it, by its place there."""
    up = "../" * (len(place.parts) - 1)
    text = fenced_examples(NOTEBOOK_LINK.sub(rf"]({up}course/\1.md)", text))
    language = LANGUAGES.get(place.parent.name, LANGUAGES[SOURCE])
    text = with_figures(with_languages(text, place), up, language.whole_model)
    return text.replace(MARK, language.print_link)


def write_course() -> list[Any]:
    """Write a page for each notebook, with its outputs; return their entries of the navigation, the plan of the course first."""
    folder, exporter = PAGES / "course", MarkdownExporter()
    folder.mkdir(parents=True)
    entries: list[Any] = ["concepts/course.md"]
    for each in notebooks():
        name = each.file.stem
        text, resources = exporter.from_notebook_node(
            nbformat.read(each.file, as_version=4), {"output_files_dir": f"{name}_files"}
        )
        for file, content in resources["outputs"].items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(content)
        heading, rest = text.lstrip().split("\n", 1)
        note = f"*Notebook {each.number} of the course, about {each.minutes} minutes. To work through it: `groundup learn {each.number}`.*"
        (folder / f"{name}.md").write_text(f"{heading}\n\n{note}\n{rest}")
        entries.append({f"{each.number}. {each.title}": f"course/{name}.md"})
    return entries


def write_reference() -> list[Any]:
    """Write a page for each room of ROOMS; return their entries of the navigation."""
    folder = PAGES / "reference"
    folder.mkdir(parents=True)
    lines, entries = (
        ["# The code, room by room", "", "| room | holds |", "|---|---|"],
        ["reference/README.md"],
    )
    for room in ROOMS:
        files = (
            sorted((CODE / room).rglob("*.py")) if (CODE / room).is_dir() else [CODE / f"{room}.py"]
        )
        names = [module_name(path) for path in files]
        summary = (ast.get_docstring(ast.parse(files[0].read_text())) or "").split("\n\n")[0]
        lines.append(f"| [`{room}`]({room}.md) | {plain_brackets(' '.join(summary.split()))} |")
        first, *others = [f"::: {name}" for name in names]
        alone = "    options:\n      show_root_heading: false" + (
            "\n      members: false" if others else ""
        )
        body = "\n\n".join([f"{first}\n{alone}", *others])
        (folder / f"{room}.md").write_text(f"# groundup.{room}\n\n{body}\n")
        entries.append({room: f"reference/{room}.md"})
    introduction = "From the docstrings. [The tour](../tour.md) shows how data passes through the rooms, and which file to change for what."
    (folder / "README.md").write_text("\n".join([lines[0], "", introduction, *lines[1:], ""]))
    return entries


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def write_assets() -> None:
    """Write style, script, the model in a page, and MathJax. Raises NetworkError where its archive is neither in the cache nor in the registry."""
    assets = PAGES / "assets"
    assets.mkdir()
    for name in ("site.css", "mathematics.js"):
        shutil.copyfile(Path(__file__).parent / name, assets / name)
    (assets / "touch.js").write_text(script())
    (assets / "touch.css").write_text(style())
    write_model(assets / "model.html")
    archive = fetch_package(MATHJAX, MATHJAX_SHA256, kind="wheel")
    for glob in MATHJAX_FILES:
        for member in members(archive, glob):
            target = (
                assets
                / "mathjax"
                / member.name.partition("static/mathjax/")[2].removeprefix("es5/")
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(member.read())


def shorten_search(file: Path) -> None:
    """Of the reference and the log search finds headings alone: a reader's browser fetches the whole index with the first page."""
    index = json.loads(file.read_text())
    for item in index["items"]:
        if item["location"].startswith(("reference/", "log.html")):
            item["text"] = ""
    file.write_text(json.dumps(index, ensure_ascii=False, separators=(",", ":")))


def write_configuration(generated: dict[str, list[Any]]) -> None:
    """Write the configuration with the generated entries of the navigation."""
    configuration = tomllib.loads((Path(__file__).parent / "zensical.toml").read_text())
    configuration["project"]["nav"] = filled(configuration["project"]["nav"], generated)
    (OUT / "zensical.toml").write_text(tomli_w.dumps(configuration))


def filled(entries: list[Any], generated: dict[str, list[Any]]) -> list[Any]:
    """The entries with each name of `generated` replaced by what it stands for."""

    def below(value: Any) -> Any:
        return filled(value, generated) if isinstance(value, list) else generated.get(value, value)

    return [
        entry if isinstance(entry, str) else {title: below(value) for title, value in entry.items()}
        for entry in entries
    ]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GroundupError as error:
        sys.exit(f"{error.message} {error.fix}")
