"""`groundup classify`: the classes of a text, or of every line of a file, with probabilities."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from groundup.api import Model, open_model
from groundup.cli.console import console_progress, print_result
from groundup.cli.options import DeviceOption, JsonOption
from groundup.cli.plain import plain
from groundup.errors import ConfigError, DataError
from groundup.weights.decision import decide

LINES_AT_ONCE = 512
SHOWN_CHARACTERS = 90
FILE_ENDINGS = (".txt", ".md", ".csv", ".jsonl")


def command(
    model: Annotated[str, Argument(help="A classifier's folder, or a build folder (its spam stage).")],
    text: Annotated[str, Argument(help="The text, or a file with one text per line.")],
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Give the class of a text, with probabilities. A file is read line by line; empty lines are skipped.

    The label is what the classifier was told to decide (--cost-false-alarm, --abstain of finetune classifier): not always the most probable one,
    and "unsure" where none is sure enough.

    Examples:
        groundup classify runs/quickstart 'WINNER! You have won a free prize, call 09061701461 now'
        groundup classify runs/spam messages.txt
        groundup classify runs/spam messages.txt --json
    """
    progress, from_file = console_progress(), is_file(text)
    if not from_file and text.endswith(FILE_ENDINGS) and not any(c.isspace() for c in text):
        progress.say(f"note: there is no file {text}, so the argument itself is classified.")
    opened = open_model(model, device, prefer="spam", progress=progress)
    found = classified(opened, lines_of(Path(text)) if from_file else iter([text]))
    if not from_file:
        only = next(found)
        width = max(map(len, only["probabilities"]))
        lines = [f"{name.ljust(width)}  {100 * p:5.1f} %" for name, p in only["probabilities"].items()]
        if only["label"] != next(iter(only["probabilities"])):
            lines.append(f"-> {only['label']}")
        print_result(lines, only, as_json)
    elif as_json:
        print_result([], list(found), as_json)
    else:
        for each in found:
            print(one_line(each))


def is_file(text: str) -> bool:
    """Whether the argument is the name of a file. Raises ConfigError for a folder."""
    try:
        if Path(text).is_dir() and text:
            fix = "Name one file, one text per line."
            raise ConfigError(f"{text} is a folder, expected a text or a file.", fix=fix)
        return Path(text).is_file()
    except (OSError, ValueError):  # a text that can't be a name
        return False


def lines_of(file: Path) -> Iterator[str]:
    """Yield the non-empty lines. Raises DataError when there is none."""
    empty = True
    with file.open(encoding="utf-8", errors="replace") as handle:
        for line in handle:
            if line.strip():
                empty = False
                yield line.strip()
    if empty:
        raise DataError(f"{file} has no line with text.", fix="Name a file with one text per line.")


def classified(model: Model, texts: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield for each text: itself, its label, the probability of each label. Raises ModelError."""
    while some := list(islice(texts, LINES_AT_ONCE)):
        for text, probabilities in zip(some, model.classify(some), strict=True):
            yield {"text": text, **decide(model.engine.opened.decision, probabilities)}


def one_line(found: dict[str, Any]) -> str:
    """Return the label and text of one of many texts, without control characters."""
    shown = plain(found["text"][:SHOWN_CHARACTERS])
    return f"{found['label']}  {100 * found['probability']:5.1f} %  {shown}"
