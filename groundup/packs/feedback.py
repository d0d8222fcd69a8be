"""feedback.jsonl: how readers rated the replies of a served assistant, and the questions that found
no answer. One JSON object a line (docs/howto/assistant.md has every field):

    {"time": "2026-11-29T22:40:00Z", "reply": "3f0a...", "index": "bank", "kind": "answer",
     "question": "...", "answer": "...", "sources": [{"document": "cards.md", "title": "Cards"}],
     "rating": "down", "text": "It is about another card."}

FeedbackFile(path).append(event)     by any number of threads and processes: whole lines, synced
read_feedback(path)                  the last line of each reply, of the older files, too

`serve` writes it (serve/feedback.py masks personal data before), `groundup pack improve` reads it.
"""

import contextlib
import errno
import itertools
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from groundup.errors import DataError
from groundup.files import disk_errors, json_bytes, make_folder, read_errors
from groundup.operating_system import AS_BYTES, NO_FOLLOW, lock, open_for_lock, replace

UP, DOWN = "up", "down"
RATINGS = (UP, DOWN)
REFUSAL = "refusal"
# A larger file is renamed to feedback.1.jsonl, that to feedback.2.jsonl and so on; what would
# become number KEPT + 1 is deleted.
MAX_BYTES, KEPT = 8 * 2**20, 4
# A longer line is damaged: a question, an answer and a comment have 12,000 characters at most.
MAX_LINE_BYTES = 2**17


@dataclass(frozen=True)
class CitedDocument:
    """A source that a reply cites."""

    document: str
    """The name of its file."""
    title: str = ""
    """The headings of the passage."""


@dataclass(frozen=True)
class FeedbackEvent:
    """A line of the file."""

    time: str
    """UTC, ISO 8601 with seconds."""
    reply: str
    """The reply's number, at random: of two lines with the same one the later one counts."""
    index: str
    """The name of the index that was asked."""
    kind: str
    """`AssistantReply.kind`; "refusal" where the documents held no answer."""
    question: str
    """In its context: earlier messages that it needs stand on lines before it."""
    answer: str
    """The reply as it was read."""
    sources: tuple[CitedDocument, ...] = ()
    rating: str | None = None
    """"up" or "down"; None: nobody rated it, and it is kept since it is a refusal."""
    text: str = ""
    """The reader's comment."""

    @property
    def is_disliked(self) -> bool:
        return self.rating == DOWN

    @property
    def is_unanswered(self) -> bool:
        """Whether it is a refusal that nobody called right."""
        return self.kind == REFUSAL and self.rating != UP


@dataclass(frozen=True)
class Feedback:
    """What the files hold."""

    events: tuple[FeedbackEvent, ...] = ()
    """The last one of each reply, in the order of the replies' first ones."""
    damaged: int = 0
    """Lines that could not be read."""
    files: tuple[Path, ...] = field(default=())


class FeedbackFile:
    """The file that events are appended to. It is made with the first one, for its owner alone."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        # A link of the operator's is followed once, here, and none later.
        self.path = Path(os.path.realpath(path))
        self._max_bytes, self._kept = max_bytes, kept
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Make the file where it is missing. Raises DiskError where it can't be written."""
        with self._lock, disk_errors(self.path), self._opened(0):
            pass

    def append(self, event: FeedbackEvent) -> None:
        """Write an event as one line, whole or not at all. Raises DiskError."""
        line = json_bytes(asdict(event)) + b"\n"
        with self._lock, disk_errors(self.path, len(line)), self._opened(len(line)) as descriptor:
            size = os.fstat(descriptor).st_size
            os.lseek(descriptor, max(0, size - 1), os.SEEK_SET)
            if size and os.read(descriptor, 1) != b"\n":
                line = b"\n" + line  # the line before was cut off, as by a full disk
            written = os.write(descriptor, line)
            if written < len(line):
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, "No space left on device")
            os.fsync(descriptor)

    @contextlib.contextmanager
    def _opened(self, more_bytes: int) -> Iterator[int]:
        """Yield the file of now, locked against other processes, with room for so many bytes. It is
        opened when it is locked, since Windows renames no file that is open.
        """
        make_folder(self.path.parent)
        while True:
            with contextlib.suppress(FileNotFoundError), self._locked() as size:
                if size is None:
                    continue  # another process has renamed it
                if size and size + more_bytes > self._max_bytes:
                    self._rotate()
                    continue
                with _descriptor(self.path) as descriptor:
                    yield descriptor
                return
            with _descriptor(self.path):  # made
                pass

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int | None]:
        """Yield the size of the file that is locked; None where it is another one by now. Raises
        FileNotFoundError.
        """
        before = os.stat(self.path)
        locked = open_for_lock(self.path)
        try:
            with contextlib.suppress(OSError):  # a disk without locks: threads alone are safe
                lock(locked, wait=True)
            now = os.stat(self.path)
            yield now.st_size if os.path.samestat(before, now) else None
        finally:
            os.close(locked)

    def _rotate(self) -> None:
        names = [self.path, *(older_file(self.path, n) for n in range(1, self._kept + 1))]
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            with contextlib.suppress(FileNotFoundError):
                replace(newer, older)


@contextlib.contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    """Open a file to read and append to, made if missing, for its owner alone. Raises OSError."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_FOLLOW | AS_BYTES
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def older_file(path: Path, number: int) -> Path:
    """Return what a full file is renamed to; 1 is the latest.

    >>> older_file(Path("feedback.jsonl"), 1)
    PosixPath('feedback.1.jsonl')
    """
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def read_feedback(path: Path) -> Feedback:
    """Return what a file and the older ones beside it hold. Damaged lines are counted.

    Raises FormatError where it can't be read, DataError where it has lines and none is an event.
    """
    numbered = [older_file(path, number) for number in range(KEPT, 0, -1)]
    files = (*(file for file in numbered if file.is_file()), path)
    latest: dict[str, FeedbackEvent] = {}
    damaged = 0
    for file in files:
        for line in _lines(file):
            event = _event(line)
            if event is None:
                damaged += 1
            else:
                latest[event.reply] = event
    if damaged and not latest:
        fix = "Name the file that `groundup serve --feedback FILE` writes."
        raise DataError(f"{path}: none of its {damaged:,} lines is one of feedback.", fix=fix)
    return Feedback(tuple(latest.values()), damaged, files)


def is_feedback(path: Path) -> bool:
    """Return whether the first line of a file is one of feedback. Raises FormatError."""
    if not path.is_file():
        return False
    return any(_event(line) is not None for line in itertools.islice(_lines(path), 1))


def _lines(file: Path) -> Iterator[bytes]:
    """Yield the lines that are not blank; of one that is too long the beginning."""
    with read_errors(file), file.open("rb") as handle:
        while line := handle.readline(MAX_LINE_BYTES):
            whole = line
            while whole and not whole.endswith(b"\n"):
                whole = handle.readline(MAX_LINE_BYTES)
            if line.strip():
                yield line


def _event(line: bytes) -> FeedbackEvent | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not _is_event(value):
        return None
    known = {each.name: value[each.name] for each in fields(FeedbackEvent) if each.name in value}
    sources = tuple(CitedDocument(each["document"], each["title"]) for each in known["sources"])
    return FeedbackEvent(**{**known, "sources": sources})


def _is_event(value: Mapping[str, Any]) -> bool:
    texts = [value.get(each.name) for each in fields(FeedbackEvent) if each.type is str]
    return (
        _are_texts(texts)
        and bool(value["reply"] and value["question"].strip())
        and value.get("rating") in (None, *RATINGS)
        and _are_sources(value.get("sources"))
    )


def _are_sources(sources: Any) -> bool:
    return isinstance(sources, list) and all(
        isinstance(each, dict) and _are_texts([each.get("document"), each.get("title")])
        for each in sources
    )


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(each, str) for each in values)
