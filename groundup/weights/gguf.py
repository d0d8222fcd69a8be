"""A GGUF file <-> a language model and its tokenizer: what llama.cpp and Ollama run.

read_gguf    gguf_header checks the whole header; metadata -> config -> the list of tensors that
             must be there; then each is read from a memory map and dequantised
write_gguf   the same list in the other direction, one tensor in memory at a time

Written: f32, f16, bf16, q8_0, q4_0; norms, biases, routers and position tables always F32. q8_0 and
q4_0 divide rows into blocks of 32; a matrix whose rows are no multiple of that stays F16. In q4_0
the embedding and the head are Q8_0: they lose most by it. Read: these and Q4_1, Q5_0, Q5_1, Q2_K to
Q6_K. The `gguf` package writes files; it never opens a foreign one here.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from torch import Tensor

from groundup.errors import FormatError, ModelError
from groundup.files import atomic_file, no_room
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.progress import Progress, Silent
from groundup.tokenizer.fast import Tokenizer
from groundup.tokenizer.formats import gguf_metadata, tokenizer_from_gguf
from groundup.weights.assemble import (
    Model,
    check_table,
    empty_model,
    fill,
    kind_of,
    parameter_shapes,
    require_finite,
)
from groundup.weights.gguf_architectures import (
    ARCHITECTURES,
    GGUF_ARCHITECTURES,
    as_llamacpp_runs,
    gguf_reason,
)
from groundup.weights.gguf_config import (
    EMBEDDING,
    HEAD,
    OUR_SCALING,
    ROPE_FACTORS,
    add_config,
    add_metadata,
    entries,
    read_factors,
    read_gguf_config,
    rope_factors,
)
from groundup.weights.gguf_header import Header, TensorInfo, read_gguf_header
from groundup.weights.hf_config import HFConfig
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_format import (
    ExportOptions,
    ModelFormat,
    ModelReader,
    ModelSummary,
    ModelTexts,
    OpenModel,
    model_name,
    write_checked,
)
from groundup.weights.names import Binding, gguf_bindings

# ggml's version of its quantised formats (GGML_QNT_VERSION).
QUANTIZATION_VERSION = 2

GGUFQuantization = Literal["f32", "f16", "bf16", "q8_0", "q4_0"]

READABLE = (
    *(Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1),
    *(Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K),
)
QUANTIZATIONS: dict[GGUFQuantization, tuple[Kind, gguf.LlamaFileType]] = {
    "f32": (Kind.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (Kind.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (Kind.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (Kind.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (Kind.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}
QUANT_BLOCK = 32
POSITIONS = "position_embd.weight"
ROUTER = "ffn_gate_inp.weight"


def read_gguf(path: Path, dtype: torch.dtype = torch.float32) -> OpenModel:
    """The model of a file, dequantised into `dtype`, and its tokenizer if it has a vocabulary.
    Raises FormatError.
    """
    header = read_gguf_header(path)
    for info in header.tensors.values():
        if info.kind not in READABLE:
            known = ", ".join(kind.name for kind in READABLE)
            raise FormatError(
                path, f"tensor {info.name!r}", f"is of type {info.kind.name}; {known} are read"
            )
    model = _read_model(header, np.memmap(path, dtype=np.uint8, mode="r"), path, dtype)
    license_id = _text(header.metadata, "general.license") or ""
    return OpenModel(
        model, _tokenizer(path, header), model.config, path, "language", license=license_id
    )


def _tokenizer(path: Path, header: Header | None = None) -> Tokenizer | None:
    metadata = (header or read_gguf_header(path)).metadata
    has_vocabulary = metadata.get("tokenizer.ggml.model") not in (None, "none", "no_vocab")
    if not has_vocabulary:
        return None
    return tokenizer_from_gguf(metadata, source=path)


def _read_model(header: Header, data: np.ndarray, path: Path, dtype: torch.dtype) -> LanguageModel:
    config = gguf_shape(header, data, path)
    table = {name: info.shape for name, info in header.tensors.items()}
    if config.rope_scaling is not None and config.rope_scaling.kind == "llama3":
        table.pop(ROPE_FACTORS)
    model = empty_model(HFConfig(config, "language"))
    assert isinstance(model, LanguageModel)
    bindings = gguf_bindings(config, parameter_shapes(model))
    check_table(bindings, table, path)
    fill(
        model,
        ((binding, dequantise(data, header.tensors[binding.theirs])) for binding in bindings),
        dtype,
        path,
    )
    return model


def gguf_shape(header: Header, data: np.ndarray, path: Path) -> ModelConfig:
    """The config of a checked header; of the tensors, at most the RoPE factors are read. Raises
    FormatError.
    """
    config = read_gguf_config(header, path)
    if (
        not ARCHITECTURES[GGUF_ARCHITECTURES[config.family]].reads_factors
        or ROPE_FACTORS not in header.tensors
    ):
        return config
    factors = dequantise(data, header.tensors[ROPE_FACTORS])
    return replace(
        config,
        rope_scaling=read_factors(entries(header.metadata, OUR_SCALING), factors, config, path),
    )


def dequantise(data: np.ndarray, info: TensorInfo) -> Tensor:
    """One tensor as float32; `info` from the checked table."""
    rows = np.array(data[info.begin : info.begin + info.num_bytes]).reshape(*info.shape[:-1], -1)
    with np.errstate(all="ignore"):  # `fill` names a tensor with non-finite values
        return torch.from_numpy(gguf.dequantize(rows, info.kind).reshape(info.shape))


def write_gguf(
    model: Model,
    tokenizer: Tokenizer | None,
    path: Path,
    *,
    quantization: GGUFQuantization,
    name: str,
    license_id: str = "",
    progress: Progress | None = None,
) -> None:
    """Raises ModelError where GGUF can't hold the model, DiskError."""
    vocabulary = _exportable(model, tokenizer)
    shapes = parameter_shapes(model)
    bindings = gguf_bindings(model.config, shapes)
    kinds = {binding.theirs: _tensor_kind(binding, quantization) for binding in bindings}
    _report_exceptions(model.config, bindings, kinds, quantization, progress or Silent())
    needed_bytes = sum(_num_bytes(binding.shape, kinds[binding.theirs]) for binding in bindings)
    with atomic_file(path, needed_bytes=needed_bytes + 2**20) as temporary:
        writer = gguf.GGUFWriter(temporary, GGUF_ARCHITECTURES[model.config.family])
        writer.add_type("model")
        writer.add_name(_safe_name(name, vocabulary))
        writer.add_license(license_id)  # "" is left out
        writer.add_file_type(QUANTIZATIONS[quantization][1])
        writer.add_quantization_version(QUANTIZATION_VERSION)
        add_config(writer, as_llamacpp_runs(model.config))
        add_metadata(writer, vocabulary)
        try:
            _write_tensors(writer, model, bindings, kinds)
        except OSError as error:
            if error.errno is None:  # numpy's tofile gives no reason for a short write
                raise no_room(path, needed_bytes) from error
            raise
        finally:
            writer.close()


def _exportable(model: Model, tokenizer: Tokenizer | None) -> dict[str, object]:
    """The vocabulary's metadata. Raises ModelError for a model that can't be written."""
    config = model.config
    what, reason = "This model", gguf_reason(config)
    if not isinstance(model, LanguageModel):
        what = KIND_NAMES[kind_of(model)].capitalize()
        reason = "language models are written here, for llama.cpp to run."
    if reason:
        raise ModelError(f"{what} can't be written as GGUF: {reason}", fix="Choose `to` hf.")
    if tokenizer is None:
        raise ModelError(
            "A GGUF file needs the tokenizer, and this model has none.",
            fix="Save it with its tokenizer.",
        )
    return gguf_metadata(tokenizer, vocab_size=config.vocab_size)


def _report_exceptions(
    config: ModelConfig,
    bindings: list[Binding],
    kinds: dict[str, Kind],
    quantization: GGUFQuantization,
    progress: Progress,
) -> None:
    context_tokens = as_llamacpp_runs(config).context_tokens
    if context_tokens < config.context_tokens:
        progress.say(
            f"The file's context is {context_tokens} tokens, not {config.context_tokens}: llama.cpp has no sliding window in "
            f"{GGUF_ARCHITECTURES[config.family]!r}, and within this model's window of {config.window_tokens} tokens none is needed."
        )
    left = [
        binding
        for binding in bindings
        if _is_blocked(quantization) and kinds[binding.theirs] == Kind.F16
    ]
    if left:
        progress.say(
            f"{len(left)} of {len(bindings)} tensors stay F16: {quantization} needs rows of a multiple of {QUANT_BLOCK}, "
            f"{left[0].theirs} has {left[0].shape[-1]}."
        )


# llama.cpp treats a model of such a name as Microsoft's: it drops spaces after control tokens, and
# aborts where these tokens are missing.
PHI3_NAMES, PHI3_TOKENS = (
    re.compile("phi-?3", re.IGNORECASE),
    {"</s>", "<unk>", "<s>", "<|endoftext|>"},
)


def _safe_name(name: str, vocabulary: Mapping[str, object]) -> str:
    tokens = vocabulary["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    if set(tokens) >= PHI3_TOKENS:
        return name
    return PHI3_NAMES.sub("Phi 3", name)


def _tensor_kind(binding: Binding, quantization: GGUFQuantization) -> Kind:
    if len(binding.shape) == 1 or binding.theirs == POSITIONS or binding.theirs.endswith(ROUTER):
        return Kind.F32
    if _is_blocked(quantization) and binding.shape[-1] % QUANT_BLOCK:
        return Kind.F16
    is_coarse = weight_bytes(quantization) < weight_bytes("q8_0")
    if is_coarse and binding.theirs in (EMBEDDING, HEAD):
        return Kind.Q8_0
    return QUANTIZATIONS[quantization][0]


def _is_blocked(quantization: GGUFQuantization) -> bool:
    """Whether numbers of a row share a scale."""
    return gguf.GGML_QUANT_SIZES[QUANTIZATIONS[quantization][0]][0] == QUANT_BLOCK


def weight_bytes(quantization: GGUFQuantization) -> float:
    """Bytes of a weight, its share of the block's scale included."""
    block, block_bytes = gguf.GGML_QUANT_SIZES[QUANTIZATIONS[quantization][0]]
    return block_bytes / block


def _num_bytes(shape: tuple[int, ...], kind: Kind) -> int:
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return int(np.prod(shape, dtype=np.int64)) // block * block_bytes


def _write_tensors(
    writer: gguf.GGUFWriter, model: Model, bindings: Sequence[Binding], kinds: Mapping[str, Kind]
) -> None:
    """Write the header, metadata and tensor table, and then each tensor, computed when it is
    written.
    """
    parameters, factors = model.state_dict(), rope_factors(model.config)
    if factors is not None:
        bindings = [
            *bindings,
            Binding(ROPE_FACTORS, (ROPE_FACTORS,), (len(factors),), (len(factors),)),
        ]
        parameters, kinds = {**parameters, ROPE_FACTORS: factors}, {**kinds, ROPE_FACTORS: Kind.F32}
    for name, shape in ((binding.theirs, binding.shape) for binding in bindings):
        size = _num_bytes(shape, kinds[name])
        writer.add_tensor_info(name, shape, np.dtype(np.float32), size, raw_dtype=kinds[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for binding in bindings:
        writer.write_tensor_data(_encoded(binding, kinds[binding.theirs], parameters))


def _encoded(binding: Binding, kind: Kind, parameters: Mapping[str, Tensor]) -> np.ndarray:
    """The file's bytes of a tensor. Raises FormatError for a value that the type can't hold."""
    rows = binding.pack({ours: parameters[ours].detach().float().cpu() for ours in binding.ours})
    require_finite(rows, binding.theirs, "the model")
    if kind == Kind.F16:
        require_finite(rows.half(), binding.theirs, "the model as f16")
    return np.ascontiguousarray(gguf.quantize(rows.numpy(), kind))


def _text(metadata: Mapping[str, Any], key: str) -> str | None:
    value = metadata.get(key)
    if isinstance(value, str):
        return value
    return None


def _summary(path: Path) -> ModelSummary:
    header = read_gguf_header(path)
    config = gguf_shape(header, np.memmap(path, dtype=np.uint8, mode="r"), path)
    stored: Counter[str] = Counter()
    for info in header.tensors.values():
        stored[info.kind.name] += info.num_bytes
    return ModelSummary(config, str(path), path.stem, stored=dict(stored))


def _texts(path: Path) -> ModelTexts:
    metadata = read_gguf_header(path).metadata
    template = _text(metadata, "tokenizer.chat_template")
    return ModelTexts(
        _text(metadata, "general.license") or "", template, chats=template is not None
    )


def export_gguf(opened: OpenModel, out: Path, options: ExportOptions) -> None:
    def write(file: Path) -> None:
        write_gguf(
            opened.model,
            opened.tokenizer,
            file,
            quantization=cast(GGUFQuantization, options.quantization),
            name=model_name(opened),
            license_id=opened.license,
            progress=options.progress,
        )

    write_checked(out, options, write)


GGUF_READER = ModelReader("gguf", read_gguf, _summary, _texts, _tokenizer)
GGUF = ModelFormat(
    "gguf", ".gguf", tuple(QUANTIZATIONS), "f16", export_gguf, GGUF_READER, runs_in_llamacpp=True
)
