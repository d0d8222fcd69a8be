"""The state of training as flat named tensors, to a checkpoint and back: weights, optimizer state,
random states. Those of Python's `random` and of numpy are not kept: nothing inside `fit()` may draw
from them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groundup.errors import FormatError
from groundup.train.optimizers.built import BuiltOptimizer, trainable
from groundup.train.steps.process_group import ProcessGroup

# Prefixes of the names of tensors that are not weights: "optimizer.NAME.KEY", "random.DEVICE",
# "random.DEVICE.RANK".
OPTIMIZER, RANDOM = "optimizer.", "random."


def is_training_state(name: str) -> bool:
    """Optimizer or random state rather than a weight?"""
    return name.startswith((OPTIMIZER, RANDOM))


def weight_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The weights that train, by their names in the model."""
    return {name: parameter.detach() for name, parameter in trainable(model).items()}


def restore_weights(model: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    """Raises FormatError, before anything is changed, when they don't fit."""
    own = weight_tensors(model)
    require_fit(own, {name: _kind(tensor) for name, tensor in weights.items()}, folder)
    for name, parameter in own.items():
        parameter.copy_(weights[name])


ShapeAndDtype = tuple[tuple[int, ...], torch.dtype]


def require_fit(
    expected: dict[str, Tensor], found: Mapping[str, ShapeAndDtype], folder: Path
) -> None:
    """Raises FormatError."""
    for name in sorted({*expected, *found}):
        if name not in found:
            raise FormatError(folder, name, "is missing")
        if name not in expected:
            raise FormatError(folder, name, "was not expected")
        own = _kind(expected[name])
        if found[name] != own:
            raise FormatError(folder, name, f"is {_phrase(found[name])}, expected {_phrase(own)}")


def _kind(tensor: Tensor) -> ShapeAndDtype:
    return tuple(tensor.shape), tensor.dtype


def _phrase(kind: ShapeAndDtype) -> str:
    shape, dtype = kind
    return f"{list(shape)} {str(dtype).removeprefix('torch.')}"


def optimizer_tensors(model: nn.Module, optimizer: BuiltOptimizer) -> dict[str, Tensor]:
    """By flat names, "optimizer.PARAMETER.KEY"."""
    return {
        f"{OPTIMIZER}{name}.{key}": value
        for name, parameter in trainable(model).items()
        for key, value in optimizer.state_of(parameter).items()
    }


def restore_optimizer(
    model: nn.Module, optimizer: BuiltOptimizer, tensors: dict[str, Tensor]
) -> None:
    """Each tensor copied to the device of its parameter: it is read from a file that is mapped,
    which Windows would neither replace nor remove while the optimizer keeps it.
    """
    for name, parameter in trainable(model).items():
        prefix = f"{OPTIMIZER}{name}."
        kept = {
            key.removeprefix(prefix): value
            for key, value in tensors.items()
            if key.startswith(prefix)
        }
        if kept:
            optimizer.restore_state(
                parameter,
                {key: value.to(parameter.device, copy=True) for key, value in kept.items()},
            )


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Of torch's generators: the CPU's and the device's."""
    states = {f"{RANDOM}cpu": torch.get_rng_state()}
    if device.type in ("cuda", "mps"):
        states[f"{RANDOM}{device.type}"] = _device_random(device).get_rng_state()
    return states


def gather_random_states(states: dict[str, Tensor], group: ProcessGroup) -> dict[str, Tensor]:
    """Of all processes: those of rank 1 and later with ".RANK" appended."""
    return {
        _of_rank(name, rank): state
        for name, own in states.items()
        for rank, state in enumerate(group.gather_tensors(own))
    }


def _of_rank(name: str, rank: int) -> str:
    return name if rank == 0 else f"{name}.{rank}"


def restore_random(
    device: torch.device, tensors: dict[str, Tensor], folder: Path, rank: int = 0
) -> None:
    """Raises FormatError when they are invalid or rank 0's are missing; a new process keeps its
    own.
    """
    for name in random_states(device):
        key, setter = _of_rank(name, rank), torch.set_rng_state
        if rank and key not in tensors:
            continue
        if name != f"{RANDOM}cpu":
            setter = _device_random(device).set_rng_state
        try:
            setter(tensors[key])
        except (KeyError, RuntimeError, TypeError) as error:
            raise FormatError(
                folder, key, "is missing or is not a state of this generator"
            ) from error


def _device_random(device: torch.device) -> Any:
    return torch.cuda if device.type == "cuda" else torch.mps
