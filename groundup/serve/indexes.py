"""ServedIndexes: the indexes of documents that the server answers from, by name, and their passages as clients see them.

A name is only looked up in a table and never becomes a path. Searching reads files and hashes, so it runs in a few threads of its own: searches never
take those that other requests wait for. No path of this machine goes to a client: a document is named by its place within its source.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from groundup.errors import FormatError
from groundup.retrieve.index import INDEX_FILE, Index
from groundup.retrieve.passages import Passage
from groundup.retrieve.search import is_current
from groundup.serve.requests import RequestError

T = TypeVar("T")
THREADS = 2
SUFFIX = ".index"
# Of a longer document, the part around a passage is sent.
WINDOW_CHARACTERS = 200_000


class ServedIndexes:
    """The table of names, in the order in which they were given; the first one is the default."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        """Raises FormatError for what is no index, or is damaged."""
        self._paths = dict(paths)
        self._opened: dict[str, tuple[tuple[int, int], Index]] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
        for name in self._paths:
            self._current(name).counts()

    @property
    def names(self) -> list[str]:
        """The names of all indexes."""
        return list(self._paths)

    def find(self, name: str | None) -> str:
        """Return the name of an index; None: the first one. Raises RequestError (404)."""
        if name is None and self._paths:
            return self.names[0]
        if name not in self._paths:
            known = f"there are: {', '.join(self.names)}" if self._paths else "start the server with --index INDEX"
            message = f'index "{(name or "")[:120]}" not found; {known}'
            raise RequestError(message, status=404, code="index_not_found", param="index")
        return name

    async def use(self, name: str, work: Callable[[Index], T]) -> T:
        """Return the result of `work` with an index, in a thread. Raises what it raises, FormatError for a damaged index."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(self._current(name)))

    async def entries(self) -> list[dict[str, Any]]:
        """Return what each index holds."""
        return [await self.use(name, lambda index, name=name: entry(name, index)) for name in self.names]  # type: ignore[misc]

    def _current(self, name: str) -> Index:
        """Return the open index; opened again where another one was made in its place. Raises FormatError."""
        path = self._paths[name]
        with self._lock:
            try:
                found = os.stat(path / INDEX_FILE)
            except OSError as error:
                fix = f"Make one with: groundup index DOCS --out {path}"
                raise FormatError(path, INDEX_FILE, "is missing, so this is no index", fix=fix) from error
            identity = found.st_dev, found.st_ino
            if name not in self._opened or self._opened[name][0] != identity:
                self._opened[name] = identity, Index(path)
            return self._opened[name][1]


def entry(name: str, index: Index) -> dict[str, Any]:
    """Return what an index holds; of files that could not be read, how many."""
    held = index.counts()
    return {
        "name": name,
        "passages": held.passages,
        "documents": held.documents,
        "files": held.files,
        "languages": held.languages,
        "unread": len(held.faults),
    }


def passage_path(name: str, passage: Passage) -> str:
    """Return the path of a passage on this server."""
    return f"/groundup/passages/{name}/{passage.id}"


def source_entries(name: str, sources: Sequence[Passage], base_url: str = "") -> list[dict[str, Any]]:
    """Return the sources of an answer, numbered from 1. `base_url`: of the server, without a slash at its end."""
    return [
        {
            "number": number,
            **shown(passage),
            "url": base_url + passage_path(name, passage),
            "text": passage.text,
            "start": passage.start,
            "end": passage.end,
        }
        for number, passage in enumerate(sources, start=1)
    ]


def shown(passage: Passage) -> dict[str, str]:
    """Return how a passage is called: its headings, its document, and the document's place within its source."""
    document = passage.document.rpartition("/")[2]
    return {"title": passage.title or document, "document": document, "address": passage.document}


def passage_page(name: str, index: Index, id: int) -> dict[str, Any]:
    """Return a passage within the text of its document. Raises RequestError (404) for one that is gone, with its file or from the index."""
    found = index.passages([id])
    if not found or (os.path.isabs(found[0].file) and not os.path.exists(found[0].file)):
        raise RequestError("this passage is gone: its document was changed or deleted", status=404, param="id")
    passage = found[0]
    half = WINDOW_CHARACTERS // 2
    offset, text = index.document_window(passage.document_id, max(0, passage.start - half), passage.end + half)
    previous, following = index.neighbours(passage)
    return {
        "index": name,
        "id": id,
        **shown(passage),
        "text": text,
        "offset": offset,
        "start": passage.start,
        "end": passage.end,
        "previous": previous,
        "next": following,
        "changed": not is_current(index, passage.file),
    }
