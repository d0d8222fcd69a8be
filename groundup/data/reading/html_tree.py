"""An HTML page made ready for the extraction of its text by trafilatura, which takes definition
lists, permalinks and code apart.

    <dt>term</dt><dd>what it is</dd>       one paragraph, "term: what it is", so that a sentence has
                                           both
    signatures (<dt> of an API, Sphinx's)  with `headings` below a heading of its name
    permalinks (¶), links to the source    are left out
    white space outside of <pre>           is one space, as browsers show it
    tables                                 with `headings` two rows of a head are one, and a cell over
                                           several rows stands in each; a row of a name and values
                                           is no head
    <div> in rows of equal length          with `headings` a table

Without `headings`, for training, signatures have no marks; code and what else an index needs is
`html_documentation.py`'s.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any

from groundup.data.reading.extracted import with_one_head

PERMALINKS = frozenset({"¶", "#", "§", "🔗", "\uf0c1"})
LINKS_LEFT_OUT = frozenset({"headerlink", "viewcode-link", "viewcode-back"})
NAME_CLASSES = frozenset({"descclassname", "descname"})
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
VERBATIM = ("pre", "textarea")
# What may stand in the paragraph of a term, before its definition's first other block.
INLINE = frozenset({
    "a", "abbr", "b", "bdi", "cite", "code", "del", "dfn", "em", "i", "img", "ins", "kbd", "mark",
    "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
})  # fmt: skip
# Lists within lists; deeper ones are left as they are.
MAX_NESTED_LISTS = 20
# Of tables whose cells are repeated and joined; longer ones are left as they are.
MAX_ROWS, MAX_SPAN = 2_000, 100
# Rows of <div> that are a table, and characters of a cell of one.
ROWS, CELL = 3, 60
_SPACE = re.compile(r"[ \t\r\n\f]+")
_ROW = re.compile(r"\s*(?:\||(?:[-*•]|\d{1,3}[.)])\s)")


def prepare_tree(tree: Any, headings: bool) -> Any:
    """Return the tree of a page, changed as said above."""
    for link in list(tree.iter("a")):
        if _is_left_out(link):
            link.drop_tree()
    _join_spaces(tree)
    if headings:
        for span in tree.iter("span"):
            _part_from_next(span)
        for element in list(tree.iter("div", "section", "main", "article", "body")):
            _make_table(element)
        for table in list(tree.iter("table")):
            _level_rows(table)
            _name_rows(table)
    for terms, level in list(_definition_lists(tree)):
        if not headings:
            level = 0
        _define(terms, level)
    return tree


def separate_paragraphs(text: str) -> str:
    """Return a page's text with a blank line between its paragraphs, of which each is a line;
    items and rows stay together.
    """
    lines = text.split("\n")
    made = lines[:1]
    for before, line in pairwise(lines):
        is_blank = not before.strip() or not line.strip()
        are_rows = _ROW.match(before) and _ROW.match(line)
        if not (is_blank or are_rows):
            made.append("")
        made.append(line)
    return "\n".join(made)


def _is_left_out(link: Any) -> bool:
    names = [each.get("class") or "" for each in link.iter() if isinstance(each.tag, str)]
    if not LINKS_LEFT_OUT.isdisjoint(" ".join(names).split()):
        return True
    text, target = "".join(link.itertext()).strip(), link.get("href") or ""
    return text in PERMALINKS and target.startswith("#")


def _join_spaces(tree: Any) -> None:
    waiting = [tree]
    while waiting:
        element = waiting.pop()
        if element.tag in VERBATIM:
            continue
        element.text = element.text and _SPACE.sub(" ", element.text)
        for child in element:
            child.tail = child.tail and _SPACE.sub(" ", child.tail)
            if isinstance(child.tag, str):  # no comment
                waiting.append(child)


def _part_from_next(span: Any) -> None:
    """Put a space between two labels that style alone keeps apart: "Players" and "2-6". The first
    letter of a word that is drawn larger is no label.
    """
    following = span.getnext()
    if span.tail or following is None or following.tag != "span":
        return
    first, second = _text(span), _text(following)
    if len(first) > 1 and first[-1].isalnum() and second[:1].isalnum():
        span.tail = " "


def _make_table(element: Any) -> None:
    """Make the rows among an element's children a table: ROWS and more <div> of the same class, the
    first of its names, each of the same number of short <div> and <span>.
    """
    run: list[Any] = []
    for child in [*element, None]:
        cells = _cells(child)
        if run and (
            not cells or _class(child) != _class(run[0]) or len(cells) != len(_cells(run[0]))
        ):
            if len(run) >= ROWS:
                _tabulate(run)
            run = []
        if cells:
            run.append(child)


def _class(element: Any) -> str:
    """Return the first class of an element; others tell a head, odd and even rows apart."""
    return "".join((element.get("class") or "").split()[:1])


def _cells(row: Any) -> list[Any]:
    """Return the cells of an element, if it is nothing but some."""
    if row is None or row.tag != "div" or (row.text or "").strip():
        return []
    cells = list(row)
    if not 2 <= len(cells) <= MAX_SPAN or any((cell.tail or "").strip() for cell in cells):
        return []
    if any(cell.tag not in ("div", "span") or len(_text(cell)) > CELL for cell in cells):
        return []
    return [] if any(part.tag not in INLINE for cell in cells for part in cell) else cells


def _tabulate(rows: list[Any]) -> None:
    """Put a table in the place of some rows; the first is its head if it has no digit that the
    others have.
    """
    has_head = not any(map(str.isdigit, _text(rows[0]))) and any(map(str.isdigit, _text(rows[1])))
    table = rows[0].makeelement("table")
    rows[0].addprevious(table)
    for number, row in enumerate(rows):
        table.append(row)
        row.tag, row.tail = "tr", None
        for cell in row:
            cell.tag = "th" if has_head and not number else "td"


def _level_rows(table: Any) -> None:
    """Repeat cells over several rows in each, and join two rows of a head; a table within a table,
    and one around it, is left as it is.
    """
    rows = list(table.iter("tr"))
    if len(rows) < 2 or next(table.iterancestors("table"), None) is not None:
        return
    if next(table.iterdescendants("table"), None) is not None or len(rows) > MAX_ROWS:
        return
    texts, held = list[list[str]](), dict[int, tuple[int, Any]]()  # column -> rows left, the cell
    for row in rows:
        shown: list[str] = []
        for cell in [*row.iterchildren("td", "th"), None]:
            while len(shown) in held:
                left, above = held.pop(len(shown))
                if left > 1:
                    held[len(shown)] = (left - 1, above)
                copied = deepcopy(above)
                row.insert(_place_before(row, cell), copied)
                shown.append(_text(copied))
            if cell is None:
                break
            across, down = _span(cell, "colspan"), _span(cell, "rowspan")
            cell.attrib.pop("rowspan", None)
            if down > 1 and across == 1:
                held[len(shown)] = (down - 1, cell)
            shown += [_text(cell), *[""] * (across - 1)]
        texts.append(shown)
    _join_head(rows, texts)


def _join_head(rows: list[Any], texts: list[list[str]]) -> None:
    width = max(map(len, texts))
    head, *body = with_one_head([row + [""] * (width - len(row)) for row in texts])
    if len(body) == len(rows) - 1:
        return
    for cell in list(rows[0]):
        rows[0].remove(cell)
    for name in head:
        rows[0].append(rows[0].makeelement("th"))
        rows[0][-1].text = name
    rows[1].getparent().remove(rows[1])


def _name_rows(table: Any) -> None:
    """Make the names of rows plain cells, where the first two are a <th> before <td>: no head."""
    rows = [list(row.iterchildren("td", "th")) for row in table.iter("tr")]
    named = [["th", *["td"] * (len(cells) - 1)] == [each.tag for each in cells] for cells in rows]
    if len(rows) > 1 and all(named[:2]) and min(map(len, rows[:2])) > 1:
        for cells in rows:
            for cell in cells:
                cell.tag = "td"


def _place_before(row: Any, cell: Any) -> int:
    if cell is None:
        return len(row)
    return int(row.index(cell))


def _span(cell: Any, name: str) -> int:
    value = (cell.get(name) or "").strip()
    if not value.isdecimal():
        return 1
    return min(max(int(value[:4]), 1), MAX_SPAN)


def _definition_lists(tree: Any) -> Iterator[tuple[Any, int]]:
    """Yield each definition list and the level of a heading in it."""
    level = 1
    for element in tree.iter(*HEADINGS, "dl"):
        nested = sum(1 for _ in element.iterancestors("dl"))
        if element.tag != "dl":
            if not nested:
                level = int(element.tag[1])
        elif nested <= MAX_NESTED_LISTS and element.getparent() is not None:
            yield element, min(level + 1 + nested, len(HEADINGS))


def _define(terms: Any, level: int) -> None:
    """Make a definition list paragraphs; `level` 0: without headings."""
    groups: list[Any] = []
    for child in terms:
        if child.tag == "div":
            groups += child
        else:
            groups.append(child)
    waiting: list[Any] = []
    made = _loose(terms, terms.text)
    for each in groups:
        if each.tag == "dt":
            waiting.append(each)
        elif each.tag == "dd":
            made += _paragraphs_of(waiting, each, level)
            waiting = []
    if waiting:
        made += _paragraphs_of(waiting, None, level)
    for each in [*made, *_loose(terms, terms.tail)]:
        each.tail = None
        terms.addprevious(each)
    terms.getparent().remove(terms)


def _paragraphs_of(terms: list[Any], definition: Any, level: int) -> Iterator[Any]:
    """Yield a heading for the name of a signature, a paragraph of the terms and the definition's
    beginning, and the rest of that.
    """
    names = "; ".join(filter(None, map(_term, terms)))
    signature = next(filter(None, map(_signature_name, terms)), "")
    maker = definition
    if definition is None:
        maker = terms[0]
    if signature and level:
        heading = maker.makeelement(HEADINGS[level - 1])
        heading.text = signature
        yield heading
    paragraph = maker.makeelement("p")
    paragraph.text = names
    if definition is None:
        yield paragraph
        return
    begins = definition
    if len(definition) and definition[0].tag == "p" and not (definition.text or "").strip():
        begins = definition[0]
    paragraph.text = f"{names}{_joint_after(names)}{(begins.text or '').lstrip()}"
    begins.text = None
    for child in list(begins):
        if child.tag not in INLINE:
            break
        paragraph.append(child)  # with the text behind it
    if begins is not definition and not len(begins):
        definition.remove(begins)
    paragraph.tail = " "
    yield paragraph
    if len(definition):
        definition.tag = "div"
        yield definition


def _joint_after(names: str) -> str:
    if not names:
        return ""
    if names.endswith((":", "?", "!")):
        return " "
    return ": "


def _loose(element: Any, text: str | None) -> list[Any]:
    """Return a paragraph of text that stands within a list or behind it."""
    if not text or not text.strip():
        return []
    paragraph = element.makeelement("p")
    paragraph.text = text
    return [paragraph]


def _text(element: Any) -> str:
    return _SPACE.sub(" ", "".join(element.itertext())).strip()


def _term(element: Any) -> str:
    """Return a term; where it has several lines, as the forms of an option, with commas between."""
    for line in element.iter("br"):
        line.tail = f"\n{line.tail or ''}"
    lines = "".join(element.itertext()).split("\n")
    return ", ".join(filter(None, (_SPACE.sub(" ", line).strip(" ,") for line in lines)))


def _signature_name(term: Any) -> str:
    """Return the name in a signature as Sphinx writes it, "" where there is none: "atexit.register"
    of "atexit.register(func)".
    """
    parts = [each for each in term.iter() if NAME_CLASSES & set((each.get("class") or "").split())]
    return "".join(_text(part) for part in parts)
