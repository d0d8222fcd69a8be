"""Checkpoints: everything a run needs to go on as if it had never stopped. Safetensors and JSON only.

    checkpoints/step-120/model.safetensors   the weights that train (frozen ones come from the base)
                         state.safetensors   optimizer tensors ("optimizer.NAME.KEY") and random states ("random.DEVICE", "random.DEVICE.RANK")
                         state.json          step, tokens, data position, best, lengths of the logs, identity of the run
                         manifest.json       length and SHA-256 of each

A checkpoint is always at a step boundary: the accumulation position is 0. Written whole or not at all (`files.atomic_folder`);
older ones go only after the new one has been read back. Loading takes the newest whose manifest holds, and says which it passed over.
What becomes which tensor is `tensors.py`'s matter. A run in shards writes those instead of the two safetensors files (`sharded.py`).
"""

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError
from groundup.files import atomic_folder, disk_errors, read_json, remove_temporaries, verify_folder, write_json
from groundup.runs import step_folders
from groundup.train.checkpoint.tensors import is_training_state, restore_weights
from groundup.train.parallel.process_group import ProcessGroup
from groundup.train.step_schedule import Rescale, Threads
from groundup.weights.hf import save_tensors
from groundup.weights.safetensors_header import read_header

MODEL_FILE, STATE_TENSORS_FILE, STATE_FILE = "model.safetensors", "state.safetensors", "state.json"
SHARD_FILES = "shard-*.safetensors"
# JSON, manifest and the file system's own needs, beside the tensors.
SMALL_FILES_BYTES = 64 * 1024


@dataclass
class TrainState:
    """Where a run stands, beside its tensors. Times are for people; all else is what a run never stopped would have."""

    identity: str
    """Hash of the config, data and model it belongs to (`identity.py`)."""
    step: int = 0
    """Updates done."""
    data_position: int = 0
    """Batches taken from the BatchSource: the next one is batch(data_position)."""
    tokens: int = 0
    """Tokens whose loss was counted."""
    turns: list[Rescale] = field(default_factory=list)
    """Where the run's number of steps was changed (`step_schedule.py`); none: it is the config's, and a step's place in the schedule its number."""
    threads: list[Threads] = field(default_factory=list)
    """By how many threads the steps were computed: the first number, then each change. None on a GPU."""
    last_loss: float | None = None
    """Loss of the last step, nats a token."""
    skipped: int = 0
    """Steps that were skipped (`bad_steps.py`); they are among those done."""
    not_finite_in_a_row: int = 0
    """How many of the last steps were skipped for not being finite."""
    gradient_norms: list[float] = field(default_factory=list)
    """Of the last finite steps, where spikes are looked for; oldest first."""
    losses: list[float] = field(default_factory=list)
    """Of the last steps, where a rise is looked for (`rollback.py`); oldest first."""
    rolled_back: int = 0
    """How often the run went back to earlier weights."""
    rolled_back_at: int | None = None
    """After which step it did so last."""
    rolled_back_to: int | None = None
    """To the weights of which step."""
    evaluated_step: int | None = None
    """The last step whose evaluation is in the log: a run stopped just before an evaluation still owes it."""
    evaluation: dict[str, float] = field(default_factory=dict)
    """What that evaluation found."""
    best_step: int | None = None
    """The step with the lowest validation loss."""
    best_loss: float | None = None
    """That loss."""
    metrics_bytes: int = 0
    """Length of metrics.jsonl; what stands behind is cut at resume."""
    samples_bytes: int = 0
    """Length of samples.jsonl."""
    elapsed_s: float = 0.0
    """Seconds inside fit() so far."""
    training_s: float = 0.0
    """Seconds of its steps alone, without evaluations and saves."""
    evaluation_s: float = 0.0
    """Seconds of its evaluations and samples."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint that holds; its tensors are read when they are needed."""

    folder: Path
    state: TrainState

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Those of the optimizer or the random states. Raises FormatError."""
        return _read(self.folder, STATE_TENSORS_FILE, lambda name: name.startswith(prefix))


def step_folder(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of `step` lies."""
    return checkpoints / f"step-{step}"


def save_checkpoint(
    checkpoints: Path,
    state: TrainState,
    weights: dict[str, Tensor],
    tensors: dict[str, Tensor],
    *,
    keep: int,
    needed: Collection[int] = (),
) -> Path:
    """Write step-N, read it back, then drop all but the last `keep`, the best and those `needed`. Raises DiskError; what is there stays."""
    with _checkpoint(checkpoints, state, [*weights.values(), *tensors.values()], keep, needed) as temporary:
        save_tensors(_on_cpu(weights), temporary / MODEL_FILE)
        save_tensors(_on_cpu(tensors), temporary / STATE_TENSORS_FILE)
    return step_folder(checkpoints, state.step)


def save_shards(
    checkpoints: Path,
    state: TrainState,
    weights: dict[str, Tensor],
    tensors: dict[str, Tensor],
    group: ProcessGroup,
    *,
    keep: int,
    needed: Collection[int] = (),
) -> None:
    """The same by all processes, each its share; the first makes the folder whole."""
    from groundup.train.checkpoint.sharded import write_shards

    everything = [*weights.values(), *tensors.values()]
    with _checkpoint(checkpoints, state, everything, keep, needed) if group.leads else nullcontext() as temporary:
        folder = Path(group.first(lambda: str(temporary)))
        with disk_errors(folder), group.in_touch():
            write_shards(folder, weights, tensors, group)


@contextlib.contextmanager
def _checkpoint(
    checkpoints: Path, state: TrainState, tensors: Iterable[Tensor], keep: int, needed: Collection[int]
) -> Iterator[Path]:
    """A folder for the tensors, whole or not there, and all that is done beside them."""
    folder = step_folder(checkpoints, state.step)
    num_bytes = sum(tensor.nbytes for tensor in tensors) + SMALL_FILES_BYTES
    with atomic_folder(folder, needed_bytes=num_bytes) as temporary:
        yield temporary
        write_json(temporary / STATE_FILE, asdict(state))
    verify_folder(folder)
    _drop_old(checkpoints, state, keep, needed)


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}


def _drop_old(checkpoints: Path, state: TrainState, keep: int, needed: Collection[int]) -> None:
    """Steps beyond this one are damaged ones that were passed over: the run has just gone past them on another way."""
    folders = step_folders(checkpoints)
    last = [step for step, _ in folders if step <= state.step][-keep:]
    for step, folder in folders:
        if step not in last and step != state.best_step and step not in needed:
            shutil.rmtree(folder)


def load_latest(checkpoints: Path, identity: str, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that holds; those passed over are said. None where there is none.

    Raises FormatError when there are checkpoints and none of them holds: beginning anew is then the user's choice.
    """
    remove_temporaries(checkpoints)
    folders = step_folders(checkpoints)
    for _, folder in reversed(folders):
        try:
            return load_checkpoint(folder, identity)
        except FormatError as error:
            say(f"Checkpoint {folder.name} is passed over: {error.message}.")
    if folders:
        raise FormatError(
            checkpoints, "checkpoints", f"none of the {len(folders)} holds", fix="Begin anew with --fresh."
        )
    return None


def load_checkpoint(folder: Path, identity: str) -> Checkpoint:
    """One checkpoint, every file checked against its manifest. Raises FormatError."""
    verify_folder(folder)
    state = read_state(folder)
    if state.identity != identity:
        raise FormatError(folder / STATE_FILE, "identity", "belongs to another run")
    for file in sorted(folder.glob(SHARD_FILES)) or (folder / MODEL_FILE, folder / STATE_TENSORS_FILE):
        read_header(file)
    return Checkpoint(folder, state)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Put one checkpoint's weights (the best one's, say) into `model`. Raises FormatError, before anything is changed."""
    verify_folder(folder)
    restore_weights(model, read_weights(folder), folder)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights alone. Raises FormatError; the folder's manifest is the caller's to check (`files.verify_folder`)."""
    return _read(folder, MODEL_FILE, lambda name: not is_training_state(name))


def _read(folder: Path, file: str, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    if not any(folder.glob(SHARD_FILES)):
        return _read_tensors(folder / file, wanted)
    from groundup.train.checkpoint.sharded import read_whole

    return read_whole(folder, wanted)


def read_state(folder: Path) -> TrainState:
    """A checkpoint's state.json. Raises FormatError."""
    path = folder / STATE_FILE
    values = read_json(path)
    try:
        return build_config(TrainState, values if isinstance(values, dict) else {})
    except ConfigError as error:
        raise FormatError(path, "fields", error.message) from error


def _read_tensors(path: Path, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    names = read_header(path)
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in names if wanted(name)}
    except SafetensorError as error:
        raise FormatError(path, "header", str(error)) from error
