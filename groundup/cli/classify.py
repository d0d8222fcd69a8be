"""`groundup classify`: the classes of a text, or of every line of a file, with probabilities."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from groundup.api import Model, open_model
from groundup.cli.console import console_progress, print_result
from groundup.cli.options import DeviceOption, JsonOption
from groundup.errors import ConfigError, DataError

LINES_AT_ONCE = 512
SHOWN_CHARACTERS = 90
FILE_ENDINGS = (".txt", ".md", ".csv", ".jsonl")


def command(
    model: Annotated[str, typer.Argument(help="A classifier's folder, or a build folder (its spam stage).")],
    text: Annotated[str, typer.Argument(help="The text, or a file of texts, one a line.")],
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Say which class a text belongs to, and how sure the model is. A file is read line by line; empty lines are passed over.

    Examples:

        groundup classify runs/quickstart 'WINNER! You have won a free prize, call 09061701461 now'

        groundup classify runs/spam messages.txt

        groundup classify runs/spam messages.txt --json
    """
    progress, from_file = console_progress(), is_file(text)
    if not from_file and looks_like_a_file(text):
        progress.say(f"note: there is no file {text}, so this name itself is classified.")
    opened = open_model(model, device, prefer="spam", progress=progress)
    if not from_file:
        found = next(classified(opened, iter([text])))
        print_result(one_text(found), found, as_json)
    elif as_json:
        print_result([], list(classified(opened, lines_of(Path(text)))), as_json)
    else:
        for found in classified(opened, lines_of(Path(text))):
            print(one_line(found))


def is_file(text: str) -> bool:
    """Whether the argument names a file; a long text is no name. Raises ConfigError for a folder."""
    try:
        if Path(text).is_dir() and text:
            raise ConfigError(
                f"{text} is a folder, expected a text or a file.", fix="Name one file of texts, one a line."
            )
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def looks_like_a_file(text: str) -> bool:
    """Whether someone meant a file and mistyped its name."""
    return text.endswith(FILE_ENDINGS) and not any(c.isspace() for c in text)


def lines_of(file: Path) -> Iterator[str]:
    """The lines that have text. Raises DataError when there is none."""
    empty = True
    with file.open(encoding="utf-8", errors="replace") as handle:
        for line in handle:
            if line.strip():
                empty = False
                yield line.strip()
    if empty:
        raise DataError(f"{file} has no line with text.", fix="Name a file of texts, one a line.")


def classified(model: Model, texts: Iterator[str]) -> Iterator[dict[str, Any]]:
    """For each text: itself, its label, the probability of each label. Raises ModelError."""
    while some := list(islice(texts, LINES_AT_ONCE)):
        for text, probabilities in zip(some, model.classify(some), strict=True):
            label = next(iter(probabilities))  # the most probable comes first
            yield {"text": text, "label": label, "probability": probabilities[label], "probabilities": probabilities}


def one_text(found: dict[str, Any]) -> list[str]:
    """All labels of one text."""
    width = max(map(len, found["probabilities"]))
    return [f"{label.ljust(width)}  {100 * p:5.1f} %" for label, p in found["probabilities"].items()]


def one_line(found: dict[str, Any]) -> str:
    """The label of one of many texts; control characters in the text never reach the terminal."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in found["text"][:SHOWN_CHARACTERS])
    return f"{found['label']}  {100 * found['probability']:5.1f} %  {shown}"
