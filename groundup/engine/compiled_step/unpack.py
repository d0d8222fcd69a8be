"""Matrices in 8 or 4 bits -> bf16, for torch's products of a prompt: one pass over the numbers, where torch's operations take several.

The matrix lies in memory that the model's next one is unpacked into, one for each thread: it is read before another is asked for.
"""

import threading
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from groundup.engine.compiled_step.compiled import compiled
from groundup.engine.compiled_step.int4_products import int4_block_to_bf16
from groundup.engine.compiled_step.products import BLOCK, GROUP, bf16_of_float, int8_row_to_bf16
from groundup.engine.compiled_step.step_weights import StepModel, linears
from groundup.model.heads import LanguageModel

Array = np.ndarray
F = np.float32


def let_unpack(described: StepModel, model: LanguageModel) -> None:
    """Let the matrices of a described model unpack themselves this way."""
    memory = threading.local()  # goes with the model
    for index, linear in enumerate(linears(model)):
        linear.unpack = Unpacked(described, index, memory)


class Unpacked:
    """One matrix. Copies of its module do not have it, since they may get other weights."""

    def __init__(self, described: StepModel, index: int, memory: threading.local) -> None:
        self.described, self.index, self.memory = described, index, memory

    def __deepcopy__(self, memo: Any) -> None:
        return None

    def __call__(self) -> Float[Tensor, "O C"]:
        """Return the matrix in bf16; valid until the calling thread's next call of any with the same memory."""
        weights = self.described.weights
        _, rows, columns, scale_start, _, in_4_bits = weights.matrices[self.index]
        if getattr(self.memory, "room", np.empty(0)).size < rows * columns:
            self.memory.room = torch.empty(rows * columns, dtype=torch.int16).numpy().view(np.uint16)
        out, numbers = self.memory.room[: rows * columns].reshape(rows, columns), self.described.numbers[self.index]
        if in_4_bits:
            unpack_int4(numbers, self.described.pairs[self.index], out)
        else:
            unpack_int8(numbers, weights.scales[scale_start : scale_start + rows], out)
        return torch.from_numpy(out.view(np.int16)).view(torch.bfloat16)


@compiled
def unpack_int8(numbers: Array, scales: Array, out: Array) -> None:
    """W = s q, rounded to bf16."""
    rows, columns = out.shape
    for o in range(rows):
        if columns % GROUP == 0:
            int8_row_to_bf16(
                np.uint64(numbers[o].ctypes.data), scales[o], np.uint64(columns), np.uint64(out[o].ctypes.data)
            )
        else:
            for c in range(columns):
                out[o, c] = bf16_of_float(F(numbers[o, c]) * scales[o])


@compiled
def unpack_int4(numbers: Array, pairs: Array, out: Array) -> None:
    """W = s (q - 8) + z, rounded to bf16; `numbers` and `pairs` as `Int4Linear` has them."""
    row_bytes, groups = np.uint64(out.strides[0]), np.uint64(pairs.shape[1])
    for block in range(pairs.shape[0]):
        weights, scaling = np.uint64(numbers[block].ctypes.data), np.uint64(pairs[block].ctypes.data)
        int4_block_to_bf16(weights, scaling, groups, np.uint64(out[block * BLOCK].ctypes.data), row_bytes)
