"""`groundup ask`: answer a question from one's own documents, every citation checked."""

import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli import options
from groundup.cli.console import console_progress, print_result
from groundup.cli.plain import terminal_safe
from groundup.cli.search import ByOption, say_outdated
from groundup.cli.start import START
from groundup.errors import ConfigError, require_extra

if TYPE_CHECKING:
    from groundup.api.models import Model
    from groundup.retrieve.answer import Answer, Part
    from groundup.retrieve.given_passages import GivenPassages
    from groundup.retrieve.index import Index
    from groundup.retrieve.table_rows import Table

# Of a table beside its quoted row, and of the nearest passage where nothing was found.
TABLE_ROWS, NEAREST_CHARACTERS, NEAREST_LINES = 8, 800, 8
_HEADINGS = re.compile(r"\A(?:#{1,6} [^\n]*\n+)+")


def command(
    index: Annotated[
        str | None,
        Argument(
            metavar="INDEX", help="The folder that `groundup index` made; not with --retriever."
        ),
    ] = None,
    question: Annotated[str | None, Argument(metavar="QUESTION", help="The question.")] = None,
    retriever: Annotated[
        str | None,
        Option(
            "--retriever",
            metavar="MODULE:ATTRIBUTE",
            help="A LangChain retriever or vector store in INDEX's place.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        Option(
            "--model", help="A model that also answers in its own words; default: quotations only."
        ),
    ] = None,
    by: ByOption = "auto",
    count: Annotated[
        int, Option("--count", "-k", min=1, max=50, help="How many passages are read.")
    ] = 5,
    min_evidence: Annotated[
        float | None,
        Option(
            "--min-evidence",
            min=0,
            max=1,
            help="What must speak for a passage (docs/retrieve.md), else: not found.",
            show_default="that of the index, else 0.5 by words, 0.314 with vectors, 0.13 with a reader",
        ),
    ] = None,
    promised: Annotated[
        bool,
        Option(
            "--promised",
            help="Answer only what the index's promised error rate covers (index --questions).",
        ),
    ] = False,
    explain: Annotated[
        bool,
        Option(
            "--explain",
            help="Also print the evidence, what it must be, the promise, and each passage's evidence.",
        ),
    ] = False,
    max_tokens: Annotated[
        int, Option("--max-tokens", min=1, help="The model's longest answer, in tokens.")
    ] = 128,
    out: Annotated[
        Path | None,
        Option(
            "--out",
            metavar="ANSWER",
            callback=options.file_to_write,
            help="Save the answer, to verify it later.",
        ),
    ] = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Answer from documents: the sentence that answers word for word, and what qualifies it; then
    the model's own as far as a passage supports them.

    What stands between quotation marks is always a passage's own text. Of the model's sentences
    those are left out whose numbers, dates or names no passage has, or that no passage makes more
    probable. Where the documents hold no answer, this is said.

    Examples:
        groundup ask manuals.index "How often is the filter cleaned?"
        groundup ask manuals.index "How long is the warranty?" --model smollm2-135m-instruct --out
            answer.json
        groundup verify answer.json
        groundup ask manuals.index "How long is the warranty?" --promised --explain
        groundup ask --retriever my_documents:retriever "How long is the warranty?"
    """
    from groundup.api.documents import answer_parts
    from groundup.retrieve.answer import Answer, AskConfig
    from groundup.retrieve.rankings import require_ranking
    from groundup.retrieve.saved import answer_json, save_answer

    require_ranking(by)  # before a model is opened
    place, asked = _place_and_question(index, question, retriever)
    config = AskConfig(count, min_evidence, max_tokens=max_tokens, promised=promised)
    START.part(f"opening {place} and answering")
    with _opened(place, retriever) as opened:
        for part in answer_parts(
            opened,
            asked,
            model=_model(model, device, precision),
            by=by,
            config=config,
            device=device,
            progress=console_progress(),
        ):
            START.end(console_progress().say, "Answered")  # before the first
            if not as_json:
                show_part(part)
        assert isinstance(part, Answer)
        if explain and not as_json:
            print(terminal_safe("\n".join(["", *explain_lines(part)])))
        if as_json:
            print_result([], answer_json(part, opened), as_json)
        if out:
            save_answer(part, opened, out)
    cited = {part.sources[number - 1].file for number in part.cited}
    say_outdated(tuple(file for file in part.outdated if file not in cited))
    for file in cited.intersection(part.outdated):
        message = (
            f"{file} was changed or deleted while the answer was written: "
            "ask again after an update."
        )
        console_progress().say(terminal_safe(message))


def _place_and_question(
    index: str | None, question: str | None, retriever: str | None
) -> tuple[str, str]:
    """Return where passages are found, and the question; with a retriever this is the only
    argument. Raises ConfigError.
    """
    if retriever is not None and index is not None and question is None:
        return retriever, index
    if retriever is None and index is not None and question is not None:
        return index, question
    if retriever is None:
        raise ConfigError(
            "ask needs an index and a question.", fix='Write: groundup ask INDEX "QUESTION".'
        )
    fix = f'Write: groundup ask --retriever {retriever} "QUESTION".'
    raise ConfigError("ask needs a question and no index, with --retriever.", fix=fix)


def _opened(place: str, retriever: str | None) -> "AbstractContextManager[Index | GivenPassages]":
    """Open the index, or the retriever in its place.

    Raises FormatError, ConfigError, MissingExtra.
    """
    if retriever is None:
        from groundup.retrieve.index import Index

        return Index(place)
    require_extra("langchain", "langchain_core")
    from groundup.integrations.langchain_documents import passages_from

    return nullcontext(passages_from(place))


def _model(model: str | None, device: str, precision: str | None) -> "Model | None":
    """Return the open model, or None without one."""
    if model is None:
        return None
    from groundup.api.models import open_model

    return open_model(model, device, precision, progress=console_progress())


def show_part(part: "Part", *, is_reply: bool = False) -> None:
    """Print a part as it comes; with the whole answer its sources. `is_reply`: of an assistant,
    which says itself that it found nothing.
    """
    from groundup.retrieve.answer import Answer
    from groundup.retrieve.answer_text import part_text
    from groundup.retrieve.cite import Quote
    from groundup.retrieve.generation import Omitted
    from groundup.retrieve.table_rows import ALL_ROWS

    if isinstance(part, Omitted):
        return
    if not isinstance(part, Answer):
        table = part.table if isinstance(part, Quote) else None
        if isinstance(part, Quote) and table and table.row == ALL_ROWS:
            lines = [*table_lines(table), "", f"[{part.source}]"]
        else:
            lines = [part_text(part), *(["", *table_lines(table), ""] if table else [])]
        print(terminal_safe("\n".join(lines)), flush=True)
        return
    refusal = []
    if not part.found and not is_reply:
        refusal = [part.text, *refusal_lines(part)]
    for line in [*refusal, *source_lines(part)]:
        print(terminal_safe(line))


def table_lines(table: "Table") -> list[str]:
    """Return a table with aligned columns: its head, and its quoted row marked by ">" with at most
    TABLE_ROWS rows around it, or all where all are quoted.
    """
    from groundup.retrieve.table_rows import ALL_ROWS

    most = TABLE_ROWS if table.row != ALL_ROWS else len(table.rows)
    start = max(0, min(table.row - most // 2, len(table.rows) - most))
    shown = table.rows[start : start + most]
    named = [table.columns] if any(table.columns) else []
    count = max(map(len, [*named, *shown]))
    padded = [[*row, *[""] * (count - len(row))] for row in [*named, *shown]]
    widths = [max(len(row[place]) for row in padded) for place in range(count)]
    lines = []
    for number, row in enumerate(padded, start=start - len(named)):
        mark = ">" if number == table.row and (named == [] or row is not padded[0]) else " "
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"  {mark} {'  '.join(cells)}".rstrip())
    left = len(table.rows) - len(shown)
    if left:
        lines.append(f"    ... and {left} more row{'s' * (left > 1)}")
    return lines


def refusal_lines(answer: "Answer") -> list[str]:
    """Return what is missing where nothing was found, and the text of the nearest passage; of a row
    its table.
    """
    from groundup.retrieve.requests_to_reader import marked_text

    lines = []
    if answer.missing:
        lines.append(
            f"The passages that come nearest have no word like: {', '.join(answer.missing)}."
        )
    if answer.nearest:
        source = answer.sources[answer.nearest.source - 1]
        named = f"{source.document} ({source.title})" if source.title else source.document
        requests = answer.requests_of(answer.nearest.source)
        if answer.nearest.table and not requests:
            return [*lines, f"Nearest: {named}:", "", *table_lines(answer.nearest.table)]
        text = marked_text(source, requests).strip()
        text = _HEADINGS.sub("", text)  # named above
        if len(text) > NEAREST_CHARACTERS:
            text = f"{text[:NEAREST_CHARACTERS].rpartition(' ')[0]} ..."
        shown = text.splitlines()
        if len(shown) > NEAREST_LINES:
            shown = [*shown[:NEAREST_LINES], "..."]
        lines += [f"Nearest: {named}:", "", *(f"    {line}" for line in shown)]
    return lines


def source_lines(answer: "Answer") -> list[str]:
    """Return a line for each cited source, and one for what was left out of the model's text."""
    lines = []
    for number in answer.cited:
        source = answer.sources[number - 1]
        place = source.address
        if source.title:
            place += f" ({source.title})"
        lines.append(f"[{number}] {place}, characters {source.start:,} to {source.end:,}")
    if lines:
        lines.insert(0, "")
    if answer.omitted:
        reasons = "; ".join(dict.fromkeys(each.reason for each in answer.omitted))
        lines.append(f"Left out of the model's text: {len(answer.omitted)} ({reasons})")
    return lines


def explain_lines(answer: "Answer") -> list[str]:
    """Return why something was answered or not: the evidence, what it must be, what is promised,
    and what speaks for each passage that was read.
    """
    from groundup.retrieve.operating_points import ASKED, DEFAULT, PROMISED

    point = answer.point
    named = {
        DEFAULT: "the index's default",
        PROMISED: "the promised operating point",
        ASKED: "as asked for",
    }
    lines = [
        f"evidence {answer.evidence:.3f}; answered from {point.least:.3f} on ({named[point.name]})"
    ]
    if point.is_outdated:
        lines.append(f"promise: none. {point.no_promise()}")
    elif point.promise is None:
        lines.append(
            "promise: none; it wants questions with known answers that are mostly answered right "
            "(index --questions)"
        )
    else:
        about = "covers this answer" if answer.promised else "does not cover this answer"
        lines.append(f"promise, from {point.promise.least:.3f} on: {about}. {point.promise.text}")
    lines.append("passages read:")
    for number, (source, value) in enumerate(answer.source_values, start=1):
        place = f"{source.document} ({source.title})" if source.title else source.document
        shown = "" if value is None else f"{value:.3f}  "
        lines.append(f"  [{number}] {shown}{place}, search score {source.score:.3f}")
    return lines
