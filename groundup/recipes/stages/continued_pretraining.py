"""Optional stage, before chat: the training of the public model is continued on the texts of stage
1, so that the chat model has read them, with general text beside them (replay), so that less is
forgotten. teach/results.json is that of a pretraining run; under "forgetting" it has general text
and the test text ("texts") before and after.
"""

import dataclasses
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

from groundup.data.batches.shards import TABLE_FILE, ShardSet, open_shards, write_shards
from groundup.data.batches.spans import read_spans
from groundup.data.documents import Document
from groundup.data.preparation.config import DataConfig
from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import content_hash
from groundup.data.split import TRAIN, VALIDATION, SplitWriter, read_split, splits_in
from groundup.evaluate.comparison.forgetting import GENERAL, general_text
from groundup.evaluate.paired import NO_DIFFERENCE
from groundup.evaluate.tasks.text import BitsPerByte, sample_texts
from groundup.files import atomic_folder
from groundup.model.footprint import training_memory
from groundup.planning.measure import (
    FORWARD_SHARE,
    Benchmark,
    Candidate,
    Measured,
    describe_measured,
    evaluations_within,
    steps_within,
    with_evaluations,
)
from groundup.planning.planner import fitting_context, text_stats
from groundup.planning.pretrain_options import start_fields
from groundup.recipes.downloads import Download, of_sources
from groundup.recipes.recipe import Recipe, TeachStage
from groundup.recipes.stage import Stage, StageContext, StageResult
from groundup.recipes.stages.base import base_bytes, base_shape
from groundup.runs import RunFolder
from groundup.train.monitor.callbacks import MonitorConfig
from groundup.train.monitor.samples import SAMPLE_TOKENS, prompts_of
from groundup.train.monitor.time_budget import StepControl, TimeBudget
from groundup.train.pretrain import PretrainInputs, pretrain
from groundup.train.starting_model import StartingModel, starting_model
from groundup.train.steps.config import FitConfig, Rows, pretraining_config
from groundup.train.steps.precision import open_kinds
from groundup.weights.model_io import ModelCard

FOLDER = "teach"
TEXTS = "texts"
ROW_TOKENS = 256
# Of the pieces in which the texts are compared: a short test text gives enough of them for an
# interval.
WINDOW_TOKENS = 64
# Of validation and of test, for each second of the stage: an evaluation takes a twentieth of its
# time at 400 tokens a second.
MEASURED_CHARACTERS_PER_S, FEWEST_CHARACTERS, MOST_CHARACTERS = 60, 2_048, 32_768
# A token that is generated alone takes as long as some twenty that are read together.
GENERATED_COST = 20
# Opening the model for the first step, saving it after the last.
BESIDE_S = 6.0
# Of the stage's time, however long the measuring takes: with fewer steps nothing is learned.
LEAST_TRAINING_SHARE, MIN_STEPS = 0.3, 4
PROMPT_CHARACTERS = 40
# Epochs below which the page notes that the model has read little of the texts.
LITTLE_READ = 0.5
NOT_BETTER = (
    "The public model did not clearly gain on test text: too few steps in this budget, "
    "or texts like those that it knows."
)


def run(context: StageContext) -> StageResult:
    """Train for as many steps as fit the stage's time, at most so many epochs."""
    table, progress, started = table_of(context.recipe), context.progress, time.monotonic()
    start = starting_model(context.build / "base")
    shards = teaching_shards(context, table, start)
    test = BitsPerByte(
        held_out(context, splits_in(context.build / "data")[-1]), TEXTS, WINDOW_TOKENS
    )
    tasks = (general_text(None, progress), test)
    measured_tokens = sum(
        len(start.tokenizer.encode(text)) for task in tasks for text in task.texts
    )
    candidate, most = candidate_of(start, shards, context), steps_of_epochs(shards, context)
    fit, budget = candidate.fit, None
    if not table.steps:
        # the build has just chosen the threads, and to try them with steps of seconds would take
        # longer than it gains
        compute = dataclasses.replace(context.compute, thread_counts=())
        benchmark = Benchmark(shards, start.tokenizer, compute, progress, run_s=context.seconds)
        fit, training_s = fit_in_time(context, benchmark, candidate, most, measured_tokens, started)
        budget = TimeBudget(training_s, MIN_STEPS, most)
    runs = RunFolder(context.folder)
    results = pretrain(
        PretrainInputs(shards, start.tokenizer, candidate.shape, fit, start),
        runs,
        compute=context.compute,
        progress=progress,
        card=card_of(context, table, start),
        monitor=MonitorConfig(prompts=(opening(context),), forgetting=tasks),
        control=StepControl(budget),
    )
    # each is three times as large as the model, and a finished stage is not resumed
    shutil.rmtree(runs.checkpoints, ignore_errors=True)
    return describe_results(results.to_json(), table)


def table_of(recipe: Recipe) -> TeachStage:
    assert recipe.teach is not None
    return recipe.teach


def teaching_shards(context: StageContext, table: TeachStage, start: StartingModel) -> ShardSet:
    """Raises DataError, NetworkError."""
    shards, data = context.folder / "shards", context.folder / "data"
    if (shards / TABLE_FILE).is_file():
        return open_shards(shards)
    with atomic_folder(data) as folder, SplitWriter(folder, (TRAIN, VALIDATION)) as writer:
        for document in read_split(context.build / "data", TRAIN):
            writer.write(TRAIN, document)
        for document in replayed(context, table):
            writer.write(TRAIN, document)
        for number, text in enumerate(held_out(context, VALIDATION)):
            writer.write(VALIDATION, Document(text, VALIDATION, str(number)))
    return write_shards(data, start.tokenizer, shards, progress=context.progress)


def replayed(context: StageContext, table: TeachStage) -> Iterator[Document]:
    if not table.replay_share:
        return
    folder = context.folder.with_name(".tmp-replay")
    config = DataConfig(text=table.general_column, test_fraction=0.0)
    prepare([table.general], folder, config, seed=context.seed, progress=context.progress)
    yield from read_split(folder, TRAIN)
    shutil.rmtree(folder)


def held_out(context: StageContext, split: str) -> list[str]:
    characters = context.fix("characters", lambda: measured_characters(context.seconds))
    texts = (document.text for document in read_split(context.build / "data", split))
    return sample_texts(texts, seed=context.seed, max_characters=characters)


def measured_characters(seconds: float) -> float:
    """Return the characters of a split that are measured on.

    >>> measured_characters(10.0), measured_characters(100.0), measured_characters(3600.0)
    (2048, 6000.0, 32768)
    """
    return min(MOST_CHARACTERS, max(FEWEST_CHARACTERS, MEASURED_CHARACTERS_PER_S * seconds))


def opening(context: StageContext) -> str:
    """Return the first words of a held-out sentence, else of the text: what the model continues at
    each evaluation.
    """
    texts = held_out(context, VALIDATION)
    if found := prompts_of(texts, 1):
        return found[0]
    words = texts[0][:PROMPT_CHARACTERS].split()
    return " ".join(words[: max(1, len(words) - 1)])  # the last may be cut


def candidate_of(start: StartingModel, shards: ShardSet, context: StageContext) -> Candidate:
    """Rows are no longer than a typical document; the number of steps may be unknown yet."""
    recipe, table = context.recipe, table_of(context.recipe)
    text = text_stats(shards, start.tokenizer.special.document_end_id)
    rows = min(ROW_TOKENS, start.config.context_tokens, fitting_context(start.config, text))
    fields: dict[str, Any] = {"batch_size": max(1, table.step_tokens // rows), "seed": context.seed}
    if table.learning_rate is not None:
        fields["optimizer"] = {"learning_rate": table.learning_rate}
    mixture = dataclasses.replace(recipe.mixture, replay=replay_of(table))
    fields["rows"] = Rows(mixture=mixture)
    return Candidate(
        start.shape(rows),
        pretraining_config(table.steps or 1, start_fields(start, fields)),
    )


def replay_of(table: TeachStage) -> dict[str, float]:
    if not table.replay_share:
        return {}
    return {table.general.title: table.replay_share}


def steps_of_epochs(shards: ShardSet, context: StageContext) -> int:
    table, tokens = table_of(context.recipe), shards.num_tokens(TRAIN)
    spans = read_spans(shards.folder, TRAIN, tokens) or []
    own = tokens - sum(count for source, count in spans if source == table.general.title)
    return max(1, math.ceil(table.epochs * own / (1 - table.replay_share) / table.step_tokens))


def fit_in_time(
    context: StageContext,
    benchmark: Benchmark,
    candidate: Candidate,
    most: int,
    measured_tokens: int,
    started: float,
) -> tuple[FitConfig, float]:
    """Return the steps and evaluations that fit the time, and that time; measured once."""
    if "steps" not in context.sizes:
        bf16 = open_kinds("auto", candidate.shape.width, compute=context.compute)[-1]
        precise = dataclasses.replace(candidate.fit, precision="float32")  # one of them is tried
        if bf16:
            precise = dataclasses.replace(candidate.fit, precision="bf16")
        measured = with_sample(benchmark.trial(Candidate(candidate.shape, precise)), candidate)
        token_s = FORWARD_SHARE * measured.step_s / candidate.step_tokens
        spent_s = time.monotonic() - started + 2 * measured_tokens * token_s + BESIDE_S
        training_s = max(LEAST_TRAINING_SHARE * context.seconds, context.seconds - spent_s)
        context.progress.say(f"      {describe_measured(measured, training_s)}")
        context.fix("training_s", lambda: training_s)
        context.fix("evaluations", lambda: evaluations_within(training_s, measured))
        context.fix("steps", lambda: max(MIN_STEPS, steps_within(training_s, measured)))
    fit = dataclasses.replace(candidate.fit, steps=min(most, context.sizes["steps"]))
    return with_evaluations(fit, context.sizes["evaluations"]), float(context.sizes["training_s"])


def with_sample(measured: Measured, candidate: Candidate) -> Measured:
    sample_s = (
        SAMPLE_TOKENS * GENERATED_COST * FORWARD_SHARE * measured.step_s / candidate.step_tokens
    )
    return dataclasses.replace(measured, evaluation_s=measured.evaluation_s + sample_s)


def card_of(context: StageContext, table: TeachStage, start: StartingModel) -> ModelCard:
    sources = [*context.recipe.data.sources]
    if table.replay_share:
        sources.append(table.general)
    return ModelCard(
        name=f"{context.recipe.name}-taught",
        summary="A public model whose training was continued on the texts of this build.",
        data=tuple((source.spec, source.licence) for source in sources),
        base=context.recipe.base.model,
        license=start.license,
    )


def describe_results(results: Mapping[str, Any], table: TeachStage) -> StageResult:
    gained, general = (results["forgetting"][name] for name in (TEXTS, GENERAL))
    changes = f"{describe_change(gained, 'test text')}; {describe_change(general, 'general text')}"
    line = f"{changes}; {results['steps']:,} steps, {results['tokens']:,} tokens"
    thin = []
    if gained["difference"]["verdict"] != "better":
        thin.append(NOT_BETTER)
    read = epochs_of(results, table)
    if read < LITTLE_READ:
        thin.append(f"The public model has read only {100 * read:.0f} % of the texts.")
    facts = {"steps": results["steps"], "tokens": results["tokens"], "epochs": read}
    return StageResult(line, {**facts, "gained": gained, "forgotten": general}, tuple(thin))


def epochs_of(results: Mapping[str, Any], table: TeachStage) -> float:
    own = [each for each in results.get("sources", ()) if each["source"] != table.general.title]
    there = sum(each["read_tokens"] / each["epochs"] for each in own if each["epochs"])
    if not there:
        return float(results["epochs"])
    return sum(each["read_tokens"] for each in own) / there


def describe_change(found: Mapping[str, Any], what: str) -> str:
    """Return a measure before and after with its verdict."""
    verdict = found["difference"]["verdict"].replace("unclear", NO_DIFFERENCE)
    return f"{what} {found['before']:.3f} → {found['after']:.3f} bits per byte ({verdict})"


def outside(recipe: Recipe) -> Mapping[str, str]:
    table = table_of(recipe)
    if not table.replay_share:
        return {}
    return {table.general.spec: content_hash(table.general)}


def downloads(recipe: Recipe) -> list[Download]:
    table = table_of(recipe)
    if not table.replay_share:
        return []
    return of_sources([table.general])


def describe(recipe: Recipe) -> str:
    table = table_of(recipe)
    steps = f"as many steps as fit, at most {table.epochs:g} epochs"
    if table.steps:
        steps = f"{table.steps:,} steps"
    plan = f"{recipe.base.model} goes on with the texts: {steps} of {table.step_tokens:,} tokens"
    if table.replay_share:
        plan += f", {100 * table.replay_share:g} % general text"
    return plan


def memory_bytes(recipe: Recipe) -> float:
    """0 where the base's size is not known before it is opened."""
    base, batch_size = base_shape(recipe), max(1, table_of(recipe).step_tokens // ROW_TOKENS)
    if base is None:
        return 0.0
    return training_memory(base, batch_size=batch_size, context_tokens=ROW_TOKENS).total


STAGE = Stage(
    FOLDER,
    2,
    run,
    share=0.40,
    describe=describe,
    memory_bytes=memory_bytes,
    disk_bytes=base_bytes,
    needs=("data", "base"),
    outputs=("model.safetensors", "config.json", "tokenizer*.json", "*.jinja", "results.json"),
    outside=outside,
    downloads=downloads,
    sized_by_budget=True,
)
