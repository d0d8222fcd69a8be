"""Tools as clients describe them -> what a chat template is given, and which of them must be called. Both dialects describe them alike."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from groundup.serve.fields import Body
from groundup.serve.requests import RequestError
from groundup.tokenizer.tools import Tool


class ToolFunctionBody(Body):
    """What can be called."""

    name: str = Field(min_length=1, max_length=256)
    description: str = ""
    parameters: dict[str, Any] = {}


class ToolBody(Body):
    """One tool. What else clients say of it (`strict`) no model was trained on."""

    type: Literal["function"] = "function"
    function: ToolFunctionBody

    def tool(self) -> Tool:
        """In the order of keys that models have seen; what was not said is left out."""
        return {"type": "function", "function": self.function.model_dump(exclude_unset=True)}


class NamedFunction(Body):
    """The name in a choice."""

    name: str


class ToolChoice(Body):
    """The one tool that must be called."""

    type: Literal["function"] = "function"
    function: NamedFunction


Choice = Literal["none", "auto", "required"] | ToolChoice


def read_tools(tools: Sequence[ToolBody], choice: Choice, *, parallel: bool = True) -> dict[str, Any]:
    """Tools and choice as fields of a ChatRequest. Raises RequestError for a choice that there is no tool for."""
    names = tuple(each.function.name for each in tools)
    named = (choice.function.name,) if isinstance(choice, ToolChoice) else ()
    if not set(named) <= set(names) or (choice == "required" and not names):
        raise RequestError("tool_choice: no such tool is among tools", param="tool_choice")
    return {
        "tools": () if choice == "none" else tuple(each.tool() for each in tools),
        "must_call": names if choice == "required" else named,
        "one_call": bool(named) or not parallel,
    }
