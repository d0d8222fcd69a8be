"""`groundup index`: make or update an index of one's own documents."""

from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli import options
from groundup.cli.console import console_progress, print_result
from groundup.cli.start import START
from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.api.documents import IndexResults
    from groundup.retrieve.index import IndexCounts

FAULTS_SHOWN = 10


def command(
    docs: Annotated[
        list[str] | None,
        Argument(
            metavar="DOCS",
            help="Addresses (docs/data.md): folders, files, globs ...; none: those of the index.",
        ),
    ] = None,
    out: Annotated[
        Path,
        Option(
            "--out", metavar="INDEX", callback=options.folder_to_write, help="The index, a folder."
        ),
    ] = Path("index"),
    passage_tokens: Annotated[
        int | None,
        Option(
            "--passage-tokens", min=16, max=4096, help="The longest passage.", show_default="256"
        ),
    ] = None,
    vectors: Annotated[
        str | None,
        Option(
            "--vectors",
            metavar="ENCODER",
            help="Then make a vector of each passage with this encoder, for search by meaning; none: by "
            "words alone.",
            show_default="that of the index; of a new one all-minilm-l6-v2-ask, made of all-minilm-l6-v2 "
            "where that is here",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        Option(
            "--encoder",
            metavar="ENCODER",
            help="Then have answers read by a second, larger reader, too, that of this encoder "
            "(all-mpnet-base-v2, 405 MB); none: no longer.",
            show_default="that of the index",
        ),
    ] = None,
    store: Annotated[
        str,
        Option(
            "--store",
            metavar="NAME[:ADDRESS]",
            help="Where new vectors are kept.",
            show_default="files beside the index",
        ),
    ] = "",
    tune: Annotated[
        bool,
        Option(
            "--tune",
            help="Then train the reader of answers on these documents (some minutes), and keep it "
            "only if it is clearly better on the index's questions (needs vectors and --questions).",
        ),
    ] = False,
    tune_on: Annotated[
        Path | None,
        Option(
            "--tune-on",
            metavar="FILE",
            help="With --tune: train on these questions, too, as `data make-questions` writes them.",
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        Option(
            "--questions",
            metavar="FILE",
            help="JSON lines of question, answers and document, in customers' words: what error rate is "
            "promised is chosen on them (docs/retrieve.md).",
        ),
    ] = None,
    device: options.DeviceOption = "auto",
    text: options.TextColumnOption = "",
    charset: options.CharsetOption = "auto",
    follow_links: options.FollowLinksOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Make documents searchable; the same again reads only what is new or changed, and takes out
    what is gone.

    Files that can't be read are listed and skipped. The index can be searched while it is written,
    by words also while vectors are made. A new index has vectors where the encoder all-minilm-l6-v2
    is on this machine and most passages are English (by all-minilm-l6-v2-ask, which is that encoder
    tuned on people's questions); later calls make those that are missing. An index by words stays
    so until --vectors names an encoder.

    Examples:
        groundup index manuals/ --out manuals.index
        groundup index manuals/ letters.mbox "notes/**/*.md" --out mine.index
        groundup index --out mine.index
        groundup index --out mine.index --vectors all-minilm-l6-v2-ask
        groundup index --out mine.index --encoder all-mpnet-base-v2
        groundup index manuals/ --out words.index --vectors none
        groundup index --out manuals.index --questions asked.jsonl
        groundup index --out manuals.index --tune
        groundup index --out manuals.index --tune --tune-on approved.jsonl
    """
    from groundup.api.documents import calibrate_index, index, tune_index
    from groundup.retrieve.index import IndexConfig
    from groundup.retrieve.known_questions import read_known_questions
    from groundup.retrieve.passages import MAX_TOKENS

    config = None
    if passage_tokens or text or charset != "auto":
        config = IndexConfig(passage_tokens or MAX_TOKENS, text, charset)
    if tune_on:
        if not tune:
            raise ConfigError("--tune-on is for --tune.", fix="Give both, or neither.")
        read_known_questions(tune_on, may_be_made=True)
    if questions:
        read_known_questions(questions)  # what can't be read is refused before the work
    START.part("indexing", said=True)
    results = index(
        docs or [],
        out,
        vectors=(vectors, encoder) if encoder else vectors,
        store=store,
        config=config,
        follow_links=follow_links,
        device=device,
        progress=console_progress(),
    )
    if questions:
        START.part("calibrating")
        found = calibrate_index(out, questions, device=device, progress=console_progress())
        results = replace(results, calibration=found)
    lines, plain = result_lines(results), results.to_plain()
    if tune:
        START.part("training the reader")
        tuned = tune_index(out, tune_on, device=device, progress=console_progress())
        lines.append(tuned.text)
        plain["tuning"] = asdict(tuned) | {"kept": tuned.is_kept}
    print_result(lines, plain, as_json)
    START.end(console_progress().say, "Done")


def result_lines(results: "IndexResults") -> list[str]:
    """Return what was done, what the index holds, and what could not be read."""
    did, counts = results.update, results.counts
    lines = [
        f"{did.files_read:,} files read ({did.read_bytes / 1e6:,.1f} MB), "
        f"{did.files_unchanged:,} unchanged, {did.files_removed:,} gone: {did.elapsed_s:.1f} s",
        f"{results.index}: {counts.files:,} files, {counts.documents:,} documents, "
        f"{counts.passages:,} passages",
    ]
    if not counts.passages:
        lines.append("There is no text in it: every question is answered by not found.")
    made = results.vectors
    if made.encoder:
        lines.append(f"{made.count:,} vectors made by {made.encoder}: {made.elapsed_s:.1f} s")
    if results.second_reader:
        lines.append(f"answers read by the reader of {results.second_reader}, too")
    if results.calibration:
        from groundup.retrieve.calibration import calibration_lines

        *_, by = results.calibration.least  # by both where it has vectors
        lines += calibration_lines(results.calibration, by)
    return [*lines, *fault_lines(counts)]


def fault_lines(counts: "IndexCounts") -> list[str]:
    """Return the reasons for which files could not be read, and the first few files."""
    reasons = Counter(fault for _, fault in counts.faults)
    lines = [f"skipped: {count:,} x {fault}" for fault, count in reasons.most_common() if count > 1]
    single = [f"skipped: {place}: {fault}" for place, fault in counts.faults if reasons[fault] == 1]
    lines += single[:FAULTS_SHOWN]
    if len(single) > FAULTS_SHOWN:
        lines.append(f"skipped: {len(single) - FAULTS_SHOWN:,} others (--json lists all)")
    return lines
