"""Suites in a build: what its models can do that nobody taught them, and how that came while the
own model was trained.

    measure_suites(context, {"base": base, "chat": chat, "own": own}, texts) -> the contents of
        evaluate/suites.json

    {"suites": {name: {"heading", "rows": {model: {...}}, "change", "items": [{"group", "asked",
        "expected", "answers": {model: {...}}}],
                       "overlap"}}, "curves": [...] (see `evaluate.comparison.emergence`)}

All suites have the same time: how many items of one are asked is fixed by the time of a few on the
base model, once; how many snapshots by that of one.
"""

from collections.abc import Mapping, Sequence
from timeit import repeat
from typing import Any

from groundup.errors import DataError
from groundup.evaluate.comparison.emergence import CurvePoint, measure_over, points_over
from groundup.evaluate.comparison.run import evaluate
from groundup.evaluate.config import EvaluationConfig
from groundup.evaluate.memorisation import find_overlap
from groundup.evaluate.results import EvaluationResults
from groundup.evaluate.suite import SuiteTask, suite_tasks
from groundup.evaluate.suites.registry import suites_named
from groundup.evaluate.task import EvaluationTask
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.progress import Silent
from groundup.recipes.stage import StageContext
from groundup.weights.model_io import OpenModel

OWN, BASE, CHAT = "own", "base", "chat"
# Of the stage's time: for the suites, and for the snapshots.
SUITES_SHARE, SNAPSHOTS_SHARE = 0.3, 0.15
# Items of each suite at least, whatever the time.
MIN_ITEMS = 24
TIMED_ITEMS = 4
# What moves while a small model is trained; the others stay at chance.
CURVE_SUITES = ("grammar", "copying")
CURVE_ITEMS, CURVE_CHARACTERS = 150, 8192
MIN_SNAPSHOTS, MAX_SNAPSHOTS = 4, 16


def measure_suites(
    context: StageContext, models: Mapping[str, OpenModel], texts: Sequence[str]
) -> dict[str, Any]:
    """Measure the models on the recipe's suites, and the own model's snapshots on some of them.

    Raises ConfigError for an unknown suite.
    """
    suites, config = (
        suites_named(context.recipe.evaluate.suites),
        EvaluationConfig(seed=context.seed),
    )
    try:
        asked = suite_tasks(suites, models, config, context.progress)
    except DataError as error:  # a model of a very short context
        context.progress.say(f"      suites are not measured: {error.message}")
        return {}
    whole = [task for task in asked if isinstance(task, SuiteTask)]
    tasks = [
        first_part(task, affordable_items(task, len(whole), next(iter(models.values())), context))
        for task in whole
    ]
    found = evaluate(models, tasks, compute=context.compute, progress=context.progress)
    values = {task.suite.name: page_values(task, found, context) for task in tasks}
    curve_tasks: list[EvaluationTask] = [
        first_part(task, CURVE_ITEMS) for task in whole if task.suite.name in CURVE_SUITES
    ]
    if texts:
        sampled = sample_texts(texts, seed=context.seed, max_characters=CURVE_CHARACTERS)
        curve_tasks.append(BitsPerByte(sampled))
    curves = []
    if OWN in models:
        curves = own_curves(context, models[OWN], curve_tasks)
    return {"suites": values, "curves": curves}


def first_part(task: SuiteTask, count: int) -> SuiteTask:
    """Return the task with its first items, a random sample."""
    return SuiteTask(task.suite, task.items[:count], task.shots, task.template)


def affordable_items(task: SuiteTask, suites: int, opened: OpenModel, context: StageContext) -> int:
    """Return the items of a suite that fit its time, from a few timed ones; base and chat model are
    of one size, the own one is small.
    """

    def affordable() -> float:
        few = first_part(task, TIMED_ITEMS)
        item_s = min(timed(few, opened, context)) / len(few.items)
        return max(MIN_ITEMS, SUITES_SHARE * context.seconds / suites / max(2 * item_s, 1e-9))

    return min(len(task.items), context.fix(f"suite_{task.suite.name}", affordable))


def timed(task: EvaluationTask, opened: OpenModel, context: StageContext) -> list[float]:
    """Return the seconds of measuring a model, twice."""
    return repeat(
        lambda: task.measure(opened, compute=context.compute, progress=Silent()), number=1, repeat=2
    )


def own_curves(
    context: StageContext, own: OpenModel, tasks: Sequence[EvaluationTask]
) -> list[dict[str, Any]]:
    """Return the curves over the snapshots of the own run, as many as the time allows; none where
    it keeps none.
    """
    try:
        points = points_over("steps", [str(context.build / "pretrain")], Silent())
    except DataError:
        return []

    def affordable() -> float:
        one_s = sum(min(timed(task, own, context)) for task in tasks)
        return min(
            MAX_SNAPSHOTS, max(MIN_SNAPSHOTS, SNAPSHOTS_SHARE * context.seconds / max(one_s, 1e-9))
        )

    chosen = evenly_spread(points, context.fix("suite_snapshots", affordable))
    found = measure_over("steps", chosen, tasks, compute=context.compute, progress=context.progress)
    return [{**curve.to_plain(), "model": OWN} for curve in found.curves]


def evenly_spread(points: Sequence[CurvePoint], count: int) -> list[CurvePoint]:
    """Return the first, the last and others between, evenly."""
    if count >= len(points):
        return list(points)
    places = [round(number * (len(points) - 1) / max(1, count - 1)) for number in range(count)]
    return [points[place] for place in sorted(set(places))]


def page_values(task: SuiteTask, found: EvaluationResults, context: StageContext) -> dict[str, Any]:
    """Return what the page shows of a suite: its first metric of each model, the paired change from
    base to chat, items with all answers.
    """
    rows: dict[str, Any] = {}
    for row in found.rows:
        if row.task == task.name:
            rows.setdefault(row.model, row.plain())
    wanted = (task.name, BASE, CHAT)
    change = next(
        (c.to_plain() for c in found.changes if (c.task, c.from_model, c.to_model) == wanted), None
    )
    shown = {model: details["items"] for model, details in found.details[task.name].items()}
    items = [
        {
            **{key: each[0][key] for key in ("group", "asked", "expected") if key in each[0]},
            "answers": {
                m: {k: a[k] for k in ("answer", "right") if k in a}
                for m, a in zip(shown, each, strict=True)
            },
        }
        for each in zip(*shown.values(), strict=True)
    ]
    overlap: Mapping[str, Any] = {}
    if OWN in shown:
        overlap = vars(find_overlap(task.items, context.build / "data", Silent()))
    return {
        "heading": task.suite.heading,
        "rows": rows,
        "change": change,
        "items": items,
        "overlap": overlap,
    }


def above_chance(suites: Mapping[str, Any], model: str) -> list[str]:
    """Return the suites in which a model is above chance.

    >>> above_chance({"grammar": {"rows": {"own": {"is_chance": False, "chance": 0.5}}}}, "own")
    ['grammar']
    """
    known = {name: suite["rows"].get(model, {}) for name, suite in suites.items()}
    return [
        name
        for name, row in known.items()
        if row.get("chance") is not None and not row["is_chance"]
    ]
