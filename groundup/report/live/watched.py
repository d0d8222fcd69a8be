"""All runs below the folders that one wants to watch, found again at each look: runs that appear later join, in the order of their coming.

watched = Watched([Path("runs/quickstart")]);  watched.summaries();  watched.detail(1)
"""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from groundup.errors import ConfigError
from groundup.report.live.follow import FollowedRun
from groundup.runs import RunFolder

# Folders below a run, and those of interrupted writes: no runs of their own.
NO_RUNS = ("checkpoints", "snapshots", "shards", "data")
# RUNS/BUILD/STAGE: a folder of builds may be named.
DEPTH = 2
MAX_RUNS = 200
# Many pages may ask; the disk is looked at no more often than this.
FRESH_S = 0.5


class Watched:
    """Followed runs by number (1, 2, ...), which a run keeps as long as it is watched. Safe to be asked by several threads."""

    def __init__(self, paths: Sequence[Path]) -> None:
        for path in paths:
            _require_no_file(path)
        self._paths = list(dict.fromkeys(path.resolve() for path in paths))
        self._runs: dict[Path, FollowedRun] = {}
        self._lock = threading.Lock()
        self._read_at_s = float("-inf")

    def summaries(self) -> list[dict[str, Any]]:
        """Each run in one row, with its number as "id"."""
        with self._lock:
            self._read()
            now_s = time.time()
            return [{"id": id_, **run.summary(now_s)} for id_, run in enumerate(self._runs.values(), 1)]

    def detail(self, id_: int) -> dict[str, Any] | None:
        """All that is known of one run; None when there is no such number."""
        with self._lock:
            self._read()
            runs = list(self._runs.values())
            return {"id": id_, **runs[id_ - 1].detail()} if 0 < id_ <= len(runs) else None

    def _read(self) -> None:
        if time.monotonic() - self._read_at_s < FRESH_S:
            return
        for top in self._paths:
            for folder in runs_below(top):
                if folder not in self._runs and len(self._runs) < MAX_RUNS:
                    self._runs[folder] = FollowedRun(folder, self._name(top, folder))
        for run in self._runs.values():
            run.read()
        self._read_at_s = time.monotonic()

    def _name(self, top: Path, folder: Path) -> str:
        """As short as it can be told apart: the folder that was named, and what lies below it."""
        name = "/".join((top.name, *folder.relative_to(top).parts))
        taken = {run.name for run in self._runs.values()}
        return name if name not in taken else f"{folder.parent.name}/{folder.name} ({len(taken) + 1})"


def _require_no_file(path: Path) -> None:
    """A folder that is not there yet is waited for; what can never be one is refused. Raises ConfigError."""
    try:
        is_file = path.exists() and not path.is_dir()
    except OSError as error:
        raise ConfigError(
            f"{str(path)[:60]} can't be looked into: {error.strerror}.", fix="Name another folder."
        ) from error
    if is_file:
        raise ConfigError(f"{path} is a file, expected a folder of runs.", fix="Name the folder that it lies in.")


def runs_below(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The run folders that `folder` is or holds, in the order of their beginning. One that is gone or can't be read holds none."""
    if is_run(folder):
        yield folder
        return
    try:
        inner = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return
    below = [run for path in inner if depth and path.name not in NO_RUNS for run in runs_below(path, depth - 1)]
    yield from sorted(below, key=lambda run: (_begun(run), run))


def is_run(folder: Path) -> bool:
    """Has somebody begun to train here?"""
    run = RunFolder(folder)
    return any(path.is_file() for path in (run.metrics_file, run.fit_file, run.run_file))


def _begun(folder: Path) -> float:
    try:
        return RunFolder(folder).run_file.stat().st_mtime
    except OSError:
        return float("inf")
