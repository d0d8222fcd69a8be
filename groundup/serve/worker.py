"""The worker thread: everything that touches a tensor runs in it, one engine step at a time; the
server's event loop receives the events.

    session = ModelSession(engine, worker)                          one for each loaded model
    async for index, event in await session.open(requests): ...     answers, as they are generated
    vectors = await worker.run(lambda: embed(...))                  anything else, between two steps

Requests are submitted to a `BatchEngine` and cancelled between its steps. Steps follow one another
in the thread without waiting for the event loop, which gets the events of each, until other work
waits: on a busy machine each change of threads costs as long as a small model's step. Closing
`Answers` early (a client disconnected) cancels its requests, whose slots are free after the current
step.
"""

import asyncio
import contextlib
import functools
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from groundup.engine.events import ChatEvent, StepOutput
from groundup.engine.request import Request
from groundup.errors import GroundupError
from groundup.serve.requests import RequestError

if TYPE_CHECKING:
    from groundup.engine.batch import BatchEngine

T = TypeVar("T")
log = logging.getLogger(__name__)


class Worker:
    """The thread, which runs work in the order of submission."""

    def __init__(self, max_answers: int) -> None:
        """`max_answers`: running and waiting, of all sessions together; more are refused."""
        self.max_answers = max_answers
        self.num_answers = 0
        self.stopping = self.closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._waiting: deque[None] = deque()  # one for each piece of work that has not begun

    @property
    def is_awaited(self) -> bool:
        """Whether other work waits for what runs now."""
        return bool(self._waiting) or self.closed

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Submit `work` and return a future of its result."""
        return asyncio.wrap_future(self._submit(work))

    def _submit(self, work: Callable[[], T]) -> "Future[T]":
        def begin() -> T:
            self._waiting.pop()
            return work()

        def forget(future: "Future[T]") -> None:
            if future.cancelled():  # it never begins
                self._waiting.pop()

        self._waiting.append(None)
        submitted = self._thread.submit(begin)
        submitted.add_done_callback(forget)
        return submitted

    def result(self, work: Callable[[], T]) -> T:
        """Return the result of `work`.

        Waits, so it is called in another thread than the worker's and the event loop's.
        """
        return self._submit(work).result()

    def admit(self, count: int) -> None:
        """Raise RequestError (503) when `count` more answers are too many, or the server is
        stopping.
        """
        if self.stopping:
            raise RequestError("the server is stopping", status=503)
        if self.num_answers + count > self.max_answers:
            raise RequestError(
                f"the server is busy: {self.num_answers} answers are running or waiting", status=503
            )

    def close(self) -> None:
        """Stop: pending work is dropped, running work is waited for."""
        self.closed = True
        self._thread.shutdown(cancel_futures=True)


async def in_own_thread(work: Callable[[], T]) -> T:
    """Return the result of work that runs beside the worker, in a thread that ends with it.

    A thread that lived on would keep the OpenMP threads that its tensors were shared out to. With
    more of those than cores, OpenMP threads sleep instead of spinning briefly, the worker's too: a
    token of SmolLM2 in int8 then takes 36 ms instead of 21 (docs/log.md).
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="beside")
    try:
        return await asyncio.wrap_future(thread.submit(work))
    finally:
        thread.shutdown(wait=False)


class ModelSession:
    """One loaded model's engine, and the `Answers` that wait for its events."""

    def __init__(self, engine: "BatchEngine", worker: Worker) -> None:
        self.engine = engine
        self.worker = worker
        self._pending: dict[str, tuple[Answers, int]] = {}
        self._pump: asyncio.Task[None] | None = None
        self._ready: deque[Sequence[tuple[str, StepOutput]]] = deque()  # events of whole steps

    async def open(self, requests: Sequence[Request], *, admitted: bool = False) -> "Answers":
        """Submit the requests. Raises RequestError (503) when they are too many, unless they are
        part of an answer that was `admitted`, and what the engine raises for one that it refuses.
        """
        if not admitted:
            self.worker.admit(len(requests))
        self.worker.num_answers += len(requests)
        answers = Answers(self, len(requests))
        self._pending |= {request.id: (answers, index) for index, request in enumerate(requests)}

        def submit() -> None:
            for request in requests:
                self.engine.submit(request)

        with contextlib.ExitStack() as undo:
            undo.callback(answers.close)
            await self.worker.run(submit)
            undo.pop_all()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._work())
        return answers

    def cancel(self, answers: "Answers") -> None:
        for id in [id for id, (owner, _) in self._pending.items() if owner is answers]:
            self._forget(id)
            self._cancel(id)

    def fail_all(self, error: GroundupError) -> None:
        """End every answer with an error."""
        self._deliver_ready()
        for id in list(self._pending):
            self._deliver([(id, error)])
            self._cancel(id)

    def _cancel(self, id: str) -> None:
        if not self.worker.closed:
            self.worker.run(functools.partial(self.engine.cancel, id))

    async def _work(self) -> None:
        """Run steps while answers are pending."""
        loop = asyncio.get_running_loop()
        while self._pending:
            steps = self.worker.run(functools.partial(self._steps, loop))
            await asyncio.wait([steps])
            if error := steps.exception():  # a bug: the running answers can't be trusted
                log.error("a step of the engine failed", exc_info=error)
                self.fail_all(
                    RequestError(
                        "internal server error; the server's log has the details", status=500
                    )
                )
                return

    def _steps(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the worker's thread: step after step, until no answer runs or other work waits."""
        while True:
            events = self.engine.step()
            if events:
                self._ready.append(events)
                if len(self._ready) == 1:  # else `_deliver_ready` is still to come, or at it
                    loop.call_soon_threadsafe(self._deliver_ready)
            if not self.engine.busy or self.worker.is_awaited:
                return

    def _deliver_ready(self) -> None:
        """In the event loop, which may be some steps behind."""
        while self._ready:
            self._deliver(self._ready.popleft())

    def _deliver(self, events: Sequence[tuple[str, StepOutput]]) -> None:
        for id, output in events:
            if id in self._pending:
                answers, index = self._pending[id]
                answers.put(index, output)
                if isinstance(output, GroundupError) or output.finish_reason is not None:
                    self._forget(id)

    def _forget(self, id: str) -> None:
        del self._pending[id]
        self.worker.num_answers -= 1


class Answers:
    """The events of several requests, each with the index of its request, in the order of
    generation. Close it when done, or earlier.
    """

    def __init__(self, session: ModelSession, count: int) -> None:
        self.count = count
        self._session = session
        # Bounded by the number of events, as every answer ends with the context.
        self._events: asyncio.Queue[tuple[int, StepOutput]] = asyncio.Queue()

    def put(self, index: int, output: StepOutput) -> None:
        """Add an event or error; called by the session."""
        self._events.put_nowait((index, output))

    @property
    def has_more(self) -> bool:
        """Whether an event is there that was not read yet."""
        return not self._events.empty()

    async def __aiter__(self) -> AsyncIterator[tuple[int, ChatEvent]]:
        """Yield events until the last one of each request.

        Raises the GroundupError that ended one of them.
        """
        left = self.count
        while left:
            index, output = await self._events.get()
            if isinstance(output, GroundupError):
                raise output
            left -= output.finish_reason is not None
            yield index, output

    def close(self) -> None:
        """Cancel what has not ended."""
        self._session.cancel(self)
