"""Stage 7: the chat model and its base on the same held-out instructions; the pretrained model on test.

evaluate/suites.json     the three models on suites of items that none of them was trained for (`recipes.suites`)
evaluate/results.json    loss, checked answers, answers side by side, bits per byte on test; "table" is all of it as rows
"""

from collections.abc import Mapping, Sequence
from timeit import repeat
from typing import Any

from groundup.data.documents import ChatExample
from groundup.data.split import read_split, splits_in
from groundup.evaluate.run import evaluate
from groundup.evaluate.task import Task
from groundup.evaluate.tasks.answers import AnswerLoss, CheckedAnswers, ShownAnswers, evenly
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.files import atomic_folder, write_json
from groundup.lab.attention import attention_record, example_sentence
from groundup.progress import Silent
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.recipes.stages.chat import held_out_instructions
from groundup.recipes.stages.chat import outside as instructions_outside
from groundup.recipes.suites import SNAPSHOTS_SHARE, SUITES_SHARE, above_chance, measure_suites
from groundup.weights.model_io import OpenModel, open_model

BEFORE, AFTER = "before", "after"
# Seconds for opening three models and the cheap figures.
BESIDE_S = 5.0
MIN_PERCENT = 20


def run(context: StageContext) -> StageResult:
    """Evaluate before and after on the same items, as many as the time allows."""
    table = context.recipe.evaluate
    held_out = held_out_instructions(context.recipe)
    stages = ((BEFORE, "base"), (AFTER, "chat"))
    models = {name: open_model(context.build / stage, context.compute) for name, stage in stages}
    percent = context.fix("percent", lambda: affordable_percent(models[BEFORE], held_out, context))
    checked = part([e for e in held_out if e.check], percent)[: table.answers]
    shown = part(spread([e for e in held_out if not e.check]), percent)[: table.side_by_side]
    tasks: list[Task] = [
        AnswerLoss(part(held_out, percent), max_tokens=context.recipe.chat.max_tokens),
        *([CheckedAnswers(checked, max_tokens=table.answer_tokens)] if checked else []),
        *([ShownAnswers(shown, max_tokens=table.answer_tokens)] if shown else []),
    ]
    found = evaluate(models, tasks, compute=context.compute, progress=context.progress)
    own = open_model(context.build / "pretrain", context.compute)
    split = splits_in(context.build / "data")[-1]  # test; of a data folder of an older version validation
    texts = sample_texts((document.text for document in read_split(context.build / "data", split)), seed=context.seed)
    text = evaluate({"own": own}, [BitsPerByte(texts)], compute=context.compute, progress=context.progress)
    results = page_values(found, text, split)
    models = {"base": models[BEFORE], "chat": models[AFTER], "own": own}
    suites = measure_suites(context, models, texts) if context.recipe.evaluate.suites else {}
    tokenizer = own.require_tokenizer()
    sentence = example_sentence(tokenizer, texts)
    with atomic_folder(context.folder) as folder:
        write_json(folder / "results.json", results)
        write_json(folder / "suites.json", suites)
        write_json(folder / "attention.json", attention_record(own.model, tokenizer, sentence))
    return described(results, percent, suites.get("suites", {}))


def part(items: Sequence[ChatExample], percent: int) -> list[ChatExample]:
    """Return `percent` of the items, evenly spaced, at least one."""
    return evenly(items, max(1, round(len(items) * percent / 100)))


def spread(items: Sequence[ChatExample]) -> list[ChatExample]:
    """Order the items as the first of each kind, the second of each, and so on, so that a few show every kind."""
    place: dict[str, int] = {}
    order: list[tuple[int, int, ChatExample]] = []
    for item in items:
        place[item.kind] = place.get(item.kind, -1) + 1
        order.append((place[item.kind], len(order), item))
    return [item for _, _, item in sorted(order, key=lambda entry: entry[:2])]


def affordable_percent(opened: OpenModel, held_out: Sequence[ChatExample], context: StageContext) -> float:
    """Return the percentage of the held-out set that fits the stage's time, from a few timed items."""
    few = list(held_out[:4])

    def cost_s(task: Task) -> float:
        return min(repeat(lambda: task.measure(opened, compute=context.compute, progress=Silent()), number=1, repeat=2))

    loss_s = cost_s(AnswerLoss(few)) / len(few)  # an item
    token_s = cost_s(ShownAnswers(few, max_tokens=8)) / 8
    table = context.recipe.evaluate
    # two batches of answers, each as long as its longest answer; a larger batch is slower by its width
    whole_s = 2 * (loss_s * len(held_out) + 2 * table.answer_tokens * token_s * 1.6)
    seconds = context.seconds * (1 - SUITES_SHARE - SNAPSHOTS_SHARE if table.suites else 1) - BESIDE_S
    return min(100.0, max(MIN_PERCENT, 100 * seconds / whole_s))


def page_values(found: Mapping[str, Any], text: Mapping[str, Any], split: str) -> dict[str, Any]:
    """Return the results as the report reads them; `split` is what `text` was measured on."""
    rows = {(row["task"], row["model"]): row for row in found["rows"]}
    loss, checked = AnswerLoss.name, CheckedAnswers.name
    written = [found["details"][task] for task in (checked, ShownAnswers.name) if task in found["details"]]
    pairs = [pair for of in written for pair in zip(*(of[model]["answers"] for model in (BEFORE, AFTER)), strict=True)]
    own = {**text["rows"][0], "split": split}
    return {
        "loss": {model: rows[loss, model]["value"] for model in (BEFORE, AFTER)},
        "checked": {model: rows[checked, model] for model in (BEFORE, AFTER) if (checked, model) in rows},
        "answers": [side_by_side(before, after) for before, after in pairs],
        "changes": {row["task"]: row for row in found["changes"]},
        "text": own,
        "table": [*found["rows"], own],
    }


def side_by_side(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return one instruction with both answers, and whether each passed its check, where it has one."""
    asked = {key: before[key] for key in ("id", "kind", "instruction", "input")}
    both = ((BEFORE, before), (AFTER, after))
    right = {f"{name}_right": answer["right"] for name, answer in both if "right" in answer}
    return {**asked, "reference": before["expected"], BEFORE: before["answer"], AFTER: after["answer"], **right}


def described(results: Mapping[str, Any], percent: int, suites: Mapping[str, Any]) -> StageResult:
    """Return before and after in one line, and in how many suites the models are above chance."""
    loss, checked = results["loss"], results["checked"]
    right = {model: f"{round(row['value'] * row['n'])} of {row['n']}" for model, row in checked.items()}
    answers = f"checked answers {right[BEFORE]} → {right[AFTER]}; " if right else ""
    text = results["text"]
    own = f"own model {text['value']:.3f} bits per byte of {text['split']} text (n = {text['n']} windows)"
    above = {model: len(above_chance(suites, model)) for model in ("own", "chat")}
    counted = (
        f"; above chance in {above['own']} (own) and {above['chat']} (chat) of {len(suites)} suites" if suites else ""
    )
    line = f"{answers}loss {loss[BEFORE]:.3f} → {loss[AFTER]:.3f}; {own}{counted}"
    thin = [f"The chat model was evaluated on {percent} % of the held-out instructions."] if percent < 100 else []
    if not checked:
        thin.append("No held-out instruction has an answer that code can check.")
    elif checked[AFTER]["thin"]:
        thin.append(f"Only {checked[AFTER]['n']} checked answers: the intervals are wide.")
    facts = {"loss": loss, "checked": {model: row["value"] for model, row in checked.items()}}
    return StageResult(line, facts, tuple(thin))


STAGE = Stage(
    "evaluate",
    3,
    run,
    share=0.08,
    describe=lambda recipe: f"up to {recipe.evaluate.answers} checked answers before and after",
    needs=("data", "pretrain", "base", "chat"),
    outputs=("*.json",),
    sized_by_budget=True,
    outside=instructions_outside,
)
