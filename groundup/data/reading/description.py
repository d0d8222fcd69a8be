"""The description of a file of data: its layout, its columns, its first row, and in words what was
understood or what is asked.

`sniff` makes it. `line()` is what commands print; `require()` raises what they refuse with: one
sentence, with the columns and the options.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from groundup.data.reading.decoding import AUTO, EncodingErrors, NotTextError
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
    listed,
)
from groundup.data.reading.markup_text.formats import MARKUP_READERS
from groundup.data.reading.records import RowFormat
from groundup.data.reading.source_report import Tally
from groundup.errors import ConfigError, DataError

SHOWN_CHARACTERS = 60
TEXT_SUFFIXES = (".txt", ".md", *MARKUP_READERS)
# In a folder of data these may be something else (a README, a config): they are passed over where
# they have no rows of the wanted layout.
LOOSE_SUFFIXES = (*TEXT_SUFFIXES, ".json", *EXTRACTORS)
FLAGS: Mapping[Layout, str] = {
    "text": "--text-column NAME (build: --set data.text_column=NAME)",
    "labelled": "--text-column NAME and --label-column NAME",
    "multi-labelled": "--text-column NAME and --label-column NAME",
    "instruction": "--columns instruction=NAME,output=NAME",
    "conversation": "--columns messages=NAME",
    "prompt-completion": "--columns prompt=NAME,completion=NAME",
    "preference": "--columns prompt=NAME,chosen=NAME,rejected=NAME",
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
class ReadingRequest:
    """What a reader wants of a file, and what the user said of it."""

    wanted: Collection[Layout] = LAYOUTS
    """The layouts that are read."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Role -> column, as the user named them: never in doubt."""
    layout: str = ""
    """The layout, as the user named it; "": it is recognised."""
    errors: EncodingErrors = "replace"
    encoding: str = AUTO


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
    """The options that settle the doubt."""
    files: int = 1
    passed_over: Mapping[str, Tally] = field(default_factory=dict)
    """Reason -> files that are not read."""

    @property
    def unused(self) -> tuple[str, ...]:
        """The columns that are not read."""
        return tuple(column for column in self.form.columns if column not in self.roles.values())

    def require(self) -> "Description":
        """Return itself.

        Raises DataError where there is a doubt; PassedOver for a file that may be something else.
        """
        if not self.doubt:
            return self
        error = DataError(f"{self.name}: {self.doubt}.", fix=self.fix)
        raise (
            SkippedFile(error, "no rows of this kind")
            if self.name.endswith(LOOSE_SUFFIXES)
            else error
        )

    def to_plain(self) -> dict[str, Any]:
        """Return JSON values."""
        kept = {
            "name": self.name,
            "kind": self.form.kind,
            "layout": self.layout,
            "roles": dict(self.roles),
        }
        first = {role: shorten(value) for role, value in self.first.items()}
        return {
            **kept,
            "files": self.files,
            "first": first,
            "unused": list(self.unused),
            "line": self.line(),
        }

    def line(self) -> str:
        """Return one line: what was understood, with the first row."""
        more = f" and {self.files - 1:,} more" if self.files > 1 else ""
        what = PLURALS[self.layout] if self.layout else "nothing"
        header = "" if self.form.has_header or self.form.kind != "csv" else ", no header"
        parts = [f"{self.name}{more}: {what} ({self.form.kind}{header})"]
        if self.roles:
            parts.append(", ".join(f"{role} in {column!r}" for role, column in self.roles.items()))
        if self.unused:
            parts.append(f"not used: {listed(self.unused[:10])}")
        for reason, tally in self.passed_over.items():
            parts.append(
                f"passed over, {reason}: {tally.count:,} ({', '.join(tally.examples[:3])})"
            )
        shown = "; ".join(f"{role} {shorten(value)!r}" for role, value in self.first.items())
        return "; ".join(parts) + (f". First: {shown}" if shown else ".")


def doubted(best: Match, form: RowFormat) -> tuple[str, str]:
    """Return doubt and fix for a match that may be wrong."""
    options = " or ".join(f"--layout {layout}" for layout in best.fits) or FLAGS[best.layout]
    columns = listed(form.columns[:20])
    return (
        f"it is not sure what it holds: {best.doubt}; its columns are {columns}",
        f"Say which is meant: {options}.",
    )


def refused(found: Description, doubt: str, fix: str) -> Description:
    """Return the description of a file that can't be read."""
    return replace(found, layout=None, doubt=doubt, fix=fix)


def unrecognised(
    form: RowFormat, wanted: Collection[Layout], other: Match | None, why: str
) -> tuple[str, str]:
    """Return doubt and fix for columns that have no wanted layout; `other`: the one that they
    have.
    """
    if other is not None:
        doubt, fix = other_layout(other.layout, wanted, f" ({listed(other.roles)})")
        return f"{doubt}; its columns are {listed(form.columns[:20])}", fix
    known = [PLURALS[layout] for layout in LAYOUTS if layout in wanted]
    what = f" as {_or(known)}" if len(known) < len(LAYOUTS) else ""
    reason = f" ({why})" if why else ""
    return (
        f"its columns {listed(form.columns[:20])} are not recognised{what}{reason}",
        f"Name them: {_flags(wanted)}.",
    )


def other_layout(layout: Layout, wanted: Collection[Layout], roles: str = "") -> tuple[str, str]:
    """Return doubt and fix for data of another layout than is wanted."""
    doubt = f"it holds {PLURALS[layout]}{roles}, not {_or(PLURALS[each] for each in LAYOUTS if each in wanted)}"
    return doubt, f"{_learned_by(layout)}Name other data, or the columns to read: {_flags(wanted)}."


def _learned_by(layout: Layout) -> str:
    verb = LEARNED_BY.get(layout)
    return f"`groundup {verb}` learns from these. " if verb else ""


def _or(names: Iterable[str]) -> str:
    """Return "a, b or c"."""
    *before, last = [*names] or [""]
    return f"{', '.join(before)} or {last}" if before else last


def _flags(wanted: Collection[Layout]) -> str:
    """The options that name the columns of these layouts, the simplest first."""
    others = [layout for layout in wanted if layout not in OF_TEXTS]
    flags = list(dict.fromkeys(FLAGS[layout] for layout in reversed(OF_TEXTS) if layout in wanted))
    pairs = _or(" and ".join(ROLES[layout][0]) for layout in reversed(LAYOUTS) if layout in others)
    return _or([*flags, *([f"--columns ROLE=NAME,... ({pairs})"] if others else ())])


def shorten(value: Any) -> str:
    """Return the text of a value on one line, cut."""
    text = " ".join(flat(value).split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def parse_columns(spec: str | Mapping[str, str]) -> dict[str, str]:
    """Return role -> column of "prompt=question,completion=answer" (a mapping is taken as it is).
    Raises ConfigError for an unknown role.

    >>> parse_columns("prompt=question,completion=answer")
    {'prompt': 'question', 'completion': 'answer'}
    """
    known = sorted(
        {role for required, optional in ROLES.values() for role in (*required, *optional)}
    )
    parts = (
        [part.partition("=")[::2] for part in spec.split(",") if part.strip()]
        if isinstance(spec, str)
        else spec.items()
    )
    for role, column in parts:
        if role.strip() not in known or not column.strip():
            fix = f"Roles are {', '.join(known)}."
            raise ConfigError(
                f"--columns: {role.strip()!r} is not one of the roles, or has no column.", fix=fix
            )
    return {role.strip(): column.strip() for role, column in parts}
