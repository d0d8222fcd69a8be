"""torch's optimizers over the parameters of a model."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class BuiltOptimizer:
    """Several torch optimizers as one. A group's learning rate is the run's times its
    "rate_factor".
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = tuple(parts)
        self._owner = {
            id(p): part for part in parts for group in part.param_groups for p in group["params"]
        }

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """{} before its first step."""
        state = self._owner[id(parameter)].state.get(parameter, {})
        return {key: value for key, value in state.items() if isinstance(value, Tensor)}

    def restore_state(self, parameter: nn.Parameter, state: dict[str, Tensor]) -> None:
        self._owner[id(parameter)].state[parameter] = state

    def set_rate(self, rate: float) -> None:
        for group in self.param_groups:
            group["lr"] = rate * group["rate_factor"]

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require a gradient; frozen ones belong to the base."""
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


def embedding_tables(model: nn.Module) -> set[int]:
    """Ids of embedding tables, and so of a tied head. A row gets a gradient only when its token
    occurs: decay would shrink rare tokens.
    """
    return {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}


def parameter_groups(
    parameters: Iterable[nn.Parameter], model: nn.Module, weight_decay: float
) -> list[dict[str, Any]]:
    """What decays (matrices) and what does not (vectors and embedding tables)."""
    tables = embedding_tables(model)
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in parameters:
        is_decayed = parameter.ndim >= 2 and id(parameter) not in tables
        (decayed if is_decayed else kept).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay, "rate_factor": 1.0},
        {"params": kept, "weight_decay": 0.0, "rate_factor": 1.0},
    ]
