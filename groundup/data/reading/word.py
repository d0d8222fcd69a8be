"""The text of a Word file (.docx) by python-docx, for `extract`'s child process.

With `headings`, for a text that is to be divided and quoted, headings, lists and tables are marked
as in Markdown. Headings are paragraphs of Word's styles, and short ones that are bold as a whole;
below a title all are one level deeper. Numbers that Word counts itself ("4.2", "(a)") are in no
text of the file: they are counted here by its numbering (ECMA-376 part 1, section 17.9), so that
"see 4.2(b)" is found and a clause is quoted with its number.
"""

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from groundup.data.reading.extracted import Extracted, joined_blocks, require_readable, table_blocks

MAX_HEADING_CHARACTERS = 80
# The columns that a table of Word may have, and the levels of a list.
_MAX_SPAN, _MAX_LEVELS = 63, 9
# The number of a list that says that a paragraph is in none, whatever its style says.
_NO_LIST = "0"
_STYLE = re.compile(r"Heading ([1-6])")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
    (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


def read_docx(path: Path, headings: bool) -> Iterator[Extracted]:
    """Yield the document: paragraphs, lists and tables; of tables a cell over several columns once,
    one over several rows in each.
    """
    import docx

    require_readable(path)
    yield joined_blocks(_blocks(docx.Document(str(path)), headings))


def _blocks(document: Any, headings: bool) -> Iterator[str]:
    from docx.table import Table

    numbering = _Numbering(document)
    styles: dict[str | None, str] = {}  # python-docx searches all styles for a paragraph's
    above = below_title = 0  # the level of the heading above; 1 below a title
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            yield from table_blocks(list(_rows(block)), headings)
            continue
        number = numbering.next_of(block)
        if not (len(block._p) and block.text.strip()):
            continue
        if not headings:
            yield block.text
            continue
        if block._p.style not in styles:
            styles[block._p.style] = block.style.name or ""
        style = styles[block._p.style]
        if style == "Title":
            above = below_title = 1
            yield f"# {block.text}"
        elif found := _STYLE.fullmatch(style):
            above = int(found[1]) + below_title
            yield _heading(above, f"{number or ''} {block.text}")
        elif number is None and _is_bold_heading(block):
            yield _heading(above + 1, block.text)
        else:
            yield _mark(style, number) + block.text


def _heading(level: int, text: str) -> str:
    return f"{'#' * min(level, 6)} {' '.join(text.split())}"


def _is_bold_heading(paragraph: Any) -> bool:
    """Whether a short paragraph is bold as a whole, and no sentence."""
    text = paragraph.text.strip()
    runs = [run for run in paragraph.runs if run.text.strip()]
    if len(text) > MAX_HEADING_CHARACTERS or text.endswith((".", ",", ";", "!")):
        return False
    return bool(runs) and all(run.bold for run in runs) and any(map(str.isalpha, text))


def _mark(style: str, number: str | None) -> str:
    """Return what stands before a paragraph: "- " of an item, "4.2 " of a clause, "- (a) " of a
    part of one.
    """
    if not number:
        is_listed = style.startswith(("List Bullet", "List Number"))
        return "- " * (number is not None or is_listed)
    if re.fullmatch(r"\d{1,3}[.)]|\d+(?:\.\d+)+\.?", number):
        return f"{number} "
    return f"- {number} "


class _Numbering:
    """The numbers of a document's paragraphs, counted in order."""

    def __init__(self, document: Any) -> None:
        from docx.oxml.ns import qn

        self._qn = qn
        self._levels: dict[str, dict[int, tuple[str, str, int]]] = {}
        self._lists: dict[str, tuple[str, bool]] = {}  # a list -> its kind, whether it begins anew
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[str] = set()
        self._places_of_styles: dict[str | None, tuple[str, int]] = {}
        part = next(
            (
                each.target_part
                for each in document.part.rels.values()
                if each.reltype.endswith("/numbering")
            ),
            None,
        )
        for each in part.element if part is not None else ():
            if each.tag == qn("w:abstractNum"):
                levels = {
                    int(level.get(qn("w:ilvl"))): (
                        self._value(level, "w:numFmt", "decimal"),
                        self._value(level, "w:lvlText", ""),
                        int(self._value(level, "w:start", "1")),
                    )
                    for level in each.iter(qn("w:lvl"))
                }
                self._levels[each.get(qn("w:abstractNumId"))] = levels
            elif each.tag == qn("w:num"):
                kind = self._value(each, "w:abstractNumId", "")
                anew = next(each.iter(qn("w:startOverride")), None) is not None
                self._lists[each.get(qn("w:numId"))] = (kind, anew)

    def _value(self, element: Any, name: str, default: str) -> str:
        found = element.find(self._qn(name))
        return default if found is None else found.get(self._qn("w:val"), default)

    def next_of(self, paragraph: Any) -> str | None:
        """Return the number of the next paragraph, "" for an item with a bullet, None for one that
        is in no list.
        """
        place = self._place_of(paragraph)
        if place is None:
            return None
        number, level = place
        kind, anew = self._lists.get(number, ("", False))
        levels = self._levels.get(kind, {})
        if level not in levels:
            return ""
        if anew and number not in self._begun:
            self._counts.pop(kind, None)
        self._begun.add(number)
        counts = self._counts.setdefault(kind, {})
        for each in range(level):
            counts.setdefault(each, levels.get(each, ("", "", 1))[2])
        counts[level] = counts.get(level, levels[level][2] - 1) + 1
        for deeper in [each for each in counts if each > level]:
            del counts[deeper]
        if levels[level][0] in ("bullet", "none"):
            return ""

        def shown(found: re.Match[str]) -> str:
            each = int(found[1]) - 1
            return _counted(counts.get(each, 1), levels.get(each, ("decimal", "", 1))[0])

        return re.sub(r"%([1-9])", shown, levels[level][1]).strip()

    def _place_of(self, paragraph: Any) -> tuple[str, int] | None:
        """Return the list and the level of a paragraph or else of its style."""
        place = self._place_in(paragraph._p)
        if place is None:
            style_id = paragraph._p.style
            if style_id not in self._places_of_styles:
                self._places_of_styles[style_id] = self._place_of_style(paragraph.style)
            place = self._places_of_styles[style_id]
        if place[0] == _NO_LIST:
            return None
        return place

    def _place_of_style(self, style: Any) -> tuple[str, int]:
        for each in takewhile(lambda each: each is not None, _bases(style)):
            place = self._place_in(each.element)
            if place is not None:
                return place
        return _NO_LIST, 0

    def _place_in(self, element: Any) -> tuple[str, int] | None:
        """Return what the properties of an element say, None where they say nothing."""
        properties = element.pPr
        if properties is None or properties.numPr is None:
            return None
        number = self._value(properties.numPr, "w:numId", "")
        if not number:
            return None
        if number == _NO_LIST:
            return _NO_LIST, 0
        level = int(self._value(properties.numPr, "w:ilvl", "0"))
        return number, min(max(level, 0), _MAX_LEVELS - 1)


def _bases(style: Any) -> Iterator[Any]:
    """Yield a style, that which it is based on, and so on, to a depth that no real one has."""
    for _ in range(_MAX_LEVELS):
        yield style
        if style is None:
            return
        style = style.base_style


def _counted(count: int, form: str) -> str:
    """Return a number as a list shows it; in other forms than these in digits.

    >>> [_counted(4, form) for form in ("decimal", "lowerLetter", "upperRoman")]
    ['4', 'd', 'IV']
    """
    shown = str(count)
    if form.endswith("Letter") and count > 0:
        shown = _LETTERS[(count - 1) % 26] * min((count - 1) // 26 + 1, 4)
    elif form.endswith("Roman") and 0 < count < 4000:
        shown = ""
        for value, sign in _ROMAN:
            shown += sign * (count // value)
            count %= value
    return shown.upper() if form.startswith("upper") else shown


def _rows(table: Any) -> Iterator[list[str]]:
    """Yield the texts of each row, a cell over several columns with empty ones behind it.

    python-docx's `row.cells` repeats a cell for every column of its span, and looks one over
    several rows up anew in each.
    """
    from docx.table import _Cell

    above: dict[int, str] = {}  # by the first column
    for row in table._tbl.tr_lst:
        texts, column = [], 0
        for cell in row.tc_lst:
            if cell.vMerge != "continue":
                above[column] = _Cell(cell, table).text
            texts += [above.get(column, ""), *[""] * (min(cell.grid_span, _MAX_SPAN) - 1)]
            column += cell.grid_span
        yield texts
