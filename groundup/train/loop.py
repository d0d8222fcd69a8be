"""fit(): the only training loop. Batches and a loss -> trained weights, a log, checkpoints; taken up again where it stopped.

    resume -> [evaluation, checkpoint when due] -> step -> [evaluation, checkpoint when due] -> ... -> the last step

Between two steps lies a boundary. All that a run remembers is taken there, so whatever interrupts it (Ctrl-C, SIGTERM: what
stood at the boundary is saved first; kill -9, a full disk: the last checkpoint is taken), it goes on from a boundary and does
the same steps with the same batches, learning rates and random numbers. See `groundup/train/__init__.py` for what is bitwise.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from groundup.device import Compute, choose_threads, keep_freed_memory, seed_for
from groundup.files import only_one
from groundup.model.transformer import use_recompute
from groundup.progress import Advance, Progress, Silent
from groundup.runs import RunFolder
from groundup.train.bad_steps import WINDOW_STEPS, BadStep, find_bad_step, stop_if_diverged
from groundup.train.checkpoint.identity import (
    changed_machine,
    identify,
    identity_hash,
    machine,
    muon_precision,
    processes,
    write_record,
)
from groundup.train.checkpoint.resume import find_resume_point
from groundup.train.checkpoint.snapshots import drop_after, keep_snapshot
from groundup.train.checkpoint.state import Checkpoint, TrainState, read_state, step_folder
from groundup.train.checkpoint.tensors import RANDOM, gather_random_states, random_states, restore_random
from groundup.train.compiled import compile_obstacle, compiled, decide_compile, repeatable
from groundup.train.config import FitConfig, Precision
from groundup.train.interrupts import Interrupts
from groundup.train.monitor.callbacks import Callback, CallbackList, RunFacts, epoch_tokens, training_flops
from groundup.train.monitor.logs import Logs
from groundup.train.optimizers import build_optimizer, trainable
from groundup.train.parallel.batch_slices import rank_slice
from groundup.train.parallel.process_group import SINGLE_PROCESS, ProcessGroup, require_shares
from groundup.train.parallel.strategies import build_strategy, precision_probe_config
from groundup.train.precision import StepClock, decide_muon, decide_precision
from groundup.train.prefetch import BatchSource, Prefetcher
from groundup.train.result import FitResult, fit_result
from groundup.train.rollback import describe_rollback, needed_steps, remember_loss, roll_back
from groundup.train.schedule import learning_rate
from groundup.train.step import Batch, Loss, Summed, average_and_clip
from groundup.train.step_schedule import Rescale, StepSchedule, Threads
from groundup.train.step_threads import StepThreads
from groundup.train.time_budget import BudgetController, TimeBudget, describe_rescale

# The figure of an evaluation by which the best checkpoint is told.
BEST_BY = "validation_loss"

Evaluate: TypeAlias = Callable[[], dict[str, float]]
Sample: TypeAlias = Callable[[int], list[dict[str, Any]]]
Snapshot: TypeAlias = Callable[[Path], None]
Clock: TypeAlias = Callable[[], float]


def fit(
    model: nn.Module,
    batches: BatchSource,
    loss: Loss,
    config: FitConfig,
    run: RunFolder,
    *,
    compute: Compute,
    evaluate: Evaluate | None = None,
    sample: Sample | None = None,
    snapshot: Snapshot | None = None,
    progress: Progress | None = None,
    observers: Sequence[Callback] = (),
    group: ProcessGroup = SINGLE_PROCESS,
    aim: TimeBudget | None = None,
    turns: Sequence[Rescale] = (),
    threads: Sequence[Threads] = (),
    clock: Clock = time.perf_counter,
) -> FitResult:
    """Train what requires a gradient in `model` (it lies on `compute.device` already) for `config.steps` steps, or what is left of them.

    `evaluate` gives figures ("validation_loss" tells the best checkpoint), `sample` records for samples.jsonl; both are called
    without gradients, in evaluation mode, before the first step, every `evaluation_interval` planned steps and at the end. `snapshot` writes
    the model into a folder, after each of `config.snapshot_steps`; what a step done again would write is removed at resume. `observers`
    are told each line of the logs (`callbacks.py`). The model ends with the last step's weights. A run that was finished does nothing but load
    them. torch's global generators are seeded and drawn from.

    With an `aim` the run keeps that time: by what `clock` (seconds) says it takes turns to another number of steps, and the schedule follows
    (`time_budget.py`). `turns` and `threads` are the changes of another run, made again at the same steps (`reproduce.py`); without `threads` the
    number of threads is tuned where `compute` lets it be (`step_threads.py`). None of them is part of a run's identity.

    With a `group` of several processes each calls this with the same model, batches and config, and trains on its rows of every batch
    (`strategies.py`). Rank 0 alone evaluates, writes and speaks; with fsdp a model may lie anywhere, and ends with the last weights there only.

    Raises ConfigError when the folder holds another run, another process trains there or the batch can't be shared out, DataError when nothing
    is supervised, FormatError when no checkpoint holds, DiskError when one can't be written, GroundupError when `max_skipped` steps in a row
    have a loss or gradient that is not finite, LostTouch when another of the group is gone; and KeyboardInterrupt or SystemExit(143) after
    saving, when stopped.
    """
    if compute.is_cpu:
        keep_freed_memory()
    require_shares(config.batch_size, group.world)
    shown = progress if progress and group.leads else Silent()
    logs = Logs(run, CallbackList([*observers, shown] if group.leads else [], shown.say))
    parts = (model, batches, loss, config, run, compute, evaluate, sample, snapshot, shown, logs, group)
    training = _Training(*parts, aim, turns, threads, clock)
    lock = only_one(run.path) if group.leads else contextlib.nullcontext()
    with lock, training.interrupts, contextlib.closing(training), group.in_touch():
        training.resume()
        with shown.track("training", training.course.steps, "steps") as advance:
            training.go(advance)
        training.spread.end()
        return training.result()


@dataclass
class _Training:
    """A run on its way."""

    model: nn.Module
    batches: BatchSource
    loss: Loss
    config: FitConfig
    run: RunFolder
    compute: Compute
    evaluate: Evaluate | None
    sample: Sample | None
    snapshot: Snapshot | None
    progress: Progress
    logs: Logs
    group: ProcessGroup
    aim: TimeBudget | None
    turns: Sequence[Rescale]
    threads: Sequence[Threads]
    clock: Clock

    def __post_init__(self) -> None:
        assert trainable(self.model), "nothing in the model requires a gradient"
        use_recompute(self.model, self.config.recompute)
        self.interrupts = Interrupts(together=self.group.world > 1)
        self.optimizer = build_optimizer(self.model, self.config)
        on_gpu = self.compute.device.type == "cuda"
        self.feed = Prefetcher(rank_slice(self.batches, self.group).batch, ahead=on_gpu, pinned=on_gpu)

    # --- before the first step

    def resume(self) -> None:
        """Find out where this run stands, and put model, optimizer, random states and logs there."""
        identity = identify(self.model, self.batches.fingerprint, self.config)
        known = self.threads if self.compute.thread_counts else ()
        self.state = TrainState(identity_hash(identity), turns=list(self.turns), threads=list(known))
        self.model.train()
        find = lambda: find_resume_point(self.run, identity, self._begin, self.progress.say)  # noqa: E731
        record, step = self.group.first(find)
        self.precision: Precision = record["precision"]
        self.compiled = self._compiles(record)
        if self.config.optimizer == "muon":
            self.config = replace(self.config, muon_precision=muon_precision(record))
        self._spread_out()
        torch.manual_seed(seed_for(self.config.seed, "training", self.group.rank))
        if step is not None:
            folder = step_folder(self.run.checkpoints, step)
            self._restore(Checkpoint(folder, read_state(folder)))
            self._say_where(record)
        tuned = self.group.world == 1 and not self.compiled
        self._step_threads = StepThreads(self.compute, replayed=bool(known), tuned=tuned)
        self._step_threads.begin(self.state, self.run.metrics_file)
        if self.group.leads:
            self.logs.open(self.state, self.progress.say)
            drop_after(self.run, -1 if step is None else step)
        self._saved = None if step is None else (step, self.state.evaluated_step)
        self._random = random_states(self.compute.device)
        self.logs.begin(self._facts())
        self._pacer = BudgetController(self.aim, self.config, self.state.step) if self.aim else None
        self._mark = self.clock()
        if step is None and self.state.turns:
            self._log_turn()

    def _begin(self, identity: dict[str, Any]) -> dict[str, Any]:
        """The record of a new run: what the config leaves open is measured, and written down."""
        muon = decide_muon(self.config, self.model, compute=self.compute)
        if muon.precision == "float32" and muon.times is not None:
            self.progress.say(str(muon))
        config = muon.closed(precision_probe_config(self.config, self.compute))
        measured = config, self.model, self._next_batches(), self.loss
        counts = len(self.compute.thread_counts)
        if counts > 1 and config.compile != "off" and self.group.world == 1:  # compiled code is made for one number
            clock = StepClock(self.model, self._next_batches(), self.loss, config, compute=self.compute)
            choose_threads(self.compute, lambda: clock.step_s(bf16=False))
        run_s = self.aim.seconds if self.aim else None
        decision = decide_precision(*measured, compute=self.compute, progress=self.progress, run_s=run_s)
        shared = self.group.patient is not None
        decision = decide_compile(decision, *measured, compute=self.compute, progress=self.progress, shared=shared)
        return write_record(self.run, identity, decision, muon, self._machine)

    def _compiles(self, record: dict[str, Any]) -> bool:
        """Whether to go on compiled, as the run began."""
        if not record.get("compiled"):
            return False
        lacks = compile_obstacle(self.compute.device, shared=self.group.patient is not None)
        if lacks:
            self.progress.say(f"Going on without torch.compile, so not bit for bit as if never stopped: {lacks}.")
        return not lacks

    @property
    def course(self) -> StepSchedule:
        """The steps of the run, and their places in the schedule."""
        return StepSchedule(self.config.steps, self.state.turns)

    @property
    def _machine(self) -> dict[str, Any]:
        return machine(self.compute, processes(self.config, self.group))

    def _spread_out(self) -> None:
        """From here on `spread.trained` is the model that trains, in this process or in all."""
        loss = compiled(self.loss) if self.compiled else self.loss
        self.spread = build_strategy(self.model, loss, self.config, self.precision, self.group, self.compute)
        self.parameters = trainable(self.spread.trained)
        self.optimizer = build_optimizer(self.spread.trained, self.config)

    def _facts(self) -> RunFacts:
        state, flops, epoch = self.state, training_flops(self.model, self.batches), epoch_tokens(self.batches)
        place = (self.run.path, state.identity, self.course.steps, state.step)
        return RunFacts(*place, self.precision, self.compute, flops, epoch)

    def _take(self, checkpoint: Checkpoint) -> None:
        self.spread.restore(self.optimizer, checkpoint)

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._take(checkpoint)
        restore_random(self.compute.device, checkpoint.tensors(RANDOM), checkpoint.folder, self.group.rank)
        self.state = checkpoint.state

    def _say_where(self, record: dict[str, Any]) -> None:
        if self.state.step == self.course.steps:
            return
        self.progress.say(f"Going on after step {self.state.step} of {self.course.steps}.")
        changed = changed_machine(record, self._machine)
        if changed:
            self.progress.say(changed)

    def close(self) -> None:
        """End logs and feed, and let go of the gradients."""
        self.logs.close()
        self.feed.close()
        self.optimizer.zero_grad()

    # --- the steps

    def go(self, advance: Advance) -> None:
        """From where it stands to the last step. When stopped, what stood at the last boundary is saved."""
        advance(self.state.step)
        try:
            self._boundary()
            while self.state.step < self.course.steps:
                self._step()
                note = "" if self.state.last_loss is None else f"loss {self.state.last_loss:.3f}"
                advance(1, note, self.course.steps)
                self._boundary()
            if self._pacer and self.course.steps != self.config.steps:
                self.progress.say(describe_rescale(self.config.steps, self.course.steps))
        except (KeyboardInterrupt, SystemExit):
            self.interrupts.hold()
            self._save_stopped()
            raise

    def _next_batches(self) -> list[Batch]:
        return [self.feed.batch(self.state.data_position + i) for i in range(self.config.accumulation)]

    def _step(self) -> None:
        """One update, thrown away as a whole when something stops it before the weights change."""
        started, number = self.clock(), self.state.step + 1
        self.optimizer.zero_grad()
        bf16, batches = self.precision == "bf16", self._next_batches()
        with repeatable(self.compiled, self.compute.device):
            summed, length = self.spread.sum_gradients(batches, self.interrupts, self.compute.device, bf16=bf16)
        share = summed.count / self.spread.shares
        norm = average_and_clip(self.parameters.values(), share, self.config.clip_norm, length)
        state, config = self.state, self.config
        harm = find_bad_step(summed.mean, norm, self.parameters, state.gradient_norms, config.spike_factor)
        if harm is not None:
            stop_if_diverged(number, harm, state.not_finite_in_a_row + 1, min(config.max_skipped, self.course.steps))
            with self.interrupts.shielded():
                self._record_skip(harm, norm)
            return
        rate = learning_rate(self.course.update_place(state.step), config)
        with self.interrupts.shielded():
            self.optimizer.set_rate(rate)
            self.optimizer.step()
            step_s = self.clock() - started
            self._record_step(summed, norm, rate, step_s)
            self._step_threads.told(step_s, batches, self.state.step)
            self._roll_back()

    def _record_step(self, summed: Summed, norm: float, rate: float, step_s: float) -> None:
        state = self.state
        self._count_step(norm)
        state.not_finite_in_a_row = 0
        state.tokens += summed.count
        state.last_loss = summed.mean
        remember_loss(state, summed.mean, self.config)
        state.training_s += step_s
        line = {"step": state.step, "tokens": state.tokens, "loss": summed.mean, "lr": rate, "grad_norm": norm}
        self.logs.metric({**line, "tokens_per_s": round(summed.count / step_s, 1), **self._elapsed()})

    def _record_skip(self, harm: BadStep, norm: float) -> None:
        """A step that changed nothing is done all the same: its batches are passed over, its place in the schedule, too."""
        state = self.state
        state.skipped += 1
        state.not_finite_in_a_row = state.not_finite_in_a_row + 1 if harm.lasting else 0
        self._count_step(None if harm.lasting else norm)
        line = {"event": "skipped", "step": state.step, "reason": str(harm), "skipped": state.skipped}
        self.logs.metric({**line, **self._elapsed()})
        self.progress.say(f"step {state.step} of {self.course.steps} is skipped: {harm} ({state.skipped} so far)")

    def _roll_back(self) -> None:
        line = roll_back(self.state, self.config, self.run.checkpoints, self._take)
        if line is not None:
            self.logs.metric({**line, **self._elapsed()})
            self.progress.say(describe_rollback(line, self.config, self.course.steps))

    def _count_step(self, norm: float | None) -> None:
        state = self.state
        state.step += 1
        state.data_position += self.config.accumulation
        if norm is not None and self.config.spike_factor is not None:
            state.gradient_norms = [*state.gradient_norms, norm][-WINDOW_STEPS:]
        self._random = random_states(self.compute.device)

    def _elapsed(self) -> dict[str, float]:
        now = self.clock()
        self.state.elapsed_s += now - self._mark
        self._mark = now
        return {"elapsed_s": round(self.state.elapsed_s, 3)}

    # --- between two steps

    def _boundary(self) -> None:
        """What is due where the run stands. Called again after a restart, it does what was left undone and nothing twice."""
        state, config = self.state, self.config
        at_end = state.step == self.course.steps
        is_due = at_end or self.course.comes_to(config.evaluation_interval, state.step)
        if is_due and state.evaluated_step != state.step:
            self._evaluate()
        self.interrupts.check()
        self._keep_time()
        self._change_threads()
        if self.snapshot is not None and self.course.passes(config.snapshot_steps, state.step):
            with self.interrupts.shielded(), self.spread.whole():
                if self.group.leads:
                    keep_snapshot(self.run, state.step, self.snapshot)
        if self._checkpoint_is_due or at_end or state.best_step == state.step:
            self._save()

    @property
    def _checkpoint_is_due(self) -> bool:
        """By steps where they were said or a roll-back counts on them (`rollback.py`), else by the place in the schedule, as evaluations are."""
        step, interval = self.state.step, self.config.checkpoint_interval
        if self.config.checkpoint_every is None and self.config.rollback_nats is None:
            return step > 0 and self.course.comes_to(interval, step)
        return step > 0 and step % interval == 0

    def _evaluate(self) -> None:
        if self.evaluate is None and self.sample is None:
            return
        started = self.clock()
        with self.spread.whole():
            figures, written = self.group.first(self._look)
        with self.interrupts.shielded():
            self._record_evaluation(figures, written, self.clock() - started)

    def _look(self) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Figures and samples of the model as it is."""
        self.model.eval()
        with torch.no_grad():
            figures = self.evaluate() if self.evaluate else {}
            self._say_figures(figures)
            written = self.sample(self.state.step) if self.sample else []
        self.model.train()
        return figures, written

    def _say_figures(self, figures: dict[str, float]) -> None:
        if figures:
            named = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items())
            self.progress.say(f"step {self.state.step} of {self.course.steps}: {named}")

    def _record_evaluation(self, figures: dict[str, float], written: list[dict[str, Any]], seconds: float) -> None:
        state = self.state
        state.evaluation_s += seconds
        state.evaluated_step, state.evaluation = state.step, figures
        loss = figures.get(BEST_BY)
        if loss is not None and (state.best_loss is None or loss < state.best_loss):
            state.best_step, state.best_loss = state.step, loss
        self._random = random_states(self.compute.device)
        if figures:
            line = {"event": "evaluation", "step": state.step, **figures, "evaluation_s": round(seconds, 3)}
            self.logs.metric({**line, **self._elapsed()})
        for record in written:
            self.logs.sample({"step": state.step, **record})

    def _keep_time(self) -> None:
        """Look at the clock where that is due, and aim at as many steps as there is time for. Rank 0's clock counts."""
        state, pacer = self.state, self._pacer
        if pacer is None:
            return
        pacer.mark(state)
        if not pacer.due(self.course, state.step):
            return
        with self.interrupts.shielded():
            self._elapsed()
            steps = self.group.first(lambda: pacer.steps(self.course, state))
            if steps is not None:
                self._turn(steps)

    def _change_threads(self) -> None:
        with self.interrupts.shielded():
            count = self._step_threads.change(self.state)
            if count is not None:
                self.logs.metric({"event": "threads", "step": self.state.step, "threads": count, **self._elapsed()})

    def _turn(self, steps: int) -> None:
        self.state.turns = [*self.state.turns, self.course.turned(self.state.step, steps)]
        self._log_turn()

    def _log_turn(self) -> None:
        line = {"event": "re-aimed", "step": self.state.step, "steps": self.course.steps}
        self.logs.metric({**line, **self._elapsed()})

    def _save(self) -> None:
        """Write a checkpoint of the last boundary, unless the disk has it."""
        state = self.state
        if self._saved == (state.step, state.evaluated_step):
            return
        with self.interrupts.shielded():
            self._elapsed()
            self.logs.note_lengths(state)
            random, needed = gather_random_states(self._random, self.group), needed_steps(state, self.config)
            keep = self.config.keep_checkpoints
            self.spread.save(self.run.checkpoints, state, self.optimizer, random, keep=keep, needed=needed)
            self._saved = (state.step, state.evaluated_step)

    def _save_stopped(self) -> None:
        if self.state.step == 0:
            return
        self._save()
        self.progress.say(
            f"Stopped after step {self.state.step} of {self.course.steps}, saved: the same command goes on from there."
        )

    def result(self) -> FitResult:
        """The figures the run stands at."""
        return fit_result(self.state, self.precision, self.config, compiled=self.compiled)
