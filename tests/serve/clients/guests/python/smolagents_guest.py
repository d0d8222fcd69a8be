"""`smolagents`: its model class, whole and streamed, and an agent whose every step is a call that is required."""

import os

import openai
import pytest
from smolagents import ChatMessage, OpenAIModel, ToolCallingAgent, tool

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
HELLO = [ChatMessage(role="user", content="Hello")]
SAID = "Good day to you."


@tool
def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: its name
    """
    return f"sunny in {city}"


def model(name: str, **fields: object) -> OpenAIModel:
    client = {"max_retries": 0}
    return OpenAIModel(
        name, api_base=f"{ADDRESS}/v1", api_key="any", temperature=0, client_kwargs=client, **fields
    )


def test_answers_whole_and_streamed_are_the_same() -> None:
    whole = model("greeter").generate(HELLO)
    assert whole.content == SAID and whole.token_usage.output_tokens > 2
    assert "".join(piece.content or "" for piece in model("greeter").generate_stream(HELLO)) == SAID


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_an_agent_calls_its_tool(streams: bool) -> None:
    agent = ToolCallingAgent(
        [weather], model("helper"), max_steps=1, stream_outputs=streams, verbosity_level=0
    )
    agent.run("How is the weather?")
    [step] = [each for each in agent.memory.steps if getattr(each, "tool_calls", None)]
    call = step.tool_calls[0]
    assert (call.name, call.arguments) == ("weather", {"city": "Ulm"})
    assert "sunny in Ulm" in step.observations


def test_an_unknown_model_is_said() -> None:
    with pytest.raises(openai.NotFoundError, match="not found"):
        model("nobody").generate(HELLO)
