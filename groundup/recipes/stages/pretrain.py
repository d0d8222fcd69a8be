"""Stage 3: a language model trained from random weights on the train part of the shards."""

import dataclasses

from groundup.data.shards import open_shards
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES, training_memory
from groundup.model.presets import preset
from groundup.model.sizes import parameter_count
from groundup.planning.measure import (
    Benchmark,
    Candidate,
    describe_measured,
    evaluations_within,
    steps_within,
    with_evaluations,
)
from groundup.planning.plan import make_plan
from groundup.planning.plan_text import plan_warnings
from groundup.recipes.recipe import Recipe
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.recipes.stages.tokenizer import SHARDS
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.config import EVALUATIONS, FitConfig, pretraining_config
from groundup.train.pretrain import pretrain
from groundup.train.time_budget import StepControl, TimeBudget
from groundup.weights.model_io import ModelCard

# The rest is for measuring, the first evaluation and saving.
STEPS_SHARE = 0.85
# On a machine so slow that the time has room for fewer, the budget is overrun: fewer steps teach nothing.
MIN_STEPS = 50


def run(context: StageContext) -> StageResult:
    """Train for as many steps as the stage's share of the time has room for, and keep the time."""
    table = context.recipe.pretrain
    shards, tokenizer = open_shards(context.build / "tokenizer" / SHARDS), Tokenizer.load(context.build / "tokenizer")
    shape = dataclasses.replace(preset(table.preset), vocab_size=tokenizer.vocab_size)
    fields = {"batch_size": table.batch_windows, "snapshots": table.snapshots, "seed": context.seed}
    rate = {} if table.learning_rate is None else {"learning_rate": table.learning_rate}
    fit = pretraining_config(table.steps or 1, {**fields, **rate, "optimizer": table.optimizer})
    seconds, progress = context.seconds * STEPS_SHARE, context.progress
    if not table.steps:
        benchmark = Benchmark(shards, tokenizer, context.compute, progress, run_s=seconds)
        fit = fit_in_time(context, benchmark, Candidate(shape, fit))
    for warning in plan_warnings(make_plan(shards, Candidate(shape, fit))):
        progress.say(f"      note: {warning}")
    results = pretrain(
        shards,
        tokenizer,
        shape,
        fit,
        RunFolder(context.folder),
        compute=context.compute,
        progress=progress,
        card=card(context),
        control=StepControl(None if table.steps else TimeBudget(seconds, MIN_STEPS)),
    )
    line = (
        f"{results['parameters']:,} parameters, {results['steps']:,} steps: validation loss {results['validation_loss']:.3f} nats per token, "
        f"{results['bits_per_byte']:.3f} bits per byte"
    )
    return StageResult(line, results, thin_figures(results))


def fit_in_time(context: StageContext, benchmark: Benchmark, candidate: Candidate) -> FitConfig:
    """The config with the steps and evaluations that the time has room for; measured once and recorded in the build."""
    if "steps" not in context.sizes:
        measured = benchmark.measure(candidate)
        context.progress.say(describe_measured(measured, benchmark.run_s))
        context.fix("steps", lambda: max(MIN_STEPS, steps_within(benchmark.run_s, measured)))
        context.fix("evaluations", lambda: evaluations_within(benchmark.run_s, measured))
    fit = dataclasses.replace(candidate.fit, steps=context.sizes["steps"])
    return with_evaluations(fit, context.fix("evaluations", lambda: EVALUATIONS))


def card(context: StageContext) -> ModelCard:
    """The model card, with the sources of its text."""
    recipe = context.recipe
    data = tuple((source.spec, source.licence) for source in recipe.data.sources)
    summary = "A small language model, trained from random weights."
    return ModelCard(name=f"{recipe.name}-own", summary=summary, data=data)


def thin_figures(results: dict[str, float]) -> tuple[str, ...]:
    """A caveat where the model has read little of its text."""
    if results["epochs"] < 0.1:
        return (f"The own model has read {100 * results['epochs']:.0f} % of the text once.",)
    return ()


def own_shape(recipe: Recipe) -> ModelConfig:
    """The model's config with as many ids as the tokenizer may have. Raises ConfigError for a preset that is not known."""
    return dataclasses.replace(preset(recipe.pretrain.preset), vocab_size=recipe.tokenizer.vocab_size)


def describe(recipe: Recipe) -> str:
    """Its size and its steps."""
    shape, table = own_shape(recipe), recipe.pretrain
    steps = f"{table.steps:,} steps" if table.steps else "as many steps as fit"
    tokens = table.batch_windows * shape.context_tokens
    return f"own model of {parameter_count(shape).total / 1e6:.2f}M parameters, {steps}, {tokens:,} tokens each"


def memory_bytes(recipe: Recipe) -> float:
    """What a training step holds."""
    shape = own_shape(recipe)
    batch_size = recipe.pretrain.batch_windows
    return training_memory(shape, batch_size=batch_size, context_tokens=shape.context_tokens).total


STAGE = Stage(
    "pretrain",
    4,
    run,
    share=0.25,
    describe=describe,
    memory_bytes=memory_bytes,
    disk_bytes=lambda recipe: parameter_count(own_shape(recipe)).total * FLOAT32_BYTES,
    needs=("tokenizer",),
    outputs=("model.safetensors", "config.json", "tokenizer*.json", "results.json"),
    sized_by_budget=True,
)
