"""`groundup search`: the passages of an index that fit some words, with their scores.

Also: how a passage is shown in a terminal.
"""

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result, say
from groundup.cli.options import DeviceOption, JsonOption
from groundup.cli.plain import terminal_safe

if TYPE_CHECKING:
    from groundup.retrieve.passages import Passage

WIDTH, SHOWN_CHARACTERS = 100, 400

IndexArgument = Annotated[
    Path, Argument(metavar="INDEX", help="The folder that `groundup index` made.")
]
ByOption = Annotated[
    str,
    Option(
        "--by",
        help="words (BM25), vectors (of an index made with --vectors), both, or auto: both where "
        "it has vectors.",
    ),
]


def command(
    index: IndexArgument,
    words: Annotated[
        str, Argument(metavar="WORDS", help="What is searched: words, or a question.")
    ],
    count: Annotated[int, Option("--count", "-k", min=1, max=1000, help="How many passages.")] = 5,
    by: ByOption = "auto",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Search an index: the passages that fit best, each with its place and its score (BM25; of
    vectors, the cosine).

    Passages of files that were changed or deleted since they were read are left out.

    Examples:
        groundup search manuals.index "clean the filter"
        groundup search manuals.index "garantie pompe" -k 20 --json
        groundup search manuals.index "my money back" --by vectors
    """
    from groundup.api.documents import search

    found = search(index, words, count, by=by, device=device, progress=console_progress())
    say_outdated(found.outdated)
    lines: list[str] = []
    for number, passage in enumerate(found.passages, 1):
        lines += passage_lines(number, passage)
    value = {
        "query": words,
        "passages": [asdict(each) for each in found.passages],
        "outdated": found.outdated,
    }
    print_result(lines or ["Nothing found."], value, as_json)


def passage_lines(number: int, passage: "Passage") -> list[str]:
    head = f"[{number}] {passage.score:.2f}  {passage.title}".rstrip()
    place = f"    {passage.address}, characters {passage.start:,} to {passage.end:,}"
    text = textwrap.shorten(passage.text, SHOWN_CHARACTERS, placeholder=" ...")
    indented = [f"    {line}" for line in textwrap.wrap(text, WIDTH)]
    return [terminal_safe(line) for line in (head, place, *indented, "")]


def say_outdated(files: "tuple[str, ...]") -> None:
    """Say on stderr which files' passages were left out."""
    if not files:
        return
    named = ", ".join(files[:3])
    if len(files) > 3:
        named += f" and {len(files) - 3:,} others"
    say(
        f"note: changed or deleted since they were read, left out: {named}. "
        "Update with: groundup index --out INDEX.",
        "dim",
    )
