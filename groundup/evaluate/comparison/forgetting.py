"""What a model forgets while it is trained further: the same suites before and after, compared item
by item; SUITES lists them. "general": bits per byte of general text, the packaged one (30 short
texts of many kinds, written for this purpose, so that no public model was trained on them) or the
user's; "multiple_choice": accuracy on questions of the packaged suite, those that fit the context.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from groundup.data.reading.data import Data
from groundup.device import Compute
from groundup.evaluate.comparison.run import paired_difference
from groundup.evaluate.metrics import SHARES
from groundup.evaluate.paired import describe_verdict
from groundup.evaluate.suite import SuiteTask, in_order, items_that_fit
from groundup.evaluate.suites.registry import SUITES as EVALUATION_SUITES
from groundup.evaluate.task import AT_CHANCE, EvaluationTask, HeldOut, TaskResult
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
    """Packaged text, or a file's. Raises DataError, ConfigError."""
    if file is None:
        return BitsPerByte(PACKAGED_TEXT.read_text(encoding="utf-8").strip().split("\n\n"), GENERAL)
    (task,) = TEXT.tasks(HeldOut(Data(file), MAX_DOCUMENTS), "language", progress)
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
    """`general`: a file in place of the packaged text. Raises DataError, ConfigError."""
    file = Path(general) if general else None
    return tuple(suite(file, progress) for suite in SUITES.values())


def measure(
    tasks: tuple[EvaluationTask, ...], opened: OpenModel, compute: Compute, progress: Progress
) -> dict[str, TaskResult]:
    """The model's mode is left as it was."""
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
    for task in tasks:
        if not isinstance(task, SuiteTask):
            yield task
        elif items := items_that_fit(task, {opened.path.name: opened}, progress):
            yield replace(task, items=tuple(items))


def compare(
    before: Mapping[str, TaskResult], after: Mapping[str, TaskResult]
) -> dict[str, dict[str, Any]]:
    """Before and after of each suite, and their paired difference, as JSON values."""
    found = {}
    for name, first in before.items():
        second, measure = after[name], first.measures[0]
        assert first.per_item is not None and second.per_item is not None
        difference = paired_difference(measure, first.per_item, second.per_item)
        found[name] = {
            "metric": measure.metric,
            "before": measure.value,
            "after": second.measures[0].value,
            "chance": measure.chance,
            "is_chance": measure.is_chance,
            "difference": difference.plain(measure.better),
        }
    return found


def forgetting_lines(forgetting: Mapping[str, Any]) -> list[str]:
    """Return a line for each suite.

    >>> change = {"value": 0.02, "low": 0.01, "high": 0.03, "verdict": "worse"}
    >>> found = {"metric": "bits_per_byte", "before": 1.0, "after": 1.02, "difference": change}
    >>> [line] = forgetting_lines({"general": found})
    >>> line.partition(", ")[0], line.rpartition(": ")[2]
    ('general text: 1.000 -> 1.020 bits per byte', 'worse')
    """
    return [_line(name, found) for name, found in forgetting.items()]


def _line(name: str, found: Mapping[str, Any]) -> str:
    change, unit = found["difference"], found["metric"].replace("_", " ")
    scale, digits = 1, 3
    if found["metric"] in SHARES:
        scale, digits, unit = 100, 1, f"% {unit}"
    before, after = (f"{scale * found[side]:.{digits}f}" for side in ("before", "after"))
    what = {GENERAL: "general text"}.get(name, name.replace("_", " "))
    line = f"{what}: {before} -> {after} {unit}"
    line += f", paired difference {scale * change['value']:+.{digits}f}"
    if change["low"] is not None and change["high"] is not None:
        low, high = (f"{scale * change[bound]:+.{digits}f}" for bound in ("low", "high"))
        line += f" (95 % interval {low} to {high})"
    line += f": {describe_verdict(change['verdict'])}"
    if found.get("is_chance") and name != GENERAL:
        line += f"; before {AT_CHANCE}"
    return line
