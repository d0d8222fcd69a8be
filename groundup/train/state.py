"""Checkpoints: everything a run needs to go on as if it had never stopped. Safetensors and JSON only.

    checkpoints/step-120/model.safetensors   the weights that train (frozen ones come from the base)
                         state.safetensors   optimizer tensors ("optimizer.NAME.KEY") and random states ("random.DEVICE")
                         state.json          step, tokens, data position, best, lengths of the logs, identity of the run
                         manifest.json       length and SHA-256 of each

A checkpoint is always at a step boundary: the accumulation position is 0. Written whole or not at all (`files.atomic_folder`);
older ones go only after the new one has been read back. Loading takes the newest whose manifest holds, and says which it passed over.
What becomes which tensor is `memory.py`'s matter.
"""

import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from groundup.config import build_config
from groundup.errors import ConfigError, FormatError
from groundup.files import atomic_folder, read_json, remove_temporaries, verify_folder, write_json
from groundup.runs import step_folders
from groundup.weights.hf import save_tensors
from groundup.weights.safetensors_header import read_header

MODEL_FILE, STATE_TENSORS_FILE, STATE_FILE = "model.safetensors", "state.safetensors", "state.json"
# JSON, manifest and the file system's own needs, beside the tensors.
SMALL_FILES_BYTES = 64 * 1024


@dataclass
class TrainState:
    """Where a run stands, beside its tensors. Times are for people; all else is what a run never stopped would have."""

    identity: str
    """Hash of the config, data and model it belongs to (`identity.py`)."""
    step: int = 0
    """Updates done; also the place in the schedule."""
    data_position: int = 0
    """Batches taken from the BatchSource: the next one is batch(data_position)."""
    tokens: int = 0
    """Tokens whose loss was counted."""
    last_loss: float | None = None
    """Loss of the last step, nats a token."""
    skipped: int = 0
    """Steps that were skipped (`skipped.py`); they are among those done."""
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
    """One checkpoint as read back."""

    folder: Path
    state: TrainState
    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]


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
    folder = step_folder(checkpoints, state.step)
    num_bytes = sum(tensor.nbytes for tensor in [*weights.values(), *tensors.values()]) + SMALL_FILES_BYTES
    with atomic_folder(folder, needed_bytes=num_bytes) as temporary:
        save_tensors(_on_cpu(weights), temporary / MODEL_FILE)
        save_tensors(_on_cpu(tensors), temporary / STATE_TENSORS_FILE)
        write_json(temporary / STATE_FILE, asdict(state))
    verify_folder(folder)
    _drop_old(checkpoints, state, keep, needed)
    return folder


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
    state = _read_state(folder / STATE_FILE)
    if state.identity != identity:
        raise FormatError(folder / STATE_FILE, "identity", "belongs to another run")
    return Checkpoint(folder, state, read_weights(folder), _read_tensors(folder / STATE_TENSORS_FILE))


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights alone. Raises FormatError; the folder's manifest is the caller's to check (`files.verify_folder`)."""
    return _read_tensors(folder / MODEL_FILE)


def _read_state(path: Path) -> TrainState:
    values = read_json(path)
    try:
        return build_config(TrainState, values if isinstance(values, dict) else {})
    except ConfigError as error:
        raise FormatError(path, "fields", error.message) from error


def _read_tensors(path: Path) -> dict[str, Tensor]:
    read_header(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise FormatError(path, "header", str(error)) from error
