"""Stage 3: a language model trained on the train part of the shards, from random weights or from
those of a model that is cut out of a public one.
"""

import dataclasses
from typing import Any

from groundup.data.batches.mixture_config import source_weights
from groundup.data.batches.shards import ShardSet, open_shards
from groundup.data.split import TRAIN
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES, training_memory
from groundup.model.presets import parse_size, preset, shape_of_depth
from groundup.model.sizes import parameter_count
from groundup.planning.corpus import source_lines
from groundup.planning.measure import (
    Benchmark,
    Candidate,
    describe_measured,
    evaluations_within,
    steps_within,
    with_evaluations,
)
from groundup.planning.plan import make_plan, plan_warnings
from groundup.planning.planner import (
    candidate_of,
    choose_model,
    text_stats,
    used_up,
    useful_steps,
)
from groundup.planning.pretrain_config import Length, PretrainConfig
from groundup.planning.pretrain_options import (
    PretrainOptions,
    cut_optimizer,
    shape_of_parameters,
    size_note,
)
from groundup.planning.scaling_law import LAW
from groundup.recipes.downloads import of_models
from groundup.recipes.recipe import AUTO_SIZE, PretrainStage, Recipe
from groundup.recipes.stage import MODEL_FILES, Stage, StageContext, StageResult
from groundup.recipes.stages.tokenizer import SHARDS
from groundup.runs import RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.cut.cut import cut_shape
from groundup.train.cut.cut_start import CUT_FOLDER, cut_card, cut_start
from groundup.train.monitor.time_budget import StepControl, TimeBudget
from groundup.train.pretrain import PretrainInputs, most_steps, pretrain, train_windows
from groundup.train.pretrain_results import PretrainResults
from groundup.train.starting_model import StartingModel, starting_model
from groundup.train.steps.config import EVALUATIONS, Rows, pretraining_config
from groundup.weights.model_io import ModelCard

# The rest is for measuring, compiling, the first evaluation and saving: of a long time the seconds
# that these take at most, not a share.
STEPS_SHARE, BESIDE_STEPS_S = 0.85, 240.0
# Where the time allows fewer, the budget is exceeded: with fewer steps nothing is learned.
MIN_STEPS = 50
# From so many seconds on AUTO_SIZE is chosen by timing candidates; in less they would take too much
# of the time.
CHOICE_FROM_S = 900.0
# A run that ends before this share of its time has used up its text.
USED_SHARE = 0.9
# Epochs below which the page notes that the model has read little of its text.
LITTLE_READ = 0.1


def seconds_of_steps(seconds: float) -> float:
    """Return the seconds that training steps have of those that the stage is given.

    >>> seconds_of_steps(100.0), seconds_of_steps(4_800.0)
    (85.0, 4560.0)
    """
    return max(seconds * STEPS_SHARE, seconds - BESIDE_STEPS_S)


def run(context: StageContext) -> StageResult:
    recipe, table = context.recipe, context.recipe.pretrain
    shards = open_shards(context.build / "tokenizer" / SHARDS)
    tokenizer = Tokenizer.load(context.build / "tokenizer")
    shape, fields, start = beginning(context, shards, tokenizer)
    if table.size not in ("", AUTO_SIZE) and (note := size_note(table.size, shape)):
        context.progress.say(f"      {note}")
    candidate = Candidate(shape, pretraining_config(table.steps or 1, fields))
    seconds, progress, budget = seconds_of_steps(context.seconds), context.progress, None
    if not table.steps:
        benchmark = Benchmark(shards, tokenizer, context.compute, progress, run_s=seconds)
        if is_open(table) and seconds >= CHOICE_FROM_S:
            candidate = chosen_in_time(context, benchmark, fields)
        budget = TimeBudget(seconds, MIN_STEPS)
        if start is None:
            most = max(MIN_STEPS, useful_steps(candidate, shards.num_tokens(TRAIN)))
            budget = TimeBudget(seconds, MIN_STEPS, most)
        candidate = candidate_in_time(context, benchmark, candidate, budget)
    plan = make_plan(shards, candidate)
    for line in source_lines(plan.sources):
        progress.say(line)
    for warning in plan_warnings(plan):
        progress.say(f"      note: {warning}")
    results = pretrain(
        PretrainInputs(shards, tokenizer, candidate.shape, candidate.fit, start),
        RunFolder(context.folder),
        compute=context.compute,
        progress=progress,
        card=card_of(recipe, start),
        control=StepControl(budget),
    )
    on_test = f" (test: {results.test['bits_per_byte']:.3f})" if results.test else ""
    line = (
        f"{results.parameters:,} parameters, {results.steps:,} steps: "
        f"validation loss {results.validation_loss:.3f} nats per token, "
        f"{results.bits_per_byte:.3f} bits per byte{on_test}"
    )
    return StageResult(line, results.to_json(), thin_notes(results, budget))


def thin_notes(results: PretrainResults, budget: TimeBudget | None) -> tuple[str, ...]:
    if results.epochs < LITTLE_READ:
        return (f"The pretrained model has read only {100 * results.epochs:.0f} % of the text.",)
    if budget is None or results.steps != budget.max_steps:
        return ()
    if results.elapsed_s > USED_SHARE * budget.seconds:
        return ()
    return (
        f"The text was used up after {results.elapsed_s / 60:.1f} of {budget.seconds / 60:.1f} "
        f"minutes, read {results.epochs:.1f} times: more text would make a better model, more time "
        "would not.",
    )


def beginning(
    context: StageContext, shards: ShardSet, tokenizer: Tokenizer
) -> tuple[ModelConfig, dict[str, Any], StartingModel | None]:
    """The shape and the fields of the training that the recipe gives, and the model that is cut."""
    recipe, table = context.recipe, context.recipe.pretrain
    optimizer: dict[str, Any] = {"name": table.optimizer}
    if table.learning_rate is not None:
        optimizer["learning_rate"] = table.learning_rate
    fields: dict[str, Any] = {
        "batch_size": table.batch_windows,
        "optimizer": optimizer,
        "rows": Rows(mixture=recipe.mixture, stride=table.stride, packing=table.packing),
        "checkpoints": {"snapshots": table.snapshots},
        "seed": context.seed,
    }
    if not table.cut_from:
        return shape_of(recipe, tokenizer.vocab_size), fields, None
    source = starting_model(table.cut_from, context.progress)
    asked = shape_of(recipe, tokenizer.vocab_size, source)
    shape = cut_shape(asked, source.config, {}, source.name)
    folder = context.folder / CUT_FOLDER
    start = cut_start(source, shape, shards, tokenizer, folder, context.progress)
    fields |= {"optimizer": cut_optimizer(fields), "initial_weights": start.weights}
    return shape, fields, start


def card_of(recipe: Recipe, start: StartingModel | None) -> ModelCard:
    name = f"{recipe.name}-own"
    texts = tuple((source.spec, source.licence) for source in recipe.data.sources)
    if start is not None:
        return cut_card(name, start, texts)
    return ModelCard(name, "A small language model, trained from random weights.", texts)


def is_open(table: PretrainStage) -> bool:
    """Whether nothing in the recipe names the shape."""
    named = table.cut_from or table.preset != PretrainStage().preset
    return table.size == AUTO_SIZE and not named


def chosen_in_time(
    context: StageContext, benchmark: Benchmark, fields: dict[str, Any]
) -> Candidate:
    """The shape and batch (unless the recipe has another than by default) of the lowest loss that
    the scaling law expects in the time (`planning/planner.py`); chosen once and recorded in
    build.json.
    """
    free = dict(fields)
    if free["batch_size"] == PretrainStage().batch_windows:
        del free["batch_size"]
    length, tables = Length(seconds=benchmark.run_s), {"fit": free, "model": {}, "data": {}}
    options = PretrainOptions((), PretrainConfig(seed=context.seed), length, tables)
    tokenizer = benchmark.tokenizer
    if "blocks" not in context.sizes:
        text = text_stats(benchmark.shards, tokenizer.special.document_end_id)
        chosen, reasons = choose_model(options, text, LAW, benchmark)
        for reason in reasons:
            context.progress.say(f"      {reason}")
        context.fix("context_tokens", lambda: chosen.shape.context_tokens)
        context.fix("batch_windows", lambda: chosen.fit.batch_size)
        context.fix("blocks", lambda: chosen.shape.num_layers)
    sizes = context.sizes
    shape = shape_of_depth(
        sizes["blocks"],
        vocab_size=tokenizer.vocab_size,
        context_tokens=sizes["context_tokens"],
    )
    found = candidate_of(options, shape)
    fit = dataclasses.replace(found.fit, batch_size=sizes["batch_windows"])
    return Candidate(shape, fit)


def candidate_in_time(
    context: StageContext, benchmark: Benchmark, candidate: Candidate, budget: TimeBudget
) -> Candidate:
    """With the steps and evaluations that the time has room for, measured once and recorded in
    build.json.
    """
    if "steps" not in context.sizes:
        measured = benchmark.measure(candidate)
        context.progress.say(describe_measured(measured, benchmark.run_s))
        steps = max(MIN_STEPS, steps_within(benchmark.run_s, measured))
        context.fix("steps", lambda: min(steps, budget.max_steps or steps))
        context.fix("evaluations", lambda: evaluations_within(benchmark.run_s, measured))
        if context.sizes["steps"] < steps:
            tokens = benchmark.shards.num_tokens(TRAIN)
            note = used_up(candidate, context.sizes["steps"], benchmark.run_s, measured, tokens)
            context.progress.say(f"      note: {note}")
    fit = dataclasses.replace(candidate.fit, steps=context.sizes["steps"])
    most = most_steps(train_windows(benchmark.shards, candidate.shape, fit), fit)
    fit = dataclasses.replace(fit, steps=min(fit.steps, most or fit.steps))
    fit = with_evaluations(fit, context.fix("evaluations", lambda: EVALUATIONS))
    return Candidate(candidate.shape, fit)


def shape_of(recipe: Recipe, vocab_size: int, source: StartingModel | None = None) -> ModelConfig:
    """`source`: as it is cut from that model. Raises ConfigError."""
    if recipe.pretrain.size not in ("", AUTO_SIZE):
        return shape_of_parameters(parse_size(recipe.pretrain.size), vocab_size, source)
    return dataclasses.replace(preset(recipe.pretrain.preset), vocab_size=vocab_size)


def own_shape(recipe: Recipe) -> ModelConfig:
    """Its vocabulary is the largest that the tokenizer may have. Raises ConfigError."""
    return shape_of(recipe, recipe.tokenizer.vocab_size)


def describe(recipe: Recipe) -> str:
    shape, table = own_shape(recipe), recipe.pretrain
    steps, tokens = "as many steps as fit", table.batch_windows * shape.context_tokens
    if table.steps:
        steps = f"{table.steps:,} steps"
    size = f"{parameter_count(shape).total / 1e6:.2f}M parameters"
    if is_open(table):
        size += f", in {CHOICE_FROM_S / 60:.0f} minutes or more the size for the time"
    cut = f", cut from {table.cut_from}" if table.cut_from else ""
    return f"own model of {size}{cut}, {steps}, {tokens:,} tokens each"


def memory_bytes(recipe: Recipe) -> float:
    shape = own_shape(recipe)
    batch_size = recipe.pretrain.batch_windows
    return training_memory(shape, batch_size=batch_size, context_tokens=shape.context_tokens).total


def outside(recipe: Recipe) -> dict[str, str]:
    return {
        f"weight of {name}": repr(weight)
        for name, weight in source_weights(recipe.data.sources).items()
    }


STAGE = Stage(
    "pretrain",
    4,
    run,
    share=0.25,
    describe=describe,
    memory_bytes=memory_bytes,
    disk_bytes=lambda recipe: parameter_count(own_shape(recipe)).total * FLOAT32_BYTES,
    needs=("tokenizer",),
    outputs=MODEL_FILES,
    outside=outside,
    downloads=lambda recipe: of_models(recipe.pretrain.cut_from),
    sized_by_budget=True,
)
