"""Which tensor of a file is which parameter of ours: one table per layout, read in both directions.

A `NameRule` names a module of the file and the modules of ours in it (GPT-2 has query, key and
value in one matrix); a `Binding` converts our tensors to the file's (`pack`) and back (`unpack`):

    transposed   GPT-2's Conv1D stores [in, out]; all others store [out, in]
    offset       Gemma stores norm weights minus one, so that weight decay draws them to one
    interleaved  llama.cpp's `llama` and `smollm3` rotate neighbours (2i, 2i+1), we rotate (i, i +
                 D/2) as Hugging Face does: their rows of query and key are in another order
    experts      ours and GGUF have one tensor for all experts; Hugging Face one per expert ("{e}")
    rows_before  MPNet's table of positions has rows for padding before that of the first token
    folded       BERT adds a vector for the token's type, the same for all texts but the second of a
                 pair; ours is in the positions

To add a family: an entry in LAYOUTS, with a table of its own where its files have other names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from groundup.errors import ModelError
from groundup.model.config import ModelConfig
from groundup.weights.gguf_architectures import GGUF_ARCHITECTURES
from groundup.weights.hf_families import MPNET_POSITIONS_FROM

Shapes = Mapping[str, tuple[int, ...]]

# Architectures with interleaved rows in these modules, and the config field with the number of
# their heads.
INTERLEAVED = ("llama", "smollm3")
HEAD_COUNTS = {"attention.query": "num_heads", "attention.key": "num_kv_heads"}

BLOCK = "transformer.blocks.{i}."
QUERY_KEY_VALUE = "attention.query attention.key attention.value"


@dataclass(frozen=True)
class NameRule:
    """A module of the file and the modules of ours in it, concatenated along the output rows."""

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False
    offset: float = 0.0
    """Our weights are the file's plus this."""
    rows_before: int = 0
    """Rows of the file before ours, which are not read and are written as zeros."""


@dataclass(frozen=True)
class TensorLayout:
    rules: tuple[NameRule, ...]
    prefix: str = "model."
    """Of every name but the heads'; files of the base model (as openai-community/gpt2) leave it
    out.
    """
    ignored: tuple[str, ...] = (".rotary_emb.inv_freq",)
    """Suffixes of tensors that are not read: causal masks and rotary tables of older files, BERT's
    pooler.
    """
    folded: Mapping[str, str] = field(default_factory=dict)
    """Table of the file -> the table to whose every row its first row is added; written as zeros.
    """


def _rules(modules: Mapping[str, str], norm_offset: float = 0.0) -> tuple[NameRule, ...]:
    return tuple(
        NameRule(
            theirs,
            tuple((BLOCK if "{i}" in theirs else "") + name for name in ours.split()),
            transposed=".c_" in theirs,  # GPT-2's c_attn, c_proj, c_fc
            offset=norm_offset if "norm" in theirs else 0.0,
        )
        for theirs, ours in modules.items()
    )


def _like_llama(modules: Mapping[str, str], norm_offset: float = 0.0) -> TensorLayout:
    """These modules in a layer, and Llama's names outside."""
    layer = {"model.layers.{i}." + theirs: ours for theirs, ours in modules.items()}
    final = {"model.norm": "transformer.final_norm", **_HEADS}
    return TensorLayout(
        _rules({"model.embed_tokens": "transformer.embedding", **layer, **final}, norm_offset)
    )


_HEADS = {"lm_head": "head", "score": "score"}
_ATTENTION = {
    "self_attn.q_proj": "attention.query",
    "self_attn.k_proj": "attention.key",
    "self_attn.v_proj": "attention.value",
    "self_attn.o_proj": "attention.output",
    "self_attn.q_norm": "attention.query_norm",
    "self_attn.k_norm": "attention.key_norm",
}
_PARTS = ("gate", "up", "down")
_FEEDFORWARD = {f"mlp.{part}_proj": f"feedforward.{part}" for part in _PARTS}
_EXPERTS = {"mlp.gate": "feedforward.router"} | {
    f"mlp.experts.{{e}}.{part}_proj": f"feedforward.{part}" for part in _PARTS
}
_NORMS_BEFORE = {
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "feedforward_norm",
}
# OLMo 2: norms only after each part.
_NORMS_AFTER = {
    "post_attention_layernorm": "attention_output_norm",
    "post_feedforward_layernorm": "feedforward_output_norm",
}
# Gemma: a norm before and one after each part, and norm weights stored minus one. A 16-bit file
# read into float32 and written in 16 bits is bitwise the same, a float32 file to within rounding
# (2^-24). A model opened in bfloat16 has its norm weights in bfloat16 (2^-9).
_GEMMA_NORMS = {
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "attention_output_norm",
    "pre_feedforward_layernorm": "feedforward_norm",
    "post_feedforward_layernorm": "feedforward_output_norm",
}
_GEMMA = _like_llama(_GEMMA_NORMS | _ATTENTION | _FEEDFORWARD, norm_offset=1.0)
# Phi-3: query, key and value in one matrix, gate and up in another.
_PHI3 = {
    **_NORMS_BEFORE,
    "self_attn.qkv_proj": QUERY_KEY_VALUE,
    "self_attn.o_proj": "attention.output",
    "mlp.gate_up_proj": "feedforward.gate feedforward.up",
    "mlp.down_proj": "feedforward.down",
}
_GPT2 = {
    "transformer.wte": "transformer.embedding",
    "transformer.wpe": "transformer.position_embedding",
    "transformer.h.{i}.ln_1": "attention_norm",
    "transformer.h.{i}.attn.c_attn": QUERY_KEY_VALUE,
    "transformer.h.{i}.attn.c_proj": "attention.output",
    "transformer.h.{i}.ln_2": "feedforward_norm",
    "transformer.h.{i}.mlp.c_fc": "feedforward.up",
    "transformer.h.{i}.mlp.c_proj": "feedforward.down",
    "transformer.ln_f": "transformer.final_norm",
    **_HEADS,
}
_BERT_FEEDFORWARD = {
    "intermediate.dense": "feedforward.up",
    "output.dense": "feedforward.down",
    "output.LayerNorm": "feedforward_output_norm",
}
_BERT_LAYER = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "attention_output_norm",
    **_BERT_FEEDFORWARD,
}
_POSITIONS = "embeddings.position_embeddings"
_BERT = {
    "embeddings.word_embeddings": "transformer.embedding",
    _POSITIONS: "transformer.position_embedding",
    "embeddings.LayerNorm": "transformer.embedding_norm",
} | {"encoder.layer.{i}." + theirs: ours for theirs, ours in _BERT_LAYER.items()}
_MPNET_LAYER = {
    "attention.attn.q": "attention.query",
    "attention.attn.k": "attention.key",
    "attention.attn.v": "attention.value",
    "attention.attn.o": "attention.output",
    "attention.LayerNorm": "attention_output_norm",
    **_BERT_FEEDFORWARD,
}
_MPNET = {
    "embeddings.word_embeddings": "transformer.embedding",
    "embeddings.LayerNorm": "transformer.embedding_norm",
    "encoder.relative_attention_bias": "transformer.relative_bias",
} | {"encoder.layer.{i}." + theirs: ours for theirs, ours in _MPNET_LAYER.items()}
_MPNET_RULES = (
    *_rules(_MPNET),
    NameRule(_POSITIONS, ("transformer.position_embedding",), rows_before=MPNET_POSITIONS_FROM),
)
_POOLER = (".position_ids", "pooler.dense.weight", "pooler.dense.bias")
_LLAMA_LIKE = _like_llama(_NORMS_BEFORE | _ATTENTION | _FEEDFORWARD)

LAYOUTS: dict[str, TensorLayout] = {
    "llama": _LLAMA_LIKE,
    "smollm3": _LLAMA_LIKE,
    "mistral": _LLAMA_LIKE,
    "qwen2": _LLAMA_LIKE,
    "qwen3": _LLAMA_LIKE,
    "qwen3_moe": _like_llama(_NORMS_BEFORE | _ATTENTION | _EXPERTS),
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "phi3": _like_llama(_PHI3),
    "olmo2": _like_llama(_NORMS_AFTER | _ATTENTION | _FEEDFORWARD),
    "gpt2": TensorLayout(_rules(_GPT2), "transformer.", (".attn.bias", ".attn.masked_bias")),
    "bert": TensorLayout(
        _rules(_BERT),
        prefix="",
        ignored=_POOLER,
        folded={"embeddings.token_type_embeddings.weight": f"{_POSITIONS}.weight"},
    ),
    "mpnet": TensorLayout(_MPNET_RULES, prefix="", ignored=_POOLER),
}


@dataclass(frozen=True)
class Binding:
    theirs: str
    ours: tuple[str, ...]
    rows: tuple[int, ...]
    """Output rows of each of `ours`."""
    shape: tuple[int, ...]
    """In the file."""
    transposed: bool = False
    interleaved_heads: int = 0
    """Number of heads whose rows are interleaved in the file."""
    offset: float = 0.0
    expert: int | None = None
    """The one expert in this tensor, where ours has all."""
    rows_before: int = 0
    """Rows of the file before ours."""

    @property
    def our_shape(self) -> tuple[int, ...]:
        """With output rows first."""
        if self.transposed:
            return self.shape[::-1]
        return self.shape

    def pack(self, parameters: Mapping[str, Tensor]) -> Tensor:
        parts = [parameters[name] for name in self.ours]
        joined = parts[0]
        if len(parts) > 1:
            joined = torch.cat(parts)
        if self.expert is not None:
            return joined[self.expert].contiguous()
        if self.offset:
            joined = (widened(joined) - self.offset).to(joined.dtype)
        if self.rows_before:
            joined = torch.cat([joined.new_zeros(self.rows_before, joined.shape[1]), joined])
        if self.interleaved_heads:
            joined = interleave(joined, self.interleaved_heads)
        return (joined.T if self.transposed and joined.ndim == 2 else joined).contiguous()

    def unpack(self, tensor: Tensor) -> dict[str, Tensor]:
        """Each contiguous; with an offset, in at least float32."""
        rows_first = tensor.T if self.transposed and tensor.ndim == 2 else tensor
        rows_first = rows_first[self.rows_before :]
        if self.offset:
            rows_first = widened(rows_first) + self.offset
        if self.interleaved_heads:
            rows_first = deinterleave(rows_first, self.interleaved_heads)
        if len(self.ours) == 1:
            return {self.ours[0]: rows_first.contiguous()}
        # clone: safetensors can't save parameters that share storage
        return {
            name: part.clone()
            for name, part in zip(self.ours, rows_first.split(self.rows), strict=True)
        }


def hf_bindings(config: ModelConfig, shapes: Shapes, *, own: bool = False) -> list[Binding]:
    """`own`: our names and shapes."""
    if own:
        return [Binding(name, (name,), shape[:1], shape) for name, shape in shapes.items()]
    return bind(LAYOUTS[config.family].rules, config.num_layers, shapes)


def gguf_bindings(config: ModelConfig, shapes: Shapes) -> list[Binding]:
    """Raises ModelError for a parameter without a tensor."""
    import gguf

    architecture = GGUF_ARCHITECTURES[config.family]
    numbers = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(numbers[architecture], config.num_layers)
    rules = (
        replace(rule, theirs=rule.theirs.replace("{e}.", ""))
        for rule in LAYOUTS[config.family].rules
    )
    return [
        _gguf_binding(
            binding, names.get_name(binding.theirs, try_suffixes=(".weight", ".bias")), config
        )
        for binding in bind(tuple(rules), config.num_layers, shapes)
    ]


def _gguf_binding(binding: Binding, name: str | None, config: ModelConfig) -> Binding:
    """A Hugging Face binding under its GGUF name: not transposed, without offset."""
    architecture = GGUF_ARCHITECTURES[config.family]
    if name is None:
        raise ModelError(
            f"GGUF's architecture '{architecture}' has no tensor for {', '.join(binding.ours)}."
        )
    field = HEAD_COUNTS.get(".".join(binding.ours[0].split(".")[-3:-1]))  # of "attention.query"
    heads = 0
    if field and architecture in INTERLEAVED and config.positions == "rope":
        heads = getattr(config, field)
    return replace(
        binding,
        theirs=name,
        shape=binding.our_shape,
        transposed=False,
        interleaved_heads=heads,
        offset=0.0,
    )


def bind(rules: tuple[NameRule, ...], num_layers: int, shapes: Shapes) -> list[Binding]:
    """Expand `rules` for every block, weight and bias in `shapes`. Raises ModelError for a
    parameter without a rule.
    """
    bindings: list[Binding] = []
    for rule in rules:
        for i in range(num_layers if "{i}" in rule.theirs else 1):
            for suffix in (".weight", ".bias"):
                ours = tuple(name.format(i=i) + suffix for name in rule.ours)
                if all(name in shapes for name in ours):
                    bindings.extend(
                        _bindings(rule, rule.theirs.replace("{i}", str(i)) + suffix, ours, shapes)
                    )
    left = set(shapes) - {name for binding in bindings for name in binding.ours}
    if left:
        raise ModelError(f"This layout has no tensor for {', '.join(sorted(left)[:4])}.")
    return bindings


def _bindings(
    rule: NameRule, theirs: str, ours: tuple[str, ...], shapes: Shapes
) -> Iterator[Binding]:
    """One binding, or one per expert."""
    rows = tuple(shapes[name][0] for name in ours)
    rest = shapes[ours[0]][1:]
    if "{e}" in theirs:
        for expert in range(rows[0]):
            yield Binding(theirs.replace("{e}", str(expert)), ours, rows, rest, expert=expert)
        return
    shape = (rule.rows_before + sum(rows), *rest)
    transposed = rule.transposed and len(shape) == 2
    yield Binding(
        theirs,
        ours,
        rows,
        shape[::-1] if transposed else shape,
        transposed,
        offset=rule.offset,
        rows_before=rule.rows_before,
    )


def widened(tensor: Tensor) -> Tensor:
    """In at least float32, where 1 + w is exact for bfloat16 w of at least 2^-16 (float16: 2^-13)
    or 0.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def interleave(tensor: Tensor, heads: int) -> Tensor:
    """Reorder rows from rotate-half order (i, i + D/2) to neighbours (2i, 2i+1), head by head.

    >>> interleave(torch.tensor([0, 1, 2, 3]), heads=1).tolist()
    [0, 2, 1, 3]
    """
    half = tensor.shape[0] // heads // 2
    return tensor.reshape(heads, 2, half, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def deinterleave(tensor: Tensor, heads: int) -> Tensor:
    """The inverse of `interleave`."""
    half = tensor.shape[0] // heads // 2
    return tensor.reshape(heads, half, 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)
