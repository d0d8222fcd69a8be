"""The records of a run: metrics.jsonl and samples.jsonl, the figures in `TrainState` that go with
their lines, and the callbacks that receive each. Of several processes only rank 0 opens them.
"""

from collections.abc import Callable
from typing import Any

from groundup.runs import LineLog, RunFolder
from groundup.train.checkpoint.state import TrainState
from groundup.train.monitor.callbacks import CallbackList, Hooks, RunFacts
from groundup.train.monitor.loss_spikes import BadStep
from groundup.train.steps.step import Summed


class RunLog:
    """The log of one session. Before `open` lines are dropped."""

    def __init__(self, run: RunFolder, callbacks: CallbackList, hooks: Hooks) -> None:
        self._run, self._callbacks = run, callbacks
        self._clock, self._first_may_be_best = hooks.control.clock, hooks.first_may_be_best
        self._best_by = hooks.best_by
        self._metrics: LineLog | None = None
        self._samples: LineLog | None = None
        self._state = TrainState("")
        self._counted_until = 0.0

    def open(self, state: TrainState, say: Callable[[str], None]) -> None:
        """At the length they had: lines of steps that will be done again are dropped."""
        self._metrics = LineLog(self._run.metrics_file)
        self._samples = LineLog(self._run.samples_file)
        lengths = {self._metrics: state.metrics_bytes, self._samples: state.samples_bytes}
        for log, num_bytes in lengths.items():
            if log.length_bytes() > num_bytes:
                log.cut(num_bytes)
            elif log.length_bytes() < num_bytes:
                say(
                    f"{log.path} is shorter than recorded: some of its lines are lost; "
                    "the run is not affected."
                )

    def begin(self, state: TrainState, facts: RunFacts) -> None:
        """Tell the callbacks what run it is, and count its time from now on."""
        self._state = state
        self._callbacks.begin(facts)
        self._counted_until = self._clock()

    def training_step(self, summed: Summed, norm: float, rate: float, step_s: float) -> None:
        """`norm`: of the gradient, before clipping."""
        state = self._state
        state.not_finite_in_a_row = 0
        state.tokens += summed.count
        state.last_loss = summed.mean
        state.training_s += step_s
        line = {
            "step": state.step,
            "tokens": state.tokens,
            "loss": summed.mean,
            "learning_rate": rate,
            "grad_norm": norm,
            **summed.figures,
        }
        self.metric({**line, "tokens_per_s": round(summed.count / step_s, 1)})

    def skipped_step(self, bad_step: BadStep) -> None:
        """It counts as done: its batches and its place in the schedule are passed over."""
        state = self._state
        state.skipped += 1
        in_a_row = state.not_finite_in_a_row
        state.not_finite_in_a_row = 0
        if bad_step.lasting:
            state.not_finite_in_a_row = in_a_row + 1
        self.event("skipped", reason=str(bad_step), skipped=state.skipped)

    def evaluation(
        self,
        figures: dict[str, float],
        beside: dict[str, Any],
        samples: list[dict[str, Any]],
        seconds: float,
    ) -> None:
        """`beside`: what stands in the line and is no figure."""
        state = self._state
        state.evaluation_s += seconds
        state.evaluated_step, state.evaluation = state.step, figures
        loss = figures.get(self._best_by)
        may_be_best = state.step > 0 or self._first_may_be_best
        if loss is not None and may_be_best and (state.best_loss is None or loss < state.best_loss):
            state.best_step, state.best_loss, state.since_best = state.step, loss, 0
        elif loss is not None:
            state.since_best += 1
        if figures:
            self.event("evaluation", **figures, **beside, evaluation_s=round(seconds, 3))
        for sample in samples:
            self._append(self._samples, {"step": state.step, **sample}, event="sample")

    def event(self, name: str, **fields: Any) -> None:
        self.metric({"event": name, "step": self._state.step, **fields})

    def metric(self, line: dict[str, Any]) -> None:
        self.count_elapsed()
        self._append(self._metrics, {**line, "elapsed_s": round(self._state.elapsed_s, 3)})

    def count_elapsed(self) -> None:
        now = self._clock()
        self._state.elapsed_s += now - self._counted_until
        self._counted_until = now

    def _append(self, log: LineLog | None, line: dict[str, Any], **for_callbacks: Any) -> None:
        if log is not None:
            log.append(line)
            self._callbacks.observe({**for_callbacks, **line})

    def note_lengths(self) -> None:
        """Where `open` will look for them."""
        if self._metrics is not None and self._samples is not None:
            self._state.metrics_bytes = self._metrics.length_bytes()
            self._state.samples_bytes = self._samples.length_bytes()

    def close(self) -> None:
        self._callbacks.close()
        for log in (self._metrics, self._samples):
            if log is not None:
                log.close()
