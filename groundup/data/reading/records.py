"""Rows of .jsonl, .json, .csv, .tsv and .parquet files, as column -> value. Bad rows are counted
and reported; the rest is used.

    file -> sniff() -> RowFormat(kind, delimiter, columns, header) -> rows() -> RecordRow(line,
        values) -> make_rows(make) -> whatever `make` returns

What the columns mean is decided elsewhere (`format_detection`). How many bad rows a file may have:
`source_report.LineTally`.
"""

import csv
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from groundup.config import MAX_JSON_DEPTH, is_deeper
from groundup.data.reading.decoding import (
    AUTO,
    MAX_LINE_CHARACTERS,
    CharsetErrors,
    numbered_lines,
    text_pieces,
)
from groundup.data.reading.source_report import LineTally, SourceReport
from groundup.errors import DataError, FormatError, MissingExtra

T = TypeVar("T")
Kind = Literal["text", "jsonl", "json", "csv", "parquet"]

DELIMITERS = (",", "\t", ";")
# Cells of a batch are in memory together, and one may have 16 Mi characters.
PARQUET_BATCH_ROWS = 64
TOO_LONG = f"is longer than {MAX_LINE_CHARACTERS} characters"
TOO_DEEP = f"is nested too deep (at most {MAX_JSON_DEPTH} levels)"
# Strings, whose brackets are text, also one that goes on in the next piece; and brackets.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]')
_SPACE = re.compile(r"\s*")
_ARRAY_MARKS = {
    ("start", "["): "first item",
    ("first item", "]"): "end",
    ("after an item", ","): "next item",
    ("after an item", "]"): "end",
}


@dataclass(frozen=True)
class SourceFile:
    name: str
    suffix: str
    """The suffix of its format: ".txt" of "notes.txt.gz"."""
    open: Callable[[], IO[bytes]]
    """Its bytes, decompressed; for a member of an archive only until the next file is asked for."""
    path: Path | None = None
    """Where its bytes are on disk; None for a member of an archive and a compressed file."""


@dataclass(frozen=True)
class RowFormat:
    kind: Kind
    """"jsonl": an object a line; "json": an array of objects; "csv": delimited fields, quoted or
    not; "text": no rows.
    """
    columns: tuple[str, ...] = ()
    """The names of the columns; "1", "2", ... where the file has no header, those of the first rows
    in .jsonl and .json.
    """
    delimiter: str = ""
    has_header: bool = True
    splits_last: bool = False
    """Of two columns without a header, separated by tabs: the second begins after the last tab, not
    after the first.
    """


@dataclass(frozen=True, slots=True)
class RecordRow:
    line: int
    """Its first line; its number in .json and .parquet files."""
    values: dict[str, Any]
    lines: int = 1
    characters: int = 0
    """As it stands in the file; 0 where that is not text."""


class BadRow(Exception):
    """A row that can't be used; the message says why."""


@dataclass(frozen=True)
class Unusable:
    """Stands for a value that can't be used."""

    why: str


def make_rows(
    found: Iterator[RecordRow], make: Callable[[RecordRow], T], tally: LineTally
) -> Iterator[T]:
    """Yield `make(row)` of each row; where it raises BadRow, the row is counted as bad.

    Raises DataError (too many bad rows, or strict).
    """
    for row in found:
        try:
            value = make(row)
        except BadRow as fault:
            tally.bad_line(row.line, str(fault), lines=row.lines, characters=row.characters)
        else:
            tally.good(row.lines)
            yield value
    tally.close()


def rows(
    file: SourceFile,
    form: RowFormat,
    tally: LineTally,
    *,
    columns: Sequence[str] | None = None,
    errors: CharsetErrors = "replace",
    charset: str = AUTO,
    report: SourceReport | None = None,
) -> Iterator[RecordRow]:
    """Yield the rows of a file; of .csv and .parquet files only `columns` (None: all).

    Rows that can't be parsed are counted in `tally` as bad.
    """
    report = report or SourceReport()
    if form.kind == "parquet":
        with on_disk(file) as path:
            yield from _parquet_rows(path, columns, tally)
            report.read_bytes += path.stat().st_size
        return
    with file.open() as stream:
        pieces = text_pieces(stream, file.name, errors, report, charset)
        if form.kind == "csv":
            yield from _csv_rows(pieces, form, columns or form.columns, tally)
            return
        read = json_values
        if form.kind == "json":
            read = json_items
        for number, value, size in read(pieces, tally):
            if isinstance(value, dict):
                yield RecordRow(number, value, characters=size)
            else:
                tally.bad_line(number, "is not a JSON object", characters=size)


def json_values(pieces: Iterator[str], tally: LineTally) -> Iterator[tuple[int, Any, int]]:
    """Yield (line number, value, characters) of each line of a .jsonl file that is JSON. Blank
    lines are ignored.
    """
    for number, line, size in numbered_lines(pieces):
        if line is not None and not line.strip():
            continue
        value, fault = _parse(line)
        if fault:
            tally.bad_line(number, fault, characters=size)
        else:
            yield number, value, size


def _parse(line: str | None) -> tuple[Any, str]:
    if line is None:
        return None, TOO_LONG
    try:
        value = json.loads(line)
    except RecursionError:
        return None, TOO_DEEP
    except ValueError as error:
        return None, f"is not JSON ({str(error)[:80]})"
    if is_deeper(value, MAX_JSON_DEPTH):
        return None, TOO_DEEP
    return value, ""


def json_items(pieces: Iterator[str], tally: LineTally) -> Iterator[tuple[int, Any, int]]:
    """Yield (number from 1, value, characters) of each item of a JSON array; one item and one piece
    of the file are in memory.

    Raises FormatError for a fault: what stands behind it can't be told apart, so a truncated array
    is refused.
    """
    decoder, number, text, at = json.JSONDecoder(), 0, "", 0
    state, fault = "start", "is missing: the array has no end"
    for piece in pieces:
        text, at = text[at:] + piece, 0
        while True:
            at = _end_of_space(text, at)
            mark = text[at : at + 1]
            if not mark:
                break
            if (state, mark) in _ARRAY_MARKS:
                state, at = _ARRAY_MARKS[state, mark], at + 1
                continue
            if state in ("start", "after an item", "end"):
                raise _array_fault(tally, number, f"is followed by {mark!r}")
            value, end, wrong = _item(decoder, text, at)
            if end < 0:
                fault = wrong
                if len(text) - at > MAX_LINE_CHARACTERS:
                    raise _array_fault(tally, number + 1, fault)
                break  # the rest of it may be in the next piece
            size, at, number, state = end - at, end, number + 1, "after an item"
            if wrong:
                tally.bad_line(number, wrong, characters=size)
            else:
                yield number, value, size
    if state != "end":
        raise _array_fault(tally, number + 1, fault)


def _item(decoder: json.JSONDecoder, text: str, at: int) -> tuple[Any, int, str]:
    """Return the item of an array that begins at `at`, its end, and what is wrong with it; the end
    is -1 where none is found.
    """
    try:
        value, end = decoder.raw_decode(text, at)
    except RecursionError:
        return None, _end_of_brackets(text, at), TOO_DEEP
    except ValueError as error:
        return None, -1, f"is cut, or not JSON ({str(error)[:80]})"
    if is_deeper(value, MAX_JSON_DEPTH):
        return value, end, TOO_DEEP
    return value, end, ""


def _end_of_brackets(text: str, at: int) -> int:
    """Return the place behind the bracket that closes the one at `at`, or -1."""
    depth = 0
    for found in _BRACKETS.finditer(text, at):
        if found[0][0] == '"':
            continue
        depth += {"[": 1, "{": 1}.get(found[0], -1)
        if depth == 0:
            return found.end()
    return -1


def _end_of_space(text: str, at: int) -> int:
    """Return the place of the first character that is not white space, from `at` on."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _array_fault(tally: LineTally, number: int, fault: str) -> FormatError:
    return FormatError(tally.name, f"element {number}", fault)


def csv_columns(pieces: Iterator[str], name: str) -> tuple[str, list[str]]:
    """Return the delimiter of a .csv file (the first line's most frequent one of comma, tab,
    semicolon) and the fields of its first row.
    """
    tally = LineTally(name, SourceReport())
    lines = _CsvLines(pieces, tally)
    first = next(lines, "")
    if not first.strip():
        return ",", []
    delimiter = max(DELIMITERS, key=first.count)
    row = _next_row(_csv_reader(chain((first,), lines), delimiter), lines)
    return delimiter, [field.strip() for field in row or ()]


def _csv_rows(
    pieces: Iterator[str], form: RowFormat, columns: Sequence[str], tally: LineTally
) -> Iterator[RecordRow]:
    """Yield the rows of delimited fields.

    Raises DataError for a missing column (the existing ones are listed).
    """
    lines = _CsvLines(pieces, tally)
    if not form.has_header and form.delimiter == "\t":
        yield from _tabbed_rows(lines, form, tally)
        return
    reader = _csv_reader(lines, form.delimiter)
    if form.has_header:
        _next_row(reader, lines)
    places = {column: place(column, form.columns, tally.name) for column in columns}
    width, line_of_width = len(form.columns), "the first row"
    if form.has_header:
        line_of_width = "the header"
    while True:
        before = reader.line_num
        row = _next_row(reader, lines)
        if row is None:
            return
        number, count = before + 1, reader.line_num - before
        if len(row) == width:
            values = {name: row[at] for name, at in places.items()}
            yield RecordRow(number, values, count, lines.characters)
        elif row:
            fault = f"has {len(row)} fields, {line_of_width} {width}"
            tally.bad_line(number, fault, lines=count, characters=lines.characters)


def _tabbed_rows(lines: Iterable[str], form: RowFormat, tally: LineTally) -> Iterator[RecordRow]:
    """Yield lines of fields separated by tabs, without a header; quotation marks are text.

    Of two fields, one may have tabs.
    """
    width = len(form.columns)
    for number, line in enumerate(lines, start=1):
        content = line.removesuffix("\n")
        if form.splits_last:
            fields = content.rsplit("\t", width - 1)
        else:
            fields = content.split("\t", width - 1)
        if len(fields) == width:
            values = dict(zip(form.columns, fields, strict=True))
            yield RecordRow(number, values, characters=len(content))
        elif content.strip():
            many = "s" * (len(fields) > 1)
            fault = f"has {len(fields)} field{many}, expected {width} with a tab between"
            tally.bad_line(number, fault, characters=len(content))


def _csv_reader(lines: Iterable[str], delimiter: str) -> Any:
    # The limit is global, and always this value: a field may be as long as a line.
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    return csv.reader(lines, delimiter=delimiter, strict=True)


class _CsvLines:
    """The lines of a .csv file. One that is too long counts as bad and becomes an empty one."""

    def __init__(self, pieces: Iterator[str], tally: LineTally) -> None:
        self._lines, self.tally = numbered_lines(pieces), tally
        self.characters = 0
        """The characters of the lines since it was last set to 0."""

    def __iter__(self) -> "_CsvLines":
        return self

    def __next__(self) -> str:
        number, line, characters = next(self._lines)
        if line is None:
            self.tally.bad_line(number, TOO_LONG, characters=characters)
            return "\n"
        self.characters += characters
        return line or "\n"


def _next_row(reader: Any, lines: _CsvLines) -> list[str] | None:
    """Return the next row that can be parsed, or None at the end.

    All lines of an unclosed quote are one bad row.
    """
    while True:
        before, lines.characters = reader.line_num, 0
        try:
            return next(reader, None)
        except csv.Error as error:
            count = max(1, reader.line_num - before)
            fault = f"is not CSV ({error})"
            lines.tally.bad_line(before + 1, fault, lines=count, characters=lines.characters)


def place(column: str, columns: Sequence[str], name: str) -> int:
    """Return the place of a column. Raises DataError that lists the columns there are."""
    if column not in columns:
        names = ", ".join(repr(title[:40]) for title in columns[:50]) or "none"
        raise DataError(
            f"{name} has no column {column!r}; its columns are: {names}.",
            fix="Name one of these as `text`, `label` or in `columns`.",
        )
    return columns.index(column)


@contextmanager
def on_disk(file: SourceFile) -> Iterator[Path]:
    """Give the path of a file's bytes: its own, or that of a temporary copy of what is compressed
    or in an archive.
    """
    if file.path:
        yield file.path
        return
    with tempfile.NamedTemporaryFile(suffix=file.suffix) as copy:
        with file.open() as stream:
            shutil.copyfileobj(stream, copy)
        copy.flush()
        yield Path(copy.name)


def parquet_columns(file: SourceFile) -> tuple[str, ...]:
    """Raises FormatError, MissingExtra."""
    with on_disk(file) as path, _open_parquet(path, file.name) as opened:
        return tuple(opened.schema_arrow.names)


def _parquet_rows(
    path: Path, columns: Sequence[str] | None, tally: LineTally
) -> Iterator[RecordRow]:
    """Raises DataError as `_csv_rows`, FormatError, MissingExtra."""
    with _open_parquet(path, tally.name) as opened:
        names = list(opened.schema_arrow.names)
        if columns is None:
            columns = names
        for column in columns:
            place(column, names, tally.name)
        number = 0
        for batch in opened.iter_batches(batch_size=PARQUET_BATCH_ROWS, columns=list(columns)):
            cells = [map(_cell, batch.column(column)) for column in columns]
            for values in zip(*cells, strict=True):
                number += 1
                yield RecordRow(number, dict(zip(columns, values, strict=True)))


@contextmanager
def _open_parquet(path: Path, name: str) -> Iterator[Any]:
    """Raises FormatError, MissingExtra."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    try:
        with parquet.ParquetFile(path) as opened:
            yield opened
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = f"can't be read ({str(error).strip()[:200]!r})"
        raise FormatError(name, "parquet", reason) from error


def _cell(scalar: Any) -> Any:
    """Return a value of a .parquet file; Unusable where it can't be one."""
    if type(scalar).__name__ == "DictionaryScalar":
        scalar = scalar.value
    # bytes of UTF-8, checked before they are copied
    buffer = getattr(scalar, "as_buffer", lambda: None)()
    if buffer is not None and buffer.size > 4 * MAX_LINE_CHARACTERS:
        return Unusable(TOO_LONG)
    try:
        value = scalar.as_py()
    except UnicodeDecodeError:
        return Unusable("is not a text but bytes")
    except ValueError:
        return Unusable(f"is not a text but {scalar.type}")
    if isinstance(value, str) and len(value) > MAX_LINE_CHARACTERS:
        return Unusable(TOO_LONG)
    return value
