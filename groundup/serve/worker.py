"""One thread owns the models: whatever touches a tensor runs in it, a step at a time, and the server's event loop gets the events.

    desk = Desk(runner, worker)                                     one for each loaded model
    async for index, event in desk.open(jobs): ...                  answers, as they are written
    vectors = await worker.run(lambda: embed(...))                  anything else, between two steps

A `StepEngine` is an engine as the worker needs it: jobs are put in and taken out between steps, and a step gives the events that it made. While
one step computes, the events of the step before are on their way to the clients. Whoever closes its `Answers` early (a client that hung up) has
its jobs taken out, and their places are free after the step at work.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar, runtime_checkable

from groundup.engine.events import ChatEvent
from groundup.engine.request import Request
from groundup.errors import GroundupError
from groundup.serve.requests import RequestError

T = TypeVar("T")
# What an engine may say of a job: an event, or why there will be no more.
StepOutput = ChatEvent | GroundupError
log = logging.getLogger(__name__)


@runtime_checkable
class StepEngine(Protocol):
    """An engine at work on several jobs. All three are called in the worker's thread only."""

    def submit(self, request: Request) -> None: ...

    def cancel(self, request_id: str) -> None: ...

    def step(self) -> Sequence[tuple[str, StepOutput]]: ...


class Worker:
    """The thread. What is given to it is done in that order."""

    def __init__(self, max_jobs: int) -> None:
        """`max_jobs`: at work and waiting, of all desks together; more are refused."""
        self.max_jobs = max_jobs
        self.jobs = 0
        self.stopping = self.closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    def run(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Await it for the result of `work`; it is in its place already."""
        return asyncio.wrap_future(self._thread.submit(work))

    def admit(self, count: int) -> None:
        """Raises RequestError, 503, where so many more jobs are too many, or the server is stopping."""
        if self.stopping:
            raise RequestError("the server is stopping", status=503)
        if self.jobs + count > self.max_jobs:
            raise RequestError(f"the server is busy: {self.jobs} answers are at work or waiting", status=503)

    def close(self) -> None:
        """No more work; what has not begun is dropped, what has begun is waited for."""
        self.closed = True
        self._thread.shutdown(cancel_futures=True)


async def in_own_thread(work: Callable[[], T]) -> T:
    """The result of work beside the worker, in a thread that ends with it.

    One that lived on would keep the OpenMP threads that its tensors were shared out to. Where there are more of those than cores, OpenMP has all
    of them sleep instead of wait for a moment, the worker's too: a token of SmolLM2 in int8 then takes 36 ms for 21 (docs/log.md).
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="beside")
    try:
        return await asyncio.wrap_future(thread.submit(work))
    finally:
        thread.shutdown(wait=False)


class ModelSession:
    """A runner, and who waits for which of its answers."""

    def __init__(self, runner: StepEngine, worker: Worker) -> None:
        self.runner = runner
        self.worker = worker
        self._asked: dict[str, tuple[Answers, int]] = {}
        self._pump: asyncio.Task[None] | None = None

    async def open(self, jobs: Sequence[Request]) -> "Answers":
        """Put the jobs in. Raises RequestError, 503, where they are too many, and what the runner says of one that it can't do."""
        self.worker.admit(len(jobs))
        self.worker.jobs += len(jobs)
        answers = Answers(self, len(jobs))
        self._asked |= {job.id: (answers, index) for index, job in enumerate(jobs)}
        with contextlib.ExitStack() as undo:
            undo.callback(answers.close)
            await self.worker.run(functools.partial(self._submit, jobs))
            undo.pop_all()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._work())
        return answers

    def take_out(self, answers: "Answers") -> None:
        """Its jobs are wanted no more."""
        for id in [id for id, (owner, _) in self._asked.items() if owner is answers]:
            self._forget(id)
            self._cancel(id)

    def fail_all(self, error: GroundupError) -> None:
        """End every answer with an error."""
        for id in list(self._asked):
            self._deliver([(id, error)])
            self._cancel(id)

    def _submit(self, jobs: Sequence[Request]) -> None:
        for job in jobs:
            self.runner.submit(job)

    def _cancel(self, id: str) -> None:
        if not self.worker.closed:
            self.worker.run(functools.partial(self.runner.cancel, id))

    async def _work(self) -> None:
        """Step after step, as long as anybody waits."""
        events: Sequence[tuple[str, StepOutput]] = []
        while self._asked:
            step = self.worker.run(self.runner.step)
            self._deliver(events)
            await asyncio.wait([step])
            if error := step.exception():  # a bug; the answers at work can't be trusted
                log.error("a step of the engine failed", exc_info=error)
                self.fail_all(RequestError("the server made a mistake; its log says more", status=500))
                return
            events = step.result()
        self._deliver(events)

    def _deliver(self, events: Sequence[tuple[str, StepOutput]]) -> None:
        for id, outcome in events:
            if id in self._asked:
                answers, index = self._asked[id]
                answers.put(index, outcome)
                if isinstance(outcome, GroundupError) or outcome.finish_reason is not None:
                    self._forget(id)

    def _forget(self, id: str) -> None:
        del self._asked[id]
        self.worker.jobs -= 1


class Answers:
    """The events of a request's jobs, each with the job's index, in the order in which they are made. Close it when done, or earlier."""

    def __init__(self, desk: ModelSession, count: int) -> None:
        self.count = count
        self._desk = desk
        # Holds no more than the answers have events: they end with the context.
        self._events: asyncio.Queue[tuple[int, StepOutput]] = asyncio.Queue()

    def put(self, index: int, outcome: StepOutput) -> None:
        """From the desk."""
        self._events.put_nowait((index, outcome))

    async def __aiter__(self) -> AsyncIterator[tuple[int, ChatEvent]]:
        """Until the last event of each job. Raises the GroundupError that one of them ends with."""
        left = self.count
        while left:
            index, outcome = await self._events.get()
            if isinstance(outcome, GroundupError):
                raise outcome
            left -= outcome.finish_reason is not None
            yield index, outcome

    def close(self) -> None:
        """What is not written yet is wanted no more."""
        self._desk.take_out(self)
