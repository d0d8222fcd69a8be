"""Models on suites by name: the figures of `evaluate.comparison.run`, or curves
(`evaluate.comparison.emergence`), and which items stand in the training text.

    evaluate_suites(["runs/mine"], ["grammar", "text"], SuiteOptions(), None, compute=compute,
        progress=progress)

"text" is no suite: the bits per byte of the test texts of the first model's run, build or sweep.
`results["overlap"]`: suite -> model -> `memorisation.overlaps`, of the models whose training text
is there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundup.data.preparation.trained_on import DATA, data_folder
from groundup.data.split import TRAIN, read_split, split_file, splits_in
from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.comparison.emergence import Over, measure_over, points_over
from groundup.evaluate.comparison.run import evaluate
from groundup.evaluate.memorisation import overlaps
from groundup.evaluate.suite import Suite, SuiteOptions, SuiteTask, suite_tasks
from groundup.evaluate.suites.registry import suites_named
from groundup.evaluate.task import EvaluationTask
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.progress import Progress
from groundup.weights.model_io import OpenModel, find_model, open_model

TEXT = "text"


def evaluate_suites(
    models: Sequence[str],
    names: Sequence[str],
    options: SuiteOptions,
    over: Over | None,
    *,
    compute: Compute,
    progress: Progress,
) -> dict[str, Any]:
    """Measure models on suites, all on the same items.

    Raises ConfigError, DataError, ModelError.
    """
    suites = suites_named([name for name in names if name != TEXT])
    text = [held_out_text(models, options.seed, progress)] if TEXT in names else []
    if over == "shots" and len(set(options.shots)) < 2:
        raise ConfigError(
            "--over shots needs two numbers of shots or more.",
            fix="Give, for example, --shots 0,1,4,8.",
        )
    if over is None:
        opened = {name: open_model(name, compute, progress=progress) for name in models}
        tasks = _tasks(suites, opened, options, text, progress)
        results = evaluate(opened, tasks, compute=compute, progress=progress)
        trained = {name: data_folder(model.path) for name, model in opened.items()}
    else:
        points = points_over(over, models, progress)
        # the snapshots of a run have one shape and one tokenizer
        checked = {point.curve: point for point in points}.values() if over == "steps" else points
        opened = {
            point.name: open_model(point.path, compute, progress=progress) for point in checked
        }
        tasks = _tasks(suites, opened, options, text, progress)
        results = measure_over(over, points, tasks, compute=compute, progress=progress)
        trained = {name: training_data(name, over) for name in models}
    return {**results, "overlap": _overlap(tasks, trained, progress)}


def _tasks(
    suites: Sequence[Suite],
    opened: Mapping[str, OpenModel],
    options: SuiteOptions,
    text: Sequence[EvaluationTask],
    progress: Progress,
) -> list[EvaluationTask]:
    return [*(suite_tasks(suites, opened, options, progress) if suites else []), *text]


def held_out_text(models: Sequence[str], seed: int, progress: Progress) -> BitsPerByte:
    """Return the task on the held-out text of the first model whose data folder is there.

    Raises DataError.
    """
    for name in models:
        path = Path(name) / DATA  # of a run, a build, a sweep
        folder = (
            path
            if split_file(path, TRAIN).is_file()
            else data_folder(find_model(name, progress=progress))
        )
        if folder is not None:
            documents = read_split(folder, splits_in(folder)[-1])
            return BitsPerByte(
                sample_texts((document.text for document in documents), seed=seed), TEXT
            )
    raise DataError(
        f"--tasks {TEXT} is the held-out text of a pretraining run, and {', '.join(models)} has no data folder.",
        fix="Give a pretraining run with its data folder; or any text: groundup evaluate MODEL --data FILE --as text",
    )


def training_data(name: str, over: Over) -> Path | None:
    """Return the data folder that the models of a curve were trained on; None where it is not
    there.
    """
    if over == "sizes" and split_file(Path(name) / DATA, TRAIN).is_file():
        return Path(name) / DATA  # of a sweep
    return data_folder(find_model(name, prefer="pretrain" if over == "steps" else "chat"))


def _overlap(
    tasks: Sequence[EvaluationTask], trained: Mapping[str, Path | None], progress: Progress
) -> dict[str, Any]:
    """Return of each suite and model how many items stand in its training text."""
    found: dict[str, dict[str, Any]] = {}
    for task in tasks:
        if isinstance(task, SuiteTask) and task.suite.name not in found:
            known = {
                name: overlaps(task.items, folder, progress)
                for name, folder in trained.items()
                if folder
            }
            found |= {task.suite.name: known} if known else {}
    return found
