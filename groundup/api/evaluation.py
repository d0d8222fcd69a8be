"""`run_evaluation` and `run_suites`: models measured on held-out data, and on suites by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groundup.config import checked_arguments
from groundup.errors import ConfigError
from groundup.progress import Progress, Silent
from groundup.recipes.packaged import STARTER, instructions_source

if TYPE_CHECKING:
    pass

AnyPath = str | Path


# Items that a figure is measured on, at most.
ITEMS = 200


@checked_arguments
def run_evaluation(
    models: AnyPath | Sequence[AnyPath],
    data: AnyPath = STARTER,
    *,
    kind: str | None = None,
    items: int = ITEMS,
    text_column: str = "",
    label_column: str = "",
    label_separator: str = "",
    columns: Mapping[str, str] | str = "",
    layout: str = "",
    question: str | None = None,
    encoding: str = "auto",
    follow_links: bool = False,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure models on the same held-out data: each figure with its 95 % interval, in the form of
    `evaluate/comparison/run.py`.

    Items that one of the models was trained on, as far as its folder records that, are left out and
    counted.

    `kind` of the data: a name in `evaluate.comparison.run.KINDS`, as "answers" (instructions),
    "labels" or "text"; by default it is looked at.

    >>> results = groundup.run_evaluation("runs/mine", "my-texts", kind="text")
    >>> [row["metric"] for row in results["rows"]]
    ['bits_per_byte']
    """
    from groundup.data.preparation.trained_on import read_trained_on
    from groundup.data.reading.description import parse_columns
    from groundup.data.reading.source_files import Source
    from groundup.data.reading.sources import SourceOptions
    from groundup.device import select_compute
    from groundup.evaluate.comparison.run import evaluate_on, kind_of, task_kind
    from groundup.evaluate.task import HeldOut
    from groundup.weights.model_io import open_model

    names = distinct_names(models)
    source = Source(instructions_source(str(data)), follow_links=follow_links)
    options = SourceOptions(
        text_column,
        label_column=label_column,
        label_separator=label_separator,
        columns=parse_columns(columns),
        layout=layout,
        encoding=encoding,
    )
    measured = task_kind(kind) if kind else kind_of(source, options)
    compute, progress = select_compute(device), progress or Silent()
    opened = {
        name: open_model(name, compute, prefer=measured.prefer, progress=progress) for name in names
    }
    known = {
        name: found for name, model in opened.items() if (found := read_trained_on(model.path))
    }
    held_out = HeldOut(source, items, options, question, seed, known)
    return evaluate_on(measured, held_out, opened, compute=compute, progress=progress)


@checked_arguments
def run_suites(
    models: AnyPath | Sequence[AnyPath],
    tasks: str | Sequence[str] = "written",
    *,
    shots: Sequence[int] = (0,),
    items: int | None = None,
    template: Literal["auto", "plain", "chat"] = "auto",
    over: Literal["steps", "sizes", "shots"] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure language models on evaluation suites by name, in the form of
    `evaluate/comparison/run.py`; "written" stands for all packaged ones.

    "text" stands for the bits per byte of the held-out text of the first model's run. `shots`:
    numbers of worked examples before each item. `items`: at most so many of each suite. `over`:
    curves over the snapshots of runs, over the sizes of a sweep or of several models, or over the
    numbers of shots (`evaluate/comparison/emergence.py`). Raises ConfigError, DataError,
    ModelError.

    >>> results = groundup.run_suites("runs/mine", "grammar", items=100)
    >>> [row["metric"] for row in results["rows"]]
    ['accuracy']
    """
    from groundup.device import select_compute
    from groundup.evaluate.comparison.suite_evaluation import evaluate_suites
    from groundup.evaluate.suite import SuiteOptions

    names = [tasks] if isinstance(tasks, str) else tasks
    options = SuiteOptions(tuple(shots), items, template, seed)
    told: dict[str, Any] = {"compute": select_compute(device), "progress": progress or Silent()}
    return evaluate_suites(distinct_names(models), names, options, over, **told)


def distinct_names(models: AnyPath | Sequence[AnyPath]) -> list[str]:
    """Return the names of models. Raises ConfigError for one that is named twice."""
    names = [str(name) for name in ([models] if isinstance(models, str | Path) else models)]
    if len(set(names)) < len(names):
        raise ConfigError("A model is named twice.", fix="Name each once.")
    return names
