"""config.json <-> ModelConfig: what a Hugging Face folder says about the shape of its model, read strictly and written completely.

Read: Llama, Mistral, Qwen2, Qwen3 and GPT-2, for the next token (`LlamaForCausalLM`, ...) and for classes of texts
(`LlamaForSequenceClassification`, ... with `id2label`). A setting that our model does not compute (a sliding window shorter than the
context, another activation, quantised weights, another way of stretching positions) is refused by name, never passed over.

Written: rotary positions twice, since transformers 5 reads `rope_parameters` while transformers 4, vLLM before 0.14 and Ollama read
`rope_theta` and `rope_scaling`; the dtype twice for the same reason (`dtype`, `torch_dtype`). The two agree.

A model whose parts no class of transformers has (sinusoidal positions, no positions, ...) is written as `model_type: groundup`
with our own fields and names: we open it again, other programs say that they don't know it.

A missing key means what transformers' config class means by it. Source: transformers 5 `models/*/configuration_*.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groundup.config import build_config, to_plain
from groundup.errors import ConfigError, FormatError
from groundup.files import read_json
from groundup.model.config import ModelConfig, RopeScaling
from groundup.weights.fields import MAX_LAYERS, Fields

CONFIG_FILE = "config.json"
MAX_CONFIG_BYTES = 4 * 2**20
MAX_LABELS = 2**16
OWN = "groundup"

Kind = Literal["language", "classifier"]

# The part of the class names that `architectures` consist of: family -> "Llama" in LlamaForCausalLM.
CLASS_NAMES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "gpt2": "GPT2",
    OWN: "Groundup",
}
LANGUAGE_ENDS = ("ForCausalLM", "LMHeadModel")
CLASSIFIER_END = "ForSequenceClassification"

# What each family's class computes; a config that says otherwise has no such class.
_ROTARY = {"norm": "rms", "positions": "rope", "feedforward": "swiglu"}
_PLAIN = {"attention_bias": False, "attention_output_bias": False, "feedforward_bias": False, "qk_norm": "none"}
PARTS: dict[str, dict[str, Any]] = {
    "llama": {**_ROTARY, "qk_norm": "none"},
    "mistral": {**_ROTARY, **_PLAIN},
    "qwen2": {**_ROTARY, **_PLAIN, "attention_bias": True},
    "qwen3": {**_ROTARY, "feedforward_bias": False, "qk_norm": "head"},
    "gpt2": {
        "norm": "layer",
        "positions": "learned",
        "feedforward": "gelu",
        "attention_bias": True,
        "attention_output_bias": True,
        "feedforward_bias": True,
        "qk_norm": "none",
    },
}


@dataclass(frozen=True)
class Shape:
    """What config.json says: the model's config, which head it has, and the labels of a classifier."""

    config: ModelConfig
    kind: Kind
    labels: tuple[str, ...] = ()
    own: bool = False
    """Written in our own layout (`model_type: groundup`), with our own tensor names."""


def read_shape(folder: Path) -> Shape:
    """The shape that `folder/config.json` describes. Raises FormatError."""
    file = folder / CONFIG_FILE
    values = read_json(file, max_bytes=MAX_CONFIG_BYTES)
    if not isinstance(values, dict):
        raise FormatError(file, "top level", "is not a table")
    fields = Fields(values, file)
    family = fields.text("model_type")
    if family not in CLASS_NAMES:
        raise fields.error("model_type", f"is {family[:40]!r}; known are {', '.join(sorted(CLASS_NAMES))}")
    kind = _kind(fields, family)
    if values.get("quantization_config") is not None:
        raise fields.error("quantization_config", "the weights are quantised; plain ones (or a GGUF) are read")
    labels = _labels(fields) if kind == "classifier" else ()
    try:
        config = _READERS[family](fields, family)
    except ConfigError as error:
        raise FormatError(file, "content", error.message) from error
    return Shape(config, kind, labels, own=family == OWN)


def _kind(fields: Fields, family: str) -> Kind:
    """The head, from `architectures`; where that is missing, the next token's."""
    name = CLASS_NAMES[family]
    named = fields.get("architectures", (list,), "a list", [name + LANGUAGE_ENDS[0]])
    known: dict[str, Kind] = {name + end: "language" for end in LANGUAGE_ENDS}
    known[name + CLASSIFIER_END] = "classifier"
    if len(named) != 1 or not isinstance(named[0], str) or named[0] not in known:
        raise fields.error("architectures", f"is {str(named)[:60]}; for {family} known are {', '.join(sorted(known))}")
    return known[named[0]]


def _labels(fields: Fields) -> tuple[str, ...]:
    """The names of the classes in order, from `id2label`, else LABEL_0, ... as transformers has it."""
    table = fields.table("id2label", None) if fields.values.get("id2label") is not None else None
    if table is None:
        return tuple(f"LABEL_{i}" for i in range(fields.integer("num_labels", 2, high=MAX_LABELS)))
    labels = tuple(table.get(str(i)) for i in range(len(table)))
    if not labels or not all(isinstance(label, str) and label for label in labels):
        raise fields.error("id2label", "does not name the classes 0, 1, ... one by one")
    if len(set(labels)) != len(labels):
        raise fields.error("id2label", "gives two classes the same name")
    return tuple(str(label) for label in labels)


def _read_rotary(fields: Fields, family: str) -> ModelConfig:
    """Llama and its likes."""
    fields.require("hidden_act", "silu", "silu")
    width, num_heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    context_tokens = fields.integer("max_position_embeddings")
    _refuse_window(fields, family, context_tokens)
    rope_base, rope_scaling = _rope(fields, context_tokens)
    return ModelConfig(
        family=family,  # type: ignore[arg-type]
        vocab_size=fields.integer("vocab_size"),
        context_tokens=context_tokens,
        width=width,
        num_layers=fields.integer("num_hidden_layers", high=MAX_LAYERS),
        num_heads=num_heads,
        num_kv_heads=fields.integer("num_key_value_heads", num_heads),
        head_width=fields.integer("head_dim", 128 if family == "qwen3" else 0, low=0),
        feedforward_width=fields.integer("intermediate_size"),
        norm_eps=fields.number("rms_norm_eps", 1e-6),
        rope_base=rope_base,
        rope_scaling=rope_scaling,
        tied_head=fields.flag("tie_word_embeddings", False),
        **_rotary_biases(fields, family),
    )


def _rotary_biases(fields: Fields, family: str) -> dict[str, Any]:
    """Which projections have biases. `attention_bias` adds them to all four of Llama and Qwen3; Qwen2 always has three."""
    if family == "qwen2":
        return {"attention_bias": True}
    if family == "mistral":
        return {}
    biases = fields.flag("attention_bias", False)
    both = {"attention_bias": biases, "attention_output_bias": biases}
    if family == "qwen3":
        return {**both, "qk_norm": "head"}
    return {**both, "feedforward_bias": fields.flag("mlp_bias", False)}


def _refuse_window(fields: Fields, family: str, context_tokens: int) -> None:
    """A sliding window that is shorter than the context would change the logits of long texts."""
    if family == "mistral":
        window = fields.values.get("sliding_window", 4096)
    else:
        window = fields.values.get("sliding_window") if fields.flag("use_sliding_window", False) else None
    if window is not None and (type(window) is not int or window < context_tokens):
        raise fields.error(
            "sliding_window",
            f"is {str(window)[:40]}, shorter than the context of {context_tokens} tokens; windows are not supported",
        )
    kinds = fields.get("layer_types", (list,), "a list", [])
    if window is None and any(kind != "full_attention" for kind in kinds):
        raise fields.error("layer_types", "names something else than full_attention, which is not supported")


def _rope(fields: Fields, context_tokens: int) -> tuple[float, RopeScaling | None]:
    """Base and scaling, from transformers 5's `rope_parameters` or the older `rope_theta` and `rope_scaling`."""
    old = fields.table("rope_scaling", {})
    parameters = Fields(old or fields.table("rope_parameters", {}), f"{fields.source}: rope parameters")
    base = parameters.number("rope_theta", fields.number("rope_theta", 10_000.0))
    for owner in (fields, parameters):
        if owner.values.get("partial_rotary_factor") is not None:
            owner.require("partial_rotary_factor", 1.0, 1.0)
    kind = parameters.text("rope_type", parameters.text("type", "default"))
    if kind == "default" and "factor" not in parameters.values:
        return base, None
    if kind != "llama3":
        raise fields.error("rope_scaling", f"is of type {kind[:40]!r}; 'default' and 'llama3' are supported")
    return base, RopeScaling(
        factor=parameters.number("factor"),
        low_freq_factor=parameters.number("low_freq_factor"),
        high_freq_factor=parameters.number("high_freq_factor"),
        original_context_tokens=parameters.integer("original_max_position_embeddings", context_tokens),
    )


def _read_gpt2(fields: Fields, family: str) -> ModelConfig:
    activation = fields.text("activation_function", "gelu_new")
    if activation not in ("gelu_new", "gelu_pytorch_tanh"):  # the same formula
        raise fields.error("activation_function", f"is {activation[:40]!r}; gelu_new is supported")
    fields.require("scale_attn_weights", True, True)
    fields.require("scale_attn_by_inverse_layer_idx", False, False)
    fields.require("add_cross_attention", False, False)
    width = fields.integer("n_embd", 768)
    return ModelConfig(
        family=family,  # type: ignore[arg-type]
        vocab_size=fields.integer("vocab_size", 50_257),
        context_tokens=fields.integer("n_positions", fields.integer("n_ctx", 1024)),
        width=width,
        num_layers=fields.integer("n_layer", 12, high=MAX_LAYERS),
        num_heads=fields.integer("n_head", 12),
        feedforward_width=fields.integer("n_inner", 4 * width),
        norm_eps=fields.number("layer_norm_epsilon", 1e-5),
        tied_head=fields.flag("tie_word_embeddings", True),
        **PARTS["gpt2"],
    )


def _read_own(fields: Fields, family: str) -> ModelConfig:
    """Our own fields, checked like a recipe's and bounded like a foreign file's."""
    values = fields.table(OWN)
    inner = Fields(values, f"{fields.source}: {OWN}")
    for key, value in values.items():
        if type(value) is int:
            inner.integer(key, low=0, high=MAX_LAYERS if key == "num_layers" else 2**24)
    return build_config(ModelConfig, values)


_READERS = {**dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), _read_rotary), "gpt2": _read_gpt2, OWN: _read_own}


@dataclass(frozen=True)
class TokenIds:
    """The ids that config.json and generation_config.json name."""

    bos: int | None = None
    eos: int | None = None
    pad: int | None = None
    stops: tuple[int, ...] = ()
    """Every id that ends a generation, eos first."""


def has_class(config: ModelConfig) -> bool:
    """Is there a class of transformers that computes what this config says?"""
    if any(getattr(config, name) != value for name, value in PARTS[config.family].items()):
        return False
    if config.family in ("llama", "qwen3"):
        return config.attention_bias == config.attention_output_bias
    if config.family == "gpt2":
        return config.num_kv_heads == config.num_heads and config.head_width * config.num_heads == config.width
    return True


def shape_json(shape: Shape, ids: TokenIds, dtype: str) -> dict[str, Any]:
    """The config.json of a model; `dtype` is torch's name ("float32") of the weights on disk."""
    config = shape.config
    family = config.family if has_class(config) else OWN
    body = {OWN: to_plain(config)} if family == OWN else (_gpt2_json if family == "gpt2" else _rotary_json)(config)
    end = CLASSIFIER_END if shape.kind == "classifier" else LANGUAGE_ENDS[family == "gpt2"]
    named = {"bos_token_id": ids.bos, "eos_token_id": ids.eos, "pad_token_id": ids.pad}
    return {
        "architectures": [CLASS_NAMES[family] + end],
        "model_type": family,
        **body,
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied_head,
        **_label_json(shape.labels),
        **named,
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def _label_json(labels: Sequence[str]) -> dict[str, Any]:
    if not labels:
        return {}
    return {
        "num_labels": len(labels),
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": "single_label_classification",
    }


def _rotary_json(config: ModelConfig) -> dict[str, Any]:
    scaling = config.rope_scaling
    stretched = scaling and {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_context_tokens,
    }
    return {
        "hidden_size": config.width,
        "intermediate_size": config.feedforward_width,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": config.context_tokens,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_base,
        "rope_scaling": stretched,
        "rope_parameters": {"rope_theta": config.rope_base, **(stretched or {"rope_type": "default"})},
        **_family_json(config),
    }


def _family_json(config: ModelConfig) -> dict[str, Any]:
    """What only one family's class asks for."""
    families: Mapping[str, dict[str, Any]] = {
        "llama": {"attention_bias": config.attention_bias, "mlp_bias": config.feedforward_bias, "pretraining_tp": 1},
        "mistral": {"sliding_window": None},
        "qwen2": {"use_sliding_window": False},
        "qwen3": {"attention_bias": config.attention_bias, "use_sliding_window": False},
    }
    return families[config.family]


def _gpt2_json(config: ModelConfig) -> dict[str, Any]:
    return {
        "n_embd": config.width,
        "n_inner": config.feedforward_width,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_positions": config.context_tokens,
        "n_ctx": config.context_tokens,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": config.norm_eps,
        "scale_attn_weights": True,
    }


def generation_json(ids: TokenIds) -> dict[str, Any]:
    """generation_config.json: every id that ends a generation, so that transformers and vLLM stop where we do."""
    named = {"bos_token_id": ids.bos, "eos_token_id": list(ids.stops), "pad_token_id": ids.pad}
    return {key: value for key, value in named.items() if value not in (None, [])}
