"""The report of reading a source: counts, with the first few examples of each.

Plain values, for the data card.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from groundup.errors import DataError

EXAMPLES_KEPT = 5
# The maximum share of bad lines in one file: more indicate a wrong file or column.
MAX_BAD_SHARE = 0.01


@dataclass
class Tally:
    """A count, with the first few examples."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES_KEPT:
            self.examples.append(example)

    def add(self, other: "Tally", kept: int | None = EXAMPLES_KEPT) -> None:
        """Count what another one counted after this one; at most `kept` examples are kept (None:
        all).
        """
        self.count += other.count
        self.examples = (self.examples + other.examples)[:kept]

    def shown(self) -> str:
        examples = self.examples[:EXAMPLES_KEPT]
        if self.count > EXAMPLES_KEPT:
            examples = [*examples, "..."]
        return ", ".join(examples)


@dataclass
class SourceReport:
    files: int = 0
    """Files read, without skipped ones."""
    read_bytes: int = 0
    documents: int = 0
    characters: int = 0
    lines: int = 0
    """Lines of .jsonl and .csv, rows of .parquet."""
    bad_lines: Tally = field(default_factory=Tally)
    invalid_bytes: int = 0
    """Bytes that are not UTF-8 (replaced or dropped)."""
    invalid_files: Tally = field(default_factory=Tally)
    charsets: dict[str, Tally] = field(default_factory=dict)
    """Files in another charset than UTF-8, by charset; "utf-8": those that are UTF-8 though
    another one was named.
    """
    bad_documents: int = 0
    """Rows, files and e-mails without readable text (reasons: `bad_lines`, `bad_files`);
    `documents` does not count them.
    """
    bad_characters: int = 0
    """The characters of bad lines, as they stand in the file."""
    bad_files: Tally = field(default_factory=Tally)
    """Files or e-mails without readable text, with the reason."""
    skipped: dict[str, Tally] = field(default_factory=dict)
    """Skipped files by reason, all of them named."""
    # No field: while True, skipped files are not counted (those that a resumed reading passes
    # again).
    muted = False

    def add(self, other: "SourceReport") -> None:
        """Count what another one counted after this one: the result is that of one report of
        both.
        """
        for each in fields(self):
            mine, its = getattr(self, each.name), getattr(other, each.name)
            if isinstance(its, Tally):
                mine.add(its)
            elif isinstance(its, dict):
                kept: int | None = EXAMPLES_KEPT
                if each.name == "skipped":
                    kept = None
                for key, tally in its.items():
                    mine.setdefault(key, Tally()).add(tally, kept)
            else:
                setattr(self, each.name, mine + its)

    def take(self) -> "SourceReport":
        """Return what was counted, and begin anew."""
        found = replace(self)
        vars(self).update(vars(SourceReport()))
        return found

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "SourceReport":
        """Return the report of `dataclasses.asdict`."""
        report = cls(**values)
        for name, value in values.items():
            if isinstance(getattr(cls(), name), Tally):
                setattr(report, name, Tally(**value))
            elif isinstance(value, dict):
                setattr(report, name, {key: Tally(**tally) for key, tally in value.items()})
        return report

    def decoded_lines(self) -> list[str]:
        """Return what is to be said of charsets: files in another than UTF-8, invalid bytes."""
        lines = [
            f"{tally.count:,} {read_as(name)} ({tally.shown()})"
            for name, tally in self.charsets.items()
        ]
        if self.invalid_bytes:
            files = self.invalid_files.count
            where = f" in {files:,} files" * (files > 1)
            lines.append(f"{self.invalid_bytes:,} invalid bytes{where}, read as �")
        return lines

    def bad_file(self, name: str, reason: str) -> None:
        self.bad_documents += 1
        self.bad_files.note(f"{name} {reason}")

    def skip(self, reason: str, name: str) -> None:
        if self.muted:
            return
        tally = self.skipped.setdefault(reason, Tally())
        tally.count += 1
        tally.examples.append(name)


def read_as(charset: str) -> str:
    """Return what is said of files in a charset (see `SourceReport.charsets`)."""
    if charset == "utf-8":
        return "files read as utf-8 (valid UTF-8, so the charset named is not used)"
    return f"files read as {charset}"


class LineTally:
    """Good and bad lines of one file: bad lines are skipped, unless there are too many, or
    `strict`.
    """

    def __init__(
        self, name: str, report: SourceReport, *, strict: bool = False, unit: str = "line"
    ) -> None:
        self.name, self.report, self.strict, self.unit = name, report, strict, unit
        self.lines = 0
        self.bad = Tally()

    def good(self, lines: int = 1) -> None:
        self.lines += lines
        self.report.lines += lines

    def bad_line(self, line: int, reason: str, *, lines: int = 1, characters: int = 0) -> None:
        """Count an unusable line, or row of `lines` lines, with its characters.

        Raises DataError when strict.
        """
        self.good(lines)
        self.report.bad_documents += 1
        self.report.bad_characters += characters
        text = f"{self.name} {self.unit} {line}: {reason}"
        if self.strict:
            raise DataError(
                f"{text}.",
                fix="Correct the line, or read without strict: then it is counted and skipped.",
            )
        for tally in (self.bad, self.report.bad_lines):
            tally.note(text)
            tally.count += lines - 1

    def close(self) -> None:
        """Finish the file. Raises DataError when more than MAX_BAD_SHARE of its lines were bad."""
        if self.bad.count > MAX_BAD_SHARE * self.lines:
            share = self.bad.count / self.lines
            first = "; ".join(self.bad.examples[:3])
            raise DataError(
                f"{self.name}: {self.bad.count} of {self.lines} lines ({100 * share:.1f} %) "
                f"can't be used; the first: {first}.",
                fix=f"At most {100 * MAX_BAD_SHARE:.0f} % may be bad: correct them, or name another "
                "column or file.",
            )
