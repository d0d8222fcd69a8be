"""Weight quantisation to 8 or 4 bits, everything else in bf16: decoding reads a half or a quarter of the bytes per token.

    quantise(model, "int8")         # a bf16 language model, changed in place

A matrix W [O, C] is stored as integers q with a scale (in 4 bits also an offset) per row, or per `GROUP` numbers of a row:

    int8    W = s q,               q in -127 .. 127,   s = max |row| / 127
    int4    W = s (q - 8) + z,     q in 0 .. 15,       s = (max - min) / 15 of the group,   z = min + 8 s

Only weights are rounded (to nearest), not activations. The products are torch's CPU kernels, which unpack while they multiply. For many rows
at once (a prompt) the product is compute-bound, and int8 weights are unpacked for an ordinary bf16 product.

The head has a fifth of SmolLM2's parameters and scores tokens directly, so it has 8 bits in both; the embedding is a look-up and stays. Norms,
experts, their router, and matrices of shapes that the kernels do not support stay too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
# Widths and heights must be multiples of this for torch's kernels.
MULTIPLE = {"int8": 16, "int4": 64}
# Rows per call of the int8 kernel: 32 in one call take four to seven times as long as 16 (measured, docs/log.md).
ROWS = 16
# Above so many rows unpacking and a bf16 product are faster; where the compiled step unpacks, above so few.
MANY_ROWS, FEW_ROWS = 64, 32
KERNELS: Any = torch.ops.aten


class Int8Linear(nn.Module):
    """x W^T + b with W in 8 bits, a scale per row."""

    numbers: Int[Tensor, "O C"]
    scales: Float[Tensor, " O"]
    unpack: Callable[[], Tensor] | None = None
    """What unpacks the matrix instead of torch's operations: engine/compiled_step/unpack.py sets it. Valid until its next call."""

    def __init__(self, weight: Float[Tensor, "O C"], bias: Tensor | None = None) -> None:
        super().__init__()
        numbers, scales = rounded_int8(weight)
        self.register_buffer("numbers", numbers)
        self.register_buffer("scales", scales.to(torch.bfloat16))
        self.bias = bias

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N O"]:
        rows = x.reshape(-1, x.shape[-1])
        if rows.shape[0] > (MANY_ROWS if self.unpack is None else FEW_ROWS):
            product = F.linear(rows, self.weight if self.unpack is None else self.unpack())
        else:
            parts = [torch._weight_int8pack_mm(part, self.numbers, self.scales) for part in rows.split(ROWS)]
            product = parts[0] if len(parts) == 1 else torch.cat(parts)
        return _with_bias(product, self.bias).view(*x.shape[:-1], len(self.numbers))

    @property
    def weight(self) -> Float[Tensor, "O C"]:
        """The unpacked matrix."""
        return self.numbers.to(torch.bfloat16).mul_(self.scales[:, None])


class Int4Linear(nn.Module):
    """x W^T + b with W in 4 bits, a scale and an offset per `GROUP` numbers of a row."""

    packed: Int[Tensor, "O half_C"]
    pairs: Float[Tensor, "G O 2"]
    by_row: Int[Tensor, "O half_C"] | None
    """The numbers once more, as engine/compiled_step reads them: in each group column j in the low half of byte j, column 16 + j in the high."""
    unpack: Callable[[], Tensor] | None = None
    """As of `Int8Linear`."""

    def __init__(self, weight: Float[Tensor, "O C"], bias: Tensor | None = None, *, by_row: bool = False) -> None:
        super().__init__()
        numbers, scales, offsets = rounded_int4(weight)
        low, high = numbers.unflatten(1, (-1, 2, GROUP // 2)).unbind(2)  # [O, G, 16] each
        self.register_buffer("by_row", (low + 16 * high).to(torch.uint8).flatten(1) if by_row else None)
        self.register_buffer("packed", KERNELS._convert_weight_to_int4pack_for_cpu(numbers, 1))
        pairs = torch.stack([scales, offsets], dim=-1).transpose(0, 1)  # [O, G, 2] -> [G, O, 2], as the kernel reads
        self.register_buffer("pairs", pairs.to(torch.bfloat16).contiguous())
        self.bias = bias

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N O"]:
        rows = x.reshape(-1, x.shape[-1])
        if self.unpack is not None and rows.shape[0] > FEW_ROWS:
            product = F.linear(rows, self.unpack())
        else:
            product = KERNELS._weight_int4pack_mm_for_cpu(rows, self.packed, GROUP, self.pairs)
        return _with_bias(product, self.bias).view(*x.shape[:-1], product.shape[1])


def _with_bias(product: Tensor, bias: Tensor | None) -> Tensor:
    return product if bias is None else product + bias


def rounded_int8(weight: Float[Tensor, "O C"]) -> tuple[Int[Tensor, "O C"], Float[Tensor, " O"]]:
    """Return the integers and scales of a matrix."""
    weight = weight.float()
    scales = (weight.abs().amax(dim=1) / 127).clamp_min_(torch.finfo(torch.float32).tiny).bfloat16().float()
    return (weight / scales[:, None]).round_().clamp_(-127, 127).to(torch.int8), scales


def rounded_int4(
    weight: Float[Tensor, "O C"],
) -> tuple[Int[Tensor, "O C"], Float[Tensor, "O G"], Float[Tensor, "O G"]]:
    """Return the integers, scales and offsets of a matrix, G groups per row."""
    groups = weight.float().unflatten(1, (-1, GROUP))  # [O, G, GROUP]
    lowest, highest = groups.amin(dim=2), groups.amax(dim=2)
    scales = ((highest - lowest) / 15).clamp_min_(1e-12).bfloat16().float()
    offsets = (lowest + 8 * scales).bfloat16().float()
    numbers = ((groups - offsets[..., None]) / scales[..., None]).round_().add_(8).clamp_(0, 15)
    return numbers.flatten(1).to(torch.int32), scales, offsets


KINDS: dict[Bits, Callable[[Tensor, Tensor | None], nn.Module]] = {"int8": Int8Linear, "int4": Int4Linear}


@dataclass(frozen=True)
class Quantised:
    """The result of `quantise`."""

    packed: int
    """Number of quantised matrices."""
    left: tuple[str, ...]
    """Names of the matrices that stay in bf16, since the kernels do not support their shape."""


@torch.no_grad()
def quantise(model: nn.Module, bits: Bits, *, by_row: bool = False) -> Quantised:
    """Quantise the matrices of all blocks and the head of a bf16 model on a CPU, in place. Raises ConfigError for other models.

    `by_row`: 4-bit numbers are kept in the compiled step's order, too, which takes half a byte more per number.
    """
    weight = next(model.parameters())
    if weight.dtype != torch.bfloat16 or not weight.is_cpu:
        raise ConfigError(f"{bits} needs bf16 weights on a CPU; these are {weight.dtype} on {weight.device}.")
    linears = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    packed, left = 0, []
    for name, linear in linears:
        if not name.startswith("transformer.") or name.endswith(".router"):
            continue
        if _fits(linear.weight, bits):
            kind = partial(Int4Linear, by_row=by_row) if bits == "int4" else KINDS[bits]
            model.set_submodule(name, kind(linear.weight, linear.bias))
            packed += 1
        else:
            left.append(name)
    if isinstance(model, LanguageModel) and _fits(model.head_weight, "int8"):
        model.head = Int8Linear(model.head_weight)
        packed += 1
    return Quantised(packed, tuple(left))


def _fits(weight: Tensor, bits: Bits) -> bool:
    return all(size % MULTIPLE[bits] == 0 for size in weight.shape)
