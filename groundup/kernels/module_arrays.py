"""The arrays of a torch model, by the names of its state dict, as `StepModel.of_arrays` takes them:
they share its memory.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from groundup.kernels.step_shape import (
    MATRICES,
    Array,
    Kind,
    UnsupportedModel,
    kind_of,
    unsupported_part,
)
from groundup.model.heads import LanguageModel
from groundup.model.linear import FastLinear
from groundup.model.packing import BLOCK
from groundup.model.quantised import Int4Linear, Int8Linear

FLOATS: dict[torch.dtype, Kind] = {
    torch.float32: "float32",
    torch.bfloat16: "bf16",
    torch.float16: "float16",
}


def arrays_of(model: LanguageModel) -> dict[str, Array]:
    """Raises UnsupportedModel."""
    found = unsupported_model(model)
    if found:
        raise UnsupportedModel(f"The compiled step does not know {found}.")
    return {name: memory_of(tensor) for name, tensor in model.state_dict().items()}


def memory_of(tensor: Any) -> Array:
    """A tensor's own memory: 16-bit floats as `FLOAT_KINDS` has them."""
    if tensor.dtype not in (torch.bfloat16, torch.float16):
        numbers: Array = tensor.detach().numpy()
        return numbers
    bits: Array = tensor.detach().view(torch.int16).numpy()
    return bits.view(np.uint16) if tensor.dtype == torch.bfloat16 else bits


def cache_dtype(kind: Kind) -> torch.dtype:
    """Of keys and values: the model's own, bf16 with weights in 8 or 4 bits."""
    return next((dtype for dtype, name in FLOATS.items() if name == kind), torch.bfloat16)


def unsupported_model(model: LanguageModel) -> str:
    """As `unsupported_part`, or the kind of matrix that it does not know."""
    found = unsupported_part(model.config)
    return found or _unsupported_matrix(list(linears(model)))


def linears(model: LanguageModel) -> Iterator[Any]:
    """In the order of `StepWeights.matrices`; without a gate the matrix `up` is in its place,
    too.
    """
    for layer in range(model.config.num_layers):
        block = model.transformer.block(layer)
        for name in MATRICES:
            part = block.attention if hasattr(block.attention, name) else block.feedforward
            yield getattr(part, name, None) or block.feedforward.up
    yield model.head or model.transformer.embedding


def kind_of_model(model: LanguageModel) -> Kind:
    """Of a supported one."""
    return kind_of(tuple(memory_of(_stored(each)) for each in linears(model)))


def _unsupported_matrix(linears: list[Any]) -> str:
    if any(_is_packed(each) for each in linears):
        if all(_is_packed(each) and _stored(each).is_cpu for each in linears):
            return ""
        return "a matrix that is not in 8 or 4 bits"
    for linear in linears:
        if type(linear) not in (nn.Linear, FastLinear, nn.Embedding):
            return "a matrix with an adapter"
        weight = linear.weight
        if not (weight.is_cpu and weight.is_contiguous() and weight.dtype in FLOATS):
            return f"a matrix of {weight.dtype} on {weight.device}"
        if weight.dtype != linears[0].weight.dtype:
            return "matrices of several dtypes"
        if weight.shape[0] < BLOCK:
            return f"a matrix of fewer than {BLOCK} rows"
    return ""


def _is_packed(linear: Any) -> bool:
    return isinstance(linear, Int4Linear | Int8Linear)


def _stored(linear: Any) -> Any:
    if isinstance(linear, Int8Linear):
        return linear.numbers
    return linear.by_block if isinstance(linear, Int4Linear) else linear.weight
