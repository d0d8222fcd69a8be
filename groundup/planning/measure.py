"""Timing of real training steps and evaluations on this machine, and how many of each a given time
has room for.

Steps are taken on the real shape and batches for some seconds; weights and random state stay as
they were, and nothing is kept.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from groundup.data.batches.loader import require_tokens
from groundup.data.batches.shards import ShardSet
from groundup.data.split import TRAIN, VALIDATION
from groundup.device import (
    Compute,
    choose_threads,
    free_memory_bytes,
    memory_bytes,
    peak_memory_bytes,
    shortest,
)
from groundup.errors import ConfigError
from groundup.model.config import ModelConfig
from groundup.model.footprint import StateSize, training_memory
from groundup.model.heads import LanguageModel
from groundup.model.sizes import flops_per_token, parameter_count
from groundup.model.transformer import use_recompute
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.train.bigram_start import start_seconds
from groundup.train.monitor.callbacks import MonitorConfig
from groundup.train.monitor.evaluation import MAX_TOKENS
from groundup.train.pretrain import (
    PretrainInputs,
    evaluation_of,
    new_model,
    pretraining_loss,
    train_windows,
)
from groundup.train.session import precision_probe_config
from groundup.train.starting_model import StartingModel
from groundup.train.steps.config import EVALUATIONS, FitConfig
from groundup.train.steps.precision import (
    MEASURED_S,
    PROBE_SHARE,
    StepClock,
    decide_precision,
    measure_steps,
    open_kinds,
)

# Seconds of real steps, in each precision that is open, for one of several candidates.
TRIAL_S = 0.4
# Batches, log lines and checkpoints, as a share of the time of the steps.
OVERHEAD_SHARE = 0.05
# Evaluations and samples take at most this share of the time (the first and the last evaluation
# take place in any case).
EVALUATIONS_SHARE = 0.1
# A measurement that got less than this share of the processor's time was disturbed.
BUSY_BELOW = 0.5
# Of a step's arithmetic: the backward pass takes twice the forward pass.
FORWARD_SHARE = 1 / 3


@dataclass(frozen=True)
class Candidate:
    """A model shape and its training config; the number of steps may be unknown yet."""

    shape: ModelConfig
    fit: FitConfig

    @property
    def parameters(self) -> int:
        return parameter_count(self.shape).total

    @property
    def step_tokens(self) -> int:
        return self.fit.accumulation * self.fit.batch_size * self.shape.context_tokens

    @property
    def training_bytes(self) -> int:
        shape, fit, context = self.shape, self.fit, self.shape.context_tokens
        return training_memory(
            shape,
            batch_size=fit.batch_size,
            context_tokens=context,
            state=StateSize(*fit.optimizer.state_size),
            recompute=fit.recompute,
        ).total

    @property
    def step_flops(self) -> float:
        return (
            self.step_tokens
            * flops_per_token(self.shape, context_tokens=self.shape.context_tokens).training
        )


@dataclass(frozen=True)
class Measured:
    step_s: float
    """In the precision of the config, or in the faster one for "auto"."""
    evaluation_s: float
    """Validation loss, samples and tasks."""
    start_s: float = 0.0
    """Before the first step: of tables by bigrams."""
    program_bytes: int = 0
    """Resident memory of this process before the model was built."""
    busy: bool = False
    """Whether steps waited for other programs for more than half of their time (on a CPU)."""


@dataclass(frozen=True)
class Benchmark:
    """Measures candidates on the tokens they will be trained on."""

    shards: ShardSet
    tokenizer: Tokenizer
    compute: Compute
    progress: Progress = field(default_factory=Silent)
    monitor: MonitorConfig = field(default_factory=MonitorConfig)
    run_s: float = math.inf
    """Time of the run that is planned: steps and evaluation are measured for a twentieth of it each
    at most.
    """
    processes: int = 1
    """Of several, this one's share of a batch is measured."""

    def inputs(self, candidate: Candidate, start: StartingModel | None = None) -> PretrainInputs:
        """What a candidate is trained from."""
        return PretrainInputs(self.shards, self.tokenizer, candidate.shape, candidate.fit, start)

    def measure(self, candidate: Candidate, seconds: float | None = None) -> Measured:
        """Take real steps for two seconds in each precision that is open, and one evaluation.
        Raises DataError, ConfigError (too little memory).

        With `seconds`: steps for so long, and the evaluation is estimated from them, as is one that
        would take more than a twentieth of the run.
        """
        program_bytes = memory_bytes() or peak_memory_bytes()
        share = self.process_share(candidate)
        model, clock, kinds = self._clock(share)
        evaluation = evaluation_of(self.inputs(share), self.compute, self.monitor)
        most_s = PROBE_SHARE * self.run_s
        given_s = seconds or min(MEASURED_S, most_s / (2 * len(kinds)))
        choose_threads(self.compute, lambda: clock.step_s(bf16=kinds[0]))
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        step_s = min(measure_steps(clock, kinds, seconds=given_s, progress=self.progress).values())
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        busy = self.compute.is_cpu and cpu_s < BUSY_BELOW * wall_s * torch.get_num_threads()
        evaluated = min(MAX_TOKENS, self.shards.num_tokens(VALIDATION))
        evaluation_s = FORWARD_SHARE * step_s * evaluated / share.step_tokens
        if seconds is None and evaluation_s <= most_s:
            started = time.perf_counter()
            evaluation.measure(model.eval())
            evaluation.sampler.write(model, 0)
            evaluation_s = time.perf_counter() - started
        start_s = 0.0
        if share.fit.initial_tables == "bigrams":
            start_s = start_seconds(model, self.shards)
        return Measured(step_s, evaluation_s, start_s, program_bytes, busy)

    def with_precision(self, candidate: Candidate) -> tuple[Candidate, dict[str, float]]:
        """Return the candidate with the precision where its config leaves it open, and the seconds
        of a step in each that was measured for it.
        """
        if candidate.fit.precision != "auto":
            return candidate, {}
        share = self.process_share(candidate)
        _, clock, _ = self._clock(
            replace(share, fit=precision_probe_config(share.fit, self.compute))
        )
        run_s = self.run_s if math.isfinite(self.run_s) else None
        decision = decide_precision(clock, progress=self.progress, run_s=run_s)
        fit = replace(candidate.fit, precision=decision.precision)
        return replace(candidate, fit=fit), decision.step_s

    def trial(self, candidate: Candidate) -> Measured:
        """A short measurement, to compare candidates."""
        return self.measure(candidate, TRIAL_S)

    def optimizer_step_s(self, candidates: Mapping[str, Candidate]) -> dict[str, float]:
        """Seconds of a step with each optimizer, in the faster of the open precisions; measured
        alternately, so that a busy moment affects all.
        """
        takes: dict[tuple[str, bool], Callable[[], float]] = {}
        for name, candidate in candidates.items():
            _, clock, kinds = self._clock(self.process_share(candidate))
            takes |= {(name, bf16): partial(clock.step_s, bf16=bf16) for bf16 in kinds}
        taken = shortest(takes, seconds=TRIAL_S, progress=self.progress)
        return {
            name: min(taken_s for (each, _), taken_s in taken.items() if each == name)
            for name in candidates
        }

    def process_share(self, candidate: Candidate) -> Candidate:
        """The candidate with the batch of one process.

        Raises DataError, ConfigError where text or memory is too short for it.
        """
        shape, fit = candidate.shape, candidate.fit
        require_tokens(self.shards.num_tokens(TRAIN), shape.context_tokens, TRAIN)
        share = Candidate(shape, replace(fit, batch_size=fit.batch_size // self.processes))
        needed, free = share.training_bytes, free_memory_bytes(self.compute)
        if needed > free:
            raise ConfigError(
                f"{shape.num_layers} blocks of width {shape.width} with "
                f"{share.fit.batch_size:,} rows of {shape.context_tokens:,} tokens need "
                f"about {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free.",
                fix="Set a smaller fit.batch_size (and fit.accumulation for the same effect), "
                "fit.recompute=true, or a smaller model.",
            )
        return share

    def _clock(self, share: Candidate) -> tuple[LanguageModel, StepClock, tuple[bool, ...]]:
        """The model, what times its steps, and which of float32 (False) and bf16 (True) are worth
        measuring.
        """
        shape, fit = share.shape, share.fit
        model = new_model(shape, fit.seed, self.compute)
        use_recompute(model, fit.recompute)
        windows = train_windows(self.shards, shape, fit)
        batches = [windows.batch(position) for position in range(fit.accumulation)]
        clock = StepClock(model, batches, pretraining_loss(shape, fit), fit, compute=self.compute)
        return model, clock, open_kinds(fit.precision, shape.width, compute=self.compute)


def evaluations_within(budget_s: float, measured: Measured) -> int:
    """Evaluations of a run of `budget_s` seconds beside the one before its first step: a tenth of
    the time at most for all, but at least the last.
    """
    if not measured.evaluation_s:
        return EVALUATIONS
    affordable = int(EVALUATIONS_SHARE * budget_s / measured.evaluation_s)
    return max(1, min(EVALUATIONS, affordable - 1))


def with_evaluations(config: FitConfig, evaluations: int) -> FitConfig:
    """The config with this number of evaluations, where they are fewer than by default and it sets
    no interval; checkpoints stay as frequent as before.
    """
    if evaluations >= EVALUATIONS or config.evaluate_every is not None:
        return config
    return replace(
        config,
        evaluate_every=-(-config.steps // evaluations),
        checkpoints=replace(config.checkpoints, every=config.checkpoint_interval),
    )


def steps_within(budget_s: float, measured: Measured) -> int:
    """Steps that a run of `budget_s` seconds has time for beside its start and its evaluations; at
    least 1.
    """
    evaluations = evaluations_within(budget_s, measured) + 1
    left = budget_s - measured.start_s - evaluations * measured.evaluation_s
    return max(1, int(left / (measured.step_s * (1 + OVERHEAD_SHARE))))


def run_seconds(steps: int, budget_s: float, measured: Measured) -> float:
    """Seconds of so many steps with the start and the evaluations of a run of `budget_s`."""
    evaluations = evaluations_within(budget_s, measured) + 1
    steps_s = steps * measured.step_s * (1 + OVERHEAD_SHARE)
    return measured.start_s + steps_s + evaluations * measured.evaluation_s


def describe_measured(measured: Measured, budget_s: float) -> str:
    """What was measured and how many steps and evaluations the time has room for, as a sentence for
    people.
    """
    evaluations = evaluations_within(budget_s, measured) + 1
    share = 100 * evaluations * measured.evaluation_s / budget_s
    busy = ""
    if measured.busy:
        busy = " Other programs use this machine: without them steps would be faster."
    return (
        f"A step takes {1000 * measured.step_s:.0f} ms here: "
        f"{steps_within(budget_s, measured):,} steps in {budget_s:.0f} s. "
        f"An evaluation takes {measured.evaluation_s:.2g} s, "
        f"all {evaluations} of them {share:.0f} % of the time.{busy}"
    )
