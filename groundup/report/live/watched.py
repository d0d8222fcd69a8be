"""All runs below the watched folders. The folders are searched at every read, so that later runs
are added, in the order they appear.

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

# Folders inside a run, which are not runs.
NO_RUNS = ("checkpoints", "snapshots", "shards", "data")
# RUNS/BUILD/STAGE: a folder of builds can be given.
DEPTH = 2
MAX_RUNS = 200
# However many pages poll, the disk is read at most once in this many seconds.
FRESH_S = 0.5


class Watched:
    """Followed runs with stable numbers (1, 2, ...). Thread-safe."""

    def __init__(self, paths: Sequence[Path]) -> None:
        for path in paths:
            _require_no_file(path)
        self._paths = list(dict.fromkeys(path.resolve() for path in paths))
        self._runs: dict[Path, FollowedRun] = {}
        self._lock = threading.Lock()
        self._read_at_s = float("-inf")

    def summaries(self) -> list[dict[str, Any]]:
        """One row per run, with its number as "id"."""
        with self._lock:
            self._read()
            now_s = time.time()
            return [
                {"id": id_, **run.summary(now_s)} for id_, run in enumerate(self._runs.values(), 1)
            ]

    def detail(self, id_: int) -> dict[str, Any] | None:
        """All values of one run; None when there is no such number."""
        with self._lock:
            self._read()
            runs = list(self._runs.values())
            if not 0 < id_ <= len(runs):
                return None
            return {"id": id_, **runs[id_ - 1].detail()}

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
        """The shortest unique name: the given folder and the path below it."""
        name = "/".join((top.name, *folder.relative_to(top).parts))
        taken = {run.name for run in self._runs.values()}
        if name not in taken:
            return name
        return f"{folder.parent.name}/{folder.name} ({len(taken) + 1})"


def _require_no_file(path: Path) -> None:
    """Raise ConfigError for a file or an unreadable path; a folder that does not exist yet is
    fine.
    """
    try:
        is_file = path.exists() and not path.is_dir()
    except OSError as error:
        raise ConfigError(
            f"{str(path)[:60]} can't be read: {error.strerror}.", fix="Name another folder."
        ) from error
    if is_file:
        raise ConfigError(
            f"{path} is a file, expected a folder of runs.", fix="Name the folder that it is in."
        )


def runs_below(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Yield the run folders that `folder` is or contains, in the order of their start.

    An unreadable folder contains none.
    """
    run = RunFolder(folder)
    if any(path.is_file() for path in (run.metrics_file, run.fit_file, run.run_file)):
        yield folder
        return
    try:
        inner = [
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
        ]
    except OSError:
        return
    below = [
        each
        for path in inner
        if depth and path.name not in NO_RUNS
        for each in runs_below(path, depth - 1)
    ]
    yield from sorted(below, key=lambda each: (_begun(each), each))


def _begun(folder: Path) -> float:
    try:
        return RunFolder(folder).run_file.stat().st_mtime
    except OSError:
        return float("inf")
