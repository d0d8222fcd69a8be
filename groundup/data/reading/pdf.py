"""The text of a PDF by pypdf, for `extract`'s child process.

With `headings`, for a text that is to be divided and quoted, lines in a larger or bolder type than
the text are headings as of Markdown, a wider gap parts paragraphs, lines whose parts stand below one
another in columns are a table, other lines that end with a price are items of a list, and the lines
that stand at the top or the bottom of every page are left out.
"""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from groundup.data.reading.extracted import (
    ENCRYPTED,
    Extracted,
    table_blocks,
    whole_document,
)

MAX_HEADING_CHARACTERS = 80
# Of the size of the text what a heading has at least; the levels of headings.
_LARGER, _MAX_LEVEL = 1.15, 4
# Of the distance between lines what parts paragraphs; of the size of the text the least distance.
_APART, _LEAST_GAP = 1.4, 0.7
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
_AMOUNT = r"(?:[£$€] ?\d[\d.,]*|\d[\d.,]* ?(?:[£$€]|EUR|CHF))"
# Two lines and more that each end with a price: a menu, a price list.
_PRICE_LINES = re.compile(rf"(?m)(?:^[^\W\d_].*\s{_AMOUNT}$\n?){{2,}}")
_ENDS_WITH_PRICE = re.compile(rf"{_AMOUNT}\s*\Z")
# Of a table: lines, and characters of a cell; of the size of the type how wide a letter is about, and
# the least space between two cells.
_ROWS, _CELL = 3, 60
_LETTER, _SPACE = 0.45, 0.6
# Of a column: how far in points cells begin from one another; else it is one of numbers.
_ALIGNED, _NUMBER = 2.0, re.compile(r"\W{0,2}\d[\d.,: %–-]*\D{0,3}")
_BLANK = re.compile(r"\n{3,}")
_BOLD = re.compile(r"bold|black|heavy|semibold|demi", re.IGNORECASE)

Style = tuple[float, bool]
"""Size of the type, and whether it is bold."""


@dataclass
class _Line:
    text: str = ""
    styles: Counter[Style] = field(default_factory=Counter[Style])
    """Characters of each style."""
    height: float | None = None
    """Where it begins on the page, in points from below."""
    cells: list["_Cell"] = field(default_factory=list["_Cell"])
    """Its parts, from the left."""


@dataclass
class _Cell:
    start: float
    """In points from the left."""
    end: float
    """About, by the number of its letters."""
    text: str


def read_pdf(path: Path, headings: bool) -> Iterator[Extracted]:
    """Yield the document."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with pypdf.PdfReader(path) as reader:
        if reader.is_encrypted and not reader.decrypt(""):
            yield Extracted("", fault=ENCRYPTED)
            return
        read: dict[str, list[_Line]] = {}
        pages = [_lines(page, read, with_styles=headings) for page in reader.pages]
    if headings:
        pages = _without_running_lines(pages)
        body = _body_style(pages)
        levels = _levels(pages, body)
        texts = [_marked(_with_tables(lines), body, levels) for lines in pages]
    else:
        texts = ["\n".join(line.text for line in lines) for lines in pages]
    text = "\n\n".join(page for page in texts if page.strip()).translate(_LIGATURES)
    if headings:
        text = _PRICE_LINES.sub(lambda lines: re.sub("(?m)^(?=.)", "- ", lines[0]), text)
    yield whole_document(text, "holds no text: scanned pages need OCR first")


def _lines(page: Any, read: dict[str, list[_Line]], *, with_styles: bool) -> list[_Line]:
    """Return the lines of a page; of several that share contents and fonts it is read once."""
    # references, not what they stand for
    shared = repr([dict.get(page, key) for key in ("/Contents", "/Resources")])
    if shared not in read:
        pieces: list[_Piece] = []

        def visit(text: str, current: Any, matrix: Any, font: Any, size: Any) -> None:
            scale = abs(matrix[3] * current[3]) or 1.0
            name = str((font or {}).get("/BaseFont", ""))
            style = (round(float(size or 0) * scale, 1), _BOLD.search(name) is not None)
            height = matrix[4] * current[1] + matrix[5] * current[3] + current[5]
            left = matrix[4] * current[0] + matrix[5] * current[2] + current[4]
            pieces.append((text, style, height, left))

        options = {}
        if with_styles:
            options["visitor_text"] = visit
        text = page.extract_text(**options)
        if "".join(piece[0] for piece in pieces) != text:
            pieces = [(text, (0.0, False), 0.0, 0.0)]
        read[shared] = _joined_cells(_joined_lines(pieces))
    return read[shared]


_Piece = tuple[str, Style, float, float]
"""Text, its style, and where it begins: in points from below and from the left."""


def _joined_lines(pieces: Sequence[_Piece]) -> list[_Line]:
    lines = [_Line()]
    for text, style, height, left in pieces:
        first, *others = text.split("\n")
        for number, part in enumerate((first, *others)):
            if number:
                lines.append(_Line())
            lines[-1].text += part
            lines[-1].styles[style] += len("".join(part.split()))
            if part.strip() and lines[-1].height is None:
                lines[-1].height = height
            if part.strip():
                _add_to_cells(lines[-1].cells, part, style[0], left)
    return lines


def _joined_cells(lines: Sequence[_Line]) -> list[_Line]:
    """Join what stands right of a line at its height, as the cells of a table do that are drawn one
    after the other.
    """
    made: list[_Line] = []
    for line in lines:
        if made and _is_right_of(line, made[-1]):
            made[-1].text += f" {line.text}"
            made[-1].styles += line.styles
            for cell in line.cells:
                size = max(size for size, _ in line.styles)
                _add_to_cells(made[-1].cells, f" {cell.text}", size, cell.start)
        elif line.text.strip() or line.height is not None or not made or made[-1].text.strip():
            made.append(line)
    return made


def _is_right_of(line: _Line, before: _Line) -> bool:
    if line.height is None or before.height is None or not line.cells or not before.cells:
        return False
    size = max(size for size, _ in line.styles)
    is_level = abs(line.height - before.height) < 0.2 * size
    return is_level and line.cells[0].start > before.cells[-1].start + size


def _add_to_cells(cells: list[_Cell], text: str, size: float, left: float) -> None:
    """Add a part of a line to its last cell, or as a new one where there is space before it."""
    end = left + _LETTER * size * len(text.strip())
    if cells and left < cells[-1].end + _SPACE * size:
        cells[-1].end, cells[-1].text = max(end, cells[-1].end), f"{cells[-1].text}{text}"
    else:
        cells.append(_Cell(left, end, text))


def _with_tables(lines: Sequence[_Line]) -> list[_Line]:
    """Return the lines of a page, those of a table as one: _ROWS and more lines of as many cells,
    each column right of the one before.
    """
    filled = [line for line in lines if line.text.strip()]
    made: list[_Line] = []
    rows: list[_Line] = []
    for line in [*filled, _Line()]:
        if not _are_rows([*rows, line]):
            made += _as_table(rows)
            rows = []
        rows.append(line)
    return made


def _are_rows(lines: Sequence[_Line]) -> bool:
    """Whether lines may be the rows of one table; a line alone may."""
    if len(lines) < 2:
        return True
    if any(len(cell.text.strip()) > _CELL for line in lines for cell in line.cells):
        return False
    rows = _levelled(lines)
    columns = [list(filter(None, column)) for column in zip(*rows, strict=True)]
    return (
        bool(rows)
        and all(map(_is_column, columns))
        and all(
            max(cell.start for cell in left) < min(cell.start for cell in right)
            for left, right in pairwise(columns)
        )
    )


def _levelled(lines: Sequence[_Line]) -> list[list[_Cell | None]]:
    """Return the cells of lines in the columns of the one with most, None where one is empty, as in
    a head without a name above the names of the rows; [] where they are no rows.
    """
    widest = max((line.cells for line in lines), key=len)
    made = []
    for line in lines:
        row: list[_Cell | None] = list(line.cells)
        if len(row) < len(widest):
            row = [
                next((cell for cell in line.cells if _overlap(cell, column)), None)
                for column in widest
            ]
        if len(line.cells) < 2 or [each for each in row if each] != line.cells:
            return []
        made.append(row)
    return made


def _overlap(cell: _Cell, column: _Cell) -> bool:
    return cell.start < column.end and column.start < cell.end


def _is_column(cells: Sequence[_Cell]) -> bool:
    """Whether cells begin below one another, or are numbers below a name, or stand below the name
    that is in the middle of their column.
    """
    starts = [cell.start for cell in cells]
    if max(starts) - min(starts) <= _ALIGNED:
        return True
    if all(_NUMBER.fullmatch(cell.text.strip()) for cell in cells[1:]):
        return True
    return max(starts[1:]) - min(starts[1:]) <= _ALIGNED and starts[0] > starts[1]


def _as_table(rows: Sequence[_Line]) -> list[_Line]:
    if len(rows) < _ROWS:
        return list(rows)
    empty = _Cell(0, 0, "")
    cells = [[(each or empty).text.strip() for each in row] for row in _levelled(rows)]
    text = "\n\n".join(table_blocks(cells, as_markdown=True))
    return [_Line(f"\n{text}\n", height=rows[0].height)]


def _without_running_lines(pages: list[list[_Line]]) -> list[list[_Line]]:
    """Leave out the first and the last line of each page where, numbers aside, it is the same on
    all of them, or is nothing but the page's number.
    """
    for place in (0, -1):
        filled = [[line for line in lines if line.text.strip()] for lines in pages]
        ends = [lines[place].text for lines in filled if lines]
        same = {re.sub(r"\d+", "#", " ".join(text.split())) for text in ends}
        if len(ends) > 1 and len(same) == 1:
            dropped = {id(lines[place]) for lines in filled if lines}
            pages = [[line for line in lines if id(line) not in dropped] for lines in pages]
    return pages


def _body_style(pages: Sequence[Sequence[_Line]]) -> Style:
    """Return the style of most characters."""
    total = Counter[Style]()
    for lines in pages:
        for line in lines:
            total.update(line.styles)
    return max(total, key=lambda style: total[style], default=(0.0, False))


def _heading_style(line: _Line, body: Style) -> Style | None:
    """Return the style of a line that is all larger or bolder than the text; None: of others."""
    text, used = line.text.strip(), [style for style, count in line.styles.items() if count]
    if len(used) != 1 or len(text) > MAX_HEADING_CHARACTERS or not any(map(str.isalpha, text)):
        return None
    size, is_bold = used[0]
    if text.endswith((".", ",", ";")) or not (
        size >= _LARGER * body[0] > 0 or (is_bold and not body[1] and size >= body[0])
    ):
        return None
    return used[0]


def _levels(pages: Sequence[Sequence[_Line]], body: Style) -> dict[Style, int]:
    """Return the level of each style of a heading, the largest first."""
    styles = {_heading_style(line, body) for lines in pages for line in lines}
    known = sorted((style for style in styles if style), reverse=True)
    return {style: min(level, _MAX_LEVEL) for level, style in enumerate(known, start=1)}


def _line_gap(lines: Sequence[_Line], body: Style) -> float:
    """Return the distance of a line from the one above within a paragraph: a low quantile, since a
    page of short paragraphs has more wide gaps than others; 0 where none is known.
    """
    heights = [line.height for line in lines if line.height is not None]
    gaps = sorted(above - below for above, below in pairwise(heights))
    gaps = [gap for gap in gaps if gap > _LEAST_GAP * body[0]]  # others are in a line
    return gaps[len(gaps) // 5] if gaps else 0.0


def _marked(lines: Sequence[_Line], body: Style, levels: dict[Style, int]) -> str:
    """Return the text of a page with its headings marked; a heading over several lines is one."""
    made: list[str] = []
    open_style: Style | None = None
    usual, before = _line_gap(lines, body), 0.0
    for number, line in enumerate(lines):
        style = _heading_style(line, body)
        following = "".join(each.text for each in lines[number + 1 : number + 2])
        if style and style[0] < _LARGER * body[0] and _ENDS_WITH_PRICE.search(following):
            style = None  # the head of a table
        is_apart = line.height is not None and usual > 0 and before - line.height > _APART * usual
        if line.height is not None:
            before = line.height
        if style is None:
            made += [""] * (open_style is not None or is_apart) + [line.text]
        elif style == open_style:
            made[-1] += f" {line.text.strip()}"
        else:
            made += ["", f"{'#' * levels[style]} {line.text.strip()}"]
        open_style = style
    return _BLANK.sub("\n\n", "\n".join(made).strip("\n"))
