"""What `generate_ids` and the `BatchEngine` call of a torch model: `array_step.py` on its tensors.

    model.decode_step = CompiledStep(StepModel.of(model))
    logits = model.decode_step.after_cache(next_id, cache)      # [1, V], as
                                                                model.logits(model.hidden(next_id,
                                                                cache=cache))

Also matrices in 8 or 4 bits -> bf16, for torch's products of a prompt: one pass over the numbers,
into memory that the model's next one is unpacked into, one for each thread.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from groundup.kernels.array_step import ArrayStep
from groundup.kernels.machine_code import MachineCode
from groundup.kernels.module_arrays import cache_dtype, linears
from groundup.kernels.step_memory import aligned_empty
from groundup.kernels.step_weights import StepModel
from groundup.model.cache import KVCache, PagedStore, TokenSpan
from groundup.model.heads import LanguageModel


class CompiledStep:
    """Copies of the model do not have it, since they may get other weights (adapters)."""

    def __init__(self, described: StepModel) -> None:
        self.described, self.arrays = described, ArrayStep(described)
        self.max_rows, self.takes_prompts = self.arrays.max_rows, self.arrays.takes_prompts

    def __deepcopy__(self, memo: Any) -> None:
        return None

    def after_cache(
        self, ids: Tensor, cache: KVCache, positions: Sequence[int] | None = None
    ) -> Float[Tensor, "L V"]:
        """The logits after the new tokens at `positions` (None: all) of ids [B, T], text after
        text. Raises ModelError (full cache).
        """
        assert cache.keys.dtype == cache_dtype(self.described.kind), cache.keys.dtype
        return torch.from_numpy(self.arrays.after_cache(ids.numpy(), cache, positions))

    def after_spans(
        self,
        ids: Sequence[int],
        store: PagedStore,
        spans: Sequence[TokenSpan],
        positions: Sequence[int],
    ) -> Float[Tensor, "L V"]:
        """The same of the spans of a paged cache."""
        return torch.from_numpy(self.arrays.after_spans(np.array(ids), store, spans, positions))


UNPACK_INT8, UNPACK_INT4 = (
    MachineCode("groundup.kernels.step_parts", name) for name in ("unpack_int8", "unpack_int4")
)


def let_unpack(described: StepModel, model: LanguageModel) -> None:
    memory = threading.local()  # goes with the model
    for index, linear in enumerate(linears(model)):
        linear.unpack = Unpacked(described, index, memory)


class Unpacked:
    """One matrix. Copies of its module do not have it."""

    def __init__(self, described: StepModel, index: int, memory: threading.local) -> None:
        self.described, self.index, self.memory = described, index, memory

    def __deepcopy__(self, memo: Any) -> None:
        return None

    def __call__(self) -> Float[Tensor, "O C"]:
        """Valid until the calling thread's next call of any with the same memory."""
        weights = self.described.weights
        _, rows, columns, scale_start, _, in_4_bits = weights.matrices[self.index]
        if getattr(self.memory, "room", np.empty(0)).size < rows * columns:
            self.memory.room = aligned_empty((rows * columns,), np.uint16)
        out = self.memory.room[: rows * columns].reshape(rows, columns)
        numbers = self.described.numbers[self.index]
        if in_4_bits:
            UNPACK_INT4(numbers, self.described.pairs[self.index], out)
        else:
            UNPACK_INT8(numbers, weights.scales[scale_start : scale_start + rows], out)
        return torch.from_numpy(out.view(np.int16)).view(torch.bfloat16)
