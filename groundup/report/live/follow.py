"""One run folder, followed: what its files have said so far, as values.

    run = FollowedRun(folder, "name");  run.read();  run.summary();  run.detail()

To read again costs what is new. Whatever is damaged, missing or older than this code is passed over.
"""

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.files import read_json
from groundup.report.downsampling import EvenSample
from groundup.report.live.coach import Evaluation, RunView, remarks
from groundup.report.live.curves import Curves, places
from groundup.report.live.presence import is_locked, status_of
from groundup.report.live.samples import SampleHistory
from groundup.report.live.tail import Tail
from groundup.report.sections.pretrain import VALIDATION_NAMES
from groundup.report.values import JsonObject, flat, number, table, text
from groundup.runs import RunFolder

# Steps whose mean stands for "the training loss now": single batches differ too much.
RECENT_STEPS = 50
# What an evaluation's line has beside its figures.
NOT_FIGURES = ("event", "step", "tokens", "elapsed_s", "evaluation_s", "train_loss", "validation")
# Events that are marked on the curves.
SKIPPED, ROLLED_BACK = "skipped", "rolled back"
# From here on the run has another number of steps, to keep its time.
RE_AIMED = "re-aimed"


@dataclass
class _Log:
    """What metrics.jsonl and samples.jsonl have said so far."""

    curves: Curves = field(default_factory=Curves)
    evaluations: EvenSample = field(default_factory=EvenSample)
    marks: EvenSample = field(default_factory=EvenSample)
    happened: Counter[str] = field(default_factory=Counter)
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_STEPS))
    last: dict[str, Any] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    evaluated: dict[str, Any] = field(default_factory=dict)
    steps: float | None = None

    def add(self, record: JsonObject) -> None:
        event = record.get("event")
        self.last = {**self.last, **places(record)}
        if event == "evaluation":
            self._add_evaluation(record)
        elif event in (SKIPPED, ROLLED_BACK):
            self.happened[event] += 1
            said = {"event": event, "reason": text(record, "reason"), "to_step": number(record, "to_step")}
            self.marks.add({**self.last, **said})
        elif event == RE_AIMED:
            self.steps = number(record, "steps")
        elif event is None:
            self.curves.add(record)
            loss = number(record, "loss")
            self.recent.extend([] if loss is None else [loss])

    def _add_evaluation(self, record: JsonObject) -> None:
        figures = {name: found for name in record if (found := number(record, name)) is not None}
        validation = next((figures[name] for name in VALIDATION_NAMES if name in figures), None)
        self.evaluated = {**figures, **self.last, "train_loss": self.train_loss(), "validation": validation}
        self.evaluations.add(self.evaluated)
        if validation is not None and validation < self.best.get("loss", float("inf")):
            self.best = {"step": self.last.get("step", 0), "loss": validation}

    def train_loss(self) -> float | None:
        return sum(self.recent) / len(self.recent) if self.recent else None


class FollowedRun:
    """A run folder and what was read of it. `version` grows whenever something was new."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = RunFolder(folder), name
        self.version = 0
        self._metrics, self._samples = Tail(self.folder.metrics_file), Tail(self.folder.samples_file)
        self._records: dict[str, tuple[tuple[int, int], JsonObject]] = {}
        self._log, self._shelf = _Log(), SampleHistory()

    def read(self) -> None:
        """Take in what the files say that is new. Damaged files are passed over: they may be whole the next time."""
        for record in self._metrics.read(self._forget_metrics):
            self._log.add(record)
            self.version += 1
        for record in self._samples.read(self._forget_samples):
            self._shelf.add(record)
            self.version += 1
        folder = self.folder
        for path in (folder.run_file, folder.fit_file, folder.results_file, folder.plan_file):
            self._read_record(path)

    def _forget_metrics(self) -> None:
        self._log = _Log()
        self.version += 1

    def _forget_samples(self) -> None:
        self._shelf = SampleHistory()
        self.version += 1

    def _read_record(self, path: Path) -> None:
        try:
            stat = path.stat()
            seen = (stat.st_mtime_ns, stat.st_size)
            if self._records.get(path.name, ((0, 0), {}))[0] != seen:
                self._records[path.name] = (seen, table(read_json(path)))
                self.version += 1
        except (OSError, FormatError):
            self.version += 1 if self._records.pop(path.name, None) else 0

    def _record(self, name: str) -> JsonObject:
        return self._records.get(name, ((0, 0), {}))[1]

    # --- what it comes to

    @property
    def steps(self) -> int | None:
        """Steps that the run is to have, where a file says so: the log's last word, else what it began with."""
        said = (
            (self.folder.fit_file.name, ("identity", "config", "steps")),
            (self.folder.run_file.name, ("config", "fit", "steps")),
            (self.folder.plan_file.name, ("fit", "steps")),
        )
        found = (self._log.steps, *(number(self._record(name), *keys) for name, keys in said))
        return next((round(steps) for steps in found if steps is not None), None)

    def quiet_s(self, now_s: float) -> float | None:
        """Seconds since a file of the run was written; None before the first."""
        times = []
        for path in (self.folder.metrics_file, self.folder.samples_file, self.folder.fit_file, self.folder.run_file):
            try:
                times.append(path.stat().st_mtime)
            except OSError:
                continue
        return max(0.0, now_s - max(times)) if times else None

    def left_s(self) -> float | None:
        """Seconds to the last step, at the pace of the later half of what is done (evaluations and saves included)."""
        buckets, steps = self._log.curves.buckets, self.steps
        timed = [bucket.axes for bucket in buckets if {"step", "elapsed_s"} <= bucket.axes.keys()]
        if steps is None or len(timed) < 2:
            return None
        then, now = timed[len(timed) // 2 - 1], timed[-1]
        done = now["step"] - then["step"]
        return (steps - now["step"]) * (now["elapsed_s"] - then["elapsed_s"]) / done if done > 0 else None

    def summary(self, now_s: float | None = None) -> dict[str, Any]:
        """The run in one row."""
        quiet_s = self.quiet_s(time.time() if now_s is None else now_s)
        finished = bool(self._record(self.folder.results_file.name))
        status = status_of(finished=finished, locked=is_locked(self.folder.path), quiet_s=quiet_s)
        log = self._log
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
            "left_s": self.left_s() if status == "running" else None,
            "loss": log.train_loss(),
            "tokens_per_s": log.curves.latest("tokens_per_s"),
            "evaluation": log.evaluated,
            "best": log.best,
            "skipped": log.happened[SKIPPED],
            "rolled_back": log.happened[ROLLED_BACK],
        }

    def detail(self) -> dict[str, Any]:
        """Curves, evaluations, samples, remarks, settings."""
        log, evaluations = self._log, self._log.evaluations.records()
        return {
            "version": self.version,
            "columns": log.curves.columns(),
            "evaluations": evaluations,
            "figures": sorted({name for each in evaluations for name in each} - {*NOT_FIGURES}),
            "marks": log.marks.records(),
            "samples": self._shelf.evaluations(),
            "remarks": [asdict(remark) for remark in remarks(self.lesson())],
            "settings": dict(flat(table(self._record(self.folder.run_file.name), "config"))),
        }

    def lesson(self) -> RunView:
        """What the coach looks at."""
        log = self._log
        evaluations = [
            Evaluation(each["step"], each["train_loss"], each["validation"])
            for each in log.evaluations.records()
            if each["validation"] is not None and "step" in each
        ]
        written = self._shelf.evaluations()
        return RunView(
            curves=log.curves,
            evaluations=evaluations,
            written=written[-1]["written"] if written else [],
            skipped=log.happened[SKIPPED],
            rolled_back=log.happened[ROLLED_BACK],
            step=int(log.last.get("step", 0)),
        )
