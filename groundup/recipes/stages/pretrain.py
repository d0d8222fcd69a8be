"""Stage 3: a model of one's own, from random weights, on the train part of the shards."""

import dataclasses
from typing import Any

from groundup.data.shards import open_shards
from groundup.model.presets import preset
from groundup.planning.plan import evaluated, make_plan, steps_for
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.recipes.stages.tokenizer import SHARDS
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.config import EVALUATIONS
from groundup.train.defaults import pretraining_config
from groundup.train.pretrain import pretrain
from groundup.train.time_budget import StepControl, TimeBudget
from groundup.weights.model_io import ModelCard

# Measuring, the first evaluation and saving take their part of the share, too.
STEPS_SHARE = 0.85
# On a machine so busy that the clock allows fewer, the budget is overrun: fewer steps teach nothing at all.
MIN_STEPS = 50


def run(context: StageContext) -> StageResult:
    """Measure this machine, count the steps that the time has room for, train, and keep the time."""
    table = context.recipe.pretrain
    tokenizer = Tokenizer.load(context.build / "tokenizer")
    shards = open_shards(context.build / "tokenizer" / SHARDS)
    shape = dataclasses.replace(preset(table.preset), vocab_size=tokenizer.vocab_size)
    said: dict[str, Any] = {"batch_size": table.batch_windows, "snapshots": table.snapshots, "seed": context.seed}
    if table.learning_rate is not None:
        said["learning_rate"] = table.learning_rate
    config = pretraining_config(1, {**said, "optimizer": table.optimizer})

    seconds = context.seconds * STEPS_SHARE

    evaluations = EVALUATIONS

    def measured_steps() -> int:
        nonlocal evaluations
        made = (shards, tokenizer, shape, config)
        steps, evaluations = steps_for(seconds, *made, compute=context.compute, progress=context.progress)
        return max(MIN_STEPS, steps)

    steps = table.steps or context.fix("steps", measured_steps)
    if not table.steps:
        evaluations = context.fix("evaluations", lambda: evaluations)
    config = evaluated(dataclasses.replace(config, steps=steps), evaluations)
    for warning in make_plan(shards, shape, config).warnings:
        context.progress.say(f"      note: {warning}")
    results = pretrain(
        shards,
        tokenizer,
        shape,
        config,
        RunFolder(context.folder),
        compute=context.compute,
        progress=context.progress,
        card=card(context),
        control=StepControl(None if table.steps else TimeBudget(seconds, MIN_STEPS)),
    )
    line = (
        f"{results['parameters']:,} parameters, {results['steps']:,} steps: validation loss {results['validation_loss']:.3f} nats a token, "
        f"{results['bits_per_byte']:.3f} bits per byte"
    )
    return StageResult(line, results, thin_figures(results))


def card(context: StageContext) -> ModelCard:
    """What the model is made of."""
    recipe = context.recipe
    data = tuple((source.spec, source.licence) for source in recipe.data.sources)
    summary = "A small language model, trained from random weights."
    return ModelCard(name=f"{recipe.name}-own", summary=summary, data=data)


def thin_figures(results: dict[str, float]) -> tuple[str, ...]:
    """Say so when the model has seen little of its text."""
    if results["epochs"] < 0.1:
        return (f"The own model has read {100 * results['epochs']:.0f} % of the text once.",)
    return ()


STAGE = Stage(
    "pretrain",
    4,
    run,
    share=0.25,
    needs=("tokenizer",),
    outputs=("model.safetensors", "config.json", "tokenizer*.json", "results.json"),
    sized_by_budget=True,
)
