"""Messages as clients send them -> a Conversation. Both dialects' shapes are read, since their clients mix them.

Tool turns in a history are always accepted: what a model asked of a tool becomes its text, and what a tool answered a user's message, which every
chat template can show. Roles that mean the same are one.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

from groundup.serve.exchange import RequestError
from groundup.serve.fields import Body
from groundup.tokenizer.chat import Conversation, Message, Role


class ToolFunction(Body):
    """What a model wants called; OpenAI's clients write the arguments as a text of JSON."""

    name: str
    arguments: dict[str, Any] | str = ""


class ToolCall(Body):
    """One call."""

    function: ToolFunction


class Part(Body):
    """A piece of a message's content."""

    type: str
    text: str | None = None


class Turn(Body):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    images: list[str] = []
    tool_calls: list[ToolCall] = []
    tool_name: str = ""
    name: str = ""
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """Its whole text, tool calls included. Raises RequestError for parts that are no text."""
        written = self.content if isinstance(self.content, str) else _joined(self.content or [])
        return "\n".join([*([written] if written else []), *map(_call_text, self.tool_calls)])


def _joined(parts: Sequence[Part]) -> str:
    for part in parts:
        if part.type != "text" or part.text is None:
            raise RequestError(
                f"messages: a part of type {part.type[:40]!r} can't be read here, only text", param="messages"
            )
    return "".join(part.text or "" for part in parts)


def _call_text(call: ToolCall) -> str:
    arguments = call.function.arguments
    if isinstance(arguments, str):
        return f'{{"name": {json.dumps(call.function.name)}, "arguments": {arguments or "{}"}}}'
    return json.dumps({"name": call.function.name, "arguments": arguments}, ensure_ascii=False)


def conversation(turns: Sequence[Turn]) -> Conversation:
    """The turns as messages. Raises RequestError.

    What tools answered and the user's words around it are one message: many templates want the sides to alternate.
    """
    messages: list[Message] = []
    after_tool = False
    for turn in turns:
        role, text = _said(turn)
        if role == "user" and messages and messages[-1].role == "user" and (after_tool or turn.role == "tool"):
            text = f"{messages.pop().content}\n{text}"
        messages.append(Message(role, text))
        after_tool = turn.role == "tool"
    return Conversation(tuple(messages))


def _said(turn: Turn) -> tuple[Role, str]:
    if turn.role == "tool":
        name = turn.tool_name or turn.name or turn.tool_call_id
        return "user", f"The tool{f' {name}' if name else ''} answered: {turn.text}"
    return "system" if turn.role == "developer" else turn.role, turn.text
