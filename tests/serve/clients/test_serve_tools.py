"""Calls of tools through the official clients and LangChain, unchanged, against a real server.

"caller" has learnt a conversation with a call by heart. "wild" and "bare" have random weights and another form each: they call because they must.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from lazy_module import LazyModule
from small_models import TOOL_TEMPLATES, save_caller, save_language

from groundup.tokenizer.chat import Message
from groundup.tokenizer.special import CHATML_TEMPLATE
from groundup.tokenizer.tools import ToolCall

ollama = LazyModule("ollama")
openai = LazyModule("openai")
langchain_ollama = LazyModule("langchain_ollama")
langchain_openai = LazyModule("langchain_openai")

# LangChain closes none of its connections.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def weather(city: Literal["Ulm", "Paris"]) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


TOOL = convert_to_openai_tool(weather)
TURNS = (
    Message("user", "Weather?"),
    Message("assistant", "I look.", (ToolCall("weather", {"city": "Ulm"}),)),
    Message("tool", "sunny in Ulm"),
    Message("assistant", "It is sunny."),
)
ASKED: list[Any] = [{"role": "user", "content": "Weather?"}]
NOW = {"type": "function", "function": {"name": "now"}}


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def server(serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("callers")
    # Ollama's client writes its tools anew, in an order of its own.
    written_anew = ollama.Tool.model_validate(TOOL).model_dump(exclude_none=True)
    save_caller(folder / "caller", TURNS, [[TOOL], [written_anew]])
    save_language(folder / "wild", context_tokens=1024, template=TOOL_TEMPLATES["tagged"])
    save_language(folder / "bare", context_tokens=1024, template=TOOL_TEMPLATES["bare"])
    save_language(folder / "plain")
    save_language(folder / "chatty", context_tokens=1024, template=CHATML_TEMPLATE)
    return serve("--models", str(folder))


@pytest.fixture(scope="module")
def theirs(server: Any) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key="any", max_retries=0) as opened:
        yield opened


@pytest.fixture
def chats(server: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"model": "caller", "temperature": 0}
    return {
        "ollama": langchain_ollama.ChatOllama(base_url=server.address, **settings),
        "openai": langchain_openai.ChatOpenAI(
            base_url=f"{server.address}/v1", api_key="any", max_retries=0, **settings
        ),
    }


def test_show_lists_tools_exactly_where_a_model_can_call_them(theirs: ollama.Client) -> None:
    names = ("caller", "wild", "bare", "plain", "chatty")
    able = {name: "tools" in (theirs.show(name).capabilities or []) for name in names}
    assert able == {"caller": True, "wild": True, "bare": True, "plain": False, "chatty": False}
    with pytest.raises(ollama.ResponseError, match="does not support tools"):
        theirs.chat("plain", ASKED, tools=[TOOL])
    with pytest.raises(ollama.ResponseError, match="unless a call is forced .* --tools any"):
        theirs.chat("chatty", ASKED, tools=[TOOL])


def test_ollamas_client_gets_a_call_and_answers_it(theirs: ollama.Client) -> None:
    greedy = {"temperature": 0}
    whole = theirs.chat("caller", ASKED, tools=[TOOL], options=greedy)
    [call] = whole.message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("weather", {"city": "Ulm"})
    assert (whole.message.content, whole.done_reason) == ("I look.", "stop")
    parts = list(theirs.chat("caller", ASKED, tools=[TOOL], options=greedy, stream=True))
    assert "".join(part.message.content or "" for part in parts) == "I look."
    assert [call for part in parts for call in part.message.tool_calls or []] == [call]
    assert parts[-1].done and not parts[-1].message.tool_calls
    answered = [
        *ASKED,
        whole.message,
        {"role": "tool", "tool_name": "weather", "content": weather("Ulm")},
    ]
    assert (
        theirs.chat("caller", answered, tools=[TOOL], options=greedy).message.content
        == "It is sunny."
    )


def test_openais_client_gets_a_call_and_answers_it(client: openai.OpenAI) -> None:
    ask: Any = client.chat.completions.create
    asked = {"model": "caller", "tools": [TOOL], "temperature": 0}
    [choice] = ask(messages=ASKED, **asked).choices
    [call] = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Ulm"})
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I look.")
    chunks = [chunk.choices[0] for chunk in ask(messages=ASKED, stream=True, **asked)]
    assert "".join(chunk.delta.content or "" for chunk in chunks) == "I look."
    [told] = [delta for chunk in chunks for delta in chunk.delta.tool_calls or []]
    assert (told.index, told.type, told.function) == (
        0,
        "function",
        told.function.model_validate(dict(call.function)),
    )
    assert [chunk.finish_reason for chunk in chunks][-1] == "tool_calls"
    answered = [
        *ASKED,
        choice.message,
        {"role": "tool", "tool_call_id": call.id, "content": weather("Ulm")},
    ]
    [last] = ask(messages=answered, **asked).choices
    assert (last.finish_reason, last.message.content, last.message.tool_calls) == (
        "stop",
        "It is sunny.",
        None,
    )


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_langchain_binds_tools(chats: dict[str, Any], kind: str) -> None:
    bound = chats[kind].bind_tools([weather])
    asked = [HumanMessage("Weather?")]
    said = bound.invoke(asked)
    [call] = said.tool_calls
    assert (call["name"], call["args"], said.content) == ("weather", {"city": "Ulm"}, "I look.")
    streamed: Any = None
    for chunk in bound.stream(asked):
        streamed = chunk if streamed is None else streamed + chunk
    assert [(each["name"], each["args"]) for each in streamed.tool_calls] == [
        ("weather", {"city": "Ulm"})
    ]
    answer = bound.invoke(
        [
            *asked,
            said,
            ToolMessage(weather(**call["args"]), tool_call_id=call["id"], name="weather"),
        ]
    )
    assert (answer.content, answer.tool_calls) == ("It is sunny.", [])


@pytest.mark.parametrize("model", ["wild", "bare", "chatty"])
def test_a_call_that_must_be_made_is_made_and_its_arguments_fit(
    client: openai.OpenAI, model: str
) -> None:
    ask: Any = client.chat.completions.create
    asked = {
        "model": model,
        "messages": ASKED,
        "tools": [TOOL, NOW],
        "temperature": 1.5,
        "max_tokens": 400,
    }
    named = {"type": "function", "function": {"name": "weather"}}
    for choice in ask(tool_choice=named, n=2, seed=1, **asked).choices:
        [call] = choice.message.tool_calls
        assert call.function.name == "weather" and json.loads(call.function.arguments)["city"] in (
            "Ulm",
            "Paris",
        )
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    some = ask(tool_choice="required", parallel_tool_calls=True, n=4, seed=2, **asked).choices
    assert all(choice.message.tool_calls and choice.message.content is None for choice in some)
    assert {call.function.name for choice in some for call in choice.message.tool_calls} == {
        "weather",
        "now",
    }
    ids = [call.id for choice in some for call in choice.message.tool_calls]
    assert len(set(ids)) == len(ids)
    for once in ({}, {"parallel_tool_calls": False}):
        one = ask(tool_choice="required", n=2, seed=2, **once, **asked).choices
        assert [len(choice.message.tool_calls) for choice in one] == [1, 1]


def test_langchain_makes_objects_by_calls(server: Any) -> None:
    chat = langchain_openai.ChatOpenAI(
        model="wild", base_url=f"{server.address}/v1", api_key="any", max_retries=0, seed=3
    )  # type: ignore[arg-type]
    found: Any = chat.with_structured_output(TOOL, method="function_calling").invoke("Weather?")
    assert found["city"] in ("Ulm", "Paris")
    assert chat.bind_tools([weather], tool_choice="any").invoke("Weather?").tool_calls  # type: ignore[union-attr]


@pytest.mark.parametrize("model", ["wild", "bare"])
def test_where_the_answer_has_a_form_too_it_is_that_or_a_call(
    theirs: ollama.Client, model: str
) -> None:
    found = set()
    for seed in range(8):
        options = {"seed": seed, "temperature": 3.0, "num_predict": 400}
        said = theirs.chat(
            model, ASKED, tools=[TOOL], format={"enum": [[1], [2]]}, options=options
        ).message
        found.add("call" if said.tool_calls else said.content)
    assert found <= {"call", "[1]", "[2]"} and len(found) > 1


def test_what_is_no_call_is_said_as_it_is(theirs: ollama.Client) -> None:
    """Random words with tools in the prompt: streamed and whole are the same, to the letter."""
    options = {"seed": 5, "num_predict": 40}
    whole = theirs.chat("bare", ASKED, tools=[TOOL], options=options)
    parts = theirs.chat("bare", ASKED, tools=[TOOL], options=options, stream=True)
    assert whole.message.content and not whole.message.tool_calls
    assert "".join(part.message.content or "" for part in parts) == whole.message.content


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "nobody"}}},
            "tool_choice",
        ),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "perhaps"}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [{"type": "custom", "function": {"name": "f"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools"),
        ({"tools": {"name": "f"}}, "tools"),
        ({"tools": [NOW] * 20_000}, "tools"),
        (
            {
                "tools": [
                    {"type": "function", "function": {"name": "f", "parameters": {"type": "no"}}}
                ]
            },
            "tools",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_tools_that_can_not_be_used_are_refused_in_words(
    client: openai.OpenAI, given: Any, param: str | None
) -> None:
    ask: Any = client.chat.completions.create
    with pytest.raises(openai.BadRequestError) as refused:
        ask(model="wild", messages=ASKED, **given)
    assert (refused.value.param or "").split(".")[0] == (param or "")


def test_a_history_with_calls_is_always_taken(client: openai.OpenAI) -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    odd = {"type": "function", "function": {"name": "weather", "arguments": "Ulm, please"}}
    two = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", **call}, {"id": "2", **odd}],
    }
    answers = [{"role": "tool", "tool_call_id": id, "content": "sunny"} for id in "12"]
    ask: Any = client.chat.completions.create
    for model in ("wild", "bare", "plain"):
        for tools in ({}, {"tools": [TOOL]}) if model != "plain" else ({},):
            assert ask(
                model=model, messages=[*ASKED, two, *answers], max_tokens=5, **tools
            ).usage.completion_tokens
