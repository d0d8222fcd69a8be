"""Which tensor of a file is which parameter of ours: one table per layout, read both ways.

A `Rule` names a module of the file and the one or several modules of ours that it holds (GPT-2 keeps query, key and value
in one matrix). `bind` writes the rules out for every block and every weight and bias that a model has; a `Binding` then
turns our tensors into the file's (`pack`) and the file's into ours (`unpack`).

What differs between layouts is data here:
    transposed   GPT-2's Conv1D stores [in, out]; everyone else stores [out, in]
    added        Gemma stores the weights of its norms less one, so that weight decay draws them to one; ours are the factors themselves
    interleaved  llama.cpp's `llama` and `smollm3` rotate neighbours (2i, 2i+1), ours rotates (i, i + D/2) as Hugging Face does:
                 the rows of query and key are stored in another order there. Other architectures keep ours.
    stacked      ours and GGUF keep a matrix of all experts as one tensor; Hugging Face's files have one tensor for each expert ("{e}")

GGUF's names are not typed here: the `gguf` package maps Hugging Face's names to them, per architecture.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from groundup.errors import ModelError
from groundup.model.config import ModelConfig
from groundup.weights.layouts import LAYOUTS, Rule

Shapes = Mapping[str, tuple[int, ...]]

GGUF_ARCHITECTURES: dict[str, str] = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "gemma2": "gemma2",
    "gemma3": "gemma3",
    "phi3": "phi3",
    "olmo2": "olmo2",
    "smollm3": "smollm3",
    "gpt2": "gpt2",
}
# Modules whose rows these architectures want interleaved, and the config field that counts their heads.
INTERLEAVED: dict[str, dict[str, str]] = {
    architecture: {"attention.query": "num_heads", "attention.key": "num_kv_heads"}
    for architecture in ("llama", "smollm3")
}


@dataclass(frozen=True)
class Binding:
    """One tensor of a file and the parameters of ours in it."""

    theirs: str
    ours: tuple[str, ...]
    rows: tuple[int, ...]
    """Output rows of each of `ours`."""
    shape: tuple[int, ...]
    """As the file has it."""
    transposed: bool = False
    interleaved_heads: int = 0
    """Heads whose rows are stored interleaved; 0: stored as ours."""
    added: float = 0.0
    """Ours are the file's plus this."""
    expert: int | None = None
    """The one of a stack of matrices that this tensor is, counted from 0; None: the tensor is all of `ours`."""

    def pack(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Our parameters -> the file's tensor (contiguous, dtype as it is)."""
        parts = [parameters[name] for name in self.ours]
        joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.expert is not None:
            return joined[self.expert].contiguous()
        if self.added:
            joined = (widened(joined) - self.added).to(joined.dtype)
        if self.interleaved_heads:
            joined = interleave(joined, self.interleaved_heads)
        return (joined.T if self.transposed and joined.ndim == 2 else joined).contiguous()

    def unpack(self, tensor: Tensor) -> dict[str, Tensor]:
        """The file's tensor -> our parameters, each contiguous; of a stack, the matrix of `expert`. Where something is added, in float32 at least."""
        rows_first = tensor.T if self.transposed and tensor.ndim == 2 else tensor
        if self.added:
            rows_first = widened(rows_first) + self.added
        if self.interleaved_heads:
            rows_first = deinterleave(rows_first, self.interleaved_heads)
        if len(self.ours) == 1:
            return {self.ours[0]: rows_first.contiguous()}
        # clone: several parameters that share one storage could not be saved again
        return {name: part.clone() for name, part in zip(self.ours, rows_first.split(self.rows), strict=True)}


def hf_bindings(config: ModelConfig, shapes: Shapes) -> list[Binding]:
    """The Hugging Face tensors of a model of this family whose parameters have these shapes."""
    return bind(LAYOUTS[config.family].rules, config.num_layers, shapes)


def gguf_bindings(config: ModelConfig, shapes: Shapes) -> list[Binding]:
    """The GGUF tensors of the same. Raises ModelError for a parameter that the architecture has no tensor for."""
    import gguf

    architecture = GGUF_ARCHITECTURES[config.family]
    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(numbers[architecture], config.num_layers)
    rules = (replace(rule, theirs=rule.theirs.replace("{e}.", "")) for rule in LAYOUTS[config.family].rules)
    return [
        _gguf_binding(binding, names.get_name(binding.theirs, try_suffixes=(".weight", ".bias")), config)
        for binding in bind(tuple(rules), config.num_layers, shapes)
    ]


def _gguf_binding(binding: Binding, name: str | None, config: ModelConfig) -> Binding:
    """A Hugging Face binding under its GGUF name: never transposed, nothing added, interleaved where the architecture wants it."""
    if name is None:
        architecture = GGUF_ARCHITECTURES[config.family]
        raise ModelError(f"GGUF's architecture '{architecture}' has no tensor for {', '.join(binding.ours)}.")
    fields = INTERLEAVED.get(GGUF_ARCHITECTURES[config.family], {})
    module = ".".join(binding.ours[0].split(".")[-3:-1])  # "attention.query"
    heads = getattr(config, fields[module]) if module in fields and config.positions == "rope" else 0
    shape = binding.shape[::-1] if binding.transposed else binding.shape
    return replace(binding, theirs=name, shape=shape, transposed=False, interleaved_heads=heads, added=0.0)


def bind(rules: tuple[Rule, ...], num_layers: int, shapes: Shapes) -> list[Binding]:
    """Write `rules` out for every block and each weight and bias in `shapes` (our state_dict). Raises ModelError where one is left over."""
    bindings: list[Binding] = []
    for rule in rules:
        for i in range(num_layers if "{i}" in rule.theirs else 1):
            for suffix in (".weight", ".bias"):
                ours = tuple(name.format(i=i) + suffix for name in rule.ours)
                if all(name in shapes for name in ours):
                    bindings.extend(_bindings(rule, rule.theirs.replace("{i}", str(i)) + suffix, ours, shapes))
    left = set(shapes) - {name for binding in bindings for name in binding.ours}
    if left:
        raise ModelError(f"This layout has no tensor for {', '.join(sorted(left)[:4])}.")
    return bindings


def _bindings(rule: Rule, theirs: str, ours: tuple[str, ...], shapes: Shapes) -> Iterator[Binding]:
    """One tensor of the file, or one for every expert."""
    if "{e}" not in theirs:
        yield _binding(rule, theirs, ours, shapes)
        return
    (stack,) = ours
    num_experts, *shape = shapes[stack]
    for expert in range(num_experts):
        yield Binding(theirs.replace("{e}", str(expert)), ours, (num_experts,), tuple(shape), expert=expert)


def _binding(rule: Rule, theirs: str, ours: tuple[str, ...], shapes: Shapes) -> Binding:
    rows = tuple(shapes[name][0] for name in ours)
    shape = (sum(rows), *shapes[ours[0]][1:])
    transposed = rule.transposed and len(shape) == 2
    return Binding(theirs, ours, rows, shape[::-1] if transposed else shape, transposed, added=rule.added)


def widened(tensor: Tensor) -> Tensor:
    """In float32 at least: there 1 + w is exact for every bfloat16 w of at least 2^-16 (float16: 2^-13), or 0; for others within 2^-24."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def interleave(tensor: Tensor, heads: int) -> Tensor:
    """Rows in rotate-half order (i, i + D/2) -> neighbours (2i, 2i+1), head by head.

    >>> interleave(torch.tensor([0, 1, 2, 3]), heads=1).tolist()
    [0, 2, 1, 3]
    """
    half = tensor.shape[0] // heads // 2
    return tensor.reshape(heads, 2, half, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def deinterleave(tensor: Tensor, heads: int) -> Tensor:
    """The inverse of `interleave`."""
    half = tensor.shape[0] // heads // 2
    return tensor.reshape(heads, half, 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)
