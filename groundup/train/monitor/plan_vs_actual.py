"""Planned against actual, when a run is over: what was said before the first step, what came, and how far they are apart."""

from typing import Any

from groundup.device import Compute, device_memory_bytes, peak_memory_bytes

# name in a plan's figures -> (words, unit's divisor, format)
FIGURES = {
    "minutes": ("minutes", 1, ".1f"),
    "memory_bytes": ("memory, GB", 1e9, ".2f"),
    "tokens_per_s": ("tokens a second", 1, ",.0f"),
    "bits_per_byte": ("bits per byte", 1, ".3f"),
}


def actual_figures(results: dict[str, Any], compute: Compute) -> dict[str, float]:
    """The same figures as `Plan.figures()` has, of a run that is over."""
    on_device = device_memory_bytes(compute)
    return {
        "minutes": results["elapsed_s"] / 60,
        "memory_bytes": float(on_device[1] if on_device else peak_memory_bytes()),
        "tokens_per_s": results["tokens_per_s"],
        "bits_per_byte": results["bits_per_byte"],
    }


def compared(planned: dict[str, Any], actual: dict[str, float]) -> list[list[str]]:
    """Rows of name, planned, actual, difference; a figure that was not planned is left out."""
    rows = []
    for name, (words, divisor, form) in FIGURES.items():
        said, came = planned.get(name), actual.get(name)
        if isinstance(said, int | float) and isinstance(came, int | float) and said > 0:
            cells = [format(value / divisor, form) for value in (said, came)]
            rows.append([words, *cells, f"{100 * (came / said - 1):+.0f} %"])
    return rows
