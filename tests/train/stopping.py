"""Training processes that are stopped at chosen moments, and how two runs are compared."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from forked_program import TRAINING, ForkedProgram, forker

from groundup import files
from groundup.runs import RunFolder, read_lines

Moment = Callable[[Path], bool]
TIMES = ("tokens_per_s", "elapsed_s", "evaluation_s")


@dataclass
class Starter:
    """Starts runs of tiny_run.py, each in a process of its own."""

    process: ForkedProgram

    def run(
        self, folder: Path, *, signal: int = 0, moment: Moment | None = None, **request: object
    ) -> int:
        """One run, sent `signal` when `moment(folder)` holds. Returns its exit status (negative: killed by that signal)."""
        assert self.process.stdin
        _held_file(folder).unlink(missing_ok=True)
        self.process.stdin.write(json.dumps({"folder": str(folder), **request}) + "\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        with contextlib.suppress(ProcessLookupError):  # it was over before the moment came
            while moment is not None and not moment(folder):
                time.sleep(0.001)
                os.kill(pid, 0)
            os.kill(pid, signal)
        return int(self.process.stdout.readline())


@contextlib.contextmanager
def starting(module: str, environment: dict[str, str] | None = None) -> Iterator[Starter]:
    """The Starter of that module, tiny_run or one like it."""
    process = forker().start(
        (), environment, program=module, imported=(*TRAINING, module), has_input=True
    )
    assert process.stdin and process.stdout.readline() == "ready\n"
    yield Starter(process)
    with process.stdin, process.stdout, process.stderr:
        process.stdin.close()
        process.wait(60)


def after_seconds(seconds: float) -> Moment:
    """The moment that long from now."""
    ends = time.monotonic() + seconds
    return lambda folder: time.monotonic() >= ends


def after_steps(steps: int) -> Moment:
    """The moment when the log has that many steps."""
    return lambda folder: steps_logged(folder) >= steps


def steps_logged(folder: Path) -> int:
    """Steps in a run's log."""
    return sum("event" not in line for line in read_lines(RunFolder(folder).metrics_file))


def hold_in_save(folder: Path, at_file: int) -> None:
    """From now on this process waits for a signal before it syncs the file of that number (from 1) of its next checkpoint."""
    sync_file, synced = files.sync_file, 0

    def held(path: Path) -> None:
        nonlocal synced
        synced += "/checkpoints/.tmp-step-" in str(path)
        if synced == at_file:
            _held_file(folder).touch()
            signal.pause()
        sync_file(path)

    files.sync_file = held


def is_held(folder: Path) -> bool:
    """The moment when a run waits inside a save (`hold_in_save`)."""
    return _held_file(folder).exists()


def _held_file(folder: Path) -> Path:
    return folder.with_suffix(".held")


def half_written(folder: Path) -> list[int]:
    """Steps of the checkpoints that lie there unfinished."""
    return [
        int(path.name.split("-")[2]) for path in RunFolder(folder).checkpoints.glob(".tmp-step-*")
    ]


def last_step(folder: Path) -> int:
    """The newest finished checkpoint's step; 0 where there is none."""
    return max(
        (int(path.name[5:]) for path in RunFolder(folder).checkpoints.glob("step-*")), default=0
    )


def facts(folder: Path) -> dict[str, object]:
    """All that must be equal in a run that was stopped and one that never was: weights, optimizer, random states, logs, snapshots."""
    run = RunFolder(folder)
    last = run.checkpoints / f"step-{last_step(folder)}"
    state = json.loads((last / "state.json").read_text())
    return {
        "checkpoint": last.name,
        "model": (last / "model.safetensors").read_bytes(),
        "tensors": (last / "state.safetensors").read_bytes(),
        "state": {
            name: value
            for name, value in state.items()
            if not name.endswith("_s") and name != "metrics_bytes"
        },
        "metrics": [
            {k: v for k, v in line.items() if k not in TIMES}
            for line in read_lines(run.metrics_file)
        ],
        "samples": run.samples_file.read_bytes(),
        "snapshots": {
            path.name: (path / "model.safetensors").read_bytes() for path in run.snapshots.iterdir()
        },
    }


def said(folder: Path) -> str:
    """What the run told its user."""
    file = folder.with_suffix(".said")
    return file.read_text() if file.exists() else ""
