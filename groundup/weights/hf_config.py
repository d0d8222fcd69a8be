"""config.json <-> ModelConfig, read strictly and written completely.

Read: the families of `hf_families.FAMILIES`, as language model, classifier (with `id2label`) or
encoder. A setting that our model does not compute is refused by name, never ignored.

Written: RoPE settings twice, since transformers 5 reads `rope_parameters` while transformers 4,
vLLM before 0.14 and Ollama read `rope_theta` and `rope_scaling`; the dtype twice for the same
reason. A model that no class of transformers computes is written as `model_type: groundup` with our
own fields and tensor names; other programs refuse it as unknown.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.config import build_config, to_plain
from groundup.errors import ConfigError, FormatError, did_you_mean
from groundup.files import read_json
from groundup.model.config import ModelConfig, Pooling
from groundup.tokenizer.fast import Tokenizer
from groundup.weights.fields import MAX_COUNT, MAX_LAYERS, Fields
from groundup.weights.hf_families import (
    CAUSAL,
    CLASSIFIER,
    ENCODER,
    FAMILIES,
    MODEL_TYPES,
    OWN,
    HFFamily,
    ModelKind,
)
from groundup.weights.hf_positions import positions_json, read_positions
from groundup.weights.sentence_folder import read_pooling

CONFIG_FILE = "config.json"
MAX_CONFIG_BYTES = 4 * 2**20
MAX_LABELS = 2**16
# What `problem_type` says of a classifier.
SINGLE_LABEL, MULTI_LABEL = "single_label_classification", "multi_label_classification"
OWN_CLASSES: dict[ModelKind, str] = {
    "language": "Groundup" + CAUSAL,
    "classifier": "Groundup" + CLASSIFIER,
    "encoder": "Groundup" + ENCODER,
}
# Keys whose null means "none", while a missing key means the default.
NULL_IS_NONE = ("attn_logit_softcapping", "final_logit_softcapping")
# Multimodal models: how to extract the language model.
TEXT_PART = {
    "gemma3": "Extract its language model with transformers: text = Gemma3ForCausalLM(model.config.text_config), "
    "text.model = model.model.language_model, text.tie_weights(), text.save_pretrained(folder).",
}


@dataclass(frozen=True)
class HFConfig:
    config: ModelConfig
    kind: ModelKind
    labels: tuple[str, ...] = ()
    multi_label: bool = False
    own: bool = False
    """Our own layout (`model_type: groundup`) and tensor names."""
    pooling: Pooling = "mean"
    """Of an encoder."""


def read_hf_config(folder: Path) -> HFConfig:
    """Raises FormatError."""
    file = folder / CONFIG_FILE
    values = read_json(file, max_bytes=MAX_CONFIG_BYTES)
    if not isinstance(values, dict):
        raise FormatError(file, "top level", "is not a table")
    fields = Fields(values, file)
    model_type = fields.text("model_type")
    if model_type != OWN and model_type not in MODEL_TYPES:
        raise _unknown(fields, model_type)
    name = MODEL_TYPES.get(model_type)
    kind = _kind(fields, FAMILIES.get(name or ""))
    if values.get("quantization_config") is not None:
        raise fields.error(
            "quantization_config", "the weights are quantised; plain ones (or a GGUF) are read"
        )
    labels = _labels(fields) if kind == "classifier" else ()
    try:
        config = _read_config(fields, FAMILIES[name], name) if name else _read_own(fields)
    except ConfigError as error:
        raise FormatError(file, "content", error.message) from error
    if (kind == "encoder") == config.causal:
        raise FormatError(
            file, "architectures", f"is that of a model whose causal is {shown(not config.causal)}"
        )
    pooling = read_pooling(folder) if kind == "encoder" else "mean"
    multi_label = kind == "classifier" and values.get("problem_type") == MULTI_LABEL
    return HFConfig(config, kind, labels, multi_label, own=name is None, pooling=pooling)


def _unknown(fields: Fields, model_type: str) -> FormatError:
    if model_type in TEXT_PART:
        reason = f"is {model_type!r}, a model of text and images; text-only models are supported"
        return FormatError(fields.source, "model_type", reason, fix=TEXT_PART[model_type])
    near = did_you_mean(model_type, MODEL_TYPES)
    fix = f"{near} A family is added by tables: docs/tour.md, the row 'load a new model family'."
    return FormatError(
        fields.source, "model_type", f"is {model_type[:40]!r}, which is not a known family", fix=fix
    )


def _kind(fields: Fields, family: HFFamily | None) -> ModelKind:
    """By `architectures`; the first class of the family where that is missing. None: our own."""
    classes = family.classes if family else OWN_CLASSES
    named = fields.get("architectures", (list,), "a list", [next(iter(classes.values()))])
    for kind, name in classes.items():
        if named == [name]:
            return kind
    if family and named == [family.read_as_encoder]:
        return "encoder"
    raise fields.error(
        "architectures", f"is {str(named)[:60]}; known are {', '.join(classes.values())}"
    )


def _labels(fields: Fields) -> tuple[str, ...]:
    """From `id2label`, else LABEL_0, ... as in transformers."""
    if fields.values.get("id2label") is None:
        return tuple(f"LABEL_{i}" for i in range(fields.integer("num_labels", 2, high=MAX_LABELS)))
    table = fields.table("id2label")
    labels = tuple(table.get(str(i)) for i in range(len(table)))
    if not labels or not all(isinstance(label, str) and label for label in labels):
        raise fields.error("id2label", "does not name each of the classes 0, 1, ...")
    if len(set(labels)) != len(labels):
        raise fields.error("id2label", "gives two classes the same name")
    return tuple(str(label) for label in labels)


def _read_config(fields: Fields, family: HFFamily, name: str) -> ModelConfig:
    fields = _renamed(fields, family)
    for key, values in family.fixed.items():
        fields.require(key, *values)
    settings: dict[str, Any] = dict(family.parts)
    for key, ours in family.keys.items():
        settings |= dict.fromkeys(ours, _read_key(fields, key, ours[0], family.defaults))
    settings["feedforward_width"] = (
        settings["feedforward_width"] or 4 * settings["width"]
    )  # GPT-2 says null
    if settings.get("score_width") == (
        settings.get("head_width") or settings["width"] // settings["num_heads"]
    ):
        settings["score_width"] = 0
    if settings["positions"] == "rope":
        settings |= read_positions(
            fields, family, settings["num_layers"], settings["context_tokens"]
        )
    settings["context_tokens"] -= family.positions_from
    return ModelConfig(family=name, **settings)  # type: ignore[arg-type]


def _renamed(fields: Fields, family: HFFamily) -> Fields:
    """Every key under its name in the family's table; refused where two names differ."""
    values = dict(fields.values)
    for key, other in family.other_names.items():
        found = values.pop(other, None)
        if found is not None and values.setdefault(key, found) != found:
            raise fields.error(other, f"is {str(found)[:40]}, but {key} is {str(values[key])[:40]}")
    return Fields(values, fields.source)


_HIGHEST = {"num_layers": MAX_LAYERS}
_TYPES = {field.name: field.type for field in dataclasses.fields(ModelConfig)}


def _read_key(fields: Fields, key: str, ours: str, defaults: Mapping[str, Any]) -> Any:
    if key in NULL_IS_NONE and key in fields.values and fields.values[key] is None:
        return 0.0
    if fields.values.get(key) is None and key in defaults:
        return defaults[key]
    if _TYPES[ours] is bool:
        return fields.flag(key)
    if _TYPES[ours] is float:
        return fields.number(key)
    return fields.integer(key, high=_HIGHEST.get(ours, MAX_COUNT))


def _read_own(fields: Fields) -> ModelConfig:
    """Integers are bounded as those of a foreign file."""
    values = fields.table(OWN)
    inner = Fields(values, f"{fields.source}: {OWN}")
    for key, value in values.items():
        if type(value) is int:
            inner.integer(key, low=0, high=_HIGHEST.get(key, MAX_COUNT))
    return build_config(ModelConfig, values)


def has_class(config: ModelConfig) -> bool:
    """Whether a class of transformers computes a model of this config."""
    family = FAMILIES[config.family]
    if any(getattr(config, name) != value for name, value in family.parts.items()):
        return False
    if "num_experts" not in family.parts and not config.num_experts:
        return False
    if any(
        getattr(config, name) != getattr(config, fields[0])
        for fields in family.keys.values()
        for name in fields
    ):
        return False  # one key for several fields, which differ
    if config.rope_scaling is not None and not _scales(config, family):
        return False
    if config.positions == "learned":
        return (
            config.num_kv_heads == config.num_heads
            and config.head_width * config.num_heads == config.width
        )
    return True


def _scales(config: ModelConfig, family: HFFamily) -> bool:
    """Whether the class has this kind of RoPE scaling, in the same layers."""
    assert config.rope_scaling is not None
    unscaled_windows = config.window_rope_base > 0 or not config.window_tokens
    return config.rope_scaling.kind in family.rope_kinds and (
        unscaled_windows or not family.window.own_base
    )


def hf_reason(config: ModelConfig) -> str | None:
    """Why no class of transformers (and vLLM) computes this model, as one sentence; None: one
    does.
    """
    if has_class(config):
        return None
    family = FAMILIES[config.family]
    name, parts = family.name, family.parts
    other = next((field for field, value in parts.items() if getattr(config, field) != value), None)
    if other is None:
        return f"No class of transformers has the parts of this model; {name} is the nearest by its family."
    return f"transformers' {name} has {other} {shown(parts[other])}; this model has {shown(getattr(config, other))}."


def shown(value: object) -> str:
    """A field's value as messages name it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def hf_config_json(hf: HFConfig, tokenizer: Tokenizer | None, dtype: str) -> dict[str, object]:
    """`dtype`: torch's name ("float32") of the weights on disk."""
    if not has_class(hf.config):
        return own_config_json(hf, tokenizer, dtype)
    family = FAMILIES[hf.config.family]
    return {
        "architectures": [family.classes[hf.kind]],
        "model_type": family.model_type,
        **_config_json(hf.config, family),
        **_common_json(hf, tokenizer, dtype),
    }


def own_config_json(hf: HFConfig, tokenizer: Tokenizer | None, dtype: str) -> dict[str, object]:
    """The same with our own fields, beside tensors under our own names."""
    return {
        "architectures": [OWN_CLASSES[hf.kind]],
        "model_type": OWN,
        OWN: to_plain(hf.config),
        "vocab_size": hf.config.vocab_size,
        "tie_word_embeddings": hf.config.tied_head,
        **_common_json(hf, tokenizer, dtype),
    }


def _common_json(hf: HFConfig, tokenizer: Tokenizer | None, dtype: str) -> dict[str, object]:
    return {
        **_label_json(hf.labels, hf.multi_label),
        **_token_ids(tokenizer),
        "dtype": dtype,
        "torch_dtype": dtype,
    }


def _config_json(config: ModelConfig, family: HFFamily) -> dict[str, object]:
    body: dict[str, object] = {key: getattr(config, ours[0]) for key, ours in family.keys.items()}
    if family.positions_from:
        body["max_position_embeddings"] = config.context_tokens + family.positions_from
    body |= {key: body[key] or None for key in NULL_IS_NONE if key in body}
    if "query_pre_attn_scalar" in body:
        body["query_pre_attn_scalar"] = config.score_width or config.head_width
    body |= {key: values[0] for key, values in family.fixed.items()} | dict(family.written)
    body |= {other: body[key] for key, other in family.other_names.items()}
    if (
        config.num_experts
    ):  # the width of layers without experts, of which there are none: as in Qwen's files
        body["intermediate_size"] = config.experts_per_token * config.feedforward_width
    if config.positions == "rope":
        body |= positions_json(config, family)
    return body


def _label_json(labels: Sequence[str], multi_label: bool) -> dict[str, object]:
    if not labels:
        return {}
    return {
        "num_labels": len(labels),
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": {True: MULTI_LABEL, False: SINGLE_LABEL}[multi_label],
    }


def generation_json(tokenizer: Tokenizer | None) -> dict[str, object]:
    """With every id that ends generation, so that transformers and vLLM stop where we do."""
    body: dict[str, object] = dict(_token_ids(tokenizer))
    if tokenizer is not None:
        end = tokenizer.special.eos_id
        body["eos_token_id"] = [end, *sorted(tokenizer.special.stop_ids - {end})]
    return {key: value for key, value in body.items() if value is not None}


def _token_ids(tokenizer: Tokenizer | None) -> dict[str, int | None]:
    if tokenizer is None:
        return dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    special = tokenizer.special
    pad = special.pad_id
    if pad is None:
        pad = special.eos_id
    return {"bos_token_id": special.bos_id, "eos_token_id": special.eos_id, "pad_token_id": pad}
