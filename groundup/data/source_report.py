"""What was met while a source was read: counts, and the first few of each kind by name. Plain values, for the data card."""

from dataclasses import dataclass, field

from groundup.errors import DataError

EXAMPLES_KEPT = 5
# Share of bad lines in one file above which the work stops: that is no slip of one line but the wrong file or column.
MAX_BAD_SHARE = 0.01


@dataclass
class Tally:
    """How often something happened, and the first few times by name."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, example: str) -> None:
        """Count once more."""
        self.count += 1
        if len(self.examples) < EXAMPLES_KEPT:
            self.examples.append(example)


@dataclass
class SourceReport:
    """One source as it was read."""

    files: int = 0
    """Files read (not those skipped)."""
    read_bytes: int = 0
    documents: int = 0
    characters: int = 0
    lines: int = 0
    """Lines of .jsonl and .csv, rows of .parquet."""
    bad_lines: Tally = field(default_factory=Tally)
    invalid_bytes: int = 0
    """Bytes that are not UTF-8 (replaced or dropped as told)."""
    invalid_files: Tally = field(default_factory=Tally)
    skipped: dict[str, Tally] = field(default_factory=dict)
    """Files passed over: reason -> which."""

    def skip(self, reason: str, name: str) -> None:
        """Note a file that is passed over."""
        self.skipped.setdefault(reason, Tally()).note(name)


class LineTally:
    """Good and bad lines of one file: a bad one costs itself only, unless there are too many, or `strict`."""

    def __init__(self, name: str, report: SourceReport, *, strict: bool = False) -> None:
        self.name, self.report, self.strict = name, report, strict
        self.lines = 0
        self.bad = Tally()

    def good(self, lines: int = 1) -> None:
        """Count lines that can be used."""
        self.lines += lines
        self.report.lines += lines

    def bad_line(self, line: int, reason: str, *, lines: int = 1) -> None:
        """Count a line that can't be used (or `lines` of them that end there). Raises DataError when strict."""
        self.good(lines)
        text = f"{self.name} line {line}: {reason}"
        if self.strict:
            raise DataError(
                f"{text}.", fix="Mend the line, or read without strict: then it is counted and passed over."
            )
        for noted in (self.bad, self.report.bad_lines):
            noted.note(text)
            noted.count += lines - 1

    def close(self) -> None:
        """At the end of the file. Raises DataError when more than MAX_BAD_SHARE of its lines were bad."""
        if self.bad.count > MAX_BAD_SHARE * self.lines:
            share = f"{self.bad.count} of {self.lines} lines ({100 * self.bad.count / self.lines:.1f} %) can't be used"
            first = "; ".join(self.bad.examples[:3])
            fix = f"At most {100 * MAX_BAD_SHARE:.0f} % may be bad: mend them, or name another column or file."
            raise DataError(f"{self.name}: {share}; the first: {first}.", fix=fix)
