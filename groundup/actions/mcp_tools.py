"""Tools of MCP servers as effects, by the official SDK (modelcontextprotocol.io, extra `mcp`).

A call has a connection of its own: a child process that the operator's command starts, or an
address (streamable HTTP). Until the call is sent, whatever fails has done nothing. After that, only
an answer without an error says that it was done. The idempotency key is in the request's `_meta`,
where a server may look for it.
"""

import logging
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CallToolResult,
    RequestParamsMeta,
    TextContent,
    Tool,
)

from groundup.actions.definition import McpEffect, SlotValue
from groundup.actions.state import EffectOutcome
from groundup.errors import did_you_mean

KEY = "groundup/idempotency-key"
START_TIMEOUT_S = 10.0
MAX_PAGES, MAX_REASON_CHARACTERS = 20, 300
# With these the server refused the request before any tool ran (jsonrpc.org/specification).
REFUSED = (INVALID_PARAMS, METHOD_NOT_FOUND)
log = logging.getLogger(__name__)


def tool_fault(effect: McpEffect, place: str, slots: Sequence[str]) -> str:
    """Return what is wrong with a tool at the start: its server has none of that name, or one with
    other arguments; "" where nothing is.

    `place`: the server's command or URL; `slots`: those of the action. A server that can't be
    reached now may be there later: it is logged.
    """
    if not _is_url(place) and shutil.which(shlex.split(place)[0]) is None:
        return f"there is no program {shlex.split(place)[0]} ({effect.name}={place})"
    found: list[Tool] = []

    async def look() -> None:
        with anyio.fail_after(START_TIMEOUT_S):
            async with _client(place) as client:
                found.extend(await _tools(client))

    try:
        anyio.run(look)
    except Exception as error:  # a library raises what its transports do
        log.warning("the MCP server of %s can't be reached: %s", effect.name, _reason(error))
        return ""
    known = {tool.name: tool for tool in found}
    if effect.tool not in known:
        near = did_you_mean(effect.tool, known) if known else "It has none."
        return f"{effect.server} has no tool '{effect.tool}'. {near}".removesuffix(".")
    return _argument_fault(effect, known[effect.tool], effect.names(slots))


def _argument_fault(effect: McpEffect, tool: Tool, given: Mapping[str, str]) -> str:
    schema = tool.input_schema
    known, needed = schema.get("properties") or {}, schema.get("required") or []
    for name in needed:
        if name not in given:
            return f"the tool {effect.name} needs the argument '{name}', which is not given"
    for name in given:
        if name not in known and (known or schema.get("additionalProperties") is False):
            near = did_you_mean(name, known).removesuffix(".") if known else "It has none"
            return f"the tool {effect.name} has no argument '{name}'. {near}"
    return ""


def call_tool(
    effect: McpEffect,
    place: str,
    arguments: Mapping[str, SlotValue | None],
    key: str,
    timeout_s: float,
    tell: Callable[[EffectOutcome], None],
) -> None:
    """Call a tool; how it ended is told once, before the connection is closed.

    Each of connecting and calling has `timeout_s` seconds. An argument without a value is left out.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    sent = told = False

    async def run() -> None:
        nonlocal sent, told
        with anyio.fail_after(timeout_s) as scope:
            async with _client(place) as client:
                names = [tool.name for tool in await _tools(client)]
                if effect.tool not in names:
                    raise LookupError(f"there is no tool {effect.tool}")
                sent, scope.deadline = True, anyio.current_time() + timeout_s
                outcome = await _outcome(client, effect, given, key)
                told = True
                tell(outcome)

    try:
        anyio.run(run)
    except Exception as error:  # as above, the library raises what its transports do
        if not told:
            why = f"{effect.name} {'gave no answer' if sent else 'was not called'}"
            tell(EffectOutcome("unknown" if sent else "failed", reason=f"{why}: {_reason(error)}"))


async def _outcome(
    client: Client, effect: McpEffect, given: Mapping[str, SlotValue], key: str
) -> EffectOutcome:
    try:
        meta = cast(RequestParamsMeta, {KEY: key})
        found = await client.session.call_tool(effect.tool, dict(given), meta=meta)
    except MCPError as error:
        if error.code not in REFUSED:
            raise
        return EffectOutcome("failed", reason=f"{effect.name} was refused: {_reason(error)}")
    assert isinstance(found, CallToolResult)
    if not found.is_error:
        return EffectOutcome("done", reason=f"{effect.name} answered")
    said = " ".join(each.text for each in found.content if isinstance(each, TextContent))
    why = f"{effect.name} answered with an error: {said}"
    return EffectOutcome(effect.error, reason=why[:MAX_REASON_CHARACTERS])


async def _tools(client: Client) -> list[Tool]:
    found, cursor = [], None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return found


def _client(place: str) -> Client:
    if _is_url(place):
        return Client(place)
    command, *arguments = shlex.split(place)
    return Client(StdioServerParameters(command=command, args=arguments))


def _is_url(place: str) -> bool:
    return place.startswith(("https://", "http://"))


def _reason(error: BaseException) -> str:
    """Return the text of an error, of a group that of its first one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:MAX_REASON_CHARACTERS]
