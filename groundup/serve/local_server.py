"""LocalServer: the server without a socket, for a program in the same process: the same requests,
models and engine, from any thread and event loop.

    local = local_server("smollm2-135m-instruct")
    for event in local.events(request): ...                 in a thread; closing the iterator
                                                            cancels the request
    async for event in local.events_async(request): ...     in an event loop, also one that already
                                                            runs; cancelling the task cancels the
                                                            request

The server's own event loop runs in a thread of its own. Requests of several callers are computed
together, as those of several clients are. Servers are shared: the same model with the same options
is in memory once, as long as someone uses it.
"""

import asyncio
import concurrent.futures
import contextlib
import functools
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from groundup.device import machine_memory_bytes, select_compute
from groundup.engine.batch import BatchSettings
from groundup.engine.events import ChatEvent
from groundup.engine.precision import as_precision_choice
from groundup.errors import GroundupError
from groundup.http.access_log import Metrics
from groundup.http.limits import Limits
from groundup.progress import Silent
from groundup.retrieve.assistant_actions import desk_of_build
from groundup.retrieve.index_folders import index_folders
from groundup.serve import assistants
from groundup.serve.indexes import ServedIndexes
from groundup.serve.loaded_models import LoadedModels
from groundup.serve.model_registry import ModelRegistry, base_name
from groundup.serve.requests import (
    FOREVER_S,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    RequestError,
)
from groundup.serve.server import ModelServer
from groundup.serve.tool_prompt import ToolSetting
from groundup.serve.worker import Worker
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.formats import reader_of
from groundup.weights.model_format import require_tokenizer
from groundup.weights.model_io import find_model

T = TypeVar("T")
# The one model of a local server; no client sees it.
NAME = "local"
# Answers that run or wait in the engine; further ones wait outside.
TOGETHER = BatchSettings.max_running + Limits.waiting_requests


@dataclass(frozen=True)
class LocalOptions:
    """How a model is opened."""

    device: str = "auto"
    precision: str | None = "float32"
    """float32, bf16, int8, int4, or auto; None: the default of what writes answers
    (`LoadedModels.precision_of`).
    """
    tools: ToolSetting = "any"
    """Which models get tools (see `tool_prompt.py`)."""


_OPEN: weakref.WeakValueDictionary[tuple[Path, Path | None, LocalOptions], "LocalServer"] = (
    weakref.WeakValueDictionary()
)
_OPENING = threading.Lock()


def local_server(model: str | Path, options: LocalOptions = LocalOptions()) -> "LocalServer":
    """Return the server of a model, by its name or path, of a build with an index that of its
    assistant; the weights are loaded by the first request. Raises ConfigError, FormatError,
    ModelError.
    """
    path = find_model(model, hashes=False).resolve()
    index = next(iter(index_folders(Path(model))), None)
    key = path, index and index.resolve(), options
    with _OPENING:
        found = _OPEN.get(key)
        if found is None:
            found = _OPEN[key] = LocalServer(path, options, index)
    return found


class LocalServer:
    """One model, its server, and the thread of the server's event loop, which ends with this
    object.
    """

    def __init__(self, path: Path, options: LocalOptions, index: Path | None = None) -> None:
        """`index`: it answers from this one, as an assistant. Raises ConfigError, FormatError,
        ModelError.
        """
        settings, self.path, self.limits = BatchSettings(), path, Limits()
        registry = ModelRegistry({NAME: path}, tools=options.tools)
        if index is not None:
            named = {base_name(NAME): path}
            registry = ModelRegistry(named, tools=options.tools, assistants={NAME: NAME})
        worker, precision = Worker(TOGETHER), None
        if options.precision is not None:
            precision = as_precision_choice(options.precision)
        loaded = LoadedModels(
            worker,
            select_compute(options.device),
            precision,
            keep_alive_s=FOREVER_S,
            memory_bytes=machine_memory_bytes(),
            settings=settings,
        )
        indexes = ServedIndexes({} if index is None else {NAME: index})
        if index is not None:
            language = indexes.texts_of(NAME).language
            desk = desk_of_build(index.parent, trial=True, language=language)
            if desk is not None:
                indexes.desks[NAME] = desk
        indexes.open_vectors(worker, Silent())
        self.server = ModelServer(registry, loaded, worker, self.limits, Metrics(), indexes)
        self._free = asyncio.Semaphore(TOGETHER)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(self._loop,), name="groundup", daemon=True).start()
        weakref.finalize(self, _stop, self._loop, worker)

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, read without the weights.

        Raises FormatError, ModelError where it has none.
        """
        return require_tokenizer(reader_of(self.path).tokenizer(self.path), self.path)

    def events(self, request: GenerateRequest) -> Iterator[ChatEvent]:
        """Yield the events of a request's answer.

        Raises the GroundupError that refused or ended it.
        """
        inbox: queue.SimpleQueue[ChatEvent | None] = queue.SimpleQueue()
        running = self._start(self._deliver(request, inbox.put))
        running.add_done_callback(lambda _: inbox.put(None))
        try:
            while (event := inbox.get()) is not None:
                yield event
            running.result()
        finally:
            running.cancel()

    async def events_async(self, request: GenerateRequest) -> AsyncIterator[ChatEvent]:
        """`events`, in the event loop of the caller."""
        loop, inbox = asyncio.get_running_loop(), asyncio.Queue[ChatEvent | None]()

        def put(event: ChatEvent | None) -> None:
            # the caller's loop is closed: no one waits any more
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(inbox.put_nowait, event)

        running = self._start(self._deliver(request, put))
        running.add_done_callback(lambda _: put(None))
        try:
            while (event := await inbox.get()) is not None:
                yield event
            running.result()
        finally:
            running.cancel()

    def answers(self, requests: Sequence[GenerateRequest]) -> list[list[ChatEvent]]:
        """Return the events of each request, all computed together.

        Raises the GroundupError of the first that fails; the others are cancelled.
        """
        return self._start(self._answers(requests)).result()

    async def answers_async(self, requests: Sequence[GenerateRequest]) -> list[list[ChatEvent]]:
        """`answers`, in the event loop of the caller."""
        return await asyncio.wrap_future(self._start(self._answers(requests)))

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Embeddings]:
        """Return the vectors of each request. Raises GroundupError."""
        return self._start(self._embeddings(requests)).result()

    async def embed_async(self, requests: Sequence[EmbedRequest]) -> list[Embeddings]:
        """`embed`, in the event loop of the caller."""
        return await asyncio.wrap_future(self._start(self._embeddings(requests)))

    def _start(self, work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _answers(self, requests: Sequence[GenerateRequest]) -> list[list[ChatEvent]]:
        found: list[list[ChatEvent]] = [[] for _ in requests]
        running = [
            asyncio.ensure_future(self._deliver(request, events.append))
            for request, events in zip(requests, found, strict=True)
        ]
        try:
            await asyncio.gather(*running)
        finally:
            for each in running:
                each.cancel()
        return found

    async def _deliver(self, request: GenerateRequest, put: Callable[[ChatEvent], None]) -> None:
        with _with_cause():
            async with self._free, contextlib.AsyncExitStack() as stack:
                async for _, event in await assistants.stream(self.server, request, stack):
                    put(event)

    async def _embeddings(self, requests: Sequence[EmbedRequest]) -> list[Embeddings]:
        with _with_cause():
            return [(await self.server.embed(request))[0] for request in requests]


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_cancel_all(asyncio.all_tasks(loop)))
        loop.close()


async def _cancel_all(tasks: Collection["asyncio.Task[Any]"]) -> None:
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _stop(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    worker.closed = True
    loop.call_soon_threadsafe(loop.stop)


@contextlib.contextmanager
def _with_cause() -> Iterator[None]:
    """Raise, in place of an error that leaves out what clients elsewhere may not see, the error
    that it stands for.
    """
    try:
        yield
    except RequestError as error:
        if isinstance(error.__cause__, GroundupError):
            raise error.__cause__ from None
        raise
