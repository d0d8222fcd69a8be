"""How deep JSON of others is nested: what reads or shows a value recursively needs a few of Python's
1,000 frames a level.
"""

from collections.abc import Iterable
from typing import Any

MAX_JSON_DEPTH = 100


def is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects in `value` are nested deeper than `depth`.

    >>> is_deeper({"a": [1]}, 2), is_deeper({"a": [1]}, 1)
    (False, True)
    """
    level = _nested([value])
    while level and depth:
        level = [child for each in level for child in _children(each)]
        depth -= 1
    return bool(level)


def _children(value: Any) -> list[Any]:
    """Return the lists and objects that are directly in one."""
    if isinstance(value, dict):
        return _nested(value.values())
    return _nested(value)


def _nested(values: Iterable[Any]) -> list[Any]:
    return [each for each in values if isinstance(each, dict | list)]
