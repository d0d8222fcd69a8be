"""Models on suites by name: the figures of `evaluate.comparison.run`, or curves
(`evaluate.comparison.emergence`), and which items stand in the training text.

    evaluate_suites(["runs/mine"], ["grammar", "text"], EvaluationConfig(), compute=compute,
        progress=progress)

"text" is no suite: the bits per byte of the test texts of the first model's run, build or sweep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from groundup.data.preparation.trained_on import DATA, data_folder
from groundup.data.split import TRAIN, read_split, split_file, splits_in
from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.evaluate.comparison.emergence import measure_over, points_over
from groundup.evaluate.comparison.run import evaluate
from groundup.evaluate.config import EvaluationConfig, Over
from groundup.evaluate.memorisation import ItemOverlap, find_overlap
from groundup.evaluate.results import EvaluationResults
from groundup.evaluate.suite import Suite, SuiteTask, suite_tasks
from groundup.evaluate.suites.registry import suites_named
from groundup.evaluate.task import EvaluationTask
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.progress import Progress
from groundup.weights.model_io import OpenModel, find_model, open_model

TEXT = "text"


def evaluate_suites(
    models: Sequence[str],
    names: Sequence[str],
    config: EvaluationConfig,
    *,
    compute: Compute,
    progress: Progress,
) -> EvaluationResults:
    """Measure models on suites, all on the same items.

    Raises ConfigError, DataError, ModelError.
    """
    over = config.over
    suites = suites_named([name for name in names if name != TEXT])
    text: list[EvaluationTask] = []
    if TEXT in names:
        text = [held_out_text(models, config.seed, progress)]
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
    if not suites:
        return list(text)
    return [*suite_tasks(suites, opened, config, progress), *text]


def held_out_text(models: Sequence[str], seed: int, progress: Progress) -> BitsPerByte:
    """Return the task on the held-out text of the first model whose data folder is there.

    Raises DataError.
    """
    for name in models:
        folder: Path | None = Path(name) / DATA  # of a run, a build, a sweep
        if not split_file(Path(name) / DATA, TRAIN).is_file():
            folder = data_folder(find_model(name, progress=progress))
        if folder is not None:
            documents = read_split(folder, splits_in(folder)[-1])
            texts = sample_texts((document.text for document in documents), seed=seed)
            return BitsPerByte(texts, TEXT)
    raise DataError(
        f"`tasks` {TEXT} is the held-out text of a pretraining run, and {', '.join(models)} has no "
        "data folder.",
        fix="Give a pretraining run with its data folder; or any text: "
        "groundup evaluate MODEL --data FILE --as text",
    )


def training_data(name: str, over: Over) -> Path | None:
    """Return the data folder that the models of a curve were trained on; None where it is not
    there.
    """
    if over == "sizes" and split_file(Path(name) / DATA, TRAIN).is_file():
        return Path(name) / DATA  # of a sweep
    if over == "steps":
        return data_folder(find_model(name, prefer="pretrain"))
    return data_folder(find_model(name))


def _overlap(
    tasks: Sequence[EvaluationTask], trained: Mapping[str, Path | None], progress: Progress
) -> dict[str, dict[str, ItemOverlap]]:
    """Return how many items of each suite stand in the training text of each model."""
    folders = {name: folder for name, folder in trained.items() if folder}
    found: dict[str, dict[str, ItemOverlap]] = {}
    for task in tasks:
        if folders and isinstance(task, SuiteTask) and task.suite.name not in found:
            found[task.suite.name] = {
                name: find_overlap(task.items, folder, progress) for name, folder in folders.items()
            }
    return found
