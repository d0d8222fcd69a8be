"""Models on suites by name: figures, or curves over training steps, model sizes or numbers of
worked examples (when does a model do what it was not trained for?), and which items stand in the
training text. "text" is no suite: the bits per byte of the test texts of the first model's run.

The rows of a curve have their place x (the step, the parameters, the shots), changes are from its
first point to its last one, paired. Only one model is in memory at a time.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundup.data.preparation.trained_on import DATA, data_folder
from groundup.data.split import TRAIN, split_file
from groundup.data.test_openings import opened_split
from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.comparison.run import compare_to_first, evaluate, measure
from groundup.evaluate.config import EvaluationConfig, Over
from groundup.evaluate.item_overlap import ItemOverlap, find_overlap
from groundup.evaluate.items import CONTROL_BITS
from groundup.evaluate.results import (
    EvaluationResults,
    EvaluationRow,
    MetricCurve,
    ModelChange,
)
from groundup.evaluate.suite import Suite, SuiteTask, suite_tasks
from groundup.evaluate.suites.registry import suites_named
from groundup.evaluate.task import EvaluationTask, TaskResult
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.files import read_json_object
from groundup.model.sizes import parameter_count
from groundup.progress import Progress
from groundup.runs import RunFolder, step_folders
from groundup.weights.model_io import OpenModel, find_model, open_model, read_model_summary

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
    curve: str
    """The curve that it is on, as named by the user."""
    name: str
    """Of the model, in tables."""
    path: Path
    x: float = 0.0
    """Step or parameters; of shots the tasks have it."""


def points_over(over: Over, models: Sequence[str], progress: Progress) -> list[CurvePoint]:
    """Raises ConfigError, DataError (too few), ModelError."""
    if over == "steps":
        return [point for name in models for point in _steps(name, progress)]
    if over == "sizes":
        return _sizes(list(models), progress)
    return [CurvePoint(name, name, find_model(name, progress=progress)) for name in models]


def _steps(name: str, progress: Progress) -> list[CurvePoint]:
    """The snapshots, oldest first. Raises DataError where there are fewer than two."""
    found = step_folders(
        RunFolder(find_model(name, prefer="pretrain", progress=progress)).snapshots
    )
    if len(found) < MIN_POINTS:
        what = f"{name} keeps {len(found)} snapshots"
        raise DataError(f"{what}; a curve over steps needs {MIN_POINTS} or more.", fix=HOW_STEPS)
    return [CurvePoint(name, f"step {step}", folder, step) for step, folder in found]


def _sizes(models: list[str], progress: Progress) -> list[CurvePoint]:
    """The models, or of a sweep the longest run of each size. Raises ConfigError, DataError."""
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
    """The longest finished run of each size. Raises FormatError."""
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
    """Raises what opening and measuring raise."""
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
    """Return the task and the place on the x axis; over shots the task's name ends with it."""
    if over != "shots":
        return task, point.x
    match = _SHOTS.search(task)
    if not match:
        return task, 0.0
    return task[: match.start()], float(match[1])


def metric_curves(
    rows: Sequence[EvaluationRow], changes: Sequence[ModelChange], over: Over
) -> tuple[MetricCurve, ...]:
    """The first metric over x, and bits per byte, which move before an accuracy does.

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


TEXT = "text"


def evaluate_suites(
    models: Sequence[str],
    names: Sequence[str],
    config: EvaluationConfig,
    *,
    compute: Compute,
    progress: Progress,
) -> EvaluationResults:
    """All models have the same items. Raises ConfigError, DataError, ModelError."""
    over = config.over
    suites = suites_named([name for name in names if name != TEXT])
    text = [held_out_text(models, config.seed, progress)] if TEXT in names else []
    if over == "shots" and len(set(config.shots)) < 2:
        raise ConfigError(
            "`over` shots needs two numbers of shots or more.", fix="Give, for example, 0, 1, 4, 8."
        )
    if over is None:
        opened = {name: open_model(name, compute, progress=progress) for name in models}
        tasks = _tasks(suites, opened, config, text, progress)
        results = evaluate(opened, tasks, compute=compute, progress=progress)
        trained = {name: data_folder(model.path) for name, model in opened.items()}
    else:
        points = points_over(over, models, progress)
        checked = points
        if over == "steps":  # the snapshots of a run have one shape and one tokenizer
            checked = list({point.curve: point for point in points}.values())
        opened = {each.name: open_model(each.path, compute, progress=progress) for each in checked}
        tasks = _tasks(suites, opened, config, text, progress)
        results = measure_over(over, points, tasks, compute=compute, progress=progress)
        trained = {name: training_data(name, over) for name in models}
    return replace(results, overlap=_overlap(tasks, trained, progress))


def _tasks(
    suites: Sequence[Suite],
    opened: Mapping[str, OpenModel],
    config: EvaluationConfig,
    text: Sequence[EvaluationTask],
    progress: Progress,
) -> list[EvaluationTask]:
    return [*(suite_tasks(suites, opened, config, progress) if suites else ()), *text]


def held_out_text(models: Sequence[str], seed: int, progress: Progress) -> BitsPerByte:
    """Of the first model whose data folder is there. Raises DataError."""
    for name in models:
        folder: Path | None = Path(name) / DATA  # of a run, a build, a sweep
        if not split_file(Path(name) / DATA, TRAIN).is_file():
            folder = data_folder(find_model(name, progress=progress))
        if folder is not None:
            documents = opened_split(folder, Path(name))
            texts = sample_texts((document.text for document in documents), seed=seed)
            return BitsPerByte(texts, TEXT)
    raise DataError(
        f"`tasks` {TEXT} is the held-out text of a pretraining run, and {', '.join(models)} has no "
        "data folder.",
        fix="Give a pretraining run with its data folder; or any text: "
        "groundup evaluate MODEL --data FILE --as text",
    )


def training_data(name: str, over: Over) -> Path | None:
    if over == "sizes" and split_file(Path(name) / DATA, TRAIN).is_file():
        return Path(name) / DATA  # of a sweep
    if over == "steps":
        return data_folder(find_model(name, prefer="pretrain"))
    return data_folder(find_model(name))


def _overlap(
    tasks: Sequence[EvaluationTask], trained: Mapping[str, Path | None], progress: Progress
) -> dict[str, dict[str, ItemOverlap]]:
    folders = {name: folder for name, folder in trained.items() if folder}
    found: dict[str, dict[str, ItemOverlap]] = {}
    for task in tasks:
        if folders and isinstance(task, SuiteTask) and task.suite.name not in found:
            found[task.suite.name] = {
                name: find_overlap(task.items, folder, progress) for name, folder in folders.items()
            }
    return found
