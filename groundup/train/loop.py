"""fit(): the only training loop. Batches and a loss -> trained weights, a log, checkpoints; a
stopped run resumes.

    resume -> [evaluation, checkpoint when due] -> step -> [evaluation, checkpoint when due] -> ...
        -> the last step

A run's state is taken at the boundary between two steps. Whatever interrupts it (Ctrl-C, SIGTERM:
the state at the last boundary is saved first; kill -9, a full disk: the last checkpoint counts), it
resumes at a boundary and takes the same steps with the same batches, learning rates and random
numbers. See `groundup/train/__init__.py` for what is bitwise.
"""

import contextlib
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from groundup.device import Compute, keep_freed_memory, seed_for
from groundup.locks import only_one
from groundup.model.transformer import use_recompute
from groundup.progress import Advance, Progress, Silent
from groundup.runs import RunFolder
from groundup.train.checkpoint.identity import (
    changed_machine,
    identify,
    identity_hash,
    machine,
    muon_precision,
)
from groundup.train.checkpoint.state import (
    Checkpoint,
    Retention,
    TrainState,
    drop_snapshots_after,
    keep_snapshot,
    read_state,
    step_folder,
)
from groundup.train.checkpoint.tensors import (
    RANDOM,
    gather_random_states,
    random_states,
    restore_random,
)
from groundup.train.monitor.callbacks import CallbackList, Hooks, RunFacts, training_flops
from groundup.train.monitor.logs import RunLog
from groundup.train.monitor.loss_spikes import (
    WINDOW_STEPS,
    describe_rollback,
    find_bad_step,
    needed_steps,
    roll_back,
    stop_if_diverged,
)
from groundup.train.monitor.step_threads import StepThreads
from groundup.train.monitor.time_budget import BudgetController, StepControl, describe_rescale
from groundup.train.parallel.single_process import SingleProcess
from groundup.train.parallel.strategies import build_strategy, precision_probe_config
from groundup.train.resume import begin_run, find_resume_point, resumes_compiled
from groundup.train.steps.batches import BatchSource, Prefetcher, rank_slices
from groundup.train.steps.compiled import compiled, repeatable
from groundup.train.steps.config import FitConfig, TrainPrecision
from groundup.train.steps.interrupts import Interrupts
from groundup.train.steps.optimizers import Optimizers, build_optimizer, trainable
from groundup.train.steps.precision import StepClock
from groundup.train.steps.process_group import SINGLE_PROCESS, ProcessGroup, require_shares
from groundup.train.steps.step import Batch, Loss, average_and_clip
from groundup.train.steps.step_schedule import StepSchedule, learning_rate


@dataclass(frozen=True)
class FitResult:
    """The result of a run."""

    state: TrainState
    """Its figures after the last step."""
    precision: TrainPrecision
    muon_precision: TrainPrecision | None
    """In which Muon orthogonalised; None: another optimizer."""
    compiled: bool

    @property
    def steps(self) -> int:
        """The steps done, skipped ones included."""
        return self.state.step

    @property
    def last_loss(self) -> float:
        """Training loss of the last step, nats per token."""
        assert self.state.last_loss is not None
        return self.state.last_loss

    @property
    def tokens_per_s(self) -> float:
        """Tokens per second in the steps alone, without evaluations and saves."""
        return self.state.tokens / max(self.state.training_s, 1e-9)


def fit(
    model: nn.Module,
    batches: BatchSource,
    loss: Loss,
    config: FitConfig,
    run: RunFolder,
    *,
    compute: Compute,
    hooks: Hooks = Hooks(),
    group: ProcessGroup = SINGLE_PROCESS,
    control: StepControl = StepControl(),
) -> FitResult:
    """Train what requires a gradient in `model` (which is on `compute.device` already) for
    `config.steps` steps, or those that are left.

    The model ends with the last step's weights; a finished run only loads them. torch's global
    generators are seeded and drawn from. `control` may change the number of steps and of threads on
    the way (`time_budget.py`); neither it nor `hooks` is part of a run's identity.

    With a `group` of several processes each calls this with the same model, batches and config, and
    trains on its rows of every batch (`strategies.py`). Rank 0 alone evaluates, writes and reports;
    with fsdp a model may lie anywhere, and ends with the last weights there only.

    Raises ConfigError when the folder holds another run, another process trains there or the batch
    can't be divided evenly, DataError when nothing is supervised, FormatError when no checkpoint is
    intact, DiskError when one can't be written, GroundupError when `max_skipped` steps in a row
    have a loss or gradient that is not finite, ProcessLost when another of the group is gone; and
    KeyboardInterrupt or SystemExit(143) after saving, when stopped.
    """
    if compute.is_cpu:
        keep_freed_memory()
    require_shares(config.batch_size, group.world)
    training = _Training(model, batches, loss, config, run, compute, hooks, group, control)
    lock = only_one(run.path) if group.leads else contextlib.nullcontext()
    with lock, training.interrupts, contextlib.closing(training), group.lost_process_errors():
        training.resume()
        with training.progress.track("training", training.schedule.steps, "steps") as advance:
            training.go(advance)
        training.strategy.end()
        return training.result()


@dataclass
class _Training:
    """A run in progress."""

    model: nn.Module
    batches: BatchSource
    loss: Loss
    config: FitConfig
    run: RunFolder
    compute: Compute
    hooks: Hooks
    group: ProcessGroup
    control: StepControl
    # Set at once:
    progress: Progress = field(init=False)
    log: RunLog = field(init=False)
    interrupts: Interrupts = field(init=False)
    prefetcher: Prefetcher = field(init=False)
    # Set by resume():
    state: TrainState = field(init=False)
    precision: TrainPrecision = field(init=False)
    compiled: bool = field(init=False)
    strategy: SingleProcess = field(init=False)
    optimizer: Optimizers = field(init=False)
    parameters: dict[str, nn.Parameter] = field(init=False)
    threads: StepThreads = field(init=False)
    budget: BudgetController | None = field(init=False)
    random: dict[str, Tensor] = field(init=False)
    """The random states at the last boundary."""
    saved: tuple[int, int | None] | None = field(init=False)
    """Step and evaluated step of the checkpoint last written."""

    def __post_init__(self) -> None:
        assert trainable(self.model), "nothing in the model requires a gradient"
        use_recompute(self.model, self.config.recompute)
        leads, shown = self.group.leads, self.hooks.progress
        self.progress = shown if shown and leads else Silent()
        receivers = [*self.hooks.callbacks, self.progress] if leads else []
        callbacks = CallbackList(receivers, self.progress.say)
        self.log = RunLog(
            self.run, callbacks, self.control.clock, first_may_be_best=self.hooks.first_may_be_best
        )
        self.interrupts = Interrupts(together=self.group.world > 1)
        on_gpu = self.compute.device.type == "cuda"
        self.prefetcher = Prefetcher(
            rank_slices(self.batches.batch, self.group), ahead=on_gpu, pinned=on_gpu
        )

    # --- before the first step

    def resume(self) -> None:
        """Put model, optimizer, random states and logs where the run resumes (`resume.py`)."""
        identity = identify(self.model, self.batches.fingerprint, self.config)
        recorded = self.control.threads if self.compute.thread_counts else ()
        self.state = TrainState(
            identity_hash(identity), rescales=list(self.control.rescales), threads=list(recorded)
        )
        self.model.train()
        record, step = self.group.first(
            partial(find_resume_point, self.run, identity, self._begin, self.progress.say)
        )
        self.precision = record["precision"]
        self.compiled = resumes_compiled(record, self.compute, self.group, self.progress.say)
        if self.config.optimizer == "muon":
            self.config = replace(self.config, muon_precision=muon_precision(record))
        self._build_strategy()
        torch.manual_seed(seed_for(self.config.seed, "training", self.group.rank))
        if step is not None:
            self._restore(step, record)
        tuned = self.group.world == 1 and not self.compiled
        self.threads = StepThreads(self.compute, replayed=bool(recorded), tuned=tuned)
        self.threads.begin(self.state, self.run.metrics_file)
        if self.group.leads:
            self.log.open(self.state, self.progress.say)
            drop_snapshots_after(self.run, -1 if step is None else step)
        self.saved = None if step is None else (step, self.state.evaluated_step)
        self.random = random_states(self.compute.device)
        budget = self.control.time_budget
        self.budget = BudgetController(budget, self.config, self.state.step) if budget else None
        self.log.begin(self.state, self._facts())
        if step is None and self.state.rescales:
            self.log.event("re-aimed", steps=self.schedule.steps)

    def _begin(self, identity: dict[str, Any]) -> dict[str, Any]:
        """Make the record of a new run."""
        config, budget = precision_probe_config(self.config, self.compute), self.control.time_budget
        clock = StepClock(self.model, self._next_batches(), self.loss, config, compute=self.compute)
        return begin_run(
            self.run, identity, clock, self.group, budget=budget, progress=self.progress
        )

    @property
    def schedule(self) -> StepSchedule:
        """The steps of the run, and their places in the schedule."""
        return StepSchedule(self.config.steps, self.state.rescales)

    @property
    def _step_of_all(self) -> str:
        return f"step {self.state.step} of {self.schedule.steps}"

    def _build_strategy(self) -> None:
        """From here on `strategy.trained` is the model that trains, in this process or in all."""
        loss = compiled(self.loss) if self.compiled else self.loss
        self.strategy = build_strategy(
            self.model, loss, self.config, self.precision, self.group, self.compute
        )
        self.parameters = trainable(self.strategy.trained)
        self.optimizer = build_optimizer(self.strategy.trained, self.config)

    def _restore(self, step: int, record: dict[str, Any]) -> None:
        folder = step_folder(self.run.checkpoints, step)
        checkpoint = Checkpoint(folder, read_state(folder))
        self.strategy.restore(self.optimizer, checkpoint)
        restore_random(self.compute.device, checkpoint.tensors(RANDOM), folder, self.group.rank)
        self.state = checkpoint.state
        if step == self.schedule.steps:
            return
        self.progress.say(f"Resuming after step {step} of {self.schedule.steps}.")
        changed = changed_machine(record, machine(self.compute, self.config, self.group))
        if changed:
            self.progress.say(changed)

    def _facts(self) -> RunFacts:
        state, steps, flops = (
            self.state,
            self.schedule.steps,
            training_flops(self.model, self.batches),
        )
        epoch = getattr(self.batches, "epoch_tokens", None)
        return RunFacts(
            self.run.path,
            state.identity,
            steps,
            state.step,
            self.precision,
            self.compute,
            flops,
            epoch,
        )

    def close(self) -> None:
        """Close the logs, end the prefetcher's thread, release the gradients."""
        self.log.close()
        self.prefetcher.close()
        self.model.zero_grad()

    # --- the steps

    def go(self, advance: Advance) -> None:
        """Train from the present step to the last one.

        When stopped, the state at the last boundary is saved.
        """
        advance(self.state.step)
        try:
            self._boundary()
            while self.state.step < self.schedule.steps:
                self._step()
                note = "" if self.state.last_loss is None else f"loss {self.state.last_loss:.3f}"
                advance(1, note, self.schedule.steps)
                self._boundary()
            if self.budget and self.schedule.steps != self.config.steps:
                self.progress.say(describe_rescale(self.config.steps, self.schedule.steps))
        except (KeyboardInterrupt, SystemExit):
            self.interrupts.hold()
            if self.state.step > 0:
                self._save()
                self.progress.say(
                    f"Stopped after {self._step_of_all}, saved: the same command resumes from there."
                )
            raise

    def _next_batches(self) -> list[Batch]:
        return [
            self.prefetcher.batch(self.state.data_position + i)
            for i in range(self.config.accumulation)
        ]

    def _step(self) -> None:
        """One update; an interrupt before the weights change discards the whole step."""
        clock, state, config = self.control.clock, self.state, self.config
        started = clock()
        self.optimizer.zero_grad()
        bf16, batches = self.precision == "bf16", self._next_batches()
        with repeatable(self.compiled, self.compute.device):
            summed, sum_norm = self.strategy.sum_gradients(
                batches, self.interrupts, self.compute.device, bf16=bf16
            )
        share = summed.count / self.strategy.shares
        norm = average_and_clip(self.parameters.values(), share, config.clip_norm, sum_norm)
        bad_step = find_bad_step(
            summed.mean, norm, self.parameters, state.gradient_norms, config.spike_factor
        )
        if bad_step is not None:
            limit = min(config.max_skipped, self.schedule.steps)
            stop_if_diverged(state.step + 1, bad_step, state.not_finite_in_a_row + 1, limit)
            with self.interrupts.shielded():
                self._count_step(None if bad_step.lasting else norm)
                self.log.skipped_step(bad_step)
                self.progress.say(
                    f"{self._step_of_all} is skipped: {bad_step} ({state.skipped} so far)"
                )
            return
        rate = learning_rate(self.schedule.update_place(state.step), config)
        with self.interrupts.shielded():
            self.optimizer.set_rate(rate)
            self.optimizer.step()
            step_s = clock() - started
            self._count_step(norm)
            self.log.training_step(summed, norm, rate, step_s)
            self.threads.add_step(step_s, batches, state.step)
            self._roll_back(summed.mean)

    def _count_step(self, norm: float | None) -> None:
        state = self.state
        state.step += 1
        state.data_position += self.config.accumulation
        if norm is not None and self.config.spike_factor is not None:
            state.gradient_norms = [*state.gradient_norms, norm][-WINDOW_STEPS:]
        self.random = random_states(self.compute.device)

    def _roll_back(self, loss: float) -> None:
        restore = partial(self.strategy.restore, self.optimizer)
        line = roll_back(self.state, loss, self.config, self.run.checkpoints, restore)
        if line is not None:
            self.log.metric(line)
            self.progress.say(describe_rollback(line, self.config, self.schedule.steps))

    # --- between two steps

    def _boundary(self) -> None:
        """Evaluate, snapshot and save where due after the present step.

        After a restart it does what is missing and nothing twice.
        """
        state, config = self.state, self.config
        at_end = state.step == self.schedule.steps
        is_due = at_end or self.schedule.comes_to(config.evaluation_interval, state.step)
        if is_due and state.evaluated_step != state.step:
            self._evaluate()
        self.interrupts.check()
        self._keep_time()
        with self.interrupts.shielded():
            threads = self.threads.change(state)
            if threads is not None:
                self.log.event("threads", threads=threads)
        if self.hooks.snapshot is not None and self.schedule.passes(
            config.snapshot_steps, state.step
        ):
            with self.interrupts.shielded(), self.strategy.whole():
                if self.group.leads:
                    keep_snapshot(self.run, state.step, self.hooks.snapshot)
        if self._checkpoint_is_due or at_end or state.best_step == state.step:
            self._save()

    @property
    def _checkpoint_is_due(self) -> bool:
        """By steps where they were given or a roll-back counts on them (`loss_spikes.py`), else by
        the place in the schedule, as evaluations are.
        """
        step, interval = self.state.step, self.config.checkpoint_interval
        if self.config.checkpoint_every is None and self.config.rollback_nats is None:
            return step > 0 and self.schedule.comes_to(interval, step)
        return step > 0 and step % interval == 0

    def _evaluate(self) -> None:
        if self.hooks.evaluate is None and self.hooks.sample is None:
            return
        started = self.control.clock()
        with self.strategy.whole():
            figures, samples = self.group.first(self._measure)
        with self.interrupts.shielded():
            seconds = self.control.clock() - started
            self.random = random_states(self.compute.device)
            self.log.evaluation(figures, samples, seconds)

    def _measure(self) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Figures and samples of the model as it is."""
        evaluate, sample = self.hooks.evaluate, self.hooks.sample
        self.model.eval()
        with torch.no_grad():
            figures = evaluate() if evaluate else {}
            if figures:
                named = ", ".join(
                    f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items()
                )
                self.progress.say(f"{self._step_of_all}: {named}")
            samples = sample(self.state.step) if sample else []
        self.model.train()
        return figures, samples

    def _keep_time(self) -> None:
        """Where a forecast is due, change the number of steps to what the time has room for.

        Rank 0's clock counts.
        """
        state, budget = self.state, self.budget
        if budget is None:
            return
        budget.mark(state)
        if not budget.due(self.schedule, state.step):
            return
        with self.interrupts.shielded():
            self.log.count_elapsed()
            steps = self.group.first(lambda: budget.steps(self.schedule, state))
            if steps is not None:
                state.rescales = [*state.rescales, self.schedule.rescaled(state.step, steps)]
                self.log.event("re-aimed", steps=self.schedule.steps)

    def _save(self) -> None:
        """Write a checkpoint of the last boundary, unless there is one."""
        state = self.state
        if self.saved == (state.step, state.evaluated_step):
            return
        with self.interrupts.shielded():
            self.log.count_elapsed()
            self.log.note_lengths()
            random = gather_random_states(self.random, self.group)
            retention = Retention(self.config.keep_checkpoints, needed_steps(state, self.config))
            self.strategy.save(self.run.checkpoints, state, self.optimizer, random, retention)
            self.saved = (state.step, state.evaluated_step)

    def result(self) -> FitResult:
        """The result, as far as the run has come."""
        muon = self.config.muon_precision if self.config.optimizer == "muon" else None
        return FitResult(self.state, self.precision, muon, self.compiled)
