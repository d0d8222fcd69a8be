"""Rotary positions in config.json, in both of its styles.

    old (transformers 4, vLLM, Ollama)    rope_theta, rope_scaling {"rope_type" or "type", "factor", ...}, rope_local_base_freq (Gemma 3)
    new (transformers 5)                  rope_parameters {"rope_theta", "rope_type", "factor", ...}; for Gemma 3 one such table a kind of layer

Both are written, and the two agree. Read as transformers 5 does: `rope_scaling` first, where it is there. A way of stretching that we
do not compute is refused by name, and so is a parameter that we do not know: it would change the angles.
"""

from typing import Any

from groundup.model.config import ModelConfig, RopeScaling
from groundup.weights.fields import Fields
from groundup.weights.hf_families import HFFamily

FULL, SLIDING = "full_attention", "sliding_attention"
LOCAL_BASE = 10_000.0  # what a missing rope_local_base_freq means to Gemma 3's class

_BASE = ("rope_type", "type", "rope_theta", "partial_rotary_factor")
_STRETCHED = (*_BASE, "factor", "finetuned", "original_max_position_embeddings")  # "finetuned" says who made it
# Way of stretching -> the parameters it has.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "default": _BASE,
    "linear": _STRETCHED,
    "llama3": (*_STRETCHED, "low_freq_factor", "high_freq_factor"),
    "yarn": (*_STRETCHED, "beta_fast", "beta_slow", "attention_factor", "truncate"),
}
REFUSED = {
    "longrope": "it has one set of angles for short texts and another for long ones, which a cache can't change between",
    "su": "the old name of longrope, with one set of angles for short texts and another for long ones",
    "dynamic": "its angles change with the length of the text, which a cache can't follow",
}


def read_rope(fields: Fields, family: HFFamily) -> dict[str, Any]:
    """Base and stretching (and the base of layers with a window), as fields of ours. Raises FormatError."""
    if family.window.own_base:
        return _read_two(fields, family)
    parameters = fields.table("rope_scaling", {}) or fields.table("rope_parameters", {})
    base, scaling = _read_one(fields, parameters, family, fields.number("rope_theta", family.rope_base))
    return {"rope_base": base, "rope_scaling": scaling}


def _read_two(fields: Fields, family: HFFamily) -> dict[str, Any]:
    """Gemma 3: layers that see all and layers with a window are turned by angles of their own."""
    tables = fields.table("rope_parameters", {})
    if set(tables) - {FULL, SLIDING}:
        raise fields.error("rope_parameters", f"is not one table for {FULL} and one for {SLIDING}")
    nested = Fields(tables, f"{fields.source}: rope_parameters")
    full = nested.table(FULL, {}) | fields.table("rope_scaling", {})
    base, scaling = _read_one(fields, full, family, fields.number("rope_theta", family.rope_base))
    local = fields.number("rope_local_base_freq", LOCAL_BASE)
    window_base, window_scaling = _read_one(fields, nested.table(SLIDING, {}), family, local)
    if window_scaling is not None:
        raise nested.error(SLIDING, "is stretched; only the layers that see all can be")
    alike = window_base == base and scaling is None
    return {"rope_base": base, "rope_scaling": scaling, "window_rope_base": 0.0 if alike else window_base}


def _read_one(fields: Fields, table: dict[str, Any], family: HFFamily, base: float) -> tuple[float, RopeScaling | None]:
    """One table of parameters. `base` where it names none."""
    parameters = Fields(table, f"{fields.source}: rope parameters")
    for owner in (fields, parameters):
        if owner.values.get("partial_rotary_factor") is not None:
            owner.require("partial_rotary_factor", 1.0, 1.0)
    base = parameters.number("rope_theta", base)
    kind = parameters.text("rope_type", parameters.text("type", "default"))
    if kind != "default" and kind not in family.rope_kinds:
        why = f" ({REFUSED[kind]})" if kind in REFUSED else ""
        can = ", ".join(("default", *family.rope_kinds))
        raise parameters.error("rope_type", f"is {kind[:40]!r}{why}; for {family.model_type} supported are {can}")
    unknown = sorted(set(table) - set(PARAMETERS[kind]))
    if unknown:
        raise parameters.error(unknown[0][:40], f"is no parameter of {kind!r} that is supported")
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
    parameters.require("truncate", True, True)
    own_factor = parameters.values.get("attention_factor") is not None
    return RopeScaling(
        factor,
        original_context_tokens=original,
        kind="yarn",
        beta_fast=parameters.number("beta_fast", 32.0),
        beta_slow=parameters.number("beta_slow", 1.0),
        attention_factor=parameters.number("attention_factor") if own_factor else 0.0,
    )


def rope_json(config: ModelConfig, family: HFFamily) -> dict[str, Any]:
    """The keys of both styles."""
    stretched = _scaling_json(config.rope_scaling) if config.rope_scaling else None
    full = {"rope_theta": config.rope_base, **(stretched or {"rope_type": "default"})}
    old = {"rope_theta": config.rope_base, "rope_scaling": stretched}
    if not family.window.own_base:
        return {**old, "rope_parameters": full}
    local = config.window_rope_base or config.rope_base
    sliding = {"rope_theta": local, "rope_type": "default"}
    return {**old, "rope_local_base_freq": local, "rope_parameters": {FULL: full, SLIDING: sliding}}


def _scaling_json(scaling: RopeScaling) -> dict[str, Any]:
    """A stretching as both styles name it."""
    named: dict[str, Any] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "linear":
        return named
    named["original_max_position_embeddings"] = scaling.original_context_tokens
    if scaling.kind == "llama3":
        return {**named, "low_freq_factor": scaling.low_freq_factor, "high_freq_factor": scaling.high_freq_factor}
    factor = {"attention_factor": scaling.attention_factor} if scaling.attention_factor else {}
    return {**named, "beta_fast": scaling.beta_fast, "beta_slow": scaling.beta_slow, **factor}
