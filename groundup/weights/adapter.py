"""A folder with a LoRA adapter in PEFT's format: read, written, and opened as a model by the name
of its base.

    adapter_config.json            rank, alpha, targets, and the base (a name, or a folder: of the
                                   same build, from here)
    adapter_model.safetensors      lora_A [R, in] and lora_B [out, R] of each matrix, by
                                   transformers' names
    base.json                      hashes of rows of the base's weights: an adapter for another base
                                   is refused (absent in a foreign folder)

A matrix that is several of ours (GPT-2's c_attn, Phi-3's qkv_proj) has one pair: the A's one below
another, the B's along a diagonal of blocks, which is the same update; its rank is the sum of
theirs, so PEFT's rank_pattern and alpha_pattern name it. Refused: DoRA, trained biases, adapters of
the embedding or the head, whole modules saved beside.
"""

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groundup.errors import FormatError, ModelError
from groundup.files import atomic_file, cache_path, read_json_object, write_json
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel
from groundup.model.lora import LoRAWeights, attach_lora, merge_lora
from groundup.model.quantised import Int4Linear, Int8Linear
from groundup.runs import BUILD_FILE
from groundup.tokenizer.fast import TOKENIZER_FILE, Tokenizer, read_template
from groundup.weights.assemble import empty_model, parameter_shapes, require_finite
from groundup.weights.catalog import CATALOG
from groundup.weights.gguf import GGUF_READER
from groundup.weights.hf import HF_READER, save_tensors
from groundup.weights.hf_config import HFConfig, has_class
from groundup.weights.hf_families import KIND_NAMES
from groundup.weights.model_format import ModelReader, ModelSummary, ModelTexts, OpenModel
from groundup.weights.names import Binding, hf_bindings
from groundup.weights.safetensors_header import open_tensors, read_header
from groundup.weights.verify import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BASE_FILE,
    is_adapter,
    verify_covered,
)

PREFIX = "base_model.model."
# Bounds of a foreign folder: Linux's longest path, larger alphas than any that is used, adapters of
# adapters.
MAX_BASE_CHARACTERS, MAX_ALPHA, MAX_ADAPTERS = 4096, 1_000_000, 8
HASHED_ROWS = 4
_TENSOR = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")
_OWN_BASE_FIX = "Use it with the base that it was trained on."
_BASE_FIX = f"Put it back, or name it in {ADAPTER_CONFIG} (base_model_name_or_path)."
# Fields of PEFT that change what an adapter computes, with the values that it has here.
PLAIN_FIELDS: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(("use_dora", "lora_bias", "use_qalora"), (None, False)),
    **dict.fromkeys(
        ("modules_to_save", "trainable_token_indices", "alora_invocation_tokens"), (None, [])
    ),
    "bias": (None, "none"),
}


@dataclass(frozen=True)
class Adapter:
    weights: Mapping[str, LoRAWeights]
    """By our names of the matrices: "transformer.blocks.0.attention.query"."""
    base: str
    """A name of the catalog, or a path."""
    hashes: Mapping[str, str]
    """Of rows of the base (`base_hashes`); {}: not known."""


def base_hashes(model: nn.Module) -> dict[str, str]:
    """Hashes of the first rows in bf16: of embedding and norms, and of the blocks' matrices, which
    a quantised model lacks.
    """
    digests = {"outside": hashlib.sha256(), "blocks": hashlib.sha256()}
    for name, parameter in sorted(model.named_parameters()):
        matrix = parameter.ndim > 1
        if matrix and ".blocks." not in name and "embedding" not in name:
            continue  # a head, which may be quantised
        rows = parameter.detach()[:HASHED_ROWS].to("cpu", torch.bfloat16).contiguous()
        digest = digests["outside"]
        if matrix and ".blocks." in name:
            digest = digests["blocks"]
        digest.update(
            f"{name} {list(parameter.shape)}".encode() + rows.view(torch.uint8).numpy().tobytes()
        )
    if any(isinstance(part, Int4Linear | Int8Linear) for part in model.modules()):
        del digests["blocks"]
    return {name: digest.hexdigest() for name, digest in digests.items()}


def require_base(adapter: Adapter, model: nn.Module, folder: Path, base: object) -> None:
    """Refuse a base that the adapter was not trained on. Raises ModelError."""
    found = base_hashes(model)
    if any(found[name] != adapter.hashes[name] for name in found.keys() & adapter.hashes.keys()):
        raise ModelError(
            f"The adapter {folder} was trained on another base than {base}: on {adapter.base}, whose weights differ.",
            fix="Use it with that base.",
        )


@dataclass(frozen=True)
class AdapterConfig:
    base: str
    alpha: float
    alphas: Mapping[str, float]
    """Of modules whose names are these, or end with them after a point; the first fits."""
    divides_by_root: bool
    """By the root of the rank (rsLoRA), not by the rank."""

    def alpha_of(self, name: str) -> float:
        parts = name.split(".")
        ends = (".".join(parts[start:]) for start in range(len(parts)))
        fitting = [end for end in ends if end in self.alphas]
        if not fitting:
            return self.alpha
        return self.alphas[min(fitting, key=self._places.__getitem__)]

    def scale_of(self, name: str, rank: int) -> float:
        """The factor of a module's update B A."""
        if self.divides_by_root:
            return self.alpha_of(name) / math.sqrt(rank)
        return self.alpha_of(name) / rank

    @cached_property
    def _places(self) -> dict[str, int]:
        """Of each name of `alphas`: a foreign file may have millions."""
        return {name: place for place, name in enumerate(self.alphas)}


def read_adapter_config(folder: Path) -> AdapterConfig:
    """Raises FormatError, also for an adapter that is more or other than LoRA."""
    file = folder / ADAPTER_CONFIG
    config = read_json_object(file)
    _require_plain(config, file)
    base, alphas = config.get("base_model_name_or_path"), config.get("alpha_pattern") or {}
    if (
        not isinstance(base, str)
        or not 0 < len(base) <= MAX_BASE_CHARACTERS
        or not base.isprintable()
    ):
        raise FormatError(file, "base_model_name_or_path", "names no base model", fix=_BASE_FIX)
    if not isinstance(alphas, dict):
        raise FormatError(file, "alpha_pattern", "is no table of names and numbers")
    alpha = _alpha(config.get("lora_alpha", 8), "lora_alpha", file)
    by_name = {
        name: _alpha(value, f"alpha_pattern {name[:80]!r}", file) for name, value in alphas.items()
    }
    return AdapterConfig(base, alpha, by_name, bool(config.get("use_rslora")))


def _alpha(value: object, place: str, file: Path) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not -MAX_ALPHA <= value <= MAX_ALPHA
    ):
        raise FormatError(file, place, f"is no number from {-MAX_ALPHA:,} to {MAX_ALPHA:,}")
    return float(value)


def base_name(folder: Path) -> str:
    return read_adapter_config(folder).base


def base_path(folder: Path, depth: int = 0) -> Path:
    """Where an adapter's base lies, or is pulled to. Raises ModelError, FormatError. `depth`:
    adapters that it is the base of.
    """
    name = base_name(folder)
    path, beside = Path(name), folder / name
    if name in CATALOG and not os.path.exists(name):
        path = cache_path("models") / name
    elif os.path.exists(beside):
        path = beside.resolve()
    if not os.path.exists(path):
        raise ModelError(
            f"The base of the adapter {folder} is not there: {name[:200]}.", fix=_BASE_FIX
        )
    if is_adapter(path):
        if depth == MAX_ADAPTERS:
            raise ModelError(
                f"{folder} is an adapter whose base is an adapter, and so on without end.",
                fix=_BASE_FIX,
            )
        base_path(path, depth + 1)
    return path


# --- writing


def place_of(base: str, folder: Path) -> str:
    """Return the path of a base in the build that an adapter's folder lies in from that folder, so
    that the build can be moved; any other as it is.
    """
    for build in folder.resolve().parents[:2]:
        if (build / BUILD_FILE).is_file() and Path(base).is_relative_to(build):
            return Path(os.path.relpath(base, folder.resolve())).as_posix()
    return base


def module_bindings(config: ModelConfig) -> dict[str, Binding]:
    """The tensors of the file that may have an adapter, by module name:
    "model.layers.0.self_attn.q_proj".
    """
    shapes = parameter_shapes(empty_model(HFConfig(config, "language")))
    bindings = hf_bindings(config, shapes, own=not has_class(config))
    return {
        each.theirs.removesuffix(".weight"): each
        for each in bindings
        if len(each.shape) == 2
        and ".blocks." in each.ours[0]
        and each.theirs.endswith(".weight")
        and each.expert is None
    }


def join_updates(binding: Binding, weights: Mapping[str, LoRAWeights]) -> LoRAWeights | None:
    """Return the update of a file's matrix from those of ours in it; None where none has one.

    W = [W_1; W_2] with updates s_i B_i A_i is updated by s_1 [[B_1, 0], [0, s_2/s_1 B_2]] [A_1;
    A_2].
    """
    parts = [weights.get(name.removesuffix(".weight")) for name in binding.ours]
    some = [part for part in parts if part is not None]
    if not some:
        return None
    scale = some[0].scale
    blocks = []
    for part, rows in zip(parts, binding.rows, strict=True):
        if part is None:
            blocks.append(torch.zeros(rows, 0))
        else:
            blocks.append(part.b.float() * (part.scale / scale))
    return LoRAWeights(
        torch.cat([part.a.float() for part in some]), torch.block_diag(*blocks), scale
    )


def write_adapter(
    adapter: Adapter, config: ModelConfig, folder: Path, tokenizer: Tokenizer | None = None
) -> None:
    """Write an adapter of a model of this config. Raises DiskError, FormatError (not finite)."""
    bindings = module_bindings(config)
    updates = {
        name: update
        for name, binding in bindings.items()
        if (update := join_updates(binding, adapter.weights))
    }
    tensors: dict[str, Tensor] = {}
    for name, update in updates.items():
        for letter, tensor in (("A", update.a), ("B", update.b)):
            tensors[f"{PREFIX}{name}.lora_{letter}.weight"] = require_finite(
                tensor.contiguous(), name, folder
            )
    with atomic_file(
        folder / ADAPTER_WEIGHTS, needed_bytes=sum(tensor.nbytes for tensor in tensors.values())
    ) as temporary:
        save_tensors(tensors, temporary)
    transposed = any(bindings[name].transposed for name in updates)
    base = place_of(adapter.base, folder)
    write_json(
        folder / ADAPTER_CONFIG,
        _peft_config(base, updates, list(bindings), fan_in_fan_out=transposed),
    )
    write_json(folder / BASE_FILE, {"base": base, "hashes": dict(adapter.hashes)})
    if tokenizer is not None:
        tokenizer.save(folder)


def _peft_config(
    base: str, updates: Mapping[str, LoRAWeights], modules: Sequence[str], *, fan_in_fan_out: bool
) -> dict[str, object]:
    ranks = {name: len(update.a) for name, update in updates.items()}
    alphas = {name: update.scale * len(update.a) for name, update in updates.items()}
    (rank, _), (alpha, _) = (Counter(found.values()).most_common(1)[0] for found in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {name: found for name, found in ranks.items() if found != rank},
        "alpha_pattern": {name: found for name, found in alphas.items() if found != alpha},
        "target_modules": _targets(list(updates), modules),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": fan_in_fan_out,
        "inference_mode": True,
    }


def _targets(adapted: Sequence[str], modules: Sequence[str]) -> list[str]:
    """The endings of names that mean the adapted modules and no others: "q_proj", "attn.c_proj", or
    the names.
    """
    for parts in (1, 2):
        endings = {".".join(name.split(".")[-parts:]) for name in adapted}
        if sum(".".join(name.split(".")[-parts:]) in endings for name in modules) == len(adapted):
            return sorted(endings)
    return list(adapted)


# --- reading


def read_adapter(folder: Path, model: LanguageModel) -> Adapter:
    """Raises FormatError for an adapter that is damaged, of another kind or of other shapes."""
    config, file = read_adapter_config(folder), folder / ADAPTER_WEIGHTS
    if not file.is_file():
        raise FormatError(folder, ADAPTER_WEIGHTS, "is missing, so this is not a complete adapter")
    bindings = module_bindings(model.config)
    pairs = _pairs(file)
    weights: dict[str, LoRAWeights] = {}
    for name, pair in pairs.items():
        place = f"adapter of {name[:80]!r}"
        if name not in bindings:
            reason = "is no matrix of this model's blocks"
            raise FormatError(file, place, reason, fix=_OWN_BASE_FIX)
        if pair.keys() != {"A", "B"}:
            raise FormatError(file, place, "lacks lora_A or lora_B", fix=_OWN_BASE_FIX)
        if not len(pair["A"]):
            raise FormatError(file, place, "has rank 0")
        scale = config.scale_of(name, len(pair["A"]))
        weights |= _split(bindings[name], pair["A"], pair["B"], scale, file)
    if not weights:
        raise FormatError(file, "tensors", "hold no LoRA adapter")
    return Adapter(weights, config.base, _read_base_hashes(folder))


def _read_base_hashes(folder: Path) -> dict[str, str]:
    """{}: a foreign folder."""
    if not (folder / BASE_FILE).is_file():
        return {}
    hashes = read_json_object(folder / BASE_FILE).get("hashes")
    if not isinstance(hashes, dict):
        return {}
    return {name: value for name, value in hashes.items() if isinstance(value, str)}


def _require_plain(config: Mapping[str, Any], file: Path) -> None:
    """Refuse an adapter that is more or other than LoRA."""
    if config.get("peft_type") != "LORA":
        raise FormatError(
            file, "peft_type", f"is {str(config.get('peft_type'))[:40]!r}; LORA is read"
        )
    for name, values in PLAIN_FIELDS.items():
        if config.get(name) not in values:
            raise FormatError(file, name, f"is {str(config[name])[:60]}; plain LoRA is read")


def _pairs(file: Path) -> dict[str, dict[str, Tensor]]:
    """Module name -> {"A", "B"} -> tensor."""
    pairs: dict[str, dict[str, Tensor]] = {}
    entries = read_header(file)
    with open_tensors(file) as opened:
        for name in entries:
            match = _TENSOR.fullmatch(name)
            if match is None or len(entries[name].shape) != 2:
                raise FormatError(file, f"tensor {name[:80]!r}", "is no matrix of a LoRA adapter")
            tensor = require_finite(opened.get_tensor(name).float(), name, file)
            pairs.setdefault(match[1], {})[match[2]] = tensor
    return pairs


def _split(
    binding: Binding, a: Tensor, b: Tensor, scale: float, file: Path
) -> dict[str, LoRAWeights]:
    """The updates of our matrices in one of the file."""
    rows, columns = binding.our_shape
    if a.shape[1] != columns or b.shape[0] != rows or a.shape[0] != b.shape[1]:
        found = f"{a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]}"
        reason = f"has matrices of {found}, for one of {rows}x{columns}"
        raise FormatError(file, f"adapter of {binding.theirs!r}", reason, fix=_OWN_BASE_FIX)
    parts = zip(binding.ours, b.split(list(binding.rows)), strict=True)
    return {
        name.removesuffix(".weight"): LoRAWeights(a, part, scale)
        for name, part in parts
        if part.any() or len(binding.ours) == 1
    }


def with_adapter(opened: OpenModel, folder: Path, *, merge: bool) -> OpenModel:
    """The open base (changed in place) with an adapter in its weights, or around them. Raises
    FormatError, ModelError (another base).
    """
    if not isinstance(opened.model, LanguageModel):
        raise ModelError(
            f"The base of the adapter {folder} is {KIND_NAMES[opened.kind]}.",
            fix="Name a language model as its base.",
        )
    adapter = read_adapter(folder, opened.model)
    require_base(adapter, opened.model, folder, opened.path)
    attach_lora(opened.model, adapter.weights)
    if merge:
        merge_lora(opened.model)
    tokenizer = HF_READER.tokenizer(folder) or opened.tokenizer
    return replace(opened, tokenizer=tokenizer, path=folder, adapter=adapter)


def adapter_reader(base: Path | None = None) -> ModelReader:
    """How adapters are read, with `base` or the base that their folders name."""

    def base_of(folder: Path) -> tuple[Path, ModelReader]:
        path = base or base_path(folder)
        if path.is_file():
            return path, GGUF_READER
        if is_adapter(path):
            return path, ADAPTER_READER
        return path, HF_READER

    def opened(folder: Path, dtype: torch.dtype) -> OpenModel:
        path, reader = base_of(folder)
        verify_covered(path)
        return with_adapter(reader.open(path, dtype), folder, merge=True)

    def summary(folder: Path) -> ModelSummary:
        path, reader = base_of(folder)
        return replace(
            reader.summary(path),
            source=f"{folder}, an adapter of {path}",
            name=folder.resolve().name,
        )

    def texts(folder: Path) -> ModelTexts:
        path, reader = base_of(folder)
        found = reader.texts(path)
        template = found.chat_template
        if (folder / TOKENIZER_FILE).is_file():
            template = read_template(folder)
        return replace(found, chat_template=template, chats=template is not None)

    def tokenizer(folder: Path) -> Tokenizer | None:
        path, reader = base_of(folder)
        return HF_READER.tokenizer(folder) or reader.tokenizer(path)

    return ModelReader("safetensors", opened, summary, texts, tokenizer)


ADAPTER_READER = adapter_reader()
