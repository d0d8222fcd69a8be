"""Messages and tools as clients send them -> a Conversation, tools for the chat template, and which
of them must be called.

Both dialects' formats are accepted everywhere, since clients mix them. Tool messages in a history
are always accepted. For a model whose chat template can't render them, a tool call becomes text of
the assistant and a tool's result a user message (`without_tools`). The role "developer" is read as
"system".
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from groundup.files import is_deeper
from groundup.http.limits import Limits
from groundup.serve.fields import Body
from groundup.serve.requests import RequestError
from groundup.tokenizer.chat import Conversation, Message
from groundup.tokenizer.tools import MAX_DEPTH, CallFormat, Tool, ToolCall


class ToolFunction(Body):
    """The name of a function, and in a call its arguments; OpenAI's clients send the arguments as a
    JSON string.
    """

    name: str
    arguments: dict[str, Any] | str = ""


class ClientToolCall(Body):
    """One tool call."""

    function: ToolFunction
    id: str = ""

    def call(self) -> ToolCall | None:
        """Return the call, or None when its arguments are not a JSON object."""
        given = self.function.arguments
        arguments = _object(given) if isinstance(given, str) else given
        return None if arguments is None else ToolCall(self.function.name, arguments, self.id)


class Part(Body):
    """One part of a message's content."""

    type: str
    text: str | None = None


class ClientMessage(Body):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    images: list[str] = []
    tool_calls: list[ClientToolCall] = []
    tool_name: str = ""
    name: str = ""
    tool_call_id: str = ""

    def message(self) -> Message:
        """Return it as a Message; invalid calls become part of its text.

        Raises RequestError for parts that are not text.
        """
        text = self.content if isinstance(self.content, str) else _joined(self.content or [])
        calls = [(each, each.call()) for each in self.tool_calls]
        invalid = [
            _call_text(each.function.name, str(each.function.arguments))
            for each, call in calls
            if call is None
        ]
        return Message(
            "system" if self.role == "developer" else self.role,
            _lines(text, invalid),
            tuple(call for _, call in calls if call is not None),
            self.tool_name or (self.name if self.role == "tool" else ""),
            self.tool_call_id,
        )


def _joined(parts: Sequence[Part]) -> str:
    for part in parts:
        if part.type != "text" or part.text is None:
            raise RequestError(
                f"messages: a part of type {part.type[:40]!r} can't be read here, only text",
                param="messages",
            )
    return "".join(part.text or "" for part in parts)


def _object(text: str) -> dict[str, Any] | None:
    """Return the arguments in a JSON string, {} for an empty one, None for anything but an
    object.
    """
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not is_deeper(value, MAX_DEPTH) else None


def _call_text(name: str, arguments: str) -> str:
    return f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'


def _lines(first: str, others: Sequence[str]) -> str:
    return "\n".join([*([first] if first else []), *others])


def require_few_messages(value: dict[str, Any], limits: Limits) -> None:
    """Raise RequestError when a body has too many messages, before any of them is parsed."""
    messages = value.get("messages")
    if isinstance(messages, list) and len(messages) > limits.messages:
        raise RequestError(
            f"messages: at most {limits.messages:,} allowed, got {len(messages):,}",
            param="messages",
        )


def conversation(messages: Sequence[ClientMessage]) -> Conversation:
    """Return the messages as a Conversation. Raises RequestError."""
    return Conversation(tuple(each.message() for each in messages))


def with_call_format(given: Conversation, calls: CallFormat | None) -> Conversation:
    """Return the conversation as a template with this call format can render it; None: a template
    without tools.
    """
    too_many = (
        calls is not None
        and not calls.several
        and any(len(message.calls) > 1 for message in given.messages)
    )
    return without_tools(given) if calls is None or too_many else given


def without_tools(given: Conversation) -> Conversation:
    """Return the conversation with tool calls and tool messages written as plain text.

    A tool's result and the user messages around it become one message: many templates require
    alternating roles.
    """
    messages: list[Message] = []
    after_tool = False
    for original in given.messages:
        message = _plain(original)
        is_tool = original.role == "tool"
        if (
            message.role == "user"
            and messages
            and messages[-1].role == "user"
            and (after_tool or is_tool)
        ):
            message = Message("user", f"{messages.pop().content}\n{message.content}")
        messages.append(message)
        after_tool = is_tool
    return replace(given, messages=tuple(messages))


def _plain(message: Message) -> Message:
    if message.role == "tool":
        name = message.tool or message.call_id
        return Message("user", f"The tool{f' {name}' if name else ''} answered: {message.content}")
    calls = [
        _call_text(call.name, json.dumps(call.arguments, ensure_ascii=False))
        for call in message.calls
    ]
    return Message(message.role, _lines(message.content, calls))


class ToolFunctionBody(Body):
    """The function of a tool."""

    name: str = Field(min_length=1, max_length=256)
    description: str = ""
    parameters: dict[str, Any] = {}


class ToolBody(Body):
    """One tool.

    Other fields that clients send (`strict`) are ignored: no model was trained on them.
    """

    type: Literal["function"] = "function"
    function: ToolFunctionBody

    def tool(self) -> Tool:
        """Return the tool with keys in the order that models were trained on, without absent
        ones.
        """
        return {"type": "function", "function": self.function.model_dump(exclude_unset=True)}


class ToolChoice(Body):
    """The one tool that must be called."""

    type: Literal["function"] = "function"
    function: ToolFunction


Choice = Literal["none", "auto", "required"] | ToolChoice


def read_tools(
    tools: Sequence[ToolBody], choice: Choice, *, parallel: bool | None = None
) -> dict[str, Any]:
    """Return fields of a GenerateRequest; where a call is forced there is one, unless `parallel`
    calls are asked for.

    Raises RequestError for a choice that names no given tool.
    """
    names = tuple(each.function.name for each in tools)
    named = (choice.function.name,) if isinstance(choice, ToolChoice) else ()
    if not set(named) <= set(names) or (choice == "required" and not names):
        raise RequestError("tool_choice: tools has no such tool", param="tool_choice")
    return {
        "tools": () if choice == "none" else tuple(each.tool() for each in tools),
        "must_call": names if choice == "required" else named,
        "one_call": bool(named) or parallel is False or (choice == "required" and parallel is None),
    }
