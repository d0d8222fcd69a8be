"""Token shards and a shape -> a language model that nobody trained before, as a run folder that is a Hugging Face folder too.

    weights from a seed -> fit() on windows of the train split -> the weights with the lowest validation loss -> RUN

RUN then holds what every run holds (runs.py) and the model: model.safetensors, config.json, tokenizer.json, README.md.
What comes out is a pure function of shards, shape, config and seed on one machine (see `groundup/train/__init__.py`).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import torch

from groundup.config import to_plain
from groundup.data.loader import Windows
from groundup.data.sequence_length_warmup import SequenceLengthWarmup
from groundup.data.shards import ShardSet
from groundup.device import Compute, generator
from groundup.errors import ConfigError
from groundup.files import MANIFEST, write_manifest
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initial_deviation, initialise
from groundup.model.sizes import parameter_count
from groundup.progress import Progress, Silent
from groundup.runs import LOGS, RunFolder
from groundup.tokenizer.fast import Tokenizer
from groundup.train.balance import balanced
from groundup.train.checkpoint.identity import identify, read_record, require_same
from groundup.train.checkpoint.snapshots import require_room
from groundup.train.checkpoint.state import load_weights, step_folder
from groundup.train.config import FitConfig
from groundup.train.loop import FitResult, fit
from groundup.train.losses import next_token_loss
from groundup.train.monitor.config import Evaluation, MonitorConfig
from groundup.train.monitor.plan_vs_actual import actual_figures
from groundup.train.monitor.samples import Sampler
from groundup.train.monitor.validation import Validation
from groundup.train.parallel.process_group import SINGLE_PROCESS, ProcessGroup
from groundup.train.parallel.strategies import initial_compute
from groundup.train.step import Loss
from groundup.train.step_schedule import Rescale, Threads
from groundup.train.time_budget import TimeBudget
from groundup.weights.model_io import ModelCard, save_model

SHOWN_CHARACTERS = 100
# Parts of a run folder with manifests of their own.
APART = ("checkpoints", "data", LOGS, "shards", "snapshots")
# Of a snapshot: half the disk of float32. It is looked at, never gone on from; an attention weight moves by less than 0.01.
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
    looks: MonitorConfig = MonitorConfig(),
    planned: dict[str, Any] | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    aim: TimeBudget | None = None,
    turns: Sequence[Rescale] = (),
    threads: Sequence[Threads] = (),
) -> dict[str, Any]:
    """Train a new model on the train split; returns what results.json holds. Called again, it goes on or, finished, does nothing.

    Its seed is `fit_config.seed`. `planned` are a plan's figures, kept beside the measured ones (`plan_vs_actual.py`). `aim` (a time budget),
    `turns` and `threads` (the rescales and thread counts of another run) are `fit`'s.
    Raises ConfigError (tokenizer, shards and shape don't belong together), DataError (too little
    text for one window, a prompt without room), FormatError (a finished run was altered) and what `fit` raises.
    """
    progress = progress or Silent()
    require_fitting(shards, tokenizer, model_config)
    windows = train_windows(shards, model_config, fit_config)
    batches = training_batches(windows, fit_config)
    made = group.made_first(lambda: evaluation_of(shards, tokenizer, model_config, fit_config, compute, looks, group))
    evaluation = cast(Evaluation, made)  # rank 0 alone has one, and it alone evaluates
    model = new_model(model_config, fit_config.seed, initial_compute(fit_config, group, compute))
    finished = group.first(lambda: _finished(run, identify(model, batches.fingerprint, fit_config)))
    if finished is not None:
        return finished
    group.first(lambda: _create(run, shards, tokenizer, model_config, fit_config))
    _say_searched(made, progress)
    fitted = fit(
        model,
        batches,
        pretraining_loss(model_config, fit_config),
        fit_config,
        run,
        compute=compute,
        evaluate=lambda: evaluation.measure(model),
        sample=lambda step: _said(evaluation.sample(model), progress),
        snapshot=lambda folder: save_model(model, folder, tokenizer, dtype=SNAPSHOT_DTYPE),
        progress=progress,
        observers=looks.observers,
        group=group,
        aim=aim,
        turns=turns,
        threads=threads,
    )

    def ended() -> dict[str, Any]:
        figures = _take_best(model, fitted, run, evaluation, progress)
        results = _results(fitted, figures, model_config, windows)
        results |= {"actual": actual_figures(results, compute)} | ({"planned": planned} if planned else {})
        _save(model, tokenizer, run, results, card)
        return results

    return group.first(ended)


def _say_searched(evaluation: Evaluation | None, progress: Progress) -> None:
    if evaluation is not None and evaluation.sampler.searched_share < 1:
        share = f"{evaluation.sampler.searched_share:.1%}"
        progress.say(f"The training text is long: what samples copy is looked for in {share} of it, evenly spread.")


def _create(
    run: RunFolder, shards: ShardSet, tokenizer: Tokenizer, model_config: ModelConfig, fit_config: FitConfig
) -> None:
    """Begin the run's folder, unless it was. Raises DiskError."""
    if run.run_file.exists():
        return
    config = {"model": to_plain(model_config), "fit": to_plain(fit_config)}
    require_room(run, fit_config, snapshot_bytes(model_config))
    inputs = {"shards": shards.fingerprint, "tokenizer": tokenizer.fingerprint}
    run.create("pretrain", config, {**inputs, "folder": str(shards.folder.resolve())})


def _finished(run: RunFolder, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The results of a run that came to its end: it is this one, and every byte of it is as it was; else None. Raises ConfigError, FormatError."""
    if not (run.path / MANIFEST).exists():
        return None
    run.require_whole()
    require_same(run, read_record(run), identity)
    return run.read_results()


def require_fitting(shards: ShardSet, tokenizer: Tokenizer, model_config: ModelConfig) -> None:
    """Refuse parts that were not made for each other, before any work. Raises ConfigError."""
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


def new_model(model_config: ModelConfig, seed: int, compute: Compute) -> LanguageModel:
    """A model with its first weights: the same for the same seed."""
    model = LanguageModel(model_config)
    initialise(model, generator(seed, "weights"), deviation=initial_deviation(model_config.width))
    return model.to(compute.device)


def pretraining_loss(model_config: ModelConfig, fit_config: FitConfig) -> Loss:
    """The next token's; of a model with experts also what keeps them evenly used."""
    if not model_config.num_experts or not fit_config.balance_weight:
        return next_token_loss
    return balanced(next_token_loss, fit_config.balance_weight)


def snapshot_bytes(model_config: ModelConfig) -> int:
    """What one snapshot takes on the disk, at most."""
    return SNAPSHOT_DTYPE.itemsize * parameter_count(model_config).total + SNAPSHOT_TEXT_BYTES


def train_windows(shards: ShardSet, model_config: ModelConfig, fit_config: FitConfig) -> Windows:
    """The batches of a run. Raises DataError."""
    return Windows(shards, "train", model_config.context_tokens, fit_config.batch_size, fit_config.seed)


def evaluation_of(
    shards: ShardSet,
    tokenizer: Tokenizer,
    model_config: ModelConfig,
    fit_config: FitConfig,
    compute: Compute,
    looks: MonitorConfig = MonitorConfig(),
    group: ProcessGroup = SINGLE_PROCESS,
) -> Evaluation:
    """What a run is judged by and what is looked at: the same however many processes train, as many rows at once as one trains on.

    Raises DataError, ConfigError.
    """
    context, size, seed = model_config.context_tokens, fit_config.batch_size, fit_config.seed
    share = max(1, size // group.world)
    return Evaluation(
        Validation(shards, tokenizer, context, batch_size=size, seed=seed, compute=compute, at_once=share),
        Sampler(shards, tokenizer, context, prompts=looks.prompts, seed=seed, compute=compute),
        looks.tasks,
    )


def training_batches(windows: Windows, fit_config: FitConfig) -> Windows | SequenceLengthWarmup:
    """The windows as they are read: whole, or cut shorter in the first steps. Raises ConfigError."""
    if fit_config.start_context_tokens is None:
        return windows
    return SequenceLengthWarmup(
        windows, fit_config.start_context_tokens, fit_config.start_steps * fit_config.accumulation
    )


def _said(samples: list[dict[str, Any]], progress: Progress) -> list[dict[str, Any]]:
    """Show the first sample on one line (control characters of a young model never reach the terminal), and hand all on."""
    sample = samples[0]
    text = " ".join(f"{sample['prompt']}|{sample['text']}".split())
    progress.say(
        "    " + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:SHOWN_CHARACTERS])
    )
    return samples


def _take_best(
    model: LanguageModel, fitted: FitResult, run: RunFolder, evaluation: Evaluation, progress: Progress
) -> dict[str, float]:
    """Go back to the weights with the lowest validation loss where they are not the last; returns the figures of what is kept."""
    model.eval()
    if fitted.best_step is None or fitted.best_step == fitted.steps:
        return fitted.evaluation
    load_weights(model, step_folder(run.checkpoints, fitted.best_step))
    progress.say(
        f"Validation loss was lowest after step {fitted.best_step} ({fitted.best_loss:.3f}): those weights are kept."
    )
    return evaluation.measure(model)


def _results(
    fitted: FitResult, figures: dict[str, float], model_config: ModelConfig, windows: Windows
) -> dict[str, Any]:
    return {
        "train_loss": fitted.last_loss,
        **figures,
        "steps": fitted.steps,
        "skipped_steps": fitted.skipped,
        "rolled_back": fitted.rolled_back,
        "best_step": fitted.best_step,
        "tokens": fitted.tokens,
        "epochs": round(fitted.tokens / windows.epoch_tokens, 3),
        "parameters": parameter_count(model_config).total,
        "precision": fitted.precision,
        **({"muon_precision": fitted.muon_precision} if fitted.muon_precision else {}),
        "compiled": fitted.compiled,
        "elapsed_s": round(fitted.elapsed_s, 1),
        "evaluation_s": round(fitted.evaluation_s, 1),
        "tokens_per_s": round(fitted.tokens_per_s, 1),
        **({"turns": [dataclasses.asdict(turn) for turn in fitted.turns]} if fitted.turns else {}),
        **({"threads": [dataclasses.asdict(each) for each in fitted.threads]} if fitted.threads else {}),
    }


def _save(
    model: LanguageModel, tokenizer: Tokenizer, run: RunFolder, results: dict[str, Any], card: ModelCard | None
) -> None:
    """The model, its figures, and last the manifest: where it is, the run is whole."""
    if card is not None:
        shown = {
            "validation loss, nats a token": f"{results['validation_loss']:.3f}",
            "validation bits per byte": f"{results['bits_per_byte']:.3f}",
            "tokens read": f"{results['tokens']:,}",
        }
        card = dataclasses.replace(card, figures={**card.figures, **shown})
    save_model(model, run.path, tokenizer, card=card)
    run.write_results(results)
    write_manifest(run.path, skip=APART)
