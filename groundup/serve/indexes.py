"""ServedIndexes: the indexes of documents that the server answers from, by name.

A name is only looked up in a table and never becomes a path. Searching reads files and hashes, so
it runs in a few threads of its own: searches never take those that other requests wait for. A
conversation with actions may wait for an address or a locked file, so it has other threads, and
searches in the former.

What reads an index and answers from it is imported by the first one: a third of the time that a
server without any takes to start.
"""

import asyncio
import contextlib
import copy
import logging
import os
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from groundup.errors import ConfigError, FormatError, did_you_mean
from groundup.http.json_object import JsonObject
from groundup.http.keys import ALL
from groundup.progress import Progress
from groundup.serve.requests import RequestError
from groundup.serve.worker import Worker

if TYPE_CHECKING:
    from groundup.actions.desk import ActionDesk
    from groundup.packs.assistant_texts import AssistantTexts
    from groundup.retrieve.answer import AskConfig
    from groundup.retrieve.index import Index
    from groundup.retrieve.search import Keep
    from groundup.retrieve.vectors import Vectors

T = TypeVar("T")
THREADS = 2
# More than wait for calls outside (`actions.effects.MAX_CALLS`).
CONVERSATION_THREADS = 32
SUFFIX = ".index"
log = logging.getLogger(__name__)


class ServedIndexes:
    """The table of names, in the order in which they were given; the first one is the default."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        """Raises FormatError for what is no index, or is damaged, also of a build's recipe."""
        self.own_words = False
        """Whether an answer also has a model's own sentences where the request does not say; else
        quotations only.
        """
        self.promised = False
        """Whether only what an index's promised error rate covers is answered, also where the
        request does not say.
        """
        self.desks: dict[str, ActionDesk] = {}
        """Of the indexes that an assistant answers from, what does its actions."""
        self._public = False
        self._paths = dict(paths)
        self._questions: dict[str, list[str]] = {}
        self._texts: dict[str, AssistantTexts] = {}
        self._opened: dict[str, tuple[tuple[int, int], Index]] = {}
        self._vectors: dict[str, tuple[tuple[tuple[int, int], ...], Vectors | None]] = {}
        self._open_vectors: Callable[[Path], Vectors | None] | None = None
        self._lock, self._vectors_lock = threading.Lock(), threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
        self._conversations = ThreadPoolExecutor(CONVERSATION_THREADS, "conversation")
        for name, path in self._paths.items():
            self._read_texts(name, path.parent)
        for name in self._paths:
            self._current(name).counts()

    def _read_texts(self, name: str, build: Path) -> None:
        from groundup.retrieve.assistant import texts_of_build
        from groundup.serve.index_entries import example_questions

        self._questions[name] = example_questions(build)
        self._texts[name] = texts_of_build(build)

    def open_vectors(self, worker: Worker, progress: Progress) -> None:
        """Open the vectors of the indexes that have some, so that they are searched by both and
        actions are chosen by meaning; an encoder computes in the worker's thread.
        """

        if not self._paths:
            return
        from groundup.retrieve.assistant_actions import hear_by_meaning
        from groundup.retrieve.rankings import AUTO, vectors_for
        from groundup.retrieve.vectors import SecondEncoder

        def open_on_worker(path: Path) -> "Vectors | None":
            found = worker.result(lambda: vectors_for(AUTO, path, "cpu", progress))
            if found is not None:
                embed, read, second = found.embed, found.read, found.second
                found.embed = lambda texts: worker.result(lambda: embed(texts))
                if read is not None:
                    found.read = lambda *args: worker.result(lambda: read(*args))
                if second is not None:
                    found.second = SecondEncoder(
                        second.name,
                        lambda texts: worker.result(lambda: second.embed(texts)),
                        lambda *args: worker.result(lambda: second.read(*args)),
                    )
            return found

        self._open_vectors = open_on_worker
        for name in self._paths:
            vectors = self._current_vectors(name)
            if name in self.desks:
                hear_by_meaning(self.desks[name], vectors)

    def promise_lines(self) -> list[str]:
        """Return what is promised of each index where only that is answered, else each promise that
        holds no longer, a sentence each. Raises ConfigError for one without a promise that has to
        have one.
        """
        if not self._paths:
            return []
        from groundup.retrieve.evidence import no_evidence
        from groundup.retrieve.operating_points import operating_point

        found = []
        for name, path in self._paths.items():
            point = operating_point(path, no_evidence(self._current_vectors(name)))
            if point.promise is not None and self.promised:
                found.append(f"Answers only what is promised. {name}: {point.promise.text}")
            elif self.promised:
                raise point.no_promise(path)
            elif point.is_outdated:
                found.append(f"note: {point.no_promise(path)}")
        return found

    def ask_config(self, passages: int, *, promised: bool = False) -> "AskConfig":
        """Return how a question is answered from so many passages; `promised` as the request wants
        it.
        """
        from groundup.retrieve.answer import AskConfig

        return AskConfig(passages, promised=promised or self.promised)

    @property
    def names(self) -> list[str]:
        return list(self._paths)

    def limited_to(
        self, names: Collection[str], also: Collection[str], *, public: bool = False
    ) -> "ServedIndexes":
        """Return these indexes with the given names alone (all with "*") and those of `also`; files
        and vectors stay open in common. `public`: without the documents for staff. Raises
        ConfigError for an unknown name.
        """
        known = set(self._paths)
        for name in set(names) - known - {ALL}:
            raise ConfigError(
                f"A key is for the index {name!r}, which is not served.",
                fix=did_you_mean(name, known),
            )
        limited = copy.copy(self)
        limited._public = public
        wanted = known if ALL in names else {*names, *also}
        limited._paths = {name: path for name, path in self._paths.items() if name in wanted}
        return limited

    def texts_of(self, name: str) -> "AssistantTexts":
        """Return what the assistant of an index says in fixed words; without questions of its own
        those that the build's quotations answered.
        """
        texts = self._texts[name]
        return replace(
            texts,
            organisation=texts.organisation or name,
            questions=texts.questions or tuple(self._questions[name]),
        )

    def shown(self, name: str) -> "Keep":
        """Return which passages of an index its readers may see: with a public key none of the
        documents for staff (`AssistantTexts.staff_documents`).
        """
        from groundup.retrieve.search import every

        texts = self._texts[name]
        if not self._public or not texts.staff_documents:
            return every
        return lambda passage: not texts.is_for_staff(passage.document)

    def find(self, name: str | None) -> str:
        """Return the name of an index; None: the first one. Raises RequestError (404)."""
        if name is None and self._paths:
            return self.names[0]
        if name not in self._paths:
            known = "start the server with --index INDEX"
            if self._paths:
                known = f"there are: {', '.join(self.names)}"
            problem = f'index "{(name or "")[:120]}" not found; {known}'
            raise RequestError(problem, status=404, code="index_not_found", param="index")
        return name

    async def use(self, name: str, work: Callable[["Index"], T]) -> T:
        """Return the result of `work` with an index, in a thread.

        Raises what it raises, RequestError (500) for an index that can't be read.
        """
        return await self._in_thread(self._threads, name, lambda: work(self._current(name)))

    async def converse(self, name: str, work: Callable[[], T]) -> T:
        """Return the result of `work`, which may do actions, in a thread for such; it searches by
        `searched`. Raises as `use` does.
        """
        return await self._in_thread(self._conversations, name, work)

    def searched(self, name: str, work: Callable[["Index", "Vectors | None"], T]) -> T:
        """Return the result of `search` in a thread of `converse`."""
        found = self._threads.submit(lambda: work(self._current(name), self._current_vectors(name)))
        return found.result()

    async def _in_thread(self, threads: ThreadPoolExecutor, name: str, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(threads, work)
        except FormatError as error:
            from groundup.actions.world import WORLD_FILE

            log.error("the index %s: %s", name, error)
            if Path(error.file).name == WORLD_FILE:
                problem = (
                    "this can't be done now, and nothing was changed; the server's log says why"
                )
                raise RequestError(problem, status=503) from error
            problem = f"index \"{name}\" can't be read now; the server's log says why"
            raise RequestError(problem, status=500, param="index") from error

    async def search(self, name: str, work: Callable[["Index", "Vectors | None"], T]) -> T:
        """Return the result of `work` with an index and its vectors, in a thread.

        Raises as `use` does.
        """
        return await self.use(name, lambda index: work(index, self._current_vectors(name)))

    async def entries(self) -> list[JsonObject]:
        """Return the contents of each index; one that can't be read now, such as one that is being
        rebuilt, is left out.
        """
        found = []
        for name in self.names:
            with contextlib.suppress(RequestError):
                found.append(await self.use(name, partial(self._entry, name)))
        return found

    def _entry(self, name: str, index: "Index") -> JsonObject:
        from groundup.serve.index_entries import heading_questions, index_entry

        own = self._questions[name] or self._texts[name].questions or heading_questions(index)
        return index_entry(name, index.counts(), own)

    def _current_vectors(self, name: str) -> "Vectors | None":
        """Return the open vectors with the rows of now; opened again where others were made, or the
        first. Raises FormatError.
        """
        if self._open_vectors is None:
            return None
        from groundup.retrieve.index import (
            ADAPTER_FILE,
            SECOND_READER_FILE,
            TUNED,
            VECTORS_FILE,
            VECTORS_FOLDER,
        )

        about = _stat(self._paths[name] / VECTORS_FOLDER / VECTORS_FILE)
        with self._vectors_lock:
            if about is None:
                self._vectors.pop(name, None)
                return None
            tuned = _stat(self._paths[name] / TUNED / ADAPTER_FILE)
            second = _stat(self._paths[name] / SECOND_READER_FILE)
            files = (about, tuned, second)
            identity = tuple((each.st_ino, each.st_mtime_ns) for each in files if each)
            known, vectors = self._vectors.get(name, ((), None))
            if identity != known:
                vectors = self._open_vectors(self._paths[name])
            if vectors is not None:
                vectors = vectors.current()
            self._vectors[name] = identity, vectors
            return vectors

    def _current(self, name: str) -> "Index":
        """Return the open index; opened again where another one was made in its place.

        Raises FormatError.
        """
        from groundup.retrieve.index import INDEX_FILE, Index, missing_index

        path = self._paths[name]
        with self._lock:
            found = _stat(path / INDEX_FILE)
            if found is None:
                raise missing_index(path)
            identity = found.st_dev, found.st_ino
            if name not in self._opened or self._opened[name][0] != identity:
                index = Index(path)
                self._opened[name] = identity, index
                if index.note:
                    log.warning("%s", index.note)
            return self._opened[name][1]


def _stat(file: Path) -> os.stat_result | None:
    try:
        return os.stat(file)
    except OSError:
        return None
