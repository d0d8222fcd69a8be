"""Sharded checkpoints: tensors written by all processes at once and read by any number of them.

    checkpoints/step-120/shard-00001-model-00001-of-00002.safetensors
            rank 0's share of the weights
                         shard-00001-model-00002-of-00002.safetensors
                                 ... and of the optimizer state, with its random states
                         shard-00002-...                                 rank 1's
                         state.json, manifest.json

torch.distributed.checkpoint's safetensors writer (its default one would pickle) says in each header
which slices of which tensors it holds; its reader also reads an ordinary checkpoint. While writing
it exchanges its plans between the ranks pickled; nothing of that reaches a file.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from groundup.errors import FormatError
from groundup.train.checkpoint.tensors import (
    OPTIMIZER,
    is_training_state,
    require_fit,
    weight_tensors,
)
from groundup.train.optimizers.built import BuiltOptimizer, trainable
from groundup.train.steps.process_group import ProcessGroup

WEIGHTS, STATE = 1, 2


def write_shards(
    folder: Path, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor], group: ProcessGroup
) -> None:
    """Write this process's share; all come here together. Raises OSError on all when one can't
    write.
    """
    files = {**dict.fromkeys(weights, WEIGHTS), **dict.fromkeys(tensors, STATE)}
    writer = HuggingFaceStorageWriter(
        str(folder), fqn_to_index_mapping=files, save_distributed=True
    )
    try:
        dcp.save({**weights, **tensors}, storage_writer=writer, process_group=group.patient)
    except CheckpointException as error:
        raise _cause(error) from error


def _cause(error: CheckpointException) -> BaseException:
    """Of the first process that failed: a full disk should be reported as one."""
    return next(iter(error.failures.values()))[0] if error.failures else error


def read_sizes(folder: Path) -> dict[str, TensorStorageMetadata]:
    """Of a checkpoint, sharded or not. Raises FormatError."""
    try:
        found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(folder, "shards", f"do not fit together ({error})") from error
    return {
        name: entry for name, entry in found.items() if isinstance(entry, TensorStorageMetadata)
    }


def read_whole(folder: Path, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    """Raises FormatError."""
    entries = {name: entry for name, entry in read_sizes(folder).items() if wanted(name)}
    found = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in entries.items()
    }
    fill(folder, found)
    return found


def restore_shards(model: nn.Module, optimizer: BuiltOptimizer, folder: Path) -> None:
    """Read this process's share of weights and optimizer state. Raises FormatError, before anything
    is changed.
    """
    found = read_sizes(folder)
    weights = weight_tensors(model)
    kinds = {
        name: (tuple(e.size), e.properties.dtype)
        for name, e in found.items()
        if not is_training_state(name)
    }
    require_fit(weights, kinds, folder)
    states = {
        name: _empty_state(found, name, parameter) for name, parameter in trainable(model).items()
    }
    flat = {
        f"{OPTIMIZER}{name}.{key}": tensor
        for name, state in states.items()
        for key, tensor in state.items()
    }
    fill(folder, {**weights, **flat})
    for name, parameter in trainable(model).items():
        if states[name]:
            optimizer.restore_state(parameter, states[name])


def _empty_state(
    found: Mapping[str, TensorStorageMetadata], name: str, parameter: Tensor
) -> dict[str, Tensor]:
    """Sharded as the parameter is where they have its shape, else whole."""
    prefix = f"{OPTIMIZER}{name}."
    kept = {
        key.removeprefix(prefix): entry for key, entry in found.items() if key.startswith(prefix)
    }
    return {
        key: torch.zeros_like(parameter, dtype=entry.properties.dtype, requires_grad=False)
        if entry.size == parameter.shape
        else torch.zeros(entry.size, dtype=entry.properties.dtype, device=parameter.device)
        for key, entry in kept.items()
    }


def fill(folder: Path, targets: dict[str, Any]) -> None:
    """Read into whole tensors or this process's shares, without communication. Raises
    FormatError.
    """
    reader = HuggingFaceStorageReader(str(folder))
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="torch.distributed is disabled"
        )  # each process reads for itself
        try:
            dcp.load(targets, storage_reader=reader, no_dist=True)
        except CheckpointException as error:
            raise FormatError(
                folder, "shards", f"do not hold what was expected ({_cause(error)})"
            ) from error
