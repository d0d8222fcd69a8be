"""Documents of other formats, read in a child process with limits on processor time, memory and
output; one process reads many files.

    extract_documents(path, ".pdf", headings) -> Extracted(part, text, fault), ...

A document that exceeds a limit, or ends the process, is one `Extracted` with its fault; the next
file gets a new process. Time and text grow with the size of the file, as what an archive may expand
to does (`fetch.expansion_limit`). A process that needed much memory is not kept.

Each reading that is under way has a process for itself, so that two sources can be read in turns; a
few that are idle are kept for the next files.
"""

import atexit
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from groundup.data.reading.extract import EXTRACTORS, MAX_FILE_BYTES, Extracted
from groundup.errors import FormatError
from groundup.fetch import expansion_limit
from groundup.limited_process import (
    LimitedProcess,
    ProcessEnded,
    ProcessLimits,
    over_memory,
    peak_memory_bytes,
    serve_requests,
)


@dataclass(frozen=True)
class ExtractionLimits:
    """What reading one file may take."""

    cpu_seconds: float = 20.0
    cpu_seconds_per_mib: float = 10.0
    """Added for each MiB of the file. Pages and books of the clean kind take about 1 s."""
    memory_bytes: int = 2 * 2**30
    document_characters: int = 2**26
    """Of one document. All of Shakespeare has 5.1 million."""
    kept_bytes: int = 2**29
    """A process that had more memory than this ends after the file."""

    def cpu_limit(self, size_bytes: int) -> float:
        """Return the processor time for a file."""
        return self.cpu_seconds + self.cpu_seconds_per_mib * size_bytes / 2**20


LIMITS = ExtractionLimits()
KEPT_PROCESSES = 4
_DOCUMENT, _OS_ERROR, _END = "document", "os_error", "end"
_MODULE = "groundup.data.reading.extract_process"

# Idle processes of this process (a fork starts its own).
_idle: list[tuple[int, LimitedProcess]] = []
_lock = threading.Lock()


class OverLimit(Exception):
    """A document that is larger than its limit; the message says so."""


def extract_documents(path: Path, suffix: str, headings: bool) -> Iterator[Extracted]:
    """Yield the documents of a file, read by the extractor of `suffix`.

    Raises OSError for a file that can't be opened.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MAX_FILE_BYTES and suffix != ".mbox":
        yield Extracted("", fault=f"is larger than {MAX_FILE_BYTES // 2**20} MiB")
        return
    request = {"path": os.path.abspath(path), "suffix": suffix, "headings": headings}
    process: LimitedProcess | None = _take_idle()
    assert process is not None
    try:
        process.send(request, cpu_seconds=LIMITS.cpu_limit(size_bytes))
        while (answer := process.receive())["kind"] == _DOCUMENT:
            yield Extracted(**answer["document"])
        if answer["kind"] == _OS_ERROR:
            raise OSError(answer["errno"], answer["strerror"], str(path))
        if answer["is_kept"]:
            _give_back(process)
            process = None
    except ProcessEnded as ended:
        yield Extracted("", fault=str(ended))
    finally:
        # also where the caller stopped: the answers that are left would be those to its next request
        if process:
            process.close()


def _take_idle() -> LimitedProcess:
    """Return an idle process, or a new one."""
    with _lock:
        for entry in reversed(_idle):
            if entry[0] == os.getpid() and entry[1].start == asdict(LIMITS):
                _idle.remove(entry)
                if entry[1].is_running:
                    return entry[1]
                entry[1].close()
    # JSON writes a character in up to 6 bytes.
    limits = ProcessLimits(LIMITS.memory_bytes, answer_bytes=6 * LIMITS.document_characters + 2**20)
    return LimitedProcess(_MODULE, limits, asdict(LIMITS))


def _give_back(process: LimitedProcess) -> None:
    """Keep an idle process; the one that was idle for longest may be ended for it."""
    with _lock:
        _idle.append((os.getpid(), process))
        own = [entry for entry in _idle if entry[0] == os.getpid()]
        ended = own[:-KEPT_PROCESSES]
        for entry in ended:
            _idle.remove(entry)
    for _, each in ended:
        each.close()


@atexit.register
def close_processes() -> None:
    """End all idle processes; the next file starts a new one."""
    with _lock:
        own = [entry for entry in _idle if entry[0] == os.getpid()]
        for entry in own:
            _idle.remove(entry)
    for _, each in own:
        each.close()


def main() -> None:
    """Answer requests of `extract_documents` until the parent closes the pipe; in the child process."""
    serve_requests(lambda start: partial(_answers, ExtractionLimits(**start)))


def _answers(limits: ExtractionLimits, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    path = Path(request["path"])
    fault, is_kept = "", True
    try:
        documents = EXTRACTORS[request["suffix"]].read(path, request["headings"])
        for found in _within_limits(documents, path, limits):
            yield {"kind": _DOCUMENT, "document": asdict(found)}
    except OverLimit as error:
        fault = str(error)
    except FormatError as error:  # of the zip that it is
        fault = f"can't be read ({error.place} {error.reason})"
    except MemoryError:
        fault, is_kept = over_memory(limits.memory_bytes), False
    except Exception as error:  # a parsing library raises anything; the file costs itself only
        # an OSError without a number is a library's, about the content
        if isinstance(error, OSError) and error.errno is not None:
            yield {"kind": _OS_ERROR, "errno": error.errno, "strerror": error.strerror}
            return
        fault = f"can't be read ({type(error).__name__}: {str(error)[:100]})"
    if fault:
        yield {"kind": _DOCUMENT, "document": asdict(Extracted("", fault=fault))}
    yield {"kind": _END, "is_kept": is_kept and peak_memory_bytes() < limits.kept_bytes}


def _within_limits(
    documents: Iterator[Extracted], path: Path, limits: ExtractionLimits
) -> Iterator[Extracted]:
    """Yield the documents of a file.

    Raises OverLimit where one has, or all have, too many characters.
    """
    size_bytes = path.stat().st_size
    left = max(2 * size_bytes, expansion_limit(size_bytes))
    for each in documents:
        characters = len(each.text) + len(each.subject) + sum(map(len, each.attachments))
        left -= characters
        if characters > limits.document_characters or left < 0:
            raise OverLimit("holds more text than a file of its size may")
        yield each
