"""One run folder, followed while it is written: the contents of its files so far, as values.

    run = FollowedRun(folder, "name");  run.read();  run.summary();  run.detail()

Each read takes only what is new. Damaged or missing files are tolerated.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from groundup.errors import ConfigError, FormatError
from groundup.files import read_json
from groundup.locks import is_locked
from groundup.report.downsampling import Curves, EvenSample, on_axes
from groundup.report.live.training_advice import EvaluationPoint, RunView, remarks
from groundup.report.live.validation_differences import Differences, comparisons, read_pieces
from groundup.report.sections.pretrain import VALIDATION_NAMES
from groundup.report.values import JsonObject, first_letters, flat, number, table, text
from groundup.runs import MAX_LINE_BYTES, RunFolder, read_line

# The current training loss is the mean of this many steps: single batches differ too much.
RECENT_STEPS = 50
# Keys of an evaluation that are not figures of their own.
NOT_FIGURES = ("event", "step", "tokens", "elapsed_s", "evaluation_s", "train_loss", "validation")
# Events that are marked on the curves.
SKIPPED, ROLLED_BACK = "skipped", "rolled back"
# Evaluations that say how sure their differences are.
COMPARED = "compared"
# The number of steps is changed, to keep the time budget.
RE_AIMED = "re-aimed"
# Seconds without a write after which a run counts as stopped, by whether its lock is held. A
# finished run saves its model without the lock.
QUIET_S = {False: 20.0, None: 90.0}
# Bounds of the samples that are kept: evaluations, prompts of each, characters of a text.
MAX_EVALUATIONS, MAX_PROMPTS, MAX_CHARACTERS = 100, 16, 4000


class Tail:
    """A JSON-lines file that another process writes: each read returns the complete lines that are
    new since the last.

    A resumed run truncates its log to its checkpoint; a new run has a new file. Both are detected
    by the last line that was read: it is no longer at its offset (lines have times in milliseconds,
    so that a repeated step gives another line).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._last = b""  # the line that ends at the offset

    def read(self, restart: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """Yield the records since the last call. `restart` is called first when the lines read
        before are no longer in the file.

        An incomplete line is left for the next call; lines that are not records are skipped; a
        missing file counts as empty.
        """
        try:
            handle = self.path.open("rb")
        except OSError:
            self._reset(restart)
            return
        with handle:
            handle.seek(self._offset - len(self._last))
            if handle.read(len(self._last)) != self._last:
                self._reset(restart)
            handle.seek(self._offset)
            yield from self._whole_lines(handle)

    def _reset(self, restart: Callable[[], None]) -> None:
        if self._offset:
            self._offset, self._last = 0, b""
            restart()

    def _whole_lines(self, handle: BinaryIO) -> Iterator[dict[str, Any]]:
        while raw := handle.readline(MAX_LINE_BYTES + 1):
            end = raw
            if not raw.endswith(b"\n"):
                end = _rest_of_line(handle)
            if not end.endswith(b"\n"):
                return
            self._offset, self._last = handle.tell(), end
            record = read_line(raw)
            if record is not None:
                yield record


def _rest_of_line(handle: BinaryIO) -> bytes:
    """The last piece of a line longer than any record; without a line end where the file ends
    first.
    """
    while (piece := handle.readline(MAX_LINE_BYTES + 1)) and not piece.endswith(b"\n"):
        pass
    return piece


class _Log:
    """The contents of metrics.jsonl so far."""

    def __init__(self) -> None:
        self.curves, self.evaluations, self.marks = Curves(), EvenSample(), EvenSample()
        self.with_pieces = EvenSample()
        self.events: Counter[str] = Counter()
        self.recent: deque[float] = deque(maxlen=RECENT_STEPS)
        self.last: dict[str, Any] = {}
        self.best: dict[str, float] = {}
        self.evaluated: dict[str, Any] = {}
        self.steps: float | None = None

    def add(self, record: JsonObject) -> None:
        event = record.get("event")
        self.last = {**self.last, **on_axes(record)}
        if event == "evaluation":
            self._add_evaluation(record)
        elif event in (SKIPPED, ROLLED_BACK):
            self.events[event] += 1
            why = {"reason": text(record, "reason"), "to_step": number(record, "to_step")}
            self.marks.add({**self.last, "event": event, **why})
        elif event == RE_AIMED:
            self.steps = number(record, "steps")
        elif event is None:
            self.curves.add(record)
            loss = number(record, "loss")
            if loss is not None:
                self.recent.append(loss)

    def _add_evaluation(self, record: JsonObject) -> None:
        figures = {name: found for name in record if (found := number(record, name)) is not None}
        validation = next((figures[name] for name in VALIDATION_NAMES if name in figures), None)
        self.evaluated = {
            **figures,
            **self.last,
            "train_loss": self.train_loss(),
            "validation": validation,
        }
        self.evaluations.add(self.evaluated)
        if "pieces" in record:
            self.events[COMPARED] += 1
            self.with_pieces.add(record)
        if validation is not None and validation < self.best.get("loss", float("inf")):
            self.best = {"step": self.last.get("step", 0), "loss": validation}

    def train_loss(self) -> float | None:
        if not self.recent:
            return None
        return sum(self.recent) / len(self.recent)


@dataclass
class SampleHistory:
    """The samples of a run by evaluation, evenly spaced over the run, the first and the last
    among them.
    """

    _spread: EvenSample = field(default_factory=lambda: EvenSample(MAX_EVALUATIONS))
    _open: dict[str, Any] = field(default_factory=dict)

    def add(self, record: JsonObject) -> None:
        """Add a sample; those of one step follow one another."""
        step = number(record, "step")
        if step is None:
            return
        if self._open.get("step") != step:
            self._open = {"step": step, "written": []}
            self._spread.add(self._open)
        if len(self._open["written"]) < MAX_PROMPTS:
            sample: dict[str, Any] = {
                key: first_letters(text(record, key), MAX_CHARACTERS)
                for key in ("prompt", "text", "copied_text")
            }
            for key in ("repetition", "longest_copy"):
                sample[key] = number(record, key)
            self._open["written"].append(sample)

    def evaluations(self) -> list[JsonObject]:
        """[{"step": ..., "written": [{"prompt", "text", "repetition", "longest_copy",
        "copied_text"}, ...]}, ...]
        """
        return self._spread.records()


class FollowedRun:
    """A run folder and what was read from it. `version` grows with every change."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = RunFolder(folder), name
        self.version = 0
        self._metrics = Tail(self.folder.metrics_file)
        self._samples = Tail(self.folder.samples_file)
        self._records: dict[str, tuple[tuple[int, int], JsonObject]] = {}
        self._log, self._history = _Log(), SampleHistory()

    def read(self) -> None:
        """Read what is new. Damaged files are skipped: they may be complete the next time."""
        for record in self._metrics.read(self._forget_metrics):
            self._log.add(record)
            self.version += 1
        for record in self._samples.read(self._forget_samples):
            self._history.add(record)
            self.version += 1
        folder = self.folder
        for path in (folder.run_file, folder.fit_file, folder.results_file, folder.plan_file):
            self._read_record(path)

    def _forget_metrics(self) -> None:
        self._log = _Log()
        self.version += 1

    def _forget_samples(self) -> None:
        self._history = SampleHistory()
        self.version += 1

    def _read_record(self, path: Path) -> None:
        try:
            stat = path.stat()
            seen = (stat.st_mtime_ns, stat.st_size)
            if self._records.get(path.name, ((0, 0), {}))[0] != seen:
                self._records[path.name] = (seen, table(read_json(path)))
                self.version += 1
        except (OSError, FormatError):
            if self._records.pop(path.name, None):
                self.version += 1

    def _record(self, name: str) -> JsonObject:
        return self._records.get(name, ((0, 0), {}))[1]

    @property
    def steps(self) -> int | None:
        """The planned number of steps, where a file has it: the latest in the log, else the
        initial one.
        """
        places = (
            (self.folder.fit_file.name, ("identity", "config", "steps")),
            (self.folder.run_file.name, ("config", "fit", "steps")),
            (self.folder.plan_file.name, ("fit", "steps")),
        )
        found = (self._log.steps, *(number(self._record(name), *keys) for name, keys in places))
        return next((round(steps) for steps in found if steps is not None), None)

    def quiet_s(self, now_s: float) -> float | None:
        """Seconds since the last write to a file of the run; None before the first."""
        folder, times = self.folder, []
        for path in (folder.metrics_file, folder.samples_file, folder.fit_file, folder.run_file):
            try:
                times.append(path.stat().st_mtime)
            except OSError:
                continue
        if not times:
            return None
        return max(0.0, now_s - max(times))

    def left_s(self) -> float | None:
        """Estimated seconds to the last step, at the speed of the later half of the steps so far
        (evaluations and checkpoints included).
        """
        buckets, steps = self._log.curves.buckets, self.steps
        timed = [bucket.axes for bucket in buckets if {"step", "elapsed_s"} <= bucket.axes.keys()]
        if steps is None or len(timed) < 2:
            return None
        then, now = timed[len(timed) // 2 - 1], timed[-1]
        done = now["step"] - then["step"]
        if done <= 0:
            return None
        return (steps - now["step"]) * (now["elapsed_s"] - then["elapsed_s"]) / done

    def summary(self, now_s: float | None = None) -> dict[str, Any]:
        if now_s is None:
            now_s = time.time()
        quiet_s, left_s, log = self.quiet_s(now_s), None, self._log
        finished = bool(self._record(self.folder.results_file.name))
        status = status_of(finished=finished, locked=is_locked(self.folder.path), quiet_s=quiet_s)
        if status == "running":
            left_s = self.left_s()
        return {
            "name": self.name,
            "kind": text(self._record(self.folder.run_file.name), "kind"),
            "version": self.version,
            "status": status,
            "quiet_s": quiet_s,
            "step": log.last.get("step"),
            "steps": self.steps,
            "tokens": log.last.get("tokens"),
            "elapsed_s": log.last.get("elapsed_s"),
            "left_s": left_s,
            "loss": log.train_loss(),
            "tokens_per_s": log.curves.latest("tokens_per_s"),
            "evaluation": log.evaluated,
            "best": log.best,
            "skipped": log.events[SKIPPED],
            "rolled_back": log.events[ROLLED_BACK],
        }

    def detail(self) -> dict[str, Any]:
        """Curves, evaluations, samples, remarks, settings."""
        log, evaluations = self._log, self._log.evaluations.records()
        return {
            "version": self.version,
            "columns": log.curves.columns(),
            "evaluations": evaluations,
            "figures": sorted({name for each in evaluations for name in each} - {*NOT_FIGURES}),
            "differences": asdict(self._differences()),
            "marks": log.marks.records(),
            "samples": self._history.evaluations(),
            "remarks": [remark._asdict() for remark in remarks(self.view())],
            "settings": dict(flat(table(self._record(self.folder.run_file.name), "config"))),
        }

    def _differences(self) -> Differences:
        found = map(read_pieces, self._log.with_pieces.records())
        whole = [each for each in found if each is not None]
        return comparisons(whole, self._log.events[COMPARED] - 1)

    def view(self) -> RunView:
        log = self._log
        evaluations = [
            EvaluationPoint(each["step"], each["train_loss"], each["validation"])
            for each in log.evaluations.records()
            if each["validation"] is not None and "step" in each
        ]
        samples, written = self._history.evaluations(), []
        if samples:
            written = samples[-1]["written"]
        return RunView(
            curves=log.curves,
            evaluations=evaluations,
            written=written,
            skipped=log.events[SKIPPED],
            rolled_back=log.events[ROLLED_BACK],
            step=int(log.last.get("step", 0)),
        )


def status_of(*, finished: bool, locked: bool | None, quiet_s: float | None) -> str:
    """Return "finished", "running", "stopped", or "waiting" (nothing was written yet).

    >>> status_of(finished=False, locked=True, quiet_s=600.0)
    'running'"""
    if finished:
        return "finished"
    if locked:
        return "running"
    if quiet_s is None:
        return "waiting"
    if quiet_s < QUIET_S[locked]:
        return "running"
    return "stopped"


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
