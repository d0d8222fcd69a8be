"""Values read from JSON.

The files were written by stages that may be older, newer or interrupted. So nothing here raises: a
value that is missing or of another type is None or empty, and a section shows what is there.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]

# No count or measurement of a run is larger; larger values would overflow the arithmetic of a
# chart.
LARGEST = 1e18


def at(value: object, *keys: str) -> object:
    """Return the value below `keys` in nested dicts, or None.

    >>> at({"a": {"b": 1}}, "a", "b")
    1
    """
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def number(value: object, *keys: str) -> float | None:
    """Return the finite number of at most 1e18 below `keys`, or None (also for a boolean)."""
    found = at(value, *keys)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        result = float(found)
    except OverflowError:
        return None
    return result if math.isfinite(result) and abs(result) <= LARGEST else None


def text(value: object, *keys: str) -> str:
    """Return the string below `keys`; a number as string; "" for anything else."""
    found = at(value, *keys)
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int | float) and not isinstance(found, bool) else ""


def table(value: object, *keys: str) -> JsonObject:
    """Return the dict below `keys`, or an empty one."""
    found = at(value, *keys)
    return found if isinstance(found, Mapping) else {}


def tables(value: object, *keys: str) -> list[JsonObject]:
    """Return the dicts in the list below `keys`."""
    found = at(value, *keys)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def texts(value: object, *keys: str) -> list[str]:
    """Return the strings in the list below `keys`; a single string as a list of one."""
    found = at(value, *keys)
    if isinstance(found, str):
        return [found]
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def matrix(value: object, *keys: str) -> list[list[float]]:
    """Return the rectangular matrix of finite numbers below `keys`, or [] when there is none."""
    found = at(value, *keys)
    if not isinstance(found, list) or not all(isinstance(row, list) for row in found):
        return []
    rows = [[number(cell) for cell in row] for row in found]
    whole = [[cell for cell in row if cell is not None] for row in rows]
    widths = {len(row) for row in rows} | {len(row) for row in whole}
    return whole if len(widths) == 1 and widths != {0} else []


class MeasuredFraction(NamedTuple):
    """A measured fraction with its 95 % interval, the number of items measured, and the chance
    level.
    """

    value: float
    low: float
    high: float
    items: float | None
    chance: float | None


def measured(value: object, *keys: str) -> MeasuredFraction | None:
    """Return the measured fraction below `keys`, or None. A missing bound is the value itself."""
    names = ("value", "low", "high", "n", "chance")
    found, low, high, items, chance = (number(value, *keys, name) for name in names)
    if found is None:
        return None
    return MeasuredFraction(
        found, found if low is None else low, found if high is None else high, items, chance
    )


def flat(nested: JsonObject, prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (dotted name, value) pairs; entries of a list of dicts are numbered
    from 1.

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
            pairs.append(
                (f"{prefix}{name}", f"{value:g}" if isinstance(value, float) else str(value))
            )
    return pairs
