"""Checkpoints: everything that a run needs to resume exactly; and snapshots of its weights.

    checkpoints/step-120/model.safetensors   the weights that train (frozen ones come from the base)
                         state.safetensors   optimizer tensors ("optimizer.NAME.KEY") and random
                                             states ("random.DEVICE", "random.DEVICE.RANK")
                         state.json, manifest.json
    snapshots/step-000146/                   the model alone, to see how it learned

A checkpoint is always at a step boundary. Older ones are removed only after the new one has been
read back. Loading takes the newest intact one, and reports those passed over. Snapshots of steps
that will be done again are removed at resume.
"""

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor, nn

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError
from groundup.files import (
    atomic_folder,
    disk_errors,
    read_json,
    require_free_bytes,
    verify_folder,
    write_json,
)
from groundup.locks import remove_temporaries
from groundup.runs import RunFolder, step_folders
from groundup.train.checkpoint.tensors import is_training_state, restore_weights
from groundup.train.steps.config import FitConfig
from groundup.train.steps.process_group import ProcessGroup
from groundup.train.steps.step_schedule import Rescale, Threads
from groundup.weights.hf import save_tensors
from groundup.weights.safetensors_header import open_tensors, read_header

MODEL_FILE, STATE_TENSORS_FILE, STATE_FILE = "model.safetensors", "state.safetensors", "state.json"
SHARD_FILES = "shard-*.safetensors"
# JSON, manifest and the file system's own overhead, beside the tensors.
SMALL_FILES_BYTES = 64 * 1024


@dataclass
class TrainState:
    """The state of a run without its tensors; but for times, a resumed run has that of an
    uninterrupted one.
    """

    identity: str
    step: int = 0
    """Updates done."""
    data_position: int = 0
    """Batches taken from the BatchSource."""
    tokens: int = 0
    """Tokens whose loss was counted."""
    rescales: list[Rescale] = field(default_factory=list)
    threads: list[Threads] = field(default_factory=list)
    """The first number, then each change; empty on a GPU."""
    last_loss: float | None = None
    """Nats per token."""
    skipped: int = 0
    """Skipped steps (`loss_spikes.py`), which count as done."""
    not_finite_in_a_row: int = 0
    """How many of the last steps were skipped as non-finite."""
    gradient_norms: list[float] = field(default_factory=list)
    """Of the last finite steps, to find spikes by; oldest first."""
    losses: list[float] = field(default_factory=list)
    """Of the last steps, to find a rise by (`loss_spikes.py`); oldest first."""
    rolled_back: int = 0
    """How often the run was rolled back."""
    rolled_back_at: int | None = None
    rolled_back_to: int | None = None
    """To the weights of which step."""
    evaluated_step: int | None = None
    """The last step whose evaluation is in the log: one that is missing is done when resumed."""
    evaluation: dict[str, float] = field(default_factory=dict)
    best_step: int | None = None
    """With the lowest validation loss."""
    best_loss: float | None = None
    since_best: int = 0
    """Evaluations after that one."""
    metrics_bytes: int = 0
    """Later lines are cut when the run resumes."""
    samples_bytes: int = 0
    elapsed_s: float = 0.0
    """Seconds inside fit() so far."""
    training_s: float = 0.0
    """Seconds of its steps alone, without evaluations and saves."""
    evaluation_s: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """An intact checkpoint; its tensors are read when they are needed."""

    folder: Path
    state: TrainState

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Of the optimizer or the random states. Raises FormatError."""
        return _read(self.folder, STATE_TENSORS_FILE, lambda name: name.startswith(prefix))


@dataclass(frozen=True)
class Retention:
    """Which checkpoints stay: the best, the last `keep`, and those of the steps `needed`."""

    keep: int
    needed: Collection[int] = ()


def step_folder(checkpoints: Path, step: int) -> Path:
    return checkpoints / f"step-{step}"


def save_checkpoint(
    checkpoints: Path,
    state: TrainState,
    weights: dict[str, Tensor],
    tensors: dict[str, Tensor],
    retention: Retention,
) -> Path:
    """Write step-N, read it back, then remove those that need not stay. Raises DiskError; the older
    ones then stay.
    """
    with _checkpoint(
        checkpoints, state, [*weights.values(), *tensors.values()], retention
    ) as temporary:
        save_tensors(_on_cpu(weights), temporary / MODEL_FILE)
        save_tensors(_on_cpu(tensors), temporary / STATE_TENSORS_FILE)
    return step_folder(checkpoints, state.step)


def save_shards(
    checkpoints: Path,
    state: TrainState,
    weights: dict[str, Tensor],
    tensors: dict[str, Tensor],
    retention: Retention,
    group: ProcessGroup,
) -> None:
    """The same by all processes, each its share; rank 0 completes the folder."""
    from groundup.train.checkpoint.sharded import write_shards

    everything = [*weights.values(), *tensors.values()]
    leading = _checkpoint(checkpoints, state, everything, retention)
    with leading if group.leads else nullcontext() as temporary:
        folder = Path(group.first(lambda: str(temporary)))
        with disk_errors(folder), group.lost_process_errors():
            write_shards(folder, weights, tensors, group)


@contextlib.contextmanager
def _checkpoint(
    checkpoints: Path, state: TrainState, tensors: Iterable[Tensor], retention: Retention
) -> Iterator[Path]:
    """An atomic folder for the tensors; state.json, the check and the removal of old ones
    follow.
    """
    folder = step_folder(checkpoints, state.step)
    num_bytes = sum(tensor.nbytes for tensor in tensors) + SMALL_FILES_BYTES
    with atomic_folder(folder, needed_bytes=num_bytes) as temporary:
        yield temporary
        write_json(temporary / STATE_FILE, asdict(state))
    verify_folder(folder)
    _drop_old(checkpoints, state, retention)


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}


def _drop_old(checkpoints: Path, state: TrainState, retention: Retention) -> None:
    """Checkpoints of later steps are damaged ones that were passed over."""
    folders = step_folders(checkpoints)
    last = [step for step, _ in folders if step <= state.step][-retention.keep :]
    for step, folder in folders:
        if step not in last and step != state.best_step and step not in retention.needed:
            shutil.rmtree(folder)


def load_latest(checkpoints: Path, identity: str, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest intact checkpoint, None where there are none. Raises FormatError when none of them
    is intact: starting again is then the user's choice.
    """
    remove_temporaries(checkpoints)
    folders = step_folders(checkpoints)
    for _, folder in reversed(folders):
        try:
            return load_checkpoint(folder, identity)
        except FormatError as error:
            say(f"Checkpoint {folder.name} is skipped: {error.message}.")
    if folders:
        raise FormatError(
            checkpoints,
            "checkpoints",
            f"none of the {len(folders)} is intact",
            fix="Start again with `fresh`.",
        )
    return None


def load_checkpoint(folder: Path, identity: str) -> Checkpoint:
    """Every file is checked against the manifest. Raises FormatError."""
    verify_folder(folder)
    state = read_state(folder)
    if state.identity != identity:
        raise FormatError(folder / STATE_FILE, "identity", "belongs to another run")
    for file in sorted(folder.glob(SHARD_FILES)) or (
        folder / MODEL_FILE,
        folder / STATE_TENSORS_FILE,
    ):
        read_header(file)
    return Checkpoint(folder, state)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Raises FormatError, before anything is changed."""
    verify_folder(folder)
    restore_weights(model, read_weights(folder), folder)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The caller checks the folder's manifest. Raises FormatError."""
    return _read(folder, MODEL_FILE, lambda name: not is_training_state(name))


def _read(folder: Path, file: str, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    if not any(folder.glob(SHARD_FILES)):
        return _read_tensors(folder / file, wanted)
    from groundup.train.checkpoint.sharded import read_whole

    return read_whole(folder, wanted)


def read_state(folder: Path) -> TrainState:
    """Raises FormatError."""
    path = folder / STATE_FILE
    values = read_json(path)
    if not isinstance(values, dict):
        raise FormatError(path, "fields", "are missing")
    try:
        return build_config(TrainState, values)
    except ConfigError as error:
        raise FormatError(path, "fields", error.message) from error


def _read_tensors(path: Path, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    names = read_header(path)
    with open_tensors(path) as file:
        return {name: file.get_tensor(name) for name in names if wanted(name)}


def keep_snapshot(run: RunFolder, step: int, write: Callable[[Path], None]) -> None:
    """Write the snapshot of `step`, unless it is there. Raises DiskError."""
    folder = run.snapshot(step)
    if not folder.exists():
        with atomic_folder(folder) as temporary:
            write(temporary)


def drop_snapshots_after(run: RunFolder, step: int) -> None:
    """Remove the snapshots of later steps, which will be done again."""
    remove_temporaries(run.snapshots)
    for later, folder in step_folders(run.snapshots):
        if later > step:
            shutil.rmtree(folder)


def require_snapshot_space(run: RunFolder, config: FitConfig, snapshot_bytes: int) -> None:
    """Refuse a run whose snapshots would not fit on the disk. Raises DiskError."""
    missing = [step for step in config.snapshot_steps if not run.snapshot(step).exists()]
    require_free_bytes(run.snapshots, len(missing) * snapshot_bytes)
