"""OutputConstraint: the answer must be JSON that fits a schema, match a regular expression or a
grammar, be one of some texts, or call tools.

    OutputConstraint.regex(r"\\d{4}-\\d\\d"), OutputConstraint.choice(["yes", "no"]),
        OutputConstraint.grammar('root ::= "yes" | "no"')

Plain values, made by an API translator or the command line; `grammar.py` compiles one to a
`Constraint`, or refuses it.

The constraint on an answer with tools is a grammar in llguidance's Lark that includes the tools'
schemas (`constraint_with_calls`):

    tool_choice auto               any text; after an opening mark, a call whose arguments fit the
                                   tool's schema
    tool_choice required           one or more calls, and nothing else
    with a response schema         calls, or an answer that fits the schema

A tool's schema is enforced as far as the library supports it: unsupported parts (a format, a
pattern with look-ahead) are ignored, since tools are written for many servers. A call format
without marks can't be distinguished from text before it ends, so with tool_choice auto and no
response schema there is no constraint (None).
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from groundup.engine.closed_schema import close_objects
from groundup.tokenizer.tools import CallFormat, Tool

# The separators of JSON in llguidance's terms, as Python writes them (grammar.py says why).
SPACING: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
ConstraintKind = Literal["JSON schema", "regular expression", "grammar", "choice", "call of a tool"]


@dataclass(frozen=True)
class OutputConstraint:
    """A constraint: `text` in the language of its kind.

    For a choice it is a regular expression, for calls a Lark grammar.
    """

    kind: ConstraintKind
    text: str

    @classmethod
    def schema(cls, schema: Mapping[str, Any]) -> "OutputConstraint":
        """Return the constraint to JSON that fits `schema`, with its objects closed
        (closed_schema.py).
        """
        return cls("JSON schema", json.dumps(close_objects(schema)))

    @classmethod
    def schema_in(cls, text: str) -> "OutputConstraint":
        """Return the same for a schema in a file; one that is not JSON is refused with its place
        when it is compiled.
        """
        try:
            return cls.schema(json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return cls("JSON schema", text)

    @classmethod
    def regex(cls, pattern: str) -> "OutputConstraint":
        """Return the constraint to texts that match as a whole.

        The syntax is that of Rust's `regex`, without lookaround and backreferences.
        """
        return cls("regular expression", pattern)

    @classmethod
    def grammar(cls, text: str) -> "OutputConstraint":
        """Return the constraint of a grammar in llguidance's Lark (with a rule `start:`) or
        llama.cpp's GBNF (`root ::=`).
        """
        return cls("grammar", text)

    @classmethod
    def choice(cls, texts: Sequence[str]) -> "OutputConstraint":
        """Return the constraint to one of these texts (at least one).

        >>> OutputConstraint.choice(["yes", "a+b"]).text
        'yes|a\\\\+b'
        """
        return cls("choice", "|".join(map(re.escape, texts)))


ANY_OBJECT = OutputConstraint.schema({"type": "object"})


def constraint_with_calls(
    calls: CallFormat,
    tools: Sequence[Tool],
    *,
    must_call: Collection[str] = (),
    one_call: bool = False,
    answer: OutputConstraint | None = None,
    control: Collection[str] = (),
) -> OutputConstraint | None:
    """Return the constraint, or None for any text.

    `answer`: the JSON schema of an answer without calls; `control`: texts of control tokens.
    """
    functions = [tool["function"] for tool in tools]
    if must_call:
        functions = [function for function in functions if function["name"] in must_call]
    opening, closing = (
        mark if mark in control else json.dumps(mark) for mark in (calls.opening, calls.closing)
    )
    several = calls.several and not one_call
    rules = _calls(calls, functions)
    marked = f"marked: {opening} call {closing}"
    all_marked = 'marked ("\\n" marked)*' if several else "marked"
    if must_call:
        return _constraint(f"start: {all_marked}", *rules, marked)
    if answer is not None:
        json_rule = _json("answer", json.loads(answer.text))
        return _constraint(f"start: {all_marked} | answer", *rules, marked, json_rule)
    if not calls.opening:
        return None
    if calls.opening in control:
        text = [f"begun: TEXT {opening}", "TEXT: /(?s:.*)/"]
    else:  # the text ends where the mark occurs, however it is tokenized
        mark = re.escape(calls.opening)
        text = [
            f"begun[suffix={opening}]: /(?s:.*)/",
            f"TEXT: /(?s:.*)/ & ~/(?s:.*){mark}(?s:.*)/",
        ]
    count = "*" if several else "?"
    return _constraint(f"start: (begun call {closing}){count} TEXT", *text, *rules)


def _calls(calls: CallFormat, functions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one rule for each function, and `call` for any of them."""
    rules = ["call: " + " | ".join(f"call_{index}" for index in range(len(functions)))]
    for index, function in enumerate(functions):
        before, after = map(json.dumps, calls.around(function["name"]))
        schema = {"additionalProperties": False}
        if function.get("parameters"):
            schema = close_objects(function["parameters"])
        arguments = _json(f"arguments_{index}", {"type": "object", **schema}, lenient=True)
        rules += [f"call_{index}: {before} arguments_{index} {after}", arguments]
    return rules


def _json(rule: str, schema: Mapping[str, Any], *, lenient: bool = False) -> str:
    """Return a rule for JSON of a schema; `lenient`: unsupported parts of the schema are
    ignored.
    """
    settings = {**SPACING, "lenient": lenient}
    return f"{rule}: %json {json.dumps({**schema, 'x-guidance': settings})}"


def _constraint(*rules: str) -> OutputConstraint:
    return OutputConstraint("call of a tool", "\n".join(rules) + "\n")
