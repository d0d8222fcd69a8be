"""From a checked config to a model: built on the meta device, compared with the file's tensor
table, filled.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from groundup.errors import FormatError
from groundup.model.heads import Classifier, Encoder, LanguageModel
from groundup.weights.hf_config import HFConfig
from groundup.weights.hf_families import ModelKind
from groundup.weights.names import Binding

Model = LanguageModel | Classifier | Encoder


def empty_model(hf: HFConfig) -> Model:
    """The model of this config on the meta device: all names and shapes, no memory."""
    with torch.device("meta"), _NoInit():
        if hf.kind == "classifier":
            return Classifier(hf.config, len(hf.labels))
        if hf.kind == "encoder":
            return Encoder(hf.config, hf.pooling)
        return LanguageModel(hf.config)


def kind_of(model: Model) -> ModelKind:
    if isinstance(model, Classifier):
        return "classifier"
    if isinstance(model, Encoder):
        return "encoder"
    return "language"


class _NoInit(TorchFunctionMode):
    """Skips weight initialisation: on the meta device one `normal_` costs one to four seconds of
    imports.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def parameter_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def check_table(
    bindings: Iterable[Binding], table: Mapping[str, tuple[int, ...]], source: object
) -> None:
    """The file must have exactly the tensors of the model, in their shapes. Raises FormatError."""
    expected = {binding.theirs: binding.shape for binding in bindings}
    for name, shape in expected.items():
        if name not in table:
            raise FormatError(source, f"tensor {name!r}", "is missing")
        if table[name] != shape:
            reason = f"has the shape {_short(table[name])}, {_short(shape)} is expected"
            raise FormatError(source, f"tensor {name!r}", reason)
    unknown = sorted(set(table) - set(expected))
    if unknown:
        reason = f"does not belong to this kind of model ({len(unknown)} such)"
        raise FormatError(source, f"tensor {unknown[0][:80]!r}", reason)


def _short(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))[:60]


def fill(
    model: Model, tensors: Iterator[tuple[Binding, Tensor]], dtype: torch.dtype, source: object
) -> Model:
    """Load the tensors of a file into a meta model, in `dtype`, set to evaluation. Raises
    FormatError.
    """
    parameters: dict[str, Tensor] = {}
    shapes = parameter_shapes(model)
    for binding, tensor in tensors:
        # cast last: the offset of a norm's weight is added in float32
        for name, part in binding.unpack(tensor).items():
            checked = require_finite(part.to(dtype), binding.theirs, source)
            if binding.expert is None:
                parameters[name] = checked
                continue
            if (
                name not in parameters
            ):  # experts: one matrix after the other, so that all are never in memory twice
                parameters[name] = torch.empty(shapes[name], dtype=dtype)
            parameters[name][binding.expert] = checked
    model.load_state_dict(parameters, strict=True, assign=True)
    return model.eval()


def require_finite(tensor: Tensor, name: str, source: object) -> Tensor:
    """Return `tensor`. Raises FormatError for non-finite values (also by overflow of its dtype)."""
    # a finite sum proves that every value is finite, without extra memory; the exact check runs
    # only otherwise
    if not math.isfinite(_sum(tensor)) and not bool(torch.isfinite(tensor).all()):
        raise FormatError(source, f"tensor {name!r}", "has values that are NaN or infinite")
    return tensor


def _sum(tensor: Tensor) -> float:
    """Of float32 by numpy, on one thread: OpenMP's threads wait for a core that hashes."""
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        return float(tensor.sum())
    with np.errstate(all="ignore"):  # an infinite sum is the answer, no reason for a warning
        return float(tensor.detach().numpy().sum())
