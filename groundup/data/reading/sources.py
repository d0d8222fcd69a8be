"""Sources of texts, read as a stream, wherever they are (`source_files`); or a .toml file that
lists them, a table [[data.sources]] each, as in a recipe.

    .txt .md                             one document, or several if it is over 8 Mi characters
    .rst .adoc .tex .org                 the same, as plain text (`markup_text`)
    .jsonl .json .csv .tsv .parquet      a document for each line, element or row (`records`)
    .html .pdf .docx .xlsx .pptx .odt .ods .odp .epub .eml .mbox
                                         one document, or one for each e-mail (`extract`)
    .zip .tar .tar.gz, .gz, .zst         what they hold (`containers`)

A file in another format is skipped and reported. At most one document or one megabyte of a file is
in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from groundup.config import build_config, read_toml
from groundup.data.documents import Document
from groundup.data.reading.data import Data
from groundup.data.reading.decoding import (
    NotTextError,
    text_pieces,
)
from groundup.data.reading.example_rows import text_at
from groundup.data.reading.extract import EXTRACTORS, extract_documents
from groundup.data.reading.extracted import table_blocks
from groundup.data.reading.format_detection import Description, sniff
from groundup.data.reading.layouts import flat
from groundup.data.reading.markup_text import MARKUP_READERS, TEXT_SUFFIXES, plain_text
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.records import RecordRow, SourceFile, make_rows, on_disk, rows
from groundup.data.reading.source_files import (
    LINKS,
    ROW_SUFFIXES,
    Source,
    nothing_to_read,
    printable,
    source_files,
)
from groundup.data.reading.source_report import LineTally, SourceReport
from groundup.errors import ConfigError, ExpansionError, GroundupError
from groundup.progress import Progress

T = TypeVar("T")
# A longer text file becomes several documents, to bound memory. All of Shakespeare has 5.1 million
# characters.
MAX_DOCUMENT_CHARACTERS = 2**23
# Of a .csv file that is read as one table; a longer one is data, and of what kind must be said.
MAX_TABLE_ROWS = 5_000
# The files of a source that are described before the reading begins; each is described again when
# it is read.
MAX_DESCRIBED_FILES = 1000
# Columns beside the roles: which example it is, and whether it is held out.
IDENTITY = ("id", "held_out")
TABLE_EXAMPLE = (
    "A table for each: [[data.sources]] spec = 'my-texts', name = 'letters', licence = 'my own'."
)


def source_of(data: Data) -> Source:
    """Raises ConfigError, also for a hash beside data on disk."""
    source = Source(str(data.path), data.sha256, follow_links=data.follow_links)
    if data.sha256 and source.is_local:
        raise ConfigError(
            f"{data.path} is on disk, so its SHA-256 would not be compared.",
            fix="Leave it out: it is for pypi: and https:.",
        )
    return source


def read_source(
    source: Source,
    options: SourceOptions,
    report: SourceReport,
    *,
    progress: Progress | None = None,
    passed: int = 0,
    after_file: Callable[[int], None] | None = None,
) -> Iterator[Document]:
    """Yield the documents of a source in a fixed order; count in `report`. See `read_files` for
    `passed` and `after_file`.

    Raises DataError (no file, no such column, too many bad lines, a single binary file), and what
    fetching a package raises.
    """
    read = partial(read_texts, options=options, report=report)
    for name, text in read_files(
        source, report, read, progress=progress, passed=passed, after_file=after_file
    ):
        yield Document(text, source.title, name)


def read_files(
    source: Source,
    report: SourceReport,
    read: Callable[[SourceFile], Iterator[T]],
    *,
    progress: Progress | None = None,
    passed: int = 0,
    after_file: Callable[[int], None] | None = None,
) -> Iterator[T]:
    """Yield the results of `read` for each file of a source; binary files are skipped. Raises
    DataError when no file is left.

    The first `passed` files are passed over: `report` has counted them. `after_file` gets the
    number of files done whenever one is.
    """
    refused: list[GroundupError] = []
    files = source_files(source, report, progress)
    yield from read_each(files, report, read, refused, passed=passed, after_file=after_file)
    require_files(source, report, refused, progress)


def read_each(
    files: Iterable[SourceFile],
    report: SourceReport,
    read: Callable[[SourceFile], Iterator[T]],
    refused: list[GroundupError],
    *,
    passed: int = 0,
    after_file: Callable[[int], None] | None = None,
) -> Iterator[T]:
    """Yield the results of `read` for each file; binary files are counted as skipped, those that
    expand too much as bad.

    Their errors are added to `refused`.
    """
    report.muted = passed > 0
    for number, file in enumerate(files, start=1):
        if number <= passed:
            report.muted = number < passed
            continue
        try:
            yield from read(file)
            report.files += 1
        except NotTextError as error:  # raised before the first result of the file
            report.skip(error.reason, file.name)
            refused.append(error)
        except ExpansionError as error:
            report.bad_file(file.name, f"{error.place} {error.reason}")
            refused.append(error)
        if after_file:
            after_file(number)


def require_files(
    source: Source,
    report: SourceReport,
    refused: Sequence[GroundupError],
    progress: Progress | None,
) -> None:
    """Say which links were skipped when a source has been read.

    Raises DataError when no file was.
    """
    linked = [report.skipped[reason] for reason in LINKS if reason in report.skipped]
    if progress and linked:
        count, first = sum(tally.count for tally in linked), linked[0].examples[0]
        progress.say(
            f"{source.spec}: {count:,} links skipped (first: {first}); to read them, follow links."
        )
    if report.files == 0:
        raise _no_file_read(source, report, refused)


def _no_file_read(
    source: Source, report: SourceReport, refused: Sequence[GroundupError]
) -> GroundupError:
    if len(refused) == 1:
        return refused[0]
    return nothing_to_read(source, report)


def describe_source(
    source: Source, options: SourceOptions, *, progress: Progress | None = None
) -> list[Description]:
    """Return what the files of a source hold, files with the same layout and columns counted
    together; say it in a line each.

    Raises DataError where one is in doubt or nothing is left, and what fetching a package raises.
    """
    kinds: dict[str, Description] = {}
    report, refused = SourceReport(), list[GroundupError]()
    for number, file in enumerate(source_files(source, report, progress)):
        is_text = file.suffix in TEXT_SUFFIXES
        known = next(iter(kinds), "")
        if is_text:
            known = "text"
        is_described = number < MAX_DESCRIBED_FILES and not (is_text and "text" in options.wanted)
        if known in kinds and not is_described:
            kinds[known] = replace(kinds[known], files=kinds[known].files + 1)
            continue
        try:
            found = sniff(file, options).require()
        except NotTextError as error:
            report.skip(error.reason, file.name)
            refused.append(error)
            continue
        except ExpansionError as error:  # counted when it is read
            refused.append(error)
            continue
        key = f"{found.layout} {sorted(found.roles.items())}"
        if found.form.kind == "text":
            key = "text"
        if key in kinds:
            found = replace(found, files=kinds[key].files + 1)
        kinds[key] = found
    if not kinds:
        raise _no_file_read(source, report, refused)
    *described, last = [each for each in kinds.values() if each.layout] or kinds.values()
    described = [*described, replace(last, passed_over=report.skipped)]
    if progress:
        for each in described:
            progress.say(each.line())
    return described


def first_columns(source: Source, options: SourceOptions) -> tuple[str, ...]:
    """Return the columns of the first file of a source that has rows, whatever they mean.

    Raises DataError for no file.
    """
    files = (
        file for file in source_files(source, SourceReport(), None) if file.suffix in ROW_SUFFIXES
    )
    return next((sniff(file, options).form.columns for file in files), ())


def read_rows(
    file: SourceFile,
    found: Description,
    make: Callable[[RecordRow], T],
    options: SourceOptions,
    report: SourceReport,
) -> Iterator[T]:
    """Yield `make(row)` of each row of a file. Raises DataError (too many bad rows, or strict)."""
    if found.layout is None:  # no row
        return
    unit = {"json": "row", "parquet": "row"}.get(found.form.kind, "line")
    tally = LineTally(file.name, report, strict=options.strict, unit=unit)
    identity = [name for name in IDENTITY if name in found.form.columns]
    columns = tuple(dict.fromkeys([*found.roles.values(), *identity]))
    raw = rows(
        file,
        found.form,
        tally,
        columns=columns,
        errors=options.charset_errors,
        charset=options.charset,
        report=report,
    )
    yield from make_rows(raw, make, tally)


def _extract(
    file: SourceFile, options: SourceOptions, report: SourceReport
) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each document that an extractor finds in a file; count those without
    text as bad.
    """
    with on_disk(file) as path:
        report.read_bytes += path.stat().st_size
        for found in extract_documents(path, file.suffix, options.headings):
            name = ":".join(filter(None, (file.name, found.part)))
            for attachment in found.attachments:
                report.skip("an attachment of an e-mail", f"{name}: {printable(attachment)}")
            if found.fault:
                report.bad_file(name, found.fault)
            elif options.subjects and found.subject:
                yield f'{name} "{printable(found.subject)}"', found.text
            else:
                yield name, found.text


def read_texts(
    file: SourceFile, options: SourceOptions, report: SourceReport
) -> Iterator[tuple[str, str]]:
    for name, text in _texts(file, options, report):
        report.documents += 1
        report.characters += len(text)
        yield name, text


def _texts(
    file: SourceFile, options: SourceOptions, report: SourceReport
) -> Iterator[tuple[str, str]]:
    if file.suffix in ROW_SUFFIXES:
        found = sniff(file, options)
        if options.headings and found.form.kind == "csv" and found.doubt and not found.layout:
            yield from _table(file, found, options, report)
            return
        found.require()

        def text_of(row: RecordRow) -> tuple[str, str]:
            name, columns = f"{file.name}:{row.line}", found.roles
            if "text" in columns:
                return name, text_at(row, columns["text"])
            texts = [flat(row.values.get(column)) for column in columns.values()]
            return name, "\n\n".join(filter(None, texts))

        yield from read_rows(file, found, text_of, options, report)
        return
    if file.suffix in EXTRACTORS:
        for name, text in _extract(file, options, report):
            yield from _parts(name, iter((text,)))
        return
    with file.open() as stream:
        pieces = text_pieces(stream, file.name, options.charset_errors, report, options.charset)
        for name, text in _parts(file.name, pieces):
            if file.suffix in MARKUP_READERS:
                text = plain_text(text, file.suffix, headings=options.headings)
            yield name, text


def _table(
    file: SourceFile, found: Description, options: SourceOptions, report: SourceReport
) -> Iterator[tuple[str, str]]:
    """Yield a .csv file of no known layout, such as a price list, as a table.

    Raises what `Description.require` does for one of more than MAX_TABLE_ROWS rows.
    """
    form = found.form
    columns = tuple(map(str, range(len(form.columns))))  # names may be there twice
    tally = LineTally(file.name, report, strict=options.strict)
    read = rows(
        file,
        replace(form, columns=columns),
        tally,
        errors=options.charset_errors,
        charset=options.charset,
        report=report,
    )
    body = [list(map(str, row.values.values())) for row in islice(read, MAX_TABLE_ROWS + 1)]
    if len(body) > MAX_TABLE_ROWS:
        found.require()
    tally.close()
    head = [list(form.columns)] * form.has_header
    text = "\n\n".join(table_blocks([*head, *body], True))
    yield from _parts(file.name, iter((text,)))


def _parts(name: str, pieces: Iterator[str]) -> Iterator[tuple[str, str]]:
    for number, (text, is_whole) in enumerate(parts_of(pieces), start=1):
        if is_whole:
            yield name, text
        else:
            yield f"{name}#{number}", text


def parts_of(
    pieces: Iterator[str], max_characters: int = MAX_DOCUMENT_CHARACTERS
) -> Iterator[tuple[str, bool]]:
    """Yield a text as (text, True), or above `max_characters` as several (part, False), split
    between paragraphs if possible.
    """
    text, is_whole = "", True
    for piece in pieces:
        text += piece
        while len(text) > max_characters:
            end = _last_boundary(text, max_characters)
            yield text[:end], False
            text, is_whole = text[end:], False
    if is_whole or text:
        yield text, is_whole


def _last_boundary(text: str, limit: int) -> int:
    """Where to cut at or before `limit`: after the last blank line, else line, else space of the
    second half; else at a quarter.

    Charset takes some 70 bytes of memory for each letter of a run, so that texts without spaces
    are cut shorter.
    """
    for mark in ("\n\n", "\n", " "):
        place = text.rfind(mark, limit // 2, limit)
        if place >= 0:
            return place + len(mark)
    return max(1, limit // 4)


def read_sources(specs: Sequence[str], *, follow_links: bool = False) -> tuple[Source, ...]:
    """Return the sources of a command's arguments. Raises ConfigError (a file without tables of
    sources, a name given twice).

    >>> [source.spec for source in read_sources(["letters/", "hf:roneneldan/TinyStories"])]
    ['letters/', 'hf:roneneldan/TinyStories']
    """
    found: list[Source] = []
    for spec in specs:
        if spec.endswith(".toml"):
            found += _read_list(Path(spec))
        else:
            found.append(Source(spec))
    require_distinct_names(found)
    return tuple(
        replace(source, follow_links=source.follow_links or follow_links) for source in found
    )


def require_distinct_names(sources: Sequence[Source]) -> None:
    """Raise ConfigError when two sources have the same name, or one is named twice."""
    names = [source.title for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Two sources have the name {name!r}.",
                fix="Name each source once, or give each its own name.",
            )


def _read_list(file: Path) -> list[Source]:
    values = read_toml(file)
    data = values.get("data")
    if not isinstance(data, dict):
        data = {}
    tables: Any = data.get("sources")
    is_list = isinstance(tables, list) and bool(tables)
    if not is_list or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{file} names no sources.", fix=TABLE_EXAMPLE)
    others = [name for name in values if name != "data"]
    others += [f"data.{name}" for name in data if name != "sources"]
    if others:
        raise ConfigError(
            f"{file} has more than sources: {', '.join(others)}.",
            fix="`groundup build` reads recipes; here only the tables of sources are read. "
            "Leave the others out.",
        )
    return [
        build_config(Source, table, where=f"data.sources.{place}.")
        for place, table in enumerate(tables)
    ]
