"""Matrices in 8 or 4 bits -> bf16, for torch's products of a prompt: one pass over the numbers,
where torch's operations take several.

The matrix lies in memory that the model's next one is unpacked into, one for each thread: it is
read before another is asked for.
"""

import threading
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from groundup.kernels.machine_code import MachineCode
from groundup.kernels.step_weights import StepModel, linears
from groundup.model.heads import LanguageModel

UNPACK_INT8, UNPACK_INT4 = (
    MachineCode("groundup.kernels.step_parts", name) for name in ("unpack_int8", "unpack_int4")
)


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
        """Return the matrix in bf16; valid until the calling thread's next call of any with the
        same memory.
        """
        weights = self.described.weights
        _, rows, columns, scale_start, _, in_4_bits = weights.matrices[self.index]
        if getattr(self.memory, "room", np.empty(0)).size < rows * columns:
            # at a multiple of 64 bytes, as torch allocates: `store_past_caches`
            empty = torch.empty(rows * columns, dtype=torch.int16)
            self.memory.room = empty.numpy().view(np.uint16)
        out = self.memory.room[: rows * columns].reshape(rows, columns)
        numbers = self.described.numbers[self.index]
        if in_4_bits:
            UNPACK_INT4(numbers, self.described.pairs[self.index], out)
        else:
            UNPACK_INT8(numbers, weights.scales[scale_start : scale_start + rows], out)
        return torch.from_numpy(out.view(np.int16)).view(torch.bfloat16)
