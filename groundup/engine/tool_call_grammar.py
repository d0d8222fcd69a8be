"""The form of an answer where the model may call tools: a grammar in llguidance's Lark, in which the tools' schemas stand.

    the model chooses              any text; what follows an opening mark is a call whose arguments fit the tool's schema
    a call is wanted               one call, or several, and nothing else
    the answer has a schema too    calls, or an answer that fits it

A tool's schema is followed as far as the library can: what it does not know there (a format, a pattern with look-ahead) is passed over, since
tools are written for many servers. A call without marks is a text like any other until it ends, so where the model chooses and may say anything it
is left alone (None).
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
    """None: anything goes. `answer`: the JSON schema of an answer that is no call, `control`: the texts of control tokens."""
    functions = [tool["function"] for tool in tools if not must_call or tool["function"]["name"] in must_call]
    marks = [json.dumps(mark) if mark not in control else mark for mark in (calls.opening, calls.closing)]
    more = "" if one_call or not calls.several else "*"
    rules = [*_calls(calls, functions), f"marked: {marks[0]} call {marks[1]}"]
    wanted = f'marked ("\\n" marked){more}' if more else "marked"
    if must_call:
        return _form(f"start: {wanted}", *rules)
    if answer is not None:
        return _form(f"start: {wanted} | answer", *rules, _json("answer", json.loads(answer.text)))
    if not calls.opening:
        return None
    if calls.opening in control:
        said = [f"begun: SAID {marks[0]}", "SAID: /(?s:.*)/"]
    else:  # a text ends where the mark is spelled out, in whatever tokens
        mark = re.escape(calls.opening)
        said = [f"begun[suffix={marks[0]}]: /(?s:.*)/", f"SAID: /(?s:.*)/ & ~/(?s:.*){mark}(?s:.*)/"]
    return _form(f"start: (begun call {marks[1]}){more or '?'} SAID", *said, *rules[:-1])


def _calls(calls: CallFormat, functions: Sequence[Mapping[str, Any]]) -> list[str]:
    """One rule for each function, and `call` for any of them."""
    rules = ["call: " + " | ".join(f"call_{index}" for index in range(len(functions)))]
    for index, function in enumerate(functions):
        before, after = map(json.dumps, calls.around(function["name"]))
        arguments = _json(f"arguments_{index}", _arguments(function.get("parameters", {})), lenient=True)
        rules += [f"call_{index}: {before} arguments_{index} {after}", arguments]
    return rules


def _arguments(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An object, without arguments that the function does not have, where the schema leaves that open."""
    closed = {"additionalProperties": False} if not schema or "properties" in schema else {}
    return {"type": "object", **closed, **schema}


def _json(rule: str, schema: Mapping[str, Any], *, lenient: bool = False) -> str:
    """`lenient`: what the library can't follow in the schema is passed over."""
    settings = {**SPACING, "lenient": lenient}
    return f"{rule}: %json {json.dumps({**schema, 'x-guidance': settings})}"


def _form(*rules: str) -> OutputConstraint:
    return OutputConstraint("call of a tool", "\n".join(rules) + "\n")
