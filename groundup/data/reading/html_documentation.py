"""What pages of documentation need before their text is extracted for an index:

article     trafilatura looks for the element that is the text of a page; where it knows none it
            takes paragraphs one by one, without the headings and small tables between them
code        each <pre> is a word while the text is extracted, then a block between fences on lines
            of its own: extraction joins it with the text behind it
contents    lists of links to parts of the same page are left out
links       those of a list below a line that ends with a colon are text: extraction takes a list
            of links for navigation
labels      "Note", "Warning": one paragraph with what they stand above
anchors     <a> without a target are left out, since extraction drops the text behind them
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

FENCE = "```"
_CODE, _CODE_WORD = "zqcode{}qz", re.compile(r"zqcode(\d{1,9})qz")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")
# What a list's item of nothing but code leaves before it.
_BARE_ITEM = re.compile(r"\A\s*-[ \t]*\n\n")
# A column of line numbers beside code.
_LINE_NUMBERS = re.compile(r"1\s+2(?:\s+\d+)*")
_LABEL = re.compile(
    r"(?:note|warning|tip|caution|important|danger|hint|attention|see also)[:.]?", re.IGNORECASE
)
_LABELLED = re.compile(
    r"admonition|\b(?:note|warning|tip|caution|important|danger|hint|attention|seealso)\b"
)
# Of a page's own table of contents: links, characters beside a link, and its title.
_LINKS, _BESIDE_LINK = 2, 8
_TITLE = re.compile(r"(?:table of )?contents|on this page|inhalt\w*|sommaire", re.IGNORECASE)


def prepare_documentation(tree: Any) -> list[str]:
    """Change the tree of a page as said above, but for its article; return its code, for
    `put_code`.
    """
    _drop_contents(tree)
    for anchor in list(tree.iter("a")):
        if anchor.get("href") is None:
            anchor.drop_tag()
    for listed in tree.iter("ul", "ol"):
        before = listed.getprevious()
        if before is not None and _text(before).endswith(":"):
            for link in list(listed.iter("a")):
                link.drop_tag()
    for table in list(tree.iter("table")):
        _open_label(table)
    for element in list(tree.iter("p", "div", "h2", "h3", "h4", "h5", "h6")):
        _join_label(element)
    return _take_code(tree)


def mark_article(tree: Any) -> None:
    """Make all of a page its article."""
    body = tree.find(".//body")
    if body is None:
        return
    article = body.makeelement("article")
    article.text, body.text = body.text, None
    for child in list(body):
        article.append(child)
    body.append(article)


def put_code(text: str, code: Sequence[str]) -> str:
    """Return an extracted text with the code in its places; in the row of a table on its line."""

    def in_line(found: re.Match[str]) -> str:
        return " ".join(_code_of(found, code).split())

    def fenced(found: re.Match[str]) -> str:
        block = _code_of(found, code)
        if FENCE in block:
            return block
        return f"{FENCE}\n{block}\n{FENCE}"

    lines = []
    for line in text.split("\n"):
        if line.lstrip().startswith("|"):
            lines.append(_CODE_WORD.sub(in_line, line))
        else:
            lines.append(_BARE_ITEM.sub("\n", _CODE_WORD.sub(r"\n\n\g<0>\n\n", line)))
    return _CODE_WORD.sub(fenced, _BLANK_LINES.sub("\n\n", "\n".join(lines)))


def _code_of(word: re.Match[str], code: Sequence[str]) -> str:
    """Return the code that a word stands for; the word where the page has it itself."""
    return "".join(code[int(word[1]) : int(word[1]) + 1]) or word[0]


def _take_code(tree: Any) -> list[str]:
    code: list[str] = []
    for element in list(tree.iter("pre")):
        if next(element.iterancestors("pre"), None) is not None:
            continue
        for line in element.iter("br"):
            line.tail = f"\n{line.tail or ''}"
        text = "".join(element.itertext()).strip("\n").rstrip()
        element.clear(keep_tail=True)
        element.tag = "p"
        if text.strip() and not _LINE_NUMBERS.fullmatch(text.strip()):
            element.text = _CODE.format(len(code))
            code.append(text)
    return code


def _drop_contents(tree: Any) -> None:
    """Leave out lists of nothing but links to parts of the page, with the title above one."""
    places = set(tree.xpath("//@id | //@name"))
    for listed in list(tree.iter("ul", "ol", "dl")):
        around, links = listed.getparent(), list(listed.iter("a"))
        parts = [(link.get("href") or "").partition("#")[2] for link in links]
        if (
            len(links) < _LINKS
            or around is None
            or not all(unquote(part) in places for part in parts)
        ):
            continue
        linked = sum(len(_text(link)) for link in links)
        if len(_text(listed)) - linked > len(links) * _BESIDE_LINK:
            continue
        listed.drop_tree()
        if around.tag in ("div", "nav", "section") and _TITLE.fullmatch(_text(around)):
            around.drop_tree()


def _open_label(table: Any) -> None:
    """Make a label and what it is of paragraphs, which AsciiDoc writes as a table."""
    cells = list(table.iter("td"))
    if len(cells) != 2 or not _is_labelled(table):
        return
    for part in list(table.iter("table", "tbody", "tr", "td")):
        part.tag = "div"
    if not _text(cells[0]):
        cells[0].text = " ".join(each.get("alt") or "" for each in cells[0].iter("img"))


def _join_label(element: Any) -> None:
    """Put a label before the paragraph that it is of."""
    behind, label = element.getnext(), _text(element)
    if behind is None or behind.tag not in ("p", "div"):
        return
    if not _LABEL.fullmatch(label) or not _is_labelled(element):
        return
    parts = behind.iter("p", "div")
    first = next((part for part in parts if part.tag == "p" or (part.text or "").strip()), behind)
    first.text = f"{label.rstrip(':.')}: {(first.text or '').lstrip()}"
    element.drop_tree()


def _is_labelled(element: Any) -> bool:
    """Whether an element stands in one of the class of a label."""
    around = element.iterancestors("div", "aside", "section")
    return any(_LABELLED.search(each.get("class") or "") for each in around)


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())
