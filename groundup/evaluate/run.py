"""Every model on every task: one table of plain values.

    results = evaluate({"before": base, "after": chat}, [AnswerLoss(held_out), CheckedAnswers(held_out)], compute=compute, progress=progress)

Its form, as `results.json` holds it:

    {"rows": [{"task", "model", "metric", "value", "low", "high", "n", "chance", "better", "thin", "elapsed_s"}, ...],
     "changes": [{"task", "from", "to", "metric", "value", "low", "high", "n", "thin"}, ...],
     "details": {task: {model: {...}}}}
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from groundup.device import Compute
from groundup.errors import ConfigError
from groundup.evaluate.metrics import ratio_interval
from groundup.evaluate.task import Task, TaskResult, as_measure, line
from groundup.progress import Progress, Silent
from groundup.weights.model_io import OpenModel


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
    results: dict[str, Any] = {"rows": [], "changes": [], "details": {}}
    for task in tasks:
        outcomes: dict[str, TaskResult] = {}
        for name, opened in models.items():
            started = time.monotonic()
            outcomes[name] = task.measure(opened, compute=compute, progress=progress)
            results["rows"] += table_rows(task.name, name, outcomes[name], time.monotonic() - started)
            for measure in outcomes[name].measures:
                progress.say(f"{task.name}, {name}: {line(measure)}")
        results["changes"] += changes(task.name, outcomes)
        results["details"][task.name] = {name: dict(outcome.details) for name, outcome in outcomes.items()}
    return results


def table_rows(task: str, model: str, outcome: TaskResult, elapsed_s: float) -> list[dict[str, Any]]:
    """An outcome's measures as rows."""
    return [
        {"task": task, "model": model, **measure.plain(), "elapsed_s": round(elapsed_s, 2)}
        for measure in outcome.measures
    ]


def changes(task: str, outcomes: Mapping[str, TaskResult]) -> list[dict[str, Any]]:
    """How each further model differs from the first one in a loss, item by item, with the interval of the difference.

    Texts differ far more than two models do on the same text: where the models' own intervals overlap, the difference may still be sure.
    Left out where the items are not the same tokens.
    """
    (first, begin), *others = outcomes.items()
    found = []
    for name, outcome in others:
        before, after = begin.per_item, outcome.per_item
        if before is None or after is None or before.counts != after.counts:
            continue
        differences = [b - a for a, b in zip(before.totals, after.totals, strict=True)]
        between = as_measure(outcome.measures[0].metric, ratio_interval(differences, after.counts), len(differences))
        row = {key: value for key, value in between.plain().items() if key not in ("chance", "better")}
        found.append({"task": task, "from": first, "to": name, **row})
    return found
