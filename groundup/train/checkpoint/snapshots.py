"""Snapshots: the model as it was after chosen steps of a run, kept to look at how it learned (`lab.film`), never to go on from.

    snapshots/step-000146/      what the caller of fit() writes there (pretraining: a Hugging Face folder in bfloat16), and a manifest

A checkpoint has the optimizer's memory and is replaced by later ones; a snapshot has the weights alone and stays. Which steps have
one follows from the config (`FitConfig.snapshot_steps`), and what lies beyond the step that a run goes on from is removed, as the
lines of the logs are: a run that was stopped has the snapshots of one that never was.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from groundup.files import atomic_folder, remove_temporaries, require_free_bytes
from groundup.runs import RunFolder, step_folders
from groundup.train.config import FitConfig


def keep_snapshot(run: RunFolder, step: int, write: Callable[[Path], None]) -> None:
    """Have the snapshot of `step` written, whole or not at all, unless it is there. Raises DiskError."""
    folder = run.snapshot(step)
    if not folder.exists():
        with atomic_folder(folder) as temporary:
            write(temporary)


def drop_after(run: RunFolder, step: int) -> None:
    """Remove the snapshots of steps after `step`, which will be done again, and what a killed write left."""
    remove_temporaries(run.snapshots)
    for later, folder in step_folders(run.snapshots):
        if later > step:
            shutil.rmtree(folder)


def require_room(run: RunFolder, config: FitConfig, snapshot_bytes: int) -> None:
    """Refuse a run whose snapshots would not fit on the disk, before its first step. Raises DiskError."""
    missing = [step for step in config.snapshot_steps if not run.snapshot(step).exists()]
    require_free_bytes(run.snapshots, len(missing) * snapshot_bytes)
