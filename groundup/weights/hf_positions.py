"""Rotary positions and sliding windows in config.json <-> fields of ModelConfig.

RoPE has two styles of keys, both written with the same values; reading follows transformers 5
(`rope_scaling` first, where it exists):

    old (transformers 4, vLLM, Ollama)    rope_theta, rope_scaling {"rope_type" or "type", "factor",
                                          ...}, rope_local_base_freq (Gemma 3)
    new (transformers 5)                  rope_parameters {"rope_theta", "rope_type", "factor",
                                          ...}; for Gemma 3 one such table per type of layer

config.json may list a type for every layer. ModelConfig says "every n-th layer, counted from 1, is
different"; a list without such a pattern is refused, since another model would be computed.
"""

from collections.abc import Sequence
from typing import Any

from groundup.model.config import ModelConfig, RopeScaling
from groundup.weights.fields import MAX_LAYERS, Fields
from groundup.weights.hf_families import HFFamily

FULL, SLIDING = "full_attention", "sliding_attention"
PATTERN = "sliding_window_pattern"  # Gemma 3: the n of "every n-th layer has full attention"
LOCAL_BASE = 10_000.0  # Gemma 3's default of rope_local_base_freq

_BASE = ("rope_type", "type", "rope_theta", "partial_rotary_factor")
_SCALED = (
    *_BASE,
    "factor",
    "finetuned",
    "original_max_position_embeddings",
)  # "finetuned" changes nothing
# Kind of RoPE scaling -> its parameters.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "default": _BASE,
    "linear": _SCALED,
    "llama3": (*_SCALED, "low_freq_factor", "high_freq_factor"),
    "yarn": (*_SCALED, "beta_fast", "beta_slow", "attention_factor", "truncate"),
}
REFUSED = {
    "longrope": "it has one set of angles for short texts and another for long ones, which a KV cache can't switch between",
    "su": "the old name of longrope, with one set of angles for short texts and another for long ones",
    "dynamic": "its angles change with the length of the text, which a KV cache can't follow",
}


def read_positions(
    fields: Fields, family: HFFamily, num_layers: int, context_tokens: int
) -> dict[str, float | RopeScaling | None]:
    """Raises FormatError."""
    windows = _read_windows(fields, family, num_layers, context_tokens)
    found = _read_rope(fields, family) | windows
    if not windows:
        found.pop("window_rope_base", None)
    if "unrotated_every" not in family.parts:
        found["unrotated_every"] = _read_unrotated(fields, num_layers)
    return found


def _read_rope(fields: Fields, family: HFFamily) -> dict[str, float | RopeScaling | None]:
    """Base and scaling, and the base of layers with a window."""
    if family.window.own_base:
        return _read_two_bases(fields, family)
    parameters = fields.table("rope_scaling", {}) or fields.table("rope_parameters", {})
    base, scaling = _read_parameters(
        fields, parameters, family, fields.number("rope_theta", family.rope_base)
    )
    return {"rope_base": base, "rope_scaling": scaling}


def _read_two_bases(fields: Fields, family: HFFamily) -> dict[str, float | RopeScaling | None]:
    """Gemma 3: layers with full attention and with a window have different RoPE parameters."""
    tables = fields.table("rope_parameters", {})
    if set(tables) - {FULL, SLIDING}:
        raise fields.error("rope_parameters", f"is not one table for {FULL} and one for {SLIDING}")
    nested = Fields(tables, f"{fields.source}: rope_parameters")
    full = nested.table(FULL, {}) | fields.table("rope_scaling", {})
    base, scaling = _read_parameters(
        fields, full, family, fields.number("rope_theta", family.rope_base)
    )
    local = fields.number("rope_local_base_freq", LOCAL_BASE)
    window_base, window_scaling = _read_parameters(fields, nested.table(SLIDING, {}), family, local)
    if window_scaling is not None:
        raise nested.error(SLIDING, f"has RoPE scaling, which only {FULL} can have")
    if window_base == base and scaling is None:
        window_base = 0.0
    return {"rope_base": base, "rope_scaling": scaling, "window_rope_base": window_base}


def _read_parameters(
    fields: Fields, table: dict[str, Any], family: HFFamily, base: float
) -> tuple[float, RopeScaling | None]:
    """Base and scaling of one table; `base` is the default."""
    parameters = Fields(table, f"{fields.source}: rope parameters")
    for owner in (fields, parameters):
        if owner.values.get("partial_rotary_factor") is not None:
            owner.require("partial_rotary_factor", 1.0)
    base = parameters.number("rope_theta", base)
    kind = parameters.text("rope_type", parameters.text("type", "default"))
    if kind != "default" and kind not in family.rope_kinds:
        why = f" ({REFUSED[kind]})" if kind in REFUSED else ""
        supported = ", ".join(("default", *family.rope_kinds))
        raise parameters.error(
            "rope_type", f"is {kind[:40]!r}{why}; for {family.model_type} supported are {supported}"
        )
    unknown = sorted(set(table) - set(PARAMETERS[kind]))
    if unknown:
        raise parameters.error(unknown[0][:40], f"is not a supported parameter of {kind!r}")
    return base, None if kind == "default" else _read_scaling(parameters, kind, fields)


def _read_scaling(parameters: Fields, kind: str, fields: Fields) -> RopeScaling:
    context_tokens = fields.integer("max_position_embeddings")
    original = parameters.integer("original_max_position_embeddings", context_tokens)
    factor = parameters.number("factor")
    if kind == "linear":
        return RopeScaling(factor, kind="linear")
    if kind == "llama3":
        low, high = parameters.number("low_freq_factor"), parameters.number("high_freq_factor")
        return RopeScaling(factor, low, high, original)
    parameters.require("truncate", True)
    own_factor = parameters.values.get("attention_factor") is not None
    return RopeScaling(
        factor,
        original_context_tokens=original,
        kind="yarn",
        beta_fast=parameters.number("beta_fast", 32.0),
        beta_slow=parameters.number("beta_slow", 1.0),
        attention_factor=parameters.number("attention_factor") if own_factor else 0.0,
    )


def positions_json(config: ModelConfig, family: HFFamily) -> dict[str, object]:
    """The keys for rotary positions, windows, and SmolLM3's layers without positions."""
    body = _rope_json(config, family) | _windows_json(config, family)
    if "unrotated_every" not in family.parts:
        body["no_rope_layers"] = [int(config.rotates(layer)) for layer in range(config.num_layers)]
        body["no_rope_layer_interval"] = config.unrotated_every
    return body


def _rope_json(config: ModelConfig, family: HFFamily) -> dict[str, object]:
    scaling, kind = None, dict[str, str | float](rope_type="default")
    if config.rope_scaling:
        kind = scaling = _scaling_json(config.rope_scaling)
    full = {"rope_theta": config.rope_base, **kind}
    old: dict[str, object] = {"rope_theta": config.rope_base, "rope_scaling": scaling}
    if not family.window.own_base:
        return {**old, "rope_parameters": full}
    local = config.window_rope_base or config.rope_base
    sliding = {"rope_theta": local, "rope_type": "default"}
    return {**old, "rope_local_base_freq": local, "rope_parameters": {FULL: full, SLIDING: sliding}}


def _scaling_json(scaling: RopeScaling) -> dict[str, str | float]:
    named: dict[str, str | float] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "linear":
        return named
    named["original_max_position_embeddings"] = scaling.original_context_tokens
    if scaling.kind == "llama3":
        return {
            **named,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
        }
    named |= {"beta_fast": scaling.beta_fast, "beta_slow": scaling.beta_slow}
    if scaling.attention_factor:
        named["attention_factor"] = scaling.attention_factor
    return named


def _read_windows(
    fields: Fields, family: HFFamily, num_layers: int, context_tokens: int
) -> dict[str, int]:
    """{} without a window. One as long as the context is none, unless its layers have a RoPE base
    of their own.
    """
    window = _window(fields, family)
    listed = _layer_types(fields, num_layers)
    sliding = _default_sliding(fields, family, num_layers, window)
    if family.window.style in ("none", "uniform"):
        if listed is not None and listed != sliding:
            raise fields.error(
                "layer_types",
                f"is not the same for all layers, which {family.name} does not compute",
            )
    elif listed is not None:
        sliding = listed
    if not any(sliding) or (
        window is not None and window >= context_tokens and not family.window.own_base
    ):
        return {}
    if window is None:
        raise fields.error("layer_types", f"names {SLIDING}, but there is no sliding_window")
    full_every = _every(
        fields, "layer_types", [not slides for slides in sliding], _period(fields, family)
    )
    return {"window_tokens": window, "full_every": full_every}


def _window(fields: Fields, family: HFFamily) -> int | None:
    """`sliding_window` where it is in use: a missing key is the default of the class, null is
    none.
    """
    style = family.window.style
    off = style == "none" or (style == "switched" and not fields.flag("use_sliding_window", False))
    if off or fields.values.get("sliding_window", family.window.default) is None:
        return None
    return fields.integer("sliding_window", family.window.default)


def _layer_types(fields: Fields, num_layers: int) -> list[bool] | None:
    """Which layers have a window; None: there is no such list."""
    types = fields.get("layer_types", (list,), "a list", None)
    if types is None:
        return None
    unknown = [kind for kind in types if kind not in (FULL, SLIDING)]
    if unknown:
        raise fields.error(
            "layer_types", f"names {str(unknown[0])[:40]!r}; {FULL} and {SLIDING} are supported"
        )
    if len(types) != num_layers:
        raise fields.error("layer_types", f"names {len(types)} layers, but there are {num_layers}")
    return [kind == SLIDING for kind in types]


def _default_sliding(
    fields: Fields, family: HFFamily, num_layers: int, window: int | None
) -> list[bool]:
    """Which layers have a window where `layer_types` is missing."""
    style = family.window.style
    if style == "switched" and window is not None:
        first = fields.integer("max_window_layers", 28, low=0)
        return [layer >= first for layer in range(num_layers)]
    if style == "alternating":
        period = _period(fields, family)
        return [not period or (layer + 1) % period > 0 for layer in range(num_layers)]
    return [window is not None] * num_layers


def _period(fields: Fields, family: HFFamily) -> int:
    if not family.window.own_base:
        return family.window.period
    key = PATTERN if PATTERN in fields.values else "_" + PATTERN
    return fields.integer(key, family.window.period, low=0, high=MAX_LAYERS)


def _every(fields: Fields, key: str, marked: Sequence[bool], expected: int) -> int:
    """The n of "every n-th of these is marked" (`expected` where that fits as well), 0 for none."""
    first = next((number for number, mark in enumerate(marked, 1) if mark), 0)
    for n in (expected, first):
        if all(mark == (n > 0 and number % n == 0) for number, mark in enumerate(marked, 1)):
            return n
    raise fields.error(
        key,
        f"has no regular pattern: the first of its kind is layer {first}, but not every {first}th",
    )


def _windows_json(config: ModelConfig, family: HFFamily) -> dict[str, object]:
    style, window = family.window.style, config.window_tokens
    if style == "none":
        return {}
    if style == "uniform":
        return {"sliding_window": window or None}
    kinds = {True: FULL, False: SLIDING}
    types = [kinds[config.sees_all(layer)] for layer in range(config.num_layers)]
    if style == "switched":
        return {
            "use_sliding_window": bool(window),
            "sliding_window": window or None,
            "max_window_layers": config.num_layers * (not window),
            "layer_types": types,
        }
    body: dict[str, object] = {"sliding_window": window or config.context_tokens}
    if family.window.own_base:
        body[PATTERN] = config.full_every
    return {**body, "layer_types": types}


def _read_unrotated(fields: Fields, num_layers: int) -> int:
    """From SmolLM3's `no_rope_layers` (1: rotary positions, 0: none), else from its interval."""
    interval = fields.integer("no_rope_layer_interval", 4, low=0, high=MAX_LAYERS)
    listed = fields.get("no_rope_layers", (list,), "a list", None)
    if listed is None:
        return interval
    if len(listed) < num_layers or any(value not in (0, 1) for value in listed):
        raise fields.error("no_rope_layers", f"is not 0 or 1 for each of the {num_layers} layers")
    return _every(fields, "no_rope_layers", [not value for value in listed[:num_layers]], interval)
