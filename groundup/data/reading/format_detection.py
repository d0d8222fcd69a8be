"""What a file of data holds: its kind, its layout, which column has which role, how sure that is,
and its first row.

    sniff("reviews.csv") -> Description(layout="labelled", roles={"text": "review", "label":
        "stars"}, first={...}, doubt="")

Every command that takes data begins here, prints `Description.line()`, and reads by the
description. Where there is a doubt it does not read:
`Description.require()` raises one sentence with the columns and the option that settles it. Only
the first rows are looked at (SAMPLE_ROWS, and at most SAMPLE_CHARACTERS of them). The rules for
columns are in `layouts` and `roles`; here are those for files: JSON array or lines, delimiter,
header.
"""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from groundup.data.reading.column_roles import NAMES, is_named
from groundup.data.reading.decoding import numbered_lines, text_pieces
from groundup.data.reading.description import (
    TEXT_SUFFIXES,
    Description,
    ReadingRequest,
    doubted,
    other_layout,
    refused,
    shorten,
    unrecognised,
)
from groundup.data.reading.extract import EXTRACTORS
from groundup.data.reading.layouts import FRACTION, LABELLED, Match, choose, listed, misfit
from groundup.data.reading.records import (
    RecordRow,
    RowFormat,
    SourceFile,
    csv_columns,
    parquet_columns,
    place,
    rows,
)
from groundup.data.reading.source_report import LineTally, SourceReport

SAMPLE_ROWS, SAMPLE_CHARACTERS = 200, 2**22
# A label is some words without the punctuation of a sentence, and no fraction.
MAX_LABEL_CHARACTERS, MAX_LABEL_WORDS = 60, 5
_SENTENCE_END = re.compile(r"[.!?…]$")
# A column is labels where it has at most this share of distinct values; of few rows, at most half.
MAX_DISTINCT_SHARE, FEW_ROWS = 1 / 3, 20
TABBED_SHARE = 0.9


def sniff(source: SourceFile | Path | str, asked: ReadingRequest | None = None) -> Description:
    """Return what a file holds, of the layouts that are wanted.

    Raises NotTextError (binary), FormatError, MissingExtra, and DataError for a column of
    `asked.given` that is not there.

    >>> sniff("messages.csv").roles
    {'text': 'text', 'label': 'label'}
    """
    file = source if isinstance(source, SourceFile) else _file(Path(source))
    asked = asked or ReadingRequest()
    if file.suffix in TEXT_SUFFIXES:
        return _sniff_text(file, asked)
    if file.suffix in EXTRACTORS:
        plain = Description(file.name, RowFormat("text"), "text")
        return (
            plain if "text" in asked.wanted else refused(plain, *other_layout("text", asked.wanted))
        )
    if file.suffix == ".parquet":
        form = RowFormat("parquet", parquet_columns(file))
        return _described(file, form, asked)
    with file.open() as stream:
        lines = [
            line or "" for _, line, _ in itertools.islice(_lines(stream, file, asked), SAMPLE_ROWS)
        ]
    if file.suffix in (".jsonl", ".json"):
        first = next((line.lstrip() for line in lines if line.strip()), "")
        return _described(file, RowFormat("json" if first.startswith("[") else "jsonl"), asked)
    return _sniff_csv(file, lines, asked)


def _file(path: Path) -> SourceFile:
    return SourceFile(path.name, path.suffix.lower(), lambda: path.open("rb"), path)


def _lines(stream: Any, file: SourceFile, asked: ReadingRequest) -> Any:
    """The lines of the first piece of a file; the last may be cut."""
    return numbered_lines(
        itertools.islice(
            text_pieces(stream, file.name, asked.errors, SourceReport(), asked.encoding), 1
        )
    )


def _sniff_text(file: SourceFile, asked: ReadingRequest) -> Description:
    """A text, or, where labelled texts are wanted, lines of label, tab, text."""
    with file.open() as stream:
        lines = [
            line or "" for _, line, _ in itertools.islice(_lines(stream, file, asked), SAMPLE_ROWS)
        ]
    first = next((line for line in lines if line.strip()), "")
    plain = Description(file.name, RowFormat("text"), "text", first={"text": first})
    if "labelled" not in asked.wanted or file.suffix != ".txt":
        return (
            plain if "text" in asked.wanted else refused(plain, *other_layout("text", asked.wanted))
        )
    tabbed = (
        _headerless(file, _tabbed_form(lines), replace(asked, wanted=LABELLED))
        if _is_tabbed(lines)
        else None
    )
    if tabbed and not tabbed.doubt:
        return tabbed
    if "text" in asked.wanted:
        return plain
    fix = "A line is label, tab, text; or give a .csv or .jsonl with names of columns."
    return tabbed or replace(
        plain, layout=None, doubt="its lines have no tab between label and text", fix=fix
    )


def _sniff_csv(
    file: SourceFile,
    lines: Sequence[str],
    asked: ReadingRequest,
) -> Description:
    """Delimited fields: which delimiter, and whether the first row is a header."""
    if _is_tabbed(lines):
        delimiter, head = "\t", [field.strip().strip('"') for field in lines[0].split("\t")]
    else:
        delimiter, head = csv_columns(iter(lines), file.name)
    if not head:
        return Description(file.name, RowFormat("csv"), None)
    form = RowFormat("csv", tuple(head), delimiter)
    below = (
        [line.rstrip("\n").split("\t") for line in lines[1:]]
        if delimiter == "\t"
        else _fields(file, form, asked)
    )
    if _is_header(head, below, asked.given):
        return _described(file, form, asked)
    form = (
        _tabbed_form(lines)
        if delimiter == "\t"
        else replace(form, columns=_numbers(len(head)), has_header=False)
    )
    return _headerless(file, form, asked)


def _is_tabbed(lines: Sequence[str]) -> bool:
    """Return whether the fields of these lines are separated by tabs."""
    filled = [line for line in lines if line.strip()]
    tabbed = sum("\t" in line for line in filled)
    return (
        bool(filled)
        and "\t" in filled[0]
        and filled[0] == lines[0]
        and tabbed >= TABBED_SHARE * len(filled)
    )


def _tabbed_form(lines: Sequence[str]) -> RowFormat:
    """Lines of fields between tabs, without a header."""
    counts = Counter(line.count("\t") + 1 for line in lines if "\t" in line)
    return RowFormat("csv", _numbers(counts.most_common(1)[0][0]), "\t", has_header=False)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(1, count + 1))


def _is_header(
    head: Sequence[str], below: Sequence[Sequence[str]], given: Mapping[str, str]
) -> bool:
    """Return whether the first row names the columns: names that are usual, or were given, and none
    that the rows below have as a value.
    """
    if given and set(given.values()) <= set(head):
        return True
    known = sum(any(is_named(cell, role) for role in NAMES) for cell in head)
    recurs = any(_is_label(cell) and _occurs(cell, place, below) for place, cell in enumerate(head))
    if known >= 2 or (known and not recurs):
        return True
    if given and set(given.values()) <= set(_numbers(len(head))):
        return False
    return not recurs and all(_is_label(cell) and not cell.isdigit() for cell in head if cell)


def _fields(file: SourceFile, form: RowFormat, asked: ReadingRequest) -> list[list[str]]:
    """The fields of the rows below the first."""
    numbered = replace(form, columns=_numbers(len(form.columns)))
    return [list(row.values.values()) for row in _sample(file, numbered, asked)[0]]


def _occurs(cell: str, place: int, below: Sequence[Sequence[str]]) -> bool:
    return any(place < len(fields) and fields[place].strip() == cell for fields in below)


def _is_label(cell: str) -> bool:
    cell = cell.strip()
    is_short = 0 < len(cell) <= MAX_LABEL_CHARACTERS and len(cell.split()) <= MAX_LABEL_WORDS
    return is_short and not (_SENTENCE_END.search(cell) or FRACTION.fullmatch(cell))


def _headerless(
    file: SourceFile,
    form: RowFormat,
    asked: ReadingRequest,
) -> Description:
    """Rows without names of columns: of two columns, the one with few values, which recur, is the
    label.
    """
    found, _ = _sample(file, form, asked)
    if asked.given:
        return _described(file, form, asked)
    columns = form.columns
    labels = [
        column
        for column in columns
        if _are_labels([str(row.values[column]).strip() for row in found])
    ]
    fix = f"Columns without a name are called {listed(columns[:4])}, ...: --text-column 2 --label-column 1, or add a line of names."
    if len(columns) == 1 and "text" in asked.wanted:
        return _described(file, form, replace(asked, given={"text": "1"}))
    if len(columns) != 2 or len(labels) != 1:
        doubt = f"it has no names of columns, and which of its {len(columns)} columns is the label and which the text is not plain"
        first = {column: found[0].values[column] for column in columns} if found else {}
        return Description(
            file.name, form, None, first=first, doubt=_with_first(doubt, first), fix=fix
        )
    label, text = labels[0], next(column for column in columns if column not in labels)
    form = replace(form, splits_last=label == "2")
    return _described(file, form, replace(asked, given={"text": text, "label": label}))


def _with_first(doubt: str, first: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{column}: {shorten(value)!r}" for column, value in list(first.items())[:4])
    return f"{doubt} (first row: {shown})" if shown else doubt


def _are_labels(values: Sequence[str]) -> bool:
    """Return whether values are classes: short, and few of them, which recur."""
    distinct = len(set(values))
    few = max(2, len(values) * (1 / 2 if len(values) <= FEW_ROWS else MAX_DISTINCT_SHARE))
    return distinct < len(values) and distinct <= few and all(map(_is_label, values))


def _sample(
    file: SourceFile, form: RowFormat, asked: ReadingRequest
) -> tuple[list[RecordRow], LineTally]:
    """Return the first rows that can be parsed, and the tally of those before and between that
    can't.
    """
    tally, found, characters = LineTally(file.name, SourceReport()), [], 0
    for row in rows(file, form, tally, errors=asked.errors, encoding=asked.encoding):
        found.append(row)
        characters += sum(
            len(value) if isinstance(value, str) else len(str(value))
            for value in row.values.values()
        )
        if len(found) >= SAMPLE_ROWS or characters > SAMPLE_CHARACTERS:
            break
    return found, tally


def _described(
    file: SourceFile,
    form: RowFormat,
    asked: ReadingRequest,
) -> Description:
    """Choose the layout by the first rows."""
    found, tally = _sample(file, form, asked)
    if form.kind in ("jsonl", "json"):
        form = replace(
            form, columns=tuple(dict.fromkeys(column for row in found for column in row.values))
        )
    if not found:
        bad = tally.bad
        doubt = (
            f"none of its first {bad.count:,} rows can be read ({bad.examples[0]})"
            if bad.count
            else ""
        )
        if doubt and file.suffix == ".json":
            doubt = "it is neither an array of JSON objects nor one object a line"
        return Description(
            file.name, form, None, doubt=doubt, fix="Name another file, or correct it."
        )
    for column in asked.given.values():
        place(column, form.columns, file.name)
    best = choose(form.columns, found, wanted=asked.wanted, given=asked.given, layout=asked.layout)
    if best is None:
        other = choose(form.columns, found, given=asked.given)
        return refused(
            Description(file.name, form, None),
            *unrecognised(form, asked.wanted, other, misfit(form.columns, found, asked.wanted)),
        )
    doubt, fix = doubted(best, form) if best.doubt else ("", "")
    return Description(file.name, form, best.layout, best.roles, _first(best, found), doubt, fix)


def _first(best: Match, found: Sequence[RecordRow]) -> dict[str, Any]:
    row = found[0]
    return {
        role: row.values.get(column)
        for role, column in best.roles.items()
        if row.values.get(column) is not None
    }
