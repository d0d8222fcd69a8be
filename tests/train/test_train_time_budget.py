"""A run that was given a time keeps it on a machine that becomes slower or faster; what it did can be stopped, and done again, bit for bit."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stopping import facts, said
from tiny_run import Said, TinyBatch, TinyBatches, TinyBlocks, TinyModel, tiny_loss
from torch import nn

from groundup.device import Compute
from groundup.progress import Silent
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.state import MODEL_FILE, TrainState
from groundup.train.checkpoint.tensors import weight_tensors
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.step_callbacks import BudgetController
from groundup.train.monitor.time_budget import (
    CHECKS,
    MAX_SCALE,
    StepControl,
    TimeBudget,
    TimeReading,
)
from groundup.train.optimizers.adamw import AdamW
from groundup.train.steps.config import Checkpoints, FitConfig, Schedule
from groundup.train.steps.step_schedule import Rescale, StepSchedule, learning_rate
from groundup.weights.hf import save_tensors

CPU = Compute(torch.device("cpu"))
EVALUATION_S = 2.0
# Planned: 64 steps of a second and nine evaluations of two.
CONFIG = FitConfig(
    steps=64,
    batch_size=4,
    precision="float32",
    seed=7,
    checkpoints=Checkpoints(every=8, snapshots=5),
    schedule=Schedule(name="wsd"),
    optimizer=AdamW(learning_rate=0.01),
)
PLANNED_S = 64 + 9 * EVALUATION_S


@dataclass
class Machine:
    """A clock that goes on when a batch is made, by what a step takes on this machine, and when the model is evaluated; and its batches."""

    step_s: Callable[[int], float]
    stop_at: int | None = None
    now_s: float = 1000.0
    fingerprint: str = "of a machine"

    def clock(self) -> float:
        return self.now_s

    def batch(self, position: int) -> TinyBatch:
        if position == self.stop_at:
            raise KeyboardInterrupt
        self.now_s += self.step_s(position)
        return TinyBatches().batch(position)

    def evaluate(self) -> dict[str, float]:
        self.now_s += EVALUATION_S
        return {"validation_loss": 1.0}


def trained(
    folder: Path,
    machine: Machine,
    config: FitConfig = CONFIG,
    model: nn.Module | None = None,
    progress: Any = None,
    **more: Any,
) -> FitResult:
    model = model or TinyModel()
    return fit(
        model,
        machine,
        tiny_loss,
        config,
        RunFolder(folder),
        compute=CPU,
        hooks=Hooks(
            evaluate=machine.evaluate,
            sample=lambda step: [],
            snapshot=lambda to: save_tensors(weight_tensors(model), to / MODEL_FILE),
            progress=progress or Said(folder.with_suffix(".said")),
            control=StepControl(clock=machine.clock, **more),
        ),
    )


def steps_of(folder: Path) -> list[dict[str, Any]]:
    return [line for line in read_lines(RunFolder(folder).metrics_file) if "event" not in line]


def events(folder: Path) -> list[dict[str, Any]]:
    return [
        line
        for line in read_lines(RunFolder(folder).metrics_file)
        if line.get("event") == "re-aimed"
    ]


def steady(position: int) -> float:
    return 1.0


def slow(position: int) -> float:
    return 2.0


def slowing(position: int) -> float:
    """From a second to two, evenly."""
    return 1 + position / 64


MACHINES: dict[str, Callable[[int], float]] = {
    "slower by a half from a quarter on": lambda position: 1.0 if position < 16 else 1.5,
    "slower and slower": slowing,
    "half as fast again as measured": lambda position: 2 / 3,
    "slow from the start": slow,
    "slow for a while": lambda position: 2.0 if 10 < position < 22 else 1.0,
    "its first step compiles": lambda position: 12.0 if position == 0 else 1.0,
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_run_ends_in_its_time_and_its_schedule_at_its_end(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    result = trained(folder, Machine(MACHINES[name]), time_budget=TimeBudget(PLANNED_S))
    assert result.state.elapsed_s == pytest.approx(PLANNED_S, rel=0.05)
    lines = steps_of(folder)
    assert result.steps == len(lines) == lines[-1]["step"] == result.state.rescales[-1].steps != 64
    assert lines[-1]["learning_rate"] == pytest.approx(learning_rate(63, CONFIG), rel=1e-9)
    assert max(line["learning_rate"] for line in lines) == pytest.approx(
        CONFIG.optimizer.learning_rate, rel=1e-12
    )
    assert (
        sorted(path.name for path in RunFolder(folder).snapshots.iterdir())[-1]
        == f"step-{result.steps:06d}"
    )
    rescales = events(folder)
    assert [(line["step"], line["steps"]) for line in rescales] == [
        (each.step, each.steps) for each in result.state.rescales
    ]
    slower = "slower" if result.steps < 64 else "faster"
    told = f"The machine was {slower} than expected: {result.steps} steps instead of 64 in the time budget."
    assert said(folder).count("than expected") == said(folder).count(told) == 1
    assert f"step {result.steps} of {result.steps}: validation loss" in said(folder)


def test_without_a_time_budget_or_with_a_steady_machine_a_run_is_what_it_was(
    tmp_path: Path,
) -> None:
    trained(tmp_path / "plain", Machine(slowing))
    result = trained(tmp_path / "budgeted", Machine(steady), time_budget=TimeBudget(PLANNED_S))
    assert (
        result.state.rescales == []
        and result.steps == 64
        and result.state.elapsed_s == pytest.approx(PLANNED_S)
    )
    assert facts(tmp_path / "budgeted") == facts(tmp_path / "plain")


def test_the_same_machine_without_an_aim_misses_the_time(tmp_path: Path) -> None:
    assert trained(tmp_path / "run", Machine(slowing)).state.elapsed_s > 1.35 * PLANNED_S


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budgeted") / "run"
    assert trained(folder, Machine(slow), time_budget=TimeBudget(PLANNED_S)).state.rescales
    return folder


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("stop_at", [9, 13, 18, 25])
def test_a_run_that_was_stopped_after_a_turn_goes_on_to_the_same_bits(
    never_stopped: Path, tmp_path: Path, stop_at: int, killed: bool
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(folder, Machine(slow, stop_at), time_budget=TimeBudget(PLANNED_S))
    if (
        killed
    ):  # kill -9 would not have saved it: what came after the last regular checkpoint is done again
        shutil.rmtree(folder / "checkpoints" / f"step-{stop_at}")
    before = [line["step"] for line in events(folder)]
    result = trained(folder, Machine(slow), time_budget=TimeBudget(PLANNED_S))
    assert before == [8] and result.steps < 64
    assert facts(folder) == facts(never_stopped)
    assert result.state.elapsed_s == pytest.approx(PLANNED_S, rel=0.05), "restarts are added up"
    assert f"of {result.steps}.\n" in said(folder), "it says how many steps there are now"


def test_a_run_that_was_resumed_without_its_aim_keeps_its_turns(
    never_stopped: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(folder, Machine(slow, 25), time_budget=TimeBudget(PLANNED_S))
    trained(folder, Machine(steady))
    assert facts(folder) == facts(never_stopped)


@dataclass
class PoisonedMachine(Machine):
    """Eight batches teach nonsense."""

    def batch(self, position: int) -> TinyBatch:
        batch = super().batch(position)
        if not 40 <= position < 48:
            return batch
        labels = torch.randint(
            0, 256, batch.ids.shape, generator=torch.Generator().manual_seed(position)
        )
        return TinyBatch(batch.ids, labels)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "stop_at", [pytest.param(38, marks=SLOW), 47, pytest.param(52, marks=SLOW)]
)
def test_a_run_that_was_rolled_back_and_stopped_keeps_its_time_and_its_bits(
    tmp_path: Path, stop_at: int
) -> None:
    config = CONFIG.with_fields(
        {
            "steps": 96,
            "optimizer.learning_rate": 0.08,
            "schedule.warmup_steps": 0,
            "checkpoints.every": 5,
            "stability.rollback_nats": 1.0,
            "schedule.name": "cosine",
        }
    )
    seconds = 96 + 9 * EVALUATION_S
    pace: Callable[[int], float] = lambda position: 1.25  # noqa: E731
    whole = trained(
        tmp_path / "whole",
        PoisonedMachine(pace),
        config,
        TinyBlocks(),
        time_budget=TimeBudget(seconds),
    )
    assert (
        whole.state.rolled_back == 1
        and 70 < whole.steps < 90
        and whole.state.elapsed_s == pytest.approx(seconds, rel=0.05)
    )
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(
            folder,
            PoisonedMachine(pace, stop_at),
            config,
            TinyBlocks(),
            time_budget=TimeBudget(seconds),
        )
    trained(folder, PoisonedMachine(pace), config, TinyBlocks(), time_budget=TimeBudget(seconds))
    assert facts(folder) == facts(tmp_path / "whole")
    assert f"of {whole.steps}: the loss was" in said(folder)


def test_the_rescales_of_a_run_taken_by_another_give_the_same_weights_whatever_the_clock(
    never_stopped: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    rescales = trained(
        never_stopped, Machine(slow), time_budget=TimeBudget(PLANNED_S)
    ).state.rescales  # finished: it only says
    assert trained(folder, Machine(steady), rescales=rescales).state.rescales == rescales
    once, again = facts(never_stopped), facts(folder)
    for name in ("checkpoint", "model", "tensors", "snapshots", "state"):
        assert again[name] == once[name]
    assert [line["loss"] for line in steps_of(folder)] == [
        line["loss"] for line in steps_of(never_stopped)
    ]
    assert [(line["step"], line["steps"]) for line in events(folder)] == [(0, rescales[-1].steps)]


def test_progress_and_observers_are_told_the_new_number(tmp_path: Path) -> None:
    totals: list[float | None] = []

    class Told(Silent):
        def track(self, what: str, total: float, unit: str = "") -> Any:
            totals.append(total)
            return Counting()

    class Counting:
        def __enter__(self) -> Any:
            return lambda amount=1, note="", total=None: totals.append(total)

        def __exit__(self, *_: object) -> None: ...

    result = trained(
        tmp_path / "run", Machine(slow), time_budget=TimeBudget(PLANNED_S), progress=Told()
    )
    assert totals[0] == 64 and totals[-1] == result.steps < 64


def test_a_run_is_not_cut_below_a_quarter(tmp_path: Path) -> None:
    slow = trained(
        tmp_path / "slow", Machine(lambda position: 50.0), time_budget=TimeBudget(PLANNED_S)
    )
    least = trained(
        tmp_path / "least",
        Machine(lambda position: 50.0),
        time_budget=TimeBudget(PLANNED_S, min_steps=40),
    )
    assert (slow.steps, least.steps) == (16, 40)


def test_a_run_planned_in_a_busy_moment_takes_the_steps_that_fit_with_as_many_evaluations(
    tmp_path: Path,
) -> None:
    folder, seconds = tmp_path / "run", 400 * 0.2 + 9 * EVALUATION_S
    config = CONFIG.with_fields({"steps": 32, "checkpoints.every": None})
    result = trained(folder, Machine(lambda position: 0.2), config, time_budget=TimeBudget(seconds))
    assert result.steps == pytest.approx(400, rel=0.06) and result.state.elapsed_s == pytest.approx(
        seconds, rel=0.05
    )
    lines = list(read_lines(RunFolder(folder).metrics_file))
    assert sum(line.get("event") == "evaluation" for line in lines) == 9
    assert len(events(folder)) < CHECKS


def test_short_rows_tell_nothing_of_the_whole_ones_that_follow(tmp_path: Path) -> None:
    config = CONFIG.with_fields(
        {"rows.start_context_tokens": 4}
    )  # 32 of 64 steps; here they take a third of the time
    result = trained(
        tmp_path / "run",
        Machine(lambda position: 0.5 if position < 32 else 1.5),
        config,
        time_budget=TimeBudget(PLANNED_S),
    )
    assert result.state.rescales == [] and result.state.elapsed_s == pytest.approx(PLANNED_S)


def test_a_run_too_short_to_tell_a_pace_is_left_alone(tmp_path: Path) -> None:
    config = CONFIG.with_fields({"steps": 3, "checkpoints.snapshots": 0})
    assert (
        trained(tmp_path / "run", Machine(steady), config, time_budget=TimeBudget(500.0)).steps == 3
    )


def test_a_forecast_counts_the_evaluations_that_are_still_to_come() -> None:
    reading = TimeReading(step=16, spent_s=20.0, step_s=1.0, evaluation_s=2.0, evaluations_left=6)
    assert reading.end_s(18) == 20 + 2 + 2 * 2  # no more than steps
    assert reading.end_s(25) == 20 + 9 + 6 * 2
    assert reading.end_s(64) == 20 + 48 + 6 * 2
    schedule = StepSchedule(64)
    assert TimeBudget(80.0).steps(schedule, reading) is None, "it is on its way"
    assert TimeBudget(78.0).steps(schedule, reading) is None, "it is 3 % off"
    assert TimeBudget(70.0).steps(schedule, reading) == 54 and reading.end_s(54) == 70
    assert (
        TimeBudget(1.0).steps(schedule, reading) == 20
        and TimeBudget(1e6).steps(schedule, reading) == MAX_SCALE * 64
    )
    assert TimeBudget(1.0).steps(StepSchedule(64, [Rescale(4, 4.0, 20)]), reading) is None


def test_looks_are_spread_over_the_planned_steps_and_end_before_the_last() -> None:
    budget = BudgetController(TimeBudget(1.0), FitConfig(160), begun=0)
    due = [step for step in range(161) if budget.due(StepSchedule(160), step)]
    assert due == list(range(10, 150, 10)) and len(due) == CHECKS - 2
    resumed = BudgetController(TimeBudget(1.0), FitConfig(160), begun=40)
    assert not resumed.due(StepSchedule(160), 40) and resumed.due(StepSchedule(160), 50)
    turned = StepSchedule(160, [Rescale(100, 100.0, 120)])  # a step is three places
    assert [step for step in range(101, 120) if budget.due(turned, step)] == [104, 107, 110, 114]
    state = TrainState("", step=10, elapsed_s=15.0, evaluation_s=5.0)
    one = BudgetController(TimeBudget(1.0), FitConfig(160), begun=8)
    one.mark(state)
    one.mark(replace(state, step=12, elapsed_s=17.0))
    assert one.steps(StepSchedule(160), replace(state, step=12, elapsed_s=17.0)) is None, (
        "too few steps to tell"
    )
