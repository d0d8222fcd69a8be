"""What the readers of this folder share: the result, bounds on a zip, tables as text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import FormatError
from groundup.fetch import Member, members

# What a file that is a zip (.docx, .xlsx, .odt, .epub) may expand to, pictures included: its parser
# has it in memory.
MAX_EXPANDED_BYTES = 2**30
# Of an HTML page or a part of an Office file; each takes a few hundred bytes of memory. A book of
# 1,000 pages has some 300,000.
MAX_TAGS = 2_000_000
ENCRYPTED = "is protected by a password: save a copy without one"
# What a file begins with that Office has encrypted: it is an OLE container (MS-CFB, section 2.2).
_OLE = b"\xd0\xcf\x11\xe0"
# Rows of a table below which its head stands again, so that a passage of it has the names of the
# columns.
ROWS_BELOW_HEAD = 12


@dataclass(frozen=True, slots=True)
class Extracted:
    """One document of a file, or why there is none."""

    text: str
    part: str = ""
    """Its place in the file ("message 3"); "" for the only one."""
    fault: str = ""
    """Why it has no text (`ENCRYPTED`), or ""."""
    attachments: tuple[str, ...] = ()
    """The names of an e-mail's attachments, which are not read."""
    subject: str = ""
    """An e-mail's subject."""


def whole_document(text: str, fault: str = "holds no text") -> Extracted:
    """Return a document; without text it has the fault."""
    if text.strip():
        return Extracted(text)
    return Extracted(text, fault=fault)


def zip_parts(path: Path) -> Iterator[Member]:
    """Yield the members of a zip that is one document.

    Raises FormatError for a file that is no zip or is encrypted, and ValueError for one that
    expands to more than MAX_EXPANDED_BYTES.
    """
    with path.open("rb") as handle:
        first = handle.read(4)
        if first == _OLE:
            raise FormatError(path, "it", ENCRYPTED)
        if not first.startswith(b"PK"):  # the first letters of every zip
            raise FormatError(path, "it", f"is no zip, which every {path.suffix.lower()} file is")
    expanded = 0
    for member in members(path):
        expanded += member.size_bytes
        if expanded > MAX_EXPANDED_BYTES:
            raise ValueError(f"it expands to more than {MAX_EXPANDED_BYTES // 2**20:,} MiB")
        yield member


def require_few_tags(tags: int) -> None:
    """Raise ValueError above MAX_TAGS, since a parser's tree takes far more memory than the
    text.
    """
    if tags > MAX_TAGS:
        raise ValueError(f"it has more than {MAX_TAGS:,} tags")


def require_readable(path: Path) -> None:
    """Raise for an Office file what `zip_parts` and `require_few_tags` do."""
    for member in zip_parts(path):
        # the shortest tags have 3 bytes
        if member.name.endswith(".xml") and member.size_bytes > 3 * MAX_TAGS:
            require_few_tags(sum(chunk.count(b"<") for chunk in member.chunks()))


_ITEM = re.compile(r"- |\d{1,3}[.)] ")
# The number of a clause.
CLAUSE = re.compile(r"\d{1,3}(?:\.\d{1,3})+\.? ")


def joined_blocks(blocks: Iterable[str]) -> Extracted:
    """One document; items of a list stand on lines that follow one another, and those of a clause
    ("4.2 We charge") right below it.
    """
    parts: list[str] = []
    for block in filter(str.strip, blocks):
        before = "".join(parts[-1:]).rpartition("\n")[2]
        is_item = _ITEM.match(block) is not None
        if is_item and (_ITEM.match(before) or CLAUSE.match(before)):
            parts[-1] += f"\n{block}"
        else:
            parts.append(block)
    return whole_document("\n\n".join(parts))


def table_blocks(rows: Sequence[Sequence[str]], as_markdown: bool) -> list[str]:
    """Return a table as blocks of text: each row with tabs between its cells, or tables of Markdown
    (GitHub Flavored Markdown, section 4.10) of at most ROWS_BELOW_HEAD rows below the first one.

    Columns without text are left out, two rows of a head are joined, and a first row with a price
    above prices, or a weekday above weekdays, is no head: that is empty then. A table of one column or one row is none: its
    rows are paragraphs.
    """
    filled = [column for column in zip(*_even(rows), strict=True) if any(column)]
    even = [row for row in zip(*filled, strict=True) if any(row)]
    if not as_markdown or len(filled) < 2 or len(even) < 2:
        return ["\t".join(row).rstrip() for row in even]
    blank: Sequence[str] = [""] * len(filled)
    head, *body = with_one_head(even)
    if any(column[0] and all(map(_NO_HEAD.fullmatch, filter(None, column))) for column in filled):
        head, body = blank, list[Sequence[str]](even)
    rule = "|" + " --- |" * len(head)
    return [
        "\n".join((_row(head), rule, *map(_row, body[start : start + ROWS_BELOW_HEAD])))
        for start in range(0, len(body), ROWS_BELOW_HEAD)
    ]


def with_one_head(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Join the two rows of a head whose upper cells stand over several columns: "Weekend" above
    "per hour" and "per day" is "Weekend, per hour" and "Weekend, per day".
    """
    upper, lower = rows[:2]
    is_labelled = upper[0] and lower[0] and upper[0] != lower[0]
    if len(rows) < 3 or is_labelled or any(map(_VALUE.fullmatch, lower)):
        return list(rows)
    head, above, is_over_several = [], "", False
    for column, (over, under) in enumerate(zip(upper, lower, strict=True)):
        if over:
            above = over * (under not in ("", over))
        is_over_several |= bool(above and under and not over and column)
        names = (over or above * bool(under), under)
        head.append(", ".join(dict.fromkeys(filter(None, names))))
    if not is_over_several:
        return list(rows)
    return [head, *rows[2:]]


_DAY = r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?"
# What a column has in all of its rows, the first one too, where that is no head: prices, weekdays.
_NO_HEAD = re.compile(
    r"[£$€] ?\d[\d.,]*|\d[\d.,]* ?(?:[£$€]|EUR|CHF)"
    rf"|{_DAY}(?:(?:\W|and|to)+{_DAY})*(?: only)?",
    re.IGNORECASE,
)
# A number, price, percentage or time, which no head of a column is.
_VALUE = re.compile(r"\W*\d[\d.,: ]*\W*")


def _even(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows of one length, their cells without spaces around them."""
    width = max(map(len, rows), default=0)
    return [[*map(str.strip, row), *[""] * (width - len(row))] for row in rows]


def _row(cells: Sequence[str]) -> str:
    shown = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(shown)} |"
