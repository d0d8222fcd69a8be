"""Pretraining: token shards and a shape -> a language model from random weights, or with a
`StartingModel` the continued training of that model, as a run folder that is a Hugging Face folder
too.

    weights from a seed, or a model's -> fit() on windows of train -> the weights with the lowest
        validation loss -> their loss on test -> RUN

The result is a pure function of shards, shape, config and seed on one machine.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeAlias, cast

import torch

from groundup.config import to_plain
from groundup.data.batches.batch_size_warmup import BatchSizeWarmup
from groundup.data.batches.loader import Windows
from groundup.data.batches.mixture import Loader, Mixture, mixture_of, source_readings
from groundup.data.batches.mixture_config import short_names
from groundup.data.batches.packing import PackedWindows
from groundup.data.batches.sequence_length_warmup import SequenceLengthWarmup
from groundup.data.batches.shards import ShardSet
from groundup.data.split import TEST, TRAIN, VALIDATION
from groundup.data.test_openings import note_opening
from groundup.device import Compute, device_memory_bytes, generator, peak_memory_bytes
from groundup.errors import ConfigError
from groundup.evaluate.comparison.forgetting import compare, measure
from groundup.evaluate.task import TaskResult
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initial_deviation, initialise
from groundup.model.sizes import parameter_count
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder, read_lines
from groundup.tokenizer.fast import Tokenizer
from groundup.train.bigram_start import start_from_bigrams
from groundup.train.checkpoint.identity import identify, read_record, require_same
from groundup.train.checkpoint.state import require_snapshot_space
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks, MonitorConfig
from groundup.train.monitor.evaluation import Evaluation, HeldOutRows, Validation
from groundup.train.monitor.samples import Sampler
from groundup.train.monitor.time_budget import StepControl
from groundup.train.pretrain_results import (
    LOSSES,
    PretrainResults,
    card_figures,
    read_pretrain_results,
)
from groundup.train.run_lifecycle import begin_or_finished, finish, load_best, with_figures
from groundup.train.starting_model import StartingModel
from groundup.train.steps.block_schedule import begin_as_identities, require_start_blocks
from groundup.train.steps.config import FitConfig
from groundup.train.steps.losses import add_balance, next_token_loss
from groundup.train.steps.process_group import SINGLE_PROCESS, ProcessGroup
from groundup.train.steps.step import Loss
from groundup.weights.model_io import ModelCard, OpenModel, save_model

AnyBatches: TypeAlias = Windows | Mixture | BatchSizeWarmup | SequenceLengthWarmup

SHOWN_CHARACTERS = 100
# Of a snapshot: half the disk of float32. It is never resumed from; an attention weight moves by
# less than 0.01.
SNAPSHOT_DTYPE = torch.bfloat16
# Tokenizer, configs and manifest beside a snapshot's weights.
SNAPSHOT_TEXT_BYTES = 2**20


@dataclass(frozen=True)
class PretrainInputs:
    shards: ShardSet
    tokenizer: Tokenizer
    shape: ModelConfig
    fit: FitConfig
    start: StartingModel | None = None
    """Whose training is continued; None: random weights, by `fit.seed`."""

    def require_fitting(self) -> None:
        """Refuse parts that do not belong together. Raises ConfigError."""
        if self.shards.tokenizer_fingerprint != self.tokenizer.fingerprint:
            raise ConfigError(
                f"The shards in {self.shards.folder} were made with another tokenizer.",
                fix="Give the tokenizer they were made with, or make them again.",
            )
        if self.shape.vocab_size < self.shards.vocab_size:
            raise ConfigError(
                f"The shards hold ids up to {self.shards.vocab_size - 1}, "
                f"the model has {self.shape.vocab_size} rows.",
                fix=f"Set the model's vocab_size to {self.shards.vocab_size}.",
            )
        if self.fit.initial_weights != (self.start.weights if self.start else ""):
            raise ConfigError(
                "fit.initial_weights is not the hash of the model that the training starts from.",
                fix="Leave the field out: `init_from` sets it.",
            )

        tied, continued = self.shape.tied_head, self.start is not None
        self.fit.require_tables(tied_head=tied, continued=continued)
        require_start_blocks(self.fit, self.shape, continued=continued)

    def initial_model(self, compute: Compute) -> LanguageModel:
        if self.start is not None:
            return self.start.model(compute)
        model = new_model(self.shape, self.fit.seed, compute)
        if self.fit.blocks.start is not None:
            begin_as_identities(model, self.fit.blocks.start)
        return model

    def record(self) -> dict[str, str | dict[str, str]]:
        """For run.json."""
        inputs: dict[str, str | dict[str, str]] = {
            "shards": self.shards.fingerprint,
            "tokenizer": self.tokenizer.fingerprint,
            "folder": str(self.shards.folder.resolve()),
        }
        if self.shards.test_text_sha256:
            inputs["test"] = self.shards.test_text_sha256
        if self.start is not None:
            inputs["start"] = self.start.plain()
        return inputs


def pretrain(
    inputs: PretrainInputs,
    run: RunFolder,
    *,
    compute: Compute,
    progress: Progress | None = None,
    card: ModelCard | None = None,
    monitor: MonitorConfig = MonitorConfig(),
    group: ProcessGroup = SINGLE_PROCESS,
    control: StepControl = StepControl(),
) -> PretrainResults:
    """Train a new model, or continue the training of one. Called again, it resumes or, finished,
    does nothing. Raises ConfigError (tokenizer, shards and shape don't belong together), DataError
    (too little text for one window, a prompt without room), FormatError (a finished run was
    altered) and what `fit` raises.
    """
    inputs.require_fitting()
    shown = progress or Silent()
    parts = inputs.shards, inputs.shape, inputs.fit
    planned = group.made_first(lambda: train_windows(*parts, shown))
    windows = planned or train_windows(*parts)
    require_steps(windows, inputs.fit)
    made = group.made_first(lambda: evaluation_of(inputs, compute, monitor, group))
    evaluation = cast(Evaluation, made)  # rank 0 alone has one, and it alone evaluates
    where = initial_compute(inputs.fit, group, compute)
    model = inputs.initial_model(where)
    training = _Training(inputs, run, compute, shown, model, windows, evaluation, monitor)
    finished = group.first(training.begin)
    if finished is not None:
        return read_pretrain_results(finished, run.results_file)
    if made is not None and made.sampler.searched_share < 1:
        share = f"{made.sampler.searched_share:.1%}"
        shown.say(
            f"The training text is long: samples are compared with {share} of it, evenly spread."
        )
    for line in window_lines(windows):
        shown.say(line)
    before = group.made_first(lambda: training.measure_forgetting(where))
    fitted = fit(
        model,
        training.batches,
        pretraining_loss(inputs.shape, inputs.fit),
        inputs.fit,
        run,
        compute=compute,
        hooks=training.hooks(within_mixture(control, most_steps(windows, inputs.fit))),
        group=group,
    )
    ended = group.first(lambda: training.end(fitted, card, before or {}).to_json())
    return read_pretrain_results(ended, run.results_file)


@dataclass(frozen=True)
class _Training:
    """One call of `pretrain`, around its `fit`."""

    inputs: PretrainInputs
    run: RunFolder
    compute: Compute
    progress: Progress
    model: LanguageModel
    windows: Windows | Mixture
    evaluation: Evaluation
    monitor: MonitorConfig

    @property
    def batches(self) -> AnyBatches:
        return training_batches(self.windows, self.inputs.fit)

    @property
    def opened(self) -> OpenModel:
        tokenizer = self.inputs.tokenizer
        return OpenModel(self.model, tokenizer, self.model.config, self.run.path, "language")

    def begin(self) -> dict[str, Any] | None:
        """Results.json where the run is finished."""
        run, inputs = self.run, self.inputs
        identity = identify(self.model, self.batches.fingerprint, inputs.fit)
        if not run.run_file.exists():
            require_snapshot_space(run, inputs.fit, snapshot_bytes(inputs.shape))
        config = {"model": to_plain(inputs.shape), "fit": to_plain(inputs.fit)}
        return begin_or_finished(
            run,
            "pretrain",
            config,
            inputs.record(),
            lambda: require_same(run, read_record(run), identity),
        )

    def measure_forgetting(self, compute: Compute) -> dict[str, TaskResult]:
        return measure(self.monitor.forgetting, self.opened, compute, self.progress)

    def hooks(self, control: StepControl) -> Hooks:
        model, tokenizer = self.model, self.inputs.tokenizer
        return Hooks(
            evaluate=lambda: self.evaluation.measure(model),
            beside=lambda: {"pieces": asdict(self.evaluation.validation.pieces)},
            sample=lambda step: show_sample(
                self.evaluation.sampler.write(model, step), self.progress
            ),
            snapshot=lambda folder: save_model(model, folder, tokenizer, dtype=SNAPSHOT_DTYPE),
            prepare=self.prepare,
            callbacks=self.monitor.callbacks,
            progress=self.progress,
            control=control,
        )

    def prepare(self) -> None:
        """The tables of a new run."""
        if self.inputs.fit.initial_tables != "bigrams":
            return
        self.progress.say(
            "Embedding and head are fitted to the pairs of neighbouring tokens of the text."
        )
        start_from_bigrams(self.model, self.inputs.shards, self.inputs.fit.seed)

    def end(
        self, fitted: FitResult, card: ModelCard | None, before: Mapping[str, TaskResult]
    ) -> PretrainResults:
        self.model.eval()
        figures = fitted.state.evaluation
        if load_best(self.model, fitted, self.run, self.progress):
            figures = self.evaluation.measure(self.model)
        results = self._results(fitted, figures, before)
        finish(
            self.run,
            self.model,
            self.inputs.tokenizer,
            results.to_json(),
            with_figures(card, card_figures(results)),
        )
        return results

    def _results(
        self, fitted: FitResult, figures: Mapping[str, float], before: Mapping[str, TaskResult]
    ) -> PretrainResults:
        state, start, windows = fitted.state, self.inputs.start, self.windows
        others = {name: figures[name] for name in figures if name not in LOSSES}
        forgetting: dict[str, Any] = {}
        packing: dict[str, Any] = {}
        began: dict[str, Any] = {}
        if before:
            forgetting = compare(before, self.measure_forgetting(self.compute))
        if isinstance(windows, PackedWindows):
            packing = asdict(windows.figures)
        if start is not None:
            began = {**start.plain(), "before": figures_before(self.run)}
        openings = 0
        if self.evaluation.test is not None:
            openings = note_opening(self.inputs.shards.test_text_sha256, self.run.path)
        found = PretrainResults(
            train_loss=fitted.last_loss,
            validation_loss=figures["validation_loss"],
            bits_per_byte=figures["bits_per_byte"],
            steps=fitted.steps,
            skipped_steps=state.skipped,
            rolled_back=state.rolled_back,
            best_step=state.best_step,
            tokens=state.tokens,
            epochs=round(state.tokens / windows.epoch_tokens, 3),
            parameters=parameter_count(self.model.config).total,
            precision=fitted.precision,
            compiled=fitted.compiled,
            elapsed_s=round(state.elapsed_s, 1),
            evaluation_s=round(state.evaluation_s, 1),
            tokens_per_s=round(fitted.tokens_per_s, 1),
            figures=others,
            packing=packing,
            muon_precision=fitted.muon_precision,
            rescales=[asdict(each) for each in state.rescales],
            threads=[asdict(each) for each in state.threads],
            start=began,
            forgetting=forgetting,
            sources=read_of_sources(self.inputs.shards, windows, self.inputs.fit, fitted),
            test=self.evaluation.measure_test(self.model, self.progress) or {},
            test_openings=openings,
            planned=(self.run.read_plan() or {}).get("planned") or {},
        )
        return replace(found, actual=actual_figures(found, self.compute))


def actual_figures(results: PretrainResults, compute: Compute) -> dict[str, float]:
    """The figures of `Plan.figures()` as measured."""
    on_device = device_memory_bytes(compute)
    memory = peak_memory_bytes() if on_device is None else on_device[1]
    return {
        "minutes": results.elapsed_s / 60,
        "memory_bytes": float(memory),
        "tokens_per_s": results.tokens_per_s,
        "bits_per_byte": results.bits_per_byte,
    }


def figures_before(run: RunFolder) -> dict[str, float]:
    """Before the first step, from the log: a resumed run did not measure them itself."""
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
    model = LanguageModel(model_config)
    initialise(model, generator(seed, "weights"), deviation=initial_deviation(model_config.width))
    return model.to(compute.device)


def pretraining_loss(model_config: ModelConfig, fit_config: FitConfig) -> Loss:
    """Of a model with experts, with their balance loss."""
    loss: Loss = next_token_loss
    stability = fit_config.stability
    if stability.z_weight:
        loss = partial(next_token_loss, z_weight=stability.z_weight)
    if not model_config.num_experts or not stability.balance_weight:
        return loss
    return add_balance(loss, stability.balance_weight)


def snapshot_bytes(model_config: ModelConfig) -> int:
    """At most."""
    return SNAPSHOT_DTYPE.itemsize * parameter_count(model_config).total + SNAPSHOT_TEXT_BYTES


def initial_compute(config: FitConfig, group: ProcessGroup, compute: Compute) -> Compute:
    """Where the caller should make its model: one that will be sharded need not lie whole on every
    GPU before.
    """
    if config.parallel == "fsdp" and group.patient is not None:
        return Compute(torch.device("cpu"))
    return compute


def train_windows(
    shards: ShardSet, shape: ModelConfig, fit: FitConfig, progress: Progress | None = None
) -> Windows | Mixture:
    """What a run reads, as it comes or of each source by its share. Raises DataError,
    ConfigError.
    """
    context = shape.context_tokens

    def windows(part: ShardSet) -> Windows:
        if fit.rows.packing:
            return PackedWindows(part, TRAIN, context, fit.batch_size, fit.seed, progress=progress)
        return Windows(part, TRAIN, context, fit.batch_size, fit.seed, fit.rows.stride)

    if fit.rows.mixture.as_they_come:
        return windows(shards)
    return mixture_of(shards, fit.rows.mixture, fit.batch_size, windows)


def training_batches(windows: Windows | Mixture, fit: FitConfig) -> AnyBatches:
    """Whole windows, or in the first steps fewer or shorter ones. Raises ConfigError."""
    start_rows, start_tokens = fit.rows.start_batch_size, fit.rows.start_context_tokens
    until = fit.start_steps * fit.accumulation
    batches: Windows | Mixture | BatchSizeWarmup = windows
    if start_rows is not None:
        batches = BatchSizeWarmup(windows, start_rows, until)
    if start_tokens is None:
        return batches
    return SequenceLengthWarmup(batches, start_tokens, until)


def most_steps(windows: Windows | Mixture, fit_config: FitConfig) -> int | None:
    """Until every source has been read as often as it may be; None: without end."""
    if not isinstance(windows, Mixture) or windows.length is None:
        return None
    return windows.length // (fit_config.batch_size * fit_config.accumulation)


def require_steps(windows: Windows | Mixture, fit_config: FitConfig) -> None:
    """Refuse a run that would read its sources more often than it may. Raises ConfigError."""
    most = most_steps(windows, fit_config)
    if most is not None and fit_config.steps > most:
        limit = fit_config.rows.mixture.max_epochs
        fix = "Raise `max_epochs_per_source`, or add texts."
        if most:
            fix = f"Train for at most {most:,} steps, raise `max_epochs_per_source`, or add texts."
        raise ConfigError(
            f"With at most {limit:g} epochs of each source there is text for {most:,} steps, "
            f"and the run has {fit_config.steps:,}.",
            fix=fix,
        )


def within_mixture(control: StepControl, most: int | None) -> StepControl:
    """With a time budget of at most this many steps."""
    budget = control.time_budget
    if budget is None or most is None:
        return control
    most = min(most, budget.max_steps or most)
    return replace(control, time_budget=replace(budget, max_steps=most))


def window_lines(windows: Loader | Mixture) -> list[str]:
    """What a user should know of packed rows, or of windows that are not a context apart."""
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
    if stride == context:
        return []
    if stride < context:
        times = f"an epoch reads every token {context / stride:.3g} times."
        return [f"Stride {stride} of context {context}: {times}"]
    left_out = f"{1 - context / stride:.0%} of the tokens lie between windows and are not read."
    return [f"note: stride {stride} is above the context of {context}: {left_out}"]


def evaluation_of(
    inputs: PretrainInputs,
    compute: Compute,
    monitor: MonitorConfig = MonitorConfig(),
    group: ProcessGroup = SINGLE_PROCESS,
) -> Evaluation:
    """The same for any number of processes. Raises DataError, ConfigError."""
    shards, tokenizer, fit = inputs.shards, inputs.tokenizer, inputs.fit
    context = inputs.shape.context_tokens
    rows = HeldOutRows(
        fit.batch_size,
        fit.seed,
        at_once=max(1, fit.batch_size // group.world),
        packing=fit.rows.packing,
        aside=tuple(fit.rows.mixture.replay),
    )

    def held_out(split: str, window: int) -> Validation:
        return Validation(shards, tokenizer, window, rows, compute=compute, split=split)

    # a test split that is shorter than the context is read in one window
    test_window = 0
    if TEST in shards.splits:
        test_window = min(context, shards.num_tokens(TEST) - 1)
    return Evaluation(
        held_out(VALIDATION, context),
        Sampler(
            shards, tokenizer, context, prompts=monitor.prompts, seed=fit.seed, compute=compute
        ),
        monitor.tasks,
        held_out(TEST, test_window) if test_window > 0 else None,
    )


def show_sample(samples: list[dict[str, Any]], progress: Progress) -> list[dict[str, Any]]:
    """Show the first one on one line, without control characters, and return all."""
    sample = samples[0]
    text = " ".join(f"{sample['prompt']}|{sample['text']}".split())[:SHOWN_CHARACTERS]
    visible = (c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    progress.say(f"    {''.join(visible)}")
    return samples


def read_of_sources(
    shards: ShardSet, windows: Windows | Mixture, fit_config: FitConfig, fitted: FitResult
) -> list[dict[str, Any]]:
    position, start_rows = fitted.state.data_position, fit_config.rows.start_batch_size
    rows = position * windows.batch_size
    if start_rows is not None:
        until = fit_config.start_steps * fit_config.accumulation
        rows = BatchSizeWarmup(windows, start_rows, until).rows_before(position)
    mixture = windows if isinstance(windows, Mixture) else None
    found = source_readings(shards, mixture, rows, fitted.state.tokens)
    return [asdict(each) for each in found]
