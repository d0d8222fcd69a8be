"""Functions in /v1/responses, by OpenAI's client and LangChain: calls, results, streams, choices, what is echoed, and responses that are followed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from lazy_module import LazyModule
from small_models import TOOL_TEMPLATES, save_caller, save_language

from groundup.serve.messages import ToolBody
from groundup.tokenizer.chat import Message
from groundup.tokenizer.special import CHATML_TEMPLATE
from groundup.tokenizer.tools import ToolCall

openai = LazyModule("openai")
langchain_openai = LazyModule("langchain_openai")

# LangChain closes none of its connections.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"enum": ["Ulm", "Paris"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": PARAMETERS,
    "strict": True,
}
NOW: Any = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}
TURNS = (
    Message("user", "Weather?"),
    Message("assistant", "I look.", (ToolCall("weather", {"city": "Ulm"}),)),
    Message("tool", "sunny in Ulm"),
    Message("assistant", "It is sunny."),
)
TOLD = {
    name: value for name, value in WEATHER.items() if name in ("name", "description", "parameters")
}


@pytest.fixture(scope="module")
def server(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """caller knows a conversation with a call by heart; wild and chatty, which has a template without tools, call because they must."""
    folder: Path = tmp_path_factory.mktemp("callers")
    save_caller(folder / "caller", TURNS, [[ToolBody.model_validate({"function": TOLD}).tool()]])
    save_language(folder / "wild", context_tokens=1024, template=TOOL_TEMPLATES["tagged"])
    save_language(folder / "chatty", context_tokens=1024, template=CHATML_TEMPLATE)
    return serve("--models", str(folder))


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key="any", max_retries=0) as opened:
        yield opened


def ask(client: openai.OpenAI, given: Any = "Weather?", **fields: Any) -> Any:
    return client.responses.create(
        **{"model": "caller", "tools": [WEATHER], "temperature": 0, **fields}, input=given
    )


def test_a_call_is_an_item_and_its_result_is_answered(client: openai.OpenAI) -> None:
    first = ask(client)
    message, call = first.output
    assert (message.type, message.content[0].text, message.status) == (
        "message",
        "I look.",
        "completed",
    )
    assert (call.type, call.name, json.loads(call.arguments)) == (
        "function_call",
        "weather",
        {"city": "Ulm"},
    )
    assert (call.status, first.status) == ("completed", "completed")
    assert call.id.startswith("fc_") and call.call_id.startswith("call_")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny in Ulm"}
    asked = {"role": "user", "content": "Weather?"}
    parts = [{"type": "input_text", "text": "sunny in Ulm"}]
    for given in (
        [asked, *first.output, result],
        [
            asked,
            *(item.model_dump(exclude_none=True) for item in first.output),
            {**result, "output": parts},
        ],
        [asked, {"type": "reasoning", "id": "rs_1", "summary": []}, *first.output, result],
    ):
        assert ask(client, given).output_text == "It is sunny."


def test_the_events_of_a_call_come_in_openais_order(client: openai.OpenAI) -> None:
    events = list(ask(client, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events if event.type != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    [added] = [
        e
        for e in events
        if e.type == "response.output_item.added" and e.item.type == "function_call"
    ]
    assert (added.item.arguments, added.item.status, added.output_index) == ("", "in_progress", 1)
    pieces = [e for e in events if e.type == "response.function_call_arguments.delta"]
    [done] = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert "".join(each.delta for each in pieces) == done.arguments == '{"city": "Ulm"}'
    assert {each.item_id for each in pieces} == {added.item.id} == {
        done.item_id
    } and done.name == "weather"
    whole, last = ask(client), events[-1].response
    assert [item.type for item in last.output] == [item.type for item in whole.output]
    assert last.usage == whole.usage and last.output[1].arguments == whole.output[1].arguments


def test_openais_helper_for_streams_gathers_a_call(client: openai.OpenAI) -> None:
    with client.responses.stream(
        model="caller", input="Weather?", tools=[WEATHER], temperature=0
    ) as stream:
        for _ in stream:
            pass
        found = stream.get_final_response()
    call: Any = found.output[1]
    assert found.output_text == "I look." and json.loads(call.arguments) == {"city": "Ulm"}


@pytest.mark.parametrize("model", ["wild", "chatty"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "weather"},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "weather"}],
        },
    ],
    ids=["named", "allowed"],
)
def test_a_call_that_is_forced_is_made_by_any_chat_model(
    client: openai.OpenAI, model: str, stream: bool, choice: Any
) -> None:
    fields: Any = {
        "model": model,
        "tools": [NOW, WEATHER],
        "tool_choice": choice,
        "temperature": 1,
        "stream": stream,
    }
    found = ask(client, **fields)
    response = list(found)[-1].response if stream else found
    [call] = response.output
    assert call.name == "weather" and json.loads(call.arguments)["city"] in ("Ulm", "Paris")


def test_a_required_call_is_one_unless_several_are_asked_for(client: openai.OpenAI) -> None:
    found = ask(client, model="wild", tool_choice="required", temperature=1)
    assert [item.type for item in found.output] == ["function_call"]
    assert found.parallel_tool_calls is False and found.tool_choice == "required"


def test_no_function_is_called_where_none_may_be(client: openai.OpenAI) -> None:
    found = ask(client, tool_choice="none", max_output_tokens=30)
    assert {item.type for item in found.output} == {"message"} and found.tool_choice == "none"


def test_a_response_repeats_what_was_asked_for(client: openai.OpenAI) -> None:
    fields: Any = {
        "instructions": "Be brief.",
        "metadata": {"run": "7"},
        "temperature": 0.5,
        "top_p": 0.25,
        "max_output_tokens": 3,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "truncation": "auto",
        "store": False,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
    }
    whole, events = ask(client, **fields), list(ask(client, **fields, stream=True))
    for response in (whole, events[0].response, events[-1].response):
        said = response.model_dump(exclude_unset=True)
        assert {name: said[name] for name in fields} == fields
        assert said["tools"] == [WEATHER] and said["previous_response_id"] is None


def test_a_message_that_was_cut_says_so(client: openai.OpenAI) -> None:
    fields: Any = {"model": "chatty", "tools": [], "max_output_tokens": 3}
    whole, events = ask(client, **fields), list(ask(client, **fields, stream=True))
    assert (whole.status, whole.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    [done] = [event for event in events if event.type == "response.output_item.done"]
    assert whole.output[0].status == done.item.status == "incomplete"
    assert events[-1].type == "response.incomplete"


def test_a_request_follows_a_response_that_is_kept(client: openai.OpenAI) -> None:
    first = ask(client)
    result = {
        "type": "function_call_output",
        "call_id": first.output[1].call_id,
        "output": "sunny in Ulm",
    }
    second = ask(client, [result], previous_response_id=first.id)
    assert (second.output_text, second.previous_response_id) == ("It is sunny.", first.id)
    message = {"type": "item_reference", "id": first.output[0].id}
    referred = [{"role": "user", "content": "Weather?"}, message, first.output[1], result]
    assert ask(client, referred).output_text == "It is sunny."
    assert client.responses.retrieve(first.id).output_text == "I look."
    client.responses.delete(first.id)
    for gone in (first.id, ask(client, store=False).id, "resp_1"):
        with pytest.raises(openai.NotFoundError, match="not found") as found:
            ask(client, [result], previous_response_id=gone)
        assert found.value.param == "previous_response_id"
    with pytest.raises(openai.NotFoundError, match="not found") as found:
        ask(client, referred)
    assert found.value.param == "input.1.id"


@pytest.mark.parametrize("kind", ["json_schema", "json_object"])
def test_a_text_has_the_format_that_is_asked_for(client: openai.OpenAI, kind: str) -> None:
    form: Any = {"type": kind}
    if kind == "json_schema":
        form |= {"name": "place", "schema": PARAMETERS, "strict": True}
    found = ask(
        client,
        model="chatty",
        tools=[],
        text={"format": form},
        temperature=1,
        max_output_tokens=600,
    )
    assert found.status == "incomplete" or isinstance(json.loads(found.output_text), dict)
    if kind == "json_schema":
        assert json.loads(found.output_text)["city"] in ("Ulm", "Paris")
        assert found.text.format.model_dump(by_alias=True, exclude_unset=True) == form


def test_langchain_uses_the_same_route(server: Any) -> None:
    chat: Any = langchain_openai.ChatOpenAI(
        model="caller",
        base_url=f"{server.address}/v1",
        api_key="any",
        temperature=0,
        use_responses_api=True,
    )
    bound, asked = chat.bind(tools=[WEATHER]), [HumanMessage("Weather?")]
    said = bound.invoke(asked)
    [call] = said.tool_calls
    assert (call["name"], call["args"], said.text) == ("weather", {"city": "Ulm"}, "I look.")
    streamed: Any = None
    for chunk in bound.stream(asked):
        streamed = chunk if streamed is None else streamed + chunk
    assert [(each["name"], each["args"]) for each in streamed.tool_calls] == [
        ("weather", {"city": "Ulm"})
    ]
    for first in (said, streamed):
        result = ToolMessage("sunny in Ulm", tool_call_id=first.tool_calls[0]["id"])
        assert bound.invoke([*asked, first, result]).text == "It is sunny."


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "code_interpreter"}]}, "tools.0.type"),
        ({"tools": [{"type": "function"}]}, "tools.0.name"),
        ({"tools": [WEATHER, {"type": "web_search"}]}, "tools"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"tools": [WEATHER], "model": "chatty"}, "tools"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["a"]}, "input.0"),
        ({"input": [{"role": "user"}]}, "input.0.content"),
        ({"input": [{"role": "nobody", "content": "a"}]}, "input.0.role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": ["a"]}]}, "input.0.content"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input.0.name"),
        ({"input": [{"type": "function_call_output", "output": "a"}]}, "input.0.call_id"),
        ({"input": [{"type": "computer_call"}]}, "input.0.type"),
        ({"input": [{"role": "user", "content": "a"}] * 4097}, "input"),
        ({"background": True}, "background"),
        ({"metadata": {"a": "b" * 513}}, "metadata.a"),
        ({"truncation": "some"}, "truncation"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        ({"model": "nobody"}, "model"),
    ],
)
def test_what_can_not_be_is_refused_by_the_name_of_its_field(
    server: Any, fields: Any, param: str
) -> None:
    answer = server.post(
        "/v1/responses", {"model": "wild", "input": "a", "max_output_tokens": 1, **fields}
    )
    assert answer.status_code == (404 if param == "model" else 400), answer.text
    assert answer.json()["error"]["param"] == param


def test_a_prompt_that_is_too_long_is_refused_unless_it_may_be_cut(server: Any) -> None:
    fields = {"model": "wild", "input": "To be, " * 2000, "max_output_tokens": 1}
    refused = server.post("/v1/responses", fields)
    assert (refused.status_code, refused.json()["error"]["code"]) == (
        400,
        "context_length_exceeded",
    )
    assert server.post("/v1/responses", {**fields, "truncation": "auto"}).status_code == 200
