"""Weights in 8 or 4 bits, everything else in bf16: what decoding reads from memory for each token becomes a half or a quarter.

    quantise(model, "int8")         # a bf16 language model, changed in its place

A matrix W [O, C] is stored as whole numbers q with a scale (and in 4 bits an offset) for each row, or for each `GROUP` numbers of it:

    int8    W = s q,               q in -127 .. 127,   s = max |row| / 127
    int4    W = s (q - 8) + z,     q in 0 .. 15,       s = (max - min) / 15 of the group,   z = min + 8 s

Only weights are rounded (to the nearest); what passes through the matrix is not. The products are torch's own kernels for CPUs, which unpack as
they multiply. Where many rows come at once (a prompt) the product is the work, not the reading, and int8 weights are unpacked for an ordinary bf16
product.

The head costs a fifth of SmolLM2's parameters and decides between tokens directly, so it has 8 bits in both; the embedding is only looked up, and
stays. Norms, experts, their router, and matrices of a shape that the kernels do not take stay too: `quantise` counts them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from groundup.errors import ConfigError
from groundup.model.heads import LanguageModel

Bits = Literal["int8", "int4"]
# Numbers that share a scale in 4 bits: llama.cpp's Q4_0 has as many.
GROUP = 32
# Widths and heights that torch's kernels take.
MULTIPLE = {"int8": 16, "int4": 64}
# Rows that the int8 kernel takes at once: 32 in one call take four to seven times as long as 16 (measured, docs/log.md).
ROWS = 16
# Above so many rows an unpacked matrix and a bf16 product are sooner done.
MANY_ROWS = 64
KERNELS: Any = torch.ops.aten


class Int8Linear(nn.Module):
    """x W^T + b with W in 8 bits, a scale for each row."""

    numbers: Int[Tensor, "O C"]
    scales: Float[Tensor, " O"]

    def __init__(self, weight: Float[Tensor, "O C"], bias: Tensor | None = None) -> None:
        super().__init__()
        numbers, scales = rounded_int8(weight)
        self.register_buffer("numbers", numbers)
        self.register_buffer("scales", scales.to(torch.bfloat16))
        self.bias = bias

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N O"]:
        rows = x.reshape(-1, x.shape[-1])
        if rows.shape[0] > MANY_ROWS:
            found = F.linear(rows, self.weight)
        else:
            pieces = [torch._weight_int8pack_mm(part, self.numbers, self.scales) for part in rows.split(ROWS)]
            found = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        return _with_bias(found, self.bias).view(*x.shape[:-1], len(self.numbers))

    @property
    def weight(self) -> Float[Tensor, "O C"]:
        """Unpacked."""
        return self.numbers.to(torch.bfloat16).mul_(self.scales[:, None])


class Int4Linear(nn.Module):
    """x W^T + b with W in 4 bits, a scale and an offset for each `GROUP` numbers of a row."""

    packed: Int[Tensor, "O half_C"]
    pairs: Float[Tensor, "G O 2"]

    def __init__(self, weight: Float[Tensor, "O C"], bias: Tensor | None = None) -> None:
        super().__init__()
        numbers, scales, offsets = rounded_int4(weight)
        self.register_buffer("packed", KERNELS._convert_weight_to_int4pack_for_cpu(numbers, 1))
        pairs = torch.stack([scales, offsets], dim=-1).transpose(0, 1)  # [O, G, 2] -> [G, O, 2], as the kernel reads
        self.register_buffer("pairs", pairs.to(torch.bfloat16).contiguous())
        self.bias = bias

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N O"]:
        rows = x.reshape(-1, x.shape[-1])
        found = KERNELS._weight_int4pack_mm_for_cpu(rows, self.packed, GROUP, self.pairs)
        return _with_bias(found, self.bias).view(*x.shape[:-1], found.shape[1])


def _with_bias(found: Tensor, bias: Tensor | None) -> Tensor:
    return found if bias is None else found + bias


def rounded_int8(weight: Float[Tensor, "O C"]) -> tuple[Int[Tensor, "O C"], Float[Tensor, " O"]]:
    """The numbers and scales of a matrix."""
    weight = weight.float()
    scales = (weight.abs().amax(dim=1) / 127).clamp_min_(torch.finfo(torch.float32).tiny).bfloat16().float()
    return (weight / scales[:, None]).round_().clamp_(-127, 127).to(torch.int8), scales


def rounded_int4(
    weight: Float[Tensor, "O C"],
) -> tuple[Int[Tensor, "O C"], Float[Tensor, "O G"], Float[Tensor, "O G"]]:
    """The numbers, scales and offsets of a matrix, G groups in a row."""
    groups = weight.float().unflatten(1, (-1, GROUP))  # [O, G, GROUP]
    lowest, highest = groups.amin(dim=2), groups.amax(dim=2)
    scales = ((highest - lowest) / 15).clamp_min_(1e-12).bfloat16().float()
    offsets = (lowest + 8 * scales).bfloat16().float()
    numbers = ((groups - offsets[..., None]) / scales[..., None]).round_().add_(8).clamp_(0, 15)
    return numbers.flatten(1).to(torch.int32), scales, offsets


KINDS: dict[Bits, Callable[[Tensor, Tensor | None], nn.Module]] = {"int8": Int8Linear, "int4": Int4Linear}


@dataclass(frozen=True)
class Quantised:
    """What became of a model's matrices."""

    packed: int
    """Matrices that are stored in fewer bits now."""
    left: tuple[str, ...]
    """Names of those that stay in bf16, since the kernels do not take their shape."""


@torch.no_grad()
def quantise(model: nn.Module, bits: Bits) -> Quantised:
    """Pack the matrices of all blocks and of the head of a bf16 model on a CPU. Raises ConfigError for another model."""
    weight = next(model.parameters())
    if weight.dtype != torch.bfloat16 or not weight.is_cpu:
        raise ConfigError(
            f"{bits} weights are made from bf16 ones on a CPU; these are {weight.dtype} on {weight.device}."
        )
    linears = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    packed, left = 0, []
    for name, linear in linears:
        if not name.startswith("transformer.") or name.endswith(".router"):
            continue
        if _fits(linear.weight, bits):
            _replace(model, name, KINDS[bits](linear.weight, linear.bias))
            packed += 1
        else:
            left.append(name)
    if isinstance(model, LanguageModel) and _fits(model.head_weight, "int8"):
        model.head = Int8Linear(model.head_weight)
        packed += 1
    return Quantised(packed, tuple(left))


def _fits(weight: Tensor, bits: Bits) -> bool:
    return all(size % MULTIPLE[bits] == 0 for size in weight.shape)


def _replace(model: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, part)
