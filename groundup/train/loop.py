"""fit(): the only training loop. Batches and a loss -> trained weights, a log, checkpoints; a
stopped run resumes.

    resume -> [evaluation, checkpoint when due] -> step -> [evaluation, checkpoint when due] -> ...
        -> the last step

Whatever interrupts a run (Ctrl-C, SIGTERM: the state at the last boundary between two steps is
saved first; kill -9, a full disk: the last checkpoint counts), it resumes at a boundary and takes
the same steps with the same batches, learning rates and random numbers.
"""

from torch import nn

from groundup.device import Compute, keep_freed_memory
from groundup.progress import Advance
from groundup.runs import RunFolder
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.loss_spikes import BadStep, find_bad_step, stop_if_diverged
from groundup.train.session import FitJob, FitResult, Session
from groundup.train.steps.block_schedule import require_one_process
from groundup.train.steps.config import FitConfig
from groundup.train.steps.process_group import SINGLE_PROCESS, ProcessGroup, require_shares
from groundup.train.steps.step import BatchSource, Loss, average_and_clip
from groundup.train.steps.step_schedule import learning_rate


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
) -> FitResult:
    """Train what requires a gradient in `model` (which is on `compute.device` already) for
    `config.steps` steps, or those that are left.

    The model ends with the last step's weights; a finished run only loads them. torch's global
    generators are seeded and drawn from. `hooks.control` may change the number of steps and of
    threads; no hook is part of a run's identity. With a `group` of several processes each calls
    this with the same model, batches and config, and trains on its rows of every batch. Rank 0
    alone evaluates, writes and reports; with fsdp the model ends with the last weights there only.

    Raises ConfigError when the folder holds another run, another process trains there or the batch
    can't be divided evenly, DataError when nothing is supervised, FormatError when no checkpoint is
    intact, DiskError, GroundupError when `max_skipped` steps in a row have a loss or gradient that
    is not finite, ProcessLost when another of the group is gone; and KeyboardInterrupt or
    SystemExit(143) after saving, when stopped.
    """
    if compute.is_cpu:
        keep_freed_memory()
    require_shares(config.batch_size, group.world)
    require_shares(config.rows.start_batch_size or config.batch_size, group.world)
    require_one_process(config, group.world)
    session = Session(FitJob(model, batches, loss, config, run, compute, hooks, group))
    with session.open() as trained:
        steps = trained.schedule.steps
        with session.progress.track("training", steps, "steps") as advance:
            _Loop(session).go(advance)
        trained.strategy.end()
        return session.result()


class _Loop:
    """The steps of a run, and what is due between them."""

    def __init__(self, session: Session) -> None:
        self.session, self.trained = session, session.trained

    def go(self, advance: Advance) -> None:
        """When stopped, the state at the last boundary is saved."""
        session, trained, state = self.session, self.trained, self.trained.state
        advance(state.step)
        try:
            self._boundary()
            while not trained.is_over:
                self._step()
                note = "" if state.last_loss is None else f"loss {state.last_loss:.3f}"
                advance(1, note, trained.schedule.steps)
                self._boundary()
            if state.step < trained.schedule.steps:
                advance(0, "ended early", state.step)
            session.report_rescales()
        except (KeyboardInterrupt, SystemExit):
            session.interrupts.hold()
            if state.step > 0:
                session.save()
                session.progress.say(
                    f"Stopped after {trained.step_of_all}, saved: "
                    "the same command resumes from there."
                )
            raise

    def _step(self) -> None:
        """An interrupt before the weights change discards the whole step."""
        session, trained, state = self.session, self.trained, self.trained.state
        stability, clock = trained.config.stability, session.job.hooks.control.clock
        started = clock()
        trained.optimizer.zero_grad()
        batches = session.next_batches(state.data_position)
        summed, sum_norm = session.sum_gradients(batches)
        share = summed.count / trained.strategy.shares
        parameters = trained.parameters
        norm = average_and_clip(parameters.values(), share, stability.clip_norm, sum_norm)
        bad_step = find_bad_step(
            summed.mean, norm, parameters, state.gradient_norms, stability.spike_factor
        )
        if bad_step is not None:
            self._skip(bad_step, norm)
            return
        rate = learning_rate(trained.schedule.update_place(state.step), trained.config)
        with session.interrupts.shielded():
            trained.optimizer.set_rate(rate)
            trained.optimizer.step()
            step_s = clock() - started
            session.count_step(norm)
            session.log.training_step(summed, norm, rate, step_s)
            for callback in session.callbacks:
                callback.after_step(state, step_s, batches)
            session.roll_back(summed.mean)

    def _skip(self, bad_step: BadStep, norm: float) -> None:
        """Count a step that does not change the weights. Raises GroundupError where too many in a
        row were not finite.
        """
        session, trained, state = self.session, self.trained, self.trained.state
        limit = min(trained.config.stability.max_skipped, trained.schedule.steps)
        stop_if_diverged(state.step + 1, bad_step, state.not_finite_in_a_row + 1, limit)
        with session.interrupts.shielded():
            session.count_step(None if bad_step.lasting else norm)
            session.log.skipped_step(bad_step)
            session.progress.say(
                f"{trained.step_of_all} is skipped: {bad_step} ({state.skipped} so far)"
            )

    def _boundary(self) -> None:
        """Evaluate, snapshot and save where due; after a restart nothing twice."""
        session, trained, state = self.session, self.trained, self.trained.state
        interval = trained.config.evaluation_interval
        is_due = trained.is_over or trained.schedule.comes_to(interval, state.step)
        if is_due and state.evaluated_step != state.step:
            session.evaluate()
        session.interrupts.check()
        with session.interrupts.shielded():
            for callback in session.callbacks:
                callback.at_boundary(state, session.log, session.job.group)
        session.keep_snapshot()
        if self._checkpoint_is_due or trained.is_over or state.best_step == state.step:
            session.save()

    @property
    def _checkpoint_is_due(self) -> bool:
        """By steps where they were given or a roll-back counts on them, else by the place in the
        schedule.
        """
        step, config = self.trained.state.step, self.trained.config
        interval = config.checkpoint_interval
        if step == 0:
            return False
        if config.checkpoints.every is None and config.stability.rollback_nats is None:
            return self.trained.schedule.comes_to(interval, step)
        return step % interval == 0
