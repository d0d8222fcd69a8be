"""Muon for the matrices of the blocks (`stacked_muon.py`), AdamW for the rest: embeddings, head,
norms, biases, positions, routers, and experts, whose matrices are stacked in tensors of three
dimensions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from groundup.errors import ConfigError, require, require_choices
from groundup.train.optimizers.adamw import AdamW
from groundup.train.optimizers.muon_variant import MUON, POLYNOMIALS, MuonVariant

if TYPE_CHECKING:
    import torch
    from torch import nn

    from groundup.train.optimizers.built import BuiltOptimizer

ROUTER = "router.weight"


@dataclass(frozen=True)
class Muon(AdamW):
    """The defaults were measured on small models from random weights (docs/log.md): at AdamW's
    number of steps 0.2 bits per byte better on quickstart, at 1.2 times the time a step.
    """

    name: str = "muon"
    learning_rate: float = 6e-3
    """The highest learning rate of what AdamW updates; 3e-3 to 1e-2 are level."""
    beta2: float = 0.95
    """Decay of the gradient's running square in AdamW."""
    matrix_learning_rate: float = 0.015
    """The highest learning rate of the blocks' matrices; 0.01 and 0.02 are a little behind."""
    momentum: float = 0.9
    """Decay of a matrix's running mean gradient; 0.85 is ahead for some hundred steps, 0.95 still
    behind after 1,200.
    """
    precision: Literal["float32", "bf16", "auto"] = "auto"
    """The precision in which matrices are orthogonalise; "auto": bf16, but float32 where the
    processor only emulates it.
    """

    polynomial: str = MUON.polynomial
    """Of the iterations that make a matrix orthogonal: "jordan", or "polar-express" (Amsel et al.
    2025), which comes nearer.
    """
    row_beta: float | None = None
    """Decay of the running square of the rows of a matrix's update (NorMuon, Li et al. 2025: 0.95),
    which makes them equally long over time; None: they are left as they are.
    """
    cautious_decay: bool = False
    """Decay only the weights of matrices that the step makes smaller (Chen et al. 2025)."""
    equal_rows: bool = False
    """Make the rows of a matrix's mean gradient equally long before it is made orthogonal (MuonEq,
    Chang et al. 2026).
    """

    state_size: ClassVar[tuple[int, int]] = (1, 2)
    schedule: ClassVar[Mapping[str, Any]] = {"name": "wsd", "min_learning_rate": 0.0}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_rates("matrix_learning_rate")
        self.require_shares("momentum")
        if self.row_beta is not None:
            self.require_shares("row_beta")
        require(
            self.polynomial in POLYNOMIALS, "polynomial", self.polynomial, " or ".join(POLYNOMIALS)
        )
        require_choices(self)

    def build(self, model: "nn.Module") -> "BuiltOptimizer":
        """Where the precision is left open, Muon is torch's; `precision.decide_muon` closes it."""
        from groundup.train.optimizers.built import BuiltOptimizer, trainable

        parameters = trainable(model)
        matrices = {name: p for name, p in parameters.items() if is_block_matrix(name, p.shape)}
        if not matrices:
            raise ConfigError(
                "optimizer muon: the model trains no matrix in a block.",
                fix="Set optimizer to adamw.",
            )
        rest = [parameter for name, parameter in parameters.items() if name not in matrices]
        muon = self.over_matrices(list(matrices.values()))
        return BuiltOptimizer([muon, self.over(rest, model)] if rest else [muon])

    def over_matrices(self, weights: "Sequence[nn.Parameter]") -> "torch.optim.Muon":
        import torch

        from groundup.train.optimizers.stacked_muon import StackedMuon

        group = {
            "params": weights,
            "rate_factor": self.matrix_learning_rate / self.learning_rate,
        }
        settings: dict[str, Any] = {
            "lr": self.matrix_learning_rate,
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
            "adjust_lr_fn": "original",
        }
        variant = MuonVariant(self.polynomial, self.row_beta, self.cautious_decay, self.equal_rows)
        dtype = torch.float32 if self.precision == "float32" else torch.bfloat16
        # sharded or on a GPU torch's own, where it has what is asked for
        elsewhere = any(type(each) is not torch.nn.Parameter or not each.is_cpu for each in weights)
        if elsewhere and dtype == torch.bfloat16 and variant == MUON:
            return torch.optim.Muon([group], **settings)
        return StackedMuon([group], dtype=dtype, variant=variant, **settings)

    def continued(self, share: float) -> dict[str, Any]:
        return {"matrix_learning_rate": share * self.matrix_learning_rate}


def is_block_matrix(name: str, shape: Sequence[int]) -> bool:
    """Whether Muon updates it: a matrix of a block that maps vectors to vectors. A router only
    gives scores.
    """
    return "blocks" in name.split(".") and len(shape) == 2 and not name.endswith(ROUTER)
