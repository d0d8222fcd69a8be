"""The sampling settings that a model's publisher recommends in generation_config.json."""

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any

from groundup.errors import FormatError
from groundup.files import read_json

GENERATION_FILE = "generation_config.json"
MAX_BYTES = 2**16
# transformers' name -> its types, and whether a value is in range.
_VALID: Mapping[str, tuple[tuple[type, ...], Callable[[Any], bool]]] = {
    "temperature": ((int, float), lambda value: 0 <= value < inf),
    "top_k": ((int,), lambda value: value >= 0),
    "top_p": ((int, float), lambda value: 0 < value <= 1),
    "min_p": ((int, float), lambda value: 0 <= value <= 1),
    "repetition_penalty": ((int, float), lambda value: 0 < value < inf),
}


def read_sampling(folder: Path) -> dict[str, float]:
    """Return the sampling settings of a folder's generation_config.json; {} where it is missing or
    unreadable.

    The file is only a recommendation: a value out of range is ignored, never an error.
    """
    try:
        values = read_json(folder / GENERATION_FILE, max_bytes=MAX_BYTES)
    except FormatError:
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        name: values[name]
        for name, (types, valid) in _VALID.items()
        if type(values.get(name)) in types and valid(values[name])
    }
