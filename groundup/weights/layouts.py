"""Which module of a Hugging Face file is which of ours: one table of rules per family, read in both directions by `names.py`.

To add a family: an entry in LAYOUTS, with rules of its own where its files have other names.
"""

from dataclasses import dataclass, replace

BLOCK = "transformer.blocks.{i}."


@dataclass(frozen=True)
class Rule:
    """A module of the file (`theirs`) and the modules of ours in it, concatenated along the output rows."""

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False
    offset: float = 0.0
    """Our weights are the file's plus this."""


def _rule(theirs: str, *ours: str, transposed: bool = False) -> Rule:
    return Rule(theirs, ours, transposed)


LAYER = "model.layers.{i}."
_EMBEDDING = (_rule("model.embed_tokens", "transformer.embedding"),)
_HEADS = (_rule("model.norm", "transformer.final_norm"), _rule("lm_head", "head"), _rule("score", "score"))
_ATTENTION = (
    _rule(LAYER + "self_attn.q_proj", BLOCK + "attention.query"),
    _rule(LAYER + "self_attn.k_proj", BLOCK + "attention.key"),
    _rule(LAYER + "self_attn.v_proj", BLOCK + "attention.value"),
    _rule(LAYER + "self_attn.o_proj", BLOCK + "attention.output"),
    _rule(LAYER + "self_attn.q_norm", BLOCK + "attention.query_norm"),
    _rule(LAYER + "self_attn.k_norm", BLOCK + "attention.key_norm"),
)
_FEEDFORWARD = (
    _rule(LAYER + "mlp.gate_proj", BLOCK + "feedforward.gate"),
    _rule(LAYER + "mlp.up_proj", BLOCK + "feedforward.up"),
    _rule(LAYER + "mlp.down_proj", BLOCK + "feedforward.down"),
)
_EXPERTS = (
    _rule(LAYER + "mlp.gate", BLOCK + "feedforward.router"),
    _rule(LAYER + "mlp.experts.{e}.gate_proj", BLOCK + "feedforward.gate"),
    _rule(LAYER + "mlp.experts.{e}.up_proj", BLOCK + "feedforward.up"),
    _rule(LAYER + "mlp.experts.{e}.down_proj", BLOCK + "feedforward.down"),
)
_NORMS_BEFORE = (
    _rule(LAYER + "input_layernorm", BLOCK + "attention_norm"),
    _rule(LAYER + "post_attention_layernorm", BLOCK + "feedforward_norm"),
)
LLAMA_RULES = (*_EMBEDDING, *_NORMS_BEFORE, *_ATTENTION, *_FEEDFORWARD, *_HEADS)
EXPERT_RULES = (*_EMBEDDING, *_NORMS_BEFORE, *_ATTENTION, *_EXPERTS, *_HEADS)

# Gemma: a norm before and one after each part, and norm weights stored minus one. A 16-bit file read into float32 and written in 16 bits is
# bitwise the same, a float32 file to within rounding (2^-24). A model opened in bfloat16 has its norm weights in bfloat16 (2^-9).
GEMMA_RULES = tuple(
    replace(rule, offset=1.0) if "norm" in rule.theirs else rule
    for rule in (
        *_EMBEDDING,
        _rule(LAYER + "input_layernorm", BLOCK + "attention_norm"),
        _rule(LAYER + "post_attention_layernorm", BLOCK + "attention_output_norm"),
        _rule(LAYER + "pre_feedforward_layernorm", BLOCK + "feedforward_norm"),
        _rule(LAYER + "post_feedforward_layernorm", BLOCK + "feedforward_output_norm"),
        *_ATTENTION,
        *_FEEDFORWARD,
        *_HEADS,
    )
)
# OLMo 2: norms only after each part.
OLMO2_RULES = (
    *_EMBEDDING,
    _rule(LAYER + "post_attention_layernorm", BLOCK + "attention_output_norm"),
    _rule(LAYER + "post_feedforward_layernorm", BLOCK + "feedforward_output_norm"),
    *_ATTENTION,
    *_FEEDFORWARD,
    *_HEADS,
)
# Phi-3: query, key and value in one matrix, gate and up in another.
PHI3_RULES = (
    *_EMBEDDING,
    *_NORMS_BEFORE,
    _rule(LAYER + "self_attn.qkv_proj", *(BLOCK + f"attention.{part}" for part in ("query", "key", "value"))),
    _rule(LAYER + "self_attn.o_proj", BLOCK + "attention.output"),
    _rule(LAYER + "mlp.gate_up_proj", BLOCK + "feedforward.gate", BLOCK + "feedforward.up"),
    _rule(LAYER + "mlp.down_proj", BLOCK + "feedforward.down"),
    *_HEADS,
)

GPT2_RULES = (
    _rule("transformer.wte", "transformer.embedding"),
    _rule("transformer.wpe", "transformer.position_embedding"),
    _rule("transformer.h.{i}.ln_1", BLOCK + "attention_norm"),
    _rule(
        "transformer.h.{i}.attn.c_attn",
        *(BLOCK + f"attention.{part}" for part in ("query", "key", "value")),
        transposed=True,
    ),
    _rule("transformer.h.{i}.attn.c_proj", BLOCK + "attention.output", transposed=True),
    _rule("transformer.h.{i}.ln_2", BLOCK + "feedforward_norm"),
    _rule("transformer.h.{i}.mlp.c_fc", BLOCK + "feedforward.up", transposed=True),
    _rule("transformer.h.{i}.mlp.c_proj", BLOCK + "feedforward.down", transposed=True),
    _rule("transformer.ln_f", "transformer.final_norm"),
    _rule("lm_head", "head"),
    _rule("score", "score"),
)


@dataclass(frozen=True)
class Layout:
    """The tensor names of a family's Hugging Face files."""

    rules: tuple[Rule, ...]
    prefix: str
    """Prefix of every name but the heads'; files of the base model (as openai-community/gpt2) leave it out."""
    ignored: tuple[str, ...]
    """Suffixes of tensors in older files that are no weights: causal masks and rotary tables."""


def _layout(rules: tuple[Rule, ...]) -> Layout:
    return Layout(rules, "model.", (".rotary_emb.inv_freq",))


_LLAMA_LIKE = _layout(LLAMA_RULES)

LAYOUTS: dict[str, Layout] = {
    "llama": _LLAMA_LIKE,
    "smollm3": _LLAMA_LIKE,
    "mistral": _LLAMA_LIKE,
    "qwen2": _LLAMA_LIKE,
    "qwen3": _LLAMA_LIKE,
    "qwen3_moe": _layout(EXPERT_RULES),
    "gemma2": _layout(GEMMA_RULES),
    "gemma3": _layout(GEMMA_RULES),
    "phi3": _layout(PHI3_RULES),
    "olmo2": _layout(OLMO2_RULES),
    "gpt2": Layout(GPT2_RULES, "transformer.", (".attn.bias", ".attn.masked_bias")),
}
