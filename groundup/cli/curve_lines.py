"""Curves of `groundup evaluate --over` as lines of a terminal: for each task a row a point, its 95
% interval drawn beside it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from groundup.cli.plain import plain

COLUMNS = 40
VALUE, INTERVAL, CHANCE = "●", "─", "┊"
NAMES = {"steps": "step", "sizes": "parameters", "shots": "shots"}


def curve_lines(curves: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return all curves, an empty line after each."""
    return [line for curve in curves for line in (*_curve(curve), "")]


def _curve(curve: Mapping[str, Any]) -> list[str]:
    from groundup.evaluate.task import AT_CHANCE, SHARES

    points, chance = curve["points"], curve["chance"]
    share, unit = curve["metric"] in SHARES, curve["metric"].replace("_", " ")
    if chance is not None:
        unit += f", chance {_show(chance, share)} ({CHANCE})"
    head = f"{curve['task']}, {plain(curve['model'])}: {unit}, n = {points[0]['n']:,}"
    low, high = limits(curve)
    width = max(len(f"{point['x']:,.0f}") for point in points)
    rows = []
    for point in points:
        place = f"{NAMES[curve['over']]} {point['x']:>{width},.0f}"
        parts = ["", place, f"{_show(point['value'], share):>7}", row(point, chance, low, high)]
        if point["is_chance"]:
            parts.append(AT_CHANCE)
        rows.append("  ".join(parts).rstrip())
    return [head, *rows]


def _show(value: float, is_share: bool) -> str:
    if is_share:
        return f"{100 * value:.1f} %"
    return f"{value:.3f}"


def limits(curve: Mapping[str, Any]) -> tuple[float, float]:
    """Return the least and the largest value to be drawn."""
    values = [
        point[name]
        for point in curve["points"]
        for name in ("value", "low", "high")
        if point[name] is not None
    ]
    if curve["chance"] is not None:
        values.append(curve["chance"])
    return min(values), max(values)


def row(point: Mapping[str, Any], chance: float | None, low: float, high: float) -> str:
    """Return a point with its interval and the place of chance, COLUMNS wide.

    >>> row({"value": 0.6, "low": 0.5, "high": 0.7}, 0.25, 0.0, 1.0)[:30].rstrip()
    '          ┊         ───●────'
    """

    def place(value: float) -> int:
        return round((value - low) / (high - low or 1.0) * (COLUMNS - 1))

    cells = [" "] * COLUMNS
    if point["low"] is not None and point["high"] is not None:
        for column in range(place(point["low"]), place(point["high"]) + 1):
            cells[column] = INTERVAL
    if chance is not None:
        cells[place(chance)] = CHANCE
    cells[place(point["value"])] = VALUE
    return "".join(cells)
