"""Keeping a time budget (`time_budget.py`) during a run."""

from groundup.train.checkpoint.state import TrainState
from groundup.train.monitor.logs import RunLog
from groundup.train.monitor.step_callback import StepCallback
from groundup.train.monitor.time_budget import TimeBudget, TimeReading, check_interval
from groundup.train.steps.config import FitConfig
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step_schedule import StepSchedule

# The fewest steps whose time counts: one or two may be outliers.
MIN_TIMED_STEPS = 4


class BudgetController(StepCallback):
    """Forecasts the end in one session of a run, which began after the step `begun`.

    Its first step warms up or is compiled, and short rows (`start_context_tokens`) take less time
    than the whole ones that follow: neither is counted.
    """

    def __init__(self, budget: TimeBudget, config: FitConfig, begun: int) -> None:
        self._budget, self._config = budget, config
        self._warm = max(begun, config.start_steps) + 1
        self._mark: tuple[int, float] | None = None

    def at_boundary(self, state: TrainState, log: RunLog, group: ProcessGroup) -> None:
        """Where a forecast is due, change the number of steps to what the time has room for. Rank
        0's clock counts.
        """
        schedule = StepSchedule(self._config.steps, state.rescales)
        self.mark(state)
        if not self.due(schedule, state.step):
            return
        log.count_elapsed()
        steps = group.first(lambda: self.steps(schedule, state))
        if steps is not None:
            state.rescales = [*state.rescales, schedule.rescaled(state.step, steps)]
            log.event("re-aimed", steps=steps)

    def mark(self, state: TrainState) -> None:
        """Begin to count at the first step like those that are left; to be called after each."""
        if self._mark is None and state.step >= self._warm:
            self._mark = state.step, _beside_evaluations_s(state)

    def due(self, schedule: StepSchedule, step: int) -> bool:
        """Whether a forecast is due after `step`: the same for all processes of a run."""
        interval, left = check_interval(schedule), schedule.planned - schedule.place(step)
        return step > self._warm and schedule.comes_to(interval, step) and left > interval

    def steps(self, schedule: StepSchedule, state: TrainState) -> int | None:
        """Forecast: the number of steps the run has from now on; None: it is not changed."""
        assert self._mark is not None
        since, before_s = self._mark
        if state.step - since < MIN_TIMED_STEPS:
            return None
        now_s = _beside_evaluations_s(state)
        self._mark = state.step, now_s
        interval = self._config.evaluation_interval
        done = int(schedule.place(state.step) // interval)  # and one before the first step
        reading = TimeReading(
            step=state.step,
            spent_s=state.elapsed_s,
            step_s=(now_s - before_s) / (state.step - since),
            evaluation_s=state.evaluation_s / (done + 1),
            evaluations_left=-(-schedule.planned // interval) - done,
        )
        return self._budget.steps(schedule, reading)


def _beside_evaluations_s(state: TrainState) -> float:
    return state.elapsed_s - state.evaluation_s
