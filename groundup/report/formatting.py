"""Figures as text: 1,234 · 2 min 05 s · 271 MB · 98.4 %, with non-breaking spaces; None is an en
dash.
"""

import math

MISSING = "–"
NBSP = "\u00a0"


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return MISSING if value is None else f"{value:,.0f}"


def fixed(value: float | None, decimals: int = 2) -> str:
    """A number with a fixed number of decimals."""
    return MISSING if value is None else f"{value:,.{decimals}f}"


def percent(value: float | None, decimals: int = 1) -> str:
    """A fraction of 1 as a percentage."""
    return MISSING if value is None else f"{100 * value:.{decimals}f}{NBSP}%"


def duration(seconds: float | None) -> str:
    """Seconds as "0.42 s", "2.3 s", "12 s", "2 min 05 s" or "1 h 02 min"."""
    if seconds is None:
        return MISSING
    if seconds < 59.5:
        return f"{seconds:.{2 if seconds < 0.995 else 1 if seconds < 9.95 else 0}f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    shown = (
        f"{minutes} min {rest:02d} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )
    return shown.replace(" ", NBSP)


def size(number_bytes: float | None) -> str:
    """Bytes in decimal units with three digits: "271 MB"."""
    if number_bytes is None:
        return MISSING
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(number_bytes) < 999.5 or unit == "GB":
            break
        number_bytes /= 1000
    digits = (
        f"{number_bytes:.0f}" if unit == "bytes" or number_bytes >= 99.5 else f"{number_bytes:.3g}"
    )
    return f"{digits}{NBSP}{unit}"


def parameters(value: float | None) -> str:
    """A parameter count as "1.05 million"; below a million all digits."""
    if value is None:
        return MISSING
    if value < 1e6:
        return count(value)
    return f"{value / 1e9:.3g}{NBSP}billion" if value >= 1e9 else f"{value / 1e6:.3g}{NBSP}million"


def first_letters(long_text: str, limit: int) -> str:
    """The first `limit` characters, with an ellipsis where text was cut off."""
    return long_text if len(long_text) <= limit else long_text[: limit - 1].rstrip() + "…"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) within [low, high].

    >>> ticks(0, 10)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
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
    return (
        f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}" if step > 0 else f"{value:g}"
    )
