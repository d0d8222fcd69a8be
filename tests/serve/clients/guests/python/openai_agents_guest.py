"""`openai-agents`, whose default is /v1/responses: an agent with a tool, streamed too, an output of a class, a session, a handoff."""

import asyncio
import os
from typing import Literal

import agents
import openai
import pytest
from agents import Agent, ModelSettings, Runner, SQLiteSession, function_tool
from pydantic import BaseModel

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
GREEDY = ModelSettings(temperature=0)

agents.set_tracing_disabled(True)


@pytest.fixture(autouse=True)
def client() -> None:
    """One for each test, since each has an event loop of its own."""
    agents.set_default_openai_client(
        openai.AsyncOpenAI(base_url=f"{ADDRESS}/v1", api_key="any", max_retries=0)
    )


class Mood(BaseModel):
    """A mood."""

    mood: Literal["sad", "glad"]
    sure: bool


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def greeter() -> Agent:
    return Agent("greeter", instructions="Be brief.", model="greeter", model_settings=GREEDY)


def test_an_agent_answers() -> None:
    found = Runner.run_sync(greeter(), "Hello")
    assert found.final_output == "Good day to you."
    assert found.context_wrapper.usage.output_tokens > 2


def test_an_agent_calls_its_tool_and_says_the_result() -> None:
    helper = Agent("helper", model="helper", tools=[weather], model_settings=GREEDY)
    found = Runner.run_sync(helper, "How is the weather?")
    assert found.final_output == "It is sunny in Ulm."
    kinds = [item.type for item in found.new_items]
    assert kinds == ["tool_call_item", "tool_call_output_item", "message_output_item"]
    assert found.new_items[1].output == "sunny in Ulm"


def test_an_agent_streams() -> None:
    async def read() -> tuple[str, list[str], object]:
        helper = Agent("helper", model="helper", tools=[weather], model_settings=GREEDY)
        run = Runner.run_streamed(helper, "How is the weather?")
        said, kinds = "", []
        async for event in run.stream_events():
            if event.type == "raw_response_event":
                kinds.append(event.data.type)
                said += event.data.delta if event.data.type == "response.output_text.delta" else ""
        return said, kinds, run.final_output

    said, kinds, output = asyncio.run(read())
    assert said == output == "It is sunny in Ulm."
    assert (
        kinds.count("response.function_call_arguments.done") == 1
        and kinds.count("response.completed") == 2
    )


def test_an_output_of_a_class_is_a_schema() -> None:
    found = Runner.run_sync(Agent("chatty", model="chatty", output_type=Mood), "How are you?")
    assert found.final_output.mood in ("sad", "glad")


@pytest.mark.parametrize("follows", [False, True], ids=["session", "previous_response_id"])
def test_a_conversation_goes_on(follows: bool) -> None:
    fields = {} if follows else {"session": SQLiteSession("one")}
    for turn in range(2):
        found = Runner.run_sync(greeter(), f"Hello {turn}", **fields)
        assert found.final_output == "Good day to you."
        if follows:
            fields = {"previous_response_id": found.last_response_id}


def test_a_call_that_is_required_hands_over() -> None:
    first = Agent(
        "chatty",
        model="chatty",
        handoffs=[greeter()],
        model_settings=ModelSettings(tool_choice="required"),
    )
    found = Runner.run_sync(first, "Hello")
    assert (found.last_agent.name, found.final_output) == ("greeter", "Good day to you.")


def test_an_unknown_model_is_said() -> None:
    with pytest.raises(openai.NotFoundError, match="not found"):
        Runner.run_sync(Agent("nobody", model="nobody"), "Hello")
