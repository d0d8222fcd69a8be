"""A LoRA adapter as a GGUF file, which llama.cpp loads beside its base (`llama-server -m base.gguf
--lora adapter.gguf`).

For each matrix NAME of the base's file: NAME.lora_a [R, in] and NAME.lora_b [out, R]. llama.cpp
multiplies by alpha / R with the R of each pair, so one alpha does for all; a pair of another scale
has the difference in its B. Rows of query and key are in the base's order (`names.interleave`).
"""

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from torch import Tensor

from groundup.errors import ModelError
from groundup.files import atomic_file
from groundup.weights.adapter import Adapter, join_updates
from groundup.weights.assemble import parameter_shapes, require_finite
from groundup.weights.gguf_architectures import GGUF_ARCHITECTURES, gguf_reason
from groundup.weights.model_format import (
    ExportOptions,
    ModelFormat,
    OpenModel,
    model_name,
    write_checked,
)
from groundup.weights.names import gguf_bindings, interleave

QUANTIZATIONS = {"f32": np.float32, "f16": np.float16}


def write_gguf_adapter(opened: OpenModel, path: Path, *, quantization: str, name: str) -> None:
    """Write the adapter in `opened`. Raises ModelError where there is none, or GGUF can't hold it,
    DiskError.
    """
    if not isinstance(opened.adapter, Adapter):
        raise ModelError(
            f"{opened.path} is a whole model, not an adapter.",
            fix="Give the folder of an adapter (one that was not merged), or use the format gguf.",
        )
    if reason := gguf_reason(opened.config):
        raise ModelError(
            f"This adapter can't be written as GGUF: {reason}",
            fix="Use it as it is, with transformers.",
        )
    alpha, tensors = _tensors(opened)
    kind = QUANTIZATIONS[quantization]
    with atomic_file(
        path, needed_bytes=sum(4 * tensor.numel() for tensor in tensors.values()) + 2**20
    ) as temporary:
        writer = gguf.GGUFWriter(temporary, GGUF_ARCHITECTURES[opened.config.family])
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_name(name)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
        for tensor_name, tensor in tensors.items():
            writer.add_tensor(tensor_name, np.ascontiguousarray(tensor.numpy().astype(kind)))
        try:
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()


def _tensors(opened: OpenModel) -> tuple[float, dict[str, Tensor]]:
    """Alpha, and the pairs by their names in the file."""
    alpha, tensors = 0.0, {}
    for name, a, b, scale in _pairs(opened):
        rank = len(a)
        alpha = alpha or scale * rank
        tensors[f"{name}.lora_a"] = require_finite(a, name, opened.path)
        tensors[f"{name}.lora_b"] = require_finite(b * (scale * rank / alpha), name, opened.path)
    return alpha, tensors


def _pairs(opened: OpenModel) -> Iterator[tuple[str, Tensor, Tensor, float]]:
    """Name, A, B and scale of each adapted tensor of the base's file."""
    for binding in gguf_bindings(opened.config, parameter_shapes(opened.model)):
        update = join_updates(binding, opened.adapter.weights)
        if update is None:
            continue
        b = update.b
        if binding.interleaved_heads:
            b = interleave(b, binding.interleaved_heads)
        yield binding.theirs, update.a, b, update.scale


def export_gguf_adapter(opened: OpenModel, out: Path, options: ExportOptions) -> None:
    def write(file: Path) -> None:
        write_gguf_adapter(opened, file, quantization=options.quantization, name=model_name(opened))

    write_checked(out, options, write)


GGUF_ADAPTER = ModelFormat(
    "gguf-adapter",
    ".gguf",
    tuple(QUANTIZATIONS),
    "f32",
    export_gguf_adapter,
    reader=None,
    runs_in_llamacpp=True,
)
