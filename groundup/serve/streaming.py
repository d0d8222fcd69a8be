"""Events on their way to a client: counted and timed, as a stream or whole, and given up when the client hangs up."""

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
from groundup.http.json_response import JsonResponse
from groundup.http.metrics import Metrics
from groundup.serve.requests import RequestError, Timing
from groundup.serve.worker import Answers

CLIENT_CLOSED_REQUEST = 499  # nginx's number for it; nobody reads it


@runtime_checkable
class Translator(Protocol):
    """Events -> bytes of one dialect, for one request. `index` is the job's."""

    media_type: str

    def begin(self) -> bytes: ...

    def piece(self, index: int, event: ChatEvent) -> bytes: ...

    def end(self, lasts: Sequence[ChatEvent], timing: Timing) -> bytes: ...

    def failure(self, message: str, status: int) -> bytes: ...

    def whole(self, answers: Sequence[Sequence[ChatEvent]], timing: Timing) -> dict[str, Any]: ...


class RequestTimer:
    """When the parts of an answer were over."""

    def __init__(self) -> None:
        self.started = self.ready = self.first = time.monotonic_ns()

    def loaded(self) -> None:
        """The model is there."""
        self.ready = self.first = time.monotonic_ns()

    def said(self) -> None:
        """The first event has come."""
        self.first = time.monotonic_ns()

    def timing(self) -> Timing:
        """Up to now."""
        now = time.monotonic_ns()
        return Timing(now - self.started, self.ready - self.started, self.first - self.ready, now - self.first)


class AnswerStream:
    """The events of a request's answers as they come, counted and timed; afterwards the last event of each."""

    def __init__(
        self, answers: Answers, clock: RequestTimer, metrics: Metrics, splitters: Sequence[ToolCallParser] = ()
    ) -> None:
        """`splitters`: one for each answer, where calls are to be parted from its text."""
        self.answers = answers
        self.splitters = splitters
        self.clock = clock
        self.metrics = metrics
        self.lasts: dict[int, ChatEvent] = {}

    async def __aiter__(self) -> AsyncIterator[tuple[int, ChatEvent]]:
        begun = False
        async for index, event in self.answers:
            if not begun:
                begun = True
                self.clock.said()
                self.metrics.first_token_s.observe((self.clock.first - self.clock.started) / 1e9)
            if self.splitters:
                event = split_calls(event, self.splitters[index])
            if event.finish_reason is not None:
                self.lasts[index] = event
                self.metrics.tokens.labels("prompt").inc(event.prompt_tokens)
                self.metrics.tokens.labels("answer").inc(event.completion_tokens)
            if event.text or event.calls or event.logprobs or event.finish_reason:
                yield index, event

    def in_order(self) -> list[ChatEvent]:
        """The last events by index."""
        return [self.lasts[index] for index in sorted(self.lasts)]


def split_calls(event: ChatEvent, splitter: ToolCallParser) -> ChatEvent:
    """The event with its calls apart from its text."""
    pieces = [splitter.push(event.text), *([] if event.finish_reason is None else [splitter.finish()])]
    calls = tuple(call for piece in pieces for call in piece.calls)
    return replace(event, text="".join(piece.text for piece in pieces), calls=calls)


async def complete_response(told: AnswerStream, translator: Translator) -> Response:
    """The dialect's object, once all has been said. Raises the GroundupError that an answer ends with."""
    events: list[list[ChatEvent]] = [[] for _ in range(told.answers.count)]
    async for index, event in told:
        events[index].append(event)
    return JsonResponse(translator.whole(events, told.clock.timing()))


async def stream_bytes(told: AnswerStream, translator: Translator) -> AsyncIterator[bytes]:
    """The dialect's bytes. After the first byte an error is told in the stream."""
    yield translator.begin()
    try:
        async for index, event in told:
            yield translator.piece(index, event)
    except RequestError as error:
        yield translator.failure(error.message, error.status)
    except GroundupError as error:
        yield translator.failure(error.message, 500)
    else:
        yield translator.end(told.in_order(), told.clock.timing())


class HeldStreamingResponse(StreamingResponse):
    """A stream that lets go of everything when it ends, however it ends; also one that was never begun."""

    def __init__(self, pieces: AsyncIterator[bytes], media_type: str, held: contextlib.AsyncExitStack) -> None:
        super().__init__(_non_empty(pieces), media_type=media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


async def _non_empty(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Without the empty ones."""
    async for piece in pieces:
        if piece:
            yield piece


async def until_disconnect(client: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """The response of `work`, which is given up when the client hangs up first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(client))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else Response(status_code=CLIENT_CLOSED_REQUEST)
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


async def _disconnected(client: Request) -> None:
    while (await client.receive())["type"] != "http.disconnect":
        pass
