"""Tools in conversations: in which format a model writes its calls, told from its chat template, and such a call's JSON -> ToolCall.

A template that knows tools shows the model how to call one, and writes the calls of earlier turns itself. So its texts name the format; what
the template does is of no interest here, and it is not run. `FORMATS` are the formats that can be read:

    tagged    <tool_call>\\n{"name": ..., "arguments": {...}}\\n</tool_call>, anywhere in an answer (Hermes, Qwen 2.5, Qwen 3, SmolLM2 1.7B)
    bare      {"name": ..., "parameters": {...}} and nothing else (Llama 3.1 and later)

Left out: every format of other families (Mistral, DeepSeek, GLM, gpt-oss, Qwen3-Coder), and the built-in tools of Llama.
"""

import functools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes

from groundup.tokenizer.sandbox import FAILURES
from groundup.tokenizer.template import MAX_TEMPLATE_CHARACTERS

MAX_DEPTH = 64
"""Lists and tables in one another in a call. Python's reader and writer of JSON give up near a thousand, and not at the same depth."""
Tool = Mapping[str, Any]
"""{"type": "function", "function": {"name", "description", "parameters": a JSON schema}}, as all dialects and templates have it."""


@dataclass(frozen=True)
class ToolCall:
    """A function that the model wants called. Whoever sent the tools calls it; nothing here does."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    id: str = ""
    """Of a call in a history, where its client named it."""


@dataclass(frozen=True)
class CallFormat:
    """How a family of models writes a call."""

    name: str
    opening: str
    """What stands before a call's JSON; "": nothing, and then a call begins an answer, or follows another call."""
    closing: str
    arguments: str
    """The key that the arguments have in the JSON."""
    lines: bool
    """Whether the JSON has a line of its own."""
    several: bool
    """Whether one turn of a history may have more than one call: templates of some families refuse that."""
    signs: tuple[re.Pattern[str], ...]
    """All of them are found in the texts of a template of this format."""

    def around(self, name: str) -> tuple[str, str]:
        """What stands between the marks, before and after the arguments of a call of `name`.

        >>> FORMATS["tagged"].around("weather")
        ('\\n{"name": "weather", "arguments": ', '}\\n')
        """
        space = "\n" if self.lines else ""
        return f'{space}{{"name": {json.dumps(name, ensure_ascii=False)}, "{self.arguments}": ', f"}}{space}"


FORMATS = {
    each.name: each
    for each in (
        CallFormat(
            "tagged",
            "<tool_call>",
            "</tool_call>",
            "arguments",
            lines=True,
            several=True,
            signs=(re.compile(r"""<tool_call>[\s\[]*\{\s*["'](?:name|arguments)["']"""), re.compile("</tool_call>")),
        ),
        CallFormat(
            "bare",
            "",
            "",
            "parameters",
            lines=False,
            several=False,
            signs=(re.compile(r'\{"name": "", "parameters": \}'), re.compile("ipython")),
        ),
    )
}


@functools.lru_cache(maxsize=32)
def call_format(template: str | None) -> CallFormat | None:
    """The format of calls that a chat template asks for; None: it knows no tools, or another format.

    >>> call_format("{{ messages }}") is None
    True
    """
    if template is None or "tools" not in template or len(template) > MAX_TEMPLATE_CHARACTERS:
        return None
    try:
        # Only parsed: compiling would compute what constants the template has, and running belongs into the sandbox.
        tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template)
        if not any(each.name == "tools" and each.ctx == "load" for each in tree.find_all(nodes.Name)):
            return None
        texts = "".join(map(_text, tree.find_all((nodes.TemplateData, nodes.Const))))
    except FAILURES:
        return None
    found = (each for each in FORMATS.values() if all(sign.search(texts) for sign in each.signs))
    return next(found, None)


def _text(node: nodes.Node) -> str:
    value = getattr(node, "data", None) or getattr(node, "value", None)
    return value if isinstance(value, str) else ""


def read_calls(text: str) -> tuple[ToolCall, ...] | None:
    """The calls of a JSON object, or of a list of some; None: it is none, or one is not whole.

    >>> read_calls('{"name": "f", "arguments": {"x": 1}}')
    (ToolCall(name='f', arguments={'x': 1}, id=''),)
    """
    try:
        # A line break inside a text is no JSON, but what models write that pass code on.
        value = json.loads(text, strict=False, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    calls = [_call(each) for each in (value if isinstance(value, list) else [value])]
    whole = tuple(call for call in calls if call is not None)
    return whole if whole and len(whole) == len(calls) else None


def _call(value: Any) -> ToolCall | None:
    """A model that was trained on several formats may take the other one's key."""
    if not isinstance(value, dict):
        return None
    name, given = value.get("name"), [value[key] for key in ("arguments", "parameters") if key in value]
    arguments = given[0] if given else {}
    return ToolCall(name, arguments) if isinstance(name, str) and name and isinstance(arguments, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number
