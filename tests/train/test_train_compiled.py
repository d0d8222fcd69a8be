"""Compiled runs: when they are, what is said, and that a killed one is bit for bit the one that never was.

What compiles runs in processes of its own: the checker of shapes and torch.compile do not agree.
"""

import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from compiled_kinds import KINDS
from stopping import Starter, after_steps, facts, last_step, said, steps_logged
from tiny_run import CONFIG, STEPS, Said, TinyBatches, TinyModel, tiny_loss

from groundup.device import Compute
from groundup.files import read_json, write_json
from groundup.runs import RunFolder
from groundup.train.loop import fit
from groundup.train.monitor.callbacks import Hooks
from groundup.train.steps import compiled
from groundup.train.steps.compiled import compile_obstacle, decide_compile, repeatable
from groundup.train.steps.config import FitConfig
from groundup.train.steps.precision import MeasuredPrecision, StepClock

CPU = Compute(torch.device("cpu"))
needs_a_compiler = pytest.mark.skipif(
    bool(compile_obstacle(CPU.device)), reason="needs a C++ compiler"
)


def killed_often(starter: Starter, folder: Path, kind: str, kills: int) -> None:
    """Kill the run at random steps, then let it come to its end."""
    dice = random.Random(3)
    for _ in range(kills):
        moment = after_steps(steps_logged(folder) + dice.randint(1, max(2, STEPS // kills)))
        if starter.run(folder, signal=signal.SIGKILL, moment=moment, kind=kind, sleep_s=0.02) == 0:
            break
    assert starter.run(folder, kind=kind) == 0


@pytest.mark.slow
@needs_a_compiler
def test_a_compiled_run_killed_at_a_random_step_equals_never_stopped(
    starter: Starter, tmp_path: Path
) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    assert starter.run(whole, kind="compiled") == 0
    killed_often(starter, folder, "compiled", kills=1)
    assert facts(folder) == facts(whole)
    record = read_json(folder / "fit.json")
    assert record["compiled"] and set(record["step_s"]) == {"plain", "compiled"}
    assert "s of compiling: training compiled." in said(folder) and "Resuming after step" in said(
        folder
    )
    assert last_step(folder) == STEPS


@needs_a_compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["compiled", "muon compiled bf16"])
def test_a_compiled_run_killed_ten_times_equals_never_stopped(
    starter: Starter, tmp_path: Path, kind: str
) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    assert starter.run(whole, kind=kind) == 0
    killed_often(starter, folder, kind, kills=10)
    assert facts(folder) == facts(whole)


def decided(
    config: FitConfig, decision: MeasuredPrecision, folder: Path
) -> tuple[MeasuredPrecision, str]:
    """What is decided for a tiny model, and what was said."""
    told = Said(folder / "said")
    clock = StepClock(TinyModel(), [TinyBatches().batch(0)], tiny_loss, config, compute=CPU)
    found = decide_compile(decision, clock, progress=told)
    return found, told.path.read_text() if told.path.exists() else ""


def test_auto_leaves_short_runs_on_a_cpu_as_they_are_and_says_nothing(tmp_path: Path) -> None:
    before = MeasuredPrecision("float32", {"float32": 0.1, "bf16": 0.2})
    short = replace(CONFIG, steps=2_900)  # 290 s: 30 s are more than a tenth
    assert decided(short, before, tmp_path) == (before, "")
    assert decided(replace(CONFIG, compile="off", steps=10**6), before, tmp_path) == (before, "")


@pytest.mark.parametrize(
    ("plain", "made", "chosen"), [(0.1, 0.08, True), (0.1, 0.098, False), (0.1, 0.2, False)]
)
def test_auto_tries_in_long_runs_and_takes_what_is_clearly_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: float, made: float, chosen: bool
) -> None:
    """Only the clock is made up here: the compiler is a marker, and its steps are said to take `made` seconds."""
    monkeypatch.setattr(compiled, "compile_obstacle", lambda device, shared: "")
    monkeypatch.setattr(compiled, "compile_loss", lambda loss: "made")
    step_s = lambda self, loss, repeatably=False: made if loss == "made" else plain  # noqa: E731
    monkeypatch.setattr(compiled._CompileTrial, "_step_s", step_s)
    monkeypatch.setattr(compiled, "MEASURED_S", 0.001)
    found, text = decided(
        replace(CONFIG, steps=3_100), MeasuredPrecision("float32", {"float32": 0.1}), tmp_path
    )
    assert found.compiled is chosen and found.step_s["compiled"] == made
    assert f"{1000 * plain:.1f} ms uncompiled and {1000 * made:.1f} ms compiled" in text
    assert text.endswith(f"training {'compiled' if chosen else 'uncompiled'}.\n")


def test_without_a_compiler_the_run_goes_on_uncompiled_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    run, told = RunFolder(tmp_path / "run"), Said(tmp_path / "said")
    config = replace(CONFIG, compile="on", steps=2)
    result = fit(
        TinyModel(), TinyBatches(), tiny_loss, config, run, compute=CPU, hooks=Hooks(progress=told)
    )
    assert not result.compiled and not read_json(run.fit_file)["compiled"]
    assert (
        told.path.read_text().count("Training without torch.compile: there is no C++ compiler") == 1
    )


def test_a_compiler_that_fails_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(loss: object) -> object:
        def fails(*parts: object) -> None:
            raise RuntimeError("c++ died\nof old age")

        return fails

    monkeypatch.setattr(compiled, "compile_obstacle", lambda device, shared: "")
    monkeypatch.setattr(compiled, "compile_loss", failing)
    found, text = decided(replace(CONFIG, compile="on"), MeasuredPrecision("float32"), tmp_path)
    assert not found.compiled and text == "Training without torch.compile, which failed: c++ died\n"


def test_a_compiled_run_whose_compiler_is_gone_goes_on_and_says_what_that_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, told, config = (
        RunFolder(tmp_path / "run"),
        Said(tmp_path / "said"),
        replace(CONFIG, steps=2),
    )
    fit(TinyModel(), TinyBatches(), tiny_loss, config, run, compute=CPU)
    write_json(run.fit_file, {**read_json(run.fit_file), "compiled": True})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not fit(
        TinyModel(), TinyBatches(), tiny_loss, config, run, compute=CPU, hooks=Hooks(progress=told)
    ).compiled
    assert "without torch.compile, so not bitwise equal" in told.path.read_text()


def test_deterministic_algorithms_are_set_for_compiled_steps_alone_and_put_back() -> None:
    for on in (False, True):
        with repeatable(on, CPU.device):
            assert torch.are_deterministic_algorithms_enabled() is on
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.utils.deterministic.fill_uninitialized_memory


@needs_a_compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_gradients_are_the_gradients(kind: str) -> None:
    script = Path(__file__).parent / "compiled_kinds.py"
    done = subprocess.run(
        [sys.executable, str(script), kind], capture_output=True, text=True, check=True
    )
    said, difference = done.stdout.strip().rsplit(": ", 1)
    assert said == kind and float(difference) < (2e-2 if kind.endswith("bf16") else 1e-5)
