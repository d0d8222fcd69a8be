"""Two processes train as one does. Real processes over gloo, started by torchrun's agent; all runs of theirs are made in one start.

Those of the default suite are forked from a process that has imported everything, the slow ones started by the command itself.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_program import ForkedProgram
from safetensors.torch import load_file
from shared_run import STEPS, shared_fit

from groundup.errors import ConfigError, GroundupError
from groundup.files import verify_folder
from groundup.runs import RunFolder, read_lines
from groundup.train.checkpoint.state import load_latest, read_weights
from groundup.train.steps.process_group import SINGLE_PROCESS, require_shares

SCRIPT = Path(__file__).parent / "shared_run.py"
WAYS = ("ddp", "fsdp")
STOP_AT = 20
"""The first batch of step 11: the signal comes inside it, and it is the last that is done."""
STOPPED = 11
MUON, BF16 = {"optimizer": {"name": "muon", "learning_rate": 0.01}}, {"precision": "bf16"}
# Learned after some 30 steps; then eight steps of labels that mean nothing.
POISONED: dict[str, Any] = {
    "config": {
        "steps": 60,
        "stability.rollback_nats": 1.0,
        "checkpoints.every": 5,
        "evaluate_every": 60,
        "schedule.warmup_steps": 0,
    },
    "nonsense": (80, 96),
}
# A step takes a second by the first process's clock, and two by the other's.
AIM_S = 14.0
TIMES = ("tokens_per_s", "elapsed_s", "evaluation_s")
OF_ONE: dict[str, dict[str, Any]] = {
    "one": {},
    "aimed": {"aim_s": AIM_S},
    "packed": {"packed": True},
}
Runs = Callable[[str], Path]


def torchrun(*words: str) -> tuple[int, str]:
    """Start a command twice: the exit status of torchrun, and what was said."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    return done.returncode, done.stderr


def jobs(way: str) -> list[dict[str, Any]]:
    """The runs of two processes that every suite looks at. A folder that comes twice is stopped and taken up again."""
    return [
        {"folder": way},
        {"folder": f"{way}-resumed", "stop_at": STOP_AT},
        {"folder": f"{way}-resumed"},
        *(aimed("ddp") if way == "ddp" else packed("fsdp")),
    ]


def aimed(way: str) -> list[dict[str, Any]]:
    return [
        {"folder": f"{way}-aimed", "aim_s": AIM_S, "stop_at": STOP_AT},
        {"folder": f"{way}-aimed", "aim_s": AIM_S},
    ]


def packed(way: str) -> list[dict[str, Any]]:
    return [{"folder": f"{way}-packed", "packed": True}]


def more_jobs(way: str) -> list[dict[str, Any]]:
    """What takes longer."""
    return [
        {"folder": f"{way}-stopped", "stop_at": STOP_AT},
        {"folder": f"one-to-{way}"},
        *(packed("ddp") if way == "ddp" else aimed("fsdp")),
        {"folder": f"{way}-muon", "config": MUON},
        {"folder": f"{way}-bf16", "config": BF16},
        {"folder": f"{way}-spoiled", "spoiled": True},
        {"folder": f"{way}-recompute", "config": {"recompute": True}},
        {"folder": f"{way}-poisoned", **POISONED},
        {
            "folder": f"other-to-{way}",
            "stop_at": STOP_AT,
            "parallel": "ddp" if way == "fsdp" else "fsdp",
        },
        {"folder": f"other-to-{way}"},
    ]


def made(
    root: Path,
    of_one: dict[str, dict[str, Any]],
    chosen: Callable[[str], list[dict[str, Any]]],
    start: Callable[[str], tuple[int, str]],
) -> Runs:
    """Make runs of one process here and those of two by `start`; where each lies."""
    for name, job in of_one.items():
        shared_fit({"folder": str(root / name), **job})
    every = [
        {"parallel": way, **job, "folder": str(root / job["folder"])}
        for way in WAYS
        for job in chosen(way)
    ]
    (root / "jobs.json").write_text(json.dumps(every))
    status, said = start(str(root / "jobs.json"))
    assert status == 0, said[:3000]
    return lambda name: root / name


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, forked_torchrun: Callable[..., ForkedProgram]
) -> Runs:
    def forked(file: str) -> tuple[int, str]:
        process = forked_torchrun("shared_run", file)
        _, said = process.communicate()
        return process.wait(), said

    return made(tmp_path_factory.mktemp("shared"), OF_ONE, jobs, forked)


@pytest.fixture(scope="module")
def more_runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    root = tmp_path_factory.mktemp("more")
    for way in WAYS:
        with pytest.raises(SystemExit):
            shared_fit({"folder": str(root / f"one-to-{way}"), "stop_at": STOP_AT})
    of_one: dict[str, dict[str, Any]] = {
        **OF_ONE,
        "muon": {"config": MUON},
        "bf16": {"config": BF16},
        "poisoned": POISONED,
    }
    return made(root, of_one, more_jobs, functools.partial(torchrun, str(SCRIPT)))


def losses(folder: Path) -> list[float]:
    """The loss of each step that is in the log."""
    return [
        line["loss"] for line in read_lines(RunFolder(folder).metrics_file) if "event" not in line
    ]


def lines(folder: Path) -> list[dict[str, Any]]:
    """The log without times."""
    found = read_lines(RunFolder(folder).metrics_file)
    return [{k: v for k, v in line.items() if k not in TIMES} for line in found]


def endings(folder: Path, rank: int) -> list[dict[str, Any]]:
    """How each run of a folder ended."""
    return [
        json.loads(line) for line in folder.with_suffix(f".{rank}.jsonl").read_text().splitlines()
    ]


def ended(folder: Path, rank: int) -> dict[str, Any]:
    return endings(folder, rank)[-1]


def farthest(first: list[float], second: list[float]) -> float:
    assert len(first) == len(second) >= STEPS
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_lose_what_one_does(runs: Runs, way: str) -> None:
    """Also where they supervise different numbers of tokens, and where one has none."""
    assert farthest(losses(runs(way)), losses(runs("one"))) < 1e-5
    assert [line["tokens"] for line in lines(runs(way)) if "event" not in line] == [
        line["tokens"] for line in lines(runs("one")) if "event" not in line
    ]


def test_two_processes_lose_on_packed_rows_what_one_does(runs: Runs) -> None:
    check_packed(runs, "fsdp")


@pytest.mark.slow
def test_two_processes_of_ddp_lose_on_packed_rows_what_one_does(more_runs: Runs) -> None:
    check_packed(more_runs, "ddp")


def check_packed(runs: Runs, way: str) -> None:
    assert farthest(losses(runs(f"{way}-packed")), losses(runs("packed"))) < 1e-5
    assert farthest(losses(runs("packed")), losses(runs("one"))) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_with_muon_and_in_bf16_they_stay_near(more_runs: Runs, way: str) -> None:
    """Muon orthogonalises in bfloat16, so a rounding more or less parts the runs; bf16 keeps 8 bits of a number."""
    assert farthest(losses(more_runs(f"{way}-muon")), losses(more_runs("muon"))) < 2e-3
    assert farthest(losses(more_runs(f"{way}-bf16")), losses(more_runs("bf16"))) < 2e-2


@pytest.mark.parametrize("way", WAYS)
def test_the_same_number_of_processes_gives_the_same_bits(runs: Runs, way: str) -> None:
    """Two runs, of which one was stopped by a signal to one process and taken up again."""
    whole, resumed = runs(way), runs(f"{way}-resumed")
    assert lines(whole) == lines(resumed)
    assert (
        whole.with_suffix(".safetensors").read_bytes()
        == resumed.with_suffix(".safetensors").read_bytes()
    )
    assert "not bitwise equal" not in runs(f"{way}-resumed").with_suffix(".said").read_text()


@pytest.mark.parametrize("way", WAYS)
def test_a_signal_to_one_stops_all_after_the_same_step_saved(runs: Runs, way: str) -> None:
    folder = runs(f"{way}-resumed")
    assert [endings(folder, rank)[0] for rank in (0, 1)] == [{"exit": 143}] * 2
    said = folder.with_suffix(".said").read_text()
    assert f"Stopped after step {STOPPED} of {STEPS}, saved" in said
    assert f"Resuming after step {STOPPED} of {STEPS}" in said


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_what_a_signal_left_is_the_checkpoint_of_its_step(more_runs: Runs, way: str) -> None:
    folder = more_runs(f"{way}-stopped")
    checkpoint = load_latest(RunFolder(folder).checkpoints, read_identity(folder), print)
    assert checkpoint is not None and checkpoint.state.step == STOPPED == len(losses(folder))


def read_identity(folder: Path) -> str:
    newest = max(RunFolder(folder).checkpoints.glob("step-*"), key=lambda path: int(path.name[5:]))
    return str(json.loads((newest / "state.json").read_text())["identity"])


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_with_another_number_of_processes(more_runs: Runs, way: str) -> None:
    """The same batches, and losses as of a run that never stopped; that it is not bit for bit is said."""
    whole, grown = losses(more_runs("one")), more_runs(f"one-to-{way}")
    assert farthest(losses(grown), whole) < 1e-5
    assert f"processes was 1, is 2 by {way}" in grown.with_suffix(".said").read_text()
    stopped = more_runs(f"{way}-stopped")
    shared_fit({"folder": str(stopped)})
    assert farthest(losses(stopped), whole) < 1e-5
    said = stopped.with_suffix(".said").read_text()
    assert "Resuming, but not bitwise equal" in said and f"processes was 2 by {way}, is 1" in said


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_in_the_other_way(more_runs: Runs, way: str) -> None:
    assert farthest(losses(more_runs(f"other-to-{way}")), losses(more_runs("one"))) < 1e-5
    last = RunFolder(more_runs(f"other-to-{way}")).checkpoints / f"step-{STEPS}"
    assert any(last.glob("shard-*.safetensors")) == (way == "fsdp")


@pytest.mark.parametrize("way", WAYS)
def test_evaluations_and_samples_are_made_once_and_written_once(runs: Runs, way: str) -> None:
    assert (runs(way) / "samples.jsonl").read_bytes() == (
        runs("one") / "samples.jsonl"
    ).read_bytes()
    assert (
        runs(way).with_suffix(".once").read_text() == runs("one").with_suffix(".once").read_text()
    )
    found, expected = (
        [line for line in lines(runs(name)) if line.get("event") == "evaluation"]
        for name in (way, "one")
    )
    assert [line["step"] for line in found] == [line["step"] for line in expected] == [0, 10, 20]
    for one, other in zip(found, expected, strict=True):
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], abs=1e-5)
    assert ended(runs(way), 0) == ended(runs(way), 1), "all know which checkpoint is best"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_step_that_is_no_number_on_one_process_is_skipped_on_all(
    more_runs: Runs, way: str
) -> None:
    folder = more_runs(f"{way}-spoiled")
    skipped = [line for line in lines(folder) if line.get("event") == "skipped"]
    assert [line["step"] for line in skipped] == [2, 6, 9, 13, 16, 20]
    assert ended(folder, 0)["skipped"] == ended(folder, 1)["skipped"] == 6


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_activations_computed_anew_give_the_same_run(more_runs: Runs, way: str) -> None:
    assert farthest(losses(more_runs(f"{way}-recompute")), losses(more_runs("one"))) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_all_are_rolled_back_together_to_the_same_weights(more_runs: Runs, way: str) -> None:
    """By the loss of the whole, which all know: from one process's checkpoint or from shards."""
    found, expected = (
        [line for line in lines(more_runs(name)) if line.get("event") == "rolled back"]
        for name in (f"{way}-poisoned", "poisoned")
    )
    assert [(line["step"], line["to_step"]) for line in found] == [
        (line["step"], line["to_step"]) for line in expected
    ]
    assert len(found) == ended(more_runs(f"{way}-poisoned"), 0)["rolled_back"] == 1
    assert ended(more_runs(f"{way}-poisoned"), 0) == ended(more_runs(f"{way}-poisoned"), 1)
    assert farthest(losses(more_runs(f"{way}-poisoned")), losses(more_runs("poisoned"))) < 1e-3


def test_all_keep_the_time_of_the_first_one_s_clock(runs: Runs) -> None:
    check_aimed(runs, "ddp")


@pytest.mark.slow
def test_all_of_fsdp_keep_the_time_of_the_first_one_s_clock(more_runs: Runs) -> None:
    check_aimed(more_runs, "fsdp")


def check_aimed(runs: Runs, way: str) -> None:
    """Also stopped in between, and taken up again."""
    folder = runs(f"{way}-aimed")
    assert ended(folder, 0) == ended(folder, 1) and ended(folder, 0)["turns"] == [[6, 14]]
    assert len(losses(folder)) == len(losses(runs("aimed"))) == 14
    assert (
        max(abs(a - b) for a, b in zip(losses(folder), losses(runs("aimed")), strict=True)) < 1e-5
    )
    rates = [
        [line["learning_rate"] for line in lines(runs(name)) if "learning_rate" in line]
        for name in (f"{way}-aimed", "aimed", "one")
    ]
    assert rates[0] == rates[1] and rates[0][-1] == rates[2][-1]


def test_a_sharded_checkpoint_is_the_model_and_has_no_pickle(runs: Runs) -> None:
    folder = RunFolder(runs("fsdp")).checkpoints / f"step-{STEPS}"
    verify_folder(folder)
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".json"}
    assert len(list(folder.glob("shard-*"))) == 4, "each process wrote its weights and its memory"
    weights, model = read_weights(folder), load_file(runs("fsdp").with_suffix(".safetensors"))
    assert set(weights) == set(model)
    assert all(torch.equal(weights[name], model[name]) for name in model)
    snapshot = load_file(RunFolder(runs("fsdp")).snapshot(STEPS) / "model.safetensors")
    assert all(torch.equal(snapshot[name], model[name]) for name in model)


def test_a_batch_that_cannot_be_shared_out_is_refused_with_the_nearest_sizes() -> None:
    with pytest.raises(
        ConfigError,
        match="batch_size 8 can't be divided evenly among 3 processes; the nearest are 6 and 9",
    ):
        require_shares(8, 3)
    with pytest.raises(ConfigError, match="the smallest is 4"):
        require_shares(2, 4)
    require_shares(8, 1)


def test_alone_a_message_is_what_it_was_told() -> None:
    assert SINGLE_PROCESS.leads and SINGLE_PROCESS.first(lambda: {"a": 1}) == {"a": 1}
    assert SINGLE_PROCESS.gather([1.0, 2.0]).tolist() == [[1.0, 2.0]]
    with pytest.raises(GroundupError, match="here"), SINGLE_PROCESS.lost_process_errors():
        raise GroundupError("here")
