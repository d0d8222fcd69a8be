"""`compiled`: numba's compiler with one setting, and where the machine code is kept between runs.

The code lies where Python keeps its own (`__pycache__`), or in the user's cache where that can't be written. Numba notices changes in a function's
own file only, so the folder is named after the contents of all files of this room.
"""

import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as numba_config

from groundup.files import cache_folder

F = TypeVar("F", bound=Callable[..., Any])


def code_folder() -> Path:
    """Return the folder of the machine code compiled from the present files of this room."""
    own = Path(__file__).parent
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(own.glob("*.py")))).hexdigest()[:16]
    beside = own / "__pycache__"
    writable = os.access(beside if beside.exists() else own, os.W_OK)
    return beside / f"compiled-{digest}" if writable else cache_folder("compiled-step", digest)


CODE_FOLDER = code_folder()


def compiled(function: F) -> F:
    """Compile a function at its first call, for the types of that call; the code is kept in `CODE_FOLDER`.

    It runs without Python's lock. Sums may be taken in another order (so that they use whole vectors), and there are no checks of bounds.
    """
    before, numba_config.CACHE_DIR = numba_config.CACHE_DIR, str(CODE_FOLDER)
    try:
        plain = inspect.unwrap(function)  # without the shape checker of the tests
        made: F = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp", "nsz"})(plain)
        return made
    finally:
        numba_config.CACHE_DIR = before
