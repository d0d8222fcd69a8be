"""Actions as tools of MCP: one tool for each action of each assistant.

    call with the values                    -> lookups and rules; refused, or the sentence to be
                                               confirmed with its `confirmation`
    the same call with that `confirmation`  -> done, once, however often it is sent

The values are typed, so no language is read; everything else is the desk's, as in a conversation
(`actions/desk.py`): the rules, the one transaction, the audit, the key by which nothing is done
twice. A client can skip the first call of no action that writes: a confirmation belongs to the
values that were shown.
"""

import functools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

from groundup.actions.definition import MAX_CHARACTERS, Action, Slot, SlotValue
from groundup.actions.desk import ActionDesk
from groundup.actions.state import ActionTurn
from groundup.http.json_object import JsonObject
from groundup.serve.requests import RequestError
from groundup.serve.server import ModelServer

T = TypeVar("T")
CONFIRMATION = "confirmation"
MAX_CONFIRMATION = 64
TWO_CALLS = (
    " Call it first without `confirmation`: nothing is done then, and the result has a sentence "
    "with the values and a `confirmation`. Show the person the sentence. Only once they agree, call "
    "again with the same values and that `confirmation`."
)
_JSON_TYPES = {"number": "number", "money": "number"}
_FORMATS: dict[str, JsonObject] = {
    "date": {"format": "date", "description": "A date, as 2026-12-04."},
    "time": {"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "description": "A time, as 19:00."},
}


@dataclass(frozen=True)
class ActionTool:
    """An action under the name of its tool."""

    name: str
    action: Action
    desk: ActionDesk
    index: str


def action_tools(server: ModelServer) -> dict[str, ActionTool]:
    """Return the actions of the assistants that a server shows, by the names of their tools: the
    action's own, with the index before it where several assistants act.
    """
    found = list(_desks(server))
    tools = [
        ActionTool(f"{index}_{action.name}" if len(found) > 1 else action.name, action, desk, index)
        for index, desk in found
        for action in desk.actions.actions
    ]
    return {tool.name: tool for tool in tools}


def _desks(server: ModelServer) -> Iterator[tuple[str, ActionDesk]]:
    indexes = dict.fromkeys(each.assistant for each in server.registry.aliases())
    for index in indexes:
        if index in server.indexes.desks:
            yield index, server.indexes.desks[index]


def as_tool(tool: ActionTool, firm: str) -> Tool:
    """Return a tool as clients see it."""
    action, writes = tool.action, tool.action.effect is not None
    fields = {slot.name: _field(slot) for slot in action.askable}
    required = [slot.name for slot in action.askable if not slot.optional]
    if writes:
        fields[CONFIRMATION] = {
            "type": "string",
            "maxLength": MAX_CONFIRMATION,
            "description": "That of the first call, once the person has agreed to its sentence.",
        }
    return Tool(
        name=tool.name,
        title=action.title,
        description=f"{firm}: {action.title}.{TWO_CALLS if writes else ''}",
        input_schema={
            "type": "object",
            "properties": fields,
            "required": required,
            "additionalProperties": False,
        },
        annotations=ToolAnnotations(
            read_only_hint=not writes, idempotent_hint=True, open_world_hint=False
        ),
    )


def _field(slot: Slot) -> JsonObject:
    field: JsonObject = {"type": _JSON_TYPES.get(slot.type, "string")}
    field["description"] = slot.ask or slot.hint or slot.name
    if slot.type in ("number", "money"):
        bounds = {"minimum": slot.least, "maximum": slot.most}
        field |= {name: bound for name, bound in bounds.items() if bound is not None}
    if slot.currency:
        field["description"] = f"{field['description']} In {slot.currency}."
    if slot.type in _FORMATS:
        form = _FORMATS[slot.type]
        field |= form | {"description": f"{field['description']} {form['description']}"}
    if slot.options is not None:
        field["enum"] = list(slot.options)
    if slot.pattern:
        field["pattern"] = f"^(?:{slot.pattern})$"
    if slot.type in ("name", "text"):
        field["maxLength"] = MAX_CHARACTERS[slot.type]
    return field


async def call_action(
    server: ModelServer, tool: ActionTool, arguments: JsonObject, customer: str | None
) -> CallToolResult:
    """Return what a call comes to; `customer`: who is signed in, where that is known. Raises RequestError for values that are none of the slots',
    GroundupError.
    """
    values = _values(tool.action, arguments)
    known = arguments.get(CONFIRMATION) or ""
    if not isinstance(known, str) or len(known) > MAX_CONFIRMATION:
        raise RequestError(f"{CONFIRMATION}: is none of this server")
    desk, name, client = tool.desk, tool.action.name, server.client.name

    async def act(step: Callable[..., T], known: str) -> T:
        given = f"mcp {known}", name, values
        work = functools.partial(step, *given, customer=customer, client=client)
        return await server.indexes.converse(tool.index, work)

    turn = None
    if known:
        turn = await act(desk.confirm, known)
    if turn is None:  # one that is not known counts for nothing, so that nobody can choose one
        known = secrets.token_urlsafe(16)
        turn = await act(desk.fill, known)
    return _result(turn, known)


def _values(action: Action, arguments: JsonObject) -> dict[str, SlotValue]:
    """Raises RequestError for an unknown name, a missing value, one that a slot doesn't accept."""
    slots = {slot.name: slot for slot in action.askable}
    found: dict[str, SlotValue] = {}
    for name, value in arguments.items():
        if name == CONFIRMATION or value is None:
            continue
        if name not in slots:
            raise RequestError(f"{name[:120]}: is unknown; there are: {', '.join(slots)}")
        if isinstance(value, float):
            value = int(value) if value.is_integer() else round(value, 2)
        if not slots[name].accepts(value):
            raise RequestError(f"{name}: is not what is expected; see the tool's schema")
        found[name] = value
    for name, slot in slots.items():
        if name not in found and not slot.optional:
            raise RequestError(f"{name}: is missing. {slot.ask}")
    return found


def _result(turn: ActionTurn, conversation: str) -> CallToolResult:
    structured: dict[str, Any] = {"state": turn.kind, "text": turn.text}
    slots = [slot.name for slot in turn.action.askable]
    held = {name: turn.values[name] for name in slots if name in turn.values}
    structured["values"] = {name: each.shown for name, each in held.items()}
    if turn.rule is not None and turn.rule.document:
        structured["rule"] = {"document": turn.rule.document, "quote": turn.rule.quote}
    if turn.reference:
        structured["reference"] = turn.reference
    text = turn.text
    if turn.kind == "confirm":
        structured[CONFIRMATION] = conversation
        text = f"{text}\n\nconfirmation: {conversation}"
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=structured,
        is_error=turn.kind in ("failed", "unknown"),
    )
