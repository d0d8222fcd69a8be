"""Messages as clients send them -> a Conversation. Both dialects' shapes are read, since their clients mix them.

Tool messages in a history are always accepted. For a model whose chat template can't show them, a tool call becomes the assistant's text and a
tool's result a user message (`without_tools`). Roles that mean the same are one.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from groundup.http.json_body import is_deeper
from groundup.http.limits import Limits
from groundup.serve.fields import Body
from groundup.serve.requests import RequestError
from groundup.tokenizer.chat import Conversation, Message
from groundup.tokenizer.tools import MAX_DEPTH, CallFormat, ToolCall


class ToolFunction(Body):
    """What a model wants called; OpenAI's clients write the arguments as a text of JSON."""

    name: str
    arguments: dict[str, Any] | str = ""


class ClientToolCall(Body):
    """One call."""

    function: ToolFunction
    id: str = ""

    def call(self) -> ToolCall | None:
        """None: its arguments are no JSON object."""
        given = self.function.arguments
        arguments = _object(given) if isinstance(given, str) else given
        return None if arguments is None else ToolCall(self.function.name, arguments, self.id)


class Part(Body):
    """A piece of a message's content."""

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
        """What it says. Calls that can't be read are part of its text. Raises RequestError for parts that are no text."""
        written = self.content if isinstance(self.content, str) else _joined(self.content or [])
        calls = [(called, called.call()) for called in self.tool_calls]
        unread = [
            _written(called.function.name, str(called.function.arguments)) for called, call in calls if call is None
        ]
        return Message(
            "system" if self.role == "developer" else self.role,
            _lines(written, unread),
            tuple(call for _, call in calls if call is not None),
            self.tool_name or (self.name if self.role == "tool" else ""),
            self.tool_call_id,
        )


def _joined(parts: Sequence[Part]) -> str:
    for part in parts:
        if part.type != "text" or part.text is None:
            raise RequestError(
                f"messages: a part of type {part.type[:40]!r} can't be read here, only text", param="messages"
            )
    return "".join(part.text or "" for part in parts)


def _object(text: str) -> dict[str, Any] | None:
    """Arguments as OpenAI's clients write them; nothing means none."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not is_deeper(value, MAX_DEPTH) else None


def _written(name: str, arguments: str) -> str:
    return f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'


def _lines(first: str, others: Sequence[str]) -> str:
    return "\n".join([*([first] if first else []), *others])


def require_few_messages(value: dict[str, Any], limits: Limits) -> None:
    """Raises RequestError where a body has more messages than are taken, before any of them is read."""
    messages = value.get("messages")
    if isinstance(messages, list) and len(messages) > limits.messages:
        raise RequestError(f"messages: at most {limits.messages:,} are taken, not {len(messages):,}", param="messages")


def conversation(turns: Sequence[ClientMessage]) -> Conversation:
    """The turns as messages. Raises RequestError."""
    return Conversation(tuple(turn.message() for turn in turns))


def with_call_format(asked: Conversation, calls: CallFormat | None) -> Conversation:
    """As a template with this format of calls can show it; None: a template that knows no tools."""
    too_many = calls is not None and not calls.several and any(len(message.calls) > 1 for message in asked.messages)
    return without_tools(asked) if calls is None or too_many else asked


def without_tools(asked: Conversation) -> Conversation:
    """Without calls and tools' messages, which have become text.

    What tools answered and the user's words around it are one message: many templates want the sides to alternate.
    """
    messages: list[Message] = []
    after_tool = False
    for given in asked.messages:
        said = _plain(given)
        is_tool = given.role == "tool"
        if said.role == "user" and messages and messages[-1].role == "user" and (after_tool or is_tool):
            said = Message("user", f"{messages.pop().content}\n{said.content}")
        messages.append(said)
        after_tool = is_tool
    return replace(asked, messages=tuple(messages))


def _plain(message: Message) -> Message:
    if message.role == "tool":
        name = message.tool or message.call_id
        return Message("user", f"The tool{f' {name}' if name else ''} answered: {message.content}")
    calls = [_written(call.name, json.dumps(call.arguments, ensure_ascii=False)) for call in message.calls]
    return Message(message.role, _lines(message.content, calls))
