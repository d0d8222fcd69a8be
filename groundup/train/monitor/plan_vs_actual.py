"""Planned against actual figures of a finished run, and their differences."""

from typing import Any

# name in a plan's figures -> (words, unit's divisor, format)
FIGURES = {
    "minutes": ("minutes", 1, ".1f"),
    "memory_bytes": ("memory, GB", 1e9, ".2f"),
    "tokens_per_s": ("tokens per second", 1, ",.0f"),
    "bits_per_byte": ("validation bits per byte", 1, ".3f"),
}


def compare(planned: dict[str, Any], actual: dict[str, float]) -> list[list[str]]:
    """Return rows of name, planned, actual, difference; a figure that was not planned is left
    out.
    """
    rows = []
    for name, (words, divisor, form) in FIGURES.items():
        before, after = planned.get(name), actual.get(name)
        if isinstance(before, int | float) and isinstance(after, int | float) and before > 0:
            cells = [format(value / divisor, form) for value in (before, after)]
            rows.append([words, *cells, f"{100 * (after / before - 1):+.0f} %"])
    return rows
