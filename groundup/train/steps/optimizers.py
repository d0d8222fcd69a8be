"""The optimizers, and which parameters each of them updates.

    adamw   AdamW (Loshchilov & Hutter 2019) for all
    muon    Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") for
            the matrices of the blocks, AdamW for the rest: embeddings, head, norms, biases,
            positions, routers, and experts, whose matrices are stacked in tensors of three
            dimensions
    sgd     stochastic gradient descent with momentum, as a baseline for the other two

Matrices decay, vectors and tables do not. `Optimizers` holds several of torch's as one.

The gradient of a block's matrix, summed over steps, is nearly of low rank: a few directions have
large singular values, most have small ones and are hardly learned. Of G = U S V^T Muon steps along
U V^T, in which all are equal. Instead of computing singular values, five Newton-Schulz iterations
of an odd polynomial bring them all near 1, with matrix products alone: in bf16, or in float32 where
torch emulates bf16, 20 times slower (`precision.decide_muon` decides before the first step). On a
CPU `StackedMuon` takes the steps, elsewhere torch's own; the readable `muon_step` is the test of
both.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.errors import ConfigError
from groundup.model.footprint import StateSize
from groundup.model.matmul_precision import fast_matmul
from groundup.train.steps.config import FitConfig

ROUTER = "router.weight"
# a x + b x^3 + c x^5: chosen by Jordan et al. for a steep rise at 0, so that small singular values
# grow fast; it oscillates about 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
MIN_NORM = 1e-7
# Matrices of at most so many numbers are multiplied in one call with others of their shape; larger
# ones are slower that way.
STACKED_NUMBERS = 2**16
# Moments that each optimizer keeps for a parameter.
STATE_SIZES = {
    "adamw": StateSize(block_matrix=2, rest=2),
    "muon": StateSize(block_matrix=1, rest=2),
    "sgd": StateSize(block_matrix=1, rest=1),
}


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that train, by name: those that require a gradient.

    Frozen ones belong to the base.
    """
    return {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }


class Optimizers:
    """Several torch optimizers as one; each parameter belongs to one of them.

    A group's learning rate is the run's times its "rate_factor".
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = tuple(parts)
        self._owner = {
            id(p): part for part in parts for group in part.param_groups for p in group["params"]
        }

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all."""
        return [group for part in self.parts for group in part.param_groups]

    def state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """The optimizer state of one parameter: {} before its first step."""
        state = self._owner[id(parameter)].state.get(parameter, {})
        return {key: value for key, value in state.items() if isinstance(value, Tensor)}

    def restore_state(self, parameter: nn.Parameter, state: dict[str, Tensor]) -> None:
        """Set the optimizer state of one parameter."""
        self._owner[id(parameter)].state[parameter] = state

    def set_rate(self, rate: float) -> None:
        """Set the run's learning rate for the next step."""
        for group in self.param_groups:
            group["lr"] = rate * group["rate_factor"]

    def step(self) -> None:
        """One update of all."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Release the gradients."""
        for part in self.parts:
            part.zero_grad()


def build_optimizer(model: nn.Module, config: FitConfig) -> Optimizers:
    """Return the optimizer that the config names, over all parameters that train. Raises
    ConfigError where there is none for it.

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
        raise ConfigError(
            "optimizer muon: the model trains no matrix in a block.", fix="Set optimizer to adamw."
        )
    rest = [parameter for name, parameter in parameters.items() if name not in matrices]
    muon = _muon(matrices.values(), config)
    return Optimizers([muon, _adamw(rest, tables, config)] if rest else [muon])


def is_block_matrix(name: str, shape: Sequence[int]) -> bool:
    """Whether Muon updates it: a matrix of a block that maps vectors to vectors.

    A router only gives scores, a row for each expert.
    """
    return "blocks" in name.split(".") and len(shape) == 2 and not name.endswith(ROUTER)


def _tables(model: nn.Module) -> set[int]:
    """Ids of embedding tables, and so of a tied head.

    A row gets a gradient only when its token occurs: decay would shrink rare tokens for being rare.
    """
    return {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}


def _adamw(
    parameters: Iterable[nn.Parameter], tables: set[int], config: FitConfig
) -> torch.optim.AdamW:
    groups = _groups(parameters, tables, config)
    # fused: one pass over each tensor instead of a dozen small operations
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True
    )


def _groups(
    parameters: Iterable[nn.Parameter], tables: set[int], config: FitConfig
) -> list[dict[str, Any]]:
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in parameters:
        (decayed if parameter.ndim >= 2 and id(parameter) not in tables else kept).append(parameter)
    return [
        {"params": decayed, "weight_decay": config.weight_decay, "rate_factor": 1.0},
        {"params": kept, "weight_decay": 0.0, "rate_factor": 1.0},
    ]


def _muon(parameters: Iterable[nn.Parameter], config: FitConfig) -> torch.optim.Muon:
    weights = list(parameters)
    group = {"params": weights, "rate_factor": config.muon_learning_rate / config.learning_rate}
    settings: dict[str, Any] = {
        "lr": config.muon_learning_rate,
        "momentum": config.muon_momentum,
        "weight_decay": config.weight_decay,
        "adjust_lr_fn": "original",
    }
    whole_on_cpu = all(
        type(weight) is nn.Parameter and weight.is_cpu for weight in weights
    )  # not sharded, not on a GPU
    if config.muon_precision == "float32":
        return StackedMuon([group], dtype=torch.float32, **settings)
    if whole_on_cpu:
        return StackedMuon([group], dtype=torch.bfloat16, **settings)
    return torch.optim.Muon([group], **settings)


def orthogonalised(
    matrix: Float[Tensor, "*S M N"], *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*S M N"]:
    """About U V^T of U S V^T = `matrix`: singular values between 0.5 and 1.5, where they were not
    nearly 0. In `dtype`, of one or a stack.

    >>> orthogonalised(torch.tensor([[30.0, 0.0], [0.0, 2.0]])).diagonal().round(decimals=1)
    tensor([0.7000, 1.1000])
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = (matrix.mT if tall else matrix).to(dtype)  # wide: X X^T is the smaller product
    # no singular value is above the root of the sum of their squares
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=MIN_NORM)
    add_product = torch.baddbmm if x.ndim > 2 else torch.addmm
    for _ in range(ROUNDS):
        square = x @ x.mT
        polynomial = add_product(square, square, square, beta=b, alpha=c)
        x = add_product(x, polynomial, x, beta=a)  # U (a S + b S^3 + c S^5) V^T
    return x.mT if tall else x


def muon_step(
    weight: Float[Tensor, "M N"],
    gradient: Float[Tensor, "M N"],
    mean: Float[Tensor, "M N"],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
) -> tuple[Float[Tensor, "M N"], Float[Tensor, "M N"]]:
    """Return weight and running mean of the gradient (at first zero) after one update."""
    mean = momentum * mean + (1 - momentum) * gradient
    ahead = (
        momentum * mean + (1 - momentum) * gradient
    )  # Nesterov: the mean after the same gradient once more
    rows, columns = weight.shape
    scale = math.sqrt(
        max(1, rows / columns)
    )  # a tall matrix has M outputs and only N directions to move them by
    decayed = weight * (1 - rate * weight_decay)
    return decayed - rate * scale * orthogonalised(ahead), mean


class StackedMuon(torch.optim.Muon):
    """torch's Muon with its groups and its state, orthogonalising in `dtype`; small matrices of one
    shape together.

    One at a time, a product of small matrices takes less time than its call: a step of quickstart's
    28 takes 1.5 times as long (docs/log.md).
    """

    def __init__(self, groups: Any, *, dtype: torch.dtype, **settings: Any) -> None:
        super().__init__(groups, **settings)
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # torch's also returns what a closure gives
        """One update of every matrix that has a gradient, as `muon_step`, in place.

        It takes no closure.
        """
        assert closure is None
        for group in self.param_groups:
            stacks: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for number, weight in enumerate(group["params"]):
                if weight.grad is not None:
                    alone = (
                        weight.numel() > STACKED_NUMBERS or type(weight) is not nn.Parameter
                    )  # large, or sharded
                    stacks.setdefault((*weight.shape, number if alone else -1), []).append(weight)
            for weights in stacks.values():
                with fast_matmul(weights[0].device):
                    self._update(weights, group)

    def _update(self, weights: Sequence[nn.Parameter], group: dict[str, Any]) -> None:
        """Update matrices of one shape."""
        momentum, (rows, columns) = group["momentum"], weights[0].shape
        ahead = []
        for weight in weights:
            state, gradient = self.state[weight], weight.grad
            assert gradient is not None
            if not state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
            ahead.append(gradient.lerp(mean, momentum))
        directions = orthogonalised(
            torch.stack(ahead) if len(ahead) > 1 else ahead[0], dtype=self.dtype
        )
        length = -group["lr"] * math.sqrt(max(1, rows / columns))
        for weight, direction in zip(
            weights, directions if len(ahead) > 1 else [directions], strict=True
        ):
            weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=length)
