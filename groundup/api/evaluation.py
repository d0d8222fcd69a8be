"""`run_evaluation` and `run_suites`: models measured on held-out data, and on suites by name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.config import checked_arguments
from groundup.data.reading.data import Data, as_data
from groundup.errors import ConfigError
from groundup.evaluate.config import ITEMS, EvaluationConfig
from groundup.progress import Progress, Silent
from groundup.recipes.build_config import STARTER, instructions_source

if TYPE_CHECKING:
    from groundup.evaluate.results import EvaluationResults

AnyPath = str | Path


@checked_arguments
def run_evaluation(
    models: AnyPath | Sequence[AnyPath],
    data: AnyPath | Data = STARTER,
    config: EvaluationConfig = EvaluationConfig(),
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> "EvaluationResults":
    """Measure models on the same held-out data: each figure with its 95 % interval.

    Items that one of the models was trained on, as far as its folder records that, are left out and
    counted. Of `config`, items, kind, question and seed are used. Raises ConfigError, DataError,
    ModelError.

    >>> config = groundup.EvaluationConfig(kind="text")
    >>> results = groundup.run_evaluation("runs/mine", "my-texts", config)
    >>> [row.metric for row in results.rows]
    ['bits_per_byte']
    """
    from groundup.data.preparation.trained_on import read_trained_on
    from groundup.device import select_compute
    from groundup.evaluate.comparison.run import evaluate_on, kind_of, task_kind
    from groundup.evaluate.task import HeldOut
    from groundup.weights.model_io import open_model

    names, data = distinct_names(models), as_data(data)
    data = replace(data, path=instructions_source(str(data.path)))
    if config.kind:
        kind = task_kind(config.kind)
    else:
        kind = kind_of(data)
    compute, progress = select_compute(device), progress or Silent()
    opened = {
        name: open_model(name, compute, prefer=kind.prefer, progress=progress) for name in names
    }
    trained_on = {name: read_trained_on(model.path) for name, model in opened.items()}
    held_out = HeldOut(
        data,
        config.items or ITEMS,
        config.question,
        config.seed,
        {name: known for name, known in trained_on.items() if known},
    )
    return evaluate_on(kind, held_out, opened, compute=compute, progress=progress)


@checked_arguments
def run_suites(
    models: AnyPath | Sequence[AnyPath],
    tasks: str | Sequence[str] = "written",
    config: EvaluationConfig = EvaluationConfig(),
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> "EvaluationResults":
    """Measure language models on evaluation suites by name; "written" stands for all packaged ones,
    "text" for the bits per byte of the held-out text of the first model's run.

    Of `config`, items, shots, template, over and seed are used. Raises ConfigError, DataError,
    ModelError.

    >>> config = groundup.EvaluationConfig(items=100)
    >>> results = groundup.run_suites("runs/mine", "grammar", config)
    >>> [row.metric for row in results.rows]
    ['accuracy']
    """
    from groundup.device import select_compute
    from groundup.evaluate.comparison.suite_evaluation import evaluate_suites

    names = [tasks] if isinstance(tasks, str) else list(tasks)
    return evaluate_suites(
        distinct_names(models),
        names,
        config,
        compute=select_compute(device),
        progress=progress or Silent(),
    )


def distinct_names(models: AnyPath | Sequence[AnyPath]) -> list[str]:
    """Raises ConfigError for one that is named twice."""
    if isinstance(models, str | Path):
        return [str(models)]
    names = [str(name) for name in models]
    if len(set(names)) < len(names):
        raise ConfigError("A model is named twice.", fix="Name each once.")
    return names
