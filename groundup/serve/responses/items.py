"""Items of a conversation as /v1/responses has them -> messages.

    {"role": "user", "content": "How is the weather?"}
            a message, also as {"type": "message", ...} and with parts
    {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
            the assistant's; one message together with its text before the call
    {"type": "function_call_output", "call_id": "c", "output": "sunny"}          the result
    {"type": "item_reference", "id": "msg_1"}
            an item of a response that is kept

What models here have no use for (reasoning, what a search found) is passed over: clients send back
the whole output.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from pydantic import Field

from groundup.http.responses import JsonObject
from groundup.serve.fields import Body, read_fields
from groundup.serve.messages import ClientMessage, ClientToolCall, ToolFunction
from groundup.serve.requests import RequestError

# The field with the text of a part, by the part's type.
TEXT_OF_PART = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
}
PASSED_OVER = (
    "reasoning",
    "web_search_call",
    "file_search_call",
    "search_results",
    "fetch_url_results",
)
B = TypeVar("B", bound=Body)


class MessageItem(Body):
    """A message."""

    role: Literal["system", "developer", "user", "assistant"] = "user"
    content: Any


class CallItem(Body):
    """A call of a function; its arguments are JSON in a text."""

    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    arguments: str = ""


class ResultItem(Body):
    """The result of a call."""

    call_id: str = Field(min_length=1)
    output: Any


class ReferenceItem(Body):
    """An item of an earlier response."""

    id: str = Field(min_length=1)


def resolve_references(
    items: Sequence[Any], kept: Callable[[str], JsonObject | None]
) -> list[JsonObject]:
    """Return the items, with those of earlier responses in the place of references to them.

    Raises RequestError.
    """
    found: list[JsonObject] = []
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            raise RequestError(f"input.{place}: is not an object", param=f"input.{place}")
        if _type_of(item) == "item_reference":
            id = _read(ReferenceItem, item, place).id
            earlier = kept(id)
            if earlier is None:
                param = f"input.{place}.id"
                problem = f"{param}: item {id[:120]!r} not found; send the item itself"
                raise RequestError(problem, status=404, code="item_not_found", param=param)
            item = earlier
        found.append(item)
    return found


def messages_of(items: Sequence[JsonObject]) -> list[ClientMessage]:
    """Return the messages of resolved items. Raises RequestError."""
    messages: list[ClientMessage] = []
    names: dict[str, str] = {}
    for place, item in enumerate(items):
        type_name = _type_of(item)
        if type_name == "message":
            message = _read(MessageItem, item, place)
            text = _text(message.content, f"input.{place}.content")
            messages.append(ClientMessage(role=message.role, content=text))
        elif type_name == "function_call":
            call = _read(CallItem, item, place)
            names[call.call_id] = call.name
            _add_call(messages, call)
        elif type_name == "function_call_output":
            result = _read(ResultItem, item, place)
            text = _text(result.output, f"input.{place}.output")
            name = names.get(result.call_id, "")
            messages.append(
                ClientMessage(role="tool", content=text, name=name, tool_call_id=result.call_id)
            )
        elif type_name not in PASSED_OVER:
            problem = f"an item of type {type_name[:40]!r} can't be read here"
            raise RequestError(f"input.{place}.type: {problem}", param=f"input.{place}.type")
    return messages


def _type_of(item: JsonObject) -> str:
    given = item.get("type")
    if given is not None:
        return str(given)
    if "id" in item and "role" not in item:
        return "item_reference"
    return "message"


def _read(body_type: type[B], item: JsonObject, place: int) -> B:
    """Return an item's fields. Raises RequestError that names the item."""
    return read_fields(body_type, item, f"input.{place}.")


def _add_call(messages: list[ClientMessage], item: CallItem) -> None:
    """Add a call to the assistant's message that it follows, or as one of its own."""
    call = ClientToolCall(
        id=item.call_id, function=ToolFunction(name=item.name, arguments=item.arguments)
    )
    if messages and messages[-1].role == "assistant":
        before = messages.pop()
        messages.append(before.model_copy(update={"tool_calls": [*before.tool_calls, call]}))
    else:
        messages.append(ClientMessage(role="assistant", tool_calls=[call]))


def _text(content: Any, param: str) -> str:
    """Return the text of a content: a text, or a list of parts.

    Raises RequestError for parts that are not text.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        content = [content]
    return "".join(_part_text(part, param) for part in content)


def _part_text(part: Any, param: str) -> str:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise RequestError(f"{param}: expected a text or a list of parts with a type", param=param)
    type_name = part["type"]
    text = part.get(TEXT_OF_PART.get(type_name))
    if not isinstance(text, str):
        raise RequestError(
            f"{param}: a part of type {type_name[:40]!r} can't be read here, only text", param=param
        )
    return text
