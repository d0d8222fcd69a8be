"""Every family's config.json as one table: which key is which field of ModelConfig, and what its
class in transformers computes.

`parts`: fields of ModelConfig whose value the class fixes. `keys`: keys of config.json that are
fields of ModelConfig. `fixed`: keys that would change what is computed, with the supported values.
`window`: how the class configures sliding windows. A missing key has the default of the class; keys
that it ignores are ignored here too. Source: transformers 5 `models/*/configuration_*.py` and
`modeling_*.py`.

To add a family: its name in `Family` of model/config.py, an entry here, its tensor names in
`names.py`, its GGUF in `gguf_architectures.py`, a preset and a case in
tests/weights/test_family_parity.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

T = TypeVar("T")
OWN = "groundup"
CAUSAL, CLASSIFIER, ENCODER = "ForCausalLM", "ForSequenceClassification", "Model"

ModelKind = Literal["language", "classifier", "encoder"]
KIND_NAMES: Mapping[ModelKind, str] = {
    "language": "a language model",
    "classifier": "a classifier",
    "encoder": "an encoder",
}
WindowStyle = Literal["none", "uniform", "switched", "alternating"]


@dataclass(frozen=True)
class Window:
    style: WindowStyle = "none"
    """none: no windows. uniform: `sliding_window` in all layers. switched: with
    `use_sliding_window`, from layer `max_window_layers` on or as in `layer_types`. alternating: as
    in `layer_types`, else all but every `period`-th layer."""
    default: int | None = None
    """Of `sliding_window`."""
    period: int = 0
    """Alternating: where `layer_types` and `sliding_window_pattern` are missing."""
    own_base: bool = False
    """Layers with a window have their own RoPE base (Gemma 3)."""


@dataclass(frozen=True)
class HFFamily:
    name: str
    """"Llama" in LlamaForCausalLM."""
    model_type: str
    parts: Mapping[str, Any]
    keys: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, Any]
    """Of keys. A key without one is required."""
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Key -> the supported values; the first is written, and a missing key means one of them."""
    window: Window = Window()
    rope_base: float = 10_000.0
    """The default of `rope_theta`."""
    rope_kinds: tuple[str, ...] = ("linear", "llama3", "yarn")
    """Kinds of RoPE scaling that the class computes as we do."""
    language: str = CAUSAL
    """Suffix of the class name."""
    classifier: str = ""
    """Where it is not `name` + ForSequenceClassification."""
    written: Mapping[str, Any] = field(default_factory=dict)
    """Further keys that other programs expect."""
    other_names: Mapping[str, str] = field(default_factory=dict)
    """Key -> an alias, read where the key is missing, and written too."""
    read_as_encoder: str = ""
    """A class whose name folders of the encoder alone have, too: that of the model which it was
    trained in.
    """
    positions_from: int = 0
    """Rows of the table of positions before that of the first token: `max_position_embeddings` has
    so many more than the context.
    """

    @property
    def classes(self) -> dict[ModelKind, str]:
        """Kind of head -> class name; what is not causal is an encoder, without a head."""
        if not self.parts["causal"]:
            return {"encoder": self.name + ENCODER}
        return {
            "language": self.name + self.language,
            "classifier": self.classifier or self.name + CLASSIFIER,
        }


# Keys that all families with rotary positions share.
_KEYS: dict[str, tuple[str, ...]] = {
    "vocab_size": ("vocab_size",),
    "hidden_size": ("width",),
    "intermediate_size": ("feedforward_width",),
    "num_hidden_layers": ("num_layers",),
    "num_attention_heads": ("num_heads",),
    "num_key_value_heads": ("num_kv_heads",),
    "head_dim": ("head_width",),
    "max_position_embeddings": ("context_tokens",),
    "rms_norm_eps": ("norm_eps",),
    "tie_word_embeddings": ("tied_head",),
}
_BIASED = {**_KEYS, "attention_bias": ("attention_bias", "attention_output_bias")}
_EXPERTS = {
    "moe_intermediate_size": ("feedforward_width",),
    "num_experts": ("num_experts",),
    "num_experts_per_tok": ("experts_per_token",),
    "norm_topk_prob": ("normalised_router",),
}
_DEFAULTS = {
    "num_key_value_heads": 0,
    "head_dim": 0,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
}
_SILU = {"hidden_act": ("silu",)}

# Fields that most classes fix. One that is not listed is free, or in `keys` of the family.
_ROTARY = {
    "norm": "rms",
    "block": "pre",
    "causal": True,
    "embedding_norm": False,
    "positions": "rope",
    "relative_buckets": 0,
    "feedforward": "swiglu",
    "qk_norm": "none",
    "unrotated_every": 0,
    "window_tokens": 0,
    "full_every": 0,
    "window_rope_base": 0.0,
    "score_width": 0,
    "score_softcap": 0.0,
    "logit_softcap": 0.0,
    "scaled_embedding": False,
    "num_experts": 0,
}
_NO_BIAS = {"attention_bias": False, "attention_output_bias": False, "feedforward_bias": False}


def _changed(parts: Mapping[str, T], *removed: str, **changes: T) -> dict[str, T]:
    return {name: value for name, value in parts.items() if name not in removed} | changes


_GPT2_PARTS = _changed(
    _ROTARY | dict.fromkeys(_NO_BIAS, True), norm="layer", positions="learned", feedforward="gelu"
)
_BERT_PARTS = _changed(
    _GPT2_PARTS, block="post", feedforward="gelu_exact", causal=False, embedding_norm=True
)
# Of MPNet's and RoBERTa's tables: 0 and 1 are of padding.
MPNET_POSITIONS_FROM = 2
_BERT_KEYS = {
    "vocab_size": ("vocab_size",),
    "hidden_size": ("width",),
    "intermediate_size": ("feedforward_width",),
    "num_hidden_layers": ("num_layers",),
    "num_attention_heads": ("num_heads",),
    "max_position_embeddings": ("context_tokens",),
    "layer_norm_eps": ("norm_eps",),
}
_BERT_DEFAULTS = {
    "vocab_size": 30_522,
    "hidden_size": 768,
    "intermediate_size": 3_072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 512,
    "layer_norm_eps": 1e-12,
}
_WINDOW_FIELDS = ("window_tokens", "full_every")
_GEMMA_PARTS = _changed(
    _ROTARY, *_WINDOW_FIELDS, "score_width", "logit_softcap", scaled_embedding=True
)
_GEMMA_PARTS |= {"block": "sandwich", "feedforward": "geglu", "feedforward_bias": False}
_LLAMA_KEYS = {**_BIASED, "mlp_bias": ("feedforward_bias",)}
_GEMMA_KEYS = {
    **_BIASED,
    "query_pre_attn_scalar": ("score_width",),
    "final_logit_softcapping": ("logit_softcap",),
}
_GEMMA_DEFAULTS = {
    **_DEFAULTS,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "tie_word_embeddings": True,
}
_GEMMA_FIXED = {
    "hidden_activation": ("gelu_pytorch_tanh",),
    "use_bidirectional_attention": (False, None),
}

FAMILIES: dict[str, HFFamily] = {
    "llama": HFFamily(
        "Llama", "llama", _ROTARY, _LLAMA_KEYS, _DEFAULTS, _SILU, written={"pretraining_tp": 1}
    ),
    "smollm3": HFFamily(
        "SmolLM3",
        "smollm3",
        _changed(_ROTARY, "unrotated_every"),
        _LLAMA_KEYS,
        {**_DEFAULTS, "tie_word_embeddings": True},
        {**_SILU, "use_sliding_window": (False,)},
        rope_base=2_000_000.0,
    ),
    "mistral": HFFamily(
        "Mistral",
        "mistral",
        _changed(_ROTARY | _NO_BIAS, "window_tokens"),
        _KEYS,
        _DEFAULTS,
        _SILU,
        Window("uniform", 4096),
    ),
    "qwen2": HFFamily(
        "Qwen2",
        "qwen2",
        _changed(_ROTARY | _NO_BIAS, *_WINDOW_FIELDS, attention_bias=True),
        _KEYS,
        _DEFAULTS,
        _SILU,
        Window("switched", 4096),
    ),
    "qwen3": HFFamily(
        "Qwen3",
        "qwen3",
        _changed(_ROTARY, *_WINDOW_FIELDS, feedforward_bias=False, qk_norm="head"),
        _BIASED,
        {**_DEFAULTS, "head_dim": 128},
        _SILU,
        Window("switched", 4096),
    ),
    "qwen3_moe": HFFamily(
        "Qwen3Moe",
        "qwen3_moe",
        _changed(_ROTARY, "num_experts", feedforward_bias=False, qk_norm="head"),
        _changed(_BIASED, "intermediate_size") | _EXPERTS,
        {
            **_DEFAULTS,
            "num_key_value_heads": 4,
            "moe_intermediate_size": 768,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "norm_topk_prob": False,
        },
        {
            **_SILU,
            "use_sliding_window": (False,),
            "decoder_sparse_step": (1,),
            "mlp_only_layers": ([], None),
        },
        other_names={"num_experts": "num_local_experts"},  # transformers 5 writes the alias
    ),
    "gemma2": HFFamily(
        "Gemma2",
        "gemma2",
        _changed(_GEMMA_PARTS, "score_softcap"),
        {**_GEMMA_KEYS, "attn_logit_softcapping": ("score_softcap",)},
        {**_GEMMA_DEFAULTS, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
        _GEMMA_FIXED,
        Window("alternating", 4096, period=2),
    ),
    "gemma3": HFFamily(
        "Gemma3",
        "gemma3_text",
        _changed(_GEMMA_PARTS, "window_rope_base", qk_norm="head"),
        _GEMMA_KEYS,
        {**_GEMMA_DEFAULTS, "final_logit_softcapping": 0.0},
        {**_GEMMA_FIXED, "attn_logit_softcapping": (None,)},
        Window("alternating", 4096, period=6, own_base=True),
        rope_base=1_000_000.0,
        classifier="Gemma3Text" + CLASSIFIER,
    ),
    "phi3": HFFamily(
        "Phi3",
        "phi3",
        _changed(_ROTARY | _NO_BIAS, "window_tokens"),
        _KEYS,
        {**_DEFAULTS, "rms_norm_eps": 1e-5},
        {**_SILU, "attention_bias": (False,)},
        Window("uniform"),
        rope_kinds=(),
    ),
    "olmo2": HFFamily(
        "Olmo2",
        "olmo2",
        _changed(_ROTARY, block="output", qk_norm="projection", feedforward_bias=False),
        _BIASED,
        {**_DEFAULTS, "rms_norm_eps": 1e-5},
        _SILU,
    ),
    "gpt2": HFFamily(
        "GPT2",
        "gpt2",
        _GPT2_PARTS,
        {
            "vocab_size": ("vocab_size",),
            "n_embd": ("width",),
            "n_inner": ("feedforward_width",),
            "n_layer": ("num_layers",),
            "n_head": ("num_heads",),
            "n_positions": ("context_tokens",),
            "layer_norm_epsilon": ("norm_eps",),
            "tie_word_embeddings": ("tied_head",),
        },
        {
            "vocab_size": 50_257,
            "n_embd": 768,
            "n_inner": 0,
            "n_layer": 12,
            "n_head": 12,
            "n_positions": 1024,
            "layer_norm_epsilon": 1e-5,
            "tie_word_embeddings": True,
        },
        {
            "activation_function": ("gelu_new", "gelu_pytorch_tanh"),  # aliases
            "scale_attn_weights": (True,),
            "scale_attn_by_inverse_layer_idx": (False,),
            "add_cross_attention": (False,),
        },
        language="LMHeadModel",
    ),
    "bert": HFFamily(
        "Bert",
        "bert",
        _BERT_PARTS | {"tied_head": True},
        _BERT_KEYS,
        _BERT_DEFAULTS,
        {
            "hidden_act": ("gelu",),
            "position_embedding_type": ("absolute",),
            "is_decoder": (False,),
            "add_cross_attention": (False,),
        },
        written={
            "type_vocab_size": 1
        },  # the first type is folded into the positions (`names.py`), the others are left out
    ),
    "mpnet": HFFamily(
        "MPNet",
        "mpnet",
        _BERT_PARTS | {"tied_head": True, "relative_buckets": 32},
        _BERT_KEYS,
        {**_BERT_DEFAULTS, "vocab_size": 30_527},
        {"hidden_act": ("gelu",), "relative_attention_num_buckets": (32,)},
        read_as_encoder="MPNetForMaskedLM",
        positions_from=MPNET_POSITIONS_FROM,
    ),
}

MODEL_TYPES = {family.model_type: name for name, family in FAMILIES.items()}
