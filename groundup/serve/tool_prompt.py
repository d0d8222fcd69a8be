"""Tools for a chat model whose template knows none: described in the system message, called in the
format "tagged" (Nous Research's Hermes).

    system     ... the tools between <tools> and </tools>, a JSON object a line, and what a call
               looks like
    assistant  <tool_call>\\n{"name": ..., "arguments": {...}}\\n</tool_call>
    user       <tool_response>\\n...\\n</tool_response>

The marks are text, also where the vocabulary has them as control tokens: a content never becomes
one. The grammar of `engine/structured_output.py` makes each call well-formed, and one that must be
made certain. Whether a model that was not trained on tools calls the right one is another matter
(docs/serving.md has figures).
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from groundup.tokenizer.chat import Conversation, Message
from groundup.tokenizer.tools import FORMATS, Tool, ToolCall

ToolSupport = Literal["template", "general", "forced", "none"]
"""How a model calls tools: as its own template has it; in the general format; so, but only where a
call is forced; not at all.
"""
ToolSetting = Literal["forced", "any", "template", "off"]
"""Which chat models get tools: those whose template has them, and the others where a call is
forced, always or never; or none.
"""

GENERAL = FORMATS["tagged"]
_HOW = (
    "You may call these functions, one JSON object with its description a line:\n"
    "<tools>\n{tools}\n</tools>\n"
    "To call one, write its name and its arguments as JSON between these marks, "
    "and nothing after them:\n"
    '<tool_call>\n{{"name": "NAME", "arguments": {{...}}}}\n</tool_call>\n'
    "If none of them helps, answer in words."
)


def tool_support(setting: ToolSetting, *, has_template: bool, chats: bool) -> ToolSupport:
    """Return how a model calls tools. `has_template`: its own template has them.

    >>> tool_support("forced", has_template=False, chats=True)
    'forced'
    """
    if setting == "off":
        return "none"
    if has_template:
        return "template"
    if not chats or setting == "template":
        return "none"
    return "general" if setting == "any" else "forced"


def with_general_tools(given: Conversation, tools: Sequence[Tool]) -> Conversation:
    """Return the conversation with the tools described in its system message, and earlier calls and
    results in the general format.
    """
    described = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    messages = _join_user_messages([_to_general_format(message) for message in given.messages])
    system = _HOW.format(tools=described)
    if messages and messages[0].role == "system" and messages[0].content:
        system = f"{messages.pop(0).content}\n\n{system}"
    return Conversation((Message("system", system), *messages))


def _to_general_format(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
    calls = "\n".join(map(_call_text, message.calls))
    return Message(message.role, "\n".join(part for part in (message.content, calls) if part))


def _call_text(call: ToolCall) -> str:
    before, after = GENERAL.around(call.name)
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return f"{GENERAL.opening}{before}{arguments}{after}{GENERAL.closing}"


def _join_user_messages(messages: Sequence[Message]) -> list[Message]:
    """Join what follows a message of the same role: results of several calls, and the user's next
    message.
    """
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role == "user":
            message = replace(message, content=f"{joined.pop().content}\n{message.content}")
        joined.append(message)
    return joined
