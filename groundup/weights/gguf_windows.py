"""Sliding windows in a GGUF file's metadata: `attention.sliding_window`, its pattern over the blocks, and their rotary base.

The pattern n means that every n-th block sees all tokens; it may also be given block by block. llama.cpp knows windows in some
architectures only (`gguf_architectures`). In the others it passes over the key; where we know the model to have been trained with a
window all the same (Mistral, Phi-3), we compute with it.
"""

from typing import Any

import gguf

from groundup.model.config import ModelConfig
from groundup.weights.fields import Fields
from groundup.weights.gguf_architectures import ARCHITECTURES, Windows

WINDOW, PATTERN, BASE = "attention.sliding_window", "attention.sliding_window_pattern", "rope.freq_base_swa"
# Architectures without windows whose files may name one: whose models these then are.
WINDOWED_FAMILIES = {"llama": "mistral", "phi3": "phi3"}


def read_windows(fields: Fields, name: str, common: dict[str, Any]) -> dict[str, Any]:
    """The fields of ModelConfig that say which block has a window; `common` are those read so far. Raises FormatError."""
    windows, context_tokens = ARCHITECTURES[name].windows, common["context_tokens"]
    if windows is None:
        tokens = fields.integer(WINDOW, context_tokens, low=0)
        if not 0 < tokens < context_tokens:
            return {}
        if name not in WINDOWED_FAMILIES:
            raise fields.error(WINDOW, f"is {tokens}; llama.cpp has no window in {name!r}")
        return {"family": WINDOWED_FAMILIES[name], "window_tokens": tokens}
    tokens = fields.integer(WINDOW, windows.tokens, low=0)
    full_every = _pattern(fields, common["num_layers"], windows.full_every)
    base = _window_base(fields, windows, common)
    nothing_hidden = windows.always and tokens >= context_tokens and base == 0
    if not tokens or full_every == 1 or nothing_hidden:
        return {}
    return {"window_tokens": tokens, "full_every": full_every, "window_rope_base": base}


def _pattern(fields: Fields, num_layers: int, default: int) -> int:
    """Every how many blocks one sees all; 0: none does."""
    value = fields.get(PATTERN, (int, list), "a number or a list of truth values", default)
    if isinstance(value, int):
        return fields.integer(PATTERN, default, low=0)
    if len(value) == num_layers and all(isinstance(item, bool) for item in value):
        every = value.index(False) + 1 if False in value else 0
        if value == [every == 0 or (layer + 1) % every > 0 for layer in range(num_layers)]:
            return every
    raise fields.error(
        PATTERN, f"is {str(value)[:60]}; every n-th block without a window, the others with one, is read"
    )


def _window_base(fields: Fields, windows: Windows, common: dict[str, Any]) -> float:
    """`window_rope_base`: 0 where blocks with a window turn as all others do."""
    others = common["rope_base"]
    base = fields.number(BASE, windows.rope_base or others) if windows.own_base else others
    as_others = base == others and (common["rope_scaling"] is None or windows.stretched)
    return 0.0 if as_others else float(base)


def add_windows(writer: gguf.GGUFWriter, config: ModelConfig, windows: Windows) -> None:
    """Write the windows of a config as metadata."""
    if not config.window_tokens:
        if windows.always:
            writer.add_sliding_window(config.context_tokens)
            writer.add_sliding_window_pattern(windows.full_every)
        return
    writer.add_sliding_window(config.window_tokens)
    writer.add_sliding_window_pattern(config.full_every)
    if windows.own_base:
        writer.add_rope_freq_base_swa(config.window_rope_base or config.rope_base)
