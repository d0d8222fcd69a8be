"""Evaluation: the chat models and their base on the same held-out instructions; the pretrained
model on test.

evaluate/suites.json     the models on suites of items that none of them was trained for
                         (`recipes.suites`)
evaluate/results.json    of the first chat model loss, checked answers, answers side by side; of the
                         others the same under "chats", by name; of the own model bits per byte on
                         test, and "samples": what it writes after beginnings of test sentences;
                         "table" is all of it as rows
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from timeit import repeat
from typing import Any

from groundup.data.documents import ChatExample
from groundup.data.split import read_split, splits_in
from groundup.engine.generate import generate_ids
from groundup.engine.sampling import Sampling
from groundup.evaluate.comparison.run import evaluate
from groundup.evaluate.task import EvaluationTask, language_model
from groundup.evaluate.tasks.answers import AnswerLoss, CheckedAnswers, ShownAnswers, evenly
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.files import atomic_folder, write_json
from groundup.lab.attention import attention_record, example_sentence
from groundup.progress import Silent
from groundup.recipes.named_stages import ChatStage
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.recipes.stages.chat import held_out_instructions, table_of
from groundup.recipes.stages.chat import outside as instructions_outside
from groundup.recipes.suites import (
    BASE,
    CHAT,
    OWN,
    SNAPSHOTS_SHARE,
    SUITES_SHARE,
    above_chance,
    measure_suites,
)
from groundup.train.monitor.prompts import prompts_of
from groundup.train.monitor.samples import SAMPLE_TOKENS
from groundup.weights.model_io import OpenModel, open_model

BEFORE, AFTER = "before", "after"
SAMPLES, SAMPLE_TEMPERATURE = 3, 0.8
# Seconds for opening three models and the cheap figures.
BESIDE_S = 5.0
MIN_PERCENT = 20


def run(context: StageContext) -> StageResult:
    """Evaluate before and after on the same items, as many as the time allows."""
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
    own = own_model(context)
    if own:
        results["table"].append(own.text)
        results |= {"text": own.text, "samples": samples_of(own, context)}
        models[OWN] = own.opened
    texts: Sequence[str] = ()
    if own:
        texts = own.texts
    suites = {}
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


@dataclass(frozen=True)
class OwnModel:
    """The pretrained model, held-out texts of its data, and its bits per byte on them with the name
    of their split.
    """

    opened: OpenModel
    texts: Sequence[str]
    text: dict[str, Any]


def own_model(context: StageContext) -> OwnModel | None:
    """Return the pretrained model, measured; None where the build has none."""
    if not context.recipe.data.sources:
        return None
    own, data = open_model(context.build / "pretrain", context.compute), context.build / "data"
    split = splits_in(data)[-1]  # test, or validation where there is none
    texts = sample_texts((document.text for document in read_split(data, split)), seed=context.seed)
    found = evaluate(
        {OWN: own}, [BitsPerByte(texts)], compute=context.compute, progress=context.progress
    )
    return OwnModel(own, texts, {**found.rows[0].plain(), "split": split})


def samples_of(own: OwnModel, context: StageContext) -> list[dict[str, str]]:
    """Return what the finished model writes after the first words of held-out sentences."""
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
    """Return the tasks of a chat model, on so much of its held-out instructions."""
    table, max_tokens = context.recipe.evaluate, table_of(context.recipe, name).max_tokens
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
    """Order the items as the first of each kind, the second of each, and so on, so that a few show
    every kind.
    """
    place: dict[str, int] = {}
    order: list[tuple[int, int, ChatExample]] = []
    for item in items:
        place[item.kind] = place.get(item.kind, -1) + 1
        order.append((place[item.kind], len(order), item))
    return [item for _, _, item in sorted(order, key=lambda entry: entry[:2])]


def affordable_percent(
    opened: OpenModel, held_out: Mapping[str, Sequence[ChatExample]], context: StageContext
) -> float:
    """Return the percentage of the held-out sets that fits the stage's time, from a few timed items
    of the first.
    """
    few = list(next(iter(held_out.values()))[:4])

    def cost_s(task: EvaluationTask) -> float:
        return min(
            repeat(
                lambda: task.measure(opened, compute=context.compute, progress=Silent()),
                number=1,
                repeat=2,
            )
        )

    loss_s = cost_s(AnswerLoss(few)) / len(few)  # an item
    token_s = cost_s(ShownAnswers(few, max_tokens=8)) / 8
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
    """Return the results of a chat model and its base as the report reads them."""
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


def side_by_side(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return one instruction with both answers, and whether each passed its check, where it has
    one.
    """
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
    """Return before and after in one line, and in how many suites the models are above chance."""
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
    """Return the first words of a held-out sentence, to try the own model with; "" where there is
    none.
    """
    return next((sample["prompt"] for sample in results.get("samples", ())), "")


def describe(recipe: Recipe) -> str:
    """Return what is measured."""
    if recipe.of_kind(ChatStage):
        return f"up to {recipe.evaluate.answers} checked answers before and after"
    if recipe.data.sources:
        return "bits per byte of test text, and samples"
    return ""


STAGE = Stage(
    "evaluate",
    4,
    run,
    share=0.08,
    describe=describe,
    needs=("data", "pretrain", "base"),  # and the chat models
    outputs=("*.json",),
    sized_by_budget=True,
    outside=lambda recipe: instructions_outside(recipe.of_kind(ChatStage).values()),
)
