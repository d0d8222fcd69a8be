"""A child process with limits answers many requests; one that takes too much ends with its reason, and no process is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.limited_process import LimitedProcess, ProcessEnded, ProcessLimits

CHILD = """
import sys, time
from groundup import limited_process

def begin(start):
    def handle(request):
        if request == "loop":
            while True: pass
        if request == "memory":
            kept = [bytearray(2**20) for _ in range(4000)]
            yield len(kept)
        if request == "exit":
            sys.exit(3)
        if request == "sleep":
            time.sleep(10_000)
        if request == "print":
            print("no answer")
        yield [start, request]
    return handle

def main():
    limited_process.serve_requests(begin)
"""
MEASURED = CHILD.replace(
    "    limited_process.serve",
    "    limited_process.limit_memory = lambda _: False\n    limited_process.serve",
)


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LimitedProcess]:
    (tmp_path / "limited_child.py").write_text(CHILD)
    (tmp_path / "measured_child.py").write_text(MEASURED)
    monkeypatch.syspath_prepend(str(tmp_path))
    process = LimitedProcess("limited_child", ProcessLimits(2**28, answer_bytes=2**20), start="s")
    yield process
    process.close()


def answer(process: LimitedProcess, request: object, cpu_seconds: float = 30) -> object:
    process.send(request, cpu_seconds=cpu_seconds)
    return process.receive()


def test_one_process_answers_many_requests_and_what_is_printed_is_no_answer(
    child: LimitedProcess,
) -> None:
    assert answer(child, "a") == ["s", "a"]
    first = child.process
    assert answer(child, "print") == ["s", "print"]
    assert answer(child, "\ud800 \n \N{GRINNING FACE}") == ["s", "\ud800 \n \N{GRINNING FACE}"]
    assert child.process is first


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ("loop", "took over 0.2 s of processor time"),
        ("exit", "ended its process with code 3"),
        ("x" * 2**21, "wrote more than 1 MiB"),
    ],
)
def test_a_request_over_a_limit_ends_the_process_with_its_reason_and_the_next_one_gets_another(
    child: LimitedProcess, request_: str, why: str
) -> None:
    with pytest.raises(ProcessEnded) as ended:
        answer(child, request_, cpu_seconds=0.2)
    assert str(ended.value) == why
    assert answer(child, "a") == ["s", "a"]


def test_memory_is_limited_by_the_system_or_measured(child: LimitedProcess) -> None:
    with pytest.raises(
        ProcessEnded, match="ended its process with code 1"
    ):  # a MemoryError that nobody caught
        answer(child, "memory")
    measured = LimitedProcess("measured_child", child.limits)
    with pytest.raises(ProcessEnded, match="takes more than 256 MiB of memory"):
        answer(measured, "memory")
    measured.close()


def test_a_process_that_sleeps_is_ended(
    child: LimitedProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.limited_process.SILENT_SECONDS", 1)
    with pytest.raises(ProcessEnded, match="did not answer for 1 s"):
        answer(child, "sleep", cpu_seconds=0.01)


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGKILL])
def test_a_parent_that_ends_leaves_no_process(
    child: LimitedProcess, tmp_path: Path, signal_: signal.Signals
) -> None:
    """The processor time would allow hours."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from groundup.limited_process import LimitedProcess, ProcessLimits\n"
        "process = LimitedProcess('limited_child', ProcessLimits(2**29, 2**20))\n"
        "process.send('a', cpu_seconds=1e4); process.receive(); process.send('loop', cpu_seconds=1e4)\n"
        "print(process.process.pid, flush=True); process.receive()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal_)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    """Whether there is a process that is more than a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
