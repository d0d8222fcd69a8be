"""Values of a foreign file (config.json, GGUF metadata), each read with its type and range
checked.
"""

import math
from collections.abc import Mapping
from typing import Any

from groundup.errors import FormatError

# Above any real model: nothing is allocated by a larger number from a file.
MAX_COUNT = 2**24
MAX_LAYERS = 1024

_REQUIRED = object()


class Fields:
    """A table of values and its file. Getters raise FormatError; a key that is missing or null
    gives the `default`, else it is an error.
    """

    def __init__(self, values: Mapping[str, Any], source: object) -> None:
        self.values = values
        self.source = source
        self.keys_read: set[str] = set()
        """Every key that a getter was called with, whether it exists or not."""

    def error(self, key: str, reason: str) -> FormatError:
        return FormatError(self.source, key, reason)

    def get(self, key: str, kinds: tuple[type, ...], what: str, default: Any = _REQUIRED) -> Any:
        """A value of one of these types (a bool is no number)."""
        self.keys_read.add(key)
        value = self.values.get(key)
        if value is None:
            if default is _REQUIRED:
                raise self.error(key, "is missing")
            return default
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.error(key, f"is {_short(value)}, {what} is expected")
        return value

    def integer(
        self, key: str, default: Any = _REQUIRED, *, low: int = 1, high: int = MAX_COUNT
    ) -> int:
        value = self.get(key, (int,), "a whole number", default)
        if not low <= value <= high:
            raise self.error(key, f"is {_short(value)}, between {low} and {high} is expected")
        return int(value)

    def number(self, key: str, default: Any = _REQUIRED) -> float:
        """Finite and above 0."""
        value = self.get(key, (int, float), "a number", default)
        if not 0 < value < 2**63 or not math.isfinite(value):
            raise self.error(key, f"is {_short(value)}, a positive number is expected")
        return float(value)

    def flag(self, key: str, default: Any = _REQUIRED) -> bool:
        return bool(self.get(key, (bool,), "true or false", default))

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        return str(self.get(key, (str,), "a text", default))

    def table(self, key: str, default: Any = _REQUIRED) -> dict[str, Any]:
        return dict(self.get(key, (dict,), "a table", default))

    def require(self, key: str, *expected: Any) -> None:
        """Refuse any value but these (a missing key is the first): a feature that our model does
        not compute.
        """
        self.keys_read.add(key)
        value = self.values.get(key, expected[0])
        if not any(
            value == allowed and isinstance(value, bool) == isinstance(allowed, bool)
            for allowed in expected
        ):
            raise self.error(
                key, f"is {_short(value)}; only {' and '.join(map(_short, expected))} is supported"
            )


def _short(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    return repr(value)[:60]
