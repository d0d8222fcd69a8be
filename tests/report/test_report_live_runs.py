"""Runs followed while they grow: what they are doing, how far they are, which there are."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from live_runs import Writer

from groundup.errors import ConfigError
from groundup.locks import LOCKS, held, is_locked
from groundup.report.live.follow import FollowedRun, Watched, status_of
from groundup.runs import RunFolder


def followed(folder: Path) -> FollowedRun:
    run = FollowedRun(folder, "run")
    run.read()
    return run


def test_reading_in_pieces_comes_to_the_same_as_reading_at_once(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run", skips=(50,))
    writer.begin()
    piecewise = followed(writer.folder)
    for first in range(0, 200, 40):
        writer.write(first, first + 39)
        piecewise.read()
    writer.write(200, 200)
    piecewise.read()
    whole = followed(writer.folder)
    assert {**piecewise.detail(), "version": 0} == {**whole.detail(), "version": 0}
    now_s = os.stat(writer.folder / "metrics.jsonl").st_mtime
    assert {**piecewise.summary(now_s), "version": 0} == {**whole.summary(now_s), "version": 0}


def test_a_run_on_its_way_says_how_far_it_is_and_how_long_it_takes(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run", skips=(50,))
    writer.begin()
    writer.write(last=100)
    run = followed(writer.folder)
    row = run.summary()
    assert (row["status"], row["step"], row["steps"], row["skipped"], row["kind"]) == (
        "running",
        100,
        200,
        1,
        "pretrain",
    )
    assert row["left_s"] == pytest.approx(5.0, rel=0.05)  # 100 steps of 0.05 s
    assert (
        row["evaluation"]["validation"]
        == row["evaluation"]["validation_loss"]
        == row["best"]["loss"]
    )
    assert run.detail()["figures"] == [
        "bits_per_byte",
        "bits_per_byte:plays",
        "bits_per_byte:sonnets",
        "validation_loss",
    ]
    assert [(each["event"], each["step"], each["reason"]) for each in run.detail()["marks"]] == [
        ("skipped", 50, "the loss is nan")
    ]
    assert run.detail()["settings"]["fit.learning_rate"] == "0.002"


def test_a_run_rolled_back_is_marked_where_it_happened_and_counted(tmp_path: Path) -> None:
    log = [
        {"step": 8, "loss": 9.0},
        {"event": "rolled back", "step": 8, "to_step": 4, "reason": "the loss rose"},
        {"step": 9, "loss": 3.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    run = followed(tmp_path)
    assert (run.summary()["rolled_back"], run.summary()["skipped"]) == (1, 0)
    assert run.detail()["marks"] == [
        {"step": 8, "event": "rolled back", "reason": "the loss rose", "to_step": 4}
    ]
    assert run.detail()["columns"]["step"] == [8, 9]


def test_a_run_that_aims_at_another_number_of_steps_has_the_last_one_told(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run")
    writer.begin()
    writer.write(last=100)
    run = followed(writer.folder)
    assert run.summary()["steps"] == 200
    log = writer.folder / "metrics.jsonl"
    before, marks = log.read_bytes(), run.detail()["marks"]
    for steps in (260, 150):
        with log.open("a") as handle:
            handle.write(
                json.dumps({"event": "re-aimed", "step": 100, "steps": steps, "elapsed_s": 5.0})
                + "\n"
            )
    run.read()
    row = run.summary()
    assert (row["step"], row["steps"]) == (100, 150)
    assert row["left_s"] == pytest.approx(2.5, rel=0.05)  # 50 steps of 0.05 s
    assert run.detail()["marks"] == marks
    log.write_bytes(before)  # it was killed, and went on from before that
    run.read()
    assert run.summary()["steps"] == 200


def test_a_run_that_is_planned_and_has_not_begun_says_its_steps(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.write_plan({}, model={"width": 64}, fit={"steps": 120}, planned={"elapsed_s": 60.0})
    assert followed(run.path).summary()["steps"] == 120
    run.create("pretrain", {"fit": {"steps": 90}}, {})
    assert followed(run.path).summary()["steps"] == 90


def test_training_loss_beside_an_evaluation_is_of_the_steps_just_before(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run")
    writer.begin()
    writer.write()
    first, *_, last = followed(writer.folder).detail()["evaluations"]
    assert first["train_loss"] is None
    assert last["train_loss"] == pytest.approx(writer.loss(175), abs=0.15)


def test_what_is_new_raises_the_version_and_nothing_else_does(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run")
    run = followed(writer.folder)
    versions = []
    for deed in (
        writer.begin,
        lambda: writer.write(last=3),
        lambda: None,
        writer.end,
        lambda: None,
    ):
        deed()
        run.read()
        versions.append(run.version)
    assert versions[0] > 0
    assert versions[1] > versions[0]
    assert versions[2] == versions[1]
    assert versions[3] == versions[2] + 1
    assert versions[4] == versions[3]


def test_a_run_begun_anew_is_followed_from_its_first_step(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run")
    writer.begin()
    writer.write(last=100)
    run = followed(writer.folder)
    for file in writer.folder.iterdir():
        file.unlink()
    again = Writer(writer.folder, seed=2, steps=50)
    again.begin()
    again.write(last=5)
    run.read()
    assert (run.summary()["step"], run.summary()["steps"]) == (5, 50)
    assert run.detail()["columns"]["step"] == [1, 2, 3, 4, 5]
    assert [each["step"] for each in run.detail()["samples"]] == [0, 5]


def test_damaged_and_missing_files_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text("{")
    (folder / "fit.json").write_text("[1]")
    (folder / "metrics.jsonl").write_bytes(
        b'{"event": "evaluation", "step": "x", "validation_loss": NaN}\n{"event": 3, "step": 4}\n{"step": 1e999}\n'
    )
    run = followed(folder)
    assert run.summary()["steps"] is None
    assert json.loads(json.dumps(run.detail(), allow_nan=False))["evaluations"]


@pytest.mark.skipif(not LOCKS.exists(), reason="needs /proc/locks")
def test_who_holds_the_lock_is_at_work_and_the_lock_is_not_touched(tmp_path: Path) -> None:
    assert is_locked(tmp_path) is False
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert is_locked(tmp_path) is True
    os.close(descriptor)
    assert is_locked(tmp_path) is False
    assert is_locked(tmp_path / "nowhere") is None


def test_a_lock_that_is_listed_under_another_device_is_no_proof() -> None:
    locks = "1: POSIX  ADVISORY  WRITE 42 08:10:7 0 EOF\n2: FLOCK  ADVISORY  WRITE 42 00:1f:257 0 EOF\n2: -> FLOCK"
    btrfs, subvolume = os.makedev(0, 0x1F), os.makedev(0, 0x22)
    assert held(locks, btrfs, 257) is True
    assert held(locks, subvolume, 257) is None
    assert held(locks, btrfs, 258) is False
    assert held(locks, os.makedev(8, 16), 7) is False  # another kind of lock


def test_a_run_is_stopped_when_nobody_holds_it_and_it_has_been_quiet() -> None:
    assert (
        status_of(finished=False, locked=False, quiet_s=5) == "running"
    )  # it may be saving its model
    assert status_of(finished=False, locked=False, quiet_s=60) == "stopped"
    assert status_of(finished=False, locked=None, quiet_s=60) == "running"
    assert status_of(finished=False, locked=True, quiet_s=6000) == "running"
    assert status_of(finished=False, locked=False, quiet_s=None) == "waiting"
    assert status_of(finished=True, locked=False, quiet_s=0) == "finished"


def look(watched: Watched) -> list[dict[str, Any]]:
    watched._read_at_s = float("-inf")  # as if half a second had passed
    return watched.summaries()


def test_runs_that_appear_later_join_and_numbers_stay(tmp_path: Path) -> None:
    watched = Watched([tmp_path / "later", tmp_path / "build"])
    assert look(watched) == []
    Writer(tmp_path / "build" / "spam").begin()
    Writer(tmp_path / "build" / "checkpoints" / "step-1").begin()  # no run of its own
    assert [(row["id"], row["name"]) for row in look(watched)] == [(1, "build/spam")]
    Writer(tmp_path / "later").begin()
    assert [(row["id"], row["name"]) for row in look(watched)] == [(1, "build/spam"), (2, "later")]
    assert watched.detail(2) is not None
    assert watched.detail(3) is watched.detail(0) is None


def test_runs_of_one_name_are_told_apart_and_one_named_twice_is_one(tmp_path: Path) -> None:
    for place in ("a", "b"):
        Writer(tmp_path / place / "run").begin()
    watched = Watched([tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "a"])
    names = [row["name"] for row in watched.summaries()]
    assert len(set(names)) == len(names) == 2


def test_a_file_is_no_folder_of_runs(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(ConfigError, match=r"metrics\.jsonl is a file, expected a folder"):
        Watched([tmp_path / "metrics.jsonl"])
    with pytest.raises(ConfigError, match="can't be read"):
        Watched([Path("x" * 5000)])
