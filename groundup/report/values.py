"""Reading values out of JSON that may lack them, or hold something else: never an exception, always a value or None.

The files were written by stages that may be older, newer or stopped half-way, so a section asks for what it needs and shows
what is there.
"""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]

# Nothing that is counted or measured here is larger; what is would overflow the arithmetic of a chart.
LARGEST = 1e18


def at(value: object, *keys: str) -> object:
    """The value below `keys` in nested tables, or None.

    >>> at({"a": {"b": 1}}, "a", "b")
    1
    """
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def number(value: object, *keys: str) -> float | None:
    """A finite number of at most 1e18 below `keys`, or None (a truth value is no number)."""
    found = at(value, *keys)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        result = float(found)
    except OverflowError:
        return None
    return result if math.isfinite(result) and abs(result) <= LARGEST else None


def text(value: object, *keys: str) -> str:
    """A text below `keys`; a number as text; "" for anything else."""
    found = at(value, *keys)
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int | float) and not isinstance(found, bool) else ""


def table(value: object, *keys: str) -> JsonObject:
    """A table below `keys`, or an empty one."""
    found = at(value, *keys)
    return found if isinstance(found, Mapping) else {}


def tables(value: object, *keys: str) -> list[JsonObject]:
    """The tables in the list below `keys`."""
    found = at(value, *keys)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def texts(value: object, *keys: str) -> list[str]:
    """The texts in the list below `keys`; a single text is a list of one."""
    found = at(value, *keys)
    if isinstance(found, str):
        return [found]
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def matrix(value: object, *keys: str) -> list[list[float]]:
    """A rectangle of finite numbers below `keys`, or [] when it is none."""
    found = at(value, *keys)
    if not isinstance(found, list) or not all(isinstance(row, list) for row in found):
        return []
    rows = [[number(cell) for cell in row] for row in found]
    whole = [[cell for cell in row if cell is not None] for row in rows]
    widths = {len(row) for row in rows} | {len(row) for row in whole}
    return whole if len(widths) == 1 and widths != {0} else []


def flat(nested: JsonObject, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, value) pairs; a list of tables counts its entries from 1.

    >>> flat({"a": {"b": 1}, "c": "x"})
    [('a.b', '1'), ('c', 'x')]
    """
    pairs: list[tuple[str, str]] = []
    for name, value in nested.items():
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            value = {str(index): item for index, item in enumerate(value, 1)}
        if isinstance(value, Mapping):
            pairs += flat(value, f"{prefix}{name}.")
        elif value is not None:
            pairs.append((f"{prefix}{name}", f"{value:g}" if isinstance(value, float) else str(value)))
    return pairs
