"""What a pretraining run will cost and whether its text is enough for it, told before it begins.

measure(...)        a few seconds on the real model and batches: seconds of a step and of an evaluation
steps_within(...)   how many steps a time holds
make_plan(...)      parameters, tokens, epochs, memory, disk, minutes, and warnings that teach (`advice.py`)

Which model, and how good it will be: `planner.py`, `forecast.py`.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from groundup.data.shards import ShardSet
from groundup.device import Compute, choose_threads, memory_bytes, peak_memory_bytes
from groundup.model.config import ModelConfig
from groundup.model.footprint import FLOAT32_BYTES, attention_path, optimizer_numbers, training_memory
from groundup.model.heads import LanguageModel
from groundup.model.sizes import parameter_count
from groundup.model.transformer import use_recompute
from groundup.planning.advice import advice
from groundup.progress import Progress, Silent
from groundup.timing import shortest
from groundup.tokenizer.fast import Tokenizer
from groundup.train.config import EVALUATIONS, FitConfig, OptimizerName
from groundup.train.monitor.config import Evaluation, MonitorConfig
from groundup.train.monitor.validation import MAX_TOKENS
from groundup.train.precision import MEASURED_S, PROBE_SHARE, StepClock, measure_steps, open_kinds
from groundup.train.pretrain import evaluation_of, new_model, pretraining_loss, snapshot_bytes, train_windows
from groundup.weights.exportable import gguf_reason, hf_reason

if TYPE_CHECKING:
    from groundup.planning.forecast import Expected

# Batches, log lines and checkpoints, in shares of the time of the steps.
BESIDE_STEPS_SHARE = 0.05
# Of the time asked for, spent on evaluations and samples at most (the first and the last evaluation take place in any case).
EVALUATIONS_SHARE = 0.1
# What the first step on a CPU adds for good: code pages, threads' stacks, buffers of the matrix kernels (docs/log.md).
FIRST_STEP_BYTES = 60e6
# With less of the processor's time than this a measurement was disturbed.
BUSY_BELOW = 0.5
# Of a step's arithmetic: the backward pass is twice the forward one.
FORWARD_SHARE = 1 / 3


@dataclass(frozen=True)
class Measured:
    """What this machine takes for one model and batch."""

    step_s: float
    """In the precision that the config says, or in the faster of both for "auto"."""
    evaluation_s: float
    """Held-out figures, samples, and tasks where there are any."""
    program_bytes: int = 0
    """Resident memory of this process before the model was there."""
    busy: bool = False
    """Whether steps waited for other programs for more than half of their time (on a CPU)."""


def measure(
    shards: ShardSet,
    tokenizer: Tokenizer,
    model_config: ModelConfig,
    fit_config: FitConfig,
    *,
    compute: Compute,
    seconds: float | None = None,
    looks: MonitorConfig = MonitorConfig(),
    run_s: float = math.inf,
    progress: Progress | None = None,
) -> Measured:
    """Take real steps for two seconds in each precision that is open, and one evaluation; nothing is kept. Raises DataError.

    With `seconds`: steps for so long, for a first look, and the evaluation is reckoned from them. Of a run of `run_s` seconds each of the two
    takes a twentieth at most, where one step does not take longer; an evaluation that would is reckoned, too.
    """
    program_bytes = memory_bytes() or peak_memory_bytes()
    model = new_model(model_config, fit_config.seed, compute)
    use_recompute(model, fit_config.recompute)
    windows = train_windows(shards, model_config, fit_config)
    evaluation = evaluation_of(shards, tokenizer, model_config, fit_config, compute, looks)
    batches = [windows.batch(position) for position in range(fit_config.accumulation)]
    clock = StepClock(model, batches, pretraining_loss(model_config, fit_config), fit_config, compute=compute)
    kinds, most_s = open_kinds(fit_config.precision, model_config.width, compute=compute), PROBE_SHARE * run_s
    given_s = min(MEASURED_S, most_s / (2 * len(kinds))) if seconds is None else seconds
    choose_threads(compute, lambda: clock.step_s(bf16=kinds[0]))
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    step_s = min(measure_steps(clock, kinds, seconds=given_s, progress=progress).values())
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    busy = compute.is_cpu and cpu_s < BUSY_BELOW * wall_s * torch.get_num_threads()
    step_tokens = fit_config.accumulation * fit_config.batch_size * model_config.context_tokens
    evaluation_s = FORWARD_SHARE * step_s * MAX_TOKENS / step_tokens
    if seconds is None and evaluation_s <= most_s:
        evaluation_s = _evaluation_s(evaluation, model)
    return Measured(step_s, evaluation_s, program_bytes, busy)


def optimizer_step_s(
    shards: ShardSet,
    model_config: ModelConfig,
    fit_configs: Mapping[OptimizerName, FitConfig],
    *,
    compute: Compute,
    seconds: float,
    progress: Progress,
) -> dict[OptimizerName, float]:
    """Seconds of a step with each optimizer, in turns, so that a busy moment meets them alike; in the faster of the open precisions."""
    takes = {}
    for name, fit in fit_configs.items():
        model = new_model(model_config, fit.seed, compute)
        use_recompute(model, fit.recompute)
        windows = train_windows(shards, model_config, fit)
        batches = [windows.batch(position) for position in range(fit.accumulation)]
        clock = StepClock(model, batches, pretraining_loss(model_config, fit), fit, compute=compute)
        for bf16 in open_kinds(fit.precision, model_config.width, compute=compute):
            takes[name, bf16] = partial(clock.step_s, bf16=bf16)
    taken = shortest(takes, seconds=seconds, progress=progress)
    return {name: min(taken_s for (each, _), taken_s in taken.items() if each == name) for name in fit_configs}


def _evaluation_s(evaluation: Evaluation, model: LanguageModel) -> float:
    started = time.perf_counter()
    evaluation.measure(model.eval())
    evaluation.sample(model)
    return time.perf_counter() - started


def evaluations_within(budget_s: float, measured: Measured) -> int:
    """Evaluations of a run of `budget_s` seconds beside the one before its first step: at most a tenth of the time for all, but at least the last."""
    affordable = EVALUATIONS_SHARE * budget_s / measured.evaluation_s if measured.evaluation_s else EVALUATIONS + 1
    return max(1, min(EVALUATIONS, int(affordable) - 1))


def evaluated(config: FitConfig, evaluations: int) -> FitConfig:
    """With so many evaluations, where they are fewer than usual and the config names no interval; checkpoints stay as frequent as ever."""
    if evaluations >= EVALUATIONS or config.evaluate_every is not None:
        return config
    return replace(config, evaluate_every=-(-config.steps // evaluations), checkpoint_every=config.checkpoint_interval)


def steps_within(budget_s: float, measured: Measured) -> int:
    """Steps that a run of `budget_s` seconds has time for beside its evaluations; at least 1."""
    left = budget_s - (evaluations_within(budget_s, measured) + 1) * measured.evaluation_s
    return max(1, int(left / (measured.step_s * (1 + BESIDE_STEPS_SHARE))))


def steps_for(
    budget_s: float,
    shards: ShardSet,
    tokenizer: Tokenizer,
    model_config: ModelConfig,
    fit_config: FitConfig,
    *,
    compute: Compute,
    progress: Progress | None = None,
    looks: MonitorConfig = MonitorConfig(),
) -> tuple[int, int]:
    """Measure, and say how many steps and evaluations (beside the first) the time holds."""
    found = (shards, tokenizer, model_config, fit_config)
    measured = measure(*found, compute=compute, looks=looks, run_s=budget_s, progress=progress)
    steps, evaluations = steps_within(budget_s, measured), evaluations_within(budget_s, measured)
    (progress or Silent()).say(
        f"A step takes {1000 * measured.step_s:.0f} ms here: {steps:,} steps in {budget_s:.0f} s. "
        f"An evaluation takes {measured.evaluation_s:.2g} s, all {evaluations + 1} of them "
        f"{100 * (evaluations + 1) * measured.evaluation_s / budget_s:.0f} % of the time."
    )
    return steps, evaluations


@dataclass(frozen=True)
class Plan:
    """A run before it begins."""

    parameters: int
    steps: int
    tokens: int
    """Tokens the model will read, repeats counted."""
    data_tokens: int
    """Tokens of the train split."""
    memory_bytes: int
    """Of this process at the peak, an estimate."""
    disk_bytes: int
    """The run folder at the end."""
    step_s: float | None
    """None: not measured."""
    evaluation_s: float = 0.0
    evaluations: int = EVALUATIONS + 1
    """The first and the last among them."""
    attention: str = ""
    """Which of the ways to compute it is taken, and why."""
    gguf: str | None = None
    """Why the model can't be written as GGUF; None: it can."""
    hugging_face: str | None = None
    """Why no class of transformers has it; None: one does."""
    num_layers: int = 0
    width: int = 0
    context_tokens: int = 0
    batch_tokens: int = 0
    """Tokens of one step."""
    learning_rate: float = 0.0
    optimizer: OptimizerName = "adamw"
    typical_document_tokens: int = 0
    """0: not looked at."""
    expected: "Expected | None" = None
    """The loss it should end with; None: not asked for."""
    reasons: tuple[str, ...] = ()
    """Why this model: what else was measured, and what it promised."""

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / self.parameters

    @property
    def epochs(self) -> float:
        """How often the text is read."""
        return self.tokens / self.data_tokens

    @property
    def minutes(self) -> float | None:
        """Wall time, where a step was measured."""
        if self.step_s is None:
            return None
        return (self.steps * self.step_s * (1 + BESIDE_STEPS_SHARE) + self.evaluations * self.evaluation_s) / 60

    @property
    def tokens_per_s(self) -> float | None:
        """In the steps alone, where one was measured."""
        return self.batch_tokens / self.step_s if self.step_s else None

    @property
    def warnings(self) -> list[str]:
        """What a reader should expect, one sentence each."""
        return advice(self)

    def figures(self) -> dict[str, Any]:
        """What can be held against the run when it is over (`plan_vs_actual.py`)."""
        expected = self.expected
        return {
            "minutes": self.minutes,
            "memory_bytes": self.memory_bytes,
            "tokens_per_s": self.tokens_per_s,
            "bits_per_byte": expected and expected.bits_per_byte,
            "bits_per_byte_range": [expected.low, expected.high] if expected else None,
        }

    def lines(self) -> list[str]:
        """The plan for people."""
        minutes = "not measured" if self.minutes is None else f"{self.minutes:.1f} minutes"
        speed = f", {self.tokens_per_s:,.0f} tokens a second" if self.tokens_per_s else ""
        return [
            f"parameters  {self.parameters:,}: {self.num_layers} blocks of width {self.width}",
            f"tokens      {self.tokens:,} in {self.steps:,} steps, {self.tokens_per_parameter:.2g} a parameter",
            f"text        {self.data_tokens:,} tokens, read {self.epochs:.2f} times",
            f"step        {self.batch_tokens:,} tokens, context {self.context_tokens}; learning rate {self.learning_rate:g}, {self.optimizer}",
            *_expected_lines(self.expected),
            f"memory      about {self.memory_bytes / 1e9:.2g} GB",
            f"disk        {self.disk_bytes / 1e6:.0f} MB",
            f"time        {minutes}{speed}",
            f"attention   {self.attention}",
            f"exportable  GGUF {_possible(self.gguf)}; Hugging Face {_possible(self.hugging_face)}",
            *(f"why         {reason}" for reason in self.reasons),
            *(f"note: {warning}" for warning in self.warnings),
        ]


def _expected_lines(expected: "Expected | None") -> list[str]:
    if expected is None:
        return []
    source = f"after a probe of {expected.probe_steps} steps" if expected.probe_steps else "without a probe"
    return [
        f"loss        about {expected.bits_per_byte:.2f} bits per byte of held-out text ({expected.low:.2f} to {expected.high:.2f}; "
        f"scaling law {source})"
    ]


def _possible(reason: str | None) -> str:
    return "yes" if reason is None else f"no ({reason.rstrip('.')})"


def make_plan(
    shards: ShardSet,
    model_config: ModelConfig,
    fit_config: FitConfig,
    measured: Measured | None = None,
    *,
    device: str = "cpu",
    typical_document_tokens: int = 0,
    expected: "Expected | None" = None,
    reasons: tuple[str, ...] = (),
) -> Plan:
    """The plan of a run of `fit_config.steps` steps on a device ("cpu", "cuda", "mps")."""
    parameters = parameter_count(model_config).total
    context = model_config.context_tokens
    batch_tokens = fit_config.accumulation * fit_config.batch_size * context
    return Plan(
        parameters=parameters,
        steps=fit_config.steps,
        tokens=fit_config.steps * batch_tokens,
        data_tokens=max(1, shards.num_tokens("train")),
        memory_bytes=peak_bytes(model_config, fit_config, measured, device=device),
        disk_bytes=disk_bytes(model_config, fit_config),
        step_s=measured.step_s if measured else None,
        evaluation_s=measured.evaluation_s if measured else 0.0,
        evaluations=1 + -(-fit_config.steps // fit_config.evaluation_interval),
        attention=attention_path(model_config, context, device),
        gguf=gguf_reason(model_config),
        hugging_face=hf_reason(model_config),
        num_layers=model_config.num_layers,
        width=model_config.width,
        context_tokens=context,
        batch_tokens=batch_tokens,
        learning_rate=fit_config.learning_rate,
        optimizer=fit_config.optimizer,
        typical_document_tokens=typical_document_tokens,
        expected=expected,
        reasons=reasons,
    )


def peak_bytes(model_config: ModelConfig, fit_config: FitConfig, measured: Measured | None, *, device: str) -> int:
    """At the peak: of a GPU what the training holds there, on a CPU also the program and what was held before."""
    training = training_memory(
        model_config,
        batch_size=fit_config.batch_size,
        context_tokens=model_config.context_tokens,
        recompute=fit_config.recompute,
        optimizer=fit_config.optimizer,
    ).total
    if device == "cuda":
        return training
    if measured is None:
        return training + peak_memory_bytes()
    return max(peak_memory_bytes(), int(measured.program_bytes + FIRST_STEP_BYTES + training))


def disk_bytes(model_config: ModelConfig, fit_config: FitConfig) -> int:
    """The run folder at the end: the last checkpoints and the best, each weights and the optimizer's memory, the model, snapshots."""
    weights = parameter_count(model_config).total
    checkpoint = weights + optimizer_numbers(model_config, fit_config.optimizer)
    kept = FLOAT32_BYTES * ((fit_config.keep_checkpoints + 1) * checkpoint + weights)
    return kept + len(fit_config.snapshot_steps) * snapshot_bytes(model_config)
