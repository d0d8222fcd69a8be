"""Figures as text: 1,234 · 2 min 05 s · 271 MB · 98.4 %, with non-breaking spaces; None is an en
dash.

A formatter takes a number, or a table and the keys of the number in it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from groundup.report.values import JsonObject, number, numbers

Format: TypeAlias = Callable[[Any], str]
MISSING = "–"
NBSP = "\u00a0"


def count(value: Any, *keys: str) -> str:
    return fixed(value, *keys, decimals=0)


def fixed(value: Any, *keys: str, decimals: int = 2) -> str:
    return _written(value, keys, lambda found: f"{found:,.{decimals}f}")


def percent(value: Any, *keys: str, decimals: int = 1) -> str:
    return _written(value, keys, lambda found: f"{100 * found:.{decimals}f}{NBSP}%")


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
    return f"{form(low)} to {form(high)}"


def fill(template: str, value: float | None, form: Format = count) -> str:
    """A template with the value at its {}; "" where the value is missing.

    >>> fill(", n {}", 1200), fill(", n {}", None)
    (', n 1,200', '')"""
    if value is None:
        return ""
    return template.format(form(value))


def duration(seconds: Any, *keys: str) -> str:
    """Seconds as "0.42 s", "2.3 s", "12 s", "2 min 05 s" or "1 h 02 min"."""
    return _written(seconds, keys, _duration)


def _duration(seconds: float) -> str:
    for limit, decimals in ((0.995, 2), (9.95, 1), (59.5, 0)):
        if seconds < limit:
            return f"{seconds:.{decimals}f}{NBSP}s"
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
    return f"{digits}{NBSP}{unit}"


def parameters(value: Any, *keys: str) -> str:
    """A parameter count as "1.05 million"; below a million all digits."""
    return _written(value, keys, _parameters)


def _parameters(value: float) -> str:
    if value < 1e6:
        return count(value)
    if value < 1e9:
        return f"{value / 1e6:.3g}{NBSP}million"
    return f"{value / 1e9:.3g}{NBSP}billion"


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
        return f"{value / 1000:g}k"
    if step <= 0:
        return f"{value:g}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}"
