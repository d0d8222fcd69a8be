"""LoRA: each chosen matrix W [O, I] is frozen and gets a trainable update of rank R.

    h = W x + (alpha / R) B A x                    A: [R, I], B: [O, R]
            (Hu et al. 2021, eq. 3 and section 4.1)

In a block with experts only the attention is adapted: adapters of every expert would cost E times
as much, and each would see few tokens.

B starts at zero, so that the adapted model initially equals the original. `merge_lora` adds the
product to W: the result is a plain model with the same parameter names, without extra cost, and can
be saved like any other.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from groundup.errors import ConfigError, did_you_mean
from groundup.model.block import Block
from groundup.model.experts import Experts
from groundup.model.fused import autocast_dtype

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class LoRAWeights:
    """The update of one matrix: `scale` B A."""

    a: Float[Tensor, "R I"]
    b: Float[Tensor, "O R"]
    scale: float

    @classmethod
    def initial(
        cls, base: nn.Linear, *, rank: int, alpha: float, generator: torch.Generator
    ) -> "LoRAWeights":
        """A is Gaussian and keeps the variance of x, B is zero."""
        weight, deviation = base.weight, 1 / math.sqrt(base.in_features)
        first = torch.empty(rank, base.in_features).normal_(0.0, deviation, generator=generator)
        zeros = torch.zeros(base.out_features, rank, device=weight.device, dtype=weight.dtype)
        return cls(first.to(weight.device, weight.dtype), zeros, alpha / rank)


class FusedLoRA(torch.autograd.Function):
    """h = x W^T + s (x A^T) B^T for a frozen W, without a temporary as large as h: saves x, W, A, B
    and l = s x A^T. x and W have one dtype.

    With g the gradient by h and m = s g B:

        dL/dx = g W + m A        dL/dA = m^T x        dL/dB = g^T l
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
        rows, a, b = x.reshape(-1, x.shape[-1]), a.to(x.dtype), b.to(x.dtype)  # rows: [N, I]
        low = (rows @ a.T).mul_(scale)  # [N, R], scaled here where it is smallest
        ctx.save_for_backward(rows, weight, a, b, low)
        ctx.scale = scale
        return (rows @ weight.T).addmm_(low, b.T).view(*x.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, a, b, low = ctx.saved_tensors
        rows_g = g.reshape(-1, g.shape[-1])
        low_g = (rows_g @ b).mul_(ctx.scale)  # m
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = (rows_g @ weight).addmm_(low_g, a).view(*g.shape[:-1], weight.shape[1])
        return by_x, None, low_g.T @ rows, rows_g.T @ low, None


class LoRALinear(nn.Module):
    """A frozen Linear (or a quantised one) and its low-rank update."""

    def __init__(self, base: nn.Module, weights: LoRAWeights) -> None:
        super().__init__()
        self.base = base
        self.scale = weights.scale
        self.lora_a, self.lora_b = nn.Parameter(weights.a), nn.Parameter(weights.b)
        self.active = True
        """Whether the update is added (`without_lora`)."""
        # the frozen weight, its version, and the weight in autocast's dtype
        self._cast: tuple[Tensor, int, Tensor] | None = None

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        if not self.active:
            base: Tensor = self.base(x)
            return base
        if self._is_fused(x):
            dtype = autocast_dtype(x)
            weight = self._frozen(dtype)
            return FusedLoRA.apply(x.to(dtype), weight, self.lora_a, self.lora_b, self.scale)
        low_rank = x @ self.lora_a.T * self.scale  # [.., R], scaled here where it is smallest
        return self.base(x) + low_rank @ self.lora_b.T  # eq. 3: h = W_0 x + B A x

    def _is_fused(self, x: Tensor) -> bool:
        """A training step on a CPU, around a frozen Linear without a bias."""
        base = self.base
        plain = isinstance(base, nn.Linear) and base.bias is None and not base.weight.requires_grad
        return x.is_cpu and plain and torch.is_grad_enabled() and not torch.compiler.is_compiling()

    def _frozen(self, dtype: torch.dtype) -> Float[Tensor, "O I"]:
        """Autocast would convert the weight in every step, and keep it until the backward pass."""
        weight = self.base.weight
        assert isinstance(weight, Tensor)
        if weight.dtype == dtype:
            return weight
        if self._cast is not None:
            base, version, cast = self._cast
            if base is weight and version == weight._version and cast.dtype == dtype:
                return cast
        cast = weight.detach().to(dtype)
        self._cast = weight, weight._version, cast
        return cast

    def merge(self) -> nn.Linear:
        assert isinstance(self.base, nn.Linear)
        with torch.no_grad():
            update = self.lora_b.float() @ self.lora_a.float() * self.scale
            self.base.weight += update.to(self.base.weight.dtype)
        return self.base


def add_lora(
    model: nn.Module,
    *,
    rank: int,
    alpha: float,
    generator: torch.Generator,
    targets: Sequence[str] = (),
) -> None:
    """Add adapters to the Linears of all blocks with a name in `targets` ("query", "down", ...;
    empty: all) and freeze everything else. `alpha` is divided by R, so that the learning rate need
    not change with it. Raises ConfigError.
    """
    linears = list(block_linears(model))
    known = {name for _, name, _ in linears}
    for target in targets:
        if target not in known:
            message = f"LoRA target {target!r} is not a matrix of this model's blocks."
            raise ConfigError(message, fix=did_you_mean(target, known))
    if rank < 1:
        raise ConfigError(f"LoRA rank must be at least 1 (got {rank}).")
    if any(isinstance(part, LoRALinear) for part in model.modules()):
        raise ConfigError("This model already has LoRA adapters.")
    model.requires_grad_(False)
    for parent, name, linear in linears:
        if not targets or name in targets:
            weights = LoRAWeights.initial(linear, rank=rank, alpha=alpha, generator=generator)
            setattr(parent, name, LoRALinear(linear, weights))


def block_linears(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """(Parent module, name, Linear) of those that can be adapted; experts are skipped."""
    blocks = [block for block in model.modules() if isinstance(block, Block)]
    parents = [parent for block in blocks for parent in (block.attention, block.feedforward)]
    for parent in parents:
        if isinstance(parent, Experts):
            continue
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                yield parent, name, child


def lora_parameters(model: nn.Module) -> list[nn.Parameter]:
    ends = (".lora_a", ".lora_b")
    return [each for name, each in model.named_parameters() if name.endswith(ends)]


def lora_weights(model: nn.Module) -> dict[str, LoRAWeights]:
    """Copies on the CPU by the names of their matrices: "transformer.blocks.0.attention.query"."""
    return {
        name: LoRAWeights(
            part.lora_a.detach().cpu().clone(), part.lora_b.detach().cpu().clone(), part.scale
        )
        for name, part in model.named_modules()
        if isinstance(part, LoRALinear)
    }


def attach_lora(model: nn.Module, weights: Mapping[str, LoRAWeights]) -> None:
    """Put adapters around these matrices (bf16 where they are quantised); nothing is frozen."""
    plain = next(model.parameters())
    for name, each in weights.items():
        a, b = (tensor.to(plain.device, plain.dtype) for tensor in (each.a, each.b))
        adapted = LoRALinear(model.get_submodule(name), LoRAWeights(a, b, each.scale))
        model.set_submodule(name, adapted)


def shared_copy(model: M) -> M:
    """Its own modules and the same tensors: adapters can be put around its matrices, and the
    weights are in memory once.
    """
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


@contextmanager
def without_lora(model: nn.Module) -> Iterator[None]:
    """Inside, the model is what it was before its adapters."""
    adapted = [part for part in model.modules() if isinstance(part, LoRALinear)]
    for part in adapted:
        part.active = False
    try:
        yield
    finally:
        for part in adapted:
            part.active = True


@torch.no_grad()
def copy_merged(model: nn.Module, plain: nn.Module) -> None:
    """Put the matrices of an adapted model, with their updates, into those of a copy of it that was
    made before it had adapters.
    """
    for name, part in model.named_modules():
        if isinstance(part, LoRALinear):
            assert isinstance(part.base, nn.Linear)
            target = plain.get_submodule(name).weight
            assert isinstance(target, Tensor)
            update = part.lora_b.float() @ part.lora_a.float() * part.scale
            target.copy_(part.base.weight + update.to(part.base.weight.dtype))


def merge_lora(model: nn.Module) -> None:
    """Merge every update into its matrix; all is trainable."""
    _replace(model, LoRALinear.merge)


def remove_lora(model: nn.Module) -> None:
    """Bit-identical to the original model (merging zeros would turn -0.0 into 0.0)."""
    _replace(model, lambda adapted: adapted.base)


def _replace(model: nn.Module, plain: Callable[[LoRALinear], nn.Module]) -> None:
    for name, part in list(model.named_modules()):
        if isinstance(part, LoRALinear):
            model.set_submodule(name, plain(part))
    model.requires_grad_(True)
