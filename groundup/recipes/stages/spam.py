"""Stage 5: the public model becomes a spam classifier, measured beside what is simpler.

spam/results.json    models: the classifier, TF-IDF baselines, the majority class, the base model simply asked
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from groundup.data.documents import Example
from groundup.data.examples import Distinct, read_labelled, stratified_split, without_repeats
from groundup.data.sources import SourceOptions, content_hash
from groundup.device import Compute
from groundup.finetune.classifier import ClassifierConfig, add_baselines, fit_classifier
from groundup.model.matmul_precision import steady_s
from groundup.recipes.recipe import Recipe, SpamStage
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.recipes.stages.base import base_bytes
from groundup.runs import RunFolder
from groundup.timing import timed
from groundup.train.precision import open_kinds
from groundup.weights.model_io import ModelCard, OpenModel, open_model

# Seconds beside the passes through the model: reading, training on the kept states, baselines, saving. Measured, docs/log.md.
BESIDE_S = 12.0
# A zero-shot prompt has the question and the turns' control tokens around its message.
PROMPT_TOKENS_AROUND = 30
MIN_PERCENT = 5


def run(context: StageContext) -> StageResult:
    """Read and split the messages, train, and judge all methods on the same test messages."""
    table = context.recipe.spam
    opened = open_model(context.build / "base", context.compute)
    distinct = read_messages(table, context)
    percent = context.fix("percent", lambda: affordable_percent(opened, distinct.examples, table, context))
    sizes = {name: scaled(getattr(table, name), percent) for name in ("train", "validation", "test")}
    splits = stratified_split(distinct.examples, sizes, context.seed)
    config = ClassifierConfig(max_tokens=table.max_tokens, seed=context.seed)
    runs = RunFolder(context.folder)
    results = fit_classifier(
        opened,
        splits,
        runs,
        config,
        compute=context.compute,
        progress=context.progress,
        card=card(context.recipe, opened.license),
    )
    results["source"] = {"repeats": distinct.repeats, "conflicts": distinct.conflicts, "empty": distinct.empty}
    results = add_baselines(
        results,
        opened,
        splits,
        runs,
        question=table.question,
        zero_shot_items=scaled(table.zero_shot, percent),
        compute=context.compute,
        progress=context.progress,
    )
    return described(results, sizes, percent)


def read_messages(table: SpamStage, context: StageContext) -> Distinct:
    """The labelled messages without repeats, and the counts said."""
    options = SourceOptions(text_column=table.text_column)
    examples = read_labelled(table.source, options, label_column=table.label_column, progress=context.progress)
    distinct = without_repeats(examples)
    context.progress.say(
        f"      {len(examples):,} messages, {len(distinct.examples):,} distinct: "
        f"{distinct.repeats:,} repeats, {distinct.conflicts:,} with two labels and {distinct.empty:,} empty left out"
    )
    return distinct


def scaled(upper: int, percent: int) -> int:
    """A part of an upper size, at least 20 so that every class can be there."""
    return min(upper, max(20, upper * percent // 100))


def affordable_percent(
    opened: OpenModel, examples: Sequence[Example], table: SpamStage, context: StageContext
) -> float:
    """How much of the upper sizes this machine does in the stage's time: passes over a few messages are timed."""
    tokenizer = opened.require_tokenizer()
    rows = [tokenizer.encode(example.text)[: table.max_tokens] for example in examples[:256]]
    mean_tokens = sum(map(len, rows)) / len(rows)
    kinds = open_kinds("auto", opened.config.width, compute=context.compute)
    token_s = {}
    with context.progress.track("measuring a pass", len(kinds), "precisions") as advance:
        for low in kinds:
            token_s[low] = seconds_per_token(opened, rows[:32], context.compute, low_precision=low)
            advance()
    messages = table.train + table.validation + table.test
    whole_s = messages * mean_tokens * min(token_s.values())
    whole_s += table.zero_shot * (mean_tokens + PROMPT_TOKENS_AROUND) * token_s[False]
    percent = 100 * (context.seconds - BESIDE_S) / whole_s
    return min(100.0, max(MIN_PERCENT, percent))


def seconds_per_token(
    opened: OpenModel, rows: Sequence[Sequence[int]], compute: Compute, *, low_precision: bool
) -> float:
    """Seconds of one token in a forward pass over rows of about the same length, of two or more that agree."""
    longest = sorted(rows, key=len)[len(rows) // 2 :]
    length = min(map(len, longest))
    ids = torch.tensor([list(row[:length]) for row in longest], device=compute.device)
    with torch.no_grad(), torch.autocast(compute.device.type, dtype=torch.bfloat16, enabled=low_precision):
        return steady_s(lambda: timed(lambda: opened.model.transformer(ids))) / ids.numel()


def described(results: Mapping[str, Any], sizes: Mapping[str, int], percent: int) -> StageResult:
    """The classifier beside the best of the others, in one line."""
    ours, *others = results["models"]
    found = ours["accuracy"]
    # The base model was asked about fewer messages: it is compared where nothing else is there (no scikit-learn).
    same = [row for row in others if row["accuracy"]["n"] == found["n"]]
    best = max(same or others or [ours], key=lambda row: row["accuracy"]["value"])
    line = (
        f"accuracy {100 * found['value']:.1f} % ({100 * found['low']:.1f} to {100 * found['high']:.1f}, n = {found['n']}); "
        f"{best['name']}: {100 * best['accuracy']['value']:.1f} %"
    )
    facts = {
        "sizes": dict(sizes),
        "accuracy": found["value"],
        "f1": ours["f1"],
        "best_other": best["accuracy"]["value"],
    }
    thin = (f"Spam was learned from and judged on {percent} % of the messages.",) if percent < 100 else ()
    return StageResult(line, facts, thin)


def card(recipe: Recipe, license_id: str) -> ModelCard:
    """What the classifier is made of; its weights have the licence of the model they began as."""
    return ModelCard(
        name=f"{recipe.name}-spam",
        summary="Tells spam from other short messages.",
        data=((recipe.spam.source.spec, recipe.spam.source.licence),),
        base=recipe.base.model,
        license=license_id,
    )


def outside(recipe: Recipe) -> Mapping[str, str]:
    """The content of the messages' source."""
    return {recipe.spam.source.spec: content_hash(recipe.spam.source)}


def describe(recipe: Recipe) -> str:
    """How many messages at most."""
    table = recipe.spam
    return f"up to {table.train:,} messages to train on, {table.validation:,} and {table.test:,} to judge by"


STAGE = Stage(
    "spam",
    2,
    run,
    share=0.20,
    describe=describe,
    disk_bytes=base_bytes,
    needs=("base",),
    outputs=("model.safetensors", "config.json", "tokenizer*.json", "results.json"),
    sized_by_budget=True,
    outside=outside,
)
