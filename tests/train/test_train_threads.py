"""A run whose number of threads changes on its way: each change is recorded, and taken again by whoever resumes it or does it again, bit for bit."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stopping import facts, steps_logged
from tiny_run import CONFIG, TinyBatch, TinyBatches, TinyModel, tiny_loss
from torch import nn

from groundup.device import Compute
from groundup.files import read_json, write_json, write_manifest
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.state import MODEL_FILE
from groundup.train.checkpoint.tensors import weight_tensors
from groundup.train.loop import FitResult, fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.monitor.time_budget import StepControl
from groundup.train.steps.config import FitConfig
from groundup.train.steps.step import LossSum
from groundup.train.steps.step_schedule import Threads
from groundup.weights.hf import save_tensors

TWO = Compute(torch.device("cpu"), thread_counts=(2, 1))
CHANGES = (Threads(0, 2), Threads(5, 1), Threads(9, 2), Threads(12, 1), Threads(20, 2))


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Stopping(TinyBatches):
    """Stops the run where a batch is asked for, once."""

    def batch(self, position: int) -> TinyBatch:
        if position == self.stop_at:
            raise KeyboardInterrupt
        return super().batch(position)

    stop_at = -1


def shared_out_loss(model: nn.Module, batch: TinyBatch) -> LossSum:
    """With a term whose gradient is a sum over so many numbers that torch shares it out: two threads round it otherwise than one."""
    found = tiny_loss(model, batch)
    total = model(batch.ids).sum()
    return LossSum(found.total + 1e-4 * total * total, found.count)


def trained(
    folder: Path, *, stop_at: int = -1, config: FitConfig = CONFIG, **more: object
) -> FitResult:
    model, batches = TinyModel(), Stopping(rows=64)
    held_out = TinyBatches(rows=8).batch(10**6)
    object.__setattr__(batches, "stop_at", stop_at)

    def evaluate() -> dict[str, float]:
        part = tiny_loss(model, held_out)
        return {"validation_loss": part.total.item() / part.count}

    return fit(
        model,
        batches,
        shared_out_loss,
        config,
        RunFolder(folder),
        compute=TWO,
        hooks=Hooks(
            evaluate=evaluate,
            sample=lambda step: [],
            snapshot=lambda to: save_tensors(weight_tensors(model), to / MODEL_FILE),
            control=StepControl(**more),  # type: ignore[arg-type]
        ),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all changes that was never stopped."""
    before = torch.get_num_threads()
    trained(folder := tmp_path_factory.mktemp("threads") / "whole", threads=CHANGES)
    torch.set_num_threads(before)
    return folder


def test_each_change_is_taken_at_its_step_recorded_and_logged(tmp_path: Path) -> None:
    counts: list[int] = []

    class Looked(TinyBatches):
        def batch(self, position: int) -> TinyBatch:
            counts.append(torch.get_num_threads())
            return super().batch(position)

    run = RunFolder(tmp_path / "run")
    result = fit(
        TinyModel(),
        Looked(),
        tiny_loss,
        replace(CONFIG, accumulation=1),
        run,
        compute=TWO,
        hooks=Hooks(control=StepControl(threads=CHANGES)),
    )
    assert counts[-24:] == [2] * 5 + [1] * 4 + [2] * 3 + [1] * 8 + [2] * 4
    assert result.state.threads == list(CHANGES)


def test_the_number_of_threads_changes_last_bits_so_its_record_is_needed(
    whole: Path, tmp_path: Path
) -> None:
    trained(tmp_path / "two", threads=CHANGES[:1])
    assert facts(tmp_path / "two")["model"] != facts(whole)["model"]


SLOW = [pytest.param(step, marks=pytest.mark.slow) for step in (10, 18, 24, 40)]


@pytest.mark.parametrize("stop_at", [11, *SLOW])
def test_a_run_resumed_between_changes_ends_as_if_never_stopped_bit_for_bit(
    whole: Path, tmp_path: Path, stop_at: int
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(folder, threads=CHANGES, stop_at=stop_at)
    assert 0 < steps_logged(folder) < CONFIG.steps
    torch.set_num_threads(1)
    assert trained(folder, threads=CHANGES).state.threads == list(CHANGES)
    assert facts(folder) == facts(whole)


@pytest.mark.slow
def test_a_run_whose_threads_were_tuned_is_done_again_bit_for_bit(tmp_path: Path) -> None:
    """The tuner is told by a clock on which another program begins and ends to keep a core busy."""
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        position = steps_logged(tmp_path / "once")
        now_s += (
            0.5
            if torch.get_num_threads() == 2 and 8 <= position < 16
            else 0.1 / torch.get_num_threads()
        )
        return now_s

    config = replace(CONFIG, steps=48)
    once = trained(tmp_path / "once", config=config, clock=clock)
    assert len(once.state.threads) > 3 and {each.count for each in once.state.threads} == {1, 2}
    events = [
        line
        for line in read_lines(RunFolder(tmp_path / "once").metrics_file)
        if line.get("event") == "threads"
    ]
    assert [(line["step"], line["threads"]) for line in events] == [
        (c.step, c.count) for c in once.state.threads[1:]
    ]
    torch.set_num_threads(1)
    again = trained(tmp_path / "again", config=config, threads=once.state.threads)
    assert again.state.threads == once.state.threads
    first, second = facts(tmp_path / "once"), facts(tmp_path / "again")
    for name in ("checkpoint", "model", "tensors", "samples", "snapshots"):
        assert first[name] == second[name]


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_the_threads_it_had_and_keeps_their_history(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(folder, threads=CHANGES, stop_at=30)  # after step 15: one thread since step 12
    torch.set_num_threads(2)
    result = trained(folder)  # tuned from here on
    assert result.state.threads[:4] == list(CHANGES[:4]) and all(
        each.step >= 15 for each in result.state.threads[4:]
    )


def test_where_the_user_fixed_the_number_it_stays(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    fixed = Compute(torch.device("cpu"))
    result = fit(
        TinyModel(),
        TinyBatches(),
        tiny_loss,
        CONFIG,
        run,
        compute=fixed,
        hooks=Hooks(control=StepControl(threads=CHANGES)),
    )
    assert torch.get_num_threads() == 1 and result.state.threads == [Threads(0, 1)], (
        "the record says what was done"
    )


def test_steps_that_a_killed_run_had_logged_are_done_again_with_their_threads(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trained(folder, threads=CHANGES, stop_at=44)  # after step 22
    run = RunFolder(folder)
    shutil.rmtree(
        run.checkpoints / "step-22"
    )  # as kill -9 leaves it: the log is ahead of the last checkpoint, of step 20 or before
    state = read_json(run.checkpoints / "step-20" / "state.json")
    state["threads"] = [each for each in state["threads"] if each["step"] < 20]
    write_json(run.checkpoints / "step-20" / "state.json", state)
    write_manifest(run.checkpoints / "step-20")
    with run.metrics_file.open("a") as log:  # a run that is tuned logs each change
        log.write('{"event": "threads", "step": 20, "threads": 2}\n')
    torch.set_num_threads(1)
    result = trained(folder)  # tuned, but for what is known
    assert result.state.threads[: len(CHANGES)] == list(CHANGES)
    losses = [
        [line["loss"] for line in read_lines(RunFolder(each).metrics_file) if "loss" in line]
        for each in (whole, folder)
    ]
    assert losses[0][:22] == losses[1][:22]
