"""The optimizers over the parameters that train, and which of them takes which.

    adamw   AdamW (Loshchilov & Hutter 2019) for all
    muon    Muon (Jordan et al. 2024; `muon.py` has it to read) for the matrices of the blocks, AdamW for the rest: embeddings, head, norms,
            biases, positions, routers, and experts, whose matrices lie stacked in tensors of three dimensions
    sgd     plain steps along the gradient's running sum: what the other two improve on

Matrices decay, vectors and tables do not. `Optimizers` holds several of torch's as one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from groundup.errors import ConfigError
from groundup.train.config import FitConfig
from groundup.train.muon import Float32Muon

ROUTER = "router.weight"


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that train, by name: those that require a gradient. Frozen ones belong to the base."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


class Optimizers:
    """Several of torch's optimizers as one; each parameter belongs to one of them. A group's learning rate is the run's, times its "rate_factor"."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = tuple(parts)
        self._owner = {id(p): part for part in parts for group in part.param_groups for p in group["params"]}

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all."""
        return [group for part in self.parts for group in part.param_groups]

    def memory_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What is remembered of one parameter: {} before its first step."""
        return {key: value for key, value in self._state(parameter).items() if isinstance(value, Tensor)}

    def remember(self, parameter: nn.Parameter, memory: dict[str, Tensor]) -> None:
        """Put such a memory back."""
        self._owner[id(parameter)].state[parameter] = memory

    def _state(self, parameter: nn.Parameter) -> dict[str, Any]:
        return self._owner[id(parameter)].state.get(parameter, {})

    def set_rate(self, rate: float) -> None:
        """The run's learning rate for the next step."""
        for group in self.param_groups:
            group["lr"] = rate * group["rate_factor"]

    def step(self) -> None:
        """One update of all."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Let go of the gradients."""
        for part in self.parts:
            part.zero_grad()


def build_optimizer(model: nn.Module, config: FitConfig) -> Optimizers:
    """What the config names, over all that trains. Raises ConfigError where there is nothing for it.

    A Muon whose precision the config leaves open is torch's; `precision.decide_muon` closes it.
    """
    parameters, tables = trainable(model), _tables(model)
    if config.optimizer == "sgd":
        groups = _groups(parameters.values(), tables, config)
        return Optimizers([torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.beta1)])
    if config.optimizer == "adamw":
        return Optimizers([_adamw(parameters.values(), tables, config)])
    matrices = {name: p for name, p in parameters.items() if is_block_matrix(name, p.shape)}
    if not matrices:
        raise ConfigError("optimizer muon: the model trains no matrix in a block.", fix="Set optimizer to adamw.")
    rest = [parameter for name, parameter in parameters.items() if name not in matrices]
    muon = _muon(matrices.values(), config)
    return Optimizers([muon, _adamw(rest, tables, config)] if rest else [muon])


def is_block_matrix(name: str, shape: Sequence[int]) -> bool:
    """Whether Muon takes it: a matrix of a block that turns vectors into vectors. A router only gives scores, a row for each expert."""
    return "blocks" in name.split(".") and len(shape) == 2 and not name.endswith(ROUTER)


def _tables(model: nn.Module) -> set[int]:
    """Ids of embedding tables, and so of a tied head.

    A row gets a gradient only when its token occurs: decay would shrink rare tokens for being rare.
    """
    return {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}


def _adamw(parameters: Iterable[nn.Parameter], tables: set[int], config: FitConfig) -> torch.optim.AdamW:
    groups = _groups(parameters, tables, config)
    # fused: one pass over each tensor instead of a dozen small operations
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


def _groups(parameters: Iterable[nn.Parameter], tables: set[int], config: FitConfig) -> list[dict[str, Any]]:
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in parameters:
        (decayed if parameter.ndim >= 2 and id(parameter) not in tables else kept).append(parameter)
    return [
        {"params": decayed, "weight_decay": config.weight_decay, "rate_factor": 1.0},
        {"params": kept, "weight_decay": 0.0, "rate_factor": 1.0},
    ]


def _muon(parameters: Iterable[nn.Parameter], config: FitConfig) -> torch.optim.Muon:
    group = {"params": list(parameters), "rate_factor": config.muon_learning_rate / config.learning_rate}
    kind = Float32Muon if config.muon_precision == "float32" else torch.optim.Muon
    return kind(
        [group],
        lr=config.muon_learning_rate,
        momentum=config.muon_momentum,
        weight_decay=config.weight_decay,
        adjust_lr_fn="original",
    )
