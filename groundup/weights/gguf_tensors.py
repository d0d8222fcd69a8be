"""The tensors of a GGUF file as bytes: the encoding of each, quantised and dequantised by the `gguf` package.

Written encodings: f32, f16, bf16, q8_0, q4_0. Norms, biases, routers and position tables are always F32. q8_0 and q4_0 divide rows into
blocks of 32; a matrix whose rows are no multiple of that stays F16. In q4_0 the embedding and the head are Q8_0: they lose most by it.
Read: these and Q4_1, Q5_0, Q5_1, Q2_K to Q6_K.
"""

from dataclasses import dataclass
from typing import Literal

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from torch import Tensor

from groundup.weights.assemble import Model, require_finite
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
QUANT_BLOCK = 32
POSITIONS = "position_embd.weight"
ROUTER = "ffn_gate_inp.weight"


def dequantise(data: np.ndarray, info: TensorInfo) -> Tensor:
    """Return one tensor of the file's bytes as float32. `info` must come from the checked table."""
    rows = np.array(data[info.begin : info.begin + info.num_bytes]).reshape(*info.shape[:-1], info.row_bytes)
    with np.errstate(all="ignore"):  # `fill` names a tensor with non-finite values
        return torch.from_numpy(gguf.dequantize(rows, info.kind).reshape(info.shape))


def tensor_kind(binding: Binding, encoding: Encoding) -> Kind:
    """Return the type in which one tensor is written."""
    if len(binding.shape) == 1 or binding.theirs == POSITIONS or binding.theirs.endswith(ROUTER):
        return Kind.F32
    if encoding in ("q8_0", "q4_0") and binding.shape[-1] % QUANT_BLOCK:
        return Kind.F16
    if encoding == "q4_0" and binding.theirs in (EMBEDDING, HEAD):
        return Kind.Q8_0
    return ENCODINGS[encoding][0]


def num_bytes(shape: tuple[int, ...], kind: Kind) -> int:
    """Return the bytes of a tensor in the file."""
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return int(np.prod(shape, dtype=np.int64)) // block * block_bytes


def pending_tensors(model: Model, bindings: list[Binding], kinds: dict[str, Kind]) -> list["PendingTensor"]:
    """Return all tensors of the file in order, each to be computed when it is written."""
    parameters = model.state_dict()
    pending = [PendingTensor(binding, kinds[binding.theirs], parameters) for binding in bindings]
    factors = rope_factors(model.config)
    if factors is not None:
        binding = Binding(ROPE_FACTORS, (ROPE_FACTORS,), (len(factors),), (len(factors),))
        pending.append(PendingTensor(binding, Kind.F32, {ROPE_FACTORS: factors}))
    return pending


@dataclass(frozen=True)
class PendingTensor:
    """A tensor to be written."""

    binding: Binding
    kind: Kind
    parameters: dict[str, Tensor]

    @property
    def num_bytes(self) -> int:
        return num_bytes(self.binding.shape, self.kind)

    def array(self) -> np.ndarray:
        """Return the file's bytes. Raises FormatError for a value that the type can't hold."""
        name = self.binding.theirs
        rows = self.binding.pack({ours: self.parameters[ours].detach().float().cpu() for ours in self.binding.ours})
        require_finite(rows, name, "the model")
        if self.kind == Kind.F16:
            require_finite(rows.half(), name, "the model as f16")
        array = np.ascontiguousarray(gguf.quantize(rows.numpy(), self.kind))
        assert array.nbytes == self.num_bytes, name
        return array


def write_tensors(writer: gguf.GGUFWriter, pending: list[PendingTensor]) -> None:
    """Write the header, the metadata added so far, the tensor table, and then each tensor."""
    for tensor in pending:
        name, shape = tensor.binding.theirs, tensor.binding.shape
        writer.add_tensor_info(name, shape, np.dtype(np.float32), tensor.num_bytes, raw_dtype=tensor.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in pending:
        writer.write_tensor_data(tensor.array())
