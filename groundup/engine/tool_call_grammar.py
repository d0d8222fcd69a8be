"""The constraint on an answer with tools: a grammar in llguidance's Lark that includes the tools' schemas.

    tool_choice auto               any text; after an opening mark, a call whose arguments fit the tool's schema
    tool_choice required           one or more calls, and nothing else
    with a response schema         calls, or an answer that fits the schema

A tool's schema is enforced as far as the library supports it: unsupported parts (a format, a pattern with look-ahead) are ignored, since tools are
written for many servers. A call format without marks can't be distinguished from text before it ends, so with tool_choice auto and no response schema
there is no constraint (None).
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from groundup.engine.grammar import SPACING
from groundup.engine.structured_output import OutputConstraint
from groundup.tokenizer.tools import CallFormat, Tool


def constraint_with_calls(
    calls: CallFormat,
    tools: Sequence[Tool],
    *,
    must_call: Collection[str] = (),
    one_call: bool = False,
    answer: OutputConstraint | None = None,
    control: Collection[str] = (),
) -> OutputConstraint | None:
    """Return the constraint, or None for any text. `answer`: the JSON schema of an answer without calls; `control`: texts of control tokens."""
    functions = [tool["function"] for tool in tools if not must_call or tool["function"]["name"] in must_call]
    marks = [json.dumps(mark) if mark not in control else mark for mark in (calls.opening, calls.closing)]
    repeat = "" if one_call or not calls.several else "*"
    rules = [*_calls(calls, functions), f"marked: {marks[0]} call {marks[1]}"]
    marked = f'marked ("\\n" marked){repeat}' if repeat else "marked"
    if must_call:
        return _constraint(f"start: {marked}", *rules)
    if answer is not None:
        return _constraint(f"start: {marked} | answer", *rules, _json("answer", json.loads(answer.text)))
    if not calls.opening:
        return None
    if calls.opening in control:
        text = [f"begun: TEXT {marks[0]}", "TEXT: /(?s:.*)/"]
    else:  # the text ends where the mark occurs, however it is tokenized
        mark = re.escape(calls.opening)
        text = [f"begun[suffix={marks[0]}]: /(?s:.*)/", f"TEXT: /(?s:.*)/ & ~/(?s:.*){mark}(?s:.*)/"]
    return _constraint(f"start: (begun call {marks[1]}){repeat or '?'} TEXT", *text, *rules[:-1])


def _calls(calls: CallFormat, functions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one rule for each function, and `call` for any of them."""
    rules = ["call: " + " | ".join(f"call_{index}" for index in range(len(functions)))]
    for index, function in enumerate(functions):
        before, after = map(json.dumps, calls.around(function["name"]))
        arguments = _json(f"arguments_{index}", _arguments(function.get("parameters", {})), lenient=True)
        rules += [f"call_{index}: {before} arguments_{index} {after}", arguments]
    return rules


def _arguments(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a function's arguments: an object, without additional ones unless the schema allows them."""
    closed = {"additionalProperties": False} if not schema or "properties" in schema else {}
    return {"type": "object", **closed, **schema}


def _json(rule: str, schema: Mapping[str, Any], *, lenient: bool = False) -> str:
    """Return a rule for JSON of a schema; `lenient`: unsupported parts of the schema are ignored."""
    settings = {**SPACING, "lenient": lenient}
    return f"{rule}: %json {json.dumps({**schema, 'x-guidance': settings})}"


def _constraint(*rules: str) -> OutputConstraint:
    return OutputConstraint("call of a tool", "\n".join(rules) + "\n")
