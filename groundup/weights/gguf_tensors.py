"""The tensors of a GGUF file as bytes: which encoding each has, and how bytes become numbers and back.

The `gguf` package does the arithmetic of the quantised formats. One tensor is in memory at a time.

Written encodings: f32, f16, bf16, q8_0, q4_0. Norms, biases, routers and position tables are always F32. q8_0 and q4_0 cut rows into blocks of
32; a matrix with other rows stays F16. In q4_0 the embedding and the head are Q8_0: they are the first to suffer.
Read: these and Q4_1, Q5_0, Q5_1, Q2_K to Q6_K.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from torch import Tensor

from groundup.weights.assemble import Model, finite
from groundup.weights.gguf_config import EMBEDDING, HEAD
from groundup.weights.gguf_header import TensorInfo
from groundup.weights.gguf_scaling import ROPE_FACTORS, rope_factors
from groundup.weights.names import Binding

Encoding = Literal["f32", "f16", "bf16", "q8_0", "q4_0"]

READABLE = (
    *(Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1),
    *(Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K),
)
ENCODINGS: dict[Encoding, tuple[Kind, gguf.LlamaFileType]] = {
    "f32": (Kind.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (Kind.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (Kind.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (Kind.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (Kind.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
ROWS_OF = 32
POSITIONS = "position_embd.weight"
ROUTER = "ffn_gate_inp.weight"


def dequantised(data: np.ndarray, info: TensorInfo) -> Tensor:
    """One tensor of the file's bytes as float32. `info` must come from the checked table."""
    rows = np.array(data[info.begin : info.begin + info.num_bytes]).reshape(*info.shape[:-1], info.row_bytes)
    with np.errstate(all="ignore"):  # what is not finite is found and named by `fill`
        return torch.from_numpy(gguf.dequantize(rows, info.kind).reshape(info.shape))


def tensor_kind(binding: Binding, encoding: Encoding) -> Kind:
    """How one tensor is written."""
    if len(binding.shape) == 1 or binding.theirs == POSITIONS or binding.theirs.endswith(ROUTER):
        return Kind.F32
    if encoding in ("q8_0", "q4_0") and binding.shape[-1] % ROWS_OF:
        return Kind.F16
    if encoding == "q4_0" and binding.theirs in (EMBEDDING, HEAD):
        return Kind.Q8_0
    return ENCODINGS[encoding][0]


def num_bytes(shape: tuple[int, ...], kind: Kind) -> int:
    """Of a tensor in the file."""
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return int(np.prod(shape, dtype=np.int64)) // block * block_bytes


def pending_tensors(model: Model, bindings: list[Binding], kinds: dict[str, Kind]) -> list["Pending"]:
    """All tensors of the file in order, each computed when it is written."""
    parameters = model.state_dict()
    pending = [
        Pending(binding.theirs, binding.shape, kinds[binding.theirs], binding, parameters) for binding in bindings
    ]
    factors = rope_factors(model.config)
    if factors is not None:
        binding = Binding(ROPE_FACTORS, (ROPE_FACTORS,), (len(factors),), (len(factors),))
        pending.append(Pending(ROPE_FACTORS, binding.shape, Kind.F32, binding, {ROPE_FACTORS: factors}))
    return pending


@dataclass(frozen=True)
class Pending:
    """A tensor to be written."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    binding: Binding
    parameters: dict[str, Tensor]

    @property
    def num_bytes(self) -> int:
        return num_bytes(self.shape, self.kind)

    def array(self) -> np.ndarray:
        """The file's bytes. Raises FormatError for a value that the type can't hold."""
        ours = {name: self.parameters[name].detach().float().cpu() for name in self.binding.ours}
        rows = self.binding.pack(ours)
        finite(rows, self.name, "the model")
        if self.kind == Kind.F16:
            finite(rows.half(), self.name, "the model as f16")
        return np.ascontiguousarray(gguf.quantize(rows.numpy(), self.kind))


def write_tensors(writer: gguf.GGUFWriter, pending: list[Pending]) -> None:
    """Write the header, the metadata added so far, the table, and then each tensor."""
    for tensor in pending:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.num_bytes, raw_dtype=tensor.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for array in _arrays(pending):
        writer.write_tensor_data(array)


def _arrays(pending: list[Pending]) -> Iterator[np.ndarray]:
    for tensor in pending:
        array = tensor.array()
        assert array.nbytes == tensor.num_bytes, tensor.name
        yield array
