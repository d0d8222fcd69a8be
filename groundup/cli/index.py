"""`groundup index`: make or update an index of one's own documents."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from groundup.cli import options
from groundup.cli.console import console_progress, print_result

if TYPE_CHECKING:
    from groundup.progress import Progress
    from groundup.retrieve.index import IndexCounts
    from groundup.retrieve.vectors import Embed

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
            help="Then make a vector of each passage, for search by meaning: all-minilm-l6-v2.",
        ),
    ] = None,
    device: options.DeviceOption = "auto",
    text_column: options.TextColumnOption = "",
    encoding: options.EncodingOption = "auto",
    follow_links: options.FollowLinksOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Make documents searchable; the same again reads only what is new or changed, and takes out
    what is gone.

    Files that can't be read are listed and skipped. The index can be searched while it is written,
    by words also while --vectors are made; these are added to at each later call that names them,
    and go on where they were stopped.

    Examples:
        groundup index manuals/ --out manuals.index
        groundup index manuals/ letters.mbox "notes/**/*.md" --out mine.index
        groundup index --out mine.index
        groundup index manuals/ --out manuals.index --vectors all-minilm-l6-v2
    """
    from groundup.data.reading.source_list import read_sources
    from groundup.retrieve.index import Index
    from groundup.retrieve.index_config import IndexConfig
    from groundup.retrieve.passages import MAX_TOKENS
    from groundup.retrieve.update import update_index

    given = passage_tokens or text_column or encoding != "auto"
    config = IndexConfig(passage_tokens or MAX_TOKENS, text_column, encoding) if given else None
    sources = read_sources(docs or [], follow_links=follow_links)
    progress = console_progress()
    embed = encoder_named(vectors, device, progress) if vectors else None  # refused before the work
    report = update_index(out, sources, config, progress=progress)
    made = add_vectors(out, vectors, embed, progress) if vectors and embed else 0
    with Index(out) as index:
        counts = index.counts()
    did = f"{report.files_read:,} files read ({report.read_bytes / 1e6:,.1f} MB), {report.files_unchanged:,} unchanged, {report.files_removed:,} gone"
    holds = f"{counts.files:,} files, {counts.documents:,} documents, {counts.passages:,} passages"
    by_vectors = [f"{made:,} vectors made by {vectors}"] if vectors else []
    lines = [
        f"{did}: {report.elapsed_s:.1f} s",
        f"{out}: {holds}",
        *by_vectors,
        *fault_lines(counts),
    ]
    print_result(
        lines, {"index": str(out), "vectors_made": made, **vars(report), **vars(counts)}, as_json
    )


def encoder_named(name: str, device: str, progress: "Progress") -> "Embed":
    """Open an encoder. Raises ConfigError, ModelError."""
    from groundup.device import select_compute
    from groundup.retrieve.vectors import embed_with

    return embed_with(name, select_compute(device), progress)


def add_vectors(folder: Path, name: str, embed: "Embed", progress: "Progress") -> int:
    """Make the vectors that are missing; return how many."""
    from groundup.retrieve.vectors import make_vectors

    progress.say(
        f"{folder} can be searched by words; Ctrl-C stops the vectors, and the same command goes on with them."
    )
    return make_vectors(folder, embed, name, progress=progress)


def fault_lines(counts: "IndexCounts") -> list[str]:
    """Return what is to be said of files that could not be read: the reasons, and the first few
    files.
    """
    reasons = Counter(fault for _, fault in counts.faults)
    lines = [f"skipped: {count:,} x {fault}" for fault, count in reasons.most_common() if count > 1]
    single = [f"skipped: {place}: {fault}" for place, fault in counts.faults if reasons[fault] == 1]
    more = (
        [f"skipped: {len(single) - FAULTS_SHOWN:,} others (--json lists all)"]
        if len(single) > FAULTS_SHOWN
        else []
    )
    return [*lines, *single[:FAULTS_SHOWN], *more]
