"""Rows of .jsonl, .csv and .parquet files. Bad rows are counted and reported; the rest is used (see `source_report.LineTally`)."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.data.decoding import MAX_LINE_CHARACTERS, numbered_lines
from groundup.data.source_report import LineTally
from groundup.errors import DataError, FormatError, MissingExtra

DELIMITERS = (",", "\t", ";")
# Cells of a batch are in memory together, and one may have 16 Mi characters.
PARQUET_BATCH_ROWS = 64


@dataclass(frozen=True, slots=True)
class Row:
    """The requested columns of one row, in order."""

    line: int
    values: tuple[str, ...]


def json_objects(pieces: Iterator[str], tally: LineTally) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of each good line of a .jsonl file. Blank lines are ignored."""
    for number, line in numbered_lines(pieces):
        if line is not None and not line.strip():
            continue
        value, fault = _parse(line)
        if isinstance(value, dict):
            yield number, value
        else:
            tally.bad_line(number, fault or "is not a JSON object")


def _parse(line: str | None) -> tuple[Any, str]:
    """Return the JSON value of a line, or None and what is wrong with it."""
    if line is None:
        return None, f"is longer than {MAX_LINE_CHARACTERS} characters"
    try:
        return json.loads(line), ""
    except RecursionError:
        return None, "is nested too deep"
    except ValueError as error:
        return None, f"is not JSON ({str(error)[:80]})"


def json_rows(pieces: Iterator[str], columns: Sequence[str], tally: LineTally) -> Iterator[Row]:
    """Yield the texts in `columns` of a .jsonl file's lines. Raises DataError (too many bad lines, or strict)."""
    for number, value in json_objects(pieces, tally):
        wrong = next((column for column in columns if not isinstance(value.get(column), str)), None)
        if wrong is None:
            tally.good()
            yield Row(number, tuple(value[column] for column in columns))
        else:
            tally.bad_line(number, _why_not(value, wrong))
    tally.close()


def _why_not(value: dict[str, Any], column: str) -> str:
    if column in value:
        return f"'{column}' is not a text but {type(value[column]).__name__}"
    return f"has no '{column}' (it has: {', '.join(list(value)[:20])[:200]})"


def csv_rows(pieces: Iterator[str], columns: Sequence[str], tally: LineTally) -> Iterator[Row]:
    """Yield the texts in `columns` of a .csv file with a header; the delimiter (comma, tab, semicolon) is the header's most frequent one.

    Raises DataError: a missing column (the existing ones are listed), too many bad lines, or strict.
    """
    lines = _csv_lines(pieces, tally)
    first = next(lines, "")
    if not first.strip():
        return
    # The limit is global, and always this value: a field may be as long as a line.
    csv.field_size_limit(MAX_LINE_CHARACTERS)
    reader = csv.reader(_chain(first, lines), delimiter=max(DELIMITERS, key=first.count), strict=True)
    header = [name.strip() for name in _next_row(reader, tally) or []]
    places = [_place(column, header, tally.name) for column in columns]
    while True:
        before = reader.line_num
        row = _next_row(reader, tally)
        if row is None:
            break
        if row and len(row) == len(header):
            tally.good(reader.line_num - before)
            yield Row(before + 1, tuple(row[place] for place in places))
        elif row:
            reason = f"has {len(row)} fields, the header {len(header)}"
            tally.bad_line(before + 1, reason, lines=reader.line_num - before)
    tally.close()


def _csv_lines(pieces: Iterator[str], tally: LineTally) -> Iterator[str]:
    for number, line in numbered_lines(pieces):
        if line is None:
            tally.bad_line(number, f"is longer than {MAX_LINE_CHARACTERS} characters")
        yield line or "\n"


def _chain(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def _next_row(reader: Any, tally: LineTally) -> list[str] | None:
    """Return the next row that can be parsed, or None at the end. All lines of an unclosed quote count as bad."""
    while True:
        before = reader.line_num
        try:
            return next(reader, None)
        except csv.Error as error:
            tally.bad_line(before + 1, f"is not CSV ({error})", lines=max(1, reader.line_num - before))


def _place(column: str, header: Sequence[str], name: str) -> int:
    if column not in header:
        listed = ", ".join(repr(title[:40]) for title in header[:50])
        fix = "Name one of these (--text-column, --label-column; in a recipe data.text_column), or add a line of column names."
        raise DataError(f"{name} has no column '{column}'; its columns are: {listed}.", fix=fix)
    return header.index(column)


def _cell(scalar: Any) -> tuple[Any, str]:
    """Return a value of a .parquet file as text, or None and why it can't be used."""
    if type(scalar).__name__ == "DictionaryScalar":
        scalar = scalar.value
    buffer = scalar.as_buffer() if hasattr(scalar, "as_buffer") else None
    too_long = f"is longer than {MAX_LINE_CHARACTERS} characters"
    if buffer is not None and buffer.size > 4 * MAX_LINE_CHARACTERS:  # bytes of UTF-8, checked before they are copied
        return None, too_long
    try:
        value = scalar.as_py()
    except UnicodeDecodeError:
        return None, "is not text but bytes"
    if not isinstance(value, str):
        return None, f"is not text but {type(value).__name__}"
    return (None, too_long) if len(value) > MAX_LINE_CHARACTERS else (value, "")


def parquet_rows(path: Path, columns: Sequence[str], tally: LineTally) -> Iterator[Row]:
    """Yield the texts in `columns` of a .parquet file. Raises DataError as `csv_rows`, FormatError, MissingExtra."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "parquet") from error
    try:
        with parquet.ParquetFile(path) as opened:
            for column in columns:
                _place(column, opened.schema_arrow.names, tally.name)
            number = 0
            for batch in opened.iter_batches(batch_size=PARQUET_BATCH_ROWS, columns=list(columns)):
                for cells in zip(*(map(_cell, batch.column(column)) for column in columns), strict=True):
                    number += 1
                    fault = next((f"'{c}' {why}" for c, (_, why) in zip(columns, cells, strict=True) if why), "")
                    if fault:
                        tally.bad_line(number, fault)
                    else:
                        tally.good()
                        yield Row(number, tuple(value for value, _ in cells))
    except (pyarrow.ArrowException, OSError) as error:
        raise FormatError(path, "parquet", f"can't be read ({str(error)[:200]})") from error
    tally.close()
