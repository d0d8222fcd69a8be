"""Responses of answers: events counted and timed, sent as a stream or complete, and cancelled when
the client disconnects.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from groundup.engine.events import ChatEvent
from groundup.engine.tool_calls import ToolCallParser
from groundup.errors import GroundupError
from groundup.http.access_log import Metrics
from groundup.http.json_object import JsonObject
from groundup.http.responses import JsonResponse
from groundup.serve.requests import ContextRecorder, RequestError, Timing
from groundup.serve.worker import Answers

CLIENT_CLOSED_REQUEST = 499  # nginx's status code for it; no client sees it


@runtime_checkable
class Translator(Protocol):
    """Events -> bytes of one dialect, for one request. `index` is that of the answer."""

    media_type: str

    def begin(self) -> bytes:
        """Return what precedes the first event."""

    def chunk(self, index: int, event: ChatEvent) -> bytes:
        """Return what an event adds to a stream; b"": nothing."""

    def end(self, last_events: Sequence[ChatEvent], timing: Timing) -> bytes:
        """Return the end of a stream."""

    def error(self, message: str, status: int) -> bytes:
        """Return an error after the first byte, and the end of the stream."""

    def complete(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> JsonObject:
        """Return the complete answer as one object."""


class EventStream(Protocol):
    """The events of a request's answers, each with the index of its answer; afterwards it has the
    last event of each.
    """

    count: int
    """The number of answers."""
    timer: "RequestTimer"
    last_events: dict[int, ChatEvent]

    @property
    def has_more(self) -> bool:
        """Whether the next event is there already: then both are written together."""

    def __aiter__(self) -> AsyncIterator[tuple[int, ChatEvent]]: ...


class RequestTimer:
    """The times at which the phases of an answer ended."""

    def __init__(self) -> None:
        self.started = self.ready = self.first = time.monotonic_ns()

    def model_is_loaded(self) -> None:
        """Record the time."""
        self.ready = self.first = time.monotonic_ns()

    def first_token_s(self) -> float:
        """Record the time of the first token; return the seconds from the start until now."""
        self.first = time.monotonic_ns()
        return (self.first - self.started) / 1e9

    def timing(self) -> Timing:
        """Return the durations up to now."""
        now = time.monotonic_ns()
        return Timing(
            now - self.started, self.ready - self.started, self.first - self.ready, now - self.first
        )


class AnswerStream:
    """The events of a request's answers, counted and timed; afterwards it has the last event of
    each.
    """

    def __init__(
        self,
        answers: Answers,
        timer: RequestTimer,
        metrics: Metrics,
    ) -> None:
        self.answers = answers
        self.count = answers.count
        self.echoes: AsyncIterator[tuple[int, ChatEvent]] | None = None
        """What each answer begins with, if anything."""
        self.parsers: Sequence[ToolCallParser] = ()
        """One for each answer, where tool calls are to be separated from its text."""
        self.contexts: Sequence[ContextRecorder] = ()
        """One for each answer, where its ids are wanted."""
        self.timer = timer
        self.metrics = metrics
        self.last_events: dict[int, ChatEvent] = {}

    @property
    def has_more(self) -> bool:
        return not self.parsers and self.answers.has_more  # a parser may hold the next one back

    async def __aiter__(self) -> AsyncIterator[tuple[int, ChatEvent]]:
        if self.echoes is not None:
            async for index, event in self.echoes:
                yield index, event
        has_begun = False
        async for index, event in self.answers:
            if not has_begun:
                has_begun = True
                self.metrics.first_token_s.observe(self.timer.first_token_s())
            if self.parsers:
                event = split_calls(event, self.parsers[index])
            if self.contexts:
                event = self.contexts[index].record(event)
            if event.finish_reason is not None:
                self.last_events[index] = event
                self.metrics.count_tokens(event.prompt_tokens, event.completion_tokens)
            if event.text or event.calls or event.logprobs or event.finish_reason:
                yield index, event


def split_calls(event: ChatEvent, parser: ToolCallParser) -> ChatEvent:
    """Return the event with tool calls separated from its text."""
    pieces = [parser.push(event.text)]
    if event.finish_reason is not None:
        pieces.append(parser.finish())
    calls = tuple(call for chunk in pieces for call in chunk.calls)
    return replace(event, text="".join(chunk.text for chunk in pieces), calls=calls)


async def respond(
    stream: EventStream,
    translator: Translator,
    client: Request,
    resources: contextlib.AsyncExitStack,
    *,
    in_pieces: bool,
) -> Response:
    """Return the response to a client; one in pieces takes over the resources, which it releases
    when it has ended.
    """
    if in_pieces:
        return HeldStreamingResponse(
            stream_bytes(stream, translator), translator.media_type, resources.pop_all()
        )
    return await until_disconnect(client, complete_response(stream, translator))


async def complete_response(stream: EventStream, translator: Translator) -> Response:
    """Return the dialect's object once all answers have ended.

    Raises the GroundupError that ended an answer.
    """
    events: list[list[ChatEvent]] = [[] for _ in range(stream.count)]
    async for index, event in stream:
        events[index].append(event)
    return JsonResponse(translator.complete(events, stream.timer.timing()))


async def stream_bytes(stream: EventStream, translator: Translator) -> AsyncIterator[bytes]:
    """Yield the dialect's bytes, those of events that are there together in one piece. After the
    first byte, errors are reported in the stream.
    """
    yield translator.begin()
    piece = b""
    try:
        async for index, event in stream:
            piece += translator.chunk(index, event)
            is_last = event.finish_reason is not None and len(stream.last_events) == stream.count
            if not (is_last or stream.has_more):
                yield piece
                piece = b""
    except RequestError as error:
        yield piece + translator.error(error.message, error.status)
    except GroundupError as error:
        yield piece + translator.error(error.message, 500)
    else:
        last_events = [stream.last_events[index] for index in sorted(stream.last_events)]
        yield piece + translator.end(last_events, stream.timer.timing())


class HeldStreamingResponse(StreamingResponse):
    """A stream that releases its resources however it ends, even if it never began."""

    def __init__(
        self, pieces: AsyncIterator[bytes], media_type: str, resources: contextlib.AsyncExitStack
    ) -> None:
        super().__init__((piece async for piece in pieces if piece), media_type=media_type)
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._resources:
            await super().__call__(scope, receive, send)


async def until_disconnect(client: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Return the response of `work`, which is cancelled when the client disconnects first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(client))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


async def _disconnected(client: Request) -> None:
    while (await client.receive())["type"] != "http.disconnect":
        pass
