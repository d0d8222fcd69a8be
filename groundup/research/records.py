"""The table of records (docs/records.md): a row for each research that is done, with the command
that repeats it.
"""

from pathlib import Path

from groundup.errors import ConfigError
from groundup.files import read_text, write_text
from groundup.research.results import ResearchResults, difference_words
from groundup.research.switches import BASELINE, TOGETHER

HEAD = (
    "date",
    "texts",
    "a try",
    "machine",
    "baseline",
    "best",
    "bits per byte",
    "difference (95 % interval)",
    "command",
)
TITLE = (
    "# Records\n\nEach row is one `groundup research`: bits per byte of its sealed test split.\n"
)
MAX_BYTES = 2**22


def record_row(found: ResearchResults) -> str:
    """The row of a research, as Markdown."""
    last = found.rounds[-1]
    on_test = "test"
    base, best = last.baseline, last.baseline
    difference = None
    if found.winner is not None:
        best, difference = found.winner.bits_per_byte, found.winner.difference
    if found.test is not None:
        base, best, difference = found.test.baseline, found.test.best, found.test.difference
    else:
        on_test = "validation"
    threads = {1: "1 thread"}.get(found.threads, f"{found.threads} threads")
    cells = (
        found.created[:10],
        " ".join(found.texts),
        f"{last.length:g} {found.unit}, {threads}, {len(last.seeds)} seeds",
        found.machine,
        f"{_mean(base):.3f} of {on_test}",
        _best_name(found),
        f"{_mean(best):.3f}",
        difference_words(difference) or "none was better",
        f"`{found.command}`",
    )
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _best_name(found: ResearchResults) -> str:
    winner = found.winner
    if winner is None:
        return BASELINE
    return {TOGETHER: winner.changes}.get(winner.name, winner.name)


def _mean(figures: tuple[float, ...]) -> float:
    return sum(figures) / len(figures)


def append_record(file: Path, found: ResearchResults) -> str:
    """Write the row at the end of a file, made with its table where it is missing; once for each
    research. Return the row. Raises ConfigError (a file without the table), DiskError.
    """
    row, head = record_row(found), f"| {' | '.join(HEAD)} |"
    before = f"{TITLE}\n{head}\n|{'---|' * len(HEAD)}\n"
    if file.exists():
        before = read_text(file, max_bytes=MAX_BYTES)
    require_records(file)
    if row not in before.splitlines():
        write_text(file, f"{before.rstrip()}\n{row}\n")
    return row


def require_records(file: Path) -> None:
    """Raise ConfigError for a file that is there and has no table of records."""
    if file.exists() and f"| {' | '.join(HEAD)} |" not in read_text(file, max_bytes=MAX_BYTES):
        raise ConfigError(
            f"{file} has no table of records.", fix="Name a new file, or one written by `records`."
        )
