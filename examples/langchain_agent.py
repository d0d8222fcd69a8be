"""An agent with two tools, as a graph of LangGraph: the model calls, the tool answers, the model answers.

    python examples/langchain_agent.py MODEL "What is the weather in Ulm?"

MODEL must know calls of tools: one whose chat template has them, or one that was taught them (`groundup finetune chat` on conversations with calls).
"""

import sys
from typing import Any, Literal

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from groundup.integrations.langchain import ChatGroundup


def weather(city: Literal["Ulm", "Paris"]) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def opening_hours(place: Literal["museum", "library"]) -> str:
    """When a place is open."""
    return f"the {place} opens at nine"


TOOLS = [weather, opening_hours]


def agent(path: str) -> Any:
    """Return the graph: model -> tools, while it calls some -> model."""
    model = ChatGroundup(model=path, temperature=0, max_tokens=120).bind_tools(TOOLS)
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode(TOOLS))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile()


def main() -> None:
    path, *questions = sys.argv[1:]
    compiled = agent(path)
    for question in questions:
        state = compiled.invoke({"messages": [("user", question)]}, {"recursion_limit": 10})
        for message in state["messages"]:
            calls = [
                f"{call['name']}({call['args']})" for call in getattr(message, "tool_calls", [])
            ]
            print(f"{message.type}: {message.content} {' '.join(calls)}".rstrip())


if __name__ == "__main__":
    main()
