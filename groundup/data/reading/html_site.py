"""What a page of a web site says outside of its article: its heading, and how the firm is reached.

The article of a page is what `trafilatura` keeps of it. A firm's pages often have their only <h1>
in a banner above, and address, telephone and e-mail in a footer that is the same on each page.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundup.data.reading.html_tree import HEADINGS, INLINE

MAX_HEADING_CHARACTERS, MAX_LINE_CHARACTERS = 120, 200
CONTACT = "## Contact"
# The page of a site that has its footer in an index: that with one of these names, else the first
# page of its folder.
_NAMES = "index home homepage contact contact-us contacts kontakt impressum imprint about about-us"
SITE_PAGES = frozenset(_NAMES.split())
PAGE_SUFFIXES = (".html", ".htm")
_FOOTER = re.compile(r"(?:^|[\s_-])footer(?:$|[\s_-])", re.IGNORECASE)
# An e-mail address, a telephone number, a postcode of the United Kingdom, or of five digits before
# a town.
_REACHED = re.compile(
    r"[\w.+-]+@[\w-]+\.\w{2,}|(?<!\w)(?:\+|0)\d[\d ()/-]{7,}\d"
    r"|\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b|\b\d{5} [A-ZÀ-Þ][a-zà-ÿ]"
)
_SPACES = re.compile(r"[ \t\r\n\xa0]+")


def banner(tree: Any) -> list[str]:
    """Return a page's only <h1> as a heading; [] where it has none, several or a long one. With the
    heading and the text right behind it, if these have no link, as the NAME of a manual page.
    """
    found = list(tree.iter("h1"))
    title = "".join(map(_line, found))
    if len(found) != 1 or not title or len(title) > MAX_HEADING_CHARACTERS:
        return []
    behind = [each for each in found[0].itersiblings() if isinstance(each.tag, str)]
    if len(behind) != 2 or behind[0].tag != "h2" or any(list(each.iter("a")) for each in behind):
        return [f"# {title}"]
    return [f"# {title}", f"## {_line(behind[0])}", _line(behind[1])]


def _line(element: Any) -> str:
    return _SPACES.sub(" ", "".join(element.itertext())).strip()


def is_site_page(path: Path) -> bool:
    """Whether a page stands for its site: only one of them is to have the footer."""
    if path.stem.lower() in SITE_PAGES:
        return True
    pages = [each for each in path.parent.iterdir() if each.suffix.lower() in PAGE_SUFFIXES]
    named = any(each.stem.lower() in SITE_PAGES for each in pages)
    return not named and path.name == min(each.name for each in pages)


def contact_lines(tree: Any) -> list[str]:
    """Return the lines of a page's footer that say where the firm is or how it is reached, each
    paragraph with an address, number or postcode as a whole; of several branches below the heading
    of each.
    """
    found: dict[str, list[str]] = {}
    for footer in tree.iter("footer", "div", "section"):
        names = f"{footer.get('class') or ''} {footer.get('id') or ''}"
        if footer.tag == "footer" or _FOOTER.search(names):
            heading = ""
            for tag, block in _blocks(footer):
                if tag in HEADINGS:
                    heading = " ".join(block)
                elif any(map(_REACHED.search, block)):
                    found.setdefault(heading, []).extend(block)
            break
    if len(found) == 1:
        return list(dict.fromkeys(*found.values()))
    return [
        line
        for heading, lines in found.items()
        for line in (*filter(None, [heading and f"\n### {heading}\n"]), *dict.fromkeys(lines))
    ]


def _blocks(element: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the tag and the lines of each block without blocks in it."""
    children = [child for child in element if isinstance(child.tag, str)]
    if any(child.tag not in (*INLINE, "br") for child in children):
        for child in children:
            yield from _blocks(child)
        return
    for line in element.iter("br"):
        line.tail = f"\n{line.tail or ''}"
    lines = ("".join(element.itertext())).split("\n")
    shown = [_SPACES.sub(" ", line).strip() for line in lines]
    yield element.tag, [line for line in shown if line and len(line) <= MAX_LINE_CHARACTERS]
