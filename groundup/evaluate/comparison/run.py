"""Evaluation of every model on every task: one table. `KINDS` lists the tasks that users can name.

results = evaluate_on(kind_of(data), HeldOut(data, items=200), models, compute=compute,
    progress=progress)
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from groundup.data.reading.data import Data
from groundup.data.reading.layouts import RULES
from groundup.data.reading.options import options_of
from groundup.data.reading.sources import describe_source, first_columns, source_of
from groundup.device import Compute
from groundup.errors import ConfigError, DataError, did_you_mean
from groundup.evaluate.metrics import SHARES
from groundup.evaluate.paired import Difference, ratio_difference, share_difference
from groundup.evaluate.results import (
    EvaluationResults,
    EvaluationRow,
    ModelChange,
    merge_results,
)
from groundup.evaluate.task import (
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


def task_kind(name: str, field: str = "`kind`") -> TaskKind:
    """Raises ConfigError, whose message says which `field` the name is."""
    if name not in KINDS:
        raise ConfigError(f"{field} {name!r} is unknown.", fix=did_you_mean(name, KINDS))
    return KINDS[name]


def kind_of(data: Data) -> TaskKind:
    """Raises DataError where the kind is in doubt, and for files of several kinds."""
    of_layout = {layout: kind for kind in KINDS.values() for layout in kind.layouts}
    source, options = source_of(data), options_of(data, tuple(of_layout))
    if any(kind.field for kind in KINDS.values()):
        columns = first_columns(source, options)
        named = next((kind for kind in KINDS.values() if kind.field in columns), None)
        if named:
            return named
    found = describe_source(source, options)
    rows = [each for each in found if each.form.kind != "text"]
    found = rows or found  # a README beside rows is none of them
    kinds = {of_layout[each.layout].name: each for each in found if each.layout}
    kinds = kinds or {TEXT.name: found[0]}
    if len(kinds) > 1:
        listed = ", ".join(
            f"{each.name} {RULES[each.layout].plural}" for each in kinds.values() if each.layout
        )
        fix = f"Choose one as `kind`: {', '.join(kinds)}."
        raise DataError(f"{source.spec} holds data of several kinds: {listed}.", fix=fix)
    return KINDS[next(iter(kinds))]


def evaluate_on(
    kind: TaskKind,
    data: HeldOut,
    models: Mapping[str, OpenModel],
    *,
    compute: Compute,
    progress: Progress,
) -> EvaluationResults:
    """Language models and classifiers apart: on labels they do different tasks."""
    found = []
    for model_kind in dict.fromkeys(model.kind for model in models.values()):
        group = {name: model for name, model in models.items() if model.kind == model_kind}
        tasks = kind.tasks(data, model_kind, progress)
        found.append(evaluate(group, tasks, compute=compute, progress=progress))
    return replace(merge_results(found), left_out=data.left_out)


def evaluate(
    models: Mapping[str, OpenModel],
    tasks: Sequence[EvaluationTask],
    *,
    compute: Compute,
    progress: Progress | None = None,
) -> EvaluationResults:
    """Measure each model on each task. Raises ConfigError without models or tasks, ModelError for a
    model that does not fit.
    """
    names = [task.name for task in tasks]
    if not models or not tasks or len(set(names)) < len(names):
        raise ConfigError(
            "An evaluation needs at least one model and one task, all names different "
            f"(got {len(models)} models and tasks {names})."
        )
    progress = progress or Silent()
    rows: list[EvaluationRow] = []
    changes: list[ModelChange] = []
    details = {}
    for task in tasks:
        of_task: dict[str, TaskResult] = {}
        for name, opened in models.items():
            of_task[name], of_model = measure(
                task, name, opened, compute=compute, progress=progress
            )
            rows += of_model
        changes += compare_to_first(task.name, of_task)
        details[task.name] = {name: dict(result.details) for name, result in of_task.items()}
    return EvaluationResults(tuple(rows), tuple(changes), details)


def measure(
    task: EvaluationTask, name: str, opened: OpenModel, *, compute: Compute, progress: Progress
) -> tuple[TaskResult, list[EvaluationRow]]:
    started = time.monotonic()
    result = task.measure(opened, compute=compute, progress=progress)
    elapsed_s = round(time.monotonic() - started, 2)
    rows = []
    for each in result.measures:
        row = EvaluationRow(
            **vars(each), task=task.name, model=name, elapsed_s=elapsed_s, settings=result.settings
        )
        rows.append(row)
        progress.say(f"{task.name}, {name}: {describe(each)}")
    return result, rows


def compare_to_first(task: str, results: Mapping[str, TaskResult]) -> list[ModelChange]:
    """Paired, in the first measure; none where the items have different tokens."""
    (first, baseline), *others = results.items()
    found = []
    for name, result in others:
        before, after = baseline.per_item, result.per_item
        if before is None or after is None or before.counts != after.counts:
            continue
        measure = result.measures[0]
        change = ModelChange(
            **vars(paired_difference(measure, before, after)),
            task=task,
            from_model=first,
            to_model=name,
            metric=measure.metric,
            better=measure.better,
        )
        found.append(change)
    return found


def paired_difference(measure: Measure, before: PerItem, after: PerItem) -> Difference:
    """Of shares by the exact McNemar test, of losses by the paired bootstrap."""
    if measure.metric in SHARES:
        return share_difference(list(map(bool, before.totals)), list(map(bool, after.totals)))
    return ratio_difference(before.totals, after.totals, after.counts)
