"""Built pages -> the same, set with care: where a line may break, and figures in columns.

options     `--quick` stays whole: a browser would break a line after its hyphens
names       `groundup.data.batches` breaks after a dot or an underscore
per cent    a figure stays beside its sign
tables      a column of figures ends on the right, but for the first column, which names the rows;
            a title without words is no title
"""

import re
from collections.abc import Callable
from pathlib import Path

_CODE = re.compile(r"(?<!<span></span>)<code>[^<]+</code>")
_OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
_NAME = re.compile(r'(?<=<span class="doc doc-object-name )[^>]*>[^<]+')
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_ROW = re.compile(r"<tr>.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<(t[hd])>(.*?)</\1>", re.DOTALL)
_FIGURE = re.compile(r"[+-]?[\d,.]*\d(?:\s%)?")


def typeset(folder: Path) -> None:
    """Rewrite the pages below `folder`; those of assets are programs with their own style."""
    for file in folder.rglob("*.html"):
        if "assets" not in file.relative_to(folder).parts:
            file.write_text(typeset_page(file.read_text()))


def typeset_page(text: str) -> str:
    """Return the HTML of a page with all that is said above."""
    text = re.sub(r"(?<=\d) %(?!\w)", "\N{NO-BREAK SPACE}%", text)
    text = _CODE.sub(
        lambda code: _OPTION.sub(r'<span class="whole">\g<0></span>', code[0]),
        text,
    )
    text = _NAME.sub(lambda name: re.sub(r"[._](?=\w)", r"\g<0><wbr>", name[0]), text)
    text = text.replace("<th></th>", "<td></td>")
    return _TABLE.sub(lambda table: _aligned(table[0]), text)


def _aligned(table: str) -> str:
    rows = [[cell for _, cell in _CELL.findall(row)] for row in _ROW.findall(table)]
    figures = {
        place
        for place in range(1, min(map(len, rows), default=0))
        if any(row[place] for row in rows[1:])
        and all(_is_figure(row[place]) for row in rows[1:] if row[place])
    }
    return _ROW.sub(lambda row: _CELL.sub(_right(figures), row[0]), table)


def _is_figure(cell: str) -> bool:
    return bool(_FIGURE.fullmatch(re.sub(r"</?strong>", "", cell)))


def _right(places: set[int]) -> Callable[[re.Match[str]], str]:
    """A replacement for the cells of one row, which counts them."""
    count = iter(range(1_000))

    def replaced(cell: re.Match[str]) -> str:
        return (
            f'<{cell[1]} style="text-align: right;">{cell[2]}</{cell[1]}>'
            if next(count) in places
            else cell[0]
        )

    return replaced
