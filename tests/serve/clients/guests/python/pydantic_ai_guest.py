"""`pydantic-ai`: text, its default structured output (a forced call), native output, an agent with a tool; by chat completions and by responses."""

import asyncio
import os
from typing import Literal

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
PROVIDERS = {"ollama": OllamaProvider, "openai": OpenAIProvider, "responses": OpenAIProvider}


class Mood(BaseModel):
    """A mood."""

    mood: Literal["sad", "glad"]
    sure: bool


def model(name: str, provider: str = "openai") -> Model:
    kind = OpenAIResponsesModel if provider == "responses" else OpenAIChatModel
    address = PROVIDERS[provider](base_url=f"{ADDRESS}/v1", api_key="any")
    return kind(name, provider=address, settings={"temperature": 0})


@pytest.mark.parametrize("provider", PROVIDERS)
def test_text(provider: str) -> None:
    said = Agent(model("greeter", provider), instructions="Be brief.").run_sync("Hello")
    assert said.output == "Good day to you." and said.usage.output_tokens > 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_text_streamed(provider: str) -> None:
    async def read() -> str:
        async with Agent(model("greeter", provider)).run_stream("Hello") as answer:
            return [part async for part in answer.stream_text(delta=False)][-1]

    assert asyncio.run(read()) == "Good day to you."


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_default_output_is_a_forced_call(provider: str) -> None:
    found = Agent(model("chatty", provider), output_type=Mood, retries=0).run_sync("How are you?")
    assert found.output.mood in ("sad", "glad")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_native_output_is_a_schema(provider: str) -> None:
    found = Agent(model("chatty", provider), output_type=NativeOutput(Mood), retries=0).run_sync(
        "How are you?"
    )
    assert found.output.mood in ("sad", "glad")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_agent_calls_its_tool_and_says_the_result(provider: str) -> None:
    agent = Agent(model("helper", provider), model_settings={"temperature": 0})
    called = []

    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return f"sunny in {city}"

    assert agent.run_sync("How is the weather?").output == "It is sunny in Ulm."
    assert called == ["Ulm"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_conversation_goes_on(provider: str) -> None:
    agent = Agent(model("helper", provider), model_settings={"temperature": 0})
    agent.tool_plain(weather)
    first = agent.run_sync("How is the weather?")
    assert agent.run_sync("And now?", message_history=first.all_messages()).output


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_unknown_model_is_said(provider: str) -> None:
    with pytest.raises(ModelHTTPError, match="not found"):
        Agent(model("nobody", provider)).run_sync("Hello")
