"""A GGUF file <-> a language model and its tokenizer: what llama.cpp and Ollama run.

read_gguf    our own header reader checks the whole table first (gguf_header), the metadata give a shape, the shape the list of tensors that
             must be there; then each tensor is cut out of a memory map along the checked table and dequantised
write_gguf   the same list the other way; one tensor in memory at a time, the file in place only when it is whole

The `gguf` package does the arithmetic of the quantised formats and lays out what is written; it never opens a foreign file here.

Written encodings: f32, f16, bf16, q8_0, q4_0. Norms, biases, routers and position tables are always F32. q8_0 and q4_0 cut rows into blocks of
32; a matrix with other rows stays F16. In q4_0 the embedding and the head are Q8_0: they are the first to suffer.
Read: these and Q4_1, Q5_0, Q5_1, Q2_K to Q6_K.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from torch import Tensor

from groundup.errors import FormatError, ModelError
from groundup.files import atomic_file, no_room
from groundup.model.config import ModelConfig
from groundup.model.heads import Classifier, LanguageModel
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import gguf_metadata, tokenizer_from_gguf
from groundup.weights.assemble import Model, check_table, empty_model, fill, finite, parameter_shapes
from groundup.weights.exportable import as_llamacpp_runs, gguf_reason
from groundup.weights.gguf_architectures import ARCHITECTURES
from groundup.weights.gguf_config import (
    EMBEDDING,
    HEAD,
    add_config,
    our_scaling,
    read_gguf_config,
)
from groundup.weights.gguf_header import Header, TensorInfo, read_gguf_header
from groundup.weights.gguf_scaling import ROPE_FACTORS, read_factors, rope_factors
from groundup.weights.names import GGUF_ARCHITECTURES, Binding, gguf_bindings
from groundup.weights.shape import Shape

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
# The version of the quantised formats that ggml counts (GGML_QNT_VERSION).
QUANTIZATION_VERSION = 2
ROWS_OF = 32
POSITIONS = "position_embd.weight"
ROUTER = "ffn_gate_inp.weight"


@dataclass(frozen=True)
class GGUFModel:
    """What a GGUF file holds."""

    model: LanguageModel
    tokenizer: Tokenizer | None
    """None: the file has no vocabulary."""
    metadata: dict[str, Any]


def read_gguf(path: Path, *, dtype: torch.dtype = torch.float32) -> GGUFModel:
    """The model of a GGUF file, dequantised into `dtype`, and its tokenizer. Raises FormatError."""
    header = read_gguf_header(path)
    for info in header.tensors.values():
        if info.kind not in READABLE:
            known = ", ".join(kind.name for kind in READABLE)
            raise FormatError(path, f"tensor {info.name!r}", f"is of type {info.kind.name}; {known} are read")
    data = np.memmap(path, dtype=np.uint8, mode="r")
    model = _read_model(header, data, path, dtype)
    has_vocabulary = header.metadata.get("tokenizer.ggml.model") not in (None, "none", "no_vocab")
    tokenizer = tokenizer_from_gguf(header.metadata, source=path) if has_vocabulary else None
    return GGUFModel(model, tokenizer, header.metadata)


def _read_model(header: Header, data: np.ndarray, path: Path, dtype: torch.dtype) -> LanguageModel:
    config = gguf_shape(header, data, path)
    table = {name: info.shape for name, info in header.tensors.items()}
    if _reads_factors(config):
        table.pop(ROPE_FACTORS, None)
    model = empty_model(Shape(config, "language"))
    assert isinstance(model, LanguageModel)
    bindings = gguf_bindings(config, parameter_shapes(model))
    check_table(bindings, table, path)
    fill(model, ((binding, dequantised(data, header.tensors[binding.theirs])) for binding in bindings), dtype, path)
    return model


def gguf_shape(header: Header, data: np.ndarray, path: Path) -> ModelConfig:
    """The config that a checked header describes; of the weights, at most the factors of stretched positions are read. Raises FormatError."""
    config = read_gguf_config(header, path)
    if not _reads_factors(config) or ROPE_FACTORS not in header.tensors:
        return config
    factors = dequantised(data, header.tensors[ROPE_FACTORS])
    return replace(config, rope_scaling=read_factors(our_scaling(header.metadata), factors, config, path))


def _reads_factors(config: ModelConfig) -> bool:
    return ARCHITECTURES[GGUF_ARCHITECTURES[config.family]].reads_factors


def dequantised(data: np.ndarray, info: TensorInfo) -> Tensor:
    """One tensor of the file's bytes as float32. `info` must come from the checked table."""
    rows = np.array(data[info.begin : info.begin + info.num_bytes]).reshape(*info.shape[:-1], info.row_bytes)
    with np.errstate(all="ignore"):  # what is not finite is found and named by `fill`
        return torch.from_numpy(gguf.dequantize(rows, info.kind).reshape(info.shape))


def write_gguf(
    model: Model,
    tokenizer: Tokenizer | None,
    path: Path,
    *,
    encoding: Encoding,
    name: str,
    license_id: str = "",
    progress: Progress | None = None,
) -> None:
    """Write a language model and its tokenizer as one GGUF file. Raises ModelError for what GGUF can't hold, DiskError."""
    vocabulary = _exportable(model, tokenizer)
    shapes = parameter_shapes(model)
    bindings = gguf_bindings(model.config, shapes)
    kinds = {binding.theirs: tensor_kind(binding, encoding) for binding in bindings}
    _say_exceptions(model.config, bindings, kinds, encoding, progress or Silent())
    needed_bytes = sum(_num_bytes(binding.shape, kinds[binding.theirs]) for binding in bindings)
    with atomic_file(path, needed_bytes=needed_bytes + 2**20) as temporary:
        writer = gguf.GGUFWriter(temporary, GGUF_ARCHITECTURES[model.config.family])
        _add_general(writer, encoding, name, license_id)
        add_config(writer, as_llamacpp_runs(model.config))
        add_vocabulary(writer, vocabulary)
        try:
            _write(writer, _quantised(model, bindings, kinds))
        except OSError as error:
            if error.errno is None:  # numpy's tofile tells how many items it wrote, but not why no more
                raise no_room(path, needed_bytes) from error
            raise
        finally:
            writer.close()


def _exportable(model: Model, tokenizer: Tokenizer | None) -> dict[str, object]:
    """The vocabulary's metadata, once it is clear that the model can be written. Raises ModelError."""
    config = model.config
    if isinstance(model, Classifier):
        raise ModelError(
            "A classifier can't be written as GGUF: llama.cpp has no head of this kind.", fix="Use --to hf."
        )
    reason = gguf_reason(config)
    if reason:
        raise ModelError(f"This model can't be written as GGUF: {reason}", fix="Use --to hf.")
    if tokenizer is None:
        raise ModelError("A GGUF file needs the tokenizer, and this model has none.", fix="Save it with its tokenizer.")
    return gguf_metadata(tokenizer, vocab_size=config.vocab_size)


def tensor_kind(binding: Binding, encoding: Encoding) -> Kind:
    """How one tensor is written."""
    if len(binding.shape) == 1 or binding.theirs == POSITIONS or binding.theirs.endswith(ROUTER):
        return Kind.F32
    if encoding in ("q8_0", "q4_0") and binding.shape[-1] % ROWS_OF:
        return Kind.F16
    if encoding == "q4_0" and binding.theirs in (EMBEDDING, HEAD):
        return Kind.Q8_0
    return ENCODINGS[encoding][0]


def _say_exceptions(
    config: ModelConfig, bindings: list[Binding], kinds: dict[str, Kind], encoding: Encoding, progress: Progress
) -> None:
    runs = as_llamacpp_runs(config)
    if runs.context_tokens < config.context_tokens:
        progress.say(
            f"The file's context is {runs.context_tokens} tokens, not {config.context_tokens}: llama.cpp has no sliding window in "
            f"{GGUF_ARCHITECTURES[config.family]!r}, and within this model's window of {config.window_tokens} it needs none."
        )
    left = [binding for binding in bindings if encoding in ("q8_0", "q4_0") and kinds[binding.theirs] == Kind.F16]
    if left:
        progress.say(
            f"{len(left)} of {len(bindings)} tensors stay F16: {encoding} needs rows of a multiple of {ROWS_OF}, "
            f"{left[0].theirs} has {left[0].shape[-1]}."
        )


def _num_bytes(shape: tuple[int, ...], kind: Kind) -> int:
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return int(np.prod(shape, dtype=np.int64)) // block * block_bytes


def _quantised(model: Model, bindings: list[Binding], kinds: dict[str, Kind]) -> list["_Pending"]:
    """All tensors of the file in order, each computed when it is written."""
    parameters = model.state_dict()
    pending = [
        _Pending(binding.theirs, binding.shape, kinds[binding.theirs], binding, parameters) for binding in bindings
    ]
    factors = rope_factors(model.config)
    if factors is not None:
        binding = Binding(ROPE_FACTORS, (ROPE_FACTORS,), (len(factors),), (len(factors),))
        pending.append(_Pending(ROPE_FACTORS, binding.shape, Kind.F32, binding, {ROPE_FACTORS: factors}))
    return pending


@dataclass(frozen=True)
class _Pending:
    """A tensor to be written."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    binding: Binding
    parameters: dict[str, Tensor]

    @property
    def num_bytes(self) -> int:
        return _num_bytes(self.shape, self.kind)

    def array(self) -> np.ndarray:
        """The file's bytes. Raises FormatError for a value that the type can't hold."""
        ours = {name: self.parameters[name].detach().float().cpu() for name in self.binding.ours}
        rows = self.binding.pack(ours)
        finite(rows, self.name, "the model")
        if self.kind == Kind.F16:
            finite(rows.half(), self.name, "the model as f16")
        return np.ascontiguousarray(gguf.quantize(rows.numpy(), self.kind))


def _add_general(writer: gguf.GGUFWriter, encoding: Encoding, name: str, license_id: str) -> None:
    writer.add_type("model")
    writer.add_name(name)
    writer.add_license(license_id)  # "" is left out
    writer.add_file_type(ENCODINGS[encoding][1])
    writer.add_quantization_version(QUANTIZATION_VERSION)


def add_vocabulary(writer: gguf.GGUFWriter, metadata: dict[str, object]) -> None:
    for key, value in metadata.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            assert isinstance(value, list), key
            writer.add_array(key, value)


def _write(writer: gguf.GGUFWriter, pending: list[_Pending]) -> None:
    for tensor in pending:
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.num_bytes, raw_dtype=tensor.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for array in _arrays(pending):
        writer.write_tensor_data(array)


def _arrays(pending: list[_Pending]) -> Iterator[np.ndarray]:
    for tensor in pending:
        array = tensor.array()
        assert array.nbytes == tensor.num_bytes, tensor.name
        yield array
