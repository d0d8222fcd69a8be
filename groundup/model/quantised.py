"""Weight quantisation to 8 or 4 bits, everything else in bf16: decoding reads a half or a quarter
of the bytes per token.

    quantise(model, "int8")         # a bf16 language model, changed in place

A matrix W [O, C] is stored as integers q with a scale (in 4 bits also an offset) per row, or per
`GROUP` numbers of a row:

    int8    W = s q,               q in -127 .. 127,   s = max |row| / 127
    int4    W = s (q - 8) + z,     q in 0 .. 15,       s = (max - min) / 15 of the group,   z = min
            + 8 s

Only weights are rounded (to nearest), not activations. The products are torch's CPU kernels, which
unpack while they multiply. For many rows at once (a prompt) the product is compute-bound, and
weights are unpacked for an ordinary bf16 product. Single tokens and short prompts go through the
compiled step (groundup/kernels) where numba is installed, which has products of its own and rounds
activations to 16 bits.

The head has a fifth of SmolLM2's parameters and scores tokens directly, so it has 8 bits in both;
the embedding is a look-up and stays. Norms, experts, their router, and matrices of shapes that the
kernels do not support stay too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from groundup.errors import ConfigError
from groundup.model.heads import LanguageModel
from groundup.model.linear import FastLinear
from groundup.model.packing import BLOCK, GROUP, MULTIPLE, Bits

# The low halves of four bytes.
FOUR_HALVES = 0x0F0F0F0F
# Rows per call of the int8 kernel: 32 in one call take four to seven times as long as 16 (measured,
# docs/log.md).
ROWS = 16
# Above this number of rows unpacking and a bf16 product are faster: in 8 bits, and in 4 or where the
# compiled step unpacks.
MANY_ROWS, FEW_ROWS = 64, 32
KERNELS: Any = torch.ops.aten


class Int8Linear(nn.Module):
    """x W^T + b with W in 8 bits, a scale per row."""

    numbers: Int[Tensor, "O C"]
    scales: Float[Tensor, " O"]
    shape: tuple[int, int]
    unpack: Callable[[], Tensor] | None = None
    """Unpacks the matrix instead of torch's operations (set by `kernels/`); valid until its next
    call.
    """

    def __init__(self, weight: Float[Tensor, "O C"], bias: Tensor | None = None) -> None:
        super().__init__()
        numbers, scales = pack_int8(weight)
        self.register_buffer("numbers", numbers)
        self.register_buffer("scales", scales)
        self.bias, self.shape = bias, (weight.shape[0], weight.shape[1])

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N O"]:
        rows = x.reshape(-1, x.shape[-1])
        if self.unpack is not None and len(rows) > FEW_ROWS:
            product = F.linear(rows, self.unpack())
        elif len(rows) > MANY_ROWS:
            product = F.linear(rows, self.weight)
        else:
            parts = [
                torch._weight_int8pack_mm(part, self.numbers, self.scales)
                for part in rows.split(ROWS)
            ]
            product = parts[0] if len(parts) == 1 else torch.cat(parts)
        return _with_bias(product, self.bias).view(*x.shape[:-1], len(self.numbers))

    @property
    def weight(self) -> Float[Tensor, "O C"]:
        return self.numbers.to(torch.bfloat16).mul_(self.scales[:, None])


class Int4Linear(nn.Module):
    """x W^T + b with W in 4 bits, a scale and an offset per `GROUP` numbers of a row."""

    by_block: UInt8[Tensor, "blocks G 4 8 4"]
    """As the compiled step and files have them, `BLOCK` rows interleaved. Of a group: vectors k
    (4) of rows r (8) of bytes j (4), each with column 4 k + j in its low half and column 16 + 4 k +
    j in its high half."""
    pairs: Float[Tensor, "blocks G 8 2"]
    """Scale and offset."""
    shape: tuple[int, int]
    torch_numbers: Tensor | None
    torch_pairs: Tensor | None
    """Both once more, in the order of torch's kernel (`add_torch_order`)."""
    unpack: Callable[[], Tensor] | None = None

    def __init__(self, weight: Float[Tensor, "O C"], bias: Tensor | None = None) -> None:
        super().__init__()
        by_block, pairs = pack_int4(weight)
        self.register_buffer("by_block", by_block)
        self.register_buffer("pairs", pairs)
        self.register_buffer("torch_numbers", None, persistent=False)
        self.register_buffer("torch_pairs", None, persistent=False)
        self.bias, self.shape = bias, (weight.shape[0], weight.shape[1])

    def forward(self, x: Float[Tensor, "*N C"]) -> Float[Tensor, "*N O"]:
        rows = x.reshape(-1, x.shape[-1])
        if self.torch_numbers is not None and len(rows) <= FEW_ROWS:
            product = KERNELS._weight_int4pack_mm_for_cpu(
                rows, self.torch_numbers, GROUP, self.torch_pairs
            )
        elif self.unpack is not None:
            product = F.linear(rows, self.unpack())
        else:
            product = F.linear(rows, self.weight)
        return _with_bias(product, self.bias).view(*x.shape[:-1], product.shape[1])

    @property
    def numbers(self) -> UInt8[Tensor, "O G 32"]:
        """0 to 15, a byte each."""
        fours = self.by_block.view(torch.int32).squeeze(4)  # [blocks, G, 4, 8]: faster than bytes
        halves = torch.stack([fours & FOUR_HALVES, fours >> 4 & FOUR_HALVES], dim=2)
        by_row = halves.permute(0, 4, 1, 2, 3).contiguous()
        return by_row.view(torch.uint8).view(self.shape[0], -1, GROUP)

    @property
    def pairs_by_row(self) -> Float[Tensor, "O G 2"]:
        return self.pairs.transpose(1, 2).flatten(0, 1)

    @property
    def weight(self) -> Float[Tensor, "O C"]:
        scales, offsets = self.pairs_by_row.float().split(1, dim=2)  # [O, G, 1] each
        weight = self.numbers.float().mul_(scales).add_(offsets - 8 * scales)
        return weight.to(torch.bfloat16).flatten(1)


def _with_bias(product: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None:
        return product
    return product + bias


def round_int8(weight: Float[Tensor, "O C"]) -> tuple[Int[Tensor, "O C"], Float[Tensor, " O"]]:
    """Integers and scales."""
    weight, tiny = weight.float(), torch.finfo(torch.float32).tiny
    scales = (weight.abs().amax(dim=1) / 127).clamp_min_(tiny).bfloat16().float()
    return (weight / scales[:, None]).round_().clamp_(-127, 127).to(torch.int8), scales


def round_int4(
    weight: Float[Tensor, "O C"],
) -> tuple[Int[Tensor, "O C"], Float[Tensor, "O G"], Float[Tensor, "O G"]]:
    """Integers, scales and offsets, G groups per row."""
    groups = weight.float().unflatten(1, (-1, GROUP))  # [O, G, GROUP]
    lowest, highest = groups.amin(dim=2), groups.amax(dim=2)
    scales = ((highest - lowest) / 15).clamp_min_(1e-12).bfloat16().float()
    offsets = (lowest + 8 * scales).bfloat16().float()
    numbers = ((groups - offsets[..., None]) / scales[..., None]).round_().add_(8).clamp_(0, 15)
    return numbers.flatten(1).to(torch.int32), scales, offsets


def pack_int8(weight: Float[Tensor, "O C"]) -> tuple[Int[Tensor, "O C"], Float[Tensor, " O"]]:
    """Numbers and bf16 scales; on the meta device without arithmetic, which would import torch's
    compiler.
    """
    if weight.is_meta:
        scales = weight.new_empty(len(weight), dtype=torch.bfloat16)
        return weight.new_empty(weight.shape, dtype=torch.int8), scales
    numbers, scales = round_int8(weight)
    return numbers, scales.to(torch.bfloat16)


def pack_int4(
    weight: Float[Tensor, "O C"],
) -> tuple[UInt8[Tensor, "blocks G 4 8 4"], Float[Tensor, "blocks G 8 2"]]:
    """As `Int4Linear` has them: two numbers a byte, bf16 scales and offsets."""
    blocks, groups = weight.shape[0] // BLOCK, weight.shape[1] // GROUP
    if weight.is_meta:
        pairs = weight.new_empty((blocks, groups, BLOCK, 2), dtype=torch.bfloat16)
        return weight.new_empty((blocks, groups, 4, BLOCK, 4), dtype=torch.uint8), pairs
    numbers, scales, offsets = round_int4(weight)
    low, high = numbers.view(blocks, BLOCK, groups, 2, 4, 4).unbind(3)  # [blocks, 8, G, 4, 4] each
    by_block = (low + 16 * high).to(torch.uint8).permute(0, 2, 3, 1, 4).contiguous()
    pairs = torch.stack([scales, offsets], dim=-1).to(torch.bfloat16)
    return by_block, pairs.unflatten(0, (blocks, BLOCK)).transpose(1, 2).contiguous()


KINDS: dict[Bits, Callable[[Tensor, Tensor | None], nn.Module]] = {
    "int8": Int8Linear,
    "int4": Int4Linear,
}


@dataclass(frozen=True)
class Quantised:
    """The result of `quantise`."""

    packed: int
    """Quantised matrices."""
    left: tuple[str, ...]
    """Matrices that stay in bf16, since the kernels do not support their shape."""


@torch.no_grad()
def quantise(model: nn.Module, bits: Bits) -> Quantised:
    """Quantise the matrices of all blocks and the head of a bf16 model on a CPU, in place; on the
    meta device for weights that are read later. Raises ConfigError for other models.
    """
    weight = next(model.parameters())
    if not weight.is_meta and (weight.dtype != torch.bfloat16 or not weight.is_cpu):
        raise ConfigError(
            f"{bits} needs bf16 weights on a CPU; these are {weight.dtype} on {weight.device}."
        )
    linears = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    packed, left = 0, []
    for name, linear in linears:
        if not name.startswith("transformer.") or name.endswith(".router"):
            continue
        if _fits(linear.weight, bits):
            model.set_submodule(name, KINDS[bits](linear.weight, linear.bias))
            packed += 1
        else:
            left.append(name)
    if isinstance(model, LanguageModel) and _fits(model.head_weight, "int8"):
        model.head = Int8Linear(model.head_weight)
        packed += 1
    return Quantised(packed, tuple(left))


def _fits(weight: Tensor, bits: Bits) -> bool:
    return all(size % MULTIPLE[bits] == 0 for size in weight.shape)


@torch.no_grad()
def add_torch_order(model: nn.Module) -> None:
    """Keep 4-bit numbers in the order of torch's kernel, too, which otherwise unpacks them at each
    step. Idempotent.
    """
    for part in model.modules():
        if isinstance(part, Int4Linear) and part.torch_numbers is None:
            part.torch_pairs = part.pairs_by_row.transpose(0, 1).contiguous()  # [G, O, 2]
            # numbers last: another thread may look for them
            part.torch_numbers = KERNELS._convert_weight_to_int4pack_for_cpu(
                part.numbers.flatten(1).int(), 1
            )


def dequantise(model: nn.Module, dtype: torch.dtype) -> None:
    """In place. A tied head is the embedding again, which was never rounded."""
    for name, part in list(model.named_modules()):
        if isinstance(part, Int8Linear | Int4Linear):
            linear = FastLinear(1, 1, bias=False, device="meta")
            linear.weight = nn.Parameter(part.weight)
            if part.bias is not None:
                linear.bias = nn.Parameter(part.bias)
            model.set_submodule(name, linear)
    if isinstance(model, LanguageModel) and model.config.tied_head:
        model.head = None
    model.to(dtype)
