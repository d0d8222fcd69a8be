"""The texts of Office files, for `extract`'s child process: Excel (.xlsx) by openpyxl, PowerPoint
(.pptx) by python-pptx, and LibreOffice's .odt, .ods and .odp; Word stands in `word`.

With `headings`, for a text that is to be divided and quoted, headings, lists and tables are marked
as in Markdown: titles of sheets and slides, too. A training text has none of these marks. Numbers
and dates of a sheet are written as it shows them (£690.00, 3.5%; dates as 2026-03-01); a formula is
its last result.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from groundup.data.reading.extracted import (
    Extracted,
    joined_blocks,
    require_few_tags,
    require_readable,
    table_blocks,
    zip_parts,
)


def _heading(text: str, level: int, headings: bool) -> str:
    mark = f"{'#' * min(max(level, 1), 6)} " * (headings and bool(text.strip()))
    return mark + " ".join(text.split())


# Excel


def read_xlsx(path: Path, headings: bool) -> Iterator[Extracted]:
    """Yield the sheets of a workbook as one document."""
    import openpyxl

    require_readable(path)
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        yield joined_blocks(
            block
            for sheet in sheets
            for block in _sheet_blocks(sheet.title, _shown_rows(sheet), headings)
        )
    finally:
        book.close()


def _shown_rows(sheet: Any) -> Iterator[list[str]]:
    """Yield the texts of each row, those of a cell over several rows in each."""
    continued, above = _continued_cells(sheet), dict[int, str]()
    for number, row in enumerate(sheet.iter_rows(), start=1):
        texts = [shown_value(cell.value, cell.number_format or "") for cell in row]
        for column in continued.get(number, ()):
            if column < len(texts):
                texts[column] = above.get(column, "")
        above = dict(enumerate(texts))
        yield texts


# Rows that cells over several rows may have in all.
_MAX_CONTINUED = 100_000
_MERGED = re.compile(rb'<mergeCell [^>]{0,40}?ref="([A-Z]{1,3}\d{1,7}):([A-Z]{1,3}\d{1,7})"')


def _continued_cells(sheet: Any) -> dict[int, list[int]]:
    """Return by row the columns, from 0, of cells that continue the one above.

    openpyxl reads merged cells only with the whole sheet in memory.
    """
    from openpyxl.utils.cell import coordinate_to_tuple

    found: dict[int, list[int]] = {}
    left, before = _MAX_CONTINUED, b""
    with sheet._get_source() as source:
        while chunk := source.read(2**20):
            data = before + chunk
            for merged in _MERGED.finditer(data):
                (top, first), (bottom, last) = (
                    coordinate_to_tuple(each.decode()) for each in merged.groups()
                )
                left -= bottom - top
                if first == last and left >= 0:
                    for row in range(top + 1, bottom + 1):
                        found.setdefault(row, []).append(first - 1)
            before = data[-100:]
    return found


def _sheet_blocks(name: str, rows: Iterable[list[str]], headings: bool) -> Iterator[str]:
    """Yield a sheet's name and its tables, which rows without text divide. Lines of one cell are a
    paragraph, the first ones right below the name, so that none is read as a heading; but one
    alone right above a table may be.
    """
    above = [_heading(name, 2, headings)] * headings
    for is_filled, group in groupby(rows, any):
        if not is_filled:
            continue
        table, lines = list(group), list[str]()
        while table and sum(map(bool, table[0])) == 1:
            lines.append("".join(table.pop(0)))
        if table and len(lines) == 1:
            yield from above
            above = []
        above += [line for line in lines if line != name or not headings]
        if above:
            yield "\n".join(above)
        above = []
        yield from table_blocks(table, headings)


_NUMBER = re.compile(r"[#0?][#0?,]*(\.[#0?]+)?")
_FORMAT_PART = re.compile(r'\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|"([^"]*)"|\\(.)|[_*].')


def shown_value(value: object, number_format: str) -> str:
    """Return a cell's value as a sheet shows it, by its number format (ECMA-376 part 1, section
    18.8.31); fractions and exponents as plain numbers.

    >>> shown_value(1690, "[$£-809]#,##0.00"), shown_value(0.035, "0.0%")
    ('£1,690.00', '3.5%')
    """
    if value is None:
        return ""
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        value = value.date()
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, dt.time):
        return f"{value:%H:%M}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value).strip()
    return _shown_number(value, number_format)


def _shown_number(value: float, number_format: str) -> str:
    first = number_format.partition(";")[0]
    plain = _FORMAT_PART.sub(lambda part: "".join(filter(None, part.groups())), first)
    found = _NUMBER.search(plain)
    if not found or re.search(r"E[+-]|[?0-9]/|General", plain):
        return f"{value:.10g}"
    if "%" in plain:
        value *= 100
    grouping, places = "," * ("," in found[0]), max(len(found[1] or "") - 1, 0)
    number = f"{abs(value):{grouping}.{places}f}"
    return f"{'-' * (value < 0)}{plain[: found.start()]}{number}{plain[found.end() :]}".strip()


# PowerPoint


def read_pptx(path: Path, headings: bool) -> Iterator[Extracted]:
    """Yield the slides as one document, each with its title, texts, tables and notes."""
    import pptx

    require_readable(path)
    slides = pptx.Presentation(str(path)).slides
    yield joined_blocks(block for slide in slides for block in _slide_blocks(slide, headings))


def _slide_blocks(slide: Any, headings: bool) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None and title.has_text_frame:
        yield _heading(title.text_frame.text, 2, headings)
    for shape in _shapes(slide.shapes):
        if (title is not None and shape.shape_id == title.shape_id) or _is_footer(shape):
            continue
        if shape.has_text_frame:
            lines = [each.text for each in shape.text_frame.paragraphs if each.text.strip()]
            yield from (f"{'- ' * (headings and len(lines) > 1)}{line}" for line in lines)
        elif getattr(shape, "has_table", False):
            rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
            yield from table_blocks(rows, headings)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield slide.notes_slide.notes_text_frame.text


def _is_footer(shape: Any) -> bool:
    """Whether it is a slide's date, footer or number."""
    from pptx.enum.shapes import PP_PLACEHOLDER as KIND

    footers = (KIND.DATE, KIND.FOOTER, KIND.SLIDE_NUMBER)
    return shape.is_placeholder and shape.placeholder_format.type in footers


def _shapes(shapes: Any) -> Iterator[Any]:
    """Yield the shapes, those of groups among them."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


# LibreOffice

_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _TABLE, _PRESENTATION = (
    f"{{{_OASIS}{name}:1.0}}" for name in ("text", "table", "presentation")
)
# Empty cells and rows are stored once with their number, which may be that of a whole sheet.
_MAX_REPEATED = 1_000
_LEFT_OUT = {
    f"{_TEXT}note",
    f"{_TEXT}tracked-changes",
    f"{{{_OASIS}office:1.0}}annotation",
    f"{_TEXT}table-of-content",
}
_SPACES = {f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n"}


def read_odf(path: Path, headings: bool) -> Iterator[Extracted]:
    """Yield the text, sheets or slides of an OpenDocument file (OASIS OpenDocument 1.3, part 3)."""
    content = b""
    for member in zip_parts(path):
        if member.name == "content.xml":
            content = member.read()
    require_few_tags(content.count(b"<"))
    yield joined_blocks(_odf_blocks(ElementTree.fromstring(content), headings))


def _odf_blocks(element: ElementTree.Element, headings: bool) -> Iterator[str]:
    for child in element:
        if child.tag in _LEFT_OUT:
            continue
        if child.tag == f"{_TEXT}h":
            level = child.get(f"{_TEXT}outline-level", "1")
            yield _heading(_odf_text(child), int(level), headings)
        elif child.tag == f"{_TEXT}p":
            yield _odf_text(child)
        elif child.tag == f"{_TEXT}list-item":
            items = list(_odf_blocks(child, headings))
            yield from (
                f"{'- ' * (headings and not item.startswith('- '))}{item}" for item in items
            )
        elif child.tag == f"{_TABLE}table":
            name, rows = child.get(f"{_TABLE}name", ""), _odf_rows(child)
            if element.tag.endswith("}spreadsheet"):
                yield from _sheet_blocks(name, rows, headings)
            else:
                yield from table_blocks(list(rows), headings)
        elif child.get(f"{_PRESENTATION}class") == "title":
            yield _heading(" ".join(_odf_blocks(child, False)), 2, headings)
        else:
            yield from _odf_blocks(child, headings)


def _odf_text(element: ElementTree.Element) -> str:
    """The text of a paragraph, without notes and comments."""
    if element.tag in _LEFT_OUT:
        return ""
    if element.tag == f"{_TEXT}s":
        return " " * min(int(element.get(f"{_TEXT}c", "1")), _MAX_REPEATED)
    inner = "".join(_odf_text(child) + (child.tail or "") for child in element)
    return _SPACES.get(element.tag, "") + (element.text or "") + inner


def _odf_rows(table: ElementTree.Element) -> Iterator[list[str]]:
    """Yield the texts of each row, those of a cell over several rows in each."""
    above: dict[int, tuple[int, str]] = {}  # column -> rows that are left, the text
    for row in table.iter(f"{_TABLE}table-row"):
        cells: list[str] = []
        for cell in row:
            text = " ".join(map(_odf_text, cell.iter(f"{_TEXT}p")))
            left, column = int(cell.get(f"{_TABLE}number-rows-spanned", "1")), len(cells)
            if cell.tag == f"{_TABLE}covered-table-cell":
                left, text = above.pop(column, (0, ""))
            if left > 1:
                above[column] = (left - 1, text)
            cells += [text] * _repeated(cell, "columns")
        shown = cells if any(cells) else []
        yield from [shown] * (_repeated(row, "rows") if shown else 1)


def _repeated(element: ElementTree.Element, what: str) -> int:
    return min(int(element.get(f"{_TABLE}number-{what}-repeated", "1")), _MAX_REPEATED)
