"""A Runner over `engine.Engine`: every job has a generator of its own, and a step asks each of them for its next event.

So each answer is what it is alone, to the bit, whatever else runs; nothing is computed together, and ten answers take ten times as long as one.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from groundup.engine.engine import Engine
from groundup.engine.events import ChatEvent
from groundup.errors import GroundupError
from groundup.serve.worker import Job, Outcome, Ticket


class Interleaved:
    """`Runner` for one opened model."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._tickets = itertools.count()
        self._running: dict[Ticket, Iterator[ChatEvent]] = {}

    def submit(self, job: Job) -> Ticket:
        """Put a job in; its errors come with the first step."""
        ticket = next(self._tickets)
        self._running[ticket] = self._events(job)
        return ticket

    def _events(self, job: Job) -> Iterator[ChatEvent]:
        for event in self.engine.complete(job.prompt_ids, job.sampling):
            yield replace(event, dropped_messages=job.dropped_messages)

    def cancel(self, ticket: Ticket) -> None:
        """Take a job out; one that is over or unknown is none."""
        self._running.pop(ticket, None)

    def step(self) -> list[tuple[Ticket, Outcome]]:
        """The next event of every job."""
        return [(ticket, self._next(ticket)) for ticket in list(self._running)]

    def _next(self, ticket: Ticket) -> Outcome:
        try:
            event = next(self._running[ticket])
        except GroundupError as error:
            del self._running[ticket]
            return error
        if event.finish_reason is not None:
            del self._running[ticket]
        return event
