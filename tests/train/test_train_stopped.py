"""A run that was stopped, however, and started again is bit for bit the run that never was. Real processes, real signals, a real disk limit."""

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from stopping import (
    Starter,
    after_seconds,
    after_steps,
    facts,
    half_written,
    is_held,
    last_step,
    said,
    steps_logged,
)
from tiny_run import STEPS

from groundup.files import verify_folder
from groundup.runs import RunFolder, read_lines

KILLS = 10
KINDS = (
    "adamw",
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("muon bf16", "muon", "sgd", "bf16")),
)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments_and_inside_saves_equals_never_stopped(
    starter: Starter, whole: Callable[[str], dict[str, object]], tmp_path: Path, kind: str
) -> None:
    folder, dice = tmp_path / "run", random.Random(1)
    inside = killed = 0
    while killed < KILLS:
        if killed % 2:
            moment, at_file = is_held, 1 + inside % 3
        else:
            moment, at_file = after_seconds(dice.uniform(0.02, 0.25)), 0
        held = {"sleep_s": 0.004, "hold_in_save": at_file}
        status = starter.run(folder, signal=signal.SIGKILL, moment=moment, kind=kind, **held)
        if status == 0:
            break  # it came to its end first
        assert status == -signal.SIGKILL
        killed += 1
        inside += bool(half_written(folder))
    assert starter.run(folder, kind=kind) == 0
    assert killed >= 6 and inside >= 3, (killed, inside)
    assert facts(folder) == whole(kind)
    assert not list(RunFolder(folder).checkpoints.glob(".tmp-*"))
    assert sorted(path.name for path in RunFolder(folder).snapshots.iterdir()) == [
        f"step-{s:06d}" for s in (0, 1, 4, 9, 15, 24)
    ]


SIGNALS = [
    (signal.SIGINT, 130, "adamw"),
    (signal.SIGTERM, 143, "adamw"),
    pytest.param(signal.SIGTERM, 143, "muon", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("number", "code", "kind"), SIGNALS)
def test_stopped_by_a_signal_saves_and_goes_on_equal(
    starter: Starter,
    whole: Callable[[str], dict[str, object]],
    tmp_path: Path,
    number: int,
    code: int,
    kind: str,
) -> None:
    folder = tmp_path / "run"
    for steps in (3, 6, 14):  # 6: the log has it while its evaluation is still running
        moment = after_steps(steps)
        assert starter.run(folder, signal=number, moment=moment, sleep_s=0.02, kind=kind) == code
        assert last_step(folder) == steps_logged(folder), "nothing that was done is done again"
    assert "Stopped after step" in said(folder) and "Resuming after step" in said(folder)
    assert starter.run(folder, kind=kind) == 0
    assert facts(folder) == whole(kind)


@pytest.mark.parametrize("kind", ["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def test_full_disk_ends_in_one_sentence_and_goes_on_when_there_is_room(
    starter: Starter, whole: Callable[[str], dict[str, object]], tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "run"
    assert (
        starter.run(folder, signal=signal.SIGTERM, moment=after_steps(5), sleep_s=0.02, kind=kind)
        == 143
    )
    before = last_step(folder)
    assert starter.run(folder, file_limit_bytes=50_000, kind=kind) == 2
    (sentence,) = [line for line in said(folder).splitlines() if line.startswith("error:")]
    assert "No space left" in sentence and "Free some space" in sentence
    assert last_step(folder) == before and not half_written(folder)
    verify_folder(RunFolder(folder).checkpoints / f"step-{before}")
    assert starter.run(folder, kind=kind) == 0
    assert facts(folder) == whole(kind)


def test_a_finished_run_called_again_does_nothing(starter: Starter, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert starter.run(folder) == 0
    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert starter.run(folder) == 0
    assert {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    } == before


def test_the_log_has_a_line_for_every_step_and_evaluation(starter: Starter, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert starter.run(folder) == 0
    lines = list(read_lines(RunFolder(folder).metrics_file))
    steps = [line for line in lines if "event" not in line]
    assert [line["step"] for line in steps] == list(range(1, STEPS + 1))
    assert all(line["tokens"] == line["step"] * 64 for line in steps)
    assert {
        "step",
        "tokens",
        "loss",
        "learning_rate",
        "grad_norm",
        "tokens_per_s",
        "elapsed_s",
    } == set(steps[0])
    evaluations = [line for line in lines if line.get("event") == "evaluation"]
    assert [line["step"] for line in evaluations] == [0, 6, 12, 18, 24]
    samples = [json.loads(line) for line in RunFolder(folder).samples_file.read_text().splitlines()]
    assert [sample["step"] for sample in samples] == [0, 6, 12, 18, 24]
