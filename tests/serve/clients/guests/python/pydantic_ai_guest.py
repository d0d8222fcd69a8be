"""`pydantic-ai`: text, its default structured output (a forced call), native output, an agent with a tool."""

import asyncio
import os
from typing import Literal

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
PROVIDERS = {"ollama": OllamaProvider, "openai": OpenAIProvider}


class Mood(BaseModel):
    """A mood."""

    mood: Literal["sad", "glad"]
    sure: bool


def model(name: str, provider: str = "openai") -> OpenAIChatModel:
    return OpenAIChatModel(name, provider=PROVIDERS[provider](base_url=f"{ADDRESS}/v1", api_key="any"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_text(provider: str) -> None:
    said = Agent(model("greeter", provider), instructions="Be brief.").run_sync("Hello")
    assert said.output == "Good day to you." and said.usage.output_tokens > 2


def test_text_streamed() -> None:
    async def read() -> str:
        async with Agent(model("greeter")).run_stream("Hello") as answer:
            return [part async for part in answer.stream_text(delta=False)][-1]

    assert asyncio.run(read()) == "Good day to you."


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_default_output_is_a_forced_call(provider: str) -> None:
    found = Agent(model("chatty", provider), output_type=Mood, retries=0).run_sync("How are you?")
    assert found.output.mood in ("sad", "glad")


def test_native_output_is_a_schema() -> None:
    found = Agent(model("chatty"), output_type=NativeOutput(Mood), retries=0).run_sync("How are you?")
    assert found.output.mood in ("sad", "glad")


def test_an_agent_calls_its_tool_and_says_the_result() -> None:
    agent = Agent(model("helper"), model_settings={"temperature": 0})
    called = []

    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather in a city."""
        called.append(city)
        return f"sunny in {city}"

    assert agent.run_sync("How is the weather?").output == "It is sunny in Ulm."
    assert called == ["Ulm"]


def test_an_unknown_model_is_said() -> None:
    with pytest.raises(ModelHTTPError, match="not found"):
        Agent(model("nobody")).run_sync("Hello")
