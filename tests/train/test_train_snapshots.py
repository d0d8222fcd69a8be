"""Snapshots of a run: which steps have one, what they are, and that they stay within their bounds."""

from pathlib import Path

import pytest
from tiny_run import CONFIG, tiny_fit

from groundup.errors import ConfigError, DiskError
from groundup.files import verify_folder
from groundup.runs import RunFolder, step_folders
from groundup.train.checkpoint.state import drop_snapshots_after, require_snapshot_space
from groundup.train.steps.config import MAX_SNAPSHOTS, Checkpoints, FitConfig


@pytest.mark.parametrize(
    ("steps", "snapshots", "expected"),
    [
        (1500, 0, ()),
        (24, 6, (0, 1, 4, 9, 15, 24)),
        (100, 3, (0, 25, 100)),
        (1, 16, (0, 1)),
        (50, 1, (0,)),
    ],
)
def test_steps_stand_closer_at_the_beginning(
    steps: int, snapshots: int, expected: tuple[int, ...]
) -> None:
    assert (
        FitConfig(steps=steps, checkpoints=Checkpoints(snapshots=snapshots)).snapshot_steps
        == expected
    )


def test_more_than_can_be_looked_at_are_refused_with_the_number() -> None:
    with pytest.raises(ConfigError, match=f"0 to {MAX_SNAPSHOTS} .got 1000"):
        FitConfig(steps=10, checkpoints=Checkpoints(snapshots=1000))


def test_a_snapshot_is_the_model_after_its_step_whole_and_alone(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    tiny_fit(run.path, config=CONFIG.with_fields({"checkpoints.every": 1, "checkpoints.keep": 100}))
    for step, folder in step_folders(run.snapshots):
        verify_folder(folder)
        assert sorted(path.name for path in folder.iterdir()) == [
            "manifest.json",
            "model.safetensors",
        ]
        if step:
            weights = (run.checkpoints / f"step-{step}" / "model.safetensors").read_bytes()
            assert (folder / "model.safetensors").read_bytes() == weights


def test_a_run_with_snapshots_is_the_run_without(tmp_path: Path) -> None:
    weights = []
    for snapshots in (0, 6):
        folder = tmp_path / str(snapshots)
        tiny_fit(folder, config=CONFIG.with_fields({"checkpoints.snapshots": snapshots}))
        weights.append((folder / "checkpoints" / "step-24" / "model.safetensors").read_bytes())
        assert (folder / "snapshots").exists() == bool(snapshots)
    assert weights[0] == weights[1]


def test_how_many_are_kept_may_change_on_the_way(tmp_path: Path) -> None:
    tiny_fit(tmp_path / "run")
    tiny_fit(
        tmp_path / "run", config=CONFIG.with_fields({"checkpoints.snapshots": 0})
    )  # a run that differs would be refused


def test_snapshots_of_steps_that_are_done_again_go(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    tiny_fit(run.path)
    (run.snapshots / ".tmp-step-000015-4194304").mkdir()
    drop_snapshots_after(run, 9)
    assert sorted(path.name for path in run.snapshots.iterdir()) == [
        f"step-{step:06d}" for step in (0, 1, 4, 9)
    ]


def test_a_disk_that_cannot_hold_them_all_is_refused_before_the_first_step(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    require_snapshot_space(run, CONFIG, 1000)
    with pytest.raises(DiskError, match="No space left"):
        require_snapshot_space(run, CONFIG, 10**15)
    require_snapshot_space(run, CONFIG.with_fields({"checkpoints.snapshots": 0}), 10**15)
    tiny_fit(run.path)
    require_snapshot_space(run, CONFIG, 10**15)  # all are there: nothing more is needed
