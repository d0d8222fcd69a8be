"""Stochastic gradient descent with momentum."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from groundup.train.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    from torch import nn

    from groundup.train.optimizers.built import BuiltOptimizer


@dataclass(frozen=True)
class SGD(Optimizer):
    name: str = "sgd"
    momentum: float = 0.9
    """Decay of the gradient's running sum."""

    state_size: ClassVar[tuple[int, int]] = (1, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("momentum")

    def build(self, model: "nn.Module") -> "BuiltOptimizer":
        import torch

        from groundup.train.optimizers.built import BuiltOptimizer, parameter_groups, trainable

        groups = parameter_groups(trainable(model).values(), model, self.weight_decay)
        return BuiltOptimizer(
            [torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum)]
        )
