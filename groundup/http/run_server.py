"""Run a server with uvicorn: its socket, a deadline for each phase of a request, and exit codes:
Ctrl-C exits with 130 as everywhere in this package, SIGTERM with 0, since a stop by a service
manager is not a failure.

uvicorn closes a connection only when it idles after a response: one with endless headers or body
would stay open (slowloris). Each phase has one deadline from its start, which further bytes do not
extend:

    headers  from the connection, or from the first byte after a response, to the empty line
    body     from there to its last byte; the guard answers 408 before, if it has not answered
             already
    linger   from a response that was sent before the body's end: the rest of the body is discarded
"""

import asyncio
import contextlib
import errno
import ipaddress
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from groundup.errors import ConfigError
from groundup.http.access import is_address
from groundup.http.guard import Guard
from groundup.http.limits import Limits

BACKLOG = 128
_LISTENING = "0A"  # the state column of /proc/net/tcp
# The guard's deadline for the body is earlier by this, so that a slow client gets its response.
AFTER_THE_GUARD_S = 1.0
WIDE_OPEN = {"0.0.0.0": "127.0.0.1", "::": "::1"}
# Addresses of documentation (RFC 5737, RFC 3849): asking for the way there sends nothing.
_ELSEWHERE = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}


def run_server(
    guard: Guard,
    host: str,
    port: int,
    *,
    announce: Callable[[str], None] | None = None,
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    stopping: Callable[[], None] = lambda: None,
    proxies: Sequence[str] = (),
) -> None:
    """Serve until a signal. `announce` is called with the address; `around` may wrap the guard in
    an observer (an access log); `stopping` is called in the event loop at the start of the
    shutdown; `proxies`: addresses and networks of proxies, whose X-Forwarded-For and
    X-Forwarded-Proto say who the client is.

    Raises ConfigError (port in use, host unknown, a proxy that is no address), KeyboardInterrupt
    after Ctrl-C and SystemExit(0) after SIGTERM.
    """
    limits = guard.limits
    config = uvicorn.Config(
        around(guard),
        http=type("BoundedProtocol", (_BoundedProtocol,), {"limits": limits}),
        ws="none",
        loop="asyncio",
        h11_max_incomplete_event_size=limits.header_bytes,
        # the protocol counts connections, the guard counts requests and answers in the API dialect
        limit_concurrency=None,
        timeout_keep_alive=limits.idle_s,
        timeout_graceful_shutdown=limits.shutdown_s,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=[_network(each) for each in proxies],
        access_log=False,
        log_level="error",
    )
    with _exit_0_on_sigterm(limits.shutdown_s + 1), listen(host, port) as listening:
        if announce is not None:
            announce(address_of(listening, host))

        class GuardedServer(uvicorn.Server):
            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                code = 0 if sig == signal.SIGTERM else 128 + sig
                _end_after(limits.shutdown_s + 1, code)
                super().handle_exit(sig, frame)

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                stopping()
                await super().shutdown(sockets)

        GuardedServer(config).run(sockets=[listening])


def _network(proxy: str) -> str:
    """Raises ConfigError for what is no address or network: "*" would believe every client."""
    try:
        ipaddress.ip_network(proxy)
    except ValueError as error:
        raise ConfigError(
            f"`proxy` {proxy[:100]!r} is not an address.", fix="Write it as 127.0.0.1."
        ) from error
    return proxy


class _BoundedProtocol(H11Protocol):
    """Deadlines against slow clients, and a limit of connections. A subclass sets the limits."""

    limits: Limits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase = ""
        self._alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()
        else:
            self._set_alarm("headers")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._set_alarm(self._phase_now())

    def on_response_complete(self) -> None:
        super().on_response_complete()
        phase = self._phase_now()
        if phase == "headers":  # between requests uvicorn's own timeout applies
            phase = ""
        self._set_alarm(phase)

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_alarm("")
        super().connection_lost(exc)

    def _phase_now(self) -> str:
        """ "headers", "body", "linger", or "" (the app)."""
        if self.transport.is_closing():
            return ""
        if self.conn.their_state is h11.IDLE:
            return "headers"
        if self.conn.their_state is not h11.SEND_BODY:
            return ""
        if self.conn.our_state in (h11.DONE, h11.MUST_CLOSE):
            return "linger"
        return "body"

    def _set_alarm(self, phase: str) -> None:
        """The current phase keeps its own."""
        if phase == self._phase:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._phase = phase
        if phase:
            seconds = getattr(self.limits, f"{phase}_s")
            if phase == "body":
                seconds += AFTER_THE_GUARD_S
            self._alarm = self.loop.call_later(seconds, self.transport.abort)


def address_of(listening: socket.socket, host: str) -> str:
    """One that can be opened: for all networks that of this machine in its network."""
    if host in WIDE_OPEN:
        host = network_address(host)
    if is_address(host) and ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{listening.getsockname()[1]}"


def network_address(host: str) -> str:
    """Where it is in no network, that for itself."""
    family, elsewhere = _ELSEWHERE[host]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return WIDE_OPEN[host]


@contextlib.contextmanager
def _exit_0_on_sigterm(limit_s: float) -> Iterator[None]:
    """uvicorn handles SIGTERM while it runs, and raises it again for this handler after its
    shutdown. Before, an exception that is raised while Python runs a finalizer (as at the end of
    each import) is lost: the process then ends after `limit_s` all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        _end_after(limit_s, 0)
        sys.exit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_after(seconds: float, code: int) -> None:
    """Python would wait for its threads, and nothing can end one at work (a prompt, a load)."""
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()


def listen(host: str, port: int) -> socket.socket:
    """Port 0 selects a free one. Raises ConfigError: unknown host, port in use, no permission."""
    family, address = _resolve(host, port)
    try:
        dualstack = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        listening = socket.create_server(
            address, family=family, backlog=BACKLOG, dualstack_ipv6=dualstack
        )
        # Its connections inherit it, and asyncio sets it only for sockets made with IPPROTO_TCP.
        # Without, a body waits until the client has acknowledged the headers: 40 ms (RFC 896, 1122).
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise _refusal(error, host, port) from error


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """IPv4 first: for "localhost" every client tries 127.0.0.1."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"`host` {host} is not a name or address of this machine.", fix="Try 127.0.0.1."
        ) from error
    first = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return first[0], (str(first[4][0]), port)


def _refusal(error: OSError, host: str, port: int) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        taken = " by ".join(filter(None, ("taken", holder_of(port))))
        return ConfigError(
            f"Port {port} of {host} is {taken}.",
            fix="Choose another `port` (0: any free one).",
        )
    if error.errno == errno.EACCES:
        return ConfigError(
            f"No permission to listen on port {port}.",
            fix="Choose a `port` of 1024 or more.",
        )
    reason = os.strerror(error.errno or 0)
    return ConfigError(
        f"Can't listen on {host}, port {port}: {reason}.", fix="Try `host` 127.0.0.1."
    )


def holder_of(port: int) -> str:
    """As "python3 (process 123)"; "" if unknown (another user's, or not Linux)."""
    inodes = _listening_inodes(port)
    if not inodes:
        return ""
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            held = {os.readlink(entry) for entry in folder.iterdir()}
            name = (folder.parent / "comm").read_text("utf-8", "replace").strip()
        except OSError:  # the process has ended, or is another user's
            continue
        if held & inodes:
            return f"{name} (process {folder.parent.name})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    """Return the listening sockets of a port, as in /proc/PID/fd."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            if re.fullmatch(rf"[0-9A-F]+:{port:04X}", fields[1]) and fields[3] == _LISTENING:
                found.add(f"socket:[{fields[9]}]")
    return found
