"""Suites measured over training steps, model sizes or numbers of worked examples: when does a model
do what it was not trained for?

    points = points_over("steps", ["runs/mine"])                     the snapshots that a run keeps
    points = points_over("sizes", ["runs/law"])
            the longest run of each size of a sweep, or several models
    points = points_over("shots", ["runs/mine"])
            one model; the tasks have the numbers of shots
    measure_over("steps", points, tasks, compute=compute, progress=progress)

The result has the form of `evaluate.comparison.run`: each row has "x" (the step, the parameters,
the shots) besides, "changes" are from the first point of a curve to its last one, paired, and
"curves" has of each task its first metric, and bits per byte where it has them, point by point:

    {"task", "metric", "better", "chance", "model", "over", "points": [{"x", "value", "low", "high",
        "n", "is_chance"}, ...], "change": {...} | None}

Only one model is in memory at a time. The snapshots of a run are in half precision
(`train.pretrain`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.comparison.run import changes, measured
from groundup.evaluate.items import CONTROL_BITS
from groundup.evaluate.task import EvaluationTask, TaskResult
from groundup.files import read_json_object
from groundup.model.sizes import parameter_count
from groundup.progress import Progress
from groundup.runs import RunFolder, step_folders
from groundup.weights.model_io import find_model, open_model, read_model_summary

Over = Literal["steps", "sizes", "shots"]
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
        return _sizes(models, progress)
    return [CurvePoint(name, name, find_model(name, progress=progress)) for name in models]


def _steps(name: str, progress: Progress) -> list[CurvePoint]:
    """The snapshots of a run, oldest first. Raises DataError where there are fewer than two."""
    found = step_folders(
        RunFolder(find_model(name, prefer="pretrain", progress=progress)).snapshots
    )
    if len(found) < MIN_POINTS:
        raise DataError(
            f"{name} keeps {len(found)} snapshots; a curve over steps needs {MIN_POINTS} or more.",
            fix=HOW_STEPS,
        )
    return [CurvePoint(name, f"step {step}", folder, step) for step, folder in found]


def _sizes(models: Sequence[str], progress: Progress) -> list[CurvePoint]:
    """The models, and of a sweep the longest run of each size, by parameters.

    Raises ConfigError, DataError.
    """
    sweeps = [name for name in models if (Path(name) / SWEEP_FILE).is_file()]
    if len(sweeps) > 1 or (sweeps and len(models) > 1):
        raise ConfigError(
            "--over sizes takes one sweep, or several models.", fix="Name the sweep's folder alone."
        )
    folders = (
        _sweep_runs(Path(sweeps[0]))
        if sweeps
        else {n: find_model(n, progress=progress) for n in models}
    )
    curve = sweeps[0] if sweeps else "models"
    points = [CurvePoint(curve, name, path, _parameters(path)) for name, path in folders.items()]
    if len(points) < MIN_POINTS:
        raise DataError(
            f"A curve over sizes needs {MIN_POINTS} models or more, got {len(points)}.",
            fix=HOW_SIZES,
        )
    return sorted(points, key=lambda point: point.x)


def _sweep_runs(sweep: Path) -> dict[str, Path]:
    """Return the longest finished run of each size. Raises FormatError."""
    runs = read_json_object(sweep / SWEEP_FILE).get("runs")
    names = (
        [str(run.get("name")) for run in runs if isinstance(run, dict)]
        if isinstance(runs, list)
        else []
    )
    longest: dict[int, tuple[int, str]] = {}
    for name in names:
        if (match := _SWEEP_RUN.fullmatch(name)) and RunFolder(
            sweep / SWEEP_RUNS / name
        ).results_file.is_file():
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
) -> dict[str, Any]:
    """Measure every model on every task and return rows, changes and curves.

    Raises what opening and measuring raise.
    """
    results: dict[str, Any] = {"over": over, "rows": [], "changes": [], "details": {}}
    ends: dict[tuple[str, str], dict[str, TaskResult]] = {}
    for point in points:
        opened = open_model(point.path, compute, progress=progress)
        for task in tasks:
            result, rows = measured(task, point.name, opened, compute=compute, progress=progress)
            base, x = place(over, task.name, point)
            results["rows"] += [{**row, "task": base, "curve": point.curve, "x": x} for row in rows]
            kept = ends.setdefault((base, point.curve), {})
            label = point.name if over != "shots" else f"{x:g} shots"
            for name in list(kept)[1:]:
                del kept[name]
            kept[label] = result
    for (base, curve), first_and_last in ends.items():
        results["changes"] += [{**row, "curve": curve} for row in changes(base, first_and_last)]
        last = list(first_and_last.values())[-1]
        results["details"].setdefault(base, {})[curve] = dict(last.details)
    return {**results, "curves": curves(results["rows"], results["changes"], over)}


def place(over: Over, task: str, point: CurvePoint) -> tuple[str, float]:
    """Return the task and the place on the x axis of a figure; over shots the task's name ends with
    their number.
    """
    if over != "shots":
        return task, point.x
    match = _SHOTS.search(task)
    return (task[: match.start()], float(match[1])) if match else (task, 0.0)


def curves(
    rows: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]], over: Over
) -> list[dict[str, Any]]:
    """Return of each task and curve the first metric over x, and the bits per byte, which move
    before an accuracy does.

    Bits per byte of an answer also fall where the model only learns which words are frequent: their
    control is the same answer after another item's prompt.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    firsts: dict[str, str] = {}
    change = {(row["task"], row["metric"], row["curve"]): row for row in changes}
    for row in rows:
        key = (row["task"], row["metric"], row["curve"])
        if row["metric"] not in (firsts.setdefault(row["task"], row["metric"]), BITS, CONTROL_BITS):
            continue
        head = {name: row[name] for name in ("task", "metric", "better", "chance")} | {
            "model": row["curve"],
            "over": over,
        }
        curve = found.setdefault(key, {**head, "points": [], "change": change.get(key)})
        curve["points"].append(
            {name: row[name] for name in ("x", "value", "low", "high", "n", "is_chance")}
        )
    for curve in found.values():
        curve["points"].sort(key=lambda point: point["x"])
    return list(found.values())
