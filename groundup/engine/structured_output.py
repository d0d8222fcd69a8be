"""What an answer must be: JSON that fits a schema, a text that matches a regular expression, one that a grammar allows, or one of a few texts.

    Form.regex(r"\\d{4}-\\d\\d"), Form.choice(["yes", "no"]), Form.schema({"type": "object"}), Form.grammar('root ::= "yes" | "no"')

Values only, which a translator or the command line makes of what a user wrote; `grammar.py` makes a `Constraint` of one, and says whether it can be
followed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ConstraintKind = Literal["JSON schema", "regular expression", "grammar", "choice", "call of a tool"]


@dataclass(frozen=True)
class OutputConstraint:
    """`text` in the language of its kind; of a choice it is the regular expression that matches its texts and no other, of calls
    the Lark that `tool_call_grammar.py` writes."""

    kind: ConstraintKind
    text: str

    @classmethod
    def schema(cls, schema: Mapping[str, Any]) -> "OutputConstraint":
        """JSON that fits `schema`."""
        return cls("JSON schema", json.dumps(schema))

    @classmethod
    def regex(cls, pattern: str) -> "OutputConstraint":
        """A text that matches as a whole. The syntax is that of Rust's `regex`: nothing that looks around or back."""
        return cls("regular expression", pattern)

    @classmethod
    def grammar(cls, text: str) -> "OutputConstraint":
        """In llguidance's Lark (it has a rule `start:`) or in llama.cpp's GBNF (`root ::=`)."""
        return cls("grammar", text)

    @classmethod
    def choice(cls, texts: Sequence[str]) -> "OutputConstraint":
        """One of these texts, of which there is at least one.

        >>> Form.choice(["yes", "a+b"]).text
        'yes|a\\\\+b'
        """
        return cls("choice", "|".join(map(re.escape, texts)))


ANY_OBJECT = OutputConstraint.schema({"type": "object"})
