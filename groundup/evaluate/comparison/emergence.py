"""Suites measured over training steps, model sizes or numbers of worked examples: when does a model
do what it was not trained for?

    points = points_over("steps", ["runs/mine"])                     the snapshots that a run keeps
    points = points_over("sizes", ["runs/law"])
            the longest run of each size of a sweep, or several models
    points = points_over("shots", ["runs/mine"])
            one model; the tasks have the numbers of shots
    measure_over("steps", points, tasks, compute=compute, progress=progress)

The rows have their place x (the step, the parameters, the shots), changes are from the first point
of a curve to its last one, paired, and there is a curve of each task's first metric, and of bits per
byte where it has them.

Only one model is in memory at a time. The snapshots of a run are in half precision
(`train.pretrain`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.comparison.run import compare_to_first, measure
from groundup.evaluate.config import Over
from groundup.evaluate.items import CONTROL_BITS
from groundup.evaluate.results import (
    EvaluationResults,
    EvaluationRow,
    MetricCurve,
    ModelChange,
)
from groundup.evaluate.task import EvaluationTask, TaskResult
from groundup.files import read_json_object
from groundup.model.sizes import parameter_count
from groundup.progress import Progress
from groundup.runs import RunFolder, step_folders
from groundup.weights.model_io import find_model, open_model, read_model_summary

MIN_POINTS = 2
BITS = "bits_per_byte"
# A sweep's folder (`planning.sweep`), and the names of its runs: depth and steps.
SWEEP_FILE, SWEEP_RUNS = "sweep.json", "runs"
_SWEEP_RUN = re.compile(r"d(\d+)-s(\d+)")
_SHOTS = re.compile(r", (\d+) shots?$")
HOW_STEPS = "Train one that keeps them: groundup pretrain TEXTS --out RUN --set fit.checkpoints.snapshots=16"
HOW_SIZES = "Give two models or more, or the folder of a finished `groundup sweep`."


@dataclass(frozen=True)
class CurvePoint:
    """A model on a curve."""

    curve: str
    """The curve that it is on, as named by the user."""
    name: str
    """Of the model, in tables."""
    path: Path
    x: float = 0.0
    """Step or parameters; of shots the tasks have it."""


def points_over(over: Over, models: Sequence[str], progress: Progress) -> list[CurvePoint]:
    """Return the models of the curves, in order.

    Raises ConfigError, DataError (too few), ModelError.
    """
    if over == "steps":
        return [point for name in models for point in _steps(name, progress)]
    if over == "sizes":
        return _sizes(list(models), progress)
    return [CurvePoint(name, name, find_model(name, progress=progress)) for name in models]


def _steps(name: str, progress: Progress) -> list[CurvePoint]:
    """The snapshots of a run, oldest first. Raises DataError where there are fewer than two."""
    found = step_folders(
        RunFolder(find_model(name, prefer="pretrain", progress=progress)).snapshots
    )
    if len(found) < MIN_POINTS:
        what = (
            f"{name} keeps {len(found)} snapshots; a curve over steps needs {MIN_POINTS} or more."
        )
        raise DataError(what, fix=HOW_STEPS)
    return [CurvePoint(name, f"step {step}", folder, step) for step, folder in found]


def _sizes(models: list[str], progress: Progress) -> list[CurvePoint]:
    """The models, and of a sweep the longest run of each size, by parameters.

    Raises ConfigError, DataError.
    """
    sweeps = [name for name in models if (Path(name) / SWEEP_FILE).is_file()]
    if not sweeps:
        curve, folders = "models", {name: find_model(name, progress=progress) for name in models}
    elif sweeps == models and len(sweeps) == 1:
        curve, folders = sweeps[0], _sweep_runs(Path(sweeps[0]))
    else:
        what = "`over` sizes takes one sweep, or several models."
        raise ConfigError(what, fix="Name the sweep's folder alone.")
    points = [CurvePoint(curve, name, path, _parameters(path)) for name, path in folders.items()]
    if len(points) < MIN_POINTS:
        what = f"A curve over sizes needs {MIN_POINTS} models or more, got {len(points)}."
        raise DataError(what, fix=HOW_SIZES)
    return sorted(points, key=lambda point: point.x)


def _sweep_runs(sweep: Path) -> dict[str, Path]:
    """Return the longest finished run of each size. Raises FormatError."""
    runs = read_json_object(sweep / SWEEP_FILE).get("runs")
    if not isinstance(runs, list):
        runs = []
    longest: dict[int, tuple[int, str]] = {}
    for run in runs:
        name = str(run.get("name")) if isinstance(run, dict) else ""
        match = _SWEEP_RUN.fullmatch(name)
        if match and RunFolder(sweep / SWEEP_RUNS / name).results_file.is_file():
            depth, steps = int(match[1]), int(match[2])
            longest[depth] = max(longest.get(depth, (0, "")), (steps, name))
    return {name: sweep / SWEEP_RUNS / name for _, name in longest.values()}


def _parameters(path: Path) -> float:
    return float(parameter_count(read_model_summary(str(path)).config).total)


def measure_over(
    over: Over,
    points: Sequence[CurvePoint],
    tasks: Sequence[EvaluationTask],
    *,
    compute: Compute,
    progress: Progress,
) -> EvaluationResults:
    """Measure every model on every task and return rows, changes and curves.

    Raises what opening and measuring raise.
    """
    rows: list[EvaluationRow] = []
    ends: dict[tuple[str, str], dict[str, TaskResult]] = {}
    for point in points:
        opened = open_model(point.path, compute, progress=progress)
        for task in tasks:
            result, found = measure(task, point.name, opened, compute=compute, progress=progress)
            base, x = place(over, task.name, point)
            rows += [replace(row, task=base, curve=point.curve, x=x) for row in found]
            label = point.name
            if over == "shots":
                label = f"{x:g} shots"
            of_curve = ends.setdefault((base, point.curve), {})
            for name in list(of_curve)[1:]:
                del of_curve[name]  # only the first and the last are compared
            of_curve[label] = result
    changes: list[ModelChange] = []
    details: dict[str, dict[str, dict[str, object]]] = {}
    for (base, curve), first_and_last in ends.items():
        changes += [replace(each, curve=curve) for each in compare_to_first(base, first_and_last)]
        *_, last = first_and_last.values()
        details.setdefault(base, {})[curve] = dict(last.details)
    curves = metric_curves(rows, changes, over)
    return EvaluationResults(tuple(rows), tuple(changes), details, over=over, curves=curves)


def place(over: Over, task: str, point: CurvePoint) -> tuple[str, float]:
    """Return the task and the place on the x axis of a figure; over shots the task's name ends with
    their number.
    """
    if over != "shots":
        return task, point.x
    match = _SHOTS.search(task)
    if not match:
        return task, 0.0
    return task[: match.start()], float(match[1])


def metric_curves(
    rows: Sequence[EvaluationRow], changes: Sequence[ModelChange], over: Over
) -> tuple[MetricCurve, ...]:
    """Return of each task and curve the first metric over x, and the bits per byte, which move
    before an accuracy does.

    Bits per byte of an answer also fall where the model only learns which words are frequent: their
    control is the same answer after another item's prompt.
    """
    found: dict[tuple[str, str, str], list[EvaluationRow]] = {}
    firsts: dict[str, str] = {}
    change = {(each.task, each.metric, each.curve): each for each in changes}
    for row in rows:
        if row.metric in (firsts.setdefault(row.task, row.metric), BITS, CONTROL_BITS):
            found.setdefault((row.task, row.metric, row.curve), []).append(row)
    return tuple(
        MetricCurve(key[2], over, tuple(sorted(points, key=lambda row: row.x)), change.get(key))
        for key, points in found.items()
    )
