"""Fine-tuning with few parameters: every chosen matrix W [O, I] stays as it is and learns a correction of rank R beside it.

    h = W x + (alpha / R) B A x                    A: [R, I], B: [O, R]          (Hu et al. 2021, eq. 3 and section 4.1)

Of a block with experts, the attention alone is adapted: a correction for every expert would cost E times as much, and each would see
only the few tokens that choose it; the router stays as it is.

B starts at zero, so that an adapted model begins as the model it was. `merge_lora` adds the product into W for good: the result is a plain
model of the same names, which costs nothing extra and can be saved like any other.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.errors import ConfigError, did_you_mean
from groundup.model.block import Block
from groundup.model.experts import Experts


class LoRALinear(nn.Module):
    """A frozen Linear and its correction: [.., I] -> [.., O]."""

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        weight = base.weight
        self.base = base
        self.scale = alpha / rank
        # A as a Gaussian that keeps the size of x, B zero.
        first = torch.empty(rank, base.in_features).normal_(0.0, 1 / math.sqrt(base.in_features), generator=generator)
        self.lora_a = nn.Parameter(first.to(weight.device, weight.dtype))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank, device=weight.device, dtype=weight.dtype))

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        narrow = x @ self.lora_a.T * self.scale  # [.., R], scaled here where it is smallest
        return self.base(x) + narrow @ self.lora_b.T  # eq. 3: h = W_0 x + B A x

    def merged(self) -> nn.Linear:
        """The plain Linear that does the same."""
        with torch.no_grad():
            self.base.weight += (self.lora_b.float() @ self.lora_a.float() * self.scale).to(self.base.weight.dtype)
        return self.base


def add_lora(
    model: nn.Module, *, rank: int, alpha: float, generator: torch.Generator, targets: Sequence[str] = ()
) -> None:
    """Adapt the Linears of all blocks whose name is in `targets` ("query", "down", ...; empty: all of them) and freeze everything else.

    `rank` R from 1 up; `alpha` is divided by it, so that the learning rate need not change with R. Raises ConfigError.
    """
    linears = list(block_linears(model))
    known = {name for _, name, _ in linears}
    for target in targets:
        if target not in known:
            raise ConfigError(
                f"LoRA target {target!r} is no matrix of this model's blocks.", fix=did_you_mean(target, known)
            )
    if rank < 1 or any(isinstance(part, LoRALinear) for part in model.modules()):
        raise ConfigError(
            f"LoRA rank must be at least 1 (got {rank})." if rank < 1 else "This model has LoRA adapters already."
        )
    model.requires_grad_(False)
    for parent, name, linear in linears:
        if not targets or name in targets:
            setattr(parent, name, LoRALinear(linear, rank=rank, alpha=alpha, generator=generator))


def block_linears(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Every Linear of the blocks that can be adapted, as (module that holds it, its name there, itself): experts are passed over."""
    for block in model.modules():
        if isinstance(block, Block):
            alone = isinstance(block.feedforward, Experts)
            for parent in (block.attention,) if alone else (block.attention, block.feedforward):
                yield from (
                    (parent, name, child) for name, child in parent.named_children() if isinstance(child, nn.Linear)
                )


def lora_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters to train: all A and B."""
    return [parameter for name, parameter in model.named_parameters() if name.endswith((".lora_a", ".lora_b"))]


def merge_lora(model: nn.Module) -> None:
    """Add every correction into its matrix and give back the plain modules, all of them trainable again."""
    _replace(model, LoRALinear.merged)


def remove_lora(model: nn.Module) -> None:
    """Take the corrections off again: the model that it was, bit for bit (adding a zero would turn -0.0 into 0.0)."""
    _replace(model, lambda adapted: adapted.base)


def _replace(model: nn.Module, plain: Callable[[LoRALinear], nn.Linear]) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoRALinear):
                setattr(parent, name, plain(child))
    model.requires_grad_(True)
