"""The path through the concept pages as one document to print: build/site/html/concepts/booklet.html, from the same pages,
and in other languages (concepts/LANGUAGE/booklet.html).

    python docs/site/booklet.py        after build.py: also each booklet.pdf, by Chromium (`make booklet`)

Of each page all but what stands under "More"; pictures as they are before they are touched.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import markdown
from touch import STILL, STILLS
from translations import CONCEPTS, LANGUAGES, SOURCE, page

from groundup.files import write_text
from groundup.palette import LIGHT, PRINT, serif_style

HTML = CONCEPTS.parents[1] / "build/site/html/concepts/booklet.html"
ROW = re.compile(r"^\| (\d+) \| \[([^\]]+)\]\(([\w-]+)\.md\) \| (\d+) \|", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^)\s]+)\)")
# In path.md, where the site has the link.
MARK = "<!-- booklet -->"
# What stands in path.md between the opening and how a page is used.
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


class Stop(NamedTuple):
    """A page of the path."""

    number: int
    question: str
    name: str
    minutes: int


def stops(language: str = SOURCE) -> list[Stop]:
    """The pages of the path, in their order."""
    rows = ROW.findall(page("path", language).read_text())
    return [
        Stop(int(number), question, name, int(minutes)) for number, question, name, minutes in rows
    ]


def booklet(language: str = SOURCE) -> str:
    """The document as HTML that loads nothing."""
    words, pages = LANGUAGES[language], stops(language)
    names = {stop.name for stop in pages}
    folder = Path(__file__).parent / "touch"
    style = "".join((folder / name).read_text() for name in ("booklet.css", "touch.css"))
    colours = "".join(f"--{name}: {colour}; " for name, colour in (LIGHT | PRINT).items())
    opening, _, rest = page("path", language).read_text().partition(MARK)
    _, after = TABLE.split(rest)
    minutes = sum(stop.minutes for stop in pages)
    contents = "".join(
        f'<li><a href="#{stop.name}">{stop.question}</a> '
        f"<span>{words.minutes.format(minutes=stop.minutes)}</span></li>"
        for stop in pages
    )
    chapters = "".join(
        f'<section id="{stop.name}"><p class="number">'
        f"{words.place.format(number=stop.number, count=len(pages), minutes=stop.minutes)}</p>"
        f"{as_html(taught(stop.name, language), names)}</section>"
        for stop in pages
    )
    together = words.together.format(minutes=minutes)
    cover = as_html(opening, names) + f"<ol>{contents}</ol><p>{together}</p>"
    back = as_html(after, names)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{words.title}</title>'
        f"<style>:root {{ {colours}}}\n{serif_style()}{style}</style></head>"
        f"<body><header>{cover}{back}</header><main>{chapters}</main></body></html>\n"
    )


def taught(name: str, language: str = SOURCE) -> str:
    """A page without what stands under "More"."""
    return page(name, language).read_text().partition("\n## More\n")[0]


def as_html(text: str, names: set[str]) -> str:
    """Markdown of a page as HTML; links to pages of the path lead within the booklet, those to others are plain words."""

    def linked(found: re.Match[str]) -> str:
        words, target = found.groups()
        if "://" in target:
            return found[0]
        name = target.removesuffix(".md")
        return f"[{words}](#{name})" if name in names else words

    def drawn(found: re.Match[str]) -> str:
        picture = (STILLS / f"{found[3]}.svg").read_text().strip()
        scoped = re.sub(r"<style>.*?</style>", "", picture, flags=re.DOTALL)
        return f"<figure>{scoped}</figure>"

    text = re.sub(r"\n+```$", "\n```", text, flags=re.MULTILINE)
    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [STILL.sub(drawn, LINK.sub(linked, part)) for part in parts[::2]]
    found = markdown.markdown("".join(parts), extensions=["tables", "fenced_code", "md_in_html"])
    return found.replace("<pre>", '<pre tabindex="0">')  # it scrolls on a narrow screen


def main() -> int:
    """Print the booklets that build.py has written as PDF; return the exit code."""
    from playwright.sync_api import sync_playwright

    if not HTML.exists():
        print(f"{HTML} is not there; run docs/site/build.py first.", file=sys.stderr)
        return 2
    number = '<p style="width: 100%; text-align: center; font-size: 8px" class="pageNumber"></p>'
    browsers = (shutil.which(name) for name in ("chromium", "chromium-headless-shell"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=next(filter(None, browsers), None))
        for file in map(file_of, LANGUAGES):
            view = browser.new_page()
            view.goto(file.as_uri())
            view.pdf(
                path=file.with_suffix(".pdf"),
                format="A4",
                display_header_footer=True,
                header_template="<p></p>",
                footer_template=number,
                print_background=True,
                margin={"top": "18mm", "bottom": "18mm", "left": "20mm", "right": "20mm"},
            )
            view.close()
            print(file.with_suffix(".pdf").relative_to(CONCEPTS.parents[1]))
        browser.close()
    return 0


def file_of(language: str) -> Path:
    if language == SOURCE:
        return HTML
    return HTML.parent / language / HTML.name


def write() -> None:
    """The documents, beside the pages of the site."""
    for language in LANGUAGES:
        write_text(file_of(language), booklet(language))


if __name__ == "__main__":
    sys.exit(main())
