"""Observers are told all that is logged, and change nothing: not the weights, not the end of a run."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from stopping import facts
from tiny_run import CONFIG, Said, TinyBatches, TinyModel, tiny_loss

from groundup.device import Compute
from groundup.errors import ConfigError, MissingExtra
from groundup.progress import Silent
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.state import MODEL_FILE
from groundup.train.checkpoint.tensors import weight_tensors
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import (
    LOGGERS,
    Callback,
    CallbackList,
    Hooks,
    Line,
    RunFacts,
    loggers,
)
from groundup.train.steps.config import FitConfig
from groundup.weights.hf import save_tensors

CPU = Compute(torch.device("cpu"))
FACTS = RunFacts(Path("run"), "a run", 24, 0, "float32", CPU)
HINT = "needs {0}: pip install 'groundup[{0}]'"


class Kept:
    """An observer that keeps what it is told; it raises in the calls named in `fails`."""

    def __init__(self, *fails: str, stop_at: int | None = None) -> None:
        self.fails, self.stop_at = fails, stop_at
        self.facts: list[RunFacts] = []
        self.lines: list[Line] = []
        self.closed = 0

    def begin(self, facts: RunFacts) -> None:
        self.facts.append(facts)
        if "begin" in self.fails:
            raise OSError("no room for logs")

    def observe(self, line: Line) -> None:
        self.lines.append(line)
        if "observe" in self.fails:
            raise ValueError("a line it can't take")
        if line["step"] == self.stop_at:
            raise KeyboardInterrupt

    def close(self) -> None:
        self.closed += 1
        if "close" in self.fails:
            raise RuntimeError("can't end")


def trained(
    folder: Path, *observers: Callback, progress: Any = None, config: FitConfig = CONFIG
) -> None:
    model = TinyModel()
    fit(
        model,
        TinyBatches(),
        tiny_loss,
        config,
        RunFolder(folder),
        compute=CPU,
        hooks=Hooks(
            evaluate=lambda: {"validation_loss": 1.0},
            sample=lambda step: [{"prompt": "a", "text": f"b{step}"}],
            snapshot=lambda to: save_tensors(weight_tensors(model), to / MODEL_FILE),
            progress=progress or Said(folder.with_suffix(".said")),
            callbacks=observers,
        ),
    )


def test_an_observer_is_told_every_line_and_every_sample(tmp_path: Path) -> None:
    kept = Kept()
    trained(tmp_path / "run", kept)
    run = RunFolder(tmp_path / "run")
    assert [line for line in kept.lines if line.get("event") != "sample"] == list(
        read_lines(run.metrics_file)
    )
    samples = [dict(line) for line in kept.lines if line.get("event") == "sample"]
    assert samples == [{"event": "sample", **line} for line in read_lines(run.samples_file)]
    (begun,) = kept.facts
    assert (begun.folder, begun.steps, begun.done, begun.precision) == (run.path, 24, 0, "float32")
    assert kept.closed == 1


@pytest.mark.parametrize("fails", ["begin", "observe", "close"])
def test_a_run_with_observers_and_failing_ones_is_the_run_without(
    tmp_path: Path, fails: str
) -> None:
    trained(tmp_path / "alone")
    trained(tmp_path / "told", Kept(), Kept(fails))
    assert facts(tmp_path / "told") == facts(tmp_path / "alone")
    said = (tmp_path / "told.said").read_text()
    assert said.count("Kept failed and is not called again; training continues") == 1


@pytest.mark.parametrize(
    "fails", [("begin",), ("observe",), ("close",), ("begin", "close"), ("observe", "close")]
)
def test_an_observer_that_fails_is_closed_once_and_told_nothing_more(
    fails: tuple[str, ...],
) -> None:
    said: list[str] = []
    failing, sound = Kept(*fails), Kept()
    observers = CallbackList([failing, sound], said.append)
    observers.begin(FACTS)
    for step in (1, 2):
        observers.observe({"step": step})
    observers.close()
    assert (failing.closed, sound.closed, len(said)) == (1, 1, 1)
    assert (
        len(failing.lines) == {"begin": 0, "observe": 1, "close": 2}[fails[0]]
        and len(sound.lines) == 2
    )


def test_a_resumed_run_tells_where_it_goes_on(tmp_path: Path) -> None:
    first, second = Kept(stop_at=10), Kept()
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "run", first)
    trained(tmp_path / "run", second)
    assert first.closed == 1 and second.facts[0].done == 10
    assert second.facts[0].identity == first.facts[0].identity
    assert min(line["step"] for line in second.lines) == 11


def test_a_progress_that_observes_is_told_without_being_named(tmp_path: Path) -> None:
    class Panel(Kept, Silent):
        pass

    panel = Panel()
    trained(tmp_path / "run", progress=panel)
    assert len([line for line in panel.lines if "event" not in line]) == 24


def test_a_logger_that_is_unknown_or_not_installed_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match="'tensorbord' is not one of"):
        loggers(["tensorbord"])
    for name in LOGGERS:
        monkeypatch.setattr("groundup.train.monitor.callbacks.find_spec", lambda package: None)
        with pytest.raises(MissingExtra) as missing:
            loggers([name])
        assert missing.value.fix == f"Install it with: pip install 'groundup[{name}]'"


def stopped_and_resumed(folder: Path, make: Callable[[], Callback]) -> None:
    """A run that is killed after logging step 10, whose last checkpoint is that of step 8, and its second session."""
    with pytest.raises(KeyboardInterrupt):
        trained(folder, make(), Kept(stop_at=10))
    shutil.rmtree(folder / "checkpoints" / "step-10")  # kill -9 would not have saved it
    trained(folder, make())


def test_tensorboard_reads_the_curves_each_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason=HINT.format("tensorboard"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stopped_and_resumed(tmp_path / "run", lambda: loggers(["tensorboard"])[0])
    read = EventAccumulator(
        str(tmp_path / "run" / "logs" / "tensorboard"), size_guidance={"scalars": 0}
    )
    read.Reload()
    losses = read.Scalars("training/loss")
    assert [event.step for event in losses] == list(range(1, 25))
    logged = [
        line["loss"]
        for line in read_lines(RunFolder(tmp_path / "run").metrics_file)
        if "event" not in line
    ]
    assert [event.value for event in losses] == pytest.approx(logged)
    assert [event.step for event in read.Scalars("evaluation/validation_loss")] == [
        0,
        6,
        12,
        18,
        24,
    ]
    assert len(read.Tensors("sample/text_summary")) == 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # its own dependencies' deprecations
def test_wandb_keeps_a_run_offline_in_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason=HINT.format("wandb"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    stopped_and_resumed(tmp_path / "run", lambda: loggers(["wandb"])[0])
    files = list((tmp_path / "run" / "logs" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2 and len({file.name for file in files}) == 1, "two sessions of one run"
    assert "fails" not in (tmp_path / "run.said").read_text()
    assert all(b"training/loss" in file.read_bytes() for file in files)
