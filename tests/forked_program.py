"""A program as a process forked from one that has imported what it needs: a server starts in 0.3 s of processor time instead of 2.

What is forked is a process like any other: its own arguments, environment, output, signals and exit status.
"""

import array
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

MAX_REQUEST_BYTES = 2**16
GROUNDUP = "groundup.__main__"
SERVER = ("uvicorn", "groundup.cli.serve", "groundup.serve.app", "groundup.serve.server")


class ForkedProgram:
    """One such process, with the part of subprocess.Popen that tests use."""

    def __init__(self, socket_: socket.socket, request: bytes) -> None:
        out, err, status = os.pipe(), os.pipe(), os.pipe()
        passed = array.array("i", [out[1], err[1], status[1]])
        socket_.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        for each in passed:
            os.close(each)
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


class Forker:
    """The process that imports the module `program` and what it names later, once, and forks; its `main` is the program."""

    def __init__(self, program: str = GROUNDUP, imported: Sequence[str] = SERVER) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        names = ("torch", "groundup.cli.main", *imported, program)
        command = [
            sys.executable,
            __file__,
            str(theirs.fileno()),
            os.pathsep.join(sys.path),
            *names,
        ]
        # Read when torch is imported: what a fork's own environment says is too late.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()

    def start(self, arguments: Sequence[str], environment: dict[str, str]) -> ForkedProgram:
        request = json.dumps([os.getcwd(), environment, list(arguments)]).encode()
        assert len(request) < MAX_REQUEST_BYTES
        return ForkedProgram(self._socket, request)

    def close(self) -> None:
        """It ends when nobody can ask it any more."""
        self._socket.close()
        self._process.wait()


def serve_forks(requests: socket.socket) -> list[str] | None:
    """In the process that imported, until the other end is closed: None. In a forked one: the arguments of its program."""
    while True:
        request, passed, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 3)
        if not request:
            return None
        if os.fork() == 0:
            status = passed.pop()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            program = os.fork()
            if program == 0:
                requests.close()
                os.close(status)
                return become(*json.loads(request), *passed)
            for each in passed:
                os.close(each)
            os.write(status, f"{program}\n".encode())
            code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
            os.write(status, f"{code}\n".encode())
            os._exit(0)
        for each in passed:
            os.close(each)


def become(
    folder: str, environment: dict[str, str], arguments: list[str], out: int, err: int
) -> list[str]:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for at, each in enumerate((os.open(os.devnull, os.O_RDONLY), out, err)):
        os.dup2(each, at)
        os.close(each)
    # As Python opens them.
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(
        2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )
    return arguments


if __name__ == "__main__":
    place, path, *names = sys.argv[1:]
    sys.path[:] = ["", *path.split(os.pathsep)]  # as `python -m groundup` has it, and the tests
    *_, program = map(importlib.import_module, names)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    with socket.socket(fileno=int(place)) as asked:
        given = serve_forks(asked)
    if given is not None:
        sys.argv[1:] = given
        program.main()
