"""`litellm`: its providers for Ollama and for OpenAI-compatible servers."""

import asyncio
import json
import os

import litellm
import pytest

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
HELLO = [{"role": "user", "content": "Hello"}]
OLLAMA = {"api_base": ADDRESS}
OPENAI = {"api_base": f"{ADDRESS}/v1", "api_key": "any"}
WAYS = {"ollama_chat/": OLLAMA, "openai/": OPENAI}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_answers_whole_streamed_and_asynchronous_are_the_same(way: str) -> None:
    asked = {"model": f"{way}greeter", "messages": HELLO, "temperature": 0, **WAYS[way]}
    whole = litellm.completion(**asked)
    assert whole.choices[0].message.content == "Good day to you."
    assert whole.choices[0].finish_reason == "stop" and whole.usage.completion_tokens > 2
    pieces = list(litellm.completion(stream=True, **asked))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "Good day to you."
    assert (
        asyncio.run(litellm.acompletion(**asked)).choices[0].message.content == "Good day to you."
    )


def test_generate_of_ollama() -> None:
    said = litellm.completion(model="ollama/greeter", messages=HELLO, temperature=0, **OLLAMA)
    assert said.choices[0].message.content


@pytest.mark.parametrize("way", WAYS)
def test_tools(way: str) -> None:
    asked = {"model": f"{way}helper", "tools": [TOOL], "temperature": 0, **WAYS[way]}
    first = litellm.completion(messages=HELLO, **asked).choices[0].message
    [call] = first.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Ulm"})
    result = {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": "sunny in Ulm"}
    said = litellm.completion(
        messages=[*HELLO, first.model_dump(exclude_none=True), result], **asked
    )
    assert said.choices[0].message.content == "It is sunny in Ulm."


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_fits_a_schema(way: str) -> None:
    fields = {
        "properties": {"mood": {"enum": ["sad", "glad"]}},
        "required": ["mood"],
        "additionalProperties": False,
    }
    form = {
        "type": "json_schema",
        "json_schema": {"name": "mood", "schema": {"type": "object", **fields}, "strict": True},
    }
    said = litellm.completion(
        model=f"{way}chatty", messages=HELLO, response_format=form, **WAYS[way]
    )
    assert json.loads(said.choices[0].message.content)["mood"] in ("sad", "glad")


@pytest.mark.parametrize(("way", "options"), [("ollama/", OLLAMA), ("openai/", OPENAI)])
def test_embeddings(way: str, options: dict) -> None:
    found = litellm.embedding(model=f"{way}greeter", input=["Hello", "Good day"], **options)
    assert [len(each["embedding"]) for each in found.data] == [64, 64]


@pytest.mark.parametrize("way", WAYS)
def test_refusals(way: str) -> None:
    with pytest.raises(Exception, match="not found"):
        litellm.completion(model=f"{way}nobody", messages=HELLO, **WAYS[way])


def test_a_tool_that_can_not_be_compiled_is_refused() -> None:
    odd = {"type": "function", "function": {"name": "f", "parameters": {"type": "nonsense"}}}
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(
            model="openai/chatty", messages=HELLO, tools=[odd], tool_choice="required", **OPENAI
        )
