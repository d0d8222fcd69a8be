"""Evaluation: the chat models and their base on the same held-out instructions; the pretrained
model on test; all of them on suites: what they can do that nobody taught them, and how that came
while the own model was trained.

evaluate/results.json    of the first chat model loss, checked answers, answers side by side; of the
                         others the same under "chats", by name; of the own model bits per byte on
                         test, and "samples": what it writes after beginnings of test sentences;
                         "table" is all of it as rows
evaluate/suites.json     {"suites": {name: {"heading", "rows": {model: {...}}, "change", "items":
                         [{"group", "asked", "expected", "answers": {model: {...}}}], "overlap"}},
                         "curves": [...] (see `evaluate.comparison.suite_evaluation`)}

All suites have the same time: how many items of one are asked is fixed by the time of a few on the
base model, once; how many snapshots by that of one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from timeit import repeat
from typing import Any, TypedDict

from groundup.data.documents import ChatExample
from groundup.data.split import splits_in
from groundup.data.test_openings import opened_split
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.errors import DataError
from groundup.evaluate.comparison.run import evaluate
from groundup.evaluate.comparison.suite_evaluation import CurvePoint, measure_over, points_over
from groundup.evaluate.config import EvaluationConfig
from groundup.evaluate.item_overlap import find_overlap
from groundup.evaluate.results import EvaluationResults
from groundup.evaluate.suite import SuiteTask, suite_tasks
from groundup.evaluate.suites.registry import suites_named
from groundup.evaluate.task import EvaluationTask, language_model
from groundup.evaluate.tasks.answers import AnswerLoss, CheckedAnswers, ShownAnswers, evenly
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.files import atomic_folder, write_json
from groundup.lab.attention import attention_record, example_sentence
from groundup.progress import Silent
from groundup.recipes.downloads import of_suites
from groundup.recipes.named_stages import ChatStage
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.recipes.stages.chat import held_out_instructions
from groundup.recipes.stages.chat import outside as instructions_outside
from groundup.train.monitor.samples import SAMPLE_TOKENS, prompts_of
from groundup.weights.model_io import OpenModel, open_model

BEFORE, AFTER = "before", "after"
SAMPLES, SAMPLE_TEMPERATURE = 3, 0.8
# Seconds for opening three models and the cheap figures.
BESIDE_S = 5.0
MIN_PERCENT = 20


def run(context: StageContext) -> StageResult:
    results: dict[str, Any] = {"table": []}
    models: dict[str, OpenModel] = {}
    if context.recipe.uses_public_model:
        models[BASE] = open_model(context.build / "base", context.compute)
    held_out = {
        name: held_out_instructions(context, name) for name in context.recipe.of_kind(ChatStage)
    }
    percent = 100
    if held_out:
        base = models[BASE]
        percent = context.fix("percent", lambda: affordable_percent(base, held_out, context))
    for name, items in held_out.items():
        chat = open_model(context.build / name, context.compute)
        found = answers_of(
            {BEFORE: base, AFTER: chat}, part_tasks(items, percent, name, context), context
        )
        results["table"] += found.pop("table")
        if CHAT in models:
            results.setdefault("chats", {})[name] = found
        else:
            models[CHAT], results = chat, {**found, **results}
    own, texts = own_model(context), list[str]()
    if own:
        results["table"].append(own.text)
        results |= {"text": own.text, "samples": samples_of(own, context)}
        models[OWN], texts = own.opened, list(own.texts)
    suites: SuitesFile = {}
    if context.recipe.evaluate.suites:
        suites = measure_suites(context, models, texts)
    with atomic_folder(context.folder) as folder:
        write_json(folder / "results.json", results)
        write_json(folder / "suites.json", suites)
        if own:
            tokenizer = own.opened.require_tokenizer()
            sentence = example_sentence(tokenizer, own.texts)
            write_json(
                folder / "attention.json", attention_record(own.opened.model, tokenizer, sentence)
            )
    return describe_results(results, percent, suites.get("suites", {}))


class SuitesFile(TypedDict, total=False):
    """suites.json; {} where no suite was measured."""

    suites: dict[str, dict[str, Any]]
    curves: list[dict[str, Any]]


@dataclass(frozen=True)
class OwnModel:
    """The pretrained model, held-out texts of its data, and its bits per byte on them."""

    opened: OpenModel
    texts: Sequence[str]
    text: dict[str, Any]


def own_model(context: StageContext) -> OwnModel | None:
    if not context.recipe.data.sources:
        return None
    own, data = open_model(context.build / "pretrain", context.compute), context.build / "data"
    split = splits_in(data)[-1]  # test, or validation where there is none
    documents = opened_split(data, context.build)
    texts = sample_texts((document.text for document in documents), seed=context.seed)
    found = evaluate(
        {OWN: own}, [BitsPerByte(texts)], compute=context.compute, progress=context.progress
    )
    return OwnModel(own, texts, {**found.rows[0].plain(), "split": split})


def samples_of(own: OwnModel, context: StageContext) -> list[dict[str, str]]:
    tokenizer, model = own.opened.require_tokenizer(), language_model(own.opened)[0]
    sampling = Sampling(temperature=SAMPLE_TEMPERATURE, max_tokens=SAMPLE_TOKENS, seed=context.seed)
    samples = []
    for prompt in prompts_of(own.texts, SAMPLES):
        given = tokenizer.encode(prompt)[: own.opened.config.context_tokens // 2]
        ids = list(
            generate_ids(
                model, given, sampling, tokenizer.special.stop_ids, compute=context.compute
            )
        )
        samples.append(
            {"prompt": prompt, "text": tokenizer.decode(ids, skip_control=True, starts=False)}
        )
    return samples


def part_tasks(
    held_out: Sequence[ChatExample], percent: int, name: str, context: StageContext
) -> list[EvaluationTask]:
    table = context.recipe.evaluate
    max_tokens = context.recipe.of_kind(ChatStage)[name].max_tokens
    checked = part([e for e in held_out if e.check], percent)[: table.answers]
    shown = part(spread([e for e in held_out if not e.check]), percent)[: table.side_by_side]
    tasks: list[EvaluationTask] = [AnswerLoss(part(held_out, percent), max_tokens=max_tokens)]
    if checked:
        tasks.append(CheckedAnswers(checked, max_tokens=table.answer_tokens))
    if shown:
        tasks.append(ShownAnswers(shown, max_tokens=table.answer_tokens))
    return tasks


def part(items: Sequence[ChatExample], percent: int) -> list[ChatExample]:
    """Return `percent` of the items, evenly spaced, at least one."""
    return evenly(items, max(1, round(len(items) * percent / 100)))


def spread(items: Sequence[ChatExample]) -> list[ChatExample]:
    """The first of each kind, the second of each, and so on: a few show every kind."""
    place: dict[str, int] = {}
    order: list[tuple[int, int, ChatExample]] = []
    for item in items:
        place[item.kind] = place.get(item.kind, -1) + 1
        order.append((place[item.kind], len(order), item))
    return [item for _, _, item in sorted(order, key=lambda entry: entry[:2])]


def affordable_percent(
    opened: OpenModel, held_out: Mapping[str, Sequence[ChatExample]], context: StageContext
) -> float:
    """Return the percentage that fits the stage's time, from a few timed items of the first set."""
    few = list(next(iter(held_out.values()))[:4])

    loss_s = timed(AnswerLoss(few), opened, context) / len(few)  # an item
    token_s = timed(ShownAnswers(few, max_tokens=8), opened, context) / 8
    table = context.recipe.evaluate
    # two batches of answers, each as long as its longest answer; a larger batch is slower by its
    # width
    items = sum(map(len, held_out.values()))
    whole_s = 2 * (loss_s * items + 2 * len(held_out) * table.answer_tokens * token_s * 1.6)
    seconds = context.seconds - BESIDE_S
    if table.suites:
        seconds -= context.seconds * (SUITES_SHARE + SNAPSHOTS_SHARE)
    return min(100.0, max(MIN_PERCENT, 100 * seconds / whole_s))


def answers_of(
    models: Mapping[str, OpenModel], tasks: Sequence[EvaluationTask], context: StageContext
) -> dict[str, Any]:
    found = evaluate(models, tasks, compute=context.compute, progress=context.progress)
    rows = {(row.task, row.model): row for row in found.rows}
    loss, checked = AnswerLoss.name, CheckedAnswers.name
    written = [
        found.details[task] for task in (checked, ShownAnswers.name) if task in found.details
    ]
    pairs = [
        pair
        for of in written
        for pair in zip(*(of[model]["answers"] for model in (BEFORE, AFTER)), strict=True)
    ]
    return {
        "loss": {model: rows[loss, model].value for model in (BEFORE, AFTER)},
        "checked": {
            model: rows[checked, model].plain()
            for model in (BEFORE, AFTER)
            if (checked, model) in rows
        },
        "answers": [side_by_side(before, after) for before, after in pairs],
        "changes": {change.task: change.to_plain() for change in found.changes},
        "table": [row.plain() for row in found.rows],
    }


def side_by_side(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str | bool]:
    asked = {key: before[key] for key in ("id", "kind", "instruction", "input")}
    both = ((BEFORE, before), (AFTER, after))
    right = {f"{name}_right": answer["right"] for name, answer in both if "right" in answer}
    return {
        **asked,
        "reference": before["expected"],
        BEFORE: before["answer"],
        AFTER: after["answer"],
        **right,
    }


def describe_results(
    results: Mapping[str, Any], percent: int, suites: Mapping[str, Any]
) -> StageResult:
    loss, checked = results.get("loss", {}), results.get("checked", {})
    text, example = results.get("text"), example_of(results)
    measured: list[str] = []
    facts: dict[str, Any] = {}
    if loss:
        facts["loss"] = loss
        facts["checked"] = {model: row["value"] for model, row in checked.items()}
    if example:
        facts["example"] = example
    if checked:
        right = {
            model: f"{round(row['value'] * row['n'])} of {row['n']}"
            for model, row in checked.items()
        }
        measured.append(f"checked answers {right[BEFORE]} → {right[AFTER]}")
    if loss:
        measured.append(f"loss {loss[BEFORE]:.3f} → {loss[AFTER]:.3f}")
    if text:
        bits = f"{text['value']:.3f} bits per byte of {text['split']} text"
        measured.append(f"own model {bits} (n = {text['n']} windows)")
    if suites:
        counts = (
            f"{len(above_chance(suites, model))} ({model})"
            for model, there in ((OWN, text), (CHAT, loss))
            if there
        )
        measured.append(f"above chance in {' and '.join(counts)} of {len(suites)} suites")
    thin = []
    if loss and percent < 100:
        share = f"{percent} % of the held-out instructions"
        thin.append(f"The chat model was evaluated on {share}.")
    if loss and not checked:
        thin.append("No held-out instruction has an answer that code can check.")
    if checked and checked[AFTER]["thin"]:
        thin.append(f"Only {checked[AFTER]['n']} checked answers: the intervals are wide.")
    return StageResult("; ".join(measured), facts, tuple(thin))


def example_of(results: Mapping[str, Any]) -> str:
    return next((sample["prompt"] for sample in results.get("samples", ())), "")


def describe(recipe: Recipe) -> str:
    if recipe.of_kind(ChatStage):
        return f"up to {recipe.evaluate.answers} checked answers before and after"
    if recipe.data.sources:
        return "bits per byte of test text, and samples"
    return ""


STAGE = Stage(
    "evaluate",
    5,
    run,
    share=0.08,
    describe=describe,
    needs=("data", "pretrain", "base"),  # and the chat models
    outputs=("*.json",),
    sized_by_budget=True,
    outside=lambda recipe: instructions_outside(recipe.of_kind(ChatStage).values()),
    downloads=lambda recipe: of_suites(recipe.evaluate.suites),
)


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
) -> SuitesFile:
    """Raises ConfigError for an unknown suite."""
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
    """Base and chat model are of one size, the own one is small."""

    def affordable() -> float:
        few = first_part(task, TIMED_ITEMS)
        item_s = timed(few, opened, context) / len(few.items)
        return max(MIN_ITEMS, SUITES_SHARE * context.seconds / suites / max(2 * item_s, 1e-9))

    return min(len(task.items), context.fix(f"suite_{task.suite.name}", affordable))


def timed(task: EvaluationTask, opened: OpenModel, context: StageContext) -> float:
    return min(
        repeat(
            lambda: task.measure(opened, compute=context.compute, progress=Silent()),
            number=1,
            repeat=2,
        )
    )


def own_curves(
    context: StageContext, own: OpenModel, tasks: Sequence[EvaluationTask]
) -> list[dict[str, Any]]:
    """As many snapshots as the time allows; none where the run keeps none."""
    try:
        points = points_over("steps", [str(context.build / "pretrain")], Silent())
    except DataError:
        return []

    def affordable() -> float:
        one_s = sum(timed(task, own, context) for task in tasks)
        return min(
            MAX_SNAPSHOTS, max(MIN_SNAPSHOTS, SNAPSHOTS_SHARE * context.seconds / max(one_s, 1e-9))
        )

    chosen = evenly_spread(points, context.fix("suite_snapshots", affordable))
    found = measure_over("steps", chosen, tasks, compute=context.compute, progress=context.progress)
    return [{**curve.to_plain(), "model": OWN} for curve in found.curves]


def evenly_spread(points: Sequence[CurvePoint], count: int) -> list[CurvePoint]:
    if count >= len(points):
        return list(points)
    places = [round(number * (len(points) - 1) / max(1, count - 1)) for number in range(count)]
    return [points[place] for place in sorted(set(places))]


def page_values(task: SuiteTask, found: EvaluationResults, context: StageContext) -> dict[str, Any]:
    """Return the first metric of each model, the paired change from base to chat, items with all
    answers.
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
