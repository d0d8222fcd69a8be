"""From a checked shape to a model: built without memory first, compared with the file's table, then filled tensor by tensor."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from groundup.errors import FormatError
from groundup.model.heads import Classifier, LanguageModel
from groundup.weights.hf_config import HFConfig
from groundup.weights.names import Binding

Model = LanguageModel | Classifier


def empty_model(shape: HFConfig) -> Model:
    """The model of this shape on the "meta" device: all names and shapes, no memory."""
    with torch.device("meta"), _Unfilled():
        return (
            Classifier(shape.config, len(shape.labels)) if shape.kind == "classifier" else LanguageModel(shape.config)
        )


class _Unfilled(TorchFunctionMode):
    """Leaves out initial values. There is nothing to fill on "meta", and for one normal_ there torch imports for one to four seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def parameter_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every parameter."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def check_table(bindings: Iterable[Binding], table: Mapping[str, tuple[int, ...]], source: object) -> None:
    """The file has every tensor that the model needs, in its shape, and no other. Raises FormatError."""
    expected = {binding.theirs: binding.shape for binding in bindings}
    for name, shape in expected.items():
        if name not in table:
            raise FormatError(source, f"tensor {name!r}", "is missing")
        if table[name] != shape:
            raise FormatError(
                source, f"tensor {name!r}", f"has the shape {_short(table[name])}, {_short(shape)} is expected"
            )
    unknown = sorted(set(table) - set(expected))
    if unknown:
        raise FormatError(
            source, f"tensor {unknown[0][:80]!r}", f"does not belong to this kind of model ({len(unknown)} such)"
        )


def _short(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))[:60]


def fill(model: Model, tensors: Iterator[tuple[Binding, Tensor]], dtype: torch.dtype, source: object) -> Model:
    """Give an empty model the tensors of a file, in `dtype`, ready for evaluation. Raises FormatError naming one that is not finite."""
    parameters: dict[str, Tensor] = {}
    shapes = parameter_shapes(model)
    for binding, tensor in tensors:
        # cast last: what is added to a norm's weight is added in float32
        for name, part in binding.unpack(tensor).items():
            checked = finite(part.to(dtype), binding.theirs, source)
            if binding.expert is None:
                parameters[name] = checked
                continue
            if name not in parameters:  # a stack: one matrix after the other, never all of them twice
                parameters[name] = torch.empty(shapes[name], dtype=dtype)
            parameters[name][binding.expert] = checked
    model.load_state_dict(parameters, strict=True, assign=True)
    return model.eval()


def finite(tensor: Tensor, name: str, source: object) -> Tensor:
    """`tensor` itself. Raises FormatError when a value in it is NaN or infinite (also when `dtype` can't hold it)."""
    # the sum is finite only if every value is; it costs no memory, so the exact search runs only where it is not
    if not math.isfinite(float(tensor.sum())) and not bool(torch.isfinite(tensor).all()):
        raise FormatError(source, f"tensor {name!r}", "has values that are NaN or infinite")
    return tensor
