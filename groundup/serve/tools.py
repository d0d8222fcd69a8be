"""Tools as clients describe them -> tools for the chat template, and which of them must be called. Both dialects use the same format."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from groundup.serve.fields import Body
from groundup.serve.requests import RequestError
from groundup.tokenizer.tools import Tool


class ToolFunctionBody(Body):
    """The function of a tool."""

    name: str = Field(min_length=1, max_length=256)
    description: str = ""
    parameters: dict[str, Any] = {}


class ToolBody(Body):
    """One tool. Other fields that clients send (`strict`) are ignored: no model was trained on them."""

    type: Literal["function"] = "function"
    function: ToolFunctionBody

    def tool(self) -> Tool:
        """Return the tool with keys in the order that models were trained on, without absent ones."""
        return {"type": "function", "function": self.function.model_dump(exclude_unset=True)}


class NamedFunction(Body):
    """The function named by a tool choice."""

    name: str


class ToolChoice(Body):
    """The one tool that must be called."""

    type: Literal["function"] = "function"
    function: NamedFunction


Choice = Literal["none", "auto", "required"] | ToolChoice


def read_tools(tools: Sequence[ToolBody], choice: Choice, *, parallel: bool = True) -> dict[str, Any]:
    """Return fields of a GenerateRequest. Raises RequestError for a choice that names no given tool."""
    names = tuple(each.function.name for each in tools)
    named = (choice.function.name,) if isinstance(choice, ToolChoice) else ()
    if not set(named) <= set(names) or (choice == "required" and not names):
        raise RequestError("tool_choice: tools has no such tool", param="tool_choice")
    return {
        "tools": () if choice == "none" else tuple(each.tool() for each in tools),
        "must_call": names if choice == "required" else named,
        "one_call": bool(named) or not parallel,
    }
