"""uvicorn's HTTP/1.1 protocol with a deadline for each phase of a request, against slow clients and too many connections.

uvicorn closes a connection only when it idles after a response: one with endless headers or body would stay open (slowloris). Each phase has
one deadline from its start, which further bytes do not extend:

    headers  from the connection, or from the first byte after a response, to the empty line
    body     from there to its last byte; the guard answers 408 before, if it has not answered already
    linger   from a response that was sent before the body's end: the rest of the body is discarded
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from groundup.http.limits import Limits

# The guard's deadline for the body is earlier, so that a slow client gets its response.
AFTER_THE_GUARD_S = 1.0


def bounded_protocol(limits: Limits) -> type[H11Protocol]:
    """Return the protocol class with these limits, for uvicorn's `http` setting."""
    return type("BoundedProtocol", (_BoundedProtocol,), {"limits": limits})


class _BoundedProtocol(H11Protocol):
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
        self._set_alarm("" if phase == "headers" else phase)  # between requests uvicorn's own timeout applies

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_alarm("")
        super().connection_lost(exc)

    def _phase_now(self) -> str:
        """Return the current phase: "headers", "body", "linger", or "" (the app)."""
        if self.transport.is_closing():
            return ""
        if self.conn.their_state is h11.IDLE:
            return "headers"
        if self.conn.their_state is not h11.SEND_BODY:
            return ""
        return "linger" if self.conn.our_state in (h11.DONE, h11.MUST_CLOSE) else "body"

    def _set_alarm(self, phase: str) -> None:
        """Start the deadline of a phase; the current phase keeps its own."""
        if phase == self._phase:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._phase = phase
        if phase:
            limits = self.limits
            deadlines = {
                "headers": limits.headers_s,
                "body": limits.body_s + AFTER_THE_GUARD_S,
                "linger": limits.linger_s,
            }
            self._alarm = self.loop.call_later(deadlines[phase], self.transport.abort)
