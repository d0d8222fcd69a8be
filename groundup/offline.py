"""`groundup --offline VERB`, or GROUNDUP_OFFLINE=1: no other machine is asked for anything.

Python looks up no name and connects to no address but this machine's own, whichever library wants
to (an audit hook, PEP 578); pip is not started, and the hub's libraries know that they are offline.
Processes that this one starts inherit it. What is on the disk is used as ever, and servers may be
reached from elsewhere. Not seen: what C code opens without Python, as Ray's and Arrow's own clients
of clusters and object stores do.
"""

import ipaddress
import os
import socket
import sys
from typing import Any

from groundup.errors import NetworkError

VARIABLE = "GROUNDUP_OFFLINE"
LIBRARIES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
FIX = "Leave out --offline (GROUNDUP_OFFLINE), or fetch it before (docs/howto/offline.md)."
# Event of `sys.audit` -> the place of a host or address among its arguments.
_EVENTS = {
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.connect": 1,
    "socket.sendto": 1,
}
# Of documentation: nobody is there; a server asks the system for the way to them (`run_server.py`).
_NOWHERE = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "2001:db8::/32")))
_hooks: list[Any] = []


def is_offline() -> bool:
    """Whether no other machine may be asked."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def go_offline() -> None:
    """Ask no other machine from now on, in this process and in those that it starts."""
    os.environ.update({VARIABLE: "1", **dict.fromkeys(LIBRARIES, "1")})
    if not _hooks:  # none can be taken away again
        _hooks.append(_refuse)
        sys.addaudithook(_refuse)


def require_online(what: str) -> None:
    """Raise NetworkError where `what` would be asked of another machine and may not be."""
    if is_offline():
        raise NetworkError(f"{what} would be fetched, and --offline forbids it.", fix=FIX)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _EVENTS or not is_offline():
        return
    where = arguments[_EVENTS[event]]
    host = where[0] if isinstance(where, tuple) else where
    unix = not isinstance(where, tuple) and _EVENTS[event] == 1
    if not unix and not _is_here(host):
        raise NetworkError(f"--offline forbids a connection to {_text(host)}.", fix=FIX)


def _is_here(host: object) -> bool:
    name = _text(host)
    if not name or name in ("localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    nowhere = any(address in network for network in _NOWHERE)
    return address.is_loopback or address.is_unspecified or nowhere


def _text(host: object) -> str:
    return host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
