"""AdamW (Loshchilov & Hutter 2019) over the parameters that train; matrices decay, vectors and tables do not."""

import torch
from torch import nn

from groundup.train.config import FitConfig


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that train, by name: those that require a gradient. Frozen ones belong to the base."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def build_optimizer(model: nn.Module, config: FitConfig) -> torch.optim.AdamW:
    """AdamW in two groups. Norm weights, biases and embedding tables (and so a tied head) are not decayed.

    A table's rows get a gradient only when their token occurs: decay would shrink rare tokens for being rare.
    """
    tables = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in trainable(model).values():
        decays = parameter.ndim >= 2 and id(parameter) not in tables
        (decayed if decays else kept).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    # fused: one pass over each tensor instead of a dozen small operations
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """The same learning rate for every group."""
    for group in optimizer.param_groups:
        group["lr"] = value
