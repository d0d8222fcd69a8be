"""Every model on every task: one table of plain values.

    results = evaluate({"before": base, "after": chat}, [AnswerLoss(held_out), CheckedAnswers(held_out)], compute=compute, progress=progress)

Its form, as `results.json` holds it:

    {"rows": [{"task", "model", "metric", "value", "low", "high", "n", "chance", "better", "thin", "elapsed_s"}, ...],
     "details": {task: {model: {...}}}}
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.evaluate.task import Outcome, Task, line
from groundup.progress import Progress, Silent
from groundup.weights.door import OpenModel


def evaluate(
    models: Mapping[str, OpenModel], tasks: Sequence[Task], *, compute: Compute, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure each model on each task, task by task. Raises ConfigError without models or tasks, ModelError for a model that does not fit."""
    names = [task.name for task in tasks]
    if not models or not tasks or len(set(names)) < len(names):
        raise ConfigError(
            f"An evaluation needs at least one model and one task, all names different (got {len(models)} models and tasks {names})."
        )
    progress = progress or Silent()
    rows: list[dict[str, Any]] = []
    details: dict[str, dict[str, Any]] = {}
    for task in tasks:
        for name, opened in models.items():
            started = time.monotonic()
            outcome = task.measure(opened, compute=compute, progress=progress)
            rows += table_rows(task.name, name, outcome, time.monotonic() - started)
            details.setdefault(task.name, {})[name] = dict(outcome.details)
            for measure in outcome.measures:
                progress.say(f"{task.name}, {name}: {line(measure)}")
    return {"rows": rows, "details": details}


def table_rows(task: str, model: str, outcome: Outcome, elapsed_s: float) -> list[dict[str, Any]]:
    """An outcome's measures as rows."""
    return [
        {"task": task, "model": model, **measure.plain(), "elapsed_s": round(elapsed_s, 2)}
        for measure in outcome.measures
    ]
