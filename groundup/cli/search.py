"""`groundup search`: the passages of an index that fit some words, with their scores. Also: how a passage is shown in a terminal."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli.console import console_progress, print_result, stderr_console
from groundup.cli.generate import terminal_safe
from groundup.cli.options import DeviceOption, JsonOption
from groundup.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from groundup.retrieve.passages import Passage
    from groundup.retrieve.search import Ranking

RANKINGS = ("words", "vectors", "both")
WIDTH, SHOWN_CHARACTERS = 100, 400

IndexArgument = Annotated[Path, Argument(metavar="INDEX", help="The folder that `groundup index` made.")]


def command(
    index: IndexArgument,
    words: Annotated[str, Argument(metavar="WORDS", help="What is searched: words, or a question.")],
    count: Annotated[int, Option("--count", "-k", min=1, max=1000, help="How many passages.")] = 5,
    by: Annotated[
        str, Option("--by", help="words (BM25), vectors (of an index made with --vectors), or both.")
    ] = "words",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Search an index: the passages that fit best, each with its place and its score (BM25; of vectors, the cosine).

    Passages of files that were changed or deleted since they were read are left out.

    Examples:
        groundup search manuals.index "clean the filter"
        groundup search manuals.index "garantie pompe" -k 20 --json
        groundup search manuals.index "my money back" --by vectors
    """
    from groundup.retrieve.index import Index
    from groundup.retrieve.search import find

    with Index(index) as opened:
        found = find(opened, words, count, ranking_by(by, index, device))
    say_outdated(found.outdated)
    lines = [line for number, passage in enumerate(found.passages, 1) for line in passage_lines(number, passage)]
    value = {"query": words, "passages": [each.to_plain() for each in found.passages], "outdated": found.outdated}
    print_result(lines or ["Nothing found."], value, as_json)


def ranking_by(by: str, index: Path, device: str) -> "Ranking | None":
    """Return the ranking that is asked for; None: by words. Raises ConfigError, and what opening the encoder raises."""
    if by not in RANKINGS:
        raise ConfigError(f"--by {by!r} is not one of {', '.join(RANKINGS)}.", fix=did_you_mean(by, RANKINGS))
    if by == "words":
        return None
    from groundup.device import select_compute
    from groundup.retrieve.vectors import open_vectors

    vectors = open_vectors(index, select_compute(device), console_progress())
    if vectors is None:
        fix = f"Make them: groundup index --out {index} --vectors all-minilm-l6-v2"
        raise ConfigError(f"{index} has no vectors.", fix=fix)
    return vectors.ranking if by == "vectors" else vectors.mixture()


def passage_lines(number: int, passage: "Passage") -> list[str]:
    """Return a passage's number, score, place and title, and the beginning of its text."""
    title = f"  {passage.title}" if passage.title else ""
    place = f"{passage.address}, characters {passage.start:,} to {passage.end:,}"
    text = textwrap.shorten(passage.text, SHOWN_CHARACTERS, placeholder=" ...")
    indented = [f"    {line}" for line in textwrap.wrap(text, WIDTH)]
    return [terminal_safe(line) for line in (f"[{number}] {passage.score:.2f}{title}", f"    {place}", *indented, "")]


def say_outdated(files: "tuple[str, ...]") -> None:
    """Say on stderr which files' passages were left out."""
    if files:
        more = f" and {len(files) - 3:,} others" if len(files) > 3 else ""
        message = f"note: changed or deleted since they were read, left out: {', '.join(files[:3])}{more}. Update with: groundup index --out INDEX."
        stderr_console().print(terminal_safe(message), markup=False, highlight=False, soft_wrap=True, style="dim")
