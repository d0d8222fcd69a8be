"""What an optimizer is: settings that build one of torch's, or several that act as one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from groundup.errors import require

if TYPE_CHECKING:
    from torch import nn

    from groundup.train.optimizers.built import BuiltOptimizer

MAX_LEARNING_RATE = 10


@dataclass(frozen=True)
class Optimizer(ABC):
    """Raises ConfigError."""

    name: str = ""
    learning_rate: float = 2e-3
    """The highest learning rate, reached after the warm-up. AdamW's 2e-3: best of 1e-3 to 6e-3 for
    quickstart (docs/log.md); larger models need less.
    """
    weight_decay: float = 0.1
    """How strongly matrices are pulled to zero, times the learning rate; as in GPT-3's appendix B.
    """

    state_size: ClassVar[tuple[int, int]]
    """The numbers that it keeps for each parameter: of matrices of blocks, of the rest."""
    schedule: ClassVar[Mapping[str, Any]] = {}
    """Fields of `Schedule` that pretraining takes with it where they are not given."""

    def __post_init__(self) -> None:
        self.require_rates("learning_rate")
        require(
            0 <= self.weight_decay < float("inf"), "weight_decay", self.weight_decay, "0 or more"
        )

    @abstractmethod
    def build(self, model: "nn.Module") -> "BuiltOptimizer":
        """Over all parameters that train. Raises ConfigError where there is none for the model."""

    def continued(self, share: float) -> dict[str, Any]:
        """Fields, but `learning_rate`, that change where training is continued at this share of the
        learning rates for random weights.
        """
        return {}

    def require_rates(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            require(0 < value < MAX_LEARNING_RATE, name, value, "above 0 and below 10")

    def require_shares(self, *names: str) -> None:
        """Of the decay of a running mean."""
        for name in names:
            value = getattr(self, name)
            require(0 <= value < 1, name, value, "0 or more and below 1")
