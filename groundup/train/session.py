"""What a run is between its steps: where it resumes, what is evaluated, written and saved.

A new run measures what its config leaves open (number of threads, float32 or bf16, torch.compile);
a resumed one takes that from its record (fit.json), and goes on at its newest intact checkpoint.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from groundup.device import Compute, choose_threads, seed_for
from groundup.locks import only_one, remove_temporaries
from groundup.model.heads import LanguageModel
from groundup.model.sizes import flops_per_token
from groundup.model.transformer import use_recompute
from groundup.progress import Progress, Silent
from groundup.runs import RunFolder
from groundup.train.checkpoint.identity import (
    FitRecord,
    RunIdentity,
    changed_machine,
    identify,
    identity_hash,
    machine,
    read_record,
    require_same,
    with_muon_precision,
    write_record,
)
from groundup.train.checkpoint.state import (
    Checkpoint,
    Retention,
    TrainState,
    drop_snapshots_after,
    keep_snapshot,
    load_latest,
    read_state,
    step_folder,
)
from groundup.train.checkpoint.tensors import (
    RANDOM,
    gather_random_states,
    random_states,
    restore_random,
)
from groundup.train.monitor.callbacks import CallbackList, Hooks, RunFacts
from groundup.train.monitor.logs import RunLog
from groundup.train.monitor.loss_spikes import (
    WINDOW_STEPS,
    describe_rollback,
    needed_steps,
    roll_back,
)
from groundup.train.monitor.step_callbacks import (
    BudgetController,
    CompiledSteps,
    StepCallback,
    StepThreads,
)
from groundup.train.monitor.time_budget import describe_rescale
from groundup.train.optimizers.built import BuiltOptimizer, trainable
from groundup.train.optimizers.muon import Muon
from groundup.train.parallel.single_process import SingleProcess
from groundup.train.steps.block_schedule import choose_blocks, compute_all_blocks
from groundup.train.steps.compiled import compile_loss, compile_obstacle, decide_compile
from groundup.train.steps.config import FitConfig, TrainPrecision
from groundup.train.steps.interrupts import Interrupts
from groundup.train.steps.precision import StepClock, decide_precision
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step import Batch, BatchSource, Loss, Prefetcher, Summed, rank_slices
from groundup.train.steps.step_schedule import StepSchedule

# Figures of an evaluation with such names are written, and not said: an interval, a count.
LOGGED_ONLY = ("_low", "_high", "_answers")


@dataclass(frozen=True)
class FitJob:
    """What `fit()` is called with."""

    model: nn.Module
    batches: BatchSource
    loss: Loss
    config: FitConfig
    run: RunFolder
    compute: Compute
    hooks: Hooks
    group: ProcessGroup


@dataclass
class RunningFit:
    """What the steps change, and how they are computed."""

    state: TrainState
    config: FitConfig
    """With the precision of this run's Muon."""
    precision: TrainPrecision
    compiled: bool
    strategy: SingleProcess
    parameters: dict[str, nn.Parameter] = field(init=False)
    optimizer: BuiltOptimizer = field(init=False)

    def __post_init__(self) -> None:
        self.parameters = trainable(self.strategy.trained)
        self.optimizer = self.config.optimizer.build(self.strategy.trained)

    @property
    def schedule(self) -> StepSchedule:
        return StepSchedule(self.config.steps, self.state.rescales)

    @property
    def is_over(self) -> bool:
        """Whether the last step is done, or the validation loss has risen for as long as the config
        waits.
        """
        patience = self.config.patience
        has_turned = patience is not None and self.state.since_best >= patience
        return has_turned or self.state.step == self.schedule.steps

    @property
    def step_of_all(self) -> str:
        return f"step {self.state.step} of {self.schedule.steps}"


@dataclass(frozen=True)
class FitResult:
    state: TrainState
    """After the last step."""
    precision: TrainPrecision
    muon_precision: TrainPrecision | None
    compiled: bool

    @property
    def steps(self) -> int:
        """Skipped ones included."""
        return self.state.step

    @property
    def last_loss(self) -> float:
        """Nats per token."""
        assert self.state.last_loss is not None
        return self.state.last_loss

    @property
    def tokens_per_s(self) -> float:
        """In the steps alone."""
        return self.state.tokens / max(self.state.training_s, 1e-9)


class Session:
    """One call of `fit()`: inside `open`, steps, evaluations and saves."""

    def __init__(self, job: FitJob) -> None:
        assert trainable(job.model), "nothing in the model requires a gradient"
        use_recompute(job.model, job.config.recompute)
        self.job = job
        leads, shown = job.group.leads, job.hooks.progress
        on_gpu = job.compute.device.type == "cuda"
        self.progress: Progress = shown if shown and leads else Silent()
        receivers = [*job.hooks.callbacks, self.progress] if leads else []
        self.log = RunLog(job.run, CallbackList(receivers, self.progress.say), job.hooks)
        self.interrupts = Interrupts(together=job.group.world > 1)
        slices = rank_slices(job.batches.batch, job.group)
        # batches that the model itself writes are made by the weights of their own step
        ahead = on_gpu and not getattr(job.batches, "written_by_model", False)
        self.prefetcher = Prefetcher(slices, ahead=ahead, pinned=ahead)
        self.trained: RunningFit
        self.callbacks: list[StepCallback] = []
        self._random: dict[str, Tensor] = {}
        """The random states at the last boundary."""
        self._saved: tuple[int, int | None] | None = None
        """Step and evaluated step of the checkpoint last written."""

    @contextlib.contextmanager
    def open(self) -> Iterator[RunningFit]:
        """Resume the run, alone in its folder, with signals handled."""
        group = self.job.group
        lock = only_one(self.job.run.path) if group.leads else contextlib.nullcontext()
        with lock, self.interrupts, contextlib.closing(self), group.lost_process_errors():
            self.resume()
            yield self.trained

    def result(self) -> FitResult:
        trained, optimizer = self.trained, self.trained.config.optimizer
        muon = optimizer.precision if isinstance(optimizer, Muon) else None
        return FitResult(trained.state, trained.precision, muon, trained.compiled)

    # --- where it resumes

    def resume(self) -> None:
        job, say = self.job, self.progress.say
        identity = identify(job.model, job.batches.fingerprint, job.config)
        job.model.train()
        record, step = job.group.first(partial(self._find_resume_point, identity))
        started = job.hooks.control.clock()
        if step is None and job.hooks.prepare is not None:
            job.hooks.prepare()
        prepared_s = job.hooks.control.clock() - started
        self.trained = self._build(record, identity_hash(identity))
        self.trained.state.elapsed_s = prepared_s
        torch.manual_seed(seed_for(job.config.seed, "training", job.group.rank))
        self.callbacks = self._make_callbacks(step or 0)
        if step is not None:
            self._restore(step, record)
        state = self.trained.state
        for callback in self.callbacks:
            callback.begin(state, job.run.metrics_file)
        if job.group.leads:
            self.log.open(state, say)
            drop_snapshots_after(job.run, -1 if step is None else step)
        self._saved = None if step is None else (step, state.evaluated_step)
        self.note_random()
        self.log.begin(state, self._facts())
        if step is None and state.rescales:
            self.log.event("re-aimed", steps=self.trained.schedule.steps)

    def _find_resume_point(self, identity: RunIdentity) -> tuple[FitRecord, int | None]:
        """The run's record and the step to resume after. Raises ConfigError, FormatError."""
        run = self.job.run
        remove_temporaries(run.path)
        record = read_record(run)
        if record is None:
            return self._begin(identity), None
        require_same(run, record, identity)
        checkpoint = load_latest(run.checkpoints, identity_hash(identity), self.progress.say)
        return record, checkpoint.state.step if checkpoint else None

    def _begin(self, identity: RunIdentity) -> FitRecord:
        """Measure what a new run's config leaves open, and write its record."""
        job, progress, shared = self.job, self.progress, self.job.group.patient is not None
        config, compute = precision_probe_config(job.config, job.compute), job.compute
        clock = StepClock(job.model, self.next_batches(0), job.loss, config, compute=compute)
        muon, config = clock.muon, clock.config
        if muon.precision == "float32" and muon.times is not None:
            progress.say(f"Muon orthogonalises in float32: {muon.times}.")
        # compiled for one number of threads
        if len(compute.thread_counts) > 1 and config.compile != "off" and job.group.world == 1:
            choose_threads(compute, lambda: clock.step_s(bf16=False))
        budget = job.hooks.control.time_budget
        run_s = budget.seconds if budget else None
        decision = decide_precision(clock, progress=progress, run_s=run_s)
        decision = decide_compile(decision, clock, progress=progress, shared=shared)
        there = machine(compute, config, job.group)
        return write_record(job.run, identity, decision, muon, there)

    def _build(self, record: FitRecord, identity: str) -> RunningFit:
        job, control = self.job, self.job.hooks.control
        precision, is_compiled = record["precision"], self._is_compiled(record)
        config = with_muon_precision(job.config, record)
        loss = compile_loss(job.loss) if is_compiled else job.loss
        strategy = build_strategy(job.model, loss, config, precision, job.group, job.compute)
        threads = control.threads if job.compute.thread_counts else ()
        state = TrainState(identity, rescales=list(control.rescales), threads=list(threads))
        return RunningFit(state, config, precision, is_compiled, strategy)

    def _is_compiled(self, record: FitRecord) -> bool:
        """As when the run began; a machine that can't compile any more is reported."""
        if not record["compiled"]:
            return False
        shared = self.job.group.patient is not None
        obstacle = compile_obstacle(self.job.compute.device, shared=shared)
        if obstacle:
            self.progress.say(
                "Resuming without torch.compile, so not bitwise equal to an uninterrupted run: "
                f"{obstacle}."
            )
        return not obstacle

    def _make_callbacks(self, begun: int) -> list[StepCallback]:
        job, trained = self.job, self.trained
        budget = job.hooks.control.time_budget
        tuned = job.group.world == 1 and not trained.compiled
        replayed = bool(trained.state.threads)
        found: list[StepCallback] = []
        if budget is not None:
            found.append(BudgetController(budget, trained.config, begun))
        found.append(StepThreads(job.compute, replayed=replayed, tuned=tuned))
        if trained.compiled:
            found.append(CompiledSteps(job.compute.device))
        return found

    def _restore(self, step: int, record: FitRecord) -> None:
        job, trained = self.job, self.trained
        folder = step_folder(job.run.checkpoints, step)
        checkpoint = Checkpoint(folder, read_state(folder))
        trained.strategy.restore(trained.optimizer, checkpoint)
        restore_random(job.compute.device, checkpoint.tensors(RANDOM), folder, job.group.rank)
        trained.state = checkpoint.state
        if trained.is_over:
            return
        self.progress.say(f"Resuming after step {step} of {trained.schedule.steps}.")
        changed = changed_machine(record, machine(job.compute, trained.config, job.group))
        if changed:
            self.progress.say(changed)

    def _facts(self) -> RunFacts:
        job, trained = self.job, self.trained
        return RunFacts(
            folder=job.run.path,
            identity=trained.state.identity,
            steps=trained.schedule.steps,
            done=trained.state.step,
            precision=trained.precision,
            compute=job.compute,
            flops_per_token=training_flops(job.model, job.batches),
            epoch_tokens=getattr(job.batches, "epoch_tokens", None),
        )

    def close(self) -> None:
        self.log.close()
        self.prefetcher.close()
        self.job.model.zero_grad()
        compute_all_blocks(self.job.model)

    # --- around the steps

    def next_batches(self, position: int) -> list[Batch]:
        count = self.job.config.accumulation
        return [self.prefetcher.batch(position + number) for number in range(count)]

    def sum_gradients(self, batches: Sequence[Batch]) -> tuple[Summed, float]:
        """The summed loss, and the norm of the summed gradient."""
        bf16, device = self.trained.precision == "bf16", self.job.compute.device
        step = self.trained.state.step
        if self.trained.config.blocks.vary:
            place = self.trained.schedule.place(step)
            choose_blocks(self.job.model, self.trained.config, step, place)
        with contextlib.ExitStack() as around:
            for callback in self.callbacks:
                around.enter_context(callback.around_passes())
            return self.trained.strategy.sum_gradients(batches, self.interrupts, device, bf16=bf16)

    def roll_back(self, loss: float) -> None:
        """Where the loss has risen for good. Raises GroundupError, FormatError."""
        trained = self.trained
        restore = partial(trained.strategy.restore, trained.optimizer)
        line = roll_back(trained.state, loss, trained.config, self.job.run.checkpoints, restore)
        if line is not None:
            self.log.metric(line)
            self.progress.say(describe_rollback(line, trained.config, trained.schedule.steps))

    def report_rescales(self) -> None:
        planned, steps = self.trained.config.steps, self.trained.schedule.steps
        if self.job.hooks.control.time_budget and steps != planned:
            self.progress.say(describe_rescale(planned, steps))

    def count_step(self, norm: float | None) -> None:
        """`norm`: of its gradient, where it is finite."""
        state, config = self.trained.state, self.job.config
        state.step += 1
        state.data_position += config.accumulation
        if norm is not None and config.stability.spike_factor is not None:
            state.gradient_norms = [*state.gradient_norms, norm][-WINDOW_STEPS:]
        self.note_random()

    def note_random(self) -> None:
        """For the next checkpoint."""
        self._random = random_states(self.job.compute.device)

    def evaluate(self) -> None:
        hooks = self.job.hooks
        if hooks.evaluate is None and hooks.sample is None:
            return
        started = hooks.control.clock()
        with self.trained.strategy.whole():
            figures, beside, samples = self.job.group.first(self._measure)
        with self.interrupts.shielded():
            seconds = hooks.control.clock() - started
            self.note_random()
            self.log.evaluation(figures, beside, samples, seconds)

    def _measure(self) -> tuple[dict[str, float], dict[str, Any], list[dict[str, Any]]]:
        model, hooks = self.job.model, self.job.hooks
        model.eval()
        with torch.no_grad():
            figures = hooks.evaluate() if hooks.evaluate else {}
            if figures:
                shown = (name for name in figures if not name.endswith(LOGGED_ONLY))
                words = (f"{name.replace('_', ' ')} {figures[name]:.3f}" for name in shown)
                self.progress.say(f"{self.trained.step_of_all}: {', '.join(words)}")
            samples = hooks.sample(self.trained.state.step) if hooks.sample else []
        model.train()
        return figures, hooks.beside(), samples

    def keep_snapshot(self) -> None:
        job, step = self.job, self.trained.state.step
        if job.hooks.snapshot is None:
            return
        if not self.trained.schedule.passes(job.config.snapshot_steps, step):
            return
        with self.interrupts.shielded(), self.trained.strategy.whole():
            if job.group.leads:
                keep_snapshot(job.run, step, job.hooks.snapshot)

    def save(self) -> None:
        """Of the last boundary, unless there is one."""
        job, trained, state = self.job, self.trained, self.trained.state
        if self._saved == (state.step, state.evaluated_step):
            return
        with self.interrupts.shielded():
            self.log.count_elapsed()
            self.log.note_lengths()
            random = gather_random_states(self._random, job.group)
            retention = Retention(job.config.checkpoints.keep, needed_steps(state, job.config))
            optimizer, folder = trained.optimizer, job.run.checkpoints
            trained.strategy.save(folder, state, optimizer, random, retention)
            self._saved = (state.step, state.evaluated_step)


def training_flops(model: nn.Module, batches: object) -> float | None:
    """Of one token, forward and backward, of a language model of which every weight trains."""
    context = getattr(batches, "context_tokens", None)
    if (
        not isinstance(model, LanguageModel)
        or context is None
        or not all(p.requires_grad for p in model.parameters())
    ):
        return None
    return flops_per_token(model.config, context_tokens=context).training


def build_strategy(
    model: nn.Module,
    loss: Loss,
    config: FitConfig,
    precision: TrainPrecision,
    group: ProcessGroup,
    compute: Compute,
) -> SingleProcess:
    """As `config.parallel` says where torchrun started this process."""
    if group.patient is None:
        return SingleProcess(model, loss, group)
    from groundup.train.parallel.distributed import DDP, FSDP

    if config.parallel == "ddp":
        return DDP(model, loss, group)
    return FSDP(model, loss, group, compute.device, bf16=precision == "bf16")


def precision_probe_config(config: FitConfig, compute: Compute) -> FitConfig:
    """bf16 for a model that will be sharded: it may not fit on one GPU to be measured."""
    if config.parallel == "fsdp" and compute.device.type == "cuda" and config.precision == "auto":
        return replace(config, precision="bf16")
    return config
