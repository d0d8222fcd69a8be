"""Which layers see how far, and which have no rotary positions: lists in config.json, a number in our config.

config.json may list a kind for every layer. Ours says "every n-th layer, counted from 1, is other": a list that is not of that pattern
is refused by name, since another model would be computed.
"""

from collections.abc import Sequence
from typing import Any

from groundup.model.config import ModelConfig
from groundup.weights.fields import MAX_LAYERS, Fields
from groundup.weights.hf_families import HFFamily
from groundup.weights.rope import FULL, SLIDING

PATTERN = "sliding_window_pattern"  # Gemma 3: the n of "every n-th layer sees all"


def read_windows(fields: Fields, family: HFFamily, num_layers: int, context_tokens: int) -> dict[str, int]:
    """`window_tokens` and `full_every`. Raises FormatError.

    A window as long as the context is none, unless its layers have angles of their own.
    """
    window = _window(fields, family)
    listed = _listed(fields, num_layers)
    sliding = _sliding(fields, family, num_layers, window)
    if family.window.style in ("none", "uniform"):
        if listed is not None and listed != sliding:
            raise fields.error("layer_types", f"is not the same for all layers, which {family.name} does not compute")
    elif listed is not None:
        sliding = listed
    if not any(sliding) or (window is not None and window >= context_tokens and not family.window.own_base):
        return {}
    if window is None:
        raise fields.error("layer_types", f"names {SLIDING}, but there is no window")
    full_every = _every(fields, "layer_types", [not slides for slides in sliding], _period(fields, family))
    return {"window_tokens": window, "full_every": full_every}


def _window(fields: Fields, family: HFFamily) -> int | None:
    """`sliding_window`, where it is switched on: a missing one is the default of the class, null is none."""
    style = family.window.style
    off = style == "none" or (style == "switched" and not fields.flag("use_sliding_window", False))
    if off or fields.values.get("sliding_window", family.window.default) is None:
        return None
    return fields.integer("sliding_window", family.window.default)


def _listed(fields: Fields, num_layers: int) -> list[bool] | None:
    """`layer_types` as "has a window", or None where there is no such list."""
    kinds = fields.get("layer_types", (list,), "a list", None)
    if kinds is None:
        return None
    other = [kind for kind in kinds if kind not in (FULL, SLIDING)]
    if other:
        raise fields.error("layer_types", f"names {str(other[0])[:40]!r}; {FULL} and {SLIDING} are supported")
    if len(kinds) != num_layers:
        raise fields.error("layer_types", f"names {len(kinds)} layers, but there are {num_layers}")
    return [kind == SLIDING for kind in kinds]


def _sliding(fields: Fields, family: HFFamily, num_layers: int, window: int | None) -> list[bool]:
    """Which layers have a window where no list says so."""
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
    named = PATTERN if PATTERN in fields.values else "_" + PATTERN
    return fields.integer(named, family.window.period, low=0, high=MAX_LAYERS)


def _every(fields: Fields, key: str, marked: Sequence[bool], expected: int) -> int:
    """The n of "every n-th of these is marked", `expected` where that says the same; 0: none. Raises FormatError."""
    first = next((number for number, mark in enumerate(marked, 1) if mark), 0)
    for n in (expected, first):
        if all(mark == (n > 0 and number % n == 0) for number, mark in enumerate(marked, 1)):
            return n
    raise fields.error(key, f"has no regular pattern: the first of its kind is layer {first}, but not every {first}th")


def windows_json(config: ModelConfig, family: HFFamily) -> dict[str, Any]:
    """The keys of the family's style; nothing where its class has none."""
    style, window = family.window.style, config.window_tokens
    if style == "none":
        return {}
    if style == "uniform":
        return {"sliding_window": window or None}
    kinds = [FULL if config.sees_all(layer) else SLIDING for layer in range(config.num_layers)]
    if style == "switched":
        first = 0 if window else config.num_layers
        named = {"use_sliding_window": bool(window), "sliding_window": window or None, "max_window_layers": first}
        return {**named, "layer_types": kinds}
    pattern = {PATTERN: config.full_every} if family.window.own_base else {}
    return {"sliding_window": window or config.context_tokens, **pattern, "layer_types": kinds}


def read_unrotated(fields: Fields, num_layers: int) -> int:
    """SmolLM3's `no_rope_layers` (1: rotary positions, 0: none), else its interval. Raises FormatError."""
    interval = fields.integer("no_rope_layer_interval", 4, low=0, high=MAX_LAYERS)
    listed = fields.get("no_rope_layers", (list,), "a list", None)
    if listed is None:
        return interval
    if len(listed) < num_layers or any(value not in (0, 1) for value in listed):
        raise fields.error("no_rope_layers", f"is not 0 or 1 for each of the {num_layers} layers")
    return _every(fields, "no_rope_layers", [not value for value in listed[:num_layers]], interval)


def unrotated_json(config: ModelConfig) -> dict[str, Any]:
    """The same, written."""
    listed = [int(config.rotates(layer)) for layer in range(config.num_layers)]
    return {"no_rope_layers": listed, "no_rope_layer_interval": config.unrotated_every}
