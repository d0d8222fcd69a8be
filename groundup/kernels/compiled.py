"""`compiled`: numba's compiler with one setting.

`machine_code.py` keeps what it makes of the functions that are called from outside.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])
# Sums may be taken in another order (so that they use whole vectors), there are no checks of
# bounds, and no errors, for which Python would be needed.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}


def compiled(function: F) -> F:
    """Compile a function at its first call, for the types of that call.

    It runs without Python's lock.
    """
    made: F = numba.njit(**OPTIONS)(
        inspect.unwrap(function)
    )  # without the shape checker of the tests
    return made
