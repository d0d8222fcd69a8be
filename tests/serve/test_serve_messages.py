"""Messages as clients write them -> messages of ours; and what becomes of calls where a template can't show them."""

from typing import Any

import pytest

from groundup.serve.messages import ClientMessage, conversation, with_call_format, without_tools
from groundup.serve.requests import RequestError
from groundup.tokenizer.chat import Conversation, Message
from groundup.tokenizer.tools import FORMATS, ToolCall


def read(*messages: dict[str, Any]) -> Conversation:
    return conversation([ClientMessage.model_validate(message) for message in messages])


def call(name: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **more}


CALLED = {
    "role": "assistant",
    "content": "I look.",
    "tool_calls": [call("weather", {"city": "Zürich"})],
}
ANSWER = {"role": "tool", "tool_name": "weather", "content": "sunny"}


def test_both_dialects_say_the_same_of_a_call() -> None:
    openai = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call("f", '{"x": [1, null]}', id="1", type="function")],
    }
    ollama = {"role": "assistant", "tool_calls": [call("f", {"x": [1, None]}, id="1")]}
    expected = Message("assistant", "", (ToolCall("f", {"x": [1, None]}, "1"),))
    assert read(openai).messages == read(ollama).messages == (expected,)
    answers = (
        {"role": "tool", "tool_call_id": "1", "content": "2"},
        {"role": "tool", "name": "f", "content": "2"},
    )
    assert read(*answers).messages == (
        Message("tool", "2", call_id="1"),
        Message("tool", "2", tool="f"),
    )


@pytest.mark.parametrize("nothing", ["", {}, None])
def test_a_call_may_have_no_arguments(nothing: Any) -> None:
    assert read({"role": "assistant", "tool_calls": [call("f", nothing)]}).messages[0].calls == (
        ToolCall("f"),
    )


@pytest.mark.parametrize(
    "odd", ["5", "[1]", "Ulm", "{", '{"x": ' + "[" * 200 + "]" * 200 + "}", "[" * 100_000]
)
def test_arguments_that_are_no_object_are_text(odd: str) -> None:
    [message] = read(
        {"role": "assistant", "content": "Hm.", "tool_calls": [call("f", odd)]}
    ).messages
    assert message == Message("assistant", f'Hm.\n{{"name": "f", "arguments": {odd}}}')


def test_a_name_is_that_of_a_tool_only_in_a_tools_message() -> None:
    assert read({"role": "user", "content": "Hi", "name": "Anna"}).messages == (
        Message("user", "Hi"),
    )


def test_where_no_template_shows_calls_they_are_text_and_sides_alternate() -> None:
    turns = read(
        {"role": "user", "content": "weather?"},
        CALLED,
        ANSWER,
        ANSWER,
        {"role": "user", "content": "Hi"},
    )
    assert without_tools(turns).messages == (
        Message("user", "weather?"),
        Message("assistant", 'I look.\n{"name": "weather", "arguments": {"city": "Zürich"}}'),
        Message("user", "The tool weather answered: sunny\nThe tool weather answered: sunny\nHi"),
    )
    assert without_tools(read({"role": "tool", "content": "7"})).messages == (
        Message("user", "The tool answered: 7"),
    )
    two = read({"role": "user", "content": "a"}, {"role": "user", "content": "b"})
    assert without_tools(two) == two  # two messages of a user stay two


def test_a_history_is_shown_as_its_template_can() -> None:
    one = read(CALLED, ANSWER)
    two = read({**CALLED, "tool_calls": CALLED["tool_calls"] * 2}, ANSWER)  # type: ignore[operator]
    assert with_call_format(one, None) == without_tools(one) != one
    assert with_call_format(one, FORMATS["bare"]) == one and with_call_format(
        two, FORMATS["bare"]
    ) == without_tools(two)
    assert with_call_format(two, FORMATS["tagged"]) == two


def test_parts_that_are_no_text_are_refused() -> None:
    with pytest.raises(RequestError, match="image_url"):
        read({"role": "user", "content": [{"type": "image_url"}]})
