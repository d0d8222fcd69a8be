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
space, no file writes. Where the system keeps no limit on the address space (macOS), a thread
measures the memory ten times a second. A thread also ends the process when its parent is gone, so
that none is left behind. Ctrl-C is for the parent.

Protocol: one JSON value per line. First {"memory_bytes", "start"}, then requests {"cpu_seconds",
"request"} with one answer or several each.
"""

import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

# How long a process may write nothing while an answer is awaited: for one that sleeps, or that gets
# little of a busy processor.
SILENT_SECONDS, SILENT_SECONDS_PER_CPU_SECOND = 60, 20
# The environment variables of the process; it gets no secrets of the user.
_PASSED_ON = ("PATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL")
_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; import importlib; importlib.import_module(sys.argv[1]).main()"
_OVER_MEMORY = 77  # the exit code of a process whose measured memory was above its limit
_PIPE_BYTES = 2**20
_PARENT_CHECK_S, _MEMORY_CHECK_S = 0.5, 0.1

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
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            seconds = int(SILENT_SECONDS + SILENT_SECONDS_PER_CPU_SECOND * self._cpu_seconds)
            if not any(selector.select(1.0) for _ in range(seconds)):
                self._end(f"did not answer for {seconds} s")
            return os.read(pipe, _PIPE_BYTES)

    def _why_ended(self) -> str:
        assert self.process is not None
        with suppress(subprocess.TimeoutExpired):  # its output may end before it does
            self.process.wait(SILENT_SECONDS)
        code = self.process.returncode
        if code == -signal.SIGPROF:
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


def peak_memory_bytes() -> int:
    """Return the largest amount of memory that this process had at any time.

    Linux's `getrusage` counts what its parent had when it started it; /proc does not. Elsewhere
    there is no /proc.
    """
    with suppress(OSError), open("/proc/self/status", "rb") as status:
        return next(int(line.split()[1]) * 2**10 for line in status if line.startswith(b"VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 2**10


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
    measured = first["memory_bytes"]
    if _limit_memory(measured):
        measured = None
    threading.Thread(target=_watch, args=(os.getppid(), measured), daemon=True).start()
    handle = begin(first["start"])
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, asked["cpu_seconds"])
        for answer in handle(asked["request"]):
            answers.write(
                json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
            )
            answers.flush()
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit_memory(memory_bytes: int) -> bool:
    """Limit the address space and file writes; return whether the system keeps the first limit."""
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        return sys.platform != "darwin"
    return False


def _watch(parent: int, memory_bytes: int | None) -> None:
    """End this process when its parent is gone, or when it has had more than `memory_bytes`."""
    while os.getppid() == parent:
        time.sleep(_MEMORY_CHECK_S if memory_bytes else _PARENT_CHECK_S)
        if memory_bytes and peak_memory_bytes() > memory_bytes:
            os._exit(_OVER_MEMORY)
    os._exit(0)
