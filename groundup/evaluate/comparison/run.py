"""Evaluation of every model on every task: one table of plain values. `KINDS` lists the tasks that
users can name.

    source = Source("messages.csv")
    results = evaluate_on(kind_of(source), HeldOut(source, items=200), models, compute=compute,
        progress=progress)
    results = evaluate({"before": base, "after": chat}, [AnswerLoss(held_out),
        CheckedAnswers(held_out)], compute=compute, progress=progress)

Its format, as in `results.json`:

    {"rows": [{"task", "model", "metric", "value", "low", "high", "n", "chance", "better", "thin",
        "is_chance", "elapsed_s"},
              ...],                                    of suites with "shots", "template", "bos" and
                                                       "prompts", the hash of all prompts
     "changes": [{"task", "from", "to", "metric", "value", "low", "high", "n", "p_value", "thin",
         "verdict"}, ...],
             paired, see `paired`
     "details": {task: {model: {...}}},
     "left_out": {"items", "of", "models": {model: n}}}       of `evaluate_on`: items that a model
                                                              was trained on
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from groundup.data.reading.layouts import PLURALS
from groundup.data.reading.source_files import Source
from groundup.data.reading.sources import SourceOptions, describe_source, first_columns
from groundup.device import Compute
from groundup.errors import ConfigError, DataError, did_you_mean
from groundup.evaluate.paired import Difference, ratio_difference, share_difference
from groundup.evaluate.task import (
    SHARES,
    EvaluationTask,
    HeldOut,
    Measure,
    PerItem,
    TaskKind,
    TaskResult,
    describe,
)
from groundup.evaluate.tasks.answers import ANSWERS
from groundup.evaluate.tasks.classification import LABELS
from groundup.evaluate.tasks.text import TEXT
from groundup.progress import Progress, Silent
from groundup.weights.model_io import OpenModel

KINDS: dict[str, TaskKind] = {kind.name: kind for kind in (ANSWERS, LABELS, TEXT)}


def task_kind(name: str, option: str = "--as") -> TaskKind:
    """Return the kind of a name. Raises ConfigError."""
    if name not in KINDS:
        raise ConfigError(f"{option} {name!r} is unknown.", fix=did_you_mean(name, KINDS))
    return KINDS[name]


def kind_of(source: Source, options: SourceOptions | None = None) -> TaskKind:
    """Return the kind of data that `sniff` recognises.

    Raises DataError where that is in doubt, and for files of several kinds.
    """
    of_layout = {layout: kind for kind in KINDS.values() for layout in kind.layouts}
    options = replace(options or SourceOptions(), wanted=tuple(of_layout))
    if any(kind.field for kind in KINDS.values()):
        columns = first_columns(source, options)
        named = next((kind for kind in KINDS.values() if kind.field in columns), None)
        if named:
            return named
    found = describe_source(source, options)
    found = [
        each for each in found if each.form.kind != "text"
    ] or found  # a README beside rows is none of them
    kinds = {of_layout[each.layout].name: each for each in found if each.layout} or {
        TEXT.name: found[0]
    }
    if len(kinds) > 1:
        listed = ", ".join(
            f"{each.name} {PLURALS[each.layout]}" for each in kinds.values() if each.layout
        )
        fix = f"Choose one with --as: {', '.join(kinds)}."
        raise DataError(f"{source.spec} holds data of several kinds: {listed}.", fix=fix)
    return KINDS[next(iter(kinds))]


def evaluate_on(
    kind: TaskKind,
    data: HeldOut,
    models: Mapping[str, OpenModel],
    *,
    compute: Compute,
    progress: Progress,
) -> dict[str, Any]:
    """Measure models, language models and classifiers apart: on labels they do different tasks."""
    results: dict[str, Any] = {"rows": [], "changes": [], "details": {}}
    for model_kind in dict.fromkeys(model.kind for model in models.values()):
        group = {name: model for name, model in models.items() if model.kind == model_kind}
        found = evaluate(
            group, kind.tasks(data, model_kind, progress), compute=compute, progress=progress
        )
        results["rows"] += found["rows"]
        results["changes"] += found["changes"]
        for task, details in found["details"].items():
            results["details"].setdefault(task, {}).update(details)
    return {**results, "left_out": asdict(data.left_out)}


def evaluate(
    models: Mapping[str, OpenModel],
    tasks: Sequence[EvaluationTask],
    *,
    compute: Compute,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure each model on each task, task by task.

    Raises ConfigError without models or tasks, ModelError for a model that does not fit.
    """
    names = [task.name for task in tasks]
    if not models or not tasks or len(set(names)) < len(names):
        raise ConfigError(
            f"An evaluation needs at least one model and one task, all names different (got {len(models)} models and tasks {names})."
        )
    progress = progress or Silent()
    results: dict[str, Any] = {"rows": [], "changes": [], "details": {}}
    for task in tasks:
        of_task: dict[str, TaskResult] = {}
        for name, opened in models.items():
            of_task[name], rows = measured(task, name, opened, compute=compute, progress=progress)
            results["rows"] += rows
        results["changes"] += changes(task.name, of_task)
        results["details"][task.name] = {
            name: dict(result.details) for name, result in of_task.items()
        }
    return results


def measured(
    task: EvaluationTask, name: str, opened: OpenModel, *, compute: Compute, progress: Progress
) -> tuple[TaskResult, list[dict[str, Any]]]:
    """Measure a model on a task, say its figures, and return the result and its rows."""
    started = time.monotonic()
    result = task.measure(opened, compute=compute, progress=progress)
    elapsed_s = round(time.monotonic() - started, 2)
    rows = []
    for measure in result.measures:
        row = {"task": task.name, "model": name, **measure.plain(), "elapsed_s": elapsed_s}
        rows.append({**row, **result.settings})
        progress.say(f"{task.name}, {name}: {describe(measure)}")
    return result, rows


def changes(task: str, results: Mapping[str, TaskResult]) -> list[dict[str, Any]]:
    """Return the paired difference in the first measure between each further model and the first
    one, with its interval and what it means.

    Omitted where the items have different tokens.
    """
    (first, baseline), *others = results.items()
    found = []
    for name, result in others:
        before, after = baseline.per_item, result.per_item
        if before is None or after is None or before.counts != after.counts:
            continue
        measure = result.measures[0]
        difference = paired_difference(measure, before, after)
        row = {"task": task, "from": first, "to": name, "metric": measure.metric}
        found.append({**row, **difference.plain(measure.better)})
    return found


def paired_difference(measure: Measure, before: PerItem, after: PerItem) -> Difference:
    """Return the difference of two models in a measure: of shares by the exact McNemar test, of
    losses by the paired bootstrap.
    """
    if measure.metric in SHARES:
        return share_difference(list(map(bool, before.totals)), list(map(bool, after.totals)))
    return ratio_difference(before.totals, after.totals, after.counts)
