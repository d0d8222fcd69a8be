"""fit(): the only training loop. Batches and a loss -> trained weights, a log, checkpoints; taken up again where it stopped.

    resume -> [evaluation, checkpoint when due] -> step -> [evaluation, checkpoint when due] -> ... -> the last step

Between two steps lies a boundary. All that a run remembers is taken there, so whatever interrupts it (Ctrl-C, SIGTERM: what
stood at the boundary is saved first; kill -9, a full disk: the last checkpoint is taken), it goes on from a boundary and does
the same steps with the same batches, learning rates and random numbers. See `groundup/train/__init__.py` for what is bitwise.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import nn

from groundup.device import Compute, keep_freed_memory, seed_for
from groundup.files import only_one, remove_temporaries
from groundup.model.transformer import use_recompute
from groundup.progress import Advance, Progress, Silent
from groundup.runs import LineLog, RunFolder
from groundup.train.compiled import compiled, decide_compile, lacking, repeatable
from groundup.train.config import FitConfig, Precision
from groundup.train.feed import Feed
from groundup.train.hooks import Observer, Observers, RunFacts, epoch_tokens, training_flops
from groundup.train.identity import changed_machine, identify, identity_hash, read_record, require_same, write_record
from groundup.train.interrupts import Interrupts
from groundup.train.memory import (
    optimizer_tensors,
    random_states,
    restore_optimizer,
    restore_random,
    restore_weights,
    weight_tensors,
)
from groundup.train.optim import build_optimizer, trainable
from groundup.train.precision import Decision, decide_precision
from groundup.train.rollback import needed_steps, remember_loss, roll_back, said_of
from groundup.train.schedule import learning_rate
from groundup.train.skipped import WINDOW_STEPS, Harm, harm_of, require_hope
from groundup.train.snapshots import drop_after, keep_snapshot
from groundup.train.state import Checkpoint, TrainState, load_latest, save_checkpoint
from groundup.train.step import Batch, Loss, Summed, average_and_clip, sum_gradients

# The figure of an evaluation by which the best checkpoint is told.
BEST_BY = "validation_loss"

Evaluate: TypeAlias = Callable[[], dict[str, float]]
Sample: TypeAlias = Callable[[int], list[dict[str, Any]]]
Snapshot: TypeAlias = Callable[[Path], None]


@runtime_checkable
class BatchSource(Protocol):
    """Batches by number: the same position gives the same batch, today and after a restart."""

    @property
    def fingerprint(self) -> str:
        """Tells the data, their order and the batch size from any other."""

    def batch(self, position: int) -> Batch:
        """The batch at `position` (0, 1, 2, ... without end)."""


@dataclass(frozen=True)
class FitResult:
    """What a run came to."""

    steps: int
    tokens: int
    """Tokens (or texts) whose loss was counted."""
    last_loss: float
    """Training loss of the last step, nats a token."""
    evaluation: dict[str, float]
    """Figures of the last evaluation; {} where there is none."""
    best_step: int | None
    """The step with the lowest validation loss, whose weights `RUN/checkpoints/step-N` holds."""
    best_loss: float | None
    elapsed_s: float
    """Seconds inside fit(), restarts added up."""
    tokens_per_s: float
    """In the steps alone."""
    precision: Precision
    evaluation_s: float
    """Seconds of its evaluations and samples, which are among the elapsed."""
    compiled: bool
    skipped: int
    """Steps that changed nothing, for their loss or gradient was no number or a spike."""
    rolled_back: int
    """How often it went back to earlier weights, for its loss had risen."""


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
    observers: Sequence[Observer] = (),
) -> FitResult:
    """Train what requires a gradient in `model` (it lies on `compute.device` already) for `config.steps` steps, or what is left of them.

    `evaluate` gives figures ("validation_loss" tells the best checkpoint), `sample` records for samples.jsonl; both are called
    without gradients, in evaluation mode, before the first step, every `evaluation_interval` steps and at the end. `snapshot` writes
    the model into a folder, after each of `config.snapshot_steps`; what a step done again would write is removed at resume. `observers`
    are told each line of the logs (`hooks.py`). The model ends with the last step's weights. A run that was finished does nothing but load
    them. torch's global generators are seeded and drawn from.

    Raises ConfigError when the folder holds another run or another process trains there, DataError when nothing is supervised,
    FormatError when no checkpoint holds, DiskError when one can't be written, GroundupError when `max_skipped` steps in a row have a
    loss or gradient that is not finite; and KeyboardInterrupt or SystemExit(143) after saving, when stopped.
    """
    if compute.is_cpu:
        keep_freed_memory()
    progress = progress or Silent()
    told = Observers([*observers, progress], progress.say)
    training = _Training(model, batches, loss, config, run, compute, evaluate, sample, snapshot, progress, told)
    with only_one(run.path), training.interrupts, contextlib.closing(training):
        training.resume()
        with progress.track("training", config.steps, "steps") as advance:
            training.go(advance)
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
    observers: Observers
    interrupts: Interrupts = field(default_factory=Interrupts)

    def __post_init__(self) -> None:
        use_recompute(self.model, self.config.recompute)
        self.parameters = trainable(self.model)
        assert self.parameters, "nothing in the model requires a gradient"
        self.optimizer = build_optimizer(self.model, self.config)
        on_gpu = self.compute.device.type == "cuda"
        self.feed = Feed(self.batches.batch, ahead=on_gpu, pinned=on_gpu)
        self.metrics: LineLog | None = None
        self.samples: LineLog | None = None

    # --- before the first step

    def resume(self) -> None:
        """Find out where this run stands, and put model, optimizer, random states and logs there."""
        identity = identify(self.model, self.batches.fingerprint, self.config)
        self.state = TrainState(identity_hash(identity))
        remove_temporaries(self.run.path)
        record = read_record(self.run)
        self.model.train()
        if record is None:
            decision = self._begin(identity)
            self.precision, self.compiled = decision.precision, decision.compiled
            checkpoint = None
        else:
            require_same(self.run, record, identity)
            self.precision, self.compiled = record["precision"], self._compiles(record)
            checkpoint = load_latest(self.run.checkpoints, self.state.identity, self.progress.say)
        if self.compiled:
            self.loss = compiled(self.loss)
        torch.manual_seed(seed_for(self.config.seed, "training"))
        if checkpoint is not None:
            self._restore(checkpoint)
            self._say_where(record or {})
        self._open_logs()
        drop_after(self.run, self.state.step if checkpoint else -1)
        self._saved = (self.state.step, self.state.evaluated_step) if checkpoint else None
        self._random = random_states(self.compute.device)
        self.observers.begin(self._facts())
        self._mark = time.perf_counter()

    def _begin(self, identity: dict[str, Any]) -> Decision:
        """Measure what the config leaves open, and write it down."""
        parts = self.config, self.model, self._next_batches(), self.loss
        decision = decide_precision(*parts, compute=self.compute, progress=self.progress)
        decision = decide_compile(decision, *parts, compute=self.compute, progress=self.progress)
        write_record(self.run, identity, decision, self.compute)
        return decision

    def _compiles(self, record: dict[str, Any]) -> bool:
        """Whether to go on compiled, as the run began."""
        lacks = lacking(self.compute.device) if record.get("compiled") else ""
        if lacks:
            self.progress.say(f"Going on without torch.compile, so not bit for bit as if never stopped: {lacks}.")
        return bool(record.get("compiled")) and not lacks

    def _facts(self) -> RunFacts:
        state, flops, epoch = self.state, training_flops(self.model, self.batches), epoch_tokens(self.batches)
        place = (self.run.path, state.identity, self.config.steps, state.step)
        return RunFacts(*place, self.precision, self.compute, flops, epoch)

    def _take_weights(self, checkpoint: Checkpoint) -> None:
        restore_weights(self.model, checkpoint.weights, checkpoint.folder)
        restore_optimizer(self.model, self.optimizer, checkpoint.tensors)

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._take_weights(checkpoint)
        restore_random(self.compute.device, checkpoint.tensors, checkpoint.folder)
        self.state = checkpoint.state

    def _say_where(self, record: dict[str, Any]) -> None:
        if self.state.step == self.config.steps:
            return
        self.progress.say(f"Going on after step {self.state.step} of {self.config.steps}.")
        changed = changed_machine(record, self.compute)
        if changed:
            self.progress.say(changed)

    def _open_logs(self) -> None:
        """Open both logs at the length they had: lines of steps that will be done again are dropped."""
        self.metrics, self.samples = LineLog(self.run.metrics_file), LineLog(self.run.samples_file)
        for log, length in ((self.metrics, self.state.metrics_bytes), (self.samples, self.state.samples_bytes)):
            if log.length_bytes() > length:
                log.cut(length)
            elif log.length_bytes() < length:
                self.progress.say(f"{log.path} is shorter than it was: some of its lines are lost, the run is not.")

    def close(self) -> None:
        """End observers and feed, close the logs and let go of the gradients."""
        self.observers.close()
        self.feed.close()
        self.optimizer.zero_grad()
        for log in (self.metrics, self.samples):
            if log is not None:
                log.close()

    # --- the steps

    def go(self, advance: Advance) -> None:
        """From where it stands to the last step. When stopped, what stood at the last boundary is saved."""
        advance(self.state.step)
        try:
            self._boundary()
            while self.state.step < self.config.steps:
                self._step()
                advance(1, "" if self.state.last_loss is None else f"loss {self.state.last_loss:.3f}")
                self._boundary()
        except (KeyboardInterrupt, SystemExit):
            self.interrupts.hold()
            self._save_stopped()
            raise

    def _next_batches(self) -> list[Batch]:
        return [self.feed.batch(self.state.data_position + i) for i in range(self.config.accumulation)]

    def _step(self) -> None:
        """One update, thrown away as a whole when something stops it before the weights change."""
        started, number = time.perf_counter(), self.state.step + 1
        self.optimizer.zero_grad()
        bf16 = self.precision == "bf16"
        with repeatable(self.compiled, self.compute.device):
            summed = sum_gradients(self.model, self._next_batches(), self.loss, device=self.compute.device, bf16=bf16)
        norm = average_and_clip(self.parameters.values(), summed.count, self.config.clip_norm)
        state, config = self.state, self.config
        harm = harm_of(summed.mean, norm, self.parameters, state.gradient_norms, config.spike_factor)
        if harm is not None:
            require_hope(number, harm, state.not_finite_in_a_row + 1, min(config.max_skipped, config.steps))
            with self.interrupts.shielded():
                self._record_skip(harm, norm)
            return
        rate = learning_rate(state.step, config)
        with self.interrupts.shielded():
            self.optimizer.set_rate(rate)
            self.optimizer.step()
            self._record_step(summed, norm, rate, time.perf_counter() - started)
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
        self._append(self.metrics, {**line, "tokens_per_s": round(summed.count / step_s, 1), **self._elapsed()})

    def _record_skip(self, harm: Harm, norm: float) -> None:
        """A step that changed nothing is done all the same: its batches are passed over, its place in the schedule, too."""
        state = self.state
        state.skipped += 1
        state.not_finite_in_a_row = state.not_finite_in_a_row + 1 if harm.lasting else 0
        self._count_step(None if harm.lasting else norm)
        line = {"event": "skipped", "step": state.step, "reason": str(harm), "skipped": state.skipped}
        self._append(self.metrics, {**line, **self._elapsed()})
        self.progress.say(f"step {state.step} of {self.config.steps} is skipped: {harm} ({state.skipped} so far)")

    def _roll_back(self) -> None:
        line = roll_back(self.state, self.config, self.run.checkpoints, self._take_weights)
        if line is not None:
            self._append(self.metrics, {**line, **self._elapsed()})
            self.progress.say(said_of(line, self.config))

    def _count_step(self, norm: float | None) -> None:
        state = self.state
        state.step += 1
        state.data_position += self.config.accumulation
        if norm is not None and self.config.spike_factor is not None:
            state.gradient_norms = [*state.gradient_norms, norm][-WINDOW_STEPS:]
        self._random = random_states(self.compute.device)

    def _append(self, log: LineLog | None, line: dict[str, Any], **told: Any) -> None:
        """Log a line, and tell it to the observers (with `told`, which only they need)."""
        assert log is not None
        log.append(line)
        self.observers.observe({**told, **line})

    def _elapsed(self) -> dict[str, float]:
        now = time.perf_counter()
        self.state.elapsed_s += now - self._mark
        self._mark = now
        return {"elapsed_s": round(self.state.elapsed_s, 3)}

    # --- between two steps

    def _boundary(self) -> None:
        """What is due where the run stands. Called again after a restart, it does what was left undone and nothing twice."""
        state, config = self.state, self.config
        at_end = state.step == config.steps
        if (state.step % config.evaluation_interval == 0 or at_end) and state.evaluated_step != state.step:
            self._evaluate()
        self.interrupts.check()
        if self.snapshot is not None and state.step in config.snapshot_steps:
            with self.interrupts.shielded():
                keep_snapshot(self.run, state.step, self.snapshot)
        due = state.step > 0 and state.step % config.checkpoint_interval == 0
        if due or at_end or state.best_step == state.step:
            self._save()

    def _evaluate(self) -> None:
        if self.evaluate is None and self.sample is None:
            return
        started = time.perf_counter()
        self.model.eval()
        with torch.no_grad():
            figures = self.evaluate() if self.evaluate else {}
            self._say_figures(figures)
            written = self.sample(self.state.step) if self.sample else []
        self.model.train()
        with self.interrupts.shielded():
            self._record_evaluation(figures, written, time.perf_counter() - started)

    def _say_figures(self, figures: dict[str, float]) -> None:
        if figures:
            named = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items())
            self.progress.say(f"step {self.state.step} of {self.config.steps}: {named}")

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
            self._append(self.metrics, {**line, **self._elapsed()})
        for record in written:
            self._append(self.samples, {"step": state.step, **record}, event="sample")

    def _save(self) -> None:
        """Write a checkpoint of the last boundary, unless the disk has it."""
        state = self.state
        if self._saved == (state.step, state.evaluated_step):
            return
        assert self.metrics is not None and self.samples is not None
        with self.interrupts.shielded():
            self._elapsed()
            state.metrics_bytes, state.samples_bytes = self.metrics.length_bytes(), self.samples.length_bytes()
            tensors = {**optimizer_tensors(self.model, self.optimizer), **self._random}
            save_checkpoint(
                self.run.checkpoints,
                state,
                weight_tensors(self.model),
                tensors,
                keep=self.config.keep_checkpoints,
                needed=needed_steps(state, self.config),
            )
            self._saved = (state.step, state.evaluated_step)

    def _save_stopped(self) -> None:
        if self.state.step == 0:
            return
        self._save()
        self.progress.say(
            f"Stopped after step {self.state.step} of {self.config.steps}, saved: the same command goes on from there."
        )

    def result(self) -> FitResult:
        """The figures the run stands at."""
        state = self.state
        assert state.last_loss is not None
        return FitResult(
            steps=state.step,
            tokens=state.tokens,
            last_loss=state.last_loss,
            evaluation=state.evaluation,
            best_step=state.best_step,
            best_loss=state.best_loss,
            elapsed_s=state.elapsed_s,
            tokens_per_s=state.tokens / max(state.training_s, 1e-9),
            precision=self.precision,
            evaluation_s=state.evaluation_s,
            compiled=self.compiled,
            skipped=state.skipped,
            rolled_back=state.rolled_back,
        )
