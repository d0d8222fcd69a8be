"""A plan: parameters, tokens, memory, disk, minutes and expected loss of a pretraining run; its
lines for people, with warnings.

The loss is forecast by the scaling law, corrected by a probe: a short run of the same model on the
same text. A probe is a whole training of a few seconds with its own learning-rate schedule, since
the law is about the end of runs only. The logarithm of its loss over the law's says how much harder
or easier the user's text is than the one that the law was fitted on.
"""

import math
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from groundup.data.batches.mixture import Mixture, SourceReading, source_readings
from groundup.data.batches.shards import ShardSet
from groundup.data.split import TEST
from groundup.device import peak_memory_bytes
from groundup.model.footprint import FLOAT32_BYTES, StateSize, attention_path, state_numbers
from groundup.planning import scaling_law
from groundup.planning.corpus import mixture_line, source_lines, source_warnings
from groundup.planning.measure import OVERHEAD_SHARE, Benchmark, Candidate, Measured
from groundup.planning.planner import TextStats, expected_loss
from groundup.planning.scaling_law import Law
from groundup.progress import Progress
from groundup.runs import RunFolder
from groundup.train.pretrain import PretrainInputs, pretrain, snapshot_bytes, train_windows
from groundup.train.steps.config import EVALUATIONS
from groundup.weights.gguf_architectures import gguf_reason
from groundup.weights.hf_config import hf_reason

# What the first step on a CPU adds for good: code pages, threads' stacks, buffers of the matrix
# kernels (docs/log.md).
FIRST_STEP_BYTES = 60e6
PROBE_S = 15.0
# Runs shorter than this get no probe, so that it takes a twentieth of a run at most,
PROBE_FROM_S = 300.0
# nor do those in which it would read less text than this share of the shortest runs that the law
# was fitted on.
MIN_PROBE_SHARE = 0.8
# Starts were compared in runs of at most so many tokens (docs/processing.md): random weights,
# tables by bigrams (which planner.py takes in some), a cut and a whole public model.
COMPARED_TOKENS = 230_000
# A text that is read more often in such a run is small.
SMALL_TEXT_EPOCHS = 2.0
OF_SHORT_RUNS = (
    "A run as short as this gains most from another start: 40 s of one core took random weights to "
    "2.32 bits per byte of Shakespeare and 2.21 of the Brown corpus, tables by bigrams "
    "(`fit.initial_tables`) to 2.16 and 2.00, a cut of smollm2-135m-instruct (`cut_from`) to 2.25 and "
    "2.12; that whole model, 100 times as large, has 1.71 and 1.29 before any training (`init_from`)."
)
OF_SMALL_TEXTS = (
    "So small a text teaches a model of its own little: 40 s of one core and 190,000 bytes took "
    "random weights to 1.90 bits per byte, tables by bigrams (`fit.initial_tables`) to 1.99, a cut of "
    "smollm2-135m-instruct (`cut_from`) to 1.91; that whole model, 100 times as large, has 1.38 "
    "before any training (`init_from`)."
)
# A probe writes weights and optimizer state to the disk: not for large models.
MAX_PROBE_PARAMETERS = 50_000_000


@dataclass(frozen=True)
class Expected:
    """The expected loss at the end of a run, in bits per byte of held-out text."""

    bits_per_byte: float
    low: float
    high: float
    """19 of 20 runs should end between them."""
    probe_steps: int = 0
    """0: no probe, the law alone."""
    probe_offset: float = 0.0
    """ln(the probe's loss / the law's)."""


@dataclass(frozen=True)
class RunPlan:
    parameters: int
    steps: int
    tokens: int
    """Tokens the model will read, repeats counted."""
    data_tokens: int
    """Tokens of the train split."""
    memory_bytes: int
    """Peak of this process, an estimate."""
    disk_bytes: int
    """The run folder at the end."""
    step_s: float | None
    """None: not measured."""
    evaluation_s: float = 0.0
    start_s: float = 0.0
    """Before the first step: of tables by bigrams."""
    evaluations: int = EVALUATIONS + 1
    """The first and the last among them."""
    attention: str = ""
    """Which attention kernel is used, and why."""
    gguf: str | None = None
    """Why the model can't be written as GGUF; None: it can."""
    hugging_face: str | None = None
    """Why no class of transformers has it; None: one does."""
    num_layers: int = 0
    width: int = 0
    context_tokens: int = 0
    packing: bool = False
    """Whether rows hold whole documents instead of windows."""
    stride: int | None = None
    """From one window to the next; None: the context."""
    batch_tokens: int = 0
    """Tokens of one step."""
    learning_rate: float = 0.0
    optimizer: str = "adamw"
    precision_step_s: dict[str, float] = field(default_factory=dict)
    """Seconds of a step in each precision, where they were measured to choose one."""
    typical_document_tokens: int = 0
    """0: unknown."""
    expected: Expected | None = None
    """Loss at the end; None: no forecast."""
    start: str = ""
    """The model whose training is continued, or that is cut; "": random weights."""
    cut: bool = False
    """Whether a smaller model is cut from it."""
    mixture: str = ""
    """How the sources are mixed."""
    sources: tuple[SourceReading, ...] = ()
    """What is read of each; none where the shards do not tell sources apart."""
    reasons: tuple[str, ...] = ()
    """Why this model: what else was measured, and the loss expected of it."""
    used_up: str = ""
    """That the time is longer than the text is good for, in a sentence."""

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / self.parameters

    @property
    def epochs(self) -> float:
        return self.tokens / self.data_tokens

    @property
    def minutes(self) -> float | None:
        """Wall time, where a step was measured."""
        if self.step_s is None:
            return None
        steps_s = self.steps * self.step_s * (1 + OVERHEAD_SHARE)
        return (self.start_s + steps_s + self.evaluations * self.evaluation_s) / 60

    @property
    def tokens_per_s(self) -> float | None:
        """In the steps alone, where one was measured."""
        if not self.step_s:
            return None
        return self.batch_tokens / self.step_s

    def figures(self) -> dict[str, float | list[float] | dict[str, float] | None]:
        """The figures that are compared with the run's own when it is finished
        (`train/pretrain_results.py`).
        """
        bits, bounds = None, None
        if self.expected is not None:
            bits, bounds = self.expected.bits_per_byte, [self.expected.low, self.expected.high]
        figures: dict[str, float | list[float] | dict[str, float] | None] = {
            "minutes": self.minutes,
            "memory_bytes": self.memory_bytes,
            "tokens_per_s": self.tokens_per_s,
            "bits_per_byte": bits,
            "bits_per_byte_range": bounds,
        }
        if self.precision_step_s:
            figures["precision_step_s"] = self.precision_step_s
        return figures


def make_plan(
    shards: ShardSet, candidate: Candidate, measured: Measured | None = None, *, device: str = "cpu"
) -> RunPlan:
    """The plan of a run of `candidate.fit.steps` steps on a device ("cpu", "cuda", "mps"), without
    a forecast.
    """
    shape, fit = candidate.shape, candidate.fit
    step_s, evaluation_s, start_s = None, 0.0, 0.0
    if measured is not None:
        step_s, evaluation_s = measured.step_s, measured.evaluation_s
        start_s = measured.start_s
    return RunPlan(
        parameters=candidate.parameters,
        steps=fit.steps,
        tokens=fit.steps * candidate.step_tokens,
        data_tokens=max(1, shards.num_tokens("train")),
        memory_bytes=peak_bytes(candidate, measured, device=device),
        disk_bytes=disk_bytes(candidate),
        step_s=step_s,
        evaluation_s=evaluation_s,
        start_s=start_s,
        evaluations=1 + -(-fit.steps // fit.evaluation_interval),
        attention=attention_path(shape, shape.context_tokens, device, packing=fit.rows.packing),
        gguf=gguf_reason(shape),
        hugging_face=hf_reason(shape),
        num_layers=shape.num_layers,
        width=shape.width,
        context_tokens=shape.context_tokens,
        packing=fit.rows.packing,
        stride=fit.rows.stride,
        batch_tokens=candidate.step_tokens,
        learning_rate=fit.optimizer.learning_rate,
        optimizer=fit.optimizer.name,
        mixture=mixture_line(fit.rows.mixture),
        sources=_sources(shards, candidate),
    )


def _sources(shards: ShardSet, candidate: Candidate) -> tuple[SourceReading, ...]:
    """What the run reads of each source."""
    shape, fit = candidate.shape, candidate.fit
    mixture = None
    if not fit.rows.mixture.as_they_come:
        windows = train_windows(shards, shape, fit)
        mixture = windows if isinstance(windows, Mixture) else None
    rows = fit.steps * fit.accumulation * fit.batch_size
    return source_readings(shards, mixture, rows, rows * shape.context_tokens)


def peak_bytes(candidate: Candidate, measured: Measured | None, *, device: str) -> int:
    """Peak memory: of a GPU what the training holds there, on a CPU also the program and what it
    held before.
    """
    training = candidate.training_bytes
    if device == "cuda":
        return training
    if measured is None:
        return training + peak_memory_bytes()
    return max(peak_memory_bytes(), int(measured.program_bytes + FIRST_STEP_BYTES + training))


def disk_bytes(candidate: Candidate) -> int:
    """The run folder at the end: the last checkpoints and the best, each with weights and optimizer
    state, the model, snapshots.
    """
    weights, fit = candidate.parameters, candidate.fit
    checkpoint = weights + state_numbers(candidate.shape, StateSize(*fit.optimizer.state_size))
    kept = FLOAT32_BYTES * ((fit.checkpoints.keep + 1) * checkpoint + weights)
    return kept + len(fit.snapshot_steps) * snapshot_bytes(candidate.shape)


def forecast(
    candidate: Candidate,
    steps: int,
    text: TextStats,
    law: Law,
    *,
    probed: tuple[int, float] | None = None,
    own_text: bool = False,
) -> Expected:
    """The law's loss, corrected by a probe (its steps, bits per byte).

    `own_text`: the law was fitted on this text.
    """
    loss = expected_loss(candidate, steps, text, law)
    read = steps * candidate.step_tokens * text.bytes_per_token
    if probed is None:
        more = 0.0 if own_text else scaling_law.TEXT_SPREAD
        return Expected(loss, *law.range(candidate.parameters, read, loss, more=more))
    probe_steps, bits = probed
    offset = math.log(bits / expected_loss(candidate, probe_steps, text, law))
    loss *= math.exp(offset)
    # the probe's own loss is as uncertain as the run's
    return Expected(
        loss, *law.range(candidate.parameters, read, loss, more=law.spread), probe_steps, offset
    )


def probe_steps(
    candidate: Candidate, steps: int, measured: Measured, text: TextStats, law: Law
) -> int:
    """Steps of a probe for a run of `steps` steps; 0: a probe is not worth its time."""
    if steps * measured.step_s < PROBE_FROM_S or candidate.parameters > MAX_PROBE_PARAMETERS:
        return 0
    fitting = min(int(PROBE_S / measured.step_s), steps // 4)
    read = fitting * candidate.step_tokens * text.bytes_per_token
    if read < MIN_PROBE_SHARE * law.read_bytes[0]:
        return 0
    return fitting


def probe(benchmark: Benchmark, candidate: Candidate, steps: int) -> float:
    """Train this many steps in a temporary folder; returns bits per byte of held-out text."""
    benchmark.progress.say(f"Training {steps} steps as a probe of how hard this text is.")
    precision = candidate.fit.precision
    if precision == "auto":
        precision = "float32"
    fit = replace(
        candidate.fit,
        steps=steps,
        evaluate_every=steps,
        checkpoints=replace(candidate.fit.checkpoints, every=steps, snapshots=0),
        schedule=replace(candidate.fit.schedule, warmup_steps=None, decay_steps=None),
        compile="off",
        precision=precision,
    )
    # the test split is not for choices
    splits = {name: table for name, table in benchmark.shards.splits.items() if name != TEST}
    shards = replace(benchmark.shards, splits=splits)
    inputs = PretrainInputs(shards, benchmark.tokenizer, candidate.shape, fit)
    with tempfile.TemporaryDirectory() as folder:
        run, progress = RunFolder(Path(folder) / "probe"), _BarOnly(benchmark.progress)
        return pretrain(inputs, run, compute=benchmark.compute, progress=progress).bits_per_byte


class _BarOnly:
    """A Progress that shows the bar of a training and none of its messages."""

    def __init__(self, progress: Progress) -> None:
        self.track = progress.track

    def say(self, text: str) -> None:
        pass


def plan_lines(plan: RunPlan) -> list[str]:
    minutes = "not measured" if plan.minutes is None else f"{plan.minutes:.1f} minutes"
    speed = f", {plan.tokens_per_s:,.0f} tokens per second" if plan.tokens_per_s else ""
    per_parameter = f"{plan.tokens_per_parameter:.2g} per parameter"
    lines = [
        f"parameters  {plan.parameters:,}: {plan.num_layers} blocks of width {plan.width}",
        f"tokens      {plan.tokens:,} in {plan.steps:,} steps, {per_parameter}",
        f"text        {plan.data_tokens:,} tokens, read {plan.epochs:.2f} times",
        *_mixture_lines(plan),
        f"step        {plan.batch_tokens:,} tokens, {_rows(plan)}; "
        f"learning rate {plan.learning_rate:g}, {plan.optimizer}",
        *_expected_lines(plan.expected),
        f"memory      about {plan.memory_bytes / 1e9:.2g} GB",
        f"disk        {plan.disk_bytes / 1e6:.0f} MB",
        f"time        {minutes}{speed}",
        f"attention   {plan.attention}",
        f"exportable  GGUF {_yes(plan.gguf)}; Hugging Face {_yes(plan.hugging_face)}",
        *(f"why         {reason}" for reason in plan.reasons),
        *(f"note: {warning}" for warning in plan_warnings(plan)),
    ]
    if plan.start:
        does = "from which this model is cut" if plan.cut else "whose training is continued"
        lines.insert(0, f"from        {plan.start}, {does}")
    return lines


def _yes(obstacle: str | None) -> str:
    if obstacle is None:
        return "yes"
    return f"no ({obstacle.rstrip('.')})"


def _mixture_lines(plan: RunPlan) -> list[str]:
    if not plan.sources:
        return []
    return [f"sources     {plan.mixture}", *source_lines(plan.sources)]


def _rows(plan: RunPlan) -> str:
    words = f"context {plan.context_tokens}"
    if plan.stride:
        words += f", stride {plan.stride}"
    if plan.packing:
        words += ", packed documents"
    return words


def _expected_lines(expected: Expected | None) -> list[str]:
    if expected is None:
        return []
    source = "without a probe"
    if expected.probe_steps:
        source = f"after a probe of {expected.probe_steps} steps"
    bounds = f"{expected.low:.2f} to {expected.high:.2f}; scaling law {source}"
    loss = f"about {expected.bits_per_byte:.2f} bits per byte of held-out text"
    return [f"loss        {loss} ({bounds})"]


def plan_warnings(plan: RunPlan) -> list[str]:
    """The warnings that apply to a plan. Pure: from its figures alone."""
    rate, model = _usual_learning_rate(plan)
    per_parameter, harmless = plan.tokens_per_parameter, scaling_law.HARMLESS_EPOCHS
    optimal = scaling_law.OPTIMAL_TOKENS_PER_PARAMETER
    rules = [
        (
            not plan.start and not plan.used_up and per_parameter < optimal,
            f"The run reads {per_parameter:.2g} tokens per parameter; about {optimal} make the best "
            "use of the computation (Hoffmann et al. 2022). Expect rough text, or give more time.",
        ),
        (
            not plan.start and per_parameter > scaling_law.MANY_TOKENS_PER_PARAMETER,
            f"The run reads {per_parameter:,.0f} tokens per parameter: a larger model would learn "
            "more from the same amount of computation. Try another size or depth.",
        ),
        (
            plan.epochs > harmless and not plan.used_up,
            f"The run reads the same text {plan.epochs:.0f} times; after about {harmless} times "
            "repeated text teaches little (Muennighoff et al. 2023): more text would help more "
            "than more steps.",
        ),
        (
            plan.data_tokens < plan.parameters and plan.epochs > 1,
            f"The text has {plan.data_tokens:,} tokens, the model {plan.parameters:,} parameters: "
            "it can memorise the text. Rising validation loss is the sign of it; the weights with "
            "the lowest are kept.",
        ),
        (
            plan.data_tokens < plan.batch_tokens,
            f"The whole text has {plan.data_tokens:,} tokens, and one step reads "
            f"{plan.batch_tokens:,}: every step reads all of it. A language model needs some "
            "hundred thousand tokens at least.",
        ),
        (
            plan.optimizer != "sgd" and plan.learning_rate > scaling_law.TOO_HIGH * rate,
            f"The learning rate {plan.learning_rate:g} is probably too high for {model}: "
            f"wider models need a lower one, here about {rate:g}. A loss that jumps "
            f"or stays high is the sign of it. Try fit.optimizer.learning_rate={rate:g}.",
        ),
        (
            plan.batch_tokens < scaling_law.FEW_BATCH_TOKENS,
            f"A step reads {plan.batch_tokens} tokens: below about "
            f"{scaling_law.FEW_BATCH_TOKENS} its gradient is mostly noise. Raise "
            "fit.batch_size, or fit.accumulation where memory is short.",
        ),
        (
            not plan.packing and 0 < plan.typical_document_tokens < plan.context_tokens,
            f"The context of {plan.context_tokens} tokens is longer than a typical document "
            f"({plan.typical_document_tokens}): most windows hold parts of unrelated documents. A "
            "shorter context is faster, and with packing no document sees another.",
        ),
        (
            plan.steps < scaling_law.FEW_STEPS,
            f"{plan.steps} steps are too few: the learning-rate schedule ends before much is "
            "learned. Give more time, a smaller model, or a smaller batch.",
        ),
    ]
    found = [plan.used_up] * bool(plan.used_up) + [words for applies, words in rules if applies]
    return [*found, *_of_short_runs(plan), *source_warnings(plan.sources, plan.epochs)]


def _of_short_runs(plan: RunPlan) -> list[str]:
    """Which start is ahead, by the size of the text."""
    if plan.start or plan.tokens > COMPARED_TOKENS:
        return []
    if plan.epochs > SMALL_TEXT_EPOCHS:
        return [OF_SMALL_TEXTS]
    return [OF_SHORT_RUNS]


def _usual_learning_rate(plan: RunPlan) -> tuple[float, str]:
    """Return the learning rate of the plan's width, to two digits, and what it is for."""
    rate = scaling_law.learning_rate_for(plan.width, plan.optimizer)
    model = f"width {plan.width}"
    if plan.start and not plan.cut:
        rate *= scaling_law.CONTINUED_RATE_SHARE
        model = f"a trained model of {model}"
    return float(f"{rate:.2g}"), model
