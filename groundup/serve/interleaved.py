"""A Runner over `engine.Engine`: every job has a generator of its own, and a step asks each of them for its next event.

So each answer is what it is alone, to the bit, whatever else runs; nothing is computed together, and ten answers take ten times as long as one.
"""

from collections.abc import Iterator
from dataclasses import replace

from groundup.engine.engine import Engine
from groundup.engine.events import ChatEvent
from groundup.engine.request import Request
from groundup.errors import GroundupError
from groundup.serve.worker import Outcome


class Interleaved:
    """`Runner` for one opened model."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._running: dict[str, Iterator[ChatEvent]] = {}

    def submit(self, request: Request) -> None:
        """Put a job in; its errors come with the first step."""
        self._running[request.id] = self._events(request)

    def _events(self, request: Request) -> Iterator[ChatEvent]:
        for event in self.engine.complete(request.prompt_ids, request.sampling):
            yield replace(event, dropped_messages=request.dropped_messages)

    def cancel(self, id: str) -> None:
        """Take a job out; one that is over or unknown is none."""
        self._running.pop(id, None)

    def step(self) -> list[tuple[str, Outcome]]:
        """The next event of every job."""
        return [(id, self._next(id)) for id in list(self._running)]

    def _next(self, id: str) -> Outcome:
        try:
            event = next(self._running[id])
        except GroundupError as error:
            del self._running[id]
            return error
        if event.finish_reason is not None:
            del self._running[id]
        return event
