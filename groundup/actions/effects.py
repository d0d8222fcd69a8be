"""What an action does once it is confirmed: rows and mail drafts within the world's transaction;
an HTTP request, a tool of an MCP server (`mcp_tools.py`) or a Python function outside of it.

A request that was answered with 2xx is done; one that never reached its server, or was refused by
it, has failed; of any other it can't be told. It carries the header `Idempotency-Key`
(draft-ietf-httpapi-idempotency-key-header), by which its server does the same request once only.
"""

import http.client
import importlib
import json
import queue
import shlex
import sqlite3
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from groundup.actions.definition import Action, ActionSet, Effect, HttpEffect, SlotValue
from groundup.actions.state import EffectOutcome
from groundup.actions.statements import CHANGING, ERRORS, READING, Authority, sql_fault
from groundup.actions.templates import fill
from groundup.errors import ConfigError, did_you_mean, require_extra

Values = Mapping[str, SlotValue | None]
PythonEffect = Callable[[dict[str, SlotValue | None], str], object]
"""Called with the values and the idempotency key. An exception says that nothing was done,
TimeoutError that it can't be told.
"""
TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 65536
# Of a process: what waits for an address holds none of the threads that others need.
MAX_CALLS = 8
_calls = threading.BoundedSemaphore(MAX_CALLS)
SEE = "See docs/actions.md."
# Of these answers it can't be told whether the request was carried out; other 4xx refused it.
UNTOLD_STATUS = frozenset({408, 409, 425})
REFUSED_FROM, REFUSED_BELOW = 300, 500


class EffectFault(Exception):
    """A change that is to be undone whole; its text is for the audit."""


def change_rows(
    database: sqlite3.Connection, statements: Sequence[str], rows: int, values: Values
) -> None:
    """Run statements within an open transaction. Raises EffectFault; what they changed until then
    is the caller's to undo.
    """
    authority = Authority(READING | CHANGING)
    database.set_authorizer(authority)
    try:
        for sql in statements:
            cursor = database.execute(sql, dict(values))
            cursor.fetchall()
            if cursor.rowcount != rows:
                raise EffectFault(f"{cursor.rowcount} rows were changed, not {rows}: {sql}")
    except ERRORS as error:
        raise EffectFault(sql_fault(error, authority)) from error
    finally:
        database.set_authorizer(None)


def draft_mail(
    database: sqlite3.Connection, effect: Effect, key: str, said: Mapping[str, str], at: str
) -> None:
    """Write a mail draft within an open transaction."""
    if effect.mail is None:
        return
    mail = effect.mail
    texts = [fill(each, said) for each in (mail.to, mail.subject, mail.body)]
    database.execute(
        "INSERT INTO outbox (key, recipient, subject, body, at) VALUES (?, ?, ?, ?, ?)",
        (key, *texts, at),
    )


def address_allowed(url: str, allowed: Sequence[str]) -> bool:
    """Whether an address is one that the operator allows, or below one.

    >>> address_allowed("https://a.example/b/c", ["https://a.example/b"])
    True
    >>> address_allowed("https://a.example.evil/b", ["https://a.example"])
    False
    >>> address_allowed("https://a.example/b/%2e%2e/c", ["https://a.example/b"])
    False
    """
    parts = urllib.parse.urlsplit(url)
    steps = urllib.parse.unquote(parts.path).split("/")
    for each in allowed:
        other = urllib.parse.urlsplit(each)
        path = other.path.rstrip("/")
        below = parts.path == path or parts.path.startswith(f"{path}/") or not path
        is_same_host = (parts.scheme, parts.netloc) == (other.scheme, other.netloc)
        if is_same_host and below and ".." not in steps:
            return True
    return False


@dataclass(frozen=True)
class AllowedEffects:
    """What the effects of actions call, as the operator allowed it."""

    functions: Mapping[str, PythonEffect]
    """By MODULE:FUNCTION."""
    tools: Mapping[str, str]
    """The commands and URLs of MCP servers, by SERVER:TOOL."""


def allowed_effects(
    found: ActionSet, addresses: Sequence[str], modules: Sequence[str], tools: Sequence[str]
) -> AllowedEffects:
    """Return what the effects call. Raises ConfigError for an effect that the operator did not
    allow, or whose function or tool there is not; MissingExtra.
    """
    _require_addresses(found, addresses)
    return AllowedEffects(_python_effects(found, modules), _tool_places(found, tools))


def _python_effects(found: ActionSet, modules: Sequence[str]) -> dict[str, PythonEffect]:
    """Return the Python functions of all effects, by MODULE:FUNCTION.

    Raises ConfigError for a module that the operator did not name, or without that function.
    """
    functions = {}
    for action in found.actions:
        named = action.effect.python if action.effect else ""
        if not named:
            continue
        module, _, name = named.partition(":")
        if module not in modules:
            fix = f"Allow it at the start, if you trust it: --allow-module {module}"
            raise ConfigError(f"The action '{action.name}' calls {named}.", fix=fix)
        try:
            function = getattr(importlib.import_module(module), name, None)
        except ImportError as error:
            fix = "Install it, or set PYTHONPATH to its folder."
            raise ConfigError(
                f"The module {module} can't be imported: {error}.", fix=fix
            ) from error
        if not callable(function):
            known = [each for each in dir(importlib.import_module(module)) if each[0] != "_"]
            raise ConfigError(f"{module} has no function '{name}'.", fix=did_you_mean(name, known))
        functions[named] = function
    return functions


def _require_addresses(found: ActionSet, allowed: Sequence[str]) -> None:
    """Raise ConfigError for an effect whose address the operator did not allow."""
    for action in found.actions:
        request = action.effect.http if action.effect else None
        if request is not None and not address_allowed(request.url, allowed):
            fix = f"Allow it at the start, if you trust it: --allow-address {request.url}"
            raise ConfigError(f"The action '{action.name}' sends to {request.url}.", fix=fix)


def _tool_places(found: ActionSet, allowed: Sequence[str]) -> dict[str, str]:
    """Return the commands and URLs of the MCP servers whose tools effects call.

    Raises ConfigError for a tool that was not allowed, or that its server does not have.
    """
    places: dict[str, str] = {}
    for each in allowed:
        names, _, place = each.partition("=")
        server, _, tools = names.partition(":")
        if not server or not all(tools.split(",")) or not _is_place(place):
            fix = "Give SERVER:TOOL=COMMAND or SERVER:TOOL=URL, such as crm:open_ticket=crm-mcp."
            raise ConfigError(f"--allow-tool {each} is no tool of an MCP server.", fix=fix)
        places |= {f"{server}:{tool}": place.strip() for tool in tools.split(",")}
    for action in found.actions:
        effect = action.effect and action.effect.mcp
        if not effect:
            continue
        if effect.name not in places:
            fix = f"Allow it at the start, if you trust it: --allow-tool '{effect.name}=COMMAND'"
            said = f"The action '{action.name}' calls the tool {effect.name}."
            raise ConfigError(said, fix=f"{fix}, or =URL.")
        require_extra("mcp", "mcp")
        from groundup.actions.mcp_tools import tool_fault

        fault = tool_fault(effect, places[effect.name], [slot.name for slot in action.slots])
        if fault:
            raise ConfigError(f"The action '{action.name}': {fault}.", fix=SEE)
    return places


def _is_place(text: str) -> bool:
    """Whether a text is a URL or a command, whose quotation marks are closed."""
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


Tell = Callable[[EffectOutcome], None]


def call(
    action: Action,
    values: dict[str, SlotValue | None],
    key: str,
    allowed: AllowedEffects,
    timeout_s: float = TIMEOUT_S,
) -> EffectOutcome:
    """Carry out an effect outside of the world: at most `timeout_s` seconds, and at most MAX_CALLS
    of a process at once; one more has failed.
    """
    if not _calls.acquire(blocking=False):
        return EffectOutcome("failed", reason=f"{MAX_CALLS} calls were waiting for their answers")
    outcomes: queue.SimpleQueue[EffectOutcome] = queue.SimpleQueue()

    def carry_out() -> None:
        try:
            _carry_out(action, values, key, allowed, timeout_s / 2, outcomes.put)
        finally:
            _calls.release()

    threading.Thread(target=carry_out, name="effect", daemon=True).start()
    try:
        return outcomes.get(timeout=max(timeout_s, 0.0))
    except queue.Empty:  # a thread that goes on is left behind
        return EffectOutcome("unknown", reason=f"no answer within {timeout_s:g} s")


def _carry_out(
    action: Action,
    values: dict[str, SlotValue | None],
    key: str,
    allowed: AllowedEffects,
    timeout_s: float,
    tell: Tell,
) -> None:
    effect = action.effect
    assert effect is not None
    if effect.http is not None:
        tell(_send(effect.http, values, key, timeout_s))
    elif effect.mcp is not None:
        from groundup.actions.mcp_tools import call_tool

        names = effect.mcp.names([slot.name for slot in action.slots])
        given = {argument: values[name] for argument, name in names.items()}
        call_tool(effect.mcp, allowed.tools[effect.mcp.name], given, key, timeout_s, tell)
    else:
        tell(_call_python(allowed.functions[effect.python], dict(values), key))


def _send(request: HttpEffect, values: Values, key: str, timeout_s: float) -> EffectOutcome:
    parts = urllib.parse.urlsplit(request.url)
    kinds = {"https": http.client.HTTPSConnection, "http": http.client.HTTPConnection}
    connection = kinds[parts.scheme](parts.hostname or "", parts.port, timeout=timeout_s)
    body = json.dumps(dict(values), ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        connection.connect()
    except OSError as error:
        return EffectOutcome("failed", reason=f"{request.url} can't be reached: {error}")
    try:
        connection.request(request.method, path, body, headers)
        answer = connection.getresponse()
        answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        return EffectOutcome("unknown", reason=f"{request.url} gave no answer: {error!r}")
    finally:
        connection.close()
    said = f"{request.url} answered {answer.status}"
    if REFUSED_FROM <= answer.status < REFUSED_BELOW and answer.status not in UNTOLD_STATUS:
        return EffectOutcome("failed", reason=said)
    if 200 <= answer.status < REFUSED_FROM:
        return EffectOutcome("done", reason=said)
    return EffectOutcome("unknown", reason=said)


def _call_python(
    function: PythonEffect, values: dict[str, SlotValue | None], key: str
) -> EffectOutcome:
    try:
        function(values, key)
    except TimeoutError as error:
        return EffectOutcome("unknown", reason=repr(error))
    except Exception as error:  # the operator's library raises what it likes
        return EffectOutcome("failed", reason=repr(error))
    return EffectOutcome("done")
