"""AdamW (Loshchilov & Hutter 2019): a running mean and a running square of each gradient."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from groundup.train.optimizers.optimizer import Optimizer

if TYPE_CHECKING:
    import torch
    from torch import nn

    from groundup.train.optimizers.built import BuiltOptimizer


@dataclass(frozen=True)
class AdamW(Optimizer):
    name: str = "adamw"
    beta1: float = 0.9
    """Decay of the gradient's running mean."""
    beta2: float = 0.99
    """Decay of the gradient's running square; below Adam's 0.999, as runs are short."""

    state_size: ClassVar[tuple[int, int]] = (2, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_shares("beta1", "beta2")

    def build(self, model: "nn.Module") -> "BuiltOptimizer":
        from groundup.train.optimizers.built import BuiltOptimizer, trainable

        return BuiltOptimizer([self.over(trainable(model).values(), model)])

    def over(self, parameters: "Iterable[nn.Parameter]", model: "nn.Module") -> "torch.optim.AdamW":
        import torch

        from groundup.train.optimizers.built import parameter_groups

        # fused: one pass over each tensor instead of a dozen small operations
        return torch.optim.AdamW(
            parameter_groups(parameters, model, self.weight_decay),
            lr=self.learning_rate,
            betas=(self.beta1, self.beta2),
            fused=True,
        )
