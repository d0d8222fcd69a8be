"""The path through the concept pages as one document to print: build/site/html/concepts/booklet.html, from the same pages.

    python docs/site/booklet.py        after build.py: also booklet.pdf, by Chromium (`make booklet`)

Of each page all but what stands under "More"; pictures as they are before they are touched.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import markdown
from touch import STILL, STILLS

from groundup.files import write_text
from groundup.palette import LIGHT, PRINT

CONCEPTS = Path(__file__).parents[1] / "concepts"
PATH = CONCEPTS / "path.md"
HTML = CONCEPTS.parents[1] / "build/site/html/concepts/booklet.html"
ROW = re.compile(r"^\| (\d+) \| \[([^\]]+)\]\(([\w-]+)\.md\) \| (\d+) \|", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^)\s]+)\)")
# In path.md, where the site has the link.
MARK = "<!-- booklet -->"
LINE = 'To print: <a href="booklet.html">all eleven as one booklet</a>.'


class Stop(NamedTuple):
    """A page of the path."""

    number: int
    question: str
    name: str
    minutes: int


def stops() -> list[Stop]:
    """The pages of the path, in their order."""
    rows = ROW.findall(PATH.read_text())
    return [
        Stop(int(number), question, name, int(minutes)) for number, question, name, minutes in rows
    ]


def booklet() -> str:
    """The document as HTML that loads nothing."""
    pages = stops()
    names = {page.name for page in pages}
    folder = Path(__file__).parent / "touch"
    style = "".join((folder / name).read_text() for name in ("booklet.css", "touch.css"))
    colours = "".join(f"--{name}: {colour}; " for name, colour in (LIGHT | PRINT).items())
    opening, _, rest = PATH.read_text().partition(MARK)
    after = rest.partition("\n\n**How to use")[2]
    minutes = sum(page.minutes for page in pages)
    contents = "".join(
        f'<li><a href="#{page.name}">{page.question}</a> <span>{page.minutes} minutes</span></li>'
        for page in pages
    )
    chapters = "".join(
        f'<section id="{page.name}"><p class="number">{page.number} of {len(pages)} · '
        f"{page.minutes} minutes</p>{as_html(taught(page.name), names)}</section>"
        for page in pages
    )
    cover = as_html(opening, names) + f"<ol>{contents}</ol><p>Together {minutes} minutes.</p>"
    back = as_html(f"**How to use{after}", names)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>How a language model works</title>'
        f"<style>:root {{ {colours}}}\n{style}</style></head>"
        f"<body><header>{cover}{back}</header>{chapters}</body></html>\n"
    )


def taught(name: str) -> str:
    """A page without what stands under "More"."""
    return (CONCEPTS / f"{name}.md").read_text().partition("\n## More\n")[0]


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
    return markdown.markdown("".join(parts), extensions=["tables", "fenced_code", "md_in_html"])


def main() -> int:
    """Print the booklet that build.py has written as PDF; return the exit code."""
    from playwright.sync_api import sync_playwright

    if not HTML.exists():
        print(f"{HTML} is not there; run docs/site/build.py first.", file=sys.stderr)
        return 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        view = browser.new_page()
        view.goto(HTML.as_uri())
        number = (
            '<p style="width: 100%; text-align: center; font-size: 8px" class="pageNumber"></p>'
        )
        view.pdf(
            path=HTML.with_suffix(".pdf"),
            format="A4",
            display_header_footer=True,
            header_template="<p></p>",
            footer_template=number,
            print_background=True,
            margin={"top": "18mm", "bottom": "18mm", "left": "20mm", "right": "20mm"},
        )
        browser.close()
    print(HTML.with_suffix(".pdf").relative_to(Path.cwd()))
    return 0


def write() -> None:
    """The document, beside the pages of the site."""
    write_text(HTML, booklet())


if __name__ == "__main__":
    sys.exit(main())
