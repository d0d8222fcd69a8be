"""`autogen`: an assistant with a tool, whole and streamed, an output of a class, a team."""

import asyncio
import os
from typing import Literal

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
INFO = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
    "family": "unknown",
}


class Mood(BaseModel):
    """A mood."""

    mood: Literal["sad", "glad"]
    sure: bool


async def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def model(name: str) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        model=name,
        base_url=f"{ADDRESS}/v1",
        api_key="any",
        model_info=INFO,
        temperature=0,
        max_retries=0,
    )


def helper(**fields: object) -> AssistantAgent:
    return AssistantAgent(
        "helper", model("helper"), tools=[weather], reflect_on_tool_use=True, **fields
    )


def test_an_assistant_calls_its_tool_and_says_the_result() -> None:
    messages = asyncio.run(helper().run(task="How is the weather?")).messages
    kinds = [each.type for each in messages]
    assert kinds == ["TextMessage", "ToolCallRequestEvent", "ToolCallExecutionEvent", "TextMessage"]
    [call], [result] = messages[1].content, messages[2].content
    assert (call.name, call.arguments, result.content) == (
        "weather",
        '{"city": "Ulm"}',
        "sunny in Ulm",
    )
    assert (
        messages[3].content == "It is sunny in Ulm."
        and messages[3].models_usage.completion_tokens > 2
    )


def test_an_assistant_streams() -> None:
    async def read() -> list[str]:
        events = helper(model_client_stream=True).run_stream(task="How is the weather?")
        return [
            each.content
            async for each in events
            if getattr(each, "type", "") == "ModelClientStreamingChunkEvent"
        ]

    assert "".join(asyncio.run(read())) == "It is sunny in Ulm."


def test_an_output_of_a_class_is_a_schema() -> None:
    agent = AssistantAgent("chatty", model("chatty"), output_content_type=Mood)
    found = asyncio.run(agent.run(task="How are you?")).messages[-1].content
    assert found.mood in ("sad", "glad")


def test_two_assistants_in_turn() -> None:
    pair = [AssistantAgent(name, model("greeter")) for name in ("one", "two")]
    team = RoundRobinGroupChat(pair, termination_condition=MaxMessageTermination(3))
    said = asyncio.run(team.run(task="Hello")).messages
    assert [(each.source, each.content) for each in said[1:]] == [
        (name, "Good day to you.") for name in ("one", "two")
    ]


def test_an_unknown_model_is_said() -> None:
    with pytest.raises(Exception, match="not found"):
        asyncio.run(AssistantAgent("nobody", model("nobody")).run(task="Hello"))
