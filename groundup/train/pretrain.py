"""Pretraining: token shards and a shape -> a language model from random weights, as a run folder
that is a Hugging Face folder too; or, with a `StartingModel`, the continued training of that model.

    weights from a seed, or a model's -> fit() on windows of train -> the weights with the lowest
        validation loss -> their loss on test -> RUN

RUN then has the files of every run (runs.py) and the model: model.safetensors, config.json,
tokenizer.json, README.md. The result is a pure function of shards, shape, config and seed on one
machine (see `groundup/train/__init__.py`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import torch

from groundup.config import to_plain
from groundup.data.batches.loader import Windows
from groundup.data.batches.mixture import Loader, Mixture, mixture_of, source_readings
from groundup.data.batches.mixture_config import short_names
from groundup.data.batches.packing import PackedWindows
from groundup.data.batches.sequence_length_warmup import SequenceLengthWarmup
from groundup.data.batches.shards import ShardSet
from groundup.data.split import TEST, TRAIN, VALIDATION
from groundup.device import Compute, generator
from groundup.errors import ConfigError
from groundup.evaluate.comparison.forgetting import compare, measure
from groundup.evaluate.task import EvaluationTask
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initial_deviation, initialise
from groundup.model.sizes import parameter_count
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.fast import Tokenizer
from groundup.train.checkpoint.identity import identify, read_record, require_same
from groundup.train.checkpoint.state import require_snapshot_space
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.config import Evaluation, MonitorConfig
from groundup.train.monitor.plan_vs_actual import actual_figures
from groundup.train.monitor.samples import Sampler
from groundup.train.monitor.time_budget import StepControl
from groundup.train.monitor.validation import Validation
from groundup.train.parallel.strategies import initial_compute
from groundup.train.run_lifecycle import begin_or_finished, finish, load_best
from groundup.train.starting_model import StartingModel
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import balanced, next_token_loss
from groundup.train.steps.process_group import SINGLE_PROCESS, ProcessGroup
from groundup.train.steps.step import Loss
from groundup.weights.model_io import ModelCard, OpenModel, save_model

SHOWN_CHARACTERS = 100
# Of a snapshot: half the disk of float32. It is never resumed from; an attention weight moves by
# less than 0.01.
SNAPSHOT_DTYPE = torch.bfloat16
# Tokenizer, configs and manifest beside a snapshot's weights.
SNAPSHOT_TEXT_BYTES = 2**20


def pretrain(
    shards: ShardSet,
    tokenizer: Tokenizer,
    model_config: ModelConfig,
    fit_config: FitConfig,
    run: RunFolder,
    *,
    compute: Compute,
    progress: Progress | None = None,
    card: ModelCard | None = None,
    monitor: MonitorConfig = MonitorConfig(),
    group: ProcessGroup = SINGLE_PROCESS,
    control: StepControl = StepControl(),
    start: StartingModel | None = None,
    forgetting: tuple[EvaluationTask, ...] = (),
) -> dict[str, Any]:
    """Train a new model, or `start`, on the train split and return the contents of results.json.
    Called again, it resumes or, finished, does nothing.

    `forgetting`: what `start` is measured on before and after (`evaluate.comparison.forgetting`).
    Its seed is `fit_config.seed`. Where the folder has a plan, its figures are kept beside the
    measured ones (`plan_vs_actual.py`). Raises ConfigError (tokenizer, shards and shape don't
    belong together), DataError (too little text for one window, a prompt without room), FormatError
    (a finished run was altered) and what `fit` raises.
    """
    progress = progress or Silent()
    require_fitting(shards, tokenizer, model_config)
    require_start(start, fit_config)
    planned = group.made_first(lambda: train_windows(shards, model_config, fit_config, progress))
    windows = planned or train_windows(shards, model_config, fit_config)
    require_steps(windows, fit_config)
    control = within_mixture(control, most_steps(windows, fit_config))
    batches = training_batches(windows, fit_config)
    made = group.made_first(
        lambda: evaluation_of(shards, tokenizer, model_config, fit_config, compute, monitor, group)
    )
    evaluation = cast(Evaluation, made)  # rank 0 alone has one, and it alone evaluates
    where = initial_compute(fit_config, group, compute)
    model = start.model(where) if start else new_model(model_config, fit_config.seed, where)

    def begin() -> dict[str, Any] | None:
        identity = identify(model, batches.fingerprint, fit_config)
        if not run.run_file.exists():
            require_snapshot_space(run, fit_config, snapshot_bytes(model_config))
        config = {"model": to_plain(model_config), "fit": to_plain(fit_config)}
        folder = str(shards.folder.resolve())
        inputs: dict[str, Any] = {
            "shards": shards.fingerprint,
            "tokenizer": tokenizer.fingerprint,
            "folder": folder,
        }
        inputs |= {"start": start.plain()} if start else {}
        return begin_or_finished(
            run, "pretrain", config, inputs, lambda: require_same(run, read_record(run), identity)
        )

    finished = group.first(begin)
    if finished is not None:
        return finished
    if made is not None and made.sampler.searched_share < 1:
        share = f"{made.sampler.searched_share:.1%}"
        progress.say(
            f"The training text is long: samples are compared with {share} of it, evenly spread."
        )
    for line in window_lines(windows):
        progress.say(line)
    opened = OpenModel(model, tokenizer, model.config, run.path, "language")
    before = group.made_first(lambda: measure(forgetting, opened, where, progress))
    hooks = Hooks(
        evaluate=lambda: evaluation.measure(model),
        sample=lambda step: _shown(evaluation.sampler.write(model), progress),
        snapshot=lambda folder: save_model(model, folder, tokenizer, dtype=SNAPSHOT_DTYPE),
        callbacks=monitor.callbacks,
        progress=progress,
        control=control,
    )
    loss = pretraining_loss(model_config, fit_config)
    fitted = fit(
        model,
        batches,
        loss,
        fit_config,
        run,
        compute=compute,
        hooks=hooks,
        group=group,
    )

    def ended() -> dict[str, Any]:
        model.eval()
        figures = (
            evaluation.measure(model)
            if load_best(model, fitted, run, progress)
            else fitted.state.evaluation
        )
        results = _results(fitted, figures, model.config, windows)
        results |= {"start": {**start.plain(), "before": figures_before(run)}} if start else {}
        if forgetting and before:
            results["forgetting"] = compare(before, measure(forgetting, opened, compute, progress))
        results |= {"sources": found} if (found := _sources(shards, windows, fitted)) else {}
        test = evaluation.measure_test(model, progress)
        results |= {"test": test} if test else {}
        planned = (run.read_plan() or {}).get("planned")
        results |= {"actual": actual_figures(results, compute)} | (
            {"planned": planned} if planned else {}
        )
        finish(run, model, tokenizer, results, card, card_figures(results))
        return results

    return group.first(ended)


def card_figures(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of the model card, each with the split that it is of."""
    test = results.get("test")
    on_test = (
        {f"test bits per byte, on {test['tokens']:,} tokens": f"{test['bits_per_byte']:.3f}"}
        if test
        else {}
    )
    return {
        **on_test,
        "validation bits per byte, by which the weights were chosen": f"{results['bits_per_byte']:.3f}",
        "validation loss, nats per token": f"{results['validation_loss']:.3f}",
        "tokens read": f"{results['tokens']:,}",
    }


def require_fitting(shards: ShardSet, tokenizer: Tokenizer, model_config: ModelConfig) -> None:
    """Refuse parts that do not belong together, before any work. Raises ConfigError."""
    if shards.tokenizer_fingerprint != tokenizer.fingerprint:
        raise ConfigError(
            f"The shards in {shards.folder} were made with another tokenizer.",
            fix="Give the tokenizer they were made with, or make them again.",
        )
    if model_config.vocab_size < shards.vocab_size:
        raise ConfigError(
            f"The shards hold ids up to {shards.vocab_size - 1}, the model has {model_config.vocab_size} rows.",
            fix=f"Set the model's vocab_size to {shards.vocab_size}.",
        )


def require_start(start: StartingModel | None, fit_config: FitConfig) -> None:
    """Refuse a config that names other initial weights than those of the model.

    Raises ConfigError.
    """
    if fit_config.initial_weights != (start.weights if start else ""):
        raise ConfigError(
            "fit.initial_weights is not the hash of the model that the training starts from.",
            fix="Leave the field out: --from sets it.",
        )


def figures_before(run: RunFolder) -> dict[str, float]:
    """Return the validation figures before the first step, from the log: a resumed run did not
    measure them itself.
    """
    records = (
        each
        for each in read_lines(run.metrics_file)
        if each.get("event") == "evaluation" and each["step"] == 0
    )
    return {
        name: value
        for name, value in next(records, {}).items()
        if name == "validation_loss" or "bits_per_byte" in name
    }


def new_model(model_config: ModelConfig, seed: int, compute: Compute) -> LanguageModel:
    """Return a model with initial weights: the same for the same seed."""
    model = LanguageModel(model_config)
    initialise(model, generator(seed, "weights"), deviation=initial_deviation(model_config.width))
    return model.to(compute.device)


def pretraining_loss(model_config: ModelConfig, fit_config: FitConfig) -> Loss:
    """Return the next-token loss; of a model with experts, with their balance loss."""
    if not model_config.num_experts or not fit_config.stability.balance_weight:
        return next_token_loss
    return balanced(next_token_loss, fit_config.stability.balance_weight)


def snapshot_bytes(model_config: ModelConfig) -> int:
    """Bytes of one snapshot on the disk, at most."""
    return SNAPSHOT_DTYPE.itemsize * parameter_count(model_config).total + SNAPSHOT_TEXT_BYTES


def train_windows(
    shards: ShardSet,
    model_config: ModelConfig,
    fit_config: FitConfig,
    progress: Progress | None = None,
) -> Windows | Mixture:
    """Return the windows or packed rows that a run reads, as they come or of each source by its
    share. Raises DataError, ConfigError.
    """
    sizes = (model_config.context_tokens, fit_config.batch_size, fit_config.seed)

    def windows(part: ShardSet) -> Windows:
        if fit_config.rows.packing:
            return PackedWindows(part, TRAIN, *sizes, progress=progress)
        return Windows(part, TRAIN, *sizes, fit_config.rows.stride)

    if fit_config.rows.mixture.as_they_come:
        return windows(shards)
    return mixture_of(shards, fit_config.rows.mixture, fit_config.batch_size, windows)


def most_steps(windows: Windows | Mixture, fit_config: FitConfig) -> int | None:
    """Return the steps until every source has been read as often as it may be; None: without
    end.
    """
    if not isinstance(windows, Mixture) or windows.length is None:
        return None
    return windows.length // (fit_config.batch_size * fit_config.accumulation)


def require_steps(windows: Windows | Mixture, fit_config: FitConfig) -> None:
    """Refuse a run that would read its sources more often than it may. Raises ConfigError."""
    most = most_steps(windows, fit_config)
    if most is not None and fit_config.steps > most:
        limit = fit_config.rows.mixture.max_epochs
        raise ConfigError(
            f"With at most {limit:g} epochs of each source there is text for {most:,} steps, and the run has {fit_config.steps:,}.",
            fix=f"Train for at most {most:,} steps, raise --max-epochs-per-source, or add texts."
            if most
            else "Raise it, or add texts.",
        )


def within_mixture(control: StepControl, most: int | None) -> StepControl:
    """Return the control with a time budget of at most so many steps."""
    if control.time_budget is None or most is None:
        return control
    return dataclasses.replace(
        control, time_budget=dataclasses.replace(control.time_budget, max_steps=most)
    )


def window_lines(windows: Loader | Mixture) -> list[str]:
    """Return what a user should know of packed rows, or of windows that are not a context apart; of
    a mixture, source by source.
    """
    if isinstance(windows, Mixture):
        names = short_names(windows.loaders)
        return [
            f"{names[source]}: {line}"
            for source, part in windows.loaders.items()
            for line in window_lines(part)
        ]
    if isinstance(windows, PackedWindows):
        return [windows.figures.line()]
    if not isinstance(windows, Windows):
        return []
    stride, context = windows.stride, windows.context_tokens
    if stride < context:
        return [
            f"Stride {stride} of context {context}: an epoch reads every token {context / stride:.3g} times."
        ]
    left_out = f"{1 - context / stride:.0%} of the tokens lie between windows and are not read."
    return (
        [f"note: stride {stride} is above the context of {context}: {left_out}"]
        if stride > context
        else []
    )


def evaluation_of(
    shards: ShardSet,
    tokenizer: Tokenizer,
    model_config: ModelConfig,
    fit_config: FitConfig,
    compute: Compute,
    monitor: MonitorConfig = MonitorConfig(),
    group: ProcessGroup = SINGLE_PROCESS,
) -> Evaluation:
    """Return the evaluation of a run: the same for any number of processes, with as many rows at
    once as one of them trains on.

    Raises DataError, ConfigError.
    """
    context, size, seed = model_config.context_tokens, fit_config.batch_size, fit_config.seed
    share = max(1, size // group.world)

    def held_out(split: str, window: int) -> Validation:
        sizes = {"batch_size": size, "at_once": share, "seed": seed}
        packing = fit_config.rows.packing
        aside = tuple(fit_config.rows.mixture.replay)
        return Validation(
            shards,
            tokenizer,
            window,
            **sizes,
            compute=compute,
            split=split,
            packing=packing,
            aside=aside,
        )

    # a test split that is shorter than the context is read in one window
    test_window = min(context, shards.num_tokens(TEST) - 1) if TEST in shards.splits else 0
    return Evaluation(
        held_out(VALIDATION, context),
        Sampler(shards, tokenizer, context, prompts=monitor.prompts, seed=seed, compute=compute),
        monitor.tasks,
        held_out(TEST, test_window) if test_window > 0 else None,
    )


def training_batches(
    windows: Windows | Mixture, fit_config: FitConfig
) -> Windows | Mixture | SequenceLengthWarmup:
    """Return the windows as batches: whole, or cut shorter in the first steps.

    Raises ConfigError.
    """
    if fit_config.rows.start_context_tokens is None:
        return windows
    return SequenceLengthWarmup(
        windows,
        fit_config.rows.start_context_tokens,
        fit_config.start_steps * fit_config.accumulation,
    )


def _shown(samples: list[dict[str, Any]], progress: Progress) -> list[dict[str, Any]]:
    """Show the first sample on one line, without control characters, and return all."""
    sample = samples[0]
    text = " ".join(f"{sample['prompt']}|{sample['text']}".split())
    progress.say(
        "    "
        + "".join(
            c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:SHOWN_CHARACTERS]
        )
    )
    return samples


def _sources(
    shards: ShardSet, windows: Windows | Mixture, fitted: FitResult
) -> list[dict[str, Any]]:
    """Return what was read of each source."""
    mixture, rows = (
        windows if isinstance(windows, Mixture) else None,
        fitted.state.data_position * windows.batch_size,
    )
    return [
        dataclasses.asdict(each)
        for each in source_readings(shards, mixture, rows, fitted.state.tokens)
    ]


def _results(
    fitted: FitResult,
    figures: dict[str, float],
    model_config: ModelConfig,
    windows: Windows | Mixture,
) -> dict[str, Any]:
    state = fitted.state
    return {
        "train_loss": fitted.last_loss,
        **figures,
        "steps": fitted.steps,
        "skipped_steps": state.skipped,
        "rolled_back": state.rolled_back,
        "best_step": state.best_step,
        "tokens": state.tokens,
        "epochs": round(state.tokens / windows.epoch_tokens, 3),
        **(
            {"packing": dataclasses.asdict(windows.figures)}
            if isinstance(windows, PackedWindows)
            else {}
        ),
        "parameters": parameter_count(model_config).total,
        "precision": fitted.precision,
        **({"muon_precision": fitted.muon_precision} if fitted.muon_precision else {}),
        "compiled": fitted.compiled,
        "elapsed_s": round(state.elapsed_s, 1),
        "evaluation_s": round(state.evaluation_s, 1),
        "tokens_per_s": round(fitted.tokens_per_s, 1),
        **(
            {"rescales": [dataclasses.asdict(each) for each in state.rescales]}
            if state.rescales
            else {}
        ),
        **(
            {"threads": [dataclasses.asdict(each) for each in state.threads]}
            if state.threads
            else {}
        ),
    }
