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

from groundup.config import is_deeper
from groundup.http.json_object import JsonObject
from groundup.http.limits import Limits
from groundup.serve.fields import Body
from groundup.serve.requests import GenerateRequest, RequestError
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
        arguments = self.function.arguments
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except (ValueError, RecursionError):
                return None
            if not isinstance(arguments, dict) or is_deeper(arguments, MAX_DEPTH):
                return None
        return ToolCall(self.function.name, arguments, self.id)


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
        lines, calls = [_text_of(self.content or "")], []
        for each in self.tool_calls:
            call = each.call()
            if call is None:
                lines.append(_call_text(each.function.name, str(each.function.arguments)))
            else:
                calls.append(call)
        tool = self.tool_name
        if self.role == "tool":
            tool = tool or self.name
        role = "system" if self.role == "developer" else self.role
        return Message(role, _join_lines(lines), tuple(calls), tool, self.tool_call_id)


def _text_of(parts: str | Sequence[Part]) -> str:
    if isinstance(parts, str):
        return parts
    for part in parts:
        if part.type != "text" or part.text is None:
            raise RequestError(
                f"messages: a part of type {part.type[:40]!r} can't be read here, only text",
                param="messages",
            )
    return "".join(part.text or "" for part in parts)


def _call_text(name: str, arguments: str) -> str:
    return f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'


def _join_lines(lines: Sequence[str]) -> str:
    """Join lines; an empty first one is left out."""
    return "\n".join(lines[not lines[0] :])


def require_few_messages(value: JsonObject, limits: Limits) -> None:
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


def require_contents(messages: Sequence[ClientMessage]) -> None:
    """Raise RequestError for a message that has neither a content nor calls."""
    for place, message in enumerate(messages):
        if message.content is None and not message.tool_calls:
            param = f"messages.{place}.content"
            raise RequestError(f"{param}: is missing", param=param)


def with_call_format(given: Conversation, calls: CallFormat | None) -> Conversation:
    """Return the conversation as a template with this call format can render it; None: a template
    without tools.
    """
    most_calls = max((len(message.calls) for message in given.messages), default=0)
    if calls is None or (most_calls > 1 and not calls.several):
        return without_tools(given)
    return given


def without_tools(given: Conversation) -> Conversation:
    """Return the conversation with tool calls and tool messages written as plain text.

    A tool's result and the user messages around it become one message: many templates require
    alternating roles.
    """
    messages: list[Message] = []
    after_tool = False
    for original in given.messages:
        message = _without_tools(original)
        is_tool = original.role == "tool"
        both_users = bool(messages) and messages[-1].role == message.role == "user"
        if both_users and (after_tool or is_tool):
            message = Message("user", f"{messages.pop().content}\n{message.content}")
        messages.append(message)
        after_tool = is_tool
    return replace(given, messages=tuple(messages))


def _without_tools(message: Message) -> Message:
    if message.role == "tool":
        tool = " ".join(filter(None, ("The tool", message.tool or message.call_id)))
        return Message("user", f"{tool} answered: {message.content}")
    calls = [
        _call_text(call.name, json.dumps(call.arguments, ensure_ascii=False))
        for call in message.calls
    ]
    return Message(message.role, _join_lines([message.content, *calls]))


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


def with_tools(
    request: GenerateRequest,
    tools: Sequence[ToolBody],
    choice: Choice = "auto",
    *,
    parallel: bool | None = None,
) -> GenerateRequest:
    """Return the request with tools; where a call is forced there is one, unless `parallel` calls
    are asked for.

    Raises RequestError for a choice that names no given tool.
    """
    names = tuple(each.function.name for each in tools)
    must_call: tuple[str, ...] = ()
    if choice == "required":
        must_call = names
    elif isinstance(choice, ToolChoice):
        must_call = (choice.function.name,)
    if not set(must_call) <= set(names) or (choice == "required" and not names):
        raise RequestError("tool_choice: tools has no such tool", param="tool_choice")
    if choice == "none":
        tools = ()
    one_call = isinstance(choice, ToolChoice) or parallel is False
    return replace(
        request,
        tools=tuple(each.tool() for each in tools),
        must_call=must_call,
        one_call=one_call or (choice == "required" and parallel is None),
    )
