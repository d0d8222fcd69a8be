"""What an action does once it is confirmed: rows and mail drafts within the world's transaction;
an HTTP request or a Python function outside of it.

A request that was answered with 2xx is done; one that never reached its server, or was refused by
it, has failed; of any other it can't be told. It carries the header `Idempotency-Key`
(draft-ietf-httpapi-idempotency-key-header), by which its server does the same request once only.
"""

import functools
import http.client
import importlib
import json
import sqlite3
import threading
import urllib.parse
from collections.abc import Callable, Mapping, Sequence

from groundup.actions.definition import Action, ActionSet, Effect, HttpEffect, SlotValue
from groundup.actions.state import EffectOutcome
from groundup.actions.statements import CHANGING, ERRORS, READING, Authority, sql_fault
from groundup.actions.templates import fill
from groundup.errors import ConfigError, did_you_mean

Values = Mapping[str, SlotValue | None]
PythonEffect = Callable[[dict[str, SlotValue | None], str], object]
"""Called with the values and the idempotency key. An exception says that nothing was done,
TimeoutError that it can't be told.
"""
TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 65536
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


def python_effects(found: ActionSet, modules: Sequence[str]) -> dict[str, PythonEffect]:
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


def require_addresses(found: ActionSet, allowed: Sequence[str]) -> None:
    """Raise ConfigError for an effect whose address the operator did not allow."""
    for action in found.actions:
        request = action.effect.http if action.effect else None
        if request is not None and not address_allowed(request.url, allowed):
            fix = f"Allow it at the start, if you trust it: --allow-address {request.url}"
            raise ConfigError(f"The action '{action.name}' sends to {request.url}.", fix=fix)


def call(
    action: Action,
    values: dict[str, SlotValue | None],
    key: str,
    functions: Mapping[str, PythonEffect],
    timeout_s: float = TIMEOUT_S,
) -> EffectOutcome:
    """Carry out an effect outside of the world: at most `timeout_s` seconds."""
    effect = action.effect
    assert effect is not None
    if effect.http is not None:
        carry_out = functools.partial(_send, effect.http, values, key, timeout_s / 2)
    else:
        carry_out = functools.partial(_call_python, functions[effect.python], dict(values), key)
    outcomes: list[EffectOutcome] = []
    thread = threading.Thread(
        target=lambda: outcomes.append(carry_out()), name="effect", daemon=True
    )
    thread.start()
    thread.join(timeout_s)  # a thread that goes on is left behind
    if not outcomes:
        return EffectOutcome("unknown", reason=f"no answer within {timeout_s:g} s")
    return outcomes[0]


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
