"""What a model forgets while it is trained further: the same suites before and after, compared item by item.

    suites(file) -> tasks        before = measure(tasks, opened)  ... training ...  compared(before, measure(tasks, opened))

The only suite so far is "general": bits per byte of general text, of the packaged one (30 short texts of many kinds, written for this purpose, so
that no public model was trained on them) or of the user's file. A suite is a task whose first measure is a ratio over items, lower being better;
another one is a line in SUITES.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from groundup.data.reading.source_files import Source
from groundup.device import Compute
from groundup.evaluate.paired import NO_DIFFERENCE, ratio_difference
from groundup.evaluate.task import HeldOut, Task, TaskResult
from groundup.evaluate.tasks.text import TEXT, BitsPerByte
from groundup.progress import Progress
from groundup.weights.model_io import OpenModel

PACKAGED_TEXT = Path(__file__).parent / "tasks" / "general.txt"
# Documents of a user's file that are read at most.
MAX_DOCUMENTS = 200
GENERAL = "general"


def general_text(file: Path | None, progress: Progress) -> BitsPerByte:
    """Return the task on general text, packaged or of a file. Raises DataError, ConfigError."""
    if file is None:
        return BitsPerByte(PACKAGED_TEXT.read_text(encoding="utf-8").strip().split("\n\n"), GENERAL)
    (task,) = TEXT.tasks(HeldOut(Source(str(file)), MAX_DOCUMENTS), "language", progress)
    assert isinstance(task, BitsPerByte)
    return replace(task, name=GENERAL)


SUITES: dict[str, Callable[[Path | None, Progress], Task]] = {GENERAL: general_text}


def suites(general: str | Path | None, progress: Progress) -> tuple[Task, ...]:
    """Return the tasks of all suites; `general`: a file of general text in place of the packaged one. Raises DataError, ConfigError."""
    return tuple(suite(Path(general) if general else None, progress) for suite in SUITES.values())


def measure(tasks: tuple[Task, ...], opened: OpenModel, compute: Compute, progress: Progress) -> dict[str, TaskResult]:
    """Return the result of each suite; the model's mode is left as it was."""
    training = opened.model.training
    opened.model.eval()
    try:
        return {task.name: task.measure(opened, compute=compute, progress=progress) for task in tasks}
    finally:
        opened.model.train(training)


def compared(before: Mapping[str, TaskResult], after: Mapping[str, TaskResult]) -> dict[str, Any]:
    """Return of each suite the measure before and after, and their paired difference, as JSON values."""
    found = {}
    for name, first in before.items():
        second = after[name]
        assert first.per_item is not None and second.per_item is not None
        difference = ratio_difference(first.per_item.totals, second.per_item.totals, first.per_item.counts)
        found[name] = {
            "metric": first.measures[0].metric,
            "before": first.measures[0].value,
            "after": second.measures[0].value,
            "difference": difference.plain("lower"),
        }
    return found


def forgetting_lines(forgetting: Mapping[str, Any]) -> list[str]:
    """Return a line for each suite.

    >>> difference = {"value": 0.02, "low": 0.01, "high": 0.03, "verdict": "worse"}
    >>> forgetting_lines({"general": {"metric": "bits_per_byte", "before": 1.0, "after": 1.02, "difference": difference}})
    ['general text: 1.000 -> 1.020 bits per byte, paired difference +0.020 (95 % interval +0.010 to +0.030): worse']
    """
    lines = []
    for name, found in forgetting.items():
        change, unit = found["difference"], found["metric"].replace("_", " ")
        low, high = change["low"], change["high"]
        interval = "" if low is None or high is None else f" (95 % interval {low:+.3f} to {high:+.3f})"
        meaning = NO_DIFFERENCE if change["verdict"] == "unclear" else change["verdict"]
        values = f"{found['before']:.3f} -> {found['after']:.3f} {unit}"
        lines.append(f"{name} text: {values}, paired difference {change['value']:+.3f}{interval}: {meaning}")
    return lines
