"""Values read from JSON, and figures as text: 1,234 · 2 min 05 s · 271 MB · 98.4 %, with non-breaking
spaces; None is an en dash. A formatter takes a number, or a table and the keys of the number in it.

The files were written by stages that may be interrupted, and by users. So nothing here raises: a
value that is missing or of another type is None or empty, and a section shows what is there.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from groundup.language.page_texts import say, written

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
        return span(form(self.low), form(self.high))


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


Format: TypeAlias = Callable[[Any], str]
MISSING = "–"
NBSP = "\u00a0"


def count(value: Any, *keys: str) -> str:
    return fixed(value, *keys, decimals=0)


def fixed(value: Any, *keys: str, decimals: int = 2) -> str:
    return _written(value, keys, lambda found: written(f"{found:,.{decimals}f}"))


def signed(value: float, decimals: int) -> str:
    """A difference, with its sign."""
    return written(f"{value:+,.{decimals}f}")


def span(low: str, high: str) -> str:
    """Two figures as "LOW to HIGH"."""
    return say("{low} to {high}", low=low, high=high)


def percent(value: Any, *keys: str, decimals: int = 1) -> str:
    return _written(value, keys, lambda found: written(f"{100 * found:.{decimals}f}{NBSP}%"))


def _written(value: Any, keys: Sequence[str], form: Callable[[float], str]) -> str:
    """A number, or that below `keys` in a table, in a form; MISSING where there is none."""
    if keys:
        value = number(value, *keys)
    if value is None:
        return MISSING
    return form(value)


def whole_percent(value: Any, *keys: str) -> str:
    return percent(value, *keys, decimals=0)


def three_decimals(value: Any, *keys: str) -> str:
    return fixed(value, *keys, decimals=3)


def interval(found: JsonObject, form: Format) -> str:
    """The bounds "low" and "high" of a table as "LOW to HIGH"; "" where one is missing."""
    low, high = numbers(found, "low", "high")
    if low is None or high is None:
        return ""
    return span(form(low), form(high))


def fill(template: str, value: float | None, form: Format = count) -> str:
    """A template, in the language of the page, with the value at its {}; "" where it is missing.

    >>> fill(", n {}", 1200), fill(", n {}", None)
    (', n 1,200', '')"""
    if value is None:
        return ""
    return say(template).format(form(value))


def duration(seconds: Any, *keys: str) -> str:
    """Seconds as "0.42 s", "2.3 s", "12 s", "2 min 05 s" or "1 h 02 min"."""
    return _written(seconds, keys, _duration)


def _duration(seconds: float) -> str:
    for limit, decimals in ((0.995, 2), (9.95, 1), (59.5, 0)):
        if seconds < limit:
            return written(f"{seconds:.{decimals}f}{NBSP}s")
    minutes, rest = divmod(round(seconds), 60)
    shown = f"{minutes} min {rest:02d} s"
    if minutes >= 60:
        shown = f"{minutes // 60} h {minutes % 60:02d} min"
    return shown.replace(" ", NBSP)


def size(number_bytes: Any, *keys: str) -> str:
    """Bytes in decimal units with three digits: "271 MB"."""
    return _written(number_bytes, keys, _size)


def _size(number_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(number_bytes) < 999.5 or unit == "GB":
            break
        number_bytes /= 1000
    digits = f"{number_bytes:.3g}"
    if unit == "bytes" or number_bytes >= 99.5:
        digits = f"{number_bytes:.0f}"
    return f"{written(digits)}{NBSP}{say(unit)}"


def parameters(value: Any, *keys: str) -> str:
    """A parameter count as "1.05 million"; below a million all digits."""
    return _written(value, keys, _parameters)


def _parameters(value: float) -> str:
    if value < 1e6:
        return count(value)
    if value < 1e9:
        return _large(value, 1e6, "{short} million")
    return _large(value, 1e9, "{short} billion")


def _large(value: float, unit: float, form: str) -> str:
    """In languages whose million wants a preposition behind it, all digits of the rounded."""
    digits = f"{value / unit:.3g}"
    whole = count(float(digits) * unit)
    return say(form, short=written(digits), whole=whole).replace(" ", NBSP)


def first_letters(long_text: str, limit: int) -> str:
    """The first `limit` characters, with an ellipsis where text was cut off."""
    if len(long_text) <= limit:
        return long_text
    return long_text[: limit - 1].rstrip() + "…"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) within [low, high].

    >>> ticks(0, 10)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]"""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = min(
        (factor * power for factor in (1, 2, 5, 10)),
        key=lambda candidate: abs(math.log(candidate / raw)),
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def tick_label(value: float, step: float) -> str:
    """A tick's label with as many decimals as the distance between ticks needs; thousands as
    "2k".
    """
    if step >= 500 and abs(value) >= 1000:
        return written(f"{value / 1000:g}k")
    if step <= 0:
        return written(f"{value:g}")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return fixed(value, decimals=decimals)
