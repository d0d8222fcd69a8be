"""The description of a file of data: its layout, its columns, its first row, and in words what was
understood or what is asked.

`sniff` makes it. `line()` is what commands print; `require()` raises what they refuse with: one
sentence, with the columns and the fields of `Data` that settle it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from groundup.data.reading.decoding import NotTextError
from groundup.data.reading.extract import EXTRACTORS
from groundup.data.reading.layouts import (
    CHAT_LAYOUTS,
    LABELLED,
    LAYOUTS,
    MULTI_LABELLED,
    OF_TEXTS,
    PLURALS,
    ROLES,
    Layout,
    Match,
    flat,
    list_names,
)
from groundup.data.reading.markup_text.formats import MARKUP_READERS
from groundup.data.reading.records import RowFormat
from groundup.data.reading.source_report import Tally
from groundup.errors import DataError

SHOWN_CHARACTERS = 60
TEXT_SUFFIXES = (".txt", ".md", *MARKUP_READERS)
# In a folder of data these may be something else (a README, a config): they are passed over where
# they have no rows of the wanted layout.
LOOSE_SUFFIXES = (*TEXT_SUFFIXES, ".json", *EXTRACTORS)
# Layout -> the fields that name its columns.
FIELDS: Mapping[Layout, str] = {
    "text": "`text` NAME",
    "labelled": "`text` NAME and `label` NAME",
    "multi-labelled": "`text` NAME and `label` NAME",
    "instruction": "`columns` instruction=NAME,output=NAME",
    "conversation": "`columns` messages=NAME",
    "prompt-completion": "`columns` prompt=NAME,completion=NAME",
    "preference": "`columns` prompt=NAME,chosen=NAME,rejected=NAME",
}

LEARNED_BY: Mapping[Layout, str] = {
    "text": "pretrain",
    **dict.fromkeys((*LABELLED, *MULTI_LABELLED), "finetune classifier"),
    **dict.fromkeys(CHAT_LAYOUTS, "finetune chat"),
}


class SkippedFile(NotTextError):
    """A file of a folder that has nothing of what is read; `reason` is counted."""

    def __init__(self, error: DataError, reason: str) -> None:
        super().__init__(error.message, fix=error.fix)
        self.reason = reason


@dataclass(frozen=True)
class Description:
    """What a file, or the files of a source, hold."""

    name: str
    form: RowFormat
    layout: Layout | None
    """None: not recognised, or no row."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Role -> column."""
    first: Mapping[str, Any] = field(default_factory=dict)
    """Role -> value in the first row."""
    doubt: str = ""
    """Why it is not sure; "" where it is."""
    fix: str = ""
    """What settles the doubt."""
    files: int = 1
    passed_over: Mapping[str, Tally] = field(default_factory=dict)
    """Reason -> files that are not read."""

    @property
    def unused(self) -> tuple[str, ...]:
        """The columns that are not read."""
        return tuple(column for column in self.form.columns if column not in self.roles.values())

    def require(self) -> "Description":
        """Return itself.

        Raises DataError where there is a doubt; SkippedFile for a file that may be something else.
        """
        if not self.doubt:
            return self
        error = DataError(f"{self.name}: {self.doubt}.", fix=self.fix)
        if self.name.endswith(LOOSE_SUFFIXES):
            raise SkippedFile(error, "no rows of this kind")
        raise error

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "name": self.name,
            "kind": self.form.kind,
            "layout": self.layout,
            "roles": dict(self.roles),
            "files": self.files,
            "first": {role: shorten(value) for role, value in self.first.items()},
            "unused": list(self.unused),
            "line": self.line(),
        }

    def line(self) -> str:
        """Return one line: what was understood, with the first row."""
        name, what, form = self.name, "nothing", str(self.form.kind)
        if self.files > 1:
            name = f"{name} and {self.files - 1:,} more"
        if self.layout:
            what = PLURALS[self.layout]
        if form == "csv" and not self.form.has_header:
            form = "csv, no header"
        parts = [f"{name}: {what} ({form})"]
        if self.roles:
            parts.append(", ".join(f"{role} in {column!r}" for role, column in self.roles.items()))
        if self.unused:
            parts.append(f"not used: {list_names(self.unused[:10])}")
        for reason, tally in self.passed_over.items():
            names = ", ".join(tally.examples[:3])
            parts.append(f"passed over, {reason}: {tally.count:,} ({names})")
        line = "; ".join(parts)
        if not self.first:
            return f"{line}."
        first = "; ".join(f"{role} {shorten(value)!r}" for role, value in self.first.items())
        return f"{line}. First: {first}"

    def with_doubt(self, doubt: str, fix: str) -> "Description":
        """Return the description of a file that can't be read."""
        return replace(self, layout=None, doubt=doubt, fix=fix)


def describe_doubt(best: Match, form: RowFormat) -> tuple[str, str]:
    """Return doubt and fix for a match that may be wrong."""
    fields = " or ".join(f"`layout` {layout}" for layout in best.fits) or FIELDS[best.layout]
    columns = list_names(form.columns[:20])
    return (
        f"it is not sure what it holds: {best.doubt}; its columns are {columns}",
        f"Say which is meant: {fields}.",
    )


def describe_unknown(form: RowFormat, wanted: Collection[Layout], why: str) -> tuple[str, str]:
    """Return doubt and fix for columns that have no layout."""
    known = [PLURALS[layout] for layout in LAYOUTS if layout in wanted]
    doubt = f"its columns {list_names(form.columns[:20])} are not recognised"
    if len(known) < len(LAYOUTS):
        doubt += f" as {join_or(known)}"
    if why:
        doubt += f" ({why})"
    return doubt, f"Name them: {_fields(wanted)}."


def describe_other(
    layout: Layout, wanted: Collection[Layout], *, roles: str = "", columns: Sequence[str] = ()
) -> tuple[str, str]:
    """Return doubt and fix for data of another layout than is wanted."""
    known = join_or(PLURALS[each] for each in LAYOUTS if each in wanted)
    doubt = f"it holds {PLURALS[layout]}{roles}, not {known}"
    if columns:
        doubt += f"; its columns are {list_names(columns[:20])}"
    fix = f"Name other data, or the columns to read: {_fields(wanted)}."
    if layout in LEARNED_BY:
        fix = f"`groundup {LEARNED_BY[layout]}` learns from these. {fix}"
    return doubt, fix


def join_or(names: Iterable[str]) -> str:
    """Return "a, b or c"."""
    *before, last = [*names] or [""]
    return " or ".join(filter(None, (", ".join(before), last)))


def _fields(wanted: Collection[Layout]) -> str:
    """Return the fields that name the columns of these layouts, the simplest first."""
    fields = dict.fromkeys(FIELDS[layout] for layout in reversed(OF_TEXTS) if layout in wanted)
    others = [layout for layout in reversed(LAYOUTS) if layout in wanted and layout not in OF_TEXTS]
    if not others:
        return join_or(fields)
    pairs = join_or(" and ".join(ROLES[layout][0]) for layout in others)
    return join_or([*fields, f"`columns` ROLE=NAME,... ({pairs})"])


def shorten(value: Any) -> str:
    """Return the text of a value on one line, cut."""
    text = " ".join(flat(value).split())
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[: SHOWN_CHARACTERS - 1]}…"
