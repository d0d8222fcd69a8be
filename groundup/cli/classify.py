"""`groundup classify`: the classes of a text, of every line of a file, or of every document of a
source, with probabilities.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from groundup.api.models import Model, open_model
from groundup.cli.console import console_progress, print_result, terminal_columns
from groundup.cli.fields import COLUMN_OPTIONS, ConfigFields, grouped
from groundup.cli.options import DeviceOption, JsonOption
from groundup.cli.plain import plain
from groundup.cli.start import START
from groundup.data.reading.data import Data
from groundup.errors import DataError
from groundup.progress import Progress, Silent
from groundup.weights.decision_rule import ABSTAINED

# Characters of texts that are read before the first is classified, so that a bar knows its end.
READ_AHEAD = 2**26
NO_LABEL = "(no label)"
SHOWN_CHARACTERS = 90
# Texts of which one progress bar counts the words, and words that are shown.
BEFORE_WHY, SHOWN_WORDS = 16, 6
# Words with less than this share of the strongest effect are in the JSON only.
SHOWN_SHARE = 0.05
LINE_SUFFIXES = (".txt", ".md")
FILE_ENDINGS = (*LINE_SUFFIXES, ".csv", ".jsonl", ".mbox", ".eml")

Named = tuple[str, str]


READING = ConfigFields("text", "charset", "follow_links", **COLUMN_OPTIONS)


@grouped()
def command(
    model: Annotated[
        str, Argument(help="A classifier's folder, or a build folder (its classifier).")
    ],
    given: Annotated[
        str,
        Argument(
            metavar="TEXT",
            help="A text, a file with one text per line, or a source: .csv, .mbox, a folder.",
        ),
    ],
    reading: Annotated[Data, READING] = Data(""),
    why: Annotated[
        bool,
        Option(
            "--why",
            help="Show the words that spoke for the label. Cost: a reading more for each word, at "
            "most 100.",
        ),
    ] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Give the class of a text, with probabilities; of many texts one row each: label, probability,
    name, beginning.

    A .txt or .md file is read line by line (empty lines are skipped). A folder and files of other
    formats are read as the texts of `pretrain` are:
    each row of a .csv or .jsonl, each e-mail of an .mbox (named with its subject), each file of a
    folder is one document. The label is what the classifier was told to decide (--cost-false-alarm,
    --max-error of finetune classifier): not always the most probable one, and "unsure" where none
    is sure enough. A classifier of several labels gives every label that reaches its threshold, or
    none.

    Examples:
        groundup classify runs/quickstart 'WINNER! You have won a free prize, call 09061701461 now'
        groundup classify runs/spam 'Call now to win' --why
        groundup classify runs/spam messages.txt
        groundup classify runs/spam inbox.mbox --json
    """
    progress, many = console_progress(), is_source(given)
    if not many and given.endswith(FILE_ENDINGS) and not any(c.isspace() for c in given):
        progress.say(f"note: there is no file {given}, so the argument itself is classified.")
    START.part(f"opening {model}")
    opened = open_model(model, device, prefer="classifier", progress=progress)
    START.end(progress.say)
    promise = opened.engine.opened.decision.promise
    if promise is not None:
        progress.say(promise.of_labels)
    if not many:
        only = next(classify(opened, iter([("", given)]), why=why, progress=progress))
        del only["name"]
        print_result([*label_lines(only), *why_lines(only)], only, as_json)
        return
    if is_lines(given):
        named = lines_of(Path(given), reading.charset)
    else:
        named = documents_of(replace(reading, path=given), progress)
    found = classify(opened, named, why=why, progress=progress)
    if terminal_columns() is not None and not why:
        found = iter(list(found))  # rows between the bar's lines would be broken
    if as_json:
        print_result([], list(found), as_json)
    else:
        for each in found:
            print("\n".join([one_line(each), *why_lines(each)]))


def label_lines(found: dict[str, Any]) -> list[str]:
    probabilities = found["probabilities"]
    width = max(map(len, probabilities))
    lines = [f"{name.ljust(width)}  {100 * p:5.1f} %" for name, p in probabilities.items()]
    if "labels" in found:
        lines.append(f"-> {', '.join(map(plain, found['labels'])) or NO_LABEL}")
    elif found["label"] != next(iter(probabilities)):
        lines.append(f"-> {found['label']}")
    return lines


def is_source(text: str) -> bool:
    """A file, folder, or address of texts (hf:, s3:, gs:; https: and pypi: with a SHA-256)."""
    try:
        if text and Path(text).exists():
            return True
    except (OSError, ValueError):  # a text that can't be a name
        return False
    is_address = text.startswith(("hf:", "s3://", "gs://")) or "#sha256=" in text
    return is_address and not any(c.isspace() for c in text)


def is_lines(text: str) -> bool:
    """.txt, .md, or a format that nothing else reads."""
    from groundup.data.reading.containers import archive_suffix, suffixes
    from groundup.data.reading.source_files import SUFFIXES

    path = Path(text)
    read_as_source = archive_suffix(path.name) or suffixes(path.name)[0] in SUFFIXES
    return path.is_file() and (path.suffix.lower() in LINE_SUFFIXES or not read_as_source)


def lines_of(file: Path, charset: str) -> Iterator[Named]:
    """Raises DataError when there is none, NotTextError for a binary file."""
    from groundup.data.reading.decoding import check_charset, numbered_lines, text_pieces
    from groundup.data.reading.source_report import SourceReport

    check_charset(charset)
    empty = True
    with file.open("rb") as stream:
        for number, line, _ in numbered_lines(
            text_pieces(stream, file.name, "replace", SourceReport(), charset)
        ):
            if line and line.strip():
                empty = False
                yield f"{file.name}:{number}", line.strip()
    if empty:
        raise DataError(f"{file} has no line with text.", fix="Name a file with one text per line.")


def documents_of(data: Data, progress: Progress) -> Iterator[Named]:
    """Say what was not read. Raises DataError when there is none."""
    from groundup.data.reading.options import options_of
    from groundup.data.reading.source_report import SourceReport
    from groundup.data.reading.sources import read_source, source_of

    spec, report = data.path, SourceReport()
    options = replace(options_of(data), subjects=True)
    for document in read_source(source_of(data), options, report, progress=progress):
        yield document.name, document.text
    for reason, tally in report.skipped.items():
        progress.say(f"{spec}: {tally.count:,} not read, {reason} ({tally.shown()}).")
    bad = report.bad_documents
    if bad:
        first = [*report.bad_lines.examples, *report.bad_files.examples]
        progress.say(f"{spec}: {bad:,} without a text that can be read ({'; '.join(first[:3])}).")
    if not report.documents:
        raise DataError(f"{spec} has no text to classify.", fix="Name a file or folder with texts.")


def _classify(model: Model, named: Iterator[Named], progress: Progress) -> Iterator[dict[str, Any]]:
    """Raises ModelError."""
    decision = model.engine.opened.decision
    while some := read_ahead(named, progress):
        found = model.engine.classified([text for _, text in some], progress=progress)
        for (name, text), probabilities in zip(some, found, strict=True):
            yield {"name": name, "text": text, **decision.decide(probabilities)}


def read_ahead(named: Iterator[Named], progress: Progress) -> list[Named]:
    """Return the next texts, until they have READ_AHEAD characters."""
    some: list[Named] = []
    characters = 0
    with progress.track("reading", 0, "texts") as advance:
        for each in named:
            some.append(each)
            characters += len(each[1])
            advance()
            if characters >= READ_AHEAD:
                break
    return some


def classify(
    model: Model, named: Iterator[Named], *, why: bool, progress: Progress
) -> Iterator[dict[str, Any]]:
    """`why`: with the words that spoke for the label (the likeliest one where it is unsure)."""
    if not why:
        yield from _classify(model, named, progress)
        return
    from groundup.lab.attribution import readings, word_effects

    found = _classify(model, named, Silent())  # next to nothing beside the words
    while some := list(islice(found, BEFORE_WHY)):
        total = sum(readings(each["text"]) for each in some)
        with progress.track("words left out", total, "readings") as advance:
            for each in some:
                label = each.get("guess", each.get("label")) or next(iter(each["probabilities"]))
                effects = word_effects(model.engine, each["text"], label, advance=advance)
                yield each | {"why": asdict(effects)}


def why_lines(found: dict[str, Any]) -> list[str]:
    why = found.get("why")
    if why is None:
        return []
    strongest = sorted(why["words"], key=lambda each: -abs(each["effect"]))[:SHOWN_WORDS]
    strongest = [
        each
        for each in strongest
        if abs(each["effect"]) >= SHOWN_SHARE * abs(strongest[0]["effect"])
    ]
    lines = []
    for side, sign in (("for", 1), ("against", -1)):
        words = ", ".join(
            f"{plain(e['word'])} ({100 * e['without']:.1f} % without)"
            for e in strongest
            if sign * e["effect"] > 0
        )
        if words:
            lines.append(f"  {side} {why['label']}: {words}")
    untried = ""
    if why["of"] > why["tried"]:
        untried = f"; the last {why['of'] - why['tried']:,} words were not tried"
    return [*lines, f"  (read {why['tried']:,} times more, each time without one word{untried})"]


def one_line(found: dict[str, Any]) -> str:
    shown = plain(" ".join(found["text"][:SHOWN_CHARACTERS].split()))
    if "labels" in found:
        return f"{describe_labels(found)}  {plain(found['name'])}  {shown}"
    label = found["label"]
    if label == ABSTAINED:
        label += f" ({found['guess']}?)"
    return f"{label}  {100 * found['probability']:5.1f} %  {plain(found['name'])}  {shown}"


def describe_labels(found: dict[str, Any]) -> str:
    """Return the labels that are said of a text, with their probabilities, or that there are none.

    >>> describe_labels({"labels": ["late"], "probabilities": {"late": 0.91, "rude": 0.2}})
    'late 91.0 %'
    """
    said = [
        f"{plain(label)} {100 * found['probabilities'][label]:.1f} %" for label in found["labels"]
    ]
    return ", ".join(said) or NO_LABEL
