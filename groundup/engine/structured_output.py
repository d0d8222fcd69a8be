"""OutputConstraint: the answer must be JSON that fits a schema, match a regular expression or a grammar, or be one of some texts.

    OutputConstraint.regex(r"\\d{4}-\\d\\d"), OutputConstraint.choice(["yes", "no"]), OutputConstraint.grammar('root ::= "yes" | "no"')

Plain values, made by an API translator or the command line; `grammar.py` compiles one to a `Constraint`, or refuses it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ConstraintKind = Literal["JSON schema", "regular expression", "grammar", "choice", "call of a tool"]


@dataclass(frozen=True)
class OutputConstraint:
    """A constraint: `text` in the language of its kind. For a choice it is a regular expression, for calls the Lark grammar of
    `tool_call_grammar.py`."""

    kind: ConstraintKind
    text: str

    @classmethod
    def schema(cls, schema: Mapping[str, Any]) -> "OutputConstraint":
        """Return the constraint to JSON that fits `schema`."""
        return cls("JSON schema", json.dumps(schema))

    @classmethod
    def regex(cls, pattern: str) -> "OutputConstraint":
        """Return the constraint to texts that match as a whole. The syntax is that of Rust's `regex`, without lookaround and backreferences."""
        return cls("regular expression", pattern)

    @classmethod
    def grammar(cls, text: str) -> "OutputConstraint":
        """Return the constraint of a grammar in llguidance's Lark (with a rule `start:`) or llama.cpp's GBNF (`root ::=`)."""
        return cls("grammar", text)

    @classmethod
    def choice(cls, texts: Sequence[str]) -> "OutputConstraint":
        """Return the constraint to one of these texts (at least one).

        >>> OutputConstraint.choice(["yes", "a+b"]).text
        'yes|a\\\\+b'
        """
        return cls("choice", "|".join(map(re.escape, texts)))


ANY_OBJECT = OutputConstraint.schema({"type": "object"})
