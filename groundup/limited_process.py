"""A child process with limits on processor time, memory and output, for work on untrusted input. It
is kept for many requests.

    process = LimitedProcess("groundup.tokenizer.sandbox", ProcessLimits(memory_bytes=2**30, ...),
        start={...})
    process.send({...}, cpu_seconds=5)           # starts it
    answer = process.receive()                   # raises ProcessEnded, with the reason

    serve_requests(begin)                        # in the child: `begin(start)` returns a function
                                                 from a request to its answers

Python can't interrupt a multiplication or a C library, so the operating system limits the process:
the processor time of a request (SIGPROF, which ends the process even inside C code), its address
space, no file writes. Where the system keeps no limit on the address space (macOS), or none at all
(Windows, where files can be written, too), a thread measures ten times a second; what keeps Python's
lock all the time is ended by its parent after SILENT_SECONDS. A thread also ends the process when its
parent is gone, so that none is left behind. Ctrl-C is for the parent.

Protocol: one JSON value per line. First {"memory_bytes", "start"}, then requests {"cpu_seconds",
"request"} with one answer or several each.
"""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from groundup.operating_system import (
    CPU_SIGNAL,
    has_parent,
    limit_cpu,
    limit_memory,
    peak_memory_bytes,
    wait_for_output,
)

# How long a process may write nothing while an answer is awaited: for one that sleeps, or that gets
# little of a busy processor.
SILENT_SECONDS, SILENT_SECONDS_PER_CPU_SECOND = 60, 20
# The environment variables of the process; it gets no secrets of the user.
_PASSED_ON = (
    *("PATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL"),
    "SYSTEMROOT",  # without it Windows has no random numbers
)
_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; import importlib; importlib.import_module(sys.argv[1]).main()"
# The exit codes of a process whose measured memory or processor time was above its limit.
_OVER_MEMORY, _OVER_CPU = 77, 78
_PIPE_BYTES = 2**20
_PARENT_CHECK_S, _MEASURE_S = 0.5, 0.1

Handler = Callable[[Any], Iterable[Any]]


class ProcessEnded(Exception):
    """The process was stopped before it had answered; the message says why ("took over 5 s of
    processor time").
    """


@dataclass(frozen=True)
class ProcessLimits:
    """Limits of a process; the processor time is given with each request."""

    memory_bytes: int
    answer_bytes: int
    """Of one answer, as JSON."""


class LimitedProcess:
    """One process that answers requests; started for the first one, and anew after it was closed.

    For one thread at a time.
    """

    def __init__(self, module: str, limits: ProcessLimits, start: Any = None) -> None:
        self.module, self.limits, self.start = module, limits, start
        """A module whose `main` calls `serve_requests`, and what that is given."""
        self.process: subprocess.Popen[bytes] | None = None
        self._received = bytearray()
        self._cpu_seconds = 0.0

    @property
    def is_running(self) -> bool:
        """Whether there is a process, which has not ended."""
        return self.process is not None and self.process.poll() is None

    def send(self, request: Any, *, cpu_seconds: float) -> None:
        """Send a request, which may take so much processor time; to a new process where there is
        none.
        """
        self._cpu_seconds = cpu_seconds
        messages = [{"cpu_seconds": cpu_seconds, "request": request}]
        if self.process is None:
            self.process = subprocess.Popen(
                child_command(self.module),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            )
            messages.insert(0, {"memory_bytes": self.limits.memory_bytes, "start": self.start})
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # `receive` says why
            self.process.stdin.writelines(
                json.dumps(message).encode() + b"\n" for message in messages
            )
            self.process.stdin.flush()

    def receive(self) -> Any:
        """Return the next answer.

        Raises ProcessEnded when it exceeds a limit or ended; it is then closed.
        """
        assert self.process is not None and self.process.stdout is not None
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > self.limits.answer_bytes:
                self._end(f"wrote more than {self.limits.answer_bytes // 2**20:,} MiB")
            part = self._part(self.process.stdout.fileno())
            if not part:
                self._end(self._why_ended())
            self._received += part
        line = self._received[:end]
        del self._received[: end + 1]
        return json.loads(line.decode("utf-8", "surrogatepass"))

    def _part(self, pipe: int) -> bytes:
        """Return some of its output; nothing at the end.

        A stopped terminal (Ctrl-Z) is not counted as silence.
        """
        seconds = int(SILENT_SECONDS + SILENT_SECONDS_PER_CPU_SECOND * self._cpu_seconds)
        if not any(wait_for_output(pipe, 1.0) for _ in range(seconds)):
            self._end(f"did not answer for {seconds} s")
        return os.read(pipe, _PIPE_BYTES)

    def _why_ended(self) -> str:
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):  # its output may end before it does
            self.process.wait(SILENT_SECONDS)
        code = self.process.returncode
        if code == _OVER_CPU or (CPU_SIGNAL and code == -CPU_SIGNAL):
            return f"took over {round(self._cpu_seconds, 1):,g} s of processor time"
        if code == _OVER_MEMORY:
            return over_memory(self.limits.memory_bytes)
        if code and code < 0:
            return f"ended its process by signal {-code}"
        return f"ended its process with code {code}"

    def _end(self, why: str) -> NoReturn:
        self.close()
        raise ProcessEnded(why)

    def close(self) -> None:
        """End the process, if there is one."""
        process, self.process = self.process, None
        self._received.clear()
        if process is not None:
            process.kill()
            process.communicate()  # waits, and closes the pipes


def child_command(module: str) -> list[str]:
    """Return the command of a process that runs `main` of a module, found where this process finds
    it.
    """
    return [sys.executable, "-c", _PROGRAM, module, *sys.path]


def over_memory(memory_bytes: int) -> str:
    """Return the reason for a process that needs more memory."""
    return f"takes more than {memory_bytes // 2**20:,} MiB of memory"


def serve_requests(begin: Callable[[Any], Handler]) -> None:
    """Answer requests until the parent closes the pipe; for the main function of a child
    process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no answer
    first = json.loads(sys.stdin.buffer.readline() or "null")
    if first is None:
        return
    limits = _MeasuredLimits()
    if not limit_memory(first["memory_bytes"]):
        limits.memory_bytes = first["memory_bytes"]
    threading.Thread(target=_watch, args=(os.getppid(), limits), daemon=True).start()
    handle = begin(first["start"])
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if not limit_cpu(asked["cpu_seconds"]):
            limits.cpu_end_s = time.process_time() + asked["cpu_seconds"]
        for answer in handle(asked["request"]):
            answers.write(
                json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
            )
            answers.flush()
        limit_cpu(0)
        limits.cpu_end_s = math.inf


@dataclass
class _MeasuredLimits:
    """What the system does not keep, and a thread measures."""

    memory_bytes: float = math.inf
    cpu_end_s: float = math.inf
    """On the clock of this process's processor time."""


def _watch(parent: int, limits: _MeasuredLimits) -> None:
    """End this process when its parent is gone, or when it is above a limit."""
    is_measured = not CPU_SIGNAL or limits.memory_bytes < math.inf
    while has_parent(parent):
        time.sleep(_MEASURE_S if is_measured else _PARENT_CHECK_S)
        if limits.memory_bytes < math.inf and peak_memory_bytes() > limits.memory_bytes:
            os._exit(_OVER_MEMORY)
        if time.process_time() > limits.cpu_end_s:
            os._exit(_OVER_CPU)
    os._exit(0)
