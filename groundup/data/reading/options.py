"""The options with which sources are read: the fields of `Data`, and what only readers decide."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from groundup.data.reading.data import ReadingFields
from groundup.data.reading.decoding import CharsetErrors, check_charset
from groundup.data.reading.layouts import LAYOUTS, RULES, TEXT, Layout
from groundup.errors import ConfigError, did_you_mean

LABEL_FROM = ("", "column", "name")


@dataclass(frozen=True, kw_only=True)
class SourceOptions(ReadingFields):
    """Raises ConfigError."""

    wanted: Collection[Layout] = TEXT
    """The layouts that are read; others are refused."""
    charset_errors: CharsetErrors = "replace"
    """Invalid bytes become U+FFFD ("replace") or nothing ("drop"); both are counted."""
    strict: bool = False
    """Raise an error at the first bad line."""
    subjects: bool = False
    """Add an e-mail's subject to its name."""
    headings: bool = False
    """Mark the headings of HTML and Word files by #, as in Markdown."""

    def __post_init__(self) -> None:
        check_charset(self.charset)
        if self.label_from not in LABEL_FROM:
            fix = "Choose column or name, or leave it out: then it is recognised."
            raise ConfigError(f"`label_from` {self.label_from!r} is unknown.", fix=fix)
        if self.layout and self.layout not in LAYOUTS:
            raise ConfigError(
                f"`layout` {self.layout!r} is unknown.", fix=did_you_mean(self.layout, LAYOUTS)
            )
        if self.layout and self.layout not in self.wanted and self.wanted != TEXT:
            raise ConfigError(
                f"`layout` {self.layout} is not read here.",
                fix=f"Choose one of {', '.join(self.wanted)}.",
            )

    @property
    def layouts(self) -> Collection[Layout]:
        """The layouts that are read: of the wanted ones the one that was named."""
        return [layout for layout in self.wanted if self.layout in ("", layout)] or self.wanted

    @property
    def given(self) -> dict[str, str]:
        """Role -> column, of the columns that were named those of wanted roles."""
        roles = {role for layout in self.wanted for role in RULES[layout].roles}
        named = {"text": self.text, "label": self.label}
        if "label" not in roles:
            named["labels"] = self.label
        named |= parse_columns(self.columns)
        return {role: column for role, column in named.items() if column and role in roles}


def options_of(data: ReadingFields, wanted: Collection[Layout] = TEXT) -> SourceOptions:
    """Raises ConfigError."""
    given = {each.name: getattr(data, each.name) for each in fields(ReadingFields)}
    return SourceOptions(**given, wanted=wanted)


def parse_columns(spec: str | Mapping[str, str]) -> dict[str, str]:
    """Return role -> column of "prompt=question,completion=answer" (a mapping is taken as it is).
    Raises ConfigError for an unknown role.

    >>> parse_columns("prompt=question,completion=answer")
    {'prompt': 'question', 'completion': 'answer'}
    """
    parts: Iterable[Sequence[str]]
    if isinstance(spec, str):
        parts = [part.partition("=")[::2] for part in spec.split(",") if part.strip()]
    else:
        parts = spec.items()
    found = {role.strip(): column.strip() for role, column in parts}
    known = sorted({role for rule in RULES.values() for role in rule.roles})
    for role, column in found.items():
        if role not in known or not column:
            raise ConfigError(
                f"`columns`: {role!r} is not one of the roles, or has no column.",
                fix=f"Roles are {', '.join(known)}.",
            )
    return found
