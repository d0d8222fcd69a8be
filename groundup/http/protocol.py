"""Connections that are slow on purpose, or too many, end here: uvicorn's HTTP/1.1 protocol with a clock for each phase of a request.

uvicorn closes a connection that idles after an answer, and no other: one whose headers or body never end would stay for ever (slowloris). Each phase
has one deadline from its beginning, which no further byte moves:

    headers  from the connection, or from the first byte after an answer, to the empty line
    body     from there to its last byte; the guard answers 408 before, if it has not answered already
    linger   from an answer that came before the body's end: what still arrives is thrown away
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from groundup.http.limits import Limits

# The guard's own deadline for the body passes first, so that its answer is what a slow client reads.
AFTER_THE_GUARD_S = 1.0


def bounded_protocol(limits: Limits) -> type[H11Protocol]:
    """The protocol class that keeps these limits, for uvicorn's `http` setting."""
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
        self._set_alarm("" if phase == "headers" else phase)  # between requests uvicorn's own clock runs

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_alarm("")
        super().connection_lost(exc)

    def _phase_now(self) -> str:
        """What is waited for: "headers", "body", "linger", or "" (the app)."""
        if self.transport.is_closing():
            return ""
        if self.conn.their_state is h11.IDLE:
            return "headers"
        if self.conn.their_state is not h11.SEND_BODY:
            return ""
        return "linger" if self.conn.our_state in (h11.DONE, h11.MUST_CLOSE) else "body"

    def _set_alarm(self, phase: str) -> None:
        """Begin a phase; one that lasts keeps the alarm that it has."""
        if phase == self._phase:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._phase = phase
        if phase:
            self._alarm = self.loop.call_later(self._seconds(phase), self.transport.abort)

    def _seconds(self, phase: str) -> float:
        limits = self.limits
        seconds = {"headers": limits.headers_s, "body": limits.body_s + AFTER_THE_GUARD_S, "linger": limits.linger_s}
        return seconds[phase]
