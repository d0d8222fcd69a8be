"""One way to run a server of ours: uvicorn with bounds of its own, below the guard's, and an end that a shell understands.

Ctrl-C ends with 130 as everywhere here, SIGTERM with 0: what a service manager asks for is no failure. Answers in hand get `Limits.shutdown_s`;
a second later the process ends whatever its threads are doing.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from groundup.errors import MissingExtra
from groundup.http.access import is_address
from groundup.http.guard import Guard
from groundup.http.port import listen
from groundup.http.responses import App

WIDE_OPEN = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def require_server(*more: str) -> None:
    """Raises MissingExtra when what serves, or one of `more` packages of that extra, is not installed."""
    for package in ("starlette", "uvicorn", *more):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtra(package, "serve") from error


def run_server(
    guard: Guard,
    host: str,
    port: int,
    *,
    announce: Callable[[str], None] | None = None,
    around: Callable[[App], App] = lambda app: app,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal. `announce` is called with the address once it is listened on.

    `around` may wrap the guard in what only looks on (an access log); `stopping` is called in the event loop when the signal has come.

    Raises MissingExtra, ConfigError (port taken, host unknown), KeyboardInterrupt after Ctrl-C and SystemExit(0) after SIGTERM.
    """
    require_server()
    import uvicorn

    from groundup.http.protocol import bounded_protocol

    limits = guard.limits
    config = uvicorn.Config(
        around(guard),
        http=bounded_protocol(limits),
        ws="none",
        loop="asyncio",
        h11_max_incomplete_event_size=limits.header_bytes,
        limit_concurrency=None,  # connections are counted by the protocol, requests by the guard, which answers in the dialect's shape
        timeout_keep_alive=limits.idle_s,
        timeout_graceful_shutdown=limits.shutdown_s,
        server_header=False,
        proxy_headers=False,
        access_log=False,
        log_level="error",
    )
    with _terminated_is_done(), listen(host, port) as listening:
        if announce is not None:
            announce(address_of(listening, host))

        class Server(uvicorn.Server):
            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                _end_after(limits.shutdown_s + 1, 0 if sig == signal.SIGTERM else 128 + sig)
                super().handle_exit(sig, frame)

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                stopping()
                await super().shutdown(sockets)

        Server(config).run(sockets=[listening])


def address_of(listening: socket.socket, host: str) -> str:
    """The address to open: "http://127.0.0.1:8765"."""
    name = WIDE_OPEN.get(host, host)
    return f"http://{f'[{name}]' if is_address(name) and ':' in name else name}:{listening.getsockname()[1]}"


@contextlib.contextmanager
def _terminated_is_done() -> Iterator[None]:
    """SIGTERM ends with exit code 0. uvicorn takes the signal while it runs, and raises it again for this handler when all is closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _done)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_after(seconds: float, code: int) -> None:
    """End the process then, if it is still there: Python would wait for its threads, and nothing can end a thread at work (a prompt, a load)."""
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()


def _done(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
