"""What an answer must be, as options: `--format json|SCHEMA.json`, `--regex PATTERN`, `--grammar FILE`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundup.errors import ConfigError

if TYPE_CHECKING:
    from groundup.engine.structured_output import OutputConstraint


@dataclass(frozen=True)
class OutputOptions:
    """The options, of which at most one may be given."""

    format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="json|FILE", help="json: a JSON object; a file with a JSON schema: what fits it."
        ),
    ] = None
    regex: Annotated[
        str | None, typer.Option("--regex", metavar="PATTERN", help="The answer matches it, as a whole.")
    ] = None
    grammar: Annotated[
        Path | None, typer.Option("--grammar", metavar="FILE", help="The answer follows this grammar: Lark, or GBNF.")
    ] = None

    def constraint(self) -> "OutputConstraint | None":
        """What they ask for. Raises ConfigError for two of them, or for a file that can't be read."""
        from groundup.engine.structured_output import ANY_OBJECT, OutputConstraint

        given = [f"--{name}" for name, value in vars(self).items() if value is not None]
        if len(given) > 1:
            raise ConfigError(f"{given[0]} and {given[1]} exclude one another.", fix="Give one of them.")
        if self.format is not None:
            named = self.format
            return ANY_OBJECT if named == "json" else OutputConstraint("JSON schema", _text(Path(named), "--format"))
        if self.grammar is not None:
            return OutputConstraint.grammar(_text(self.grammar, "--grammar"))
        return None if self.regex is None else OutputConstraint.regex(self.regex)


def _text(file: Path, option: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"{option} {str(file)[:200]} can't be read: {reason}.", fix="Name a text file.") from error
