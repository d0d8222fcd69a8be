"""What a model forgets while it is trained further: the same suites before and after, compared item
by item.

    suites(file) -> tasks        before = measure(tasks, opened)  ... training ...  compared(before,
                                 measure(tasks, opened))

general            bits per byte of general text: of the packaged one (30 short texts of many kinds,
                   written for this purpose, so that no public model was trained on them) or of the
                   user's file; lower is better
multiple_choice    accuracy on questions of the packaged suite (`suites.written`), the same ones;
                   higher is better

A suite is a task that compares by item; another one is a line in SUITES. Questions that don't fit
the model's context are left out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from groundup.data.reading.source_files import Source
from groundup.device import Compute
from groundup.evaluate.comparison.run import paired_difference
from groundup.evaluate.paired import NO_DIFFERENCE
from groundup.evaluate.suite import SuiteTask, in_order, those_that_fit
from groundup.evaluate.suites.registry import SUITES as EVALUATION_SUITES
from groundup.evaluate.task import AT_CHANCE, SHARES, EvaluationTask, HeldOut, TaskResult
from groundup.evaluate.tasks.text import TEXT, BitsPerByte
from groundup.progress import Progress
from groundup.weights.model_io import OpenModel

PACKAGED_TEXT = Path(__file__).parents[1] / "tasks" / "general.txt"
# Documents of a user's file that are read at most.
MAX_DOCUMENTS = 200
GENERAL, MULTIPLE_CHOICE = "general", "multiple_choice"
# Questions of the suite that are asked: seconds for SmolLM2-135M on two processor cores, twice in
# each fine-tuning (docs/log.md).
QUESTIONS = 40


def general_text(file: Path | None, progress: Progress) -> BitsPerByte:
    """Return the task on general text, packaged or of a file. Raises DataError, ConfigError."""
    if file is None:
        return BitsPerByte(PACKAGED_TEXT.read_text(encoding="utf-8").strip().split("\n\n"), GENERAL)
    (task,) = TEXT.tasks(HeldOut(Source(str(file)), MAX_DOCUMENTS), "language", progress)
    assert isinstance(task, BitsPerByte)
    return replace(task, name=GENERAL)


def multiple_choice(file: Path | None, progress: Progress) -> EvaluationTask:
    """Return the task on a random sample of the packaged questions."""
    suite = EVALUATION_SUITES[MULTIPLE_CHOICE]
    return SuiteTask(suite, tuple(in_order(suite.read(progress), seed=0)[:QUESTIONS]))


SUITES: dict[str, Callable[[Path | None, Progress], EvaluationTask]] = {
    GENERAL: general_text,
    MULTIPLE_CHOICE: multiple_choice,
}


def suites(general: str | Path | None, progress: Progress) -> tuple[EvaluationTask, ...]:
    """Return the tasks of all suites; `general`: a file of general text in place of the packaged
    one. Raises DataError, ConfigError.
    """
    return tuple(suite(Path(general) if general else None, progress) for suite in SUITES.values())


def measure(
    tasks: tuple[EvaluationTask, ...], opened: OpenModel, compute: Compute, progress: Progress
) -> dict[str, TaskResult]:
    """Return the result of each suite; the model's mode is left as it was."""
    training = opened.model.training
    opened.model.eval()
    try:
        fitting = _that_fit(tasks, opened, progress)
        return {
            task.name: task.measure(opened, compute=compute, progress=progress) for task in fitting
        }
    finally:
        opened.model.train(training)


def _that_fit(
    tasks: tuple[EvaluationTask, ...], opened: OpenModel, progress: Progress
) -> Iterator[EvaluationTask]:
    """Yield the tasks with the items that fit the model's context, if there are any."""
    for task in tasks:
        if not isinstance(task, SuiteTask):
            yield task
        elif items := those_that_fit(task, {opened.path.name: opened}, progress):
            yield replace(task, items=tuple(items))


def compared(before: Mapping[str, TaskResult], after: Mapping[str, TaskResult]) -> dict[str, Any]:
    """Return of each suite the measure before and after, and their paired difference, as JSON
    values.
    """
    found = {}
    for name, first in before.items():
        second, measure = after[name], first.measures[0]
        assert first.per_item is not None and second.per_item is not None
        found[name] = {
            "metric": measure.metric,
            "before": measure.value,
            "after": second.measures[0].value,
            "chance": measure.chance,
            "is_chance": measure.is_chance,
            "difference": paired_difference(measure, first.per_item, second.per_item).plain(
                measure.better
            ),
        }
    return found


def forgetting_lines(forgetting: Mapping[str, Any]) -> list[str]:
    """Return a line for each suite.

    >>> difference = {"value": 0.02, "low": 0.01, "high": 0.03, "verdict": "worse"}
    >>> forgetting_lines({"general": {"metric": "bits_per_byte", "before": 1.0, "after": 1.02, "difference": difference}})
    ['general text: 1.000 -> 1.020 bits per byte, paired difference +0.020 (95 % interval +0.010 to
    +0.030): worse']
    """
    return [_line(name, found) for name, found in forgetting.items()]


def _line(name: str, found: Mapping[str, Any]) -> str:
    change, unit = found["difference"], found["metric"].replace("_", " ")
    scale, digits = (100, 1) if found["metric"] in SHARES else (1, 3)
    value, low, high = (
        number and scale * number for number in (change["value"], change["low"], change["high"])
    )
    interval = (
        ""
        if low is None or high is None
        else f" (95 % interval {low:+.{digits}f} to {high:+.{digits}f})"
    )
    meaning = NO_DIFFERENCE if change["verdict"] == "unclear" else change["verdict"]
    before, after = (f"{scale * found[side]:.{digits}f}" for side in ("before", "after"))
    percent = " %" if scale == 100 else ""
    what = "general text" if name == GENERAL else name.replace("_", " ")
    said = f"; before {AT_CHANCE}" if found.get("is_chance") and name != GENERAL else ""
    return f"{what}: {before} -> {after}{percent} {unit}, paired difference {value:+.{digits}f}{interval}: {meaning}{said}"
