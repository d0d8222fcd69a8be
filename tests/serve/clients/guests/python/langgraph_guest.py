"""`langgraph`: an agent with a tool, by LangChain's classes for Ollama and OpenAI, of this by both of its APIs."""

import os

import pytest
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import create_react_agent

ADDRESS = os.environ["GROUNDUP_ADDRESS"]
OPENAI = {"base_url": f"{ADDRESS}/v1", "api_key": "any", "temperature": 0}
CHATS = {
    "ollama": lambda name: ChatOllama(model=name, base_url=ADDRESS, temperature=0),
    "openai": lambda name: ChatOpenAI(model=name, **OPENAI),
    "responses": lambda name: ChatOpenAI(model=name, use_responses_api=True, **OPENAI),
}
ASKED = {"messages": [{"role": "user", "content": "How is the weather?"}]}


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@tool
def clock(zone: str) -> str:
    """The time in a zone."""
    return "noon"


@pytest.mark.parametrize("way", CHATS)
def test_an_agent_calls_its_tool_and_says_the_result(way: str) -> None:
    agent = create_react_agent(CHATS[way]("helper"), [weather, clock])
    messages = agent.invoke(ASKED)["messages"]
    assert [each.type for each in messages] == ["human", "ai", "tool", "ai"]
    [call] = messages[1].tool_calls
    assert (call["name"], call["args"], messages[2].content) == (
        "weather",
        {"city": "Ulm"},
        "sunny in Ulm",
    )
    assert messages[3].text == "It is sunny in Ulm."


@pytest.mark.parametrize("way", CHATS)
def test_an_agent_streams_its_messages(way: str) -> None:
    agent = create_react_agent(CHATS[way]("helper"), [weather])
    pieces = [piece for piece, _ in agent.stream(ASKED, stream_mode="messages")]
    assert (
        "".join(piece.text for piece in pieces if piece.type == "AIMessageChunk")
        == "It is sunny in Ulm."
    )


@pytest.mark.parametrize("way", CHATS)
def test_a_graph_of_one_node(way: str) -> None:
    chat = CHATS[way]("greeter")
    graph = StateGraph(MessagesState)
    graph.add_node("say", lambda state: {"messages": [chat.invoke(state["messages"])]})
    graph.add_edge(START, "say")
    graph.add_edge("say", END)
    assert graph.compile().invoke(ASKED)["messages"][-1].text == "Good day to you."
