"""Items of a conversation as /v1/responses has them -> messages.

    {"role": "user", "content": "How is the weather?"}
            a message, also as {"type": "message", ...} and with parts
    {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
            the assistant's; with what is said before it one message
    {"type": "function_call_output", "call_id": "c", "output": "sunny"}          the result
    {"type": "item_reference", "id": "msg_1"}
            an item of a response that is kept

What models here have no use for (reasoning, what a search found) is passed over: clients send back
the whole output.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from pydantic import Field

from groundup.serve.fields import Body, read_fields
from groundup.serve.messages import ClientMessage, ClientToolCall, ToolFunction
from groundup.serve.requests import RequestError

JSON = dict[str, Any]
TEXT_PARTS = ("input_text", "output_text", "text")
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


def resolved(items: Sequence[Any], kept: Callable[[str], JSON | None]) -> list[JSON]:
    """Return the items, with those of earlier responses in the place of references to them.

    Raises RequestError.
    """
    found: list[JSON] = []
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            raise RequestError(f"input.{place}: is not an object", param=f"input.{place}")
        if _kind(item) == "item_reference":
            id = _read(ReferenceItem, item, place).id
            earlier = kept(id)
            if earlier is None:
                message = f"input.{place}.id: item {id[:120]!r} not found; send the item itself"
                raise RequestError(
                    message, status=404, code="item_not_found", param=f"input.{place}.id"
                )
            item = earlier
        found.append(item)
    return found


def messages_of(items: Sequence[JSON]) -> list[ClientMessage]:
    """Return the messages of resolved items. Raises RequestError."""
    messages: list[ClientMessage] = []
    names: dict[str, str] = {}
    for place, item in enumerate(items):
        kind = _kind(item)
        if kind == "message":
            said = _read(MessageItem, item, place)
            messages.append(
                ClientMessage(role=said.role, content=_text(said.content, f"input.{place}.content"))
            )
        elif kind == "function_call":
            call = _read(CallItem, item, place)
            names[call.call_id] = call.name
            _add_call(messages, call)
        elif kind == "function_call_output":
            result = _read(ResultItem, item, place)
            text = _text(result.output, f"input.{place}.output")
            name = names.get(result.call_id, "")
            messages.append(
                ClientMessage(role="tool", content=text, name=name, tool_call_id=result.call_id)
            )
        elif kind not in PASSED_OVER:
            message = f"input.{place}.type: an item of type {kind[:40]!r} can't be read here"
            raise RequestError(message, param=f"input.{place}.type")
    return messages


def _kind(item: JSON) -> str:
    given = item.get("type")
    if given is None:
        return "item_reference" if "id" in item and "role" not in item else "message"
    return str(given)


def _read(body_type: type[B], item: JSON, place: int) -> B:
    """Return an item's fields. Raises RequestError that names the item."""
    try:
        return read_fields(body_type, item)
    except RequestError as error:
        raise RequestError(
            f"input.{place}.{error.message}", param=f"input.{place}.{error.param}"
        ) from None


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
    return content if isinstance(content, str) else "".join(_part_texts(content, param))


def _part_texts(content: Any, param: str) -> Iterator[str]:
    parts = content if isinstance(content, list) else [content]
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        text = (
            part.get("refusal" if kind == "refusal" else "text") if isinstance(part, dict) else None
        )
        if not isinstance(kind, str):
            raise RequestError(
                f"{param}: expected a text or a list of parts with a type", param=param
            )
        if kind not in (*TEXT_PARTS, "refusal") or not isinstance(text, str):
            raise RequestError(
                f"{param}: a part of type {kind[:40]!r} can't be read here, only text", param=param
            )
        yield text
