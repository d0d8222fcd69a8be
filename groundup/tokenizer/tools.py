"""Tool calls: their format, recognised from the chat template, and their JSON -> ToolCall.

A template with tools has an example of a call for the model, and writes the calls of earlier turns.
So its literal texts show the format; the template is parsed, not run. The supported formats are in
`FORMATS`:

    tagged    <tool_call>\\n{"name": ..., "arguments": {...}}\\n</tool_call>, anywhere in an answer
              (Hermes, Qwen 2.5, Qwen 3, SmolLM2 1.7B); also a fence of code, ```json, whose JSON
              is a call of a known tool: Qwen2.5-Coder writes that instead
    bare      {"name": ..., "parameters": {...}} and nothing else (Llama 3.1 and later)

Left out: the formats of other families (Mistral, DeepSeek, GLM, gpt-oss, Qwen3-Coder), and the
built-in tools of Llama.
"""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from groundup.config import MAX_JSON_DEPTH, is_deeper
from groundup.tokenizer.template import MAX_TEMPLATE_CHARACTERS

if TYPE_CHECKING:
    from jinja2.nodes import Node

MAX_DEPTH = 64
"""Nesting of a call's JSON. Python's JSON reader and writer fail near a thousand, at different
depths.
"""
Tool = Mapping[str, Any]
"""{"type": "function", "function": {"name", "description", "parameters": a JSON schema}}, as in all
API dialects and templates.
"""


@dataclass(frozen=True)
class ToolCall:
    """A function call that the model requests. The client executes it; nothing here does."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    id: str = ""
    """The id that the client gave to a call in the history."""


@dataclass(frozen=True)
class CallFormat:
    name: str
    opening: str
    """The text before a call's JSON; "": none, and then a call is at the start of an answer or
    follows another call.
    """
    closing: str
    arguments: str
    """The key of the arguments in the JSON."""
    lines: bool
    """Whether the JSON is on a line of its own."""
    several: bool
    """Whether one turn of the history may have several calls: some templates refuse that."""
    signs: tuple[re.Pattern[str], ...]
    """Patterns that all occur in the literal texts of a template of this format."""

    @property
    def closings(self) -> Mapping[str, str]:
        """The texts before a call's JSON and those after it; {} without."""
        return {self.opening: self.closing, **FENCE} if self.opening else {}

    def around(self, name: str) -> tuple[str, str]:
        """Return the text before and after the arguments of a call of `name`, between opening and
        closing.

        >>> FORMATS["tagged"].around("weather")
        ('\\n{"name": "weather", "arguments": ', '}\\n')
        """
        space = "\n" if self.lines else ""
        return (
            f'{space}{{"name": {json.dumps(name, ensure_ascii=False)}, "{self.arguments}": ',
            f"}}{space}",
        )


FENCE = {"```json": "```"}
_TAGGED = (
    re.compile(r"""<tool_call>[\s\[]*\{\s*["'](?:name|arguments)["']"""),
    re.compile("</tool_call>"),
)
_BARE = (re.compile(r'\{"name": "", "parameters": \}'), re.compile("ipython"))
FORMATS = {
    "tagged": CallFormat(
        "tagged",
        "<tool_call>",
        "</tool_call>",
        "arguments",
        lines=True,
        several=True,
        signs=_TAGGED,
    ),
    "bare": CallFormat("bare", "", "", "parameters", lines=False, several=False, signs=_BARE),
}


@functools.lru_cache(maxsize=32)
def call_format(template: str | None) -> CallFormat | None:
    """Return the format of tool calls of a chat template; None: it has no tools, or an unsupported
    format.

    >>> call_format("{{ messages }}") is None
    True
    """
    if template is None or "tools" not in template or len(template) > MAX_TEMPLATE_CHARACTERS:
        return None
    import jinja2
    from jinja2 import nodes

    from groundup.tokenizer.sandbox import FAILURES

    try:
        # Only parsed: compiling would evaluate constant expressions, and running is for the
        # sandbox.
        tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template)
        if not any(
            each.name == "tools" and each.ctx == "load" for each in tree.find_all(nodes.Name)
        ):
            return None
        texts = "".join(map(_text, tree.find_all((nodes.TemplateData, nodes.Const))))
    except FAILURES:
        return None
    return next(
        (each for each in FORMATS.values() if all(sign.search(texts) for sign in each.signs)), None
    )


def _text(node: "Node") -> str:
    value = getattr(node, "data", None) or getattr(node, "value", None)
    return value if isinstance(value, str) else ""


def read_calls(text: str) -> tuple[ToolCall, ...] | None:
    """Return the calls of a JSON object, or of a list of objects; None where one is not a complete
    call.

    >>> read_calls('{"name": "f", "arguments": {"x": 1}}')
    (ToolCall(name='f', arguments={'x': 1}, id=''),)
    """
    try:
        # A line break inside a string is invalid JSON, but models that write code produce it.
        value = json.loads(text, strict=False)
        # raises ValueError for NaN and infinities, 1e999 among them
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    if is_deeper(value, MAX_JSON_DEPTH):
        return None
    if not isinstance(value, list):
        value = [value]
    calls = tuple(filter(None, map(_call, value)))
    if len(calls) < max(1, len(value)):
        return None
    return calls


def calls_of(value: Any) -> tuple[ToolCall, ...] | None:
    """Return the calls of a client or of training data: a text of JSON, or a list as OpenAI has it;
    None where one is not a complete call.

    >>> calls_of([{"function": {"name": "f", "arguments": '{"x": 1}'}, "id": "a"}])
    (ToolCall(name='f', arguments={'x': 1}, id='a'),)
    """
    if isinstance(value, str):
        return read_calls(value)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return None
    calls = []
    for each in value:
        function = each.get("function", each)
        if not isinstance(function, dict):
            return None
        arguments = function.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        name = json.dumps(function.get("name"))
        read = read_calls(f'{{"name": {name}, "arguments": {arguments or "{}"}}}')
        if read is None:
            return None
        calls.append(replace(read[0], id=str(each.get("id") or "")))
    return tuple(calls) or None


def _call(value: Any) -> ToolCall | None:
    """A model trained on several formats may use the other one's key for the arguments."""
    if not isinstance(value, dict):
        return None
    name, arguments = value.get("name"), value.get("arguments", value.get("parameters", {}))
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    return ToolCall(name, arguments)
