"""Values read from JSON.

The files were written by stages that may be interrupted, and by users. So nothing here raises: a
value that is missing or of another type is None or empty, and a section shows what is there.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

JsonObject: TypeAlias = Mapping[str, Any]

# No count or measurement of a run is larger; larger values would overflow the arithmetic of a
# chart.
LARGEST = 1e18


def at(value: object, *keys: str) -> object:
    """The value below `keys` in nested dicts, or None.

    >>> at({"a": {"b": 1}}, "a", "b")
    1"""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def items(value: object, *keys: str) -> list[Any]:
    """The list below `keys`, or an empty one."""
    found = at(value, *keys)
    if isinstance(found, list):
        return found
    return []


def number(value: object, *keys: str) -> float | None:
    """The finite number of at most 1e18 below `keys`, or None (also for a boolean)."""
    found = at(value, *keys)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    if abs(found) > LARGEST or not math.isfinite(found):
        return None
    return float(found)


def numbers(value: object, *names: str) -> list[float | None]:
    """The numbers of these names in a table, None for those that it lacks."""
    return [number(value, name) for name in names]


def pairs(value: object, name: str, x: str, y: str) -> list[tuple[float, float]]:
    """The numbers `x` and `y` of each table in a list that has both."""
    found = [numbers(each, x, y) for each in tables(value, name)]
    return [(left, right) for left, right in found if left is not None and right is not None]


def text(value: object, *keys: str) -> str:
    """The string below `keys`; a number as string; "" for anything else."""
    found = at(value, *keys)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    return str(found)


def table(value: object, *keys: str) -> JsonObject:
    """The dict below `keys`, or an empty one."""
    found = at(value, *keys)
    if isinstance(found, Mapping):
        return found
    return {}


def tables(value: object, *keys: str) -> list[JsonObject]:
    """The dicts in the list below `keys`."""
    return [item for item in items(value, *keys) if isinstance(item, Mapping)]


def texts(value: object, *keys: str) -> list[str]:
    """The strings in the list below `keys`; a single string as a list of one."""
    found = at(value, *keys)
    if isinstance(found, str):
        return [found]
    return [item for item in items(found) if isinstance(item, str)]


def matrix(value: object, *keys: str) -> list[list[float]]:
    """The rectangular matrix of finite numbers below `keys`, or [] when there is none."""
    found = items(value, *keys)
    if not all(isinstance(row, list) for row in found):
        return []
    rows = [[number(cell) for cell in row] for row in found]
    whole = [[cell for cell in row if cell is not None] for row in rows]
    widths = {len(row) for row in rows} | {len(row) for row in whole}
    if len(widths) != 1 or widths == {0}:
        return []
    return whole


class MeasuredFraction(NamedTuple):
    """A measured fraction with its 95 % interval, the number of items measured, and the chance
    level.
    """

    value: float
    low: float
    high: float
    items: float | None
    chance: float | None

    def bounds(self, form: Callable[[float], str]) -> str:
        """The interval as "LOW to HIGH"."""
        return f"{form(self.low)} to {form(self.high)}"


def measured(value: object, *keys: str) -> MeasuredFraction | None:
    """The measured fraction below `keys`, or None. A missing bound is the value itself."""
    names = ("value", "low", "high", "n", "chance")
    found, low, high, count, chance = (number(value, *keys, name) for name in names)
    if found is None:
        return None
    if low is None:
        low = found
    if high is None:
        high = found
    return MeasuredFraction(found, low, high, count, chance)


def flat(nested: JsonObject, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, value) pairs; entries of a list of dicts are numbered
    from 1.

    >>> flat({"a": {"b": 1}, "c": "x"})
    [('a.b', '1'), ('c', 'x')]"""
    found: list[tuple[str, str]] = []
    for name, value in nested.items():
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            value = {str(index): item for index, item in enumerate(value, 1)}
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            found.append((f"{prefix}{name}", f"{value:g}"))
        elif value is not None:
            found.append((f"{prefix}{name}", str(value)))
    return found
