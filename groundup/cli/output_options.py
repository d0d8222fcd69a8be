"""What an answer must be, as options: `--format json|SCHEMA.json`, `--regex PATTERN`, `--grammar FILE`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.engine.structured_output import OutputConstraint

FormatOption = Annotated[
    str | None,
    typer.Option("--format", metavar="json|FILE", help="json: a JSON object; a file with a JSON schema: what fits it."),
]
RegexOption = Annotated[
    str | None, typer.Option("--regex", metavar="PATTERN", help="The answer matches it, as a whole.")
]
GrammarOption = Annotated[
    Path | None, typer.Option("--grammar", metavar="FILE", help="The answer follows this grammar: Lark, or GBNF.")
]


def constraint_of(format: str | None, regex: str | None, grammar: Path | None) -> "OutputConstraint | None":
    """The form that the options ask for. Raises ConfigError for two of them, or for a file that can't be read."""
    from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint

    options = {"--format": format, "--regex": regex, "--grammar": grammar}
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        message = f"{given[0]} and {given[1]} exclude one another: an answer has one form."
        raise ConfigError(message, fix="Give one of them.")
    if format is not None:
        return ANY_OBJECT if format == "json" else OutputConstraint("JSON schema", _text(Path(format), "--format"))
    if grammar is not None:
        return OutputConstraint.grammar(_text(grammar, "--grammar"))
    return None if regex is None else OutputConstraint.regex(regex)


def _text(file: Path, option: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"{option} {str(file)[:200]} can't be read: {reason}.", fix="Name a text file.") from error
