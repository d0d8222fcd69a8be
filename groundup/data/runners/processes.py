"""Work on several processes of this machine: `in_order(tasks, count)` gives the results of each
task in the order of the tasks.

A process is started anew (no fork of a program with threads), imports `worker`, and talks through
one socket pair. It ends when the other end is closed, however that happened. A thread for each
moves its messages; what waits to be used is bounded: QUEUED_MESSAGES of each task.
"""

import json
import queue
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from groundup.data.runners.document_batches import END, FAULT
from groundup.errors import GroundupError, WorkerError

# Of each task; a message holds some megabytes (`document_batches.BATCH_CHARACTERS`).
QUEUED_MESSAGES = 8
# Tasks that are begun before the first of them is used up, beside one for each process.
MORE_TASKS = 2
PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from groundup.data.runners.document_batches import main; main(int(sys.argv[1]))"
)


@dataclass
class _Job:
    """A task and its results as they come; None ends them."""

    task: bytes
    results: "queue.Queue[bytes | Exception | None]" = field(
        default_factory=lambda: queue.Queue(QUEUED_MESSAGES)
    )


class Workers:
    """A context manager: some processes, which end with it."""

    def __init__(self, count: int) -> None:
        self.jobs: "queue.SimpleQueue[_Job | None]" = queue.SimpleQueue()
        self.is_closed = threading.Event()
        self.processes: list[tuple[subprocess.Popen[bytes], Connection]] = []
        for _ in range(count):
            self.processes.append(_start())
        self.threads = [
            threading.Thread(target=self._serve, args=each, daemon=True) for each in self.processes
        ]
        for thread in self.threads:
            thread.start()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exc: object) -> None:
        self.is_closed.set()
        for process, _ in self.processes:
            process.kill()
        for _ in self.threads:
            self.jobs.put(None)
        for thread in self.threads:
            thread.join()
        for process, connection in self.processes:
            process.wait()
            connection.close()

    def in_order(self, tasks: Iterator[tuple[bytes, Any]]) -> Iterator[tuple[Any, Iterator[bytes]]]:
        """Yield (what came with the task, its results) of each task in order.

        Some tasks are taken ahead; an empty one is not worked at.
        """
        waiting: deque[tuple[_Job, Any]] = deque()
        limit, is_done = len(self.processes) + MORE_TASKS, False
        while waiting or not is_done:
            while len(waiting) < limit and not is_done:
                task = next(tasks, None)
                is_done = task is None
                if task is not None:
                    job = _Job(task[0])
                    waiting.append((job, task[1]))
                    if job.task:
                        self.jobs.put(job)
            if waiting:
                job, given = waiting.popleft()
                results: Iterator[bytes] = iter(())
                if job.task:
                    results = self._results(job)
                yield given, results

    def _results(self, job: _Job) -> Iterator[bytes]:
        while (found := job.results.get()) is not None:
            if isinstance(found, Exception):
                raise found
            yield found

    def _serve(self, process: "subprocess.Popen[bytes]", connection: Connection) -> None:
        """Pass tasks to a process and its results on."""
        while (job := self.jobs.get()) is not None and not self.is_closed.is_set():
            try:
                connection.send_bytes(job.task)
                while (message := connection.recv_bytes())[:1] != END:
                    self._put(job, _result(message))
                self._put(job, None)
            except (OSError, EOFError):
                self._put(job, _error_of_end(process))
                return

    def _put(self, job: _Job, result: bytes | Exception | None) -> None:
        while not self.is_closed.is_set():
            with suppress(queue.Full):
                job.results.put(result, timeout=0.2)
                return


def _start() -> tuple["subprocess.Popen[bytes]", Connection]:
    ours, its = socket.socketpair()
    with closing(ours), closing(its):
        command = [sys.executable, "-c", PROGRAM, str(its.fileno()), *sys.path]
        process = subprocess.Popen(command, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL)
        return process, Connection(ours.detach())


def _result(message: bytes) -> bytes | Exception:
    kind, data = message[:1], message[1:]
    if kind == FAULT:
        return GroundupError.from_plain(json.loads(data))
    return data


def _error_of_end(process: "subprocess.Popen[bytes]") -> Exception:
    """Return the error for a process that ended, which wrote its traceback if it has a defect."""
    code = process.wait()
    if code == 1:
        return RuntimeError("A process that read texts has a defect; its traceback is above.")
    how = f"ended with code {code}"
    if code < 0:
        how = f"was killed by signal {-code}"
    return WorkerError(
        f"A process that read texts {how}.",
        fix="It may have run out of memory. The same command goes on from what was saved; "
        "`runner` one takes less memory.",
    )
