"""`groundup data inspect | windows | make-questions`: figures of the texts before training on them;
questions made from them.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from typer import Argument, Option

from groundup.cli import options
from groundup.cli.console import console_progress, in_browser, print_result, table
from groundup.cli.fields import COLUMN_OPTIONS, ConfigFields, grouped
from groundup.cli.usage import VerbApp
from groundup.data.reading.data import Data
from groundup.errors import ConfigError
from groundup.files import write_text
from groundup.retrieve.questions_config import QuestionsConfig

if TYPE_CHECKING:
    from groundup.data.batches.window_view import WindowView
    from groundup.data.preparation.inspection import Inspection
    from groundup.data.processing.steps import ProcessConfig
    from groundup.data.reading.decoding import CharsetErrors
    from groundup.data.reading.source_report import Tally
    from groundup.retrieve.made_questions import MadeQuestions

app = VerbApp("Inspect texts before training on them.")
READING = ConfigFields(
    "text",
    "label",
    "columns",
    "layout",
    "charset",
    "follow_links",
    "sha256",
    **COLUMN_OPTIONS,
)
ERRORS = ("replace", "drop")
LANGUAGES_SHOWN = 6


@app.command("inspect")
@grouped()
def inspect(
    sources: Annotated[
        list[str],
        Argument(
            metavar="SOURCE",
            help="Addresses (docs/data.md): folders, files, globs, https:, hf: ...; or a .toml that lists them.",
        ),
    ],
    out: Annotated[
        Path | None,
        Option(
            "--out",
            callback=options.file_to_write,
            help="Write all of it as a page, too: one HTML file.",
        ),
    ] = None,
    reading: Annotated[Data, READING] = Data(""),
    errors: Annotated[str, Option("--errors", help="Invalid bytes: replace or drop.")] = "replace",
    strict: options.StrictOption = False,
    processing: options.ProcessOptions = options.ProcessOptions(),
    settings: options.SetOption = None,
    show: Annotated[
        int,
        Option("--show", min=0, max=100, help="Number of documents whose beginnings are shown."),
    ] = 3,
    seed: Annotated[
        int, Option("--seed", help="Draws the random documents of the page and of JSON.")
    ] = 0,
    as_json: options.JsonOption = False,
) -> None:
    """Say what the rows are: texts, labelled texts, instructions, conversations, preference pairs.

    Count files, documents, characters and words; find duplicates, bad lines and control characters;
    show the first lines. --set sets what the steps have no option for:
    data.process.personal_data=drop, data.process.near_duplicates.threshold=0.9, ...

    The page and JSON have lengths, languages, what was dropped, cleaned and passed over with
    examples, and random documents, too. JSON is one object for a source, and {"sources": [...]} for
    several.

    Examples:
        groundup data inspect my-texts/
        groundup data inspect my-texts/ letters.mbox "notes/**/*.md" --out page.html
        groundup data inspect reviews.csv --text-column review --label-column stars
        groundup data inspect questions.jsonl --columns prompt=question,completion=answer
        groundup data inspect "notes/**/*.md" --json
        groundup data inspect letters.zip --charset cp1251
        groundup data inspect crawl/ --process repair,near-duplicates,personal-data --rules web
            --languages en --out page.html
    """
    from groundup.api.documents import inspect_data

    if errors not in ERRORS:
        raise ConfigError(f"--errors {errors!r} is not one of {', '.join(ERRORS)}.")
    progress = console_progress()
    found = inspect_data(
        _with_paths(reading, sources),
        process=_process(processing, settings),
        strict=strict,
        charset_errors=cast("CharsetErrors", errors),
        show=show,
        seed=seed,
        progress=progress,
    )
    plain = [each.to_plain() for each in found]
    page = ""
    if out:  # before anything is printed: a pipe that is closed ends the command
        from groundup.report.pages.inspection_page import render_inspection_page

        write_text(out, render_inspection_page(plain))
        page = in_browser(out)
    print_result(_lines(found), plain[0] if len(plain) == 1 else {"sources": plain}, as_json)
    if page:
        progress.say(page)


@app.command("windows")
def windows(
    folder: Annotated[
        Path, Argument(metavar="DATA", help="A run, a build, or a folder of token shards.")
    ],
    context: Annotated[int, Option("--context", min=2, max=2**20, help="Tokens of a row.")] = 128,
    stride: options.StrideOption = None,
    split: Annotated[str, Option("--split", help="train, validation or test.")] = "train",
    tokenizer: Annotated[
        Path | None,
        Option("--tokenizer", help="The tokenizer's folder; default: beside or above the shards."),
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            "--out", callback=options.file_to_write, help="Write the pictures, too: one HTML file."
        ),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show how tokens become batches: windows with a stride, or packed documents.

    Counts windows that hold several documents, documents that are cut, packed rows and their
    padding. The page draws windows, stride, packing, and which token sees which.

    Examples:
        groundup data windows runs/mine
        groundup data windows runs/mine --context 512 --stride 256 --out windows.html
        groundup data windows runs/quickstart --split validation --json
    """
    from groundup.data.batches.shards import open_shards
    from groundup.data.batches.window_view import find_shards, window_view
    from groundup.planning.corpus import tokenizer_near
    from groundup.tokenizer.fast import Tokenizer

    shards, progress = find_shards(folder), console_progress()
    opened = Tokenizer.load(tokenizer or tokenizer_near(shards))
    sizes: dict[str, Any] = {"context_tokens": context, "stride": stride, "split": split}
    view = window_view(open_shards(shards), opened, **sizes, progress=progress)
    page = ""
    if out:  # before anything is printed, as above
        from groundup.report.pages.windows_page import render_windows_page

        write_text(out, render_windows_page(asdict(view)))
        page = in_browser(out)
    print_result(_window_lines(view), asdict(view), as_json)
    if page:
        progress.say(page)


QUESTIONS = ConfigFields(
    "count",
    "kinds",
    "few",
    "seed",
    count={"min": 1},
    few={"min": 1},
    seed={"min": 0},
)


@app.command("make-questions")
@grouped()
def make_questions(
    docs: Annotated[
        list[str],
        Argument(
            metavar="DOCS", help="Addresses (docs/data.md): folders, files, globs; or an index."
        ),
    ],
    out: Annotated[
        Path,
        Option(
            "--out", metavar="FILE", callback=options.file_to_write, help="The pairs: JSON lines."
        ),
    ],
    config: Annotated[QuestionsConfig, QUESTIONS] = QuestionsConfig(),
    html: Annotated[
        Path | None,
        Option(
            "--html",
            metavar="FILE",
            callback=options.file_to_write,
            help="Write a page, too, on which pairs are kept, dropped or edited.",
        ),
    ] = None,
    by: Annotated[
        str, Option("--by", help="What the answer is found by: words, both or auto.")
    ] = "auto",
    device: options.DeviceOption = "auto",
    as_json: options.JsonOption = False,
) -> None:
    """Make questions with answers from your documents, by rules: each answer is a sentence, or a
    row of a table, that stands there.

    A question is kept only where its sentence is among the first few (--few) that `ask` finds for
    it. Near-repeats are left out. Read them before they train anything: --html writes a page for that.
    Ctrl-C keeps those that there are. They ask in the words of the documents, so they are no test
    of an assistant: customers' questions are (docs/questions.md).

    Examples:
        groundup data make-questions manuals/ --out pairs.jsonl --html pairs.html
        groundup data make-questions manuals.index --out pairs.jsonl --count 500
        groundup data make-questions handbook.pdf --out pairs.jsonl --by words
        groundup index --out manuals.index --tune --tune-on pairs.jsonl
        groundup finetune chat smollm2-135m-instruct pairs.jsonl --out runs/mine
            --columns instruction=question,input=context,output=answer
    """
    from groundup.api.questions import make_questions as make

    progress = console_progress()
    found = make(docs, out, config, by=by, device=device, progress=progress)
    page = ""
    if html is not None:
        from groundup.report.pages.questions_page import render_questions_page

        write_text(html, render_questions_page(found.to_plain()))
        page = in_browser(html)
        found = replace(found, files={**found.files, "page": str(html)})
    print_result(_question_lines(found, out), found.to_plain(), as_json)
    if page:
        progress.say(page)
    if found.is_stopped:
        raise KeyboardInterrupt


def _question_lines(made: "MadeQuestions", out: Path) -> list[str]:
    """Return the counts by kind, a question of each, and what was left out."""
    first = {each.kind: each.question for each in reversed(made.questions)}
    total = len(made.questions)
    rows = [
        [name, f"{count:,}", f"{count / total:.0%}", first[name]]
        for name, count in made.kinds.items()
    ]
    left = f"left out: {made.not_found:,} whose answer was not found again"
    left += f", {made.repeats:,} near-repeats"
    if made.not_tried:
        left += f"; {made.not_tried:,} not asked, since there are enough"
    how = "words and vectors"
    if made.by == "words":
        how = "words alone"
    return [
        f"{out}: {total:,} questions on {made.documents:,} documents ({made.passages:,} passages, "
        f"found by {how})",
        "",
        *(line.rstrip() for line in table(["kind", "questions", "share", "such as"], rows)),
        "",
        left,
    ]


def _window_lines(view: "WindowView") -> list[str]:
    """Return the counts of windows and of packed rows as a table."""
    found, packed = view.windows, view.packing
    several = f"{found['of_several_documents']:,}"
    rows = [
        ["rows an epoch", f"{found['count']:,}", f"{packed['rows']:,}"],
        ["rows of several documents, where one sees the other", several, "0"],
        ["documents that are cut", f"{found['cut_documents']:,}", f"{packed['cut_documents']:,}"],
        ["labels an epoch", f"{found['labels']:,}", f"{packed['tokens']:,}"],
        ["padding", "0 %", f"{packed['padding_share']:.1%}"],
    ]
    stride = f", stride {view.stride:,}" if view.stride != view.context_tokens else ""
    head = (
        f"{view.split}: {view.tokens:,} tokens in {view.documents:,} documents, "
        f"context {view.context_tokens:,}{stride}"
    )
    if stride:
        count = f"{view.strided['count']:,}"
        rows.append([f"windows an epoch with stride {view.stride:,}", count, ""])
    return [head, "", *(line.rstrip() for line in table(["", "windows", "packed"], rows))]


def _with_paths(reading: Data, specs: Sequence[str]) -> list[Data]:
    """Raises ConfigError where one is named twice, or a hash is of none or several of them."""
    from groundup.data.reading.source_files import PINNED

    for spec in specs:
        if specs.count(spec) > 1:
            raise ConfigError(f"The source {spec} is named twice.", fix="Name each source once.")
    pinned = [spec for spec in specs if spec.startswith(PINNED)]
    if reading.sha256 and len(pinned) != 1:
        fix = "Leave it out."
        if pinned:
            fix = "Write it behind each: ADDRESS#sha256=HASH."
        raise ConfigError(
            f"--sha256 is the hash of one pypi: or https: address; {len(pinned)} are named.",
            fix=fix,
        )
    hashes = dict.fromkeys(pinned, reading.sha256)
    return [replace(reading, path=spec, sha256=hashes.get(spec, "")) for spec in specs]


def _process(processing: options.ProcessOptions, settings: Sequence[str] | None) -> "ProcessConfig":
    """Raises ConfigError, also for fields of anything else."""
    from groundup.config import apply_sets, build_config
    from groundup.data.processing.steps import ProcessConfig, process_fields

    given = apply_sets({"data": {"process": {}}}, settings)
    data = given.pop("data")
    fields = data.pop("process", None) if isinstance(data, dict) else None
    if given or data or not isinstance(fields, dict):
        fix = "Write --set data.process.near_duplicates.threshold=0.9; how texts are read has options of its own."
        raise ConfigError("--set sets fields of data.process here, and no others.", fix=fix)
    return build_config(
        ProcessConfig, {**fields, **process_fields(**vars(processing))}, where="data.process."
    )


def _lines(found: "Sequence[Inspection]") -> list[str]:
    if len(found) == 1:
        return describe(found[0])
    return [
        line for each in found for line in ("", f"== {each.card.source.title}", *describe(each))
    ][1:]


def describe(found: "Inspection") -> list[str]:
    """Return one inspection as lines for people."""
    from groundup.data.preparation.data_card import CHANGE_LABELS
    from groundup.data.preparation.pipeline import REPEAT
    from groundup.data.processing.filters import EMPTY
    from groundup.data.reading.source_report import read_as

    card, read = found.card, found.card.read
    average = f"{found.characters / found.documents:,.0f} on average" if found.documents else ""
    skipped = "; ".join(_noted(f"{n.count:,} skipped, {why}", n) for why, n in read.skipped.items())
    empty, repeats = found.dropped(EMPTY), found.dropped(REPEAT)
    rows = [
        ["files", f"{read.files:,}", skipped],
        ["documents", f"{found.documents:,}", f"{empty:,} of them empty" if empty else ""],
        ["characters", f"{found.characters:,}", average],
        ["words", f"{found.words:,}", ""],
        ["longest", f"{found.longest['characters']:,}", found.longest["name"]],
        *_languages(found),
        ["exact repeats", f"{repeats:,}", "dropped by a build" if repeats else ""],
        *(
            [reason, f"{tally.count:,}", f"dropped by a build: {tally.shown()}"]
            for reason, tally in card.dropped.items()
            if reason not in (EMPTY, REPEAT)
        ),
        *(
            [CHANGE_LABELS.get(name, name), f"{number:,}", "by a build"]
            for name, number in card.changed.items()
        ),
        ["bad lines", f"{read.bad_lines.count:,}", _noted(f"of {read.lines:,}", read.bad_lines)],
        ["bad files", f"{read.bad_files.count:,}", read.bad_files.shown()],
        *(
            [read_as(name), f"{files.count:,}", files.shown()]
            for name, files in read.charsets.items()
        ),
        ["invalid bytes", f"{read.invalid_bytes:,}", read.invalid_files.shown()],
    ]
    lines = [*(each["line"] for each in card.understood), ""]
    lines += [line.rstrip() for line in table(["what", "count", "note"], rows)]
    rules = [
        [name, f"{each['documents']:,}", f"{each['lines']:,}", each["drops"]]
        for name, each in found.rules.items()
        if each["documents"] or each["lines"]
    ]
    if rules:
        lines += ["", "What each rule would drop alone:"]
        lines += [line.rstrip() for line in table(["rule", "documents", "lines", "what"], rules)]
    for beginning in found.beginnings:
        lines += ["", beginning["name"], *(f"    {line}" for line in beginning["lines"])]
    return lines


def _languages(found: "Inspection") -> list[list[str]]:
    detected = found.card.languages
    if not detected or not detected["documents"]:
        return []
    counts = detected["found"]
    shown = [
        f"{count / detected['documents']:.0%} {name}"
        for name, count in [*counts.items()][:LANGUAGES_SHOWN]
    ]
    if len(counts) > len(shown):
        shown.append(f"{len(counts) - len(shown)} more")
    note = f"{', '.join(shown)} of {detected['documents']:,} documents"
    return [["languages", f"{len(counts):,}", note]]


def _noted(what: str, noted: "Tally") -> str:
    """`what`, and the first few by name; "" when there was none."""
    return f"{what}: {noted.shown()}" if noted.count else ""
