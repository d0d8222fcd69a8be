"""Work on several processes of this machine: `in_order(tasks, count)` gives the results of each
task in the order of the tasks.

A process is started anew (no fork of a program with threads), imports `document_batches`, and talks
through two pipes. It ends when the other end is closed, however that happened. A thread for each
moves its messages; what waits to be used is bounded: QUEUED_MESSAGES of each task.

`ray_results(tasks)`: the same on Ray Data (extra `ray`), on one machine or a cluster. Ray is used as
it is found: where it runs (`ray job submit`, RAY_ADDRESS), there; else a cluster of this machine's
cores is started and ended again. Files on disk must be there under the same path on every machine;
what is in an object store is read by the machines themselves.
"""

import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from groundup.data.runners.document_batches import END, FAULT, receive, send, work
from groundup.errors import GroundupError, WorkerError, require_extra
from groundup.threads import allowed_cores

# Of each task; a message holds some megabytes (`document_batches.BATCH_CHARACTERS`).
QUEUED_MESSAGES = 8
# Tasks that are begun before the first of them is used up, beside one for each process.
MORE_TASKS = 2
PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from groundup.data.runners.document_batches import main; main()"
)
EXTRA = "ray"
COLUMN = "message"


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
        self.processes: list[subprocess.Popen[bytes]] = []
        for _ in range(count):
            self.processes.append(_start())
        self.threads = [
            threading.Thread(target=self._serve, args=[each], daemon=True)
            for each in self.processes
        ]
        for thread in self.threads:
            thread.start()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exc: object) -> None:
        self.is_closed.set()
        for process in self.processes:
            process.kill()
        for _ in self.threads:
            self.jobs.put(None)
        for thread in self.threads:
            thread.join()
        for process in self.processes:
            process.communicate()  # waits, and closes the pipes

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

    def _serve(self, process: "subprocess.Popen[bytes]") -> None:
        """Pass tasks to a process and its results on."""
        assert process.stdin is not None and process.stdout is not None
        while (job := self.jobs.get()) is not None and not self.is_closed.is_set():
            try:
                send(process.stdin, job.task)
                while (message := receive(process.stdout))[:1] != END:
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


def _start() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", PROGRAM, *sys.path]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


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


def ray_results(tasks: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the results of each task in order.

    Raises MissingExtra, WorkerError (Ray itself failed).
    """
    require_extra(EXTRA, "ray.data")
    import ray.data

    with _running(), _settings(), _ray_errors():
        made = ray.data.from_arrow([_table([task]) for task in tasks]).map_batches(
            _work, batch_size=1, batch_format="pyarrow"
        )
        for batch in made.iter_batches(batch_size=None, batch_format="pyarrow"):
            for value in batch.column(COLUMN):
                yield value.as_py()


def _table(messages: Sequence[bytes]) -> Any:
    import pyarrow

    return pyarrow.table({COLUMN: pyarrow.array(messages, pyarrow.large_binary())})


def _work(batch: Any) -> Iterator[Any]:
    for task in batch.column(COLUMN):
        for message in work(task.as_py()):
            yield _table([message])


@contextmanager
def _running() -> Iterator[None]:
    """Have a Ray cluster: the one that there is, or one of this machine's cores."""
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What is set here is for a new cluster, and refused for one that runs.
    found = os.environ.get("RAY_ADDRESS")
    own: dict[str, Any] = {}
    if not found:
        own = {"num_cpus": allowed_cores(), "include_dashboard": False}
    with _ray_errors():
        ray.init(address=found, logging_level=logging.ERROR, log_to_driver=False, **own)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _settings() -> Iterator[None]:
    """Set what Ray Data is to do, and set it back."""
    from ray.data import DataContext

    context = DataContext.get_current()
    before = (
        context.enable_progress_bars,
        context.print_on_execution_start,
        context.execution_options.preserve_order,
    )
    names = ("ray.data", "ray.data._internal.execution.streaming_executor")
    levels = [logging.getLogger(name).level for name in names]
    try:
        context.enable_progress_bars = context.print_on_execution_start = False
        context.execution_options.preserve_order = True
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start, order = before
        context.execution_options.preserve_order = order
        for name, level in zip(names, levels, strict=True):
            logging.getLogger(name).setLevel(level)


@contextmanager
def _ray_errors() -> Iterator[None]:
    """Turn what Ray raises into one sentence; a defect of ours keeps its traceback."""
    import ray.exceptions

    try:
        yield
    except GroundupError:
        raise
    except (ray.exceptions.RayTaskError, ray.exceptions.UserCodeException) as error:
        raise RuntimeError(f"in a task of Ray: {error}") from error
    except (ray.exceptions.RayError, ConnectionError) as error:
        fix = "The same command goes on from what was saved. `ray status` shows the cluster."
        raise WorkerError(f"Ray failed: {' '.join(str(error).split())[:400]}.", fix=fix) from error
