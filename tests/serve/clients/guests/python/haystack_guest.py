"""`haystack`: its generators for chat completions and responses, agents with a tool, a pipeline, a schema, embeddings."""

import json
import os
from typing import Literal

import openai
import pytest
from haystack import Document, Pipeline
from haystack.components.agents import Agent
from haystack.components.builders import ChatPromptBuilder
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import tool
from haystack.utils import Secret
from pydantic import BaseModel

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
OPENAI = {"api_base_url": f"{ADDRESS}/v1", "api_key": Secret.from_token("any")}
KINDS = {"chat": OpenAIChatGenerator, "responses": OpenAIResponsesChatGenerator}
HELLO = [ChatMessage.from_user("Hello")]
SAID = "Good day to you."


class Mood(BaseModel):
    """A mood."""

    mood: Literal["sad", "glad"]
    sure: bool


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def generator(kind: str, name: str, **fields: object) -> object:
    return KINDS[kind](
        model=name, max_retries=0, generation_kwargs={"temperature": 0, **fields}, **OPENAI
    )


@pytest.mark.parametrize("kind", KINDS)
def test_answers_whole_and_streamed_are_the_same(kind: str) -> None:
    assert generator(kind, "greeter").run(HELLO)["replies"][0].text == SAID
    pieces = []
    generator(kind, "greeter").run(
        HELLO, streaming_callback=lambda chunk: pieces.append(chunk.content)
    )
    assert "".join(pieces) == SAID


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_calls_its_tool_and_says_the_result(kind: str, streams: bool) -> None:
    callback = (lambda chunk: None) if streams else None
    agent = Agent(
        chat_generator=generator(kind, "helper"), tools=[weather], streaming_callback=callback
    )
    found = agent.run(messages=[ChatMessage.from_user("How is the weather?")])
    assert found["last_message"].text == "It is sunny in Ulm."
    [call] = [call for each in found["messages"] for call in each.tool_calls]
    assert (call.tool_name, call.arguments) == ("weather", {"city": "Ulm"})


@pytest.mark.parametrize(
    ("kind", "field"), [("chat", "response_format"), ("responses", "text_format")]
)
def test_an_object_of_a_class(kind: str, field: str) -> None:
    found = generator(kind, "chatty", **{field: Mood}).run(HELLO)["replies"][0].text
    assert json.loads(found)["mood"] in ("sad", "glad")


def test_a_pipeline_of_a_template_and_a_model() -> None:
    pipeline = Pipeline()
    pipeline.add_component(
        "prompt",
        ChatPromptBuilder([ChatMessage.from_user("Hello {{ name }}")], required_variables="*"),
    )
    pipeline.add_component("model", generator("chat", "greeter"))
    pipeline.connect("prompt.prompt", "model.messages")
    assert pipeline.run({"prompt": {"name": "Ada"}})["model"]["replies"][0].text == SAID


def test_embeddings_of_texts_and_documents_are_the_same() -> None:
    [text] = [OpenAITextEmbedder(model="greeter", **OPENAI).run("Hello")["embedding"]]
    embedder = OpenAIDocumentEmbedder(model="greeter", progress_bar=False, **OPENAI)
    [document] = embedder.run([Document(content="Hello")])["documents"]
    assert len(text) == 64 and document.embedding == pytest.approx(text, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_model_is_said(kind: str) -> None:
    with pytest.raises(openai.NotFoundError, match="not found"):
        generator(kind, "nobody").run(HELLO)
