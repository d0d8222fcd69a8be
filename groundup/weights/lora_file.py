"""A LoRA adapter of an encoder in one safetensors file, by our names of its matrices, with what
else was trained beside it: the form of the adapters that the package carries.

    NAME.lora_a [R, in], NAME.lora_b [out, R]     of each adapted matrix (`model/lora.py`): floats,
                                                  or int8 with a float32 scale for each rank,
    NAME.lora_a_scale [R, 1], .lora_b_scale [1, R]    which makes a package of them small
    high.NAME, low.NAME [..., out]                numbers of 16 bits (bfloat16) in two parts, uint8:
                                                  all high bytes stand before the low ones, so a
                                                  zip archive packs them by a fifth better
    other tensors                                 by the names of their module
    metadata                                      version, card (how it was made), scale (alpha / R)
                                                  and base (`encoder_hashes`)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from groundup.errors import FormatError, ModelError
from groundup.files import atomic_file
from groundup.model.lora import LoRAWeights, attach_lora, lora_weights
from groundup.weights.adapter import base_hashes
from groundup.weights.hf import save_tensors

VERSION = "1"
_SCALE, _LEVELS = "_scale", 127
_HIGH, _LOW = "high.", "low."


@dataclass(frozen=True)
class LoRAFile:
    """What a file holds."""

    tensors: Mapping[str, Tensor]
    base: object
    scale: float


def read_lora(file: Path) -> LoRAFile:
    """Read a file. Raises FormatError."""
    try:
        with safe_open(file, framework="pt") as opened:
            facts = dict(opened.metadata() or {})
            stored = list(opened.keys())
            tensors = _unquantised(_joined({name: opened.get_tensor(name) for name in stored}))
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        # The last two: a part that is missing or has another shape, as a scale may have.
        raise FormatError(file, "tensors", f"can't be read ({str(error)[:120]})") from error
    if facts.get("version") != VERSION:
        raise FormatError(file, "version", f"is {facts.get('version')!r}; {VERSION} is read")
    try:
        return LoRAFile(tensors, json.loads(facts["base"]), float(facts["scale"]))
    except (KeyError, ValueError) as error:
        raise FormatError(file, "metadata", "has no base and scale of an adapter") from error


def _joined(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put bytes together to bfloat16. Raises KeyError, RuntimeError."""
    tensors = dict(stored)
    for name in [each.removeprefix(_HIGH) for each in stored if each.startswith(_HIGH)]:
        parts = [tensors.pop(_LOW + name), tensors.pop(_HIGH + name)]
        tensors[name] = torch.stack(parts, -1).view(torch.bfloat16).squeeze(-1)
    return tensors


def _parted(name: str, matrix: Tensor) -> dict[str, Tensor]:
    """Low and high bytes of bfloat16, whose order in memory is this one (little endian)."""
    low, high = matrix.bfloat16().unsqueeze(-1).view(torch.uint8).unbind(-1)
    return {_HIGH + name: high, _LOW + name: low}


def _unquantised(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: each.float() * stored.get(name + _SCALE, 1.0)
        for name, each in stored.items()
        if not name.endswith(_SCALE)
    }


def _quantised(name: str, matrix: Tensor, rank_dim: int) -> dict[str, Tensor]:
    """Symmetric int8 (absmax), one scale for each rank."""
    largest = matrix.abs().amax(1 - rank_dim, keepdim=True).float()
    scale = largest.clamp(min=torch.finfo(torch.float32).tiny) / _LEVELS
    return {name: (matrix / scale).round().to(torch.int8), name + _SCALE: scale}


def encoder_hashes(transformer: nn.Module) -> dict[str, str]:
    """Return what an encoder is known by before it is adapted."""
    return base_hashes(nn.ModuleDict({"transformer": transformer}))


def attach_lora_file(module: nn.Module, transformer: nn.Module, file: Path) -> None:
    """Put the adapter of a file around the matrices of `module`, whose encoder is `transformer`,
    and the other tensors into it.

    Raises FormatError for a damaged file, ModelError for another encoder.
    """
    found = read_lora(file)
    if found.base != encoder_hashes(transformer):
        what = f"The adapter {file} was trained on another encoder than the one given."
        raise ModelError(what, fix="Use the encoder that it was trained on.")
    weights, others = {}, dict(found.tensors)
    for name in {each.rsplit(".", 1)[0] for each in found.tensors if each.endswith(".lora_a")}:
        a, b = others.pop(f"{name}.lora_a"), others.pop(f"{name}.lora_b", None)
        adapted = module.get_parameter(f"{name}.weight")
        if b is None or (len(b), a.shape[1]) != tuple(adapted.shape) or len(a) != b.shape[1]:
            raise FormatError(file, name, "has a shape that does not fit the encoder")
        weights[name] = LoRAWeights(a, b, found.scale)
    wanted = dict(module.named_parameters())
    outside = [name for name in wanted if not name.startswith("transformer.")]
    for name in {*outside, *others}:
        own, given = wanted.get(name), others.get(name)
        if own is None or given is None or given.shape != own.shape or not given.isfinite().all():
            raise FormatError(file, name, "is missing or damaged")
        own.data.copy_(given)
    attach_lora(module, weights)


def write_lora_file(
    module: nn.Module,
    file: Path,
    base: Mapping[str, str],
    card: str,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write the adapters of a module and its tensors outside the encoder, atomically; `base`:
    `encoder_hashes` before it was adapted, `dtype`: of the numbers in the file; int8, bfloat16: of
    the adapters, the rest stays as it is. Raises DiskError.
    """
    adapters = lora_weights(module)
    tensors = {
        name: each.detach()
        for name, each in module.named_parameters()
        if not name.startswith("transformer.")
    }
    if dtype not in (torch.int8, torch.bfloat16):
        tensors = {name: each.to(dtype) for name, each in tensors.items()}
    for name, each in adapters.items():
        for part, matrix, rank_dim in (("lora_a", each.a, 0), ("lora_b", each.b, 1)):
            if dtype == torch.int8:
                tensors |= _quantised(f"{name}.{part}", matrix.detach(), rank_dim)
            elif dtype == torch.bfloat16:
                tensors |= _parted(f"{name}.{part}", matrix.detach())
            else:
                tensors[f"{name}.{part}"] = matrix.to(dtype)
    scale = next(iter(adapters.values())).scale
    metadata = {"version": VERSION, "base": json.dumps(base), "scale": str(scale), "card": card}
    with atomic_file(file) as temporary:
        save_tensors({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata)
