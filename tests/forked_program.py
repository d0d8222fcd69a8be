"""A program as a process forked from one that has imported what it needs: a server starts in 0.3 s of processor time instead of 2.

What is forked is a process like any other: its own arguments, environment, input, output, signals and exit status. Not forked are programs
whose start is what a test is about: what they import, and what the environment says to Python or torch when they begin.
"""

import array
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from typing import IO

MAX_REQUEST_BYTES = 2**17
GROUNDUP, CODE = "groundup.__main__", "-c"
# Files, since a folder imports nothing of what is in it; also what a server imports late.
SERVER = (
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.lifespan.on",
    "encodings.idna",
    "anyio.streams.tls",
    "groundup.cli.serve",
    "groundup.http.run_server",
    "groundup.serve.server",
    "groundup.serve.worker",
    "groundup.serve.index_entries",
    "groundup.serve.app.application",
    "groundup.serve.app.by_key",
    "groundup.serve.app.documents",
    "groundup.serve.mcp.endpoint",
    "groundup.serve.perplexity.routes",
    "groundup.serve.responses.routes",
    "groundup.engine.generate",
    "groundup.engine.model_runner",
    "groundup.kernels.probe",
    "groundup.retrieve.assistant",
    "groundup.retrieve.rankings",
    "groundup.tokenizer.sandbox",
    "groundup.weights.model_io",
)
# An optimizer imports torch._dynamo, for a second and more.
TRAINING = ("torch._dynamo", "groundup.cli.pretrain", "groundup.train.pretrain")


class ForkedProgram:
    """One such process, with the part of subprocess.Popen that tests use."""

    def __init__(self, socket_: socket.socket, request: bytes, has_input: bool) -> None:
        out, err, status = os.pipe(), os.pipe(), os.pipe()
        into = os.pipe() if has_input else (os.open(os.devnull, os.O_RDONLY),)
        passed = array.array("i", [into[0], out[1], err[1], status[1]])
        socket_.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        for each in passed:
            os.close(each)
        self.stdin = os.fdopen(into[1], "w", encoding="utf-8") if has_input else None
        self.stdout: IO[str] = os.fdopen(out[0], encoding="utf-8")
        self.stderr: IO[str] = os.fdopen(err[0], encoding="utf-8")
        self._status: IO[str] = os.fdopen(status[0], encoding="utf-8")
        self.pid = int(self._status.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, negative the signal that ended it. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("groundup", timeout or 0.0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """All that it writes until it has ended, to stdout and to stderr."""
        said: list[str] = []
        with self.stdout, self.stderr:
            reading = threading.Thread(target=lambda: said.append(self.stderr.read()))
            reading.start()
            printed = self.stdout.read()
            reading.join()
        self.wait(600)
        return printed, said[0]


class Forker:
    """The process that imports torch and the command line once, more where it is asked to, and forks.

    All processes of a run of tests share it: the first that wants it starts it, and it ends with the run.
    """

    def __init__(self) -> None:
        run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
        name = f"\0groundup-tests-{run}"
        while True:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with contextlib.suppress(ConnectionRefusedError):
                self._socket.connect(name)
                return
            self._socket.close()
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with listening:
                try:
                    listening.bind(name)
                except OSError:  # another process was quicker
                    continue
                listening.listen()
                start_forking(listening, run)

    def start(
        self,
        arguments: Sequence[str],
        environment: dict[str, str] | None = None,
        *,
        program: str = GROUNDUP,
        imported: Sequence[str] = (),
        has_input: bool = False,
    ) -> ForkedProgram:
        """`program`: a module whose `main` is called, or "-c": the first argument is Python's code. `imported`: before it is forked."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
        asked = [sys.path, list(imported), os.getcwd(), environment, program, list(arguments)]
        request = json.dumps(asked).encode()
        assert len(request) < MAX_REQUEST_BYTES
        return ForkedProgram(self._socket, request, has_input)

    def close(self) -> None:
        self._socket.close()


def start_forking(listening: socket.socket, run: int) -> None:
    """Start the process that serves who connects to this socket, until the process `run` ends."""
    numbers = (str(listening.fileno()), str(run))
    command = [sys.executable, __file__, *numbers, os.pathsep.join(sys.path)]
    # Read when torch is imported: what a fork's own environment says is too late.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    listening.set_inheritable(True)
    os.posix_spawn(sys.executable, command, environment)


@functools.cache
def forker() -> Forker:
    """That of all tests of this run."""
    made = Forker()
    atexit.register(made.close)
    return made


def run(
    *arguments: object, program: str = GROUNDUP, imported: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """A program from its start to its end."""
    words = list(map(str, arguments))
    process = forker().start(words, environment, program=program, imported=imported)
    out, err = process.communicate()
    return subprocess.CompletedProcess(words, process.wait(), out, err)


def requests_to(
    listening: socket.socket, run: int
) -> Generator[tuple[bytes, list[int]], None, None]:
    """What those ask who connect, with the files that they pass, until the process `run` ends; closed, it leaves no file open."""
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as opened:
        ended = os.pidfd_open(run)
        opened.callback(os.close, ended)
        waiting.register(ended, selectors.EVENT_READ)
        waiting.register(opened.enter_context(listening), selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj == ended:
                    return
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj is listening:
                    connected = opened.enter_context(listening.accept()[0])
                    waiting.register(connected, selectors.EVENT_READ)
                    continue
                request, passed, _, _ = socket.recv_fds(key.fileobj, MAX_REQUEST_BYTES, 4)
                if request:
                    yield request, passed
                else:
                    waiting.unregister(key.fileobj)


def serve_forks(listening: socket.socket, run: int) -> tuple[str, list[str]] | None:
    """In the process that imported, until the process `run` ends: None. In a forked one: its program and the arguments of that."""
    asked = requests_to(listening, run)
    for request, passed in asked:
        # The first place is the working folder, as `python -m groundup` has it.
        path, imported, folder, environment, program, arguments = json.loads(request)
        sys.path[:] = ["", *path]
        for name in (*imported, *([] if program == CODE else [program])):
            with contextlib.suppress(ImportError):  # what is forked says it
                importlib.import_module(name)
        gc.freeze()
        if os.fork() == 0:
            status = passed.pop()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            forked = os.fork()
            if forked == 0:
                asked.close()
                os.close(status)
                become(folder, environment, passed)
                return program, arguments
            for each in passed:
                os.close(each)
            os.write(status, f"{forked}\n".encode())
            code = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
            os.write(status, f"{code}\n".encode())
            os._exit(0)
        for each in passed:
            os.close(each)
    return None


def become(folder: str, environment: dict[str, str], streams: Sequence[int]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for at, each in enumerate(streams):
        os.dup2(each, at)
        os.close(each)
    # As Python opens them.
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(
        2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


if __name__ == "__main__":
    sys.path[:] = ["", *sys.argv[3].split(os.pathsep)]
    for first in ("torch", "groundup.cli.main"):
        importlib.import_module(first)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    given = serve_forks(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    if given is not None:
        name, words = given
        sys.argv[1:] = words
        if name == CODE:
            sys.argv = ["-c", *words[1:]]
            exec(words[0], {"__name__": "__main__"})
        else:
            importlib.import_module(name).main()
