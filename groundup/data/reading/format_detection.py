"""What a file of data holds: its kind, its layout, which column has which role, how sure that is,
and its first row.

    sniff("reviews.csv") -> Description(layout="labelled", roles={"text": "review", "label":
        "stars"}, first={...}, doubt="")

Every command that takes data begins here, prints `Description.line()`, and reads by the
description. Where there is a doubt it does not read: `Description.require()` raises one sentence
with the columns and the field of `Data` that settles it. Only the first rows are looked at
(SAMPLE_ROWS, and at most SAMPLE_CHARACTERS of them). The rules for columns are in `layouts`; here
are those for files: JSON array or lines, delimiter, header.
"""

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from groundup.data.reading.decoding import NotTextError, numbered_lines, text_pieces
from groundup.data.reading.extract import EXTRACTORS
from groundup.data.reading.layouts import (
    FRACTION,
    LABELLED,
    LAYOUTS,
    OF_TEXTS,
    RULES,
    Layout,
    Match,
    choose,
    flat,
    is_named,
    list_names,
    misfit,
)
from groundup.data.reading.markup_text import TEXT_SUFFIXES
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.records import (
    Kind,
    RecordRow,
    RowFormat,
    SourceFile,
    csv_columns,
    parquet_columns,
    place,
    rows,
)
from groundup.data.reading.source_report import LineTally, SourceReport, Tally
from groundup.errors import DataError

SAMPLE_ROWS, SAMPLE_CHARACTERS = 200, 2**22
ANY_LAYOUT = SourceOptions(wanted=LAYOUTS)
# A label is some words without the punctuation of a sentence, and no fraction.
MAX_LABEL_CHARACTERS, MAX_LABEL_WORDS = 60, 5
# A full stop ends a sentence from three words on: fewer are an abbreviation ("Ticket No.").
_SENTENCE_END = re.compile(r"[!?…]$|\s.*\s.*\.$")
# A column is labels where it has at most this share of distinct values; of few rows, at most half.
MAX_DISTINCT_SHARE, FEW_ROWS = 1 / 3, 20
TABBED_SHARE = 0.9
SHOWN_CHARACTERS = 60
SHOWN_COLUMNS = 20
# In a folder of data these may be something else (a README, a config): they are passed over where
# they have no rows of the wanted layout.
LOOSE_SUFFIXES = (*TEXT_SUFFIXES, ".json", *EXTRACTORS)


class SkippedFile(NotTextError):
    """A file of a folder that has nothing of what is read; `reason` is counted."""

    def __init__(self, error: DataError, reason: str) -> None:
        super().__init__(error.message, fix=error.fix)
        self.reason = reason


@dataclass(frozen=True)
class Description:
    name: str
    form: RowFormat
    layout: Layout | None
    """None: not recognised, or no row."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Role -> column."""
    first: Mapping[str, Any] = field(default_factory=dict)
    """Role -> value in the first row."""
    doubt: str = ""
    """Why it is not sure; "" where it is."""
    fix: str = ""
    """What settles the doubt."""
    files: int = 1
    passed_over: Mapping[str, Tally] = field(default_factory=dict)
    """Reason -> files that are not read."""

    @property
    def unused(self) -> tuple[str, ...]:
        return tuple(column for column in self.form.columns if column not in self.roles.values())

    def require(self) -> "Description":
        """Return itself.

        Raises DataError where there is a doubt; SkippedFile for a file that may be something else.
        """
        if not self.doubt:
            return self
        error = DataError(f"{self.name}: {self.doubt}.", fix=self.fix)
        if self.name.endswith(LOOSE_SUFFIXES):
            raise SkippedFile(error, "no rows of this kind")
        raise error

    def to_plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.form.kind,
            "layout": self.layout,
            "roles": dict(self.roles),
            "files": self.files,
            "first": {role: shorten(value) for role, value in self.first.items()},
            "unused": list(self.unused),
            "line": self.line(),
        }

    def line(self) -> str:
        name, what, form = self.name, "nothing", str(self.form.kind)
        if self.files > 1:
            name = f"{name} and {self.files - 1:,} more"
        if self.layout:
            what = RULES[self.layout].plural
        if form == "csv" and not self.form.has_header:
            form = "csv, no header"
        parts = [f"{name}: {what} ({form})"]
        if self.roles:
            parts.append(", ".join(f"{role} in {column!r}" for role, column in self.roles.items()))
        if self.unused:
            parts.append(f"not used: {list_names(self.unused[:10])}")
        for reason, tally in self.passed_over.items():
            names = ", ".join(tally.examples[:3])
            parts.append(f"passed over, {reason}: {tally.count:,} ({names})")
        line = "; ".join(parts)
        if not self.first:
            return f"{line}."
        first = "; ".join(f"{role} {shorten(value)!r}" for role, value in self.first.items())
        return f"{line}. First: {first}"

    def with_doubt(self, doubt: str, fix: str) -> "Description":
        """Return the description of a file that can't be read."""
        return replace(self, layout=None, doubt=doubt, fix=fix)


def sniff(source: SourceFile | Path | str, options: SourceOptions = ANY_LAYOUT) -> Description:
    """Return what a file holds, of the layouts that are wanted.

    Raises NotTextError (binary), FormatError, MissingExtra, and DataError for a column of
    `options.given` that is not there.

    >>> sniff("messages.csv").roles
    {'text': 'text', 'label': 'label'}
    """
    file = _file(source)
    if file.suffix in EXTRACTORS:
        return _describe_text(file, "", options)
    if file.suffix == ".parquet":
        return _describe(file, RowFormat("parquet", parquet_columns(file)), options)
    lines = _first_lines(file, options)
    first = next((line for line in lines if line.strip()), "")
    if file.suffix in (".jsonl", ".json"):
        kind: Kind = "jsonl"
        if first.lstrip().startswith("["):
            kind = "json"
        return _describe(file, RowFormat(kind), options)
    if file.suffix not in TEXT_SUFFIXES:
        return _describe_csv(file, lines, options)
    if file.suffix == ".txt" and "labelled" in options.layouts:
        return _describe_labelled_lines(file, lines, first, options)
    return _describe_text(file, first, options)


def _file(source: SourceFile | Path | str) -> SourceFile:
    if isinstance(source, SourceFile):
        return source
    path = Path(source)
    return SourceFile(path.name, path.suffix.lower(), lambda: path.open("rb"), path)


def _first_lines(file: SourceFile, options: SourceOptions) -> list[str]:
    """Return lines of the first piece of a file; the last may be cut."""
    with file.open() as stream:
        pieces = text_pieces(
            stream, file.name, options.charset_errors, SourceReport(), options.charset
        )
        lines = numbered_lines(itertools.islice(pieces, 1))
        return [line or "" for _, line, _ in itertools.islice(lines, SAMPLE_ROWS)]


def _describe_text(file: SourceFile, first: str, options: SourceOptions) -> Description:
    found = Description(file.name, RowFormat("text"), "text")
    if file.suffix not in EXTRACTORS:
        found = replace(found, first={"text": first})
    if "text" in options.layouts:
        return found
    return _other(found, Match("text", {}), options.layouts)


def _describe_labelled_lines(
    file: SourceFile, lines: Sequence[str], first: str, options: SourceOptions
) -> Description:
    """Describe lines of label, tab, text; where texts are wanted, too, it may be one."""
    doubt = "its lines have no tab between label and text"
    fix = "A line is label, tab, text; or give a .csv or .jsonl with names of columns."
    found = Description(file.name, RowFormat("text"), None, {}, {"text": first}, doubt, fix)
    if _is_tabbed(lines):
        found = _describe_headerless(file, _tabbed_form(lines), replace(options, wanted=LABELLED))
    if found.doubt and "text" in options.layouts:
        return _describe_text(file, first, options)
    return found


def _describe_csv(file: SourceFile, lines: Sequence[str], options: SourceOptions) -> Description:
    """Describe delimited fields: which delimiter, and whether the first row is a header."""
    if _is_tabbed(lines):
        delimiter, head = "\t", [field.strip().strip('"') for field in lines[0].split("\t")]
    else:
        delimiter, head = csv_columns(iter(lines), file.name)
    if not head:
        return Description(file.name, RowFormat("csv"), None)
    named = RowFormat("csv", tuple(head), delimiter)
    numbered = replace(named, columns=_numbers(len(head)), has_header=False)
    if delimiter == "\t":
        numbered = _tabbed_form(lines)
        below = [line.rstrip("\n").split("\t") for line in lines[1:]]
    else:
        found, _ = _sample(file, replace(numbered, has_header=True), options)
        below = [list(row.values.values()) for row in found]
    if _is_header(head, below, options.given):
        return _describe(file, named, options)
    return _describe_headerless(file, numbered, options)


def _is_tabbed(lines: Sequence[str]) -> bool:
    """Return whether the fields of these lines are separated by tabs, from the first line on."""
    if not lines or "\t" not in lines[0] or not lines[0].strip():
        return False
    filled = [line for line in lines if line.strip()]
    return sum("\t" in line for line in filled) >= TABBED_SHARE * len(filled)


def _tabbed_form(lines: Sequence[str]) -> RowFormat:
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
    known = sum(map(is_named, head))
    recurs = any(_is_label(cell) and _occurs(cell, place, below) for place, cell in enumerate(head))
    if known >= 2 or (known and not recurs):
        return True
    if given and set(given.values()) <= set(_numbers(len(head))):
        return False
    return not recurs and all(_is_label(cell) and not cell.isdigit() for cell in head if cell)


def _occurs(cell: str, place: int, below: Sequence[Sequence[str]]) -> bool:
    return any(place < len(fields) and fields[place].strip() == cell for fields in below)


def _is_label(cell: str) -> bool:
    cell = cell.strip()
    is_short = 0 < len(cell) <= MAX_LABEL_CHARACTERS and len(cell.split()) <= MAX_LABEL_WORDS
    return is_short and not (_SENTENCE_END.search(cell) or FRACTION.fullmatch(cell))


def _describe_headerless(file: SourceFile, form: RowFormat, options: SourceOptions) -> Description:
    """Describe rows without names of columns: of two columns, the one with few values, which recur,
    is the label.
    """
    if options.given:
        return _describe(file, form, options)
    columns = form.columns
    if len(columns) == 1 and "text" in options.layouts:
        return _describe(file, form, options, {"text": "1"})
    found, _ = _sample(file, form, options)
    values = {column: [str(row.values[column]).strip() for row in found] for column in columns}
    labels = [column for column in columns if _are_labels(values[column])]
    if len(columns) == 2 and len(labels) == 1:
        (text,) = set(columns) - set(labels)
        form = replace(form, splits_last=text == "1")
        return _describe(file, form, options, {"text": text, "label": labels[0]})
    doubt = (
        f"it has no names of columns, and which of its {len(columns)} columns is the label "
        "and which the text is not plain"
    )
    first: dict[str, Any] = {}
    if found:
        first = {column: found[0].values[column] for column in columns}
        shown = [f"{column}: {shorten(first[column])!r}" for column in columns[:4]]
        doubt += f" (first row: {', '.join(shown)})"
    fix = (
        f"Columns without a name are called {list_names(columns[:4])}, ...: "
        "`text` 2 and `label` 1, or add a line of names."
    )
    return Description(file.name, form, None, {}, first, doubt, fix)


def _are_labels(values: Sequence[str]) -> bool:
    """Return whether values are classes: short, and few of them, which recur."""
    distinct, few = len(set(values)), len(values) * MAX_DISTINCT_SHARE
    if len(values) <= FEW_ROWS:
        few = len(values) / 2
    return distinct < len(values) and distinct <= max(2, few) and all(map(_is_label, values))


def _sample(
    file: SourceFile, form: RowFormat, options: SourceOptions
) -> tuple[list[RecordRow], LineTally]:
    """Return the first rows that can be parsed, and the tally of those before and between that
    can't.
    """
    tally, found, characters = LineTally(file.name, SourceReport()), [], 0
    for row in rows(file, form, tally, errors=options.charset_errors, charset=options.charset):
        found.append(row)
        characters += sum(len(str(value)) for value in row.values.values())
        if len(found) >= SAMPLE_ROWS or characters > SAMPLE_CHARACTERS:
            break
    return found, tally


def _describe(
    file: SourceFile,
    form: RowFormat,
    options: SourceOptions,
    given: Mapping[str, str] | None = None,
) -> Description:
    """Choose the layout by the first rows. `given`: role -> column; by default as in `options`."""
    if given is None:
        given = options.given
    found, tally = _sample(file, form, options)
    if form.kind in ("jsonl", "json"):
        columns = dict.fromkeys(column for row in found for column in row.values)
        form = replace(form, columns=tuple(columns))
    plain = Description(file.name, form, None)
    if not found:
        return _describe_without_rows(plain, tally.bad, file.suffix)
    for column in given.values():
        place(column, form.columns, file.name)
    best = choose(form.columns, found, wanted=options.layouts, given=given, layout=options.layout)
    if best is None:
        other = choose(form.columns, found, given=given)
        if other is None:
            why = misfit(form.columns, found, options.layouts)
            return _unknown(plain, options.layouts, why, found)
        return _other(plain, other, options.layouts, found)
    values = {role: found[0].values.get(column) for role, column in best.roles.items()}
    first = {role: value for role, value in values.items() if value is not None}
    sure = Description(file.name, form, best.layout, best.roles, first)
    if not best.doubt:
        return sure
    fields = " or ".join(f"`layout` {layout}" for layout in best.fits) or RULES[best.layout].fields
    columns_there = list_names(form.columns[:SHOWN_COLUMNS])
    return replace(
        sure,
        doubt=f"it is not sure what it holds: {best.doubt}; its columns are {columns_there}",
        fix=f"Say which is meant: {fields}.",
    )


def _describe_without_rows(plain: Description, bad: Tally, suffix: str) -> Description:
    fix = "Name another file, or correct it."
    if not bad.count:
        return replace(plain, fix=fix)
    if suffix == ".json":
        return plain.with_doubt("it is neither an array of JSON objects nor one object a line", fix)
    doubt = f"none of its first {bad.count:,} rows can be read ({bad.examples[0]})"
    return plain.with_doubt(doubt, fix)


def _unknown(
    plain: Description, wanted: Collection[Layout], why: str, rows: Sequence[RecordRow]
) -> Description:
    """Describe a file whose columns have no layout; of labelled texts with what they may be."""
    known = [RULES[layout].plural for layout in RULES if layout in wanted]
    doubt = f"its columns {list_names(plain.form.columns[:SHOWN_COLUMNS])} are not recognised"
    if len(known) < len(LAYOUTS):
        doubt += f" as {join_or(known)}"
    if why:
        doubt += f" ({why})"
    likely = _label_columns(plain.form.columns, rows)
    texts = [column for column in plain.form.columns if column not in likely]
    if "labelled" in wanted and likely and texts:
        longest = max(texts, key=lambda name: sum(len(flat(row.values.get(name))) for row in rows))
        named = f"`text` {shlex.quote(longest)} and `label` {join_or(map(shlex.quote, likely))}"
        return plain.with_doubt(doubt, f"Name them, perhaps {named}.")
    return plain.with_doubt(doubt, f"Name them: {_fields(wanted)}.")


def _other(
    plain: Description, found: Match, wanted: Collection[Layout], rows: Sequence[RecordRow] = ()
) -> Description:
    """Describe data of another layout than is wanted; texts beside what may be their label."""
    known = join_or(RULES[each].plural for each in RULES if each in wanted)
    doubt = f"it holds {found}, not {known}"
    if plain.form.columns:
        doubt += f"; its columns are {list_names(plain.form.columns[:SHOWN_COLUMNS])}"
    others = [column for column in plain.form.columns if column not in found.roles.values()]
    likely = _label_columns(others, rows)
    if "labelled" in wanted and found.layout == "text" and likely:
        named = join_or(map(shlex.quote, likely))
        return plain.with_doubt(doubt, f"Say which is the label: `label` {named}.")
    fix = f"Name other data, or the columns to read: {_fields(wanted)}."
    verb = RULES[found.layout].learned_by
    if verb:
        fix = f"`groundup {verb}` learns from these. {fix}"
    return plain.with_doubt(doubt, fix)


def _label_columns(columns: Sequence[str], rows: Sequence[RecordRow]) -> list[str]:
    """Return the columns whose values recur as classes do."""
    if len(rows) <= FEW_ROWS:
        return []
    values = {column: [str(row.values.get(column, "")) for row in rows] for column in columns}
    return [column for column in columns if _are_labels(values[column])]


def join_or(names: Iterable[str]) -> str:
    *before, last = [*names] or [""]
    return " or ".join(filter(None, (", ".join(before), last)))


def _fields(wanted: Collection[Layout]) -> str:
    """Return the fields that name the columns of these layouts, the simplest first."""
    fields = dict.fromkeys(
        RULES[layout].fields for layout in reversed(OF_TEXTS) if layout in wanted
    )
    others = [
        layout for layout in reversed(list(RULES)) if layout in wanted and layout not in OF_TEXTS
    ]
    if not others:
        return join_or(fields)
    pairs = join_or(" and ".join(RULES[layout].required) for layout in others)
    return join_or([*fields, f"`columns` ROLE=NAME,... ({pairs})"])


def shorten(value: Any) -> str:
    """Return the text of a value on one line, cut."""
    text = " ".join(flat(value).split())
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[: SHOWN_CHARACTERS - 1]}…"
