"""OutputConstraint: the answer must be JSON that fits a schema, match a regular expression or a
grammar, be one of some texts, or call tools. `grammar.py` compiles one, or refuses it.

    OutputConstraint.regex(r"\\d{4}-\\d\\d"), OutputConstraint.choice(["yes", "no"]),
        OutputConstraint.grammar('root ::= "yes" | "no"')

An answer with tools has a grammar in llguidance's Lark (`constraint_with_calls`):

    tool_choice auto               any text; after an opening mark, a call whose arguments fit
    tool_choice required           one or more calls, and nothing else
    with a response schema         calls, or an answer that fits the schema

Unsupported parts of a tool's schema are ignored, since tools are written for many servers.

Objects of a schema are closed, as in OpenAI's strict mode and llama.cpp's converter: a model that
may add properties adds them without end. Open stay objects without `properties` (`{}` would be the
only answer), and those put together from several schemas (`allOf`, or `properties` beside `anyOf`,
`oneOf` or `$ref`): each would exclude the properties of the others.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from groundup.tokenizer.tools import CallFormat, Tool

# The separators of JSON in llguidance's terms, as Python writes them (grammar.py says why).
SPACING: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
ConstraintKind = Literal["JSON schema", "regular expression", "grammar", "choice", "call of a tool"]


@dataclass(frozen=True)
class OutputConstraint:
    """`text` in the language of its kind: of a choice a regular expression, of calls a Lark
    grammar.
    """

    kind: ConstraintKind
    text: str

    @classmethod
    def schema(cls, schema: Mapping[str, Any]) -> "OutputConstraint":
        """JSON that fits `schema`, with its objects closed."""
        return cls("JSON schema", json.dumps(close_objects(schema)))

    @classmethod
    def schema_in(cls, text: str) -> "OutputConstraint":
        """Of a file; one that is not JSON is refused with its place when it is compiled."""
        try:
            return cls.schema(json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return cls("JSON schema", text)

    @classmethod
    def regex(cls, pattern: str) -> "OutputConstraint":
        """Texts that match as a whole, in the syntax of Rust's `regex`, without lookaround and
        backreferences.
        """
        return cls("regular expression", pattern)

    @classmethod
    def grammar(cls, text: str) -> "OutputConstraint":
        """In llguidance's Lark (with a rule `start:`) or llama.cpp's GBNF (`root ::=`)."""
        return cls("grammar", text)

    @classmethod
    def choice(cls, texts: Sequence[str]) -> "OutputConstraint":
        """Return the constraint to one of these texts (at least one).

        >>> OutputConstraint.choice(["yes", "a+b"]).text
        'yes|a\\\\+b'
        """
        return cls("choice", "|".join(map(re.escape, texts)))


def constraint_with_calls(
    calls: CallFormat,
    tools: Sequence[Tool],
    *,
    must_call: Collection[str] = (),
    one_call: bool = False,
    answer: OutputConstraint | None = None,
    control: Collection[str] = (),
) -> OutputConstraint | None:
    """None: any text. `answer`: the JSON schema of an answer without calls; `control`: texts of
    control tokens.
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
    """One rule for each function, and `call` for any of them."""
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
    """`lenient`: unsupported parts of the schema are ignored."""
    settings = {**SPACING, "lenient": lenient}
    return f"{rule}: %json {json.dumps({**schema, 'x-guidance': settings})}"


def _constraint(*rules: str) -> OutputConstraint:
    return OutputConstraint("call of a tool", "\n".join(rules) + "\n")


# Keys of a schema whose value is a schema, a list of schemas, or a table of schemas. `not`, `if` and
# the like are conditions and stay as they are.
_ONE = ("items", "additionalItems", "additionalProperties")
_SEVERAL = ("prefixItems", "items", "anyOf", "oneOf", "allOf")
_TABLES = ("properties", "patternProperties", "$defs", "definitions")
_CHOICES = ("anyOf", "oneOf", "$ref")
_SAYS = ("additionalProperties", "unevaluatedProperties")


def close_objects(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with every object closed whose properties it lists.

    >>> close_objects({"properties": {"a": {"type": "object"}}})
    {'properties': {'a': {'type': 'object'}}, 'additionalProperties': False}
    """
    closed: dict[str, Any] = _close(
        schema, frozenset(_joined_refs(schema)), is_part=False, place="#"
    )
    return closed


def _close(schema: Any, joined: frozenset[str], *, is_part: bool, place: str = "") -> Any:
    """`joined`: the places that `$ref`s within a joined object name; `is_part`: a part of one, at
    `place`.
    """
    if not isinstance(schema, Mapping):
        return schema
    closed = dict(schema)
    joins = is_part or place in joined or _joins(schema)
    for name, value in schema.items():
        part = joins and name in ("allOf", "anyOf", "oneOf")
        if name in _TABLES and isinstance(value, Mapping):
            closed[name] = {
                key: _close(each, joined, is_part=False, place=f"{place}/{name}/{key}")
                for key, each in value.items()
            }
        elif name in _SEVERAL and isinstance(value, list):
            closed[name] = [_close(each, joined, is_part=part) for each in value]
        elif name in _ONE:
            closed[name] = _close(value, joined, is_part=False)
    if "properties" in schema and not joins and not any(name in schema for name in _SAYS):
        closed["additionalProperties"] = False
    return closed


def _joins(schema: Mapping[str, Any]) -> bool:
    """Whether an object is put together from several schemas."""
    parts = schema.get("allOf")
    several = isinstance(parts, list) and len(parts) + ("properties" in schema) > 1
    return several or ("properties" in schema and any(name in schema for name in _CHOICES))


def _joined_refs(schema: Any, *, is_part: bool = False) -> Iterator[str]:
    """The `$ref`s of parts of joined objects."""
    if isinstance(schema, list):
        for each in schema:
            yield from _joined_refs(each, is_part=is_part)
    elif isinstance(schema, Mapping):
        joins = is_part or _joins(schema)
        if joins and isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for name, value in schema.items():
            yield from _joined_refs(value, is_part=joins and name in ("allOf", "anyOf", "oneOf"))


ANY_OBJECT = OutputConstraint.schema({"type": "object"})
